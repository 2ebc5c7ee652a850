//! `ls`: files and directories of a commit, in the order of their trees: files first, then each directory.

use crate::context::Context;
use crate::tree_path::{self, TreePath};
use crate::ui::printable;
use crate::variant_text;
use anyhow::Context as _;
use ostler_format::{Checksum, DirTree, TreeDir, Xattrs};
use ostler_repo::{PathEntry, Repo};
use serde::Serialize;
use std::fmt::Write as _;
use std::vec::IntoIter;

/// The arguments of `ls`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[command(after_help = "\
Examples:
  ostler ls os/stable /usr
  ostler ls -R -C os/stable
  ostler ls -R --nul-filenames-only os/stable | xargs -0 …")]
pub(crate) struct Args {
    /// Print directories themselves, not what is in them; -R goes into them all the same
    #[arg(short, long)]
    dironly: bool,
    /// Go into directories
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Print checksums (of a directory that of its tree and that of its metadata)
    #[arg(short = 'C', long)]
    checksum: bool,
    /// Print extended attributes
    #[arg(short = 'X', long)]
    xattrs: bool,
    /// Print nothing but names, as they are, each ended by a NUL
    #[arg(long)]
    nul_filenames_only: bool,
    /// The commit
    #[arg(value_name = "COMMIT")]
    rev: String,
    /// Paths in it [default: /]
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
}

/// One line of output.
#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    /// "-", "l" or "d".
    kind: char,
    /// Permission bits.
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    checksum: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta_checksum: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let repo = context.open()?;
    let commit = repo.resolve_rev(&args.rev)?;
    let lister = Lister {
        context,
        repo: &repo,
        args,
    };
    let root = ["/".to_owned()];
    let paths = if args.paths.is_empty() {
        &root[..]
    } else {
        &args.paths
    };
    for path in paths {
        let path = TreePath::new(path);
        let found =
            tree_path::find(&repo, &commit, &path).with_context(|| format!("Inspecting path '{path}'"))?;
        match found {
            PathEntry::File(checksum) => lister.file(&path, &checksum)?,
            PathEntry::Directory { tree, meta } => lister.directory(&path, &tree, &meta)?,
        }
    }
    Ok(())
}

struct Lister<'a> {
    context: &'a Context,
    repo: &'a Repo,
    args: &'a Args,
}

impl Lister<'_> {
    /// Prints a directory and what is to be seen of its contents. Works without recursion: trees nest as deep as they like.
    fn directory(&self, path: &TreePath, tree: &Checksum, meta: &Checksum) -> anyhow::Result<()> {
        self.directory_itself(path, tree, meta)?;
        if self.args.dironly && !self.args.recursive {
            return Ok(());
        }
        let mut open = vec![(path.clone(), self.files_of(path, tree)?)];
        while let Some((parent, dirs)) = open.last_mut() {
            let Some(dir) = dirs.next() else {
                open.pop();
                continue;
            };
            let path = parent.child(&dir.name);
            self.directory_itself(&path, &dir.tree, &dir.meta)?;
            if self.args.recursive {
                let dirs = self.files_of(&path, &dir.tree)?;
                open.push((path, dirs));
            }
        }
        Ok(())
    }

    /// Prints the files of a tree and returns its directories.
    fn files_of(&self, path: &TreePath, tree: &Checksum) -> anyhow::Result<IntoIter<TreeDir>> {
        let DirTree { files, dirs, .. } = self.repo.load_dirtree(tree)?;
        for file in &files {
            self.file(&path.child(&file.name), &file.checksum)?;
        }
        Ok(dirs.into_iter())
    }

    fn file(&self, path: &TreePath, checksum: &Checksum) -> anyhow::Result<()> {
        if self.args.nul_filenames_only {
            return self.name_only(path);
        }
        let content = self.repo.open_content(checksum)?;
        let header = content.header();
        let target = header.is_symlink().then_some(&*header.symlink_target);
        let line = Line {
            path: path.as_str(),
            kind: if target.is_some() { 'l' } else { '-' },
            mode: header.mode & 0o7777,
            uid: header.uid,
            gid: header.gid,
            size: if target.is_some() { 0 } else { content.size() },
            checksum: checksum.to_string(),
            meta_checksum: None,
            target,
        };
        self.print(&line, &header.xattrs)
    }

    fn directory_itself(&self, path: &TreePath, tree: &Checksum, meta: &Checksum) -> anyhow::Result<()> {
        if self.args.nul_filenames_only {
            return self.name_only(path);
        }
        let dirmeta = self.repo.load_dirmeta(meta)?;
        let line = Line {
            path: path.as_str(),
            kind: 'd',
            mode: dirmeta.mode & 0o7777,
            uid: dirmeta.uid,
            gid: dirmeta.gid,
            size: 0,
            checksum: tree.to_string(),
            meta_checksum: Some(meta.to_string()),
            target: None,
        };
        self.print(&line, &dirmeta.xattrs)
    }

    fn name_only(&self, path: &TreePath) -> anyhow::Result<()> {
        self.context.ui().bytes(path.as_str().as_bytes())?;
        self.context.ui().bytes(b"\0")
    }

    fn print(&self, line: &Line<'_>, xattrs: &Xattrs) -> anyhow::Result<()> {
        let ui = self.context.ui();
        if ui.json() {
            return ui.object(line);
        }
        let Line {
            kind,
            mode,
            uid,
            gid,
            size,
            ..
        } = line;
        let mut text = format!("{kind}{mode:05o} {uid} {gid} {size:>6} ");
        if self.args.checksum {
            for checksum in [Some(&line.checksum), line.meta_checksum.as_ref()]
                .into_iter()
                .flatten()
            {
                text.push_str(checksum);
                text.push(' ');
            }
        }
        if self.args.xattrs {
            let _written = write!(text, "{{ {} }} ", variant_text::of_xattrs(xattrs));
        }
        text.push_str(&printable(line.path));
        if let Some(target) = line.target {
            text.push_str(" -> ");
            text.push_str(&printable(target));
        }
        ui.line(text)
    }
}
