//! `checkout`: the files of a commit, or a part of it, in a directory.

use crate::context::Context;
use crate::exit;
use crate::switch;
use crate::tree_path::{self, TreePath};
use ostler_repo::checkout::{CheckoutOptions, HardLinks, Overwrite};
use std::path::PathBuf;

/// The arguments of `checkout`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[command(after_help = "\
Examples:
  ostler --repo=/srv/repo checkout os/stable /tmp/os
  ostler --repo=/srv/repo checkout -U -H os/stable tree
  ostler --repo=/srv/repo checkout -U --subpath=/usr/share/doc os/stable doc")]
pub(crate) struct Args {
    /// Leave owners and extended attributes alone
    #[arg(short = 'U', long)]
    user_mode: bool,
    #[arg(long, hide = true)]
    disable_cache: bool,
    /// Check out only what is below PATH
    #[arg(long, value_name = "PATH")]
    subpath: Option<String>,
    /// Keep existing directories, replace existing files
    #[arg(long)]
    union: bool,
    /// Keep everything that exists
    #[arg(long)]
    union_add: bool,
    /// Keep existing files if they are the same, else fail
    #[arg(long)]
    union_identical: bool,
    /// Do nothing if --subpath is not in the commit
    #[arg(long)]
    allow_noent: bool,
    /// Whether the files survive a power cut once we are done
    #[arg(long, value_name = "BOOL", value_parser = switch::boolean)]
    fsync: Option<bool>,
    /// Fail where a file cannot be a hard link into the repository
    #[arg(short = 'H', long)]
    require_hardlinks: bool,
    /// Never make hard links
    #[arg(short = 'C', long)]
    force_copy: bool,
    // Empty files are never hard links.
    #[arg(short = 'z', long, hide = true)]
    force_copy_zerosized: bool,
    /// Make directories that only their owner and group can write to
    #[arg(short = 'M', long)]
    bareuseronly_dirs: bool,
    /// The commit
    #[arg(value_name = "COMMIT")]
    rev: String,
    /// Where to; made by us, unless a --union option allows it to exist [default: the name of COMMIT]
    destination: Option<PathBuf>,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let options = options(args)?;
    let repo = context.open()?;
    let commit = repo.resolve_rev(&args.rev)?;
    if let Some(subpath) = args.subpath.as_ref().filter(|_| args.allow_noent) {
        match tree_path::find(&repo, &commit, &TreePath::new(subpath)) {
            Err(error) if error.is_not_found() => return Ok(()),
            found => drop(found?),
        }
    }
    let destination = args
        .destination
        .clone()
        .unwrap_or_else(|| PathBuf::from(&args.rev));
    let _stats = repo.checkout(&commit, &destination, &options)?;
    Ok(())
}

fn options(args: &Args) -> anyhow::Result<CheckoutOptions> {
    let overwrite = match (args.union, args.union_add, args.union_identical) {
        (false, false, false) => Overwrite::Never,
        (true, false, false) => Overwrite::Files,
        (false, true, false) => Overwrite::Add,
        (false, false, true) => Overwrite::Identical,
        _ => {
            return Err(exit::usage(
                "--union, --union-add and --union-identical exclude one another",
            ));
        }
    };
    let hard_links = match (args.require_hardlinks, args.force_copy) {
        (false, false) => HardLinks::WherePossible,
        (true, false) => HardLinks::Require,
        (false, true) => HardLinks::Never,
        (true, true) => {
            return Err(exit::usage(
                "--require-hardlinks and --force-copy exclude each other",
            ));
        }
    };
    Ok(CheckoutOptions {
        user_mode: args.user_mode,
        overwrite,
        hard_links,
        bareuseronly_dirs: args.bareuseronly_dirs,
        subpath: args
            .subpath
            .as_deref()
            .map(|path| TreePath::new(path).as_str().to_owned()),
        fsync: args.fsync.unwrap_or(false),
        threads: None,
    })
}
