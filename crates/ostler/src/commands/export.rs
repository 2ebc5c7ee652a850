//! `export`: the tree of a commit as a tar archive.
//!
//! Order of effects: a file to write to is made without a name, synced when the archive is whole, and gets its name then, in place
//! of what had it. A run that fails leaves what was there. Pipes and devices are written to as the archive is made.

use crate::context::Context;
use crate::exit;
use crate::ui::ClosedOutput;
use anyhow::Context as _;
use ostler_repo::fs::Dir;
use ostler_repo::{ExportOptions, RepoError};
use std::fs::{self, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

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
    /// Write to a file, which is replaced when the archive is whole [default: standard output]
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
    write_file(path, |out| repo.export(&commit, &options, out))
        .with_context(|| format!("{} was not written", path.display()))
}

/// Writes a file that has its name when it is whole; what is no regular file is written in place.
fn write_file(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), RepoError>,
) -> anyhow::Result<()> {
    let old = match fs::metadata(path) {
        Ok(old) => Some(old),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        let mut out = BufWriter::new(OpenOptions::new().write(true).open(path)?);
        write(&mut out)?;
        return Ok(out.flush()?);
    }
    // What a symbolic link leads to is replaced, not the link.
    let place = if old.is_some() {
        fs::canonicalize(path)?
    } else {
        path.to_owned()
    };
    let name = place.file_name().context("it has no name")?;
    let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = Dir::open(parent.unwrap_or_else(|| Path::new(".")))?;
    let file = parent.temp_file(0o666)?;
    let mut out = BufWriter::new(file.file());
    write(&mut out)?;
    out.flush()?;
    drop(out);
    if let Some(old) = old {
        file.set_mode(old.permissions().mode())?;
    }
    file.sync()?;
    Ok(parent.replace_with_temp(file, name)?)
}

/// Tells a reader that went away from other errors.
fn closed(error: RepoError) -> anyhow::Error {
    match &error {
        RepoError::Io { source, .. } if source.kind() == ErrorKind::BrokenPipe => ClosedOutput.into(),
        _ => error.into(),
    }
}
