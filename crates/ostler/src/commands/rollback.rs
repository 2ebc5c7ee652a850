//! `rollback`: brings refs and summary of an earlier generation back.

use super::publish::Events;
use super::{Settle, Signing};
use crate::commands::target;
use crate::context::Context;
use crate::counted::counted;
use crate::summary_choice::SummaryChoice;
use anyhow::Context as _;
use ostler_transfer::{RefUpdate, RollbackOptions, RollbackOutcome, SummaryPlan, rollback};
use serde::Serialize;
use std::path::PathBuf;

/// The arguments of `rollback`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A rollback is a generation of its own: all refs and the summary change at once, and one can go back to where \
one was. It is refused, with the names of what is missing, where objects of the generation were swept. Commits \
that refs no longer lead to are retired as by a publish. The next publish brings newer commits of its source \
again, unless they are taken back there too.

Examples:
  ostler rollback /srv/public --dry-run
  ostler rollback /srv/public
  ostler rollback /srv/public 41")]
pub(crate) struct Args {
    /// The target that was published to
    #[arg(value_name = "DEST")]
    destination: PathBuf,
    /// The generation to go back to [default: the newest before the present one that had other refs]
    #[arg(value_name = "NUMBER")]
    generation: Option<u64>,
    /// Also where refs were changed since the last generation by something other than a publish
    #[arg(long)]
    force: bool,
    /// What becomes of the summary
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    summary: SummaryChoice,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    settle: Settle,
    /// Print what would be done, and do nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// The result as JSON.
#[derive(Serialize)]
struct Record<'a> {
    event: &'static str,
    destination: String,
    to: u64,
    generation: Option<u64>,
    refs: &'a [RefUpdate],
    changed_since: &'a [String],
    summary: &'static str,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    context.refuse_repository()?;
    let store = target::open(context, &args.destination)?;
    let events = Events::new(context.ui());
    let options = RollbackOptions {
        generation: args.generation,
        force: args.force,
        summary: args.summary.into(),
        signing: &args.summary.signing(context, &args.signing, &args.settle, None)?,
        dry_run: args.dry_run,
        clock: &|| context.environment().now(),
        who: &context.environment().who(),
        reporter: &events,
    };
    match rollback(&*store, &options) {
        Ok(outcome) => tell(context, args, &outcome),
        Err(error) if error.is_partly_done() => Err(error.into()),
        Err(error) => Err(error).with_context(|| {
            let target = args.destination.display();
            format!("{target} was not rolled back")
        }),
    }
}

fn tell(context: &Context, args: &Args, outcome: &RollbackOutcome) -> anyhow::Result<()> {
    let ui = context.ui();
    let destination = args.destination.display();
    let summary = match &outcome.summary {
        SummaryPlan::Keep => "keep",
        SummaryPlan::Copy {
            signature: Some(_), ..
        } => "restore signed",
        SummaryPlan::Copy { signature: None, .. } => "restore",
        SummaryPlan::Generate => "generate",
    };
    if ui.json() {
        return ui.object(&Record {
            event: if args.dry_run { "plan" } else { "done" },
            destination: destination.to_string(),
            to: outcome.to,
            generation: outcome.generation,
            refs: &outcome.refs,
            changed_since: &outcome.changed,
            summary,
        });
    }
    if args.dry_run {
        return plan(context, args, outcome, summary);
    }
    let to = outcome.to;
    match outcome.generation {
        None => ui.line(format_args!(
            "{destination} is as generation {to} left it: nothing to do"
        )),
        Some(number) => ui.line(format_args!(
            "rolled {destination} back to generation {to}: {} changed, generation {number}",
            counted(outcome.refs.len(), "ref")
        )),
    }
}

fn plan(context: &Context, args: &Args, outcome: &RollbackOutcome, summary: &str) -> anyhow::Result<()> {
    let ui = context.ui();
    let destination = args.destination.display();
    ui.line(format_args!(
        "would roll {destination} back to generation {}:",
        outcome.to
    ))?;
    for update in &outcome.refs {
        let value = |commit: Option<ostler_format::Checksum>| {
            commit.map_or_else(|| "none".to_owned(), |commit| commit.to_string())
        };
        let (old, new) = (value(update.old), value(update.new));
        ui.line(format_args!("  ref {}: {old} -> {new}", update.name))?;
    }
    ui.line(format_args!("  summary: {summary}"))?;
    for name in &outcome.changed {
        ui.line(format_args!(
            "  ref {name} was changed since the last generation: --force is needed"
        ))?;
    }
    Ok(())
}
