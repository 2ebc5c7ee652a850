//! What `prune` prints: stock's lines, and what they do not say.

use super::Args;
use crate::context::Context;
use crate::counted::counted;
use crate::dates;
use crate::sizes::format_size;
use crate::ui::Ui;
use ostler_repo::prune::{GraceReport, Loss, PruneDetails, PruneReport, Tally};
use serde::Serialize;

/// The result as JSON.
#[derive(Serialize)]
struct Record {
    event: &'static str,
    objects: u64,
    removed: u64,
    freed_bytes: u64,
    dry_run: bool,
    /// For how long everybody else was kept out; null if nobody was.
    lock_held_seconds: Option<f64>,
    retired: Option<Vec<String>>,
    waiting_commits: Option<u64>,
    details: Option<Details>,
}

#[derive(Serialize)]
struct Details {
    refs: Vec<Share>,
    without_ref: Share,
    together: Amount,
    without_commit: Amount,
}

#[derive(Serialize)]
struct Share {
    #[serde(rename = "ref")]
    name: Option<String>,
    kept_commits: Option<u64>,
    commits: Vec<GoingCommit>,
    #[serde(flatten)]
    alone: Amount,
}

#[derive(Serialize)]
struct GoingCommit {
    commit: String,
    time: u64,
}

#[derive(Serialize)]
struct Amount {
    objects: u64,
    bytes: u64,
}

/// Prints it.
pub(super) fn print(context: &Context, args: &Args, report: &PruneReport) -> anyhow::Result<()> {
    let (ui, stats) = (context.ui(), &report.stats);
    if let Some(damage) = report
        .grace
        .as_ref()
        .and_then(|grace| grace.damaged_list.as_ref())
    {
        ui.note(&format!("{damage}: everything that was on it waits anew"));
    }
    if ui.json() {
        return ui.object(&record(args, report));
    }
    let which = if args.commit_only { " (commit only)" } else { "" };
    ui.line(format_args!("Total{which} objects: {}", stats.objects))?;
    let (removed, freed) = (stats.removed, format_size(stats.freed_bytes));
    match removed {
        0 => ui.line("No unreachable objects"),
        _ if args.is_dry() => ui.line(format_args!("Would delete: {removed} objects, freeing {freed}")),
        _ => ui.line(format_args!("Deleted {removed} objects, {freed} freed")),
    }?;
    if let Some(grace) = &report.grace {
        print_grace(ui, args, grace)?;
    }
    report
        .details
        .as_ref()
        .map_or(Ok(()), |details| print_details(ui, details))
}

fn print_grace(ui: &Ui, args: &Args, grace: &GraceReport) -> anyhow::Result<()> {
    if !grace.retired.is_empty() {
        let would = if args.is_dry() { "Would retire" } else { "Retired" };
        ui.line(format_args!("{would} {}", counted(grace.retired.len(), "commit")))?;
        for commit in &grace.retired {
            ui.line(format_args!("  {commit}"))?;
        }
    }
    if grace.waiting > 0 {
        ui.line(format_args!(
            "{} in their grace",
            counted(grace.waiting, "commit")
        ))?;
    }
    Ok(())
}

fn print_details(ui: &Ui, details: &PruneDetails) -> anyhow::Result<()> {
    for lost in &details.refs {
        let (going, all) = (
            lost.loss.commits.len(),
            lost.kept + lost.loss.commits.len() as u64,
        );
        ui.line(format_args!(
            "{}: {going} of {all} commits would go, and alone free {}",
            lost.name,
            amount(lost.loss.alone)
        ))?;
        print_commits(ui, &lost.loss)?;
    }
    let unnamed = &details.unnamed;
    if !unnamed.commits.is_empty() {
        ui.line(format_args!(
            "Without a ref: {} would go, and alone free {}",
            counted(unnamed.commits.len(), "commit"),
            amount(unnamed.alone)
        ))?;
        print_commits(ui, unnamed)?;
    }
    if details.together.objects > 0 {
        ui.line(format_args!(
            "Needed by several of these, and freed only when all of them go: {}",
            amount(details.together)
        ))?;
    }
    if details.orphans.objects > 0 {
        ui.line(format_args!("Needed by no commit: {}", amount(details.orphans)))?;
    }
    Ok(())
}

fn print_commits(ui: &Ui, loss: &Loss) -> anyhow::Result<()> {
    for (commit, time) in &loss.commits {
        ui.line(format_args!("  {commit}  {}", dates::commit_date(*time)))?;
    }
    Ok(())
}

fn amount(tally: Tally) -> String {
    format!(
        "{}, {}",
        counted(tally.objects, "object"),
        format_size(tally.bytes)
    )
}

fn record(args: &Args, report: &PruneReport) -> Record {
    let grace = report.grace.as_ref();
    Record {
        event: if args.is_dry() { "plan" } else { "done" },
        objects: report.stats.objects,
        removed: report.stats.removed,
        freed_bytes: report.stats.freed_bytes,
        dry_run: args.is_dry(),
        lock_held_seconds: report.alone.map(|held| held.as_secs_f64()),
        retired: grace.map(|grace| grace.retired.iter().map(ToString::to_string).collect()),
        waiting_commits: grace.map(|grace| grace.waiting),
        details: report.details.as_ref().map(|details| Details {
            refs: details
                .refs
                .iter()
                .map(|lost| share(Some(lost.name.clone()), Some(lost.kept), &lost.loss))
                .collect(),
            without_ref: share(None, None, &details.unnamed),
            together: details.together.into(),
            without_commit: details.orphans.into(),
        }),
    }
}

fn share(name: Option<String>, kept_commits: Option<u64>, loss: &Loss) -> Share {
    let going = |(commit, time): &(ostler_format::Checksum, u64)| GoingCommit {
        commit: commit.to_string(),
        time: *time,
    };
    Share {
        name,
        kept_commits,
        commits: loss.commits.iter().map(going).collect(),
        alone: loss.alone.into(),
    }
}

impl From<Tally> for Amount {
    fn from(tally: Tally) -> Self {
        Self {
            objects: tally.objects,
            bytes: tally.bytes,
        }
    }
}
