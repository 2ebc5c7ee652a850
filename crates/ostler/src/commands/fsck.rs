//! `fsck`: reads all that refs and commits lead to, and says what is damaged.

use crate::context::Context;
use crate::program::Program;
use crate::ui::{Progress, Ui};
use ostler_format::{Checksum, ObjectName};
use ostler_repo::fsck::{Damage, FsckFinding, FsckOptions, FsckPhase, FsckReport, FsckReporter, fsck};
use serde::Serialize;
use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::num::NonZero;
use std::thread;

/// The arguments of `fsck`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[command(after_help = "\
Examples:
  ostler --repo=/srv/repo fsck
  ostler --repo=/srv/repo fsck --quiet --all
  ostler --repo=/srv/repo fsck --quick
  ostler --repo=/srv/repo fsck --delete   # then fetch the damaged commits again")]
pub(crate) struct Args {
    /// Write tombstones for the missing parents of commits
    #[arg(long)]
    add_tombstones: bool,
    /// Print no steps, only what is wrong and the result
    #[arg(short, long)]
    quiet: bool,
    /// Go on after the first damage
    #[arg(short, long)]
    all: bool,
    /// Delete damaged objects, so that they can be fetched again
    #[arg(long)]
    delete: bool,
    /// Do not hash content: look whether it is there, at its header, and at its size where that was recorded
    #[arg(long)]
    quick: bool,
    /// Check that commits are bound to the refs that name them
    #[arg(long)]
    verify_bindings: bool,
    /// Check that the refs that commits are bound to name them (implies --verify-bindings)
    #[arg(long)]
    verify_back_refs: bool,
}

/// The last line as JSON.
#[derive(Serialize)]
struct Record {
    commits: u64,
    objects: u64,
    partial_commits: usize,
    damaged_commits: usize,
    findings: Vec<String>,
    damage: Vec<DamageRecord>,
}

/// A damaged object as JSON.
#[derive(Serialize)]
struct DamageRecord {
    object: String,
    missing: bool,
    commits: Vec<String>,
    refs: Vec<String>,
    paths: Vec<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let repo = context.open()?;
    let options = FsckOptions {
        all: args.all,
        delete: args.delete,
        add_tombstones: args.add_tombstones,
        verify_bindings: args.verify_bindings,
        verify_back_refs: args.verify_back_refs,
        quick: args.quick,
        threads: thread::available_parallelism().map_or(1, NonZero::get),
    };
    let stock = context.program() == Program::Ostree;
    let reporter = Reporter {
        ui: context.ui(),
        options: &options,
        quiet: args.quiet,
        stock,
        lines: stock && !context.ui().prints_to_terminal(),
        last: Cell::new(None),
        progress: RefCell::new(None),
        failed: RefCell::new(None),
    };
    let report = fsck(&repo, &options, &reporter)?;
    drop(reporter.progress.take());
    if let Some(error) = reporter.failed.take() {
        return Err(error);
    }
    conclude(context.ui(), stock, &options, &report)
}

fn damage_record(finding: &FsckFinding) -> Option<DamageRecord> {
    let FsckFinding::Object {
        object,
        damage,
        commits,
        refs,
        places,
        ..
    } = finding
    else {
        return None;
    };
    Some(DamageRecord {
        object: object.to_string(),
        missing: *damage == Damage::Missing,
        commits: commits.iter().map(ToString::to_string).collect(),
        refs: refs.iter().cloned().collect(),
        paths: places.iter().cloned().collect(),
    })
}

/// Damage, with what is worth knowing about it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Damaged {
    message: String,
    /// Which refs need what is damaged, and where; and what to do.
    pub(crate) hints: Vec<String>,
}

impl Damaged {
    /// Returns the error that there is damage, with what is worth knowing about it.
    pub(crate) const fn new(message: String, hints: Vec<String>) -> Self {
        Self { message, hints }
    }
}

/// Returns the error of a check that found damage. Scripts written for stock hear no more than its words.
fn damaged(message: String, stock: bool, report: &FsckReport) -> anyhow::Error {
    let mut hints = Vec::new();
    if !stock {
        let records = report.findings.iter().filter_map(damage_record);
        hints.extend(records.filter_map(|record| who_needs_it(&record)));
        let broken = report.findings.iter().filter_map(broken_ref);
        hints.extend(broken.map(|name| {
            format!("'refs --delete {name}' removes the damaged ref, 'reset {name} COMMIT' sets it anew")
        }));
        let is_binding = |finding: &FsckFinding| matches!(finding, FsckFinding::Binding { .. });
        // A copy of a commit is bound as wrongly as the commit; what a damaged ref named no copy tells.
        let beyond = |finding: &FsckFinding| is_binding(finding) || broken_ref(finding).is_some();
        if report.findings.is_empty() || !report.findings.iter().all(beyond) {
            let way = "'repair --from=REPO' takes what is missing or damaged from a repository that has it";
            hints.push(way.to_owned());
        }
    }
    Damaged { message, hints }.into()
}

