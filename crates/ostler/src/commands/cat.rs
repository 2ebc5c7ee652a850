//! `cat`: the contents of files of a commit, symbolic links followed inside it.

use crate::context::Context;
use crate::tree_path::{self, TreePath};
use anyhow::bail;
use ostler_format::Checksum;
use ostler_repo::{PathEntry, Repo};
use std::io::Read as _;

/// The arguments of `cat`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ostler cat os/stable /etc/os-release")]
pub(crate) struct Args {
    /// The commit
    #[arg(value_name = "COMMIT")]
    rev: String,
    /// Files in it
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,
}

/// The number of symbolic links after which a path is taken for a loop, as in Linux.
const LINKS_MAX: usize = 40;

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let repo = context.open()?;
    let commit = repo.resolve_rev(&args.rev)?;
    args.paths
        .iter()
        .try_for_each(|path| copy(context, &repo, &commit, path))
}

fn copy(context: &Context, repo: &Repo, commit: &Checksum, path: &str) -> anyhow::Result<()> {
    let mut at = TreePath::new(path);
    for _ in 0..LINKS_MAX {
        let PathEntry::File(checksum) = tree_path::find(repo, commit, &at)? else {
            bail!("Can't open directory {at}");
        };
        let mut content = repo.open_content(&checksum)?;
        if content.header().is_symlink() {
            at = at.linked(&content.header().symlink_target);
            continue;
        }
        let mut buffer = vec![0; 1 << 16];
        loop {
            match content.read(&mut buffer)? {
                0 => return Ok(()),
                count => context.ui().bytes(buffer.get(..count).unwrap_or_default())?,
            }
        }
    }
    bail!("{path}: too many levels of symbolic links")
}
