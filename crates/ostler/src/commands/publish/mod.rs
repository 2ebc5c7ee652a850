//! `publish`: brings commits of a repository to where clients pull them.

mod deltas;
mod events;
mod report;
mod retention;

use super::{Settle, Signing};
use crate::context::Context;
use crate::exit;
use crate::interrupt::Interrupt;
use crate::spans::Span;
use crate::summary_choice::SummaryChoice;
use anyhow::Context as _;
use deltas::DeltaArg;
pub(super) use events::Events;
use ostler_format::RepoMode;
use ostler_repo::Repo;
use ostler_repo::fs::Dir;
use ostler_transfer::{
    DirStore, MemoryStore, Policy, PublishOptions, Selection, Store, TransferError, publish,
};
use retention::RetentionArgs;
use std::num::NonZero;
use std::path::{Path, PathBuf};

/// The arguments of `publish`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ostler --repo=/srv/build publish /srv/public
  ostler --repo=/srv/build publish /srv/public 'os/*/stable' --dry-run
  ostler --repo=/srv/build publish /srv/public --delete-refs --summary=generate
  ostler --repo=/srv/build publish /srv/public --depth=10 --grace=7d
  ostler --repo=/srv/build publish /srv/public --policy=policy.toml
  ostler --repo=/srv/build publish /srv/public --deltas='os/*/stable:3'
  ostler --repo=/srv/build publish /srv/public --verify
  ostler --repo=/srv/build publish /srv/public --gpg-sign=release@example.org

Objects arrive first and are hashed; then all refs and the summary change at once. A run that is cut \
short leaves DEST as it was, and the next one goes on from there.

Clients that are pulling meanwhile lose nothing: a commit of DEST that no ref leads to any more, or that lies \
behind the history that is kept, is retired first, and only removed by a run after the time of grace.

