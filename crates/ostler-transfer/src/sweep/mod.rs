//! Sweep: removes from a target what was retired for the time of grace, and what nothing else needs of it.
//!
//! What stays is everything that nobody retired: live commits, retired ones in their grace, commits without a ref that
//! another tool put there, and all that any of these need. Objects that no commit ever needed are not looked at.
//!
//! Order of effects, and what a crash between them leaves:
//! 1. *nothing locked*: what has expired is read from the list, what it needs is collected as far as it differs from a commit
//!    beside it that stays; and unless that is commits alone, what stays is followed through all its trees, each read
//!    once: nothing has changed.
//! 2. *target lease*: refs, list and commits are read again; what came since is followed as well, trees among it that
//!    commits which are marked as incomplete lacked before.
//! 3. The record `extensions/ostler/sweeping` says what will go, with it come tombstones where the target has those.
//! 4. Static deltas go: indexes, then superblocks, then parts. Clients fetch the objects instead.
//! 5. Commits go, each with its detached metadata; then dirtrees and dirmetas; then content; then other files. Each kind
//!    is gone on the disk before the next: a crash leaves garbage, never a hole.
//! 6. In one flip what is gone leaves the list, with its marks and lists of objects, and the record goes.
//!
//! After a crash the next sweep takes what the record says for candidates again, looks again whether something needs it,
//! and does the rest.

mod dropped;
mod due;
mod files;
mod reach;
mod record;
mod remove;

pub use due::is_due;

use crate::error::{Result, TransferError};
use crate::live::Rules;
use crate::report::Reporter;
use crate::retention::Retention;
use crate::store::Store;
use due::Due;
use ostler_format::{Checksum, ObjectName, ObjectType};
use reach::Candidates;
use std::collections::HashSet;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};

/// How a sweep is carried out.
#[derive(Clone, Copy)]
#[expect(
    missing_debug_implementations,
    reason = "the reporter is a trait object without one"
)]
pub struct SweepOptions<'a> {
    /// Rules for what is live. Those of a single run ([`Retention::others`]) say nothing here: where they cut history is on the list.
    pub retention: &'a Retention,
    /// The time of the run: seconds since the epoch, UTC.
    pub now: u64,
    /// How many seconds what is retired stays.
    pub grace: u64,
    /// Change nothing, only tell what would go.
    pub dry_run: bool,
    /// How many threads read trees.
    pub threads: NonZero<usize>,
    /// Set when the user wants the run to stop.
    pub interrupted: &'a AtomicBool,
    /// Hears what is worth knowing.
    pub reporter: &'a dyn Reporter,
}

/// What a sweep removed, or would remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Commits.
    pub commits: Vec<Checksum>,
    /// Objects, the commits among them, detached metadata as well.
    pub objects: u64,
    /// Files beside the objects.
    pub files: Vec<String>,
    /// Bytes of all of it.
    pub bytes: u64,
    /// Commits that were retired and are live again.
    pub revived: Vec<Checksum>,
    /// How many commits and files are retired and still in their grace.
    pub waiting: u64,
    /// When the grace of the first of these is over.
    pub next: Option<u64>,
}

/// Removes what has expired.
///
/// # Errors
/// [`TransferError::Hole`] if a commit that stays is not whole, so that nobody can tell what it needs: nothing is removed
/// then. [`TransferError::Interrupted`]; any failure of the store. Whatever happens, running again does the rest.
pub fn sweep(store: &dyn Store, options: &SweepOptions<'_>) -> Result<Swept> {
    Sweep { store, options }.run()
}

struct Sweep<'a> {
    store: &'a dyn Store,
    options: &'a SweepOptions<'a>,
}

/// What was found out without the lease.
struct Prepared {
    due: Due,
    candidates: Candidates,
}

impl Sweep<'_> {
    fn run(&self) -> Result<Swept> {
        let due = Due::find(self.store, &self.rules(), self.options)?;
        if !due.is_any() {
            return Ok(due.outcome());
        }
        let prepared = match self.prepare(due) {
            // Somebody may be removing things right now: looked at again when nobody can.
            Err(TransferError::Hole { .. }) if !self.options.dry_run => None,
            prepared => Some(prepared?),
        };
        if let (true, Some(prepared)) = (self.options.dry_run, &prepared) {
            return self.measure(prepared);
        }
        self.check_interrupt()?;
        let lease = self.store.lease()?;
        self.store.recover()?;
        let prepared = match prepared {
            Some(prepared) => self.look_again(prepared)?,
            None => self.prepare(Due::find(self.store, &self.rules(), self.options)?)?,
        };
        self.check_interrupt()?;
        let swept = self.remove(&prepared)?;
        drop(lease);
        Ok(swept)
    }

    fn rules(&self) -> Rules<'_> {
        Rules {
            retention: self.options.retention,
            publishing: None,
            now: self.options.now,
        }
    }

    /// Collects what those that have expired need, and marks what the others need of it.
    fn prepare(&self, due: Due) -> Result<Prepared> {
        let mut candidates = Candidates::of(self.store, &due, self.options.threads)?;
        candidates.keep(self.store, &due.staying().collect::<Vec<_>>(), &due.partial)?;
        self.check_interrupt()?;
        Ok(Prepared { due, candidates })
    }

    /// Brings what was found out up to date, when nobody else changes anything any more.
    fn look_again(&self, prepared: Prepared) -> Result<Prepared> {
        let Prepared { due, mut candidates } = prepared;
        let now = due.refresh(self.store, &self.rules(), self.options)?;
        let followed: HashSet<_> = due.staying().collect();
        let new: Vec<_> = now
            .staying()
            .filter(|commit| !followed.contains(commit) || candidates.has_lost(commit))
            .collect();
        let has_holes = candidates.keep_lost_trees(self.store)?;
        let claims_more = !due.partial.is_subset(&now.partial);
        if has_holes && (claims_more || !new.is_empty()) {
            // A commit that says now that it is whole may have one of the holes.
            return self.prepare(now);
        }
        candidates.keep(self.store, &new, &now.partial)?;
        Ok(Prepared { due: now, candidates })
    }

    fn measure(&self, prepared: &Prepared) -> Result<Swept> {
        let mut swept = prepared.due.outcome();
        let going = prepared.candidates.going();
        swept.commits = commits_of(&going);
        let detached = (swept.commits.iter()).map(|commit| ObjectName::new(*commit, ObjectType::CommitMeta));
        for name in going.iter().copied().chain(detached) {
            if let Some(size) = self.store.look(&name)? {
                swept.objects += 1;
                swept.bytes += size;
            }
        }
        let files = files::going(self.store, &prepared.due, &swept.commits)?;
        swept.files = files.into_paths();
        Ok(swept)
    }

    fn check_interrupt(&self) -> Result<()> {
        if self.options.interrupted.load(Ordering::Relaxed) {
            return Err(TransferError::Interrupted);
        }
        Ok(())
    }
}

fn commits_of(names: &[ObjectName]) -> Vec<Checksum> {
    let commits = names.iter().filter(|name| name.kind == ObjectType::Commit);
    commits.map(|name| name.checksum).collect()
}
