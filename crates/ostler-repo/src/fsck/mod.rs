//! Checking a repository: every ref, every commit, and every object that a commit needs, by reading it.
//!
//! Phases, as stock's: the commits of refs; the refs of collections; all commits, of which partial ones are
//! counted and left out; then what the others reach: trees while they are walked, each once, and content by
//! several threads. Objects that nothing reaches are not looked at, nor are summaries, signatures and deltas.
//!
//! The whole runs under the shared lock, so that no prune makes objects vanish that were seen to be needed.
//!
//! Effects, in this order: for each missing object its commits are marked partial (`f`), whatever the options;
//! with `delete`, the commits of each corrupt object are marked, and then, under the exclusive lock and after
//! another look, the object is deleted. A crash in between leaves a commit marked that need not be, never a
//! hole without a mark. With `add_tombstones`, missing parents get tombstones; unlike stock's, ours never
//! deletes the commit that has such a parent.

mod blame;
pub(crate) mod check;
pub(crate) mod gathered;
mod reach;
mod refs;
mod repair;
mod report;
mod sizes;

pub use report::{Damage, FsckFinding, FsckPhase, FsckReport, FsckReporter, Silent};

use crate::error::Result;
use crate::lock::LockKind;
use crate::repo::Repo;
use ostler_format::{Checksum, Commit, ObjectName};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// What to check and what to do about damage.
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of the command of its own"
)]
pub struct FsckOptions {
    /// Go on after the first corrupt object or wrong binding (`-a`).
    pub all: bool,
    /// Delete corrupt objects, and mark their commits partial.
    pub delete: bool,
    /// Write tombstones for missing parents of commits.
    pub add_tombstones: bool,
    /// Check that commits are bound to the refs and collections that name them.
    pub verify_bindings: bool,
    /// Check that the refs to which commits are bound name them; implies `verify_bindings`.
    pub verify_back_refs: bool,
    /// Do not hash content: look whether it is there, at its header, and at its size where that was recorded. All else is
    /// checked as ever.
    pub quick: bool,
    /// How many threads check objects.
    pub threads: usize,
}

impl Default for FsckOptions {
    fn default() -> Self {
        Self {
            all: false,
            delete: false,
            add_tombstones: false,
            verify_bindings: false,
            verify_back_refs: false,
            quick: false,
            threads: 2,
        }
    }
}

/// Checks a repository. Damage is what the report is for; an error is what kept the check from being made.
///
/// # Errors
/// [`RepoError::Locked`](crate::RepoError::Locked), [`RepoError::Io`](crate::RepoError::Io) for what cannot be read.
pub fn fsck(repo: &Repo, options: &FsckOptions, reporter: &dyn FsckReporter) -> Result<FsckReport> {
    let check = Check {
        repo,
        options,
        reporter,
        stop: AtomicBool::new(false),
    };
    let lock = repo.lock(LockKind::Shared)?;
    let mut report = FsckReport::default();
    let commits = check.run(&mut report)?;
    check.name_refs(&commits, &mut report);
    drop(lock);
    if options.delete {
        check.delete_corrupt(&mut report)?;
    }
    if options.add_tombstones {
        check.add_tombstones(&commits, &mut report)?;
    }
    Ok(report)
}

/// A running check.
struct Check<'a> {
    repo: &'a Repo,
    options: &'a FsckOptions,
    reporter: &'a dyn FsckReporter,
    /// Set where the first damage ends the check.
    stop: AtomicBool,
}

/// The commits that could be read.
type Commits = BTreeMap<Checksum, Commit>;

impl Check<'_> {
    fn run(&self, report: &mut FsckReport) -> Result<Commits> {
        self.reporter.phase(FsckPhase::Refs);
        let mut seen = self.check_refs(report)?;
        if self.is_over() {
            return Ok(Commits::new());
        }
        self.reporter.phase(FsckPhase::CollectionRefs);
        self.check_collection_refs(&mut seen, report)?;
        if self.is_over() {
            return Ok(Commits::new());
        }
        self.reporter.phase(FsckPhase::Commits);
        let commits = self.read_commits(seen, report)?;
        if self.is_over() {
            return Ok(commits);
        }
        let whole: Vec<(Checksum, &Commit)> = commits
            .iter()
            .filter(|(checksum, _)| !report.partial.contains(checksum))
            .map(|(checksum, commit)| (*checksum, commit))
            .collect();
        report.commits = whole.len() as u64;
        self.reporter.phase(FsckPhase::Content {
            commits: report.commits,
        });
        let damaged = self.check_reachable(&whole, report)?;
        self.blame(damaged, &whole, report)?;
        Ok(commits)
    }

    /// Notes damage that ends the check unless all is to be found.
    fn found(&self, finding: FsckFinding, report: &mut FsckReport) {
        self.reporter.finding(&finding);
        if finding.ends(self.options) {
            self.stop.store(true, Ordering::Relaxed);
        }
        report.findings.push(finding);
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Objects that are damaged, each once.
type Damaged = BTreeMap<ObjectName, Damage>;
