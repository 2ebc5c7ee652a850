//! `publish`: brings commits of a repository to where clients pull them.

mod deltas;
mod destination;
mod events;
mod far;
mod lost;
mod report;
mod retention;

use super::far::Way;
use super::{Settle, Signing, target};
use crate::context::Context;
use crate::exit;
use crate::interrupt::Interrupt;
use crate::spans::Span;
use crate::summary_choice::SummaryChoice;
use deltas::DeltaArg;
use destination::Destination;
pub(super) use events::Events;
use ostler_transfer::{Policy, PublishOptions, Selection, TransferError, publish};
use retention::RetentionArgs;
use std::num::NonZero;
use std::path::PathBuf;

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
  ostler --repo=/srv/build publish build@repo.example.org:/srv/repo 'os/*/stable' --delete-refs

Objects arrive first and are hashed; then all refs and the summary change at once. A run that is cut \
short leaves DEST as it was, and the next one goes on from there.

Clients that are pulling meanwhile lose nothing: a commit of DEST that no ref leads to any more, or that lies \
behind the history that is kept, is retired first, and only removed by a run after the time of grace.

Where DEST is mounted from another machine (sshfs, NFS, CIFS) the cost is that of the change as well: what is known is not looked at, and much is \
under way at once. Locks do not cross such a mount: a file, extensions/ostler/lease, keeps other publishers out, and nobody else; nothing may prune DEST \
over there meanwhile.

To another machine a publish goes as a push does ('ostler push --help'): the rules of the far end say what may be done, and what it keeps, \
signs and makes deltas of; options about these are refused.

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
    /// The directory to publish to: an archive repository, or an empty or absent one, which becomes one; or HOST:PATH, or a remote's
    /// name, where an ostler receives
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
    /// Read and hash everything that DEST claims to have, replace what is missing or damaged, and name what the source has not
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
    /// Treat DEST as a directory of another machine that is mounted here, as is done where its file system is known to be one (sshfs
    /// and other FUSE, NFS, CIFS, 9P, AFS, Ceph)
    #[arg(long)]
    remote_fs: bool,
    /// Treat DEST as a directory of this machine whatever its file system: a FUSE file system may be here (fuse-overlayfs, mergerfs), and
    /// links and locks work on it
    #[arg(long, conflicts_with = "remote_fs")]
    local_fs: bool,
    /// Up to so many bytes that can be linked are put while the source is locked; more are pinned by links first
    #[arg(long, value_name = "BYTES", default_value_t = HELD_BYTES)]
    held_bytes: u64,
    /// How many objects are put at once [default: the number of processors; 16 into what is mounted from another machine]
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    #[command(flatten)]
    way: Way,
}

/// What is hashed in less than a second.
pub(crate) const HELD_BYTES: u64 = 128 << 20;

/// Publishes.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let source = context.open()?;
    if let Some(destination) = far::destination(args, &source)? {
        return far::run(context, args, &source, &destination);
    }
    let interrupt = Interrupt::watch()?;
    let mut policy = Policy {
        selection: Selection::new(&args.refs)?,
        force: args.force,
        delete_refs: args.delete_refs,
        allow_empty: args.allow_empty,
        summary: args.summary.into(),
        signing: args
            .summary
            .signing(context, &args.signing, &args.settle, Some(&interrupt))?,
        retention: args.retention.read(context)?,
        verify: args.verify,
        deltas: deltas::rules(&args.deltas, &args.empty_deltas)?,
        moves: None,
    };
    let destination = Destination::open(context, args, &source, &policy.selection)
        .map_err(|error| target::explain(error, &args.destination))?;
    args.retention
        .add_rules(&mut policy.retention, destination.store())?;
    retention::note_rules(context, &source, &policy);
    let events = Events::new(context.ui());
    let options = PublishOptions {
        policy: &policy,
        dry_run: args.dry_run,
        jobs: args.jobs.unwrap_or_else(|| destination.store().jobs()),
        held_bytes: args.held_bytes,
        sweep: (!args.no_sweep).then(|| args.grace.seconds()),
        clock: &|| context.environment().now(),
        who: &context.environment().who(),
        interrupted: interrupt.flag(),
        reporter: &events,
    };
    let outcome = publish(&source, destination.store(), &options);
    events.finish();
    match outcome {
        Ok(outcome) => report::outcome(context.ui(), &args.destination, &outcome, args.dry_run),
        Err(TransferError::Interrupted) => {
            context
                .ui()
                .note("what has arrived stays out of sight; the same command goes on from there");
            Err(exit::Interrupted.into())
        }
        Err(error) if error.is_partly_done() => Err(target::explain(error.into(), &args.destination)),
        Err(error) => {
            destination.undo(&error);
            let error = anyhow::Error::new(error).context(nothing_published(args));
            Err(target::explain(error, &args.destination))
        }
    }
}

fn nothing_published(args: &Args) -> String {
    format!("nothing was published to {}", args.destination.display())
}
