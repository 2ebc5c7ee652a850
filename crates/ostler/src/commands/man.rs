//! `man`: the manual pages, a file for each command, made of the same definitions as the help. For packagers.

use crate::cli;
use crate::context::Context;
use anyhow::Context as _;
use std::fs;
use std::path::PathBuf;

/// The arguments of `man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ostler man /usr/local/share/man/man1")]
pub(crate) struct Args {
    /// Where the pages go; made if it is missing
    directory: PathBuf,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let directory = &args.directory;
    let failed = || format!("cannot write to {}", directory.display());
    fs::create_dir_all(directory).with_context(failed)?;
    clap_mangen::generate_to(cli::definition(context.program()), directory).with_context(failed)
}
