//! `checksum`: what the object of a file on disk would be called.

use crate::context::Context;
use crate::exit;
use ostler_repo::checksum_path;
use serde::Serialize;
use std::path::PathBuf;

/// The arguments of `checksum`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Of a regular file or symbolic link it is the checksum of the content object, of a directory that of its dirmeta; with owner, \
mode and extended attributes as they are.

Examples:
  ostler checksum /usr/bin/env
  ostler checksum --ignore-xattrs tree/etc")]
pub(crate) struct Args {
    /// Leave extended attributes out
    #[arg(long)]
    ignore_xattrs: bool,
    /// The file or directory
    path: PathBuf,
}

#[derive(Serialize)]
struct Checksum {
    checksum: String,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    if context.names_repository() {
        return Err(exit::usage("checksum is about files: it has no use for --repo"));
    }
    let checksum = checksum_path(&args.path, args.ignore_xattrs)?.to_string();
    let json = Checksum {
        checksum: checksum.clone(),
    };
    context.ui().either(&json, checksum)
}
