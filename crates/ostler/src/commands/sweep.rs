//! `sweep`: removes from a target what nothing has needed for the time of grace.

use crate::commands::target;
use crate::context::Context;
use crate::counted::counted;
use crate::exit;
use crate::interrupt::Interrupt;
use crate::sizes::format_size;
use crate::spans::Span;
use anyhow::Context as _;
use ostler_transfer::{Reporter, Retention, SweepOptions, Swept, TransferError, sweep};
use serde::Serialize;
use std::num::NonZero;
use std::path::PathBuf;

/// The arguments of `sweep`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ostler sweep /srv/public
  ostler sweep /srv/public --dry-run
  ostler sweep /srv/public --grace=7d

Commits that a publish leaves without a ref, or behind the history that is kept, are retired: noted with the time, and \
left where they are, for clients that are pulling them just now. When they have been retired for the time of grace, \
and nothing leads to them again, they are swept, with everything that they alone needed. 'publish' does that \
at its end; this is for a target that nobody publishes to any more, or with another time of grace.

What nobody retired stays: 'prune' removes that.")]
pub(crate) struct Args {
    /// The directory that was published to
    #[arg(value_name = "DEST")]
    destination: PathBuf,
    /// How long what was retired stays: numbers with w, d, h, m or s, or 0
    #[arg(long, value_name = "TIME", default_value = Span::GRACE)]
    grace: Span,
    /// Remove nothing, only say what would be
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// How many threads look for what is needed [default: the number of processors]
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
}

/// The result as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Record {
    commits: Vec<String>,
    objects: u64,
    files: Vec<String>,
    freed_bytes: u64,
    revived_commits: Vec<String>,
    waiting: u64,
    next: Option<u64>,
}

/// The last line of a run as JSON.
#[derive(Serialize)]
struct Outcome {
    event: &'static str,
    destination: String,
    dry_run: bool,
    #[serde(flatten)]
    swept: Record,
}

impl Record {
    /// Returns what was swept.
    pub(crate) fn of(swept: &Swept) -> Self {
        Self {
            commits: swept.commits.iter().map(ToString::to_string).collect(),
            objects: swept.objects,
            files: swept.files.clone(),
            freed_bytes: swept.bytes,
            revived_commits: swept.revived.iter().map(ToString::to_string).collect(),
            waiting: swept.waiting,
            next: swept.next,
        }
    }
}

/// Passes on what is worth knowing.
struct Notes<'a>(&'a Context);

impl Reporter for Notes<'_> {
    fn note(&self, text: &str) {
        self.0.ui().note(text);
    }
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    context.refuse_repository()?;
    let store = target::open(context, &args.destination)?;
    let interrupt = Interrupt::watch()?;
    let threads = args.jobs.unwrap_or_else(|| store.jobs());
    let options = SweepOptions {
        retention: &Retention::of_target(&*store)?,
        now: context.environment().now(),
        grace: args.grace.seconds(),
        dry_run: args.dry_run,
        threads,
        interrupted: interrupt.flag(),
        reporter: &Notes(context),
    };
    let swept = match sweep(&*store, &options) {
        Err(TransferError::Interrupted) => return Err(exit::Interrupted.into()),
        swept => swept.with_context(|| format!("cannot sweep {}", args.destination.display()))?,
    };
    if context.ui().json() {
        return context.ui().object(&Outcome {
            event: if args.dry_run { "plan" } else { "done" },
            destination: args.destination.display().to_string(),
            dry_run: args.dry_run,
            swept: Record::of(&swept),
        });
    }
    if args.dry_run {
        for commit in &swept.commits {
            context.ui().line(format_args!("would remove commit {commit}"))?;
        }
        for path in &swept.files {
            context.ui().line(format_args!("would remove {path}"))?;
        }
    }
    context.ui().line(sentence(&swept, args.dry_run))
}

/// Says what was swept.
pub(crate) fn sentence(swept: &Swept, dry_run: bool) -> String {
    let verb = if dry_run { "would sweep" } else { "swept" };
    let size = format_size(swept.bytes);
    let objects = (swept.objects > 0).then(|| format!("{} ({size})", counted(swept.objects, "object")));
    let files = (!swept.files.is_empty()).then(|| counted(swept.files.len(), "file"));
    let what: Vec<_> = objects.into_iter().chain(files).collect();
    let mut text = if what.is_empty() {
        "nothing to sweep".to_owned()
    } else {
        let commits = match swept.commits.len() {
            0 => String::new(),
            number => format!("{}: ", counted(number, "commit")),
        };
        format!("{verb} {commits}{}", what.join(", "))
    };
    if swept.waiting > 0 {
        text = format!("{text}; {} in the time of grace", swept.waiting);
    }
    text
}
