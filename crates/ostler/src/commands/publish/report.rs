//! What `publish` did, or would do, in words or as JSON.

use crate::commands::sweep;
use crate::counted::counted;
use crate::sizes::format_size;
use crate::ui::Ui;
use ostler_format::Checksum;
use ostler_transfer::{Outcome, RefUpdate, SummaryPlan};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The last line of a run, or the plan of a dry run, as JSON.
#[derive(Debug, Serialize)]
struct Record<'a> {
    event: &'static str,
    destination: String,
    generation: Option<u64>,
    refs: &'a [RefUpdate],
    added: BTreeMap<&'static str, ostler_transfer::Tally>,
    added_objects: usize,
    added_bytes: u64,
    reused_objects: u64,
    files: Vec<&'a str>,
    /// With --dry-run, the static deltas that would be made.
    deltas_to_make: Vec<String>,
    detached_metadata: Vec<String>,
    healed_commits: Vec<String>,
    summary: &'static str,
    retired_commits: Vec<String>,
    revived_commits: Vec<String>,
    swept: Option<sweep::Record>,
    /// Why what was due was not swept, or not all of it.
    sweep_error: Option<&'a str>,
    attempts: u32,
    /// With --verify: what is missing or damaged, and was not to be had.
    damage: Vec<super::lost::Record>,
}

/// Prints the outcome of a run.
pub(crate) fn outcome(ui: &Ui, destination: &Path, outcome: &Outcome, dry_run: bool) -> anyhow::Result<()> {
    if ui.json() {
        ui.object(&record(destination, outcome, dry_run))?;
    } else {
        words(ui, destination, outcome, dry_run)?;
    }
    super::lost::conclude(destination, &outcome.lost)
}

fn words(ui: &Ui, destination: &Path, outcome: &Outcome, dry_run: bool) -> anyhow::Result<()> {
    let is_damaged = !outcome.lost.is_empty();
    if dry_run {
        if is_damaged && outcome.plan.is_empty() && outcome.deltas.is_empty() {
            return Ok(());
        }
        return plan(ui, destination, outcome);
    }
    if outcome.generation.is_some() || !is_damaged {
        ui.line(done(destination, outcome))?;
    }
    match &outcome.swept {
        Some(swept) => ui.line(sweep::sentence(swept, false)),
        None => Ok(()),
    }
}

fn record<'a>(destination: &Path, outcome: &'a Outcome, dry_run: bool) -> Record<'a> {
    let plan = &outcome.plan;
    Record {
        event: if dry_run { "plan" } else { "done" },
        destination: destination.display().to_string(),
        generation: outcome.generation,
        refs: &plan.refs,
        added: plan
            .by_type()
            .into_iter()
            .map(|(kind, tally)| (kind.as_str(), tally))
            .collect(),
        added_objects: plan.objects.len(),
        added_bytes: plan.bytes(),
        reused_objects: plan.reused_objects,
        files: plan.files.iter().map(|file| file.path.as_str()).collect(),
        deltas_to_make: outcome.deltas.iter().map(ToString::to_string).collect(),
        detached_metadata: plan
            .detached
            .iter()
            .map(|update| update.commit.to_string())
            .collect(),
        healed_commits: names(&plan.healed),
        summary: summary_word(&plan.summary),
        retired_commits: names(&plan.retirement.retired),
        revived_commits: names(&plan.retirement.revived),
        swept: outcome.swept.as_ref().map(sweep::Record::of),
        sweep_error: outcome.sweep_error.as_deref(),
        attempts: outcome.attempts,
        damage: super::lost::records(&outcome.lost),
    }
}

fn names(commits: &[Checksum]) -> Vec<String> {
    commits.iter().map(ToString::to_string).collect()
}

fn summary_word(summary: &SummaryPlan) -> &'static str {
    match summary {
        SummaryPlan::Keep => "keep",
        SummaryPlan::Copy {
            signature: Some(_), ..
        } => "copy signed",
        SummaryPlan::Copy { signature: None, .. } => "copy",
        SummaryPlan::Generate => "generate",
    }
}

fn done(destination: &Path, outcome: &Outcome) -> String {
    let plan = &outcome.plan;
    let Some(generation) = outcome.generation else {
        return format!("{} is up to date", destination.display());
    };
    let files = match plan.files.len() {
        0 => String::new(),
        count => format!(", {} carried", counted(count, "file")),
    };
    let detached = match plan.detached.len() {
        0 => String::new(),
        count => format!(", detached metadata of {}", counted(count, "commit")),
    };
    let retired = match plan.retirement.retired.len() {
        0 => String::new(),
        count => format!(", {} retired", counted(count, "commit")),
    };
    let removed = plan.refs.iter().filter(|update| update.new.is_none()).count();
    let removed_refs = match removed {
        0 => String::new(),
        count => format!(", {} removed", counted(count, "ref")),
    };
    format!(
        "published {} to {}: {} added ({}){files}{detached}{removed_refs}{retired}, generation {generation}",
        counted(plan.refs.len() - removed, "ref"),
        destination.display(),
        counted(plan.objects.len(), "object"),
        format_size(plan.bytes()),
    )
}

/// Prints the plan of a dry run.
fn plan(ui: &Ui, destination: &Path, outcome: &Outcome) -> anyhow::Result<()> {
    let plan = &outcome.plan;
    if plan.is_empty() && outcome.deltas.is_empty() {
        return ui.line(format_args!(
            "{} is up to date: nothing to do",
            destination.display()
        ));
    }
    ui.line(format_args!("would publish to {}:", destination.display()))?;
    for update in &plan.refs {
        ui.line(format_args!(
            "  ref {}: {} -> {}",
            update.name,
            if update.damaged.is_some() {
                "damaged".to_owned()
            } else {
                value(update.old)
            },
            value(update.new)
        ))?;
    }
    for (kind, tally) in plan.by_type() {
        let size = format_size(tally.bytes);
        ui.line(format_args!("  add {} {kind} objects, {size}", tally.objects))?;
    }
    for delta in &outcome.deltas {
        ui.line(format_args!("  make static delta {delta}"))?;
    }
    for file in &plan.files {
        ui.line(format_args!("  add {}, {}", file.path, format_size(file.size)))?;
    }
    for update in &plan.detached {
        let how = if update.old.is_some() { "change" } else { "add" };
        ui.line(format_args!("  {how} detached metadata of {}", update.commit))?;
    }
    for commit in &plan.healed {
        ui.line(format_args!("  no longer partial: commit {commit}"))?;
    }
    if plan.summary != SummaryPlan::Keep {
        ui.line(format_args!("  summary: {}", summary_word(&plan.summary)))?;
    }
    for commit in &plan.retirement.retired {
        ui.line(format_args!("  retire commit {commit}"))?;
    }
    for commit in &plan.retirement.revived {
        ui.line(format_args!("  revive commit {commit}"))?;
    }
    Ok(())
}

fn value(commit: Option<Checksum>) -> String {
    commit.map_or_else(|| "none".to_owned(), |commit| commit.to_string())
}
