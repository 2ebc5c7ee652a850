//! `history`: what was published to a target, when, by whom; and which generations must stay.

use crate::commands::target;
use crate::context::Context;
use crate::counted::counted;
use crate::dates;
use crate::sizes::format_size;
use crate::ui::printable;
use ostler_transfer::{Generation, Past, Silent, Store, present_refs, ref_differences, set_pinned};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The arguments of `history`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every publish to DEST, and every rollback, makes a generation: a record of all refs and of the summary. Records \
of the last hundred are kept, and those of pinned generations. What a pinned generation names, and the history of \
that as far as it is still there, is not swept or pruned, so that 'rollback' can always go back to it. Records may be deleted; only history is lost.

Examples:
  ostler history /srv/public
  ostler history /srv/public --json
  ostler history /srv/public --pin=42
  ostler diff-generations /srv/public 41 42")]
pub(crate) struct Args {
    /// The target that was published to
    #[arg(value_name = "DEST")]
    destination: PathBuf,
    /// Print so many of the newest generations only
    #[arg(short = 'n', long, value_name = "COUNT")]
    limit: Option<usize>,
    /// Pin a generation
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["unpin", "limit"])]
    pin: Option<u64>,
    /// Let go of a pinned generation
    #[arg(long, value_name = "NUMBER", conflicts_with = "limit")]
    unpin: Option<u64>,
}

/// A generation as JSON.
#[derive(Serialize)]
struct Record<'a> {
    generation: u64,
    time: u64,
    who: &'a str,
    /// `None` where the record before it is gone.
    changed_refs: Option<Vec<String>>,
    refs: &'a BTreeMap<String, String>,
    summary: Option<&'a str>,
    added_objects: u64,
    added_bytes: u64,
    rolled_back_to: Option<u64>,
    pinned: bool,
    current: bool,
}

/// The result of pinning, as JSON.
#[derive(Serialize)]
struct Pinning {
    generation: u64,
    pinned: bool,
    changed: bool,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    context.refuse_repository()?;
    let store = target::open(context, &args.destination)?;
    match (args.pin, args.unpin) {
        (Some(number), _) => set(context, &*store, number, true),
        (None, Some(number)) => set(context, &*store, number, false),
        (None, None) => list(context, &*store, args),
    }
}

fn set(context: &Context, store: &dyn Store, number: u64, pinned: bool) -> anyhow::Result<()> {
    let changed = set_pinned(store, number, pinned, &|| context.environment().now(), &Silent)?;
    let record = Pinning {
        generation: number,
        pinned,
        changed,
    };
    let what = match (pinned, changed) {
        (true, true) => "pinned",
        (true, false) => "was pinned already",
        (false, true) => "no longer pinned",
        (false, false) => "was not pinned",
    };
    (context.ui()).either(&record, format_args!("generation {number}: {what}"))
}

fn list(context: &Context, store: &dyn Store, args: &Args) -> anyhow::Result<()> {
    let past = Past::read(store)?;
    let present = present_refs(store)?;
    let current = past.standing(&present).map(|record| record.number);
    let limit = args.limit.unwrap_or(usize::MAX);
    for (index, record) in past.generations.iter().enumerate().rev().take(limit) {
        let older = index.checked_sub(1).and_then(|older| past.generations.get(older));
        let changed = changed_refs(older, record);
        let pinned = past.pinned.contains(&record.number);
        show(context, record, changed, pinned, current == Some(record.number))?;
    }
    if past.generations.is_empty() {
        context
            .ui()
            .note("there is no record of a publish to this repository");
    }
    if current.is_none() && !past.generations.is_empty() {
        context
            .ui()
            .note("refs were changed since the last generation by something that makes no records");
    }
    Ok(())
}

/// Returns the refs that a generation changed; `None` where `older`, the next older one that there is a record of, is not the
/// one before it.
fn changed_refs(older: Option<&Generation>, record: &Generation) -> Option<Vec<String>> {
    let nothing = BTreeMap::new();
    let before = match older {
        Some(older) if older.number.checked_add(1) == Some(record.number) => &older.refs,
        None if record.number == 1 => &nothing,
        _ => return None,
    };
    let differences = ref_differences(before, &record.refs).into_iter();
    Some(differences.map(|difference| difference.name).collect())
}

fn show(
    context: &Context,
    record: &Generation,
    changed_refs: Option<Vec<String>>,
    pinned: bool,
    current: bool,
) -> anyhow::Result<()> {
    let ui = context.ui();
    if ui.json() {
        return ui.object(&Record {
            generation: record.number,
            time: record.time,
            who: &record.who,
            changed_refs,
            refs: &record.refs,
            summary: record.summary.as_deref(),
            added_objects: record.added_objects,
            added_bytes: record.added_bytes,
            rolled_back_to: record.rolled_back_to,
            pinned,
            current,
        });
    }
    let what = match record.rolled_back_to {
        Some(to) => format!("rolled back to {to}"),
        None => format!(
            "{} ({}) added",
            counted(record.added_objects, "object"),
            format_size(record.added_bytes)
        ),
    };
    let changed = changed_refs.map_or_else(String::new, |changed| {
        format!("{} changed, ", counted(changed.len(), "ref"))
    });
    let mut line = format!(
        "{:>8}  {}  {}  {changed}{}, {what}",
        record.number,
        dates::commit_date(record.time),
        printable(&record.who),
        counted(record.refs.len(), "ref"),
    );
    for (is_so, word) in [(pinned, ", pinned"), (current, ", current")] {
        if is_so {
            line.push_str(word);
        }
    }
    ui.line(line)
}
