//! `export`: the tree of a commit as a tar archive.

use crate::context::Context;
use crate::exit;
use crate::ui::ClosedOutput;
use anyhow::Context as _;
use ostler_repo::{ExportOptions, RepoError};
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write as _};
use std::path::PathBuf;

/// The arguments of `export`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The archive is in the form of pax, which GNU tar, bsdtar and 'commit --tree=tar=…' read.

Examples:
  ostler export os/stable -o stable.tar
  ostler export os/stable | tar -xf - --xattrs --xattrs-include='*' -C root
  ostler export os/stable --subpath=usr/share --prefix=share/ | gzip >share.tar.gz")]
pub(crate) struct Args {
    /// The commit
    #[arg(value_name = "COMMIT")]
    rev: String,
    /// Leave extended attributes out
    #[arg(long)]
    no_xattrs: bool,
    /// Export this directory
    #[arg(long, value_name = "PATH")]
    subpath: Option<String>,
    /// Begin every path with this; a directory ends with '/'
    #[arg(long, value_name = "PATH")]
    prefix: Option<String>,
    /// Write to a file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    if args.output.is_none() && context.ui().prints_to_terminal() {
        return Err(exit::usage(
            "an archive is nothing for a terminal: name a file with --output, or redirect standard output",
        ));
    }
    let repo = context.open()?;
    let commit = repo.resolve_rev(&args.rev)?;
    let options = ExportOptions {
        subpath: args.subpath.clone().unwrap_or_default(),
        prefix: args.prefix.clone().unwrap_or_default(),
        no_xattrs: args.no_xattrs,
    };
    let Some(path) = &args.output else {
        return repo
            .export(&commit, &options, &mut context.ui().stream())
            .map_err(closed);
    };
    let failed = || format!("cannot write {}", path.display());
    let mut file = BufWriter::new(File::create(path).with_context(failed)?);
    repo.export(&commit, &options, &mut file).with_context(failed)?;
    file.flush().with_context(failed)
}

/// Tells a reader that went away from other errors.
fn closed(error: RepoError) -> anyhow::Error {
    match &error {
        RepoError::Io { source, .. } if source.kind() == ErrorKind::BrokenPipe => ClosedOutput.into(),
        _ => error.into(),
    }
}
