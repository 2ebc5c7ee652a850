//! `diff`: what differs between two trees, each a commit or a directory on disk.

use crate::context::Context;
use crate::exit;
use crate::sizes::format_size;
use crate::switch;
use crate::ui::{Ui, printable};
use ostler_format::Checksum;
use ostler_repo::{DiffOptions, DiffSide, Repo};
use serde::Serialize;
use std::path::Path;

/// The arguments of `diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ostler diff os/stable
  ostler diff os/stable os/testing
  ostler diff os/stable ./build
  ostler diff --stats os/stable os/testing")]
pub(crate) struct Args {
    /// Count the objects of both commits, and those in common
    #[arg(long)]
    stats: bool,
    /// With --stats: print the differences too
    #[arg(long)]
    fs_diff: bool,
    /// Do not compare extended attributes
    #[arg(long)]
    no_xattrs: bool,
    /// Take what is on disk to belong to this user
    #[arg(long, value_name = "UID", value_parser = switch::integer, allow_negative_numbers = true)]
    owner_uid: Option<i64>,
    /// Take what is on disk to belong to this group
    #[arg(long, value_name = "GID", value_parser = switch::integer, allow_negative_numbers = true)]
    owner_gid: Option<i64>,
    /// A commit, or a directory beginning with '/' or './'; alone, a commit to compare with its parent
    #[arg(value_name = "REV_OR_DIR")]
    first: String,
    /// The other
    #[arg(value_name = "REV_OR_DIR")]
    second: Option<String>,
}

/// One difference.
#[derive(Serialize)]
struct Record<'a> {
    /// "M", "D" or "A".
    change: char,
    path: &'a str,
}

/// The counters of `--stats`.
#[derive(Serialize)]
struct StatsRecord {
    first_objects: u64,
    second_objects: u64,
    common_objects: u64,
    common_bytes: u64,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let repo = context.open()?;
    let (first, second) = if let Some(second) = &args.second {
        (side(&repo, &args.first)?, side(&repo, second)?)
    } else {
        let parent = repo.resolve_rev(&format!("{}^", args.first))?;
        (DiffSide::Commit(parent), side(&repo, &args.first)?)
    };
    let ui = context.ui();
    if args.fs_diff || !args.stats {
        print_differences(ui, args, &repo, &first, &second)?;
    }
    if args.stats {
        let (DiffSide::Commit(first), DiffSide::Commit(second)) = (&first, &second) else {
            return Err(exit::usage("--stats compares two commits"));
        };
        print_stats(ui, &repo, first, second)?;
    }
    Ok(())
}

fn side<'a>(repo: &Repo, argument: &'a str) -> anyhow::Result<DiffSide<'a>> {
    if argument.starts_with('/') || argument.starts_with("./") {
        return Ok(DiffSide::Directory(Path::new(argument)));
    }
    Ok(DiffSide::Commit(repo.resolve_rev(argument)?))
}

fn print_differences(
    ui: &Ui,
    args: &Args,
    repo: &Repo,
    first: &DiffSide<'_>,
    second: &DiffSide<'_>,
) -> anyhow::Result<()> {
    let id = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok());
    let options = DiffOptions {
        no_xattrs: args.no_xattrs,
        owner_uid: id(args.owner_uid),
        owner_gid: id(args.owner_gid),
    };
    let found = repo.diff(first, second, &options)?;
    let lists = [
        ('M', first, &found.modified),
        ('D', first, &found.removed),
        ('A', second, &found.added),
    ];
    for (change, side, paths) in lists {
        for path in paths {
            // As stock: what is on disk has a relative path.
            let shown = match side {
                DiffSide::Directory(_) => path.trim_start_matches('/'),
                DiffSide::Commit(_) => path,
            };
            ui.either(
                &Record { change, path },
                format_args!("{change}    {}", printable(shown)),
            )?;
        }
    }
    Ok(())
}

fn print_stats(ui: &Ui, repo: &Repo, first: &Checksum, second: &Checksum) -> anyhow::Result<()> {
    let stats = repo.diff_stats(first, second)?;
    let record = StatsRecord {
        first_objects: stats.first_objects,
        second_objects: stats.second_objects,
        common_objects: stats.common_objects,
        common_bytes: stats.common_bytes,
    };
    let text = format!(
        "[A] Object Count: {}\n[B] Object Count: {}\nCommon Object Count: {}\nCommon Object Size: {}",
        record.first_objects,
        record.second_objects,
        record.common_objects,
        format_size(record.common_bytes),
    );
    ui.either(&record, text)
}
