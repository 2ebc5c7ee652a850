//! `refs`: lists, creates and deletes refs, collection refs and aliases.

mod create;
mod delete;
mod list;

use crate::context::Context;
use crate::exit;

/// The arguments of `refs`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[command(after_help = "\
Examples:
  ostler refs --list os
  ostler refs --revision
  ostler refs --create=os/stable os/testing --force
  ostler refs --alias --create=latest os/stable
  ostler refs --delete os/old")]
pub(crate) struct Args {
    /// Delete the refs below or equal to PREFIX; their objects stay until a prune
    #[arg(long)]
    delete: bool,
    /// Do not cut the prefix from the names
    #[arg(long)]
    list: bool,
    /// Print the commit of each ref behind it
    #[arg(short, long)]
    revision: bool,
    /// List aliases, or with --create make one
    #[arg(short = 'A', long)]
    alias: bool,
    /// Create this ref, at the revision given as argument
    #[arg(long, value_name = "NEWREF")]
    create: Option<String>,
    /// Show and create refs with their collection ids
    #[arg(short, long)]
    collections: bool,
    /// With --create: move a ref that exists
    #[arg(long)]
    force: bool,
    /// Prefixes (with --collections: ids) to list or delete; with --create the revision
    #[arg(value_name = "PREFIX")]
    prefixes: Vec<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    if args.delete && args.create.is_some() {
        return Err(exit::usage("--create and --delete exclude each other"));
    }
    let repo = context.open()?;
    if let Some(name) = &args.create {
        create::run(context, &repo, args, name)
    } else if args.delete {
        delete::run(&repo, args)
    } else {
        list::run(context, &repo, args)
    }
}
