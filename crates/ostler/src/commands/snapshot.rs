//! `snapshot`: a whole copy of refs of a repository, at the cost of a link for each object.

use crate::context::Context;
use crate::counted::counted;
use ostler_repo::refs::RefKey;
use ostler_repo::snapshot::{SnapshotOptions, SnapshotStats, snapshot};
use ostler_transfer::{Selection, TransferError};
use serde::Serialize;
use std::num::NonZero;
use std::path::PathBuf;
use std::thread;

/// The arguments of `snapshot`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The copy is a repository of its own, which any tool may read: what happens to the repository does not happen \
to it. Objects are hard links to those of the repository, or copies where links are not to be had (that shares \
blocks where the file system can). They must not be changed in place, which no tool for repositories does. \
It appears under its name when it is whole; until then the repository is locked, so that nothing is removed \
from it. Remotes are left out, as are commits that no ref leads to. The \
summary is taken if it lists exactly the refs that are copied; with patterns it is left out.

REF is a ref, or REMOTE:REF of a remote; '*' matches within a part of a name, '**' across parts.

Examples:
  ostler --repo=/srv/repo snapshot /srv/copy
  ostler --repo=/srv/repo snapshot /srv/copy 'os/*/stable' --depth=3
  ostler --repo=/srv/repo snapshot /srv/copy --replace   # every hour
  ostler --repo=/srv/copy lock --shared -- rsync -a /srv/copy/ host:/srv/mirror/")]
pub(crate) struct Args {
    /// Copy so many parents of each commit; -1 for all
    #[arg(long, value_name = "DEPTH", default_value = "-1", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    depth: i64,
    /// Take the place of an older snapshot at DIR, in one step
    #[arg(long)]
    replace: bool,
    /// How many objects are linked at once [default: the number of processors]
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    /// Where the copy is made: a directory that is empty or not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Refs, or patterns of refs [default: all refs]
    #[arg(value_name = "REF|GLOB")]
    refs: Vec<String>,
}

/// The result as JSON.
#[derive(Serialize)]
struct Record {
    directory: String,
    refs: usize,
    commits: usize,
    linked_objects: u64,
    copied_objects: u64,
    deltas: usize,
    summary: bool,
    left: Option<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let source = context.open()?;
    let selection = Selection::new(&args.refs)?;
    let refs = source.survey_all_refs()?.into_all();
    let names: Vec<_> = refs.keys().map(name).collect();
    if let Some(pattern) = selection.unmatched(&names.iter().map(String::as_str)) {
        return Err(TransferError::NoSuchRef(pattern.to_owned()).into());
    }
    let select = |key: &RefKey| selection.matches(&name(key));
    let options = SnapshotOptions {
        select: (!args.refs.is_empty()).then_some(&select),
        depth: u64::try_from(args.depth).ok(),
        replace: args.replace,
        threads: args
            .jobs
            .or_else(|| thread::available_parallelism().ok())
            .map_or(1, NonZero::get),
    };
    let progress = context.ui().progress("linking objects");
    let made = snapshot(&source, &args.directory, &options, &mut |done, all| {
        progress.update(done, all);
    });
    drop(progress);
    let stats = made?;
    tell(context, args, &stats)
}

/// Returns what patterns are compared with.
fn name(key: &RefKey) -> String {
    match key {
        RefKey::Refspec(refspec) => refspec.to_string(),
        RefKey::Collection(name) => name.name.to_string(),
    }
}

fn tell(context: &Context, args: &Args, stats: &SnapshotStats) -> anyhow::Result<()> {
    let ui = context.ui();
    let directory = args.directory.display().to_string();
    if stats.copied_objects > 0 {
        ui.note(&format!(
            "{} could not be linked, and copied instead",
            counted(stats.copied_objects, "object")
        ));
    }
    let left = stats.left.as_ref().map(|path| path.display().to_string());
    if let Some(left) = &left {
        ui.note(&format!(
            "the old snapshot is still being read and lies at {left}; the next one removes it"
        ));
    }
    let objects = stats.linked_objects + stats.copied_objects;
    ui.either(
        &Record {
            directory: directory.clone(),
            refs: stats.refs,
            commits: stats.commits,
            linked_objects: stats.linked_objects,
            copied_objects: stats.copied_objects,
            deltas: stats.deltas,
            summary: stats.summary,
            left,
        },
        format_args!(
            "made {directory}: {}, {}, {}, {}, {} summary",
            counted(stats.refs, "ref"),
            counted(stats.commits, "commit"),
            counted(objects, "object"),
            counted(stats.deltas, "delta"),
            if stats.summary { "with its" } else { "without a" },
        ),
    )
}