/// Returns the name of a ref that names no commit; of one that names a commit which is missing, nothing.
fn broken_ref(finding: &FsckFinding) -> Option<&str> {
    match finding {
        FsckFinding::Ref { reference, detail } if !detail.starts_with("No such metadata object") => {
            Some(reference)
        }
        _ => None,
    }
}

/// Tells which refs need a damaged object, and where.
fn who_needs_it(record: &DamageRecord) -> Option<String> {
    if record.refs.is_empty() {
        return None;
    }
    let place = match record.paths.as_slice() {
        [] => String::new(),
        paths => format!(" at {}", paths.join(", ")),
    };
    Some(format!(
        "{} is needed by {}{place}",
        record.object,
        record.refs.join(", ")
    ))
}

/// Returns the line for a finding. Scripts written for stock look for the ends of its lines.
fn words(finding: &FsckFinding, stock: bool) -> String {
    if stock {
        finding.in_stock_words()
    } else {
        finding.to_string()
    }
}

fn conclude(ui: &Ui, stock: bool, options: &FsckOptions, report: &FsckReport) -> anyhow::Result<()> {
    if ui.json() {
        ui.object(&Record {
            commits: report.commits,
            objects: report.objects,
            partial_commits: report.partial.len(),
            damaged_commits: report.partial_by_fsck.len(),
            findings: report.findings.iter().map(ToString::to_string).collect(),
            damage: report.findings.iter().filter_map(damage_record).collect(),
        })?;
    }
    if let Some(finding) = report.findings.last().filter(|finding| finding.ends(options)) {
        return Err(damaged(words(finding, stock), stock, report));
    }
    if !report.findings.is_empty() {
        return Err(damaged(
            "Repository corruption encountered".to_owned(),
            stock,
            report,
        ));
    }
    if !report.partial.is_empty() {
        ui.heading(format_args!(
            "{} partial commits not verified",
            report.partial.len()
        ))?;
    }
    if !report.is_sound() {
        let message = format!(
            "{} partial commits from fsck-detected corruption",
            report.partial_by_fsck.len()
        );
        return Err(damaged(message, stock, report));
    }
    let commits = report.commits;
    let unread = if options.quick {
        " Content was not read."
    } else {
        ""
    };
    ui.heading(format_args!(
        "object fsck of {commits} commits completed successfully - no errors found.{unread}"
    ))
}

/// Passes on what the check says while it runs.
struct Reporter<'a> {
    ui: &'a Ui,
    options: &'a FsckOptions,
    quiet: bool,
    stock: bool,
    /// Whether the beginning and the end of the objects are lines of data, as stock has it where nobody watches.
    lines: bool,
    /// How many objects the last line named.
    last: Cell<Option<u64>>,
    progress: RefCell<Option<Progress>>,
    /// The first failure to print.
    failed: RefCell<Option<anyhow::Error>>,
}

impl Reporter<'_> {
    fn heading(&self, text: impl Display) {
        if let Err(error) = self.ui.heading(text) {
            self.failed.borrow_mut().get_or_insert(error);
        }
    }
}

impl FsckReporter for Reporter<'_> {
    fn phase(&self, phase: FsckPhase) {
        if !self.quiet {
            self.heading(phase);
        }
        if matches!(phase, FsckPhase::Content { .. }) {
            *self.progress.borrow_mut() = Some(self.ui.progress("fsck objects"));
        }
    }

    fn progress(&self, done: u64, total: u64) {
        if let Some(progress) = &*self.progress.borrow() {
            progress.update(done, total);
        }
        let last = self.last.get();
        if self.lines && total > 0 && (last.is_none() || done == total && last != Some(total)) {
            self.last.set(Some(done));
            let percent = done.saturating_mul(100) / total;
            self.heading(format_args!("fsck objects ({done}/{total}) {percent}%"));
        }
    }

    fn finding(&self, finding: &FsckFinding) {
        // One that ends the check is the error of the command.
        if !finding.ends(self.options) {
            self.ui.note(&words(finding, self.stock));
        }
    }

    fn marked_partial(&self, commit: &Checksum) {
        self.ui.note(&format!("Marking commit as partial: {commit}"));
    }

    fn deleted(&self, object: &ObjectName) {
        if !self.stock {
            self.ui.note(&format!("Deleted {object}"));
        }
    }

    fn added_tombstone(&self, commit: &Checksum) {
        self.ui.note(&format!("Added tombstone for commit {commit}"));
    }
}