How much history DEST keeps is said by --depth and --keep-younger-than, or by rules, of which the first that \
matches a ref decides, in a file of DEST or of --policy:
  [[rule]]
  refs = [\"os/*/stable\", \"os/*/beta\"]
  keep-last = 5                   # so many commits,
  keep-for = \"90d\"               # and those no older than that,
  keep-listed = \"releases.txt\"   # and those of a list, a checksum a line, in a file beside this one
  deltas = 3                      # static deltas from the last generations
  deltas-from-nothing = true      # and from nothing
  [[rule]]
  refs = \"os/9/**\"
  keep-forever = true
  end-of-life = 2027-05-31        # after that day the refs are dropped")]
#[expect(clippy::struct_excessive_bools, reason = "one field an option")]
pub(crate) struct Args {
    /// The directory to publish to: an archive repository, or an empty or absent one, which becomes one
    #[arg(value_name = "DEST")]
    destination: PathBuf,
    /// Refs, or patterns of refs ('*' within a part of a name, '**' across parts) [default: all refs]
    #[arg(value_name = "REF|GLOB")]
    refs: Vec<String>,
    /// Remove refs of DEST that the source has no more (with patterns: only those that match)
    #[arg(long)]
    delete_refs: bool,
    /// Let --delete-refs, or a rule, remove even the last ref
    #[arg(long)]
    allow_empty: bool,
    #[command(flatten)]
    retention: RetentionArgs,
    /// How long what DEST does not need any more stays: numbers with w, d, h, m or s, or 0
    #[arg(long, value_name = "TIME", default_value = Span::GRACE)]
    grace: Span,
    /// Leave what DEST has not needed for that long to another run, or to 'sweep'
    #[arg(long, conflicts_with = "grace")]
    no_sweep: bool,
    /// Accept updates that are not fast-forwards, or that go back in time
    #[arg(long)]
    force: bool,
    /// Read and hash everything that DEST claims to have, and replace what is missing or damaged
    #[arg(long)]
    verify: bool,
    /// Make static deltas to new commits of refs that match, from what they named in the last N generations of DEST [N: 1]
    #[arg(long, value_name = "GLOB[:N]")]
    deltas: Vec<DeltaArg>,
    /// Make static deltas from nothing to new commits of refs that match
    #[arg(long, value_name = "GLOB")]
    empty_deltas: Vec<String>,
    /// What becomes of the summary and its signature
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    summary: SummaryChoice,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    settle: Settle,
    /// Print what would be done, and do nothing; what would be swept is said by 'sweep --dry-run'
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Copy objects even where hard links to the source's files could be made
    #[arg(long)]
    copy: bool,
    /// Up to so many bytes that can be linked are put while the source is locked; more are pinned by links first
    #[arg(long, value_name = "BYTES", default_value_t = HELD_BYTES)]
    held_bytes: u64,
    /// How many objects are put at once [default: the number of processors]
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
}

/// What is hashed in less than a second.
pub(crate) const HELD_BYTES: u64 = 128 << 20;

/// Publishes.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let source = context.open()?;
    let interrupt = Interrupt::watch()?;
    let mut policy = Policy {
        selection: Selection::new(&args.refs)?,
        force: args.force,
        delete_refs: args.delete_refs,
        allow_empty: args.allow_empty,
        summary: args.summary.into(),
        signing: args.summary.signing(context, &args.signing, &args.settle)?,
        retention: args.retention.read(context)?,
        verify: args.verify,
        deltas: deltas::rules(&args.deltas, &args.empty_deltas)?,
    };
    let store = open_target(context, args)?;
    args.retention.add_rules(&mut policy.retention, &*store)?;
    retention::note_rules(context, &source, &policy);
    let events = Events::new(context.ui());
    let options = PublishOptions {
        policy: &policy,
        dry_run: args.dry_run,
        jobs: args
            .jobs
            .or_else(|| std::thread::available_parallelism().ok())
            .unwrap_or(NonZero::<usize>::MIN),
        held_bytes: args.held_bytes,
        sweep: (!args.no_sweep).then(|| args.grace.seconds()),
        clock: &|| context.environment().now(),
        who: &context.environment().who(),
        interrupted: interrupt.flag(),
        reporter: &events,
    };
    let outcome = publish(&source, &*store, &options);
    events.finish();
    match outcome {
        Ok(outcome) => report::outcome(context.ui(), &args.destination, &outcome, args.dry_run),
        Err(TransferError::Interrupted) => {
            context
                .ui()
                .note("what has arrived stays out of sight; the same command goes on from there");
            Err(exit::Interrupted.into())
        }
        Err(error) if error.is_partly_done() => Err(error.into()),
        Err(error) => Err(anyhow::Error::new(error)
            .context(format!("nothing was published to {}", args.destination.display()))),
    }
}

/// Opens the target, or makes it where there is nothing yet, or only what a making that was cut short left. A dry run
/// makes nothing and compares with an empty target.
fn open_target(context: &Context, args: &Args) -> anyhow::Result<Box<dyn Store>> {
    let path = &args.destination;
    if is_unmade(path)? {
        if args.dry_run {
            return Ok(Box::new(MemoryStore::default()));
        }
        make_target(path)?;
    }
    Ok(Box::new(
        DirStore::new(context.open_at(path)?).sharing_files(!args.copy),
    ))
}

fn make_target(path: &Path) -> anyhow::Result<()> {
    let made = Repo::create(path, RepoMode::Archive, None);
    made.with_context(|| format!("cannot make a repository at {}", path.display()))?;
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    // The new name has to last as well.
    let synced = Dir::open(parent).and_then(|parent| parent.fsync());
    synced.with_context(|| {
        format!(
            "cannot sync {}, the directory of {}",
            parent.display(),
            path.display()
        )
    })
}

/// What making a repository makes before `objects`, which makes it one.
const HALF_MADE: [&str; 5] = ["config", "tmp", "extensions", "state", "refs"];

/// Returns whether there is no repository at `path` and one may be made there.
fn is_unmade(path: &Path) -> anyhow::Result<bool> {
    let names = match std::fs::read_dir(path) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<Result<Vec<_>, _>>(),
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(fault) => Err(fault),
    };
    let names = names.with_context(|| format!("cannot look into {}", path.display()))?;
    Ok(names.iter().all(|name| HALF_MADE.iter().any(|half| name == half)))
}
