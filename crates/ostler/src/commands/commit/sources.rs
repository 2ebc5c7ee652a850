//! Where the tree of a commit comes from: `--tree`, or a path.

use super::Args;
use crate::exit;
use anyhow::Context as _;
use ostler_repo::Repo;
use ostler_repo::commit::{ArchiveSource, PathnameFilter, TreeSource};
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One `--tree`.
#[derive(Debug, Clone)]
pub(super) enum Tree {
    Directory(PathBuf),
    Revision(String),
    Archive(PathBuf),
}

impl std::str::FromStr for Tree {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some(("dir", path)) => Ok(Self::Directory(path.into())),
            Some(("ref", rev)) => Ok(Self::Revision(rev.to_owned())),
            Some(("tar", path)) => Ok(Self::Archive(path.into())),
            Some((kind, _)) => Err(format!(
                "Invalid tree type specification '{}'",
                kind.escape_debug()
            )),
            None => Err(format!(
                "Missing type in tree specification '{}'",
                text.escape_debug()
            )),
        }
    }
}

/// Returns the directory that is committed where no `--tree` is given.
pub(super) fn default_directory(args: &Args) -> PathBuf {
    args.path.clone().unwrap_or_else(|| PathBuf::from("."))
}

/// Returns what `args` ask for, with archives open.
pub(super) fn of(args: &Args, repo: &Repo) -> anyhow::Result<Vec<TreeSource>> {
    if args.tree.is_empty() {
        return Ok(vec![TreeSource::Directory(default_directory(args))]);
    }
    if args.path.is_some() {
        return Err(exit::usage("give either --tree or a PATH"));
    }
    let rename = args
        .tar_pathname_filter
        .as_deref()
        .map(filter)
        .transpose()?
        .map(Arc::new);
    args.tree
        .iter()
        .map(|tree| {
            Ok(match tree {
                Tree::Directory(path) => TreeSource::Directory(path.clone()),
                Tree::Revision(rev) => TreeSource::Commit(repo.resolve_rev(rev)?),
                Tree::Archive(path) => TreeSource::Archive(ArchiveSource {
                    name: path.clone(),
                    file: Arc::new(open(path)?),
                    create_parents: args.tar_autocreate_parents,
                    rename: rename.clone(),
                }),
            })
        })
        .collect()
}

/// Reads `REGEX,REPLACEMENT`; the first comma counts.
fn filter(text: &str) -> anyhow::Result<PathnameFilter> {
    let (regex, replacement) = text
        .split_once(',')
        .ok_or_else(|| exit::usage("Missing ',' in --tar-pathname-filter"))?;
    PathnameFilter::new(regex, replacement).context("--tar-pathname-filter")
}

/// Opens an archive; `-` is standard input.
fn open(path: &Path) -> anyhow::Result<File> {
    if path == Path::new("-") {
        let input = io::stdin().as_fd().try_clone_to_owned();
        return input.map(File::from).context("cannot read standard input");
    }
    File::open(path).with_context(|| format!("Failed to open '{}'", path.display()))
}
