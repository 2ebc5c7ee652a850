//! Removing what nothing needs.
//!
//! What is reachable is found out first, and without any lock: others go on adding objects and moving refs meanwhile. Then the
//! exclusive lock is taken, what has changed since is looked at (see `survey`), and what nothing needs is removed. Where
//! nothing is to be removed the lock is not taken at all. Nothing is removed unless every object that has to stay could be
//! told; a tree that is missing from a commit not marked as partial ends the prune before it began. If somebody removes
//! things while the first look is taken, or it fails for another reason, all of it is done under the lock.
//!
//! Order of effects, and what a crash between them leaves:
//! 0. With a grace (see `grace`): commits that are to go are noted as retired, as one flip.
//! 1. `core.tombstone-commits` is set, where a commit is deleted by name: only that.
//! 2. Static deltas to commits that go, each superblock first: clients fetch the objects instead.
//! 3. Commits, of each its tombstone, its detached metadata, itself: trees and content that nothing names.
//! 4. The directories of the commits are synced, where one was deleted by name, and where the file system may bring
//!    later removals to disk before earlier ones; then go the marks that those were partial.
//! 5. Dirtrees and dirmetas, then content: less of the same.
//! 6. With a grace: commits that went are taken off the list.
//! 7. The lock is let go. Cached summaries of remotes that are no more, and what the dead left in `tmp/`, go.
//!
//! So at every instant a commit that is there is as whole as it was, and pruning again does the rest: a reader who takes no
//! lock and holds a commit that goes finds it gone first, and then of its objects fewer and fewer. Stock removes
//! objects in the order of a hash table, and the mark of a partial commit before the commit.
//!
//! What is on the list of objects that stock goes by (see [`Repo::for_each_object`]) can go, and nothing else:
//! files of other programs, tombstones and the parts of bare-split-xattrs stay.

mod deltas;
mod grace;
mod inventory;
mod leftovers;
mod lists;
mod mark;
mod pins;
mod roots;
mod seen;
mod shares;
mod survey;
mod sweep;

pub use grace::{Grace, GraceReport};
pub use pins::refs_of_record;
pub use shares::{Loss, PruneDetails, RefLoss};
pub use sweep::Tally;

use crate::error::{RepoError, Result};
use crate::flip::FlipLease;
use crate::lock::{LockGuard, LockKind};
use crate::refs::RefKey;
use crate::repo::Repo;
use crate::retired::Retired;
use crate::staging::clean_tmp;
use inventory::Inventory;
use ostler_format::{Checksum, ObjectName, ObjectType};
use seen::Clock;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use survey::Survey;

/// What to remove.
#[derive(Debug, Clone)]
pub struct PruneOptions {
    /// Which commits stay.
    pub retention: Retention,
    /// Commits that stay whether refs lead to them or not, without their histories.
    pub listed: BTreeSet<Checksum>,
    /// Remove this first.
    pub delete: Option<Deletion>,
    /// Remove commits only; what they alone needed stays until a prune without this.
    pub commits_only: bool,
    /// Remove nothing, only tell what would be.
    pub dry_run: bool,
    /// Tell which refs would lose what, if nothing is removed.
    pub details: bool,
    /// Retire commits before they go, and leave alone what has come or changed lately.
    pub grace: Option<Grace>,
    /// How many threads list, read and remove.
    pub threads: usize,
}

/// Which commits stay, with all that they need.
#[derive(Debug, Clone)]
pub enum Retention {
    /// All commits that are there.
    Commits {
        /// How many parents of each are followed into a parent repository.
        depth: Depth,
    },
    /// Those that refs lead to.
    Refs(RefRetention),
    /// Those that refs lead to, less what another repository has dropped.
    Matching(Matching),
}

/// Going by another repository, to which this one is published. Of each ref stay the commits that the other has, and those
/// that are newer than the first of them: they were not published yet. Of a ref of which the other has no commit, all stay.
#[derive(Debug, Clone, Default)]
pub struct Matching {
    /// The commits that the other repository has.
    pub held: BTreeSet<Checksum>,
    /// Refs that count as gone.
    pub without: BTreeSet<RefKey>,
}

/// How much of a history: a commit with so many parents, or with all of them, which is most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// So many parents.
    Parents(u64),
    /// All.
    #[default]
    All,
}

/// How much of the history of each ref stays.
#[derive(Debug, Clone, Default)]
pub struct RefRetention {
    /// How many parents of the commit of a ref. `None` is all of its history: with a grace, up to where it was cut before.
    pub depth: Option<Depth>,
    /// In place of a depth: commits of this time (seconds since the epoch) or later, up to the first one that is
    /// earlier. The commit that a ref names stays however old.
    pub younger_than: Option<u64>,
    /// Depths of single refs, by name as listed (`ref`, `remote:ref`): these come before all else.
    pub branches: BTreeMap<String, Depth>,
    /// Where there are any: of all other refs the whole history stays, as without a depth.
    pub only: BTreeSet<String>,
}

/// Something to remove by name.
#[derive(Debug, Clone)]
pub enum Deletion {
    /// A commit, which must have no ref. A tombstone says that it was deleted.
    Commit(Checksum),
    /// The static deltas that lead to a commit.
    Deltas(Checksum),
}

/// What was removed, or would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PruneStats {
    /// How many objects were there, without a commit that was deleted by name.
    pub objects: u64,
    /// How many of them nothing needs.
    pub removed: u64,
    /// The bytes of their files.
    pub freed_bytes: u64,
}

/// What a prune did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneReport {
    /// In numbers.
    pub stats: PruneStats,
    /// For how long everybody else was kept out; `None` if nobody was.
    pub alone: Option<Duration>,
    /// What waits, where there is a grace.
    pub grace: Option<GraceReport>,
    /// Who would lose what, if asked for.
    pub details: Option<PruneDetails>,
}

impl Default for PruneOptions {
    fn default() -> Self {
        Self {
            retention: Retention::Commits { depth: Depth::All },
            listed: BTreeSet::new(),
            delete: None,
            commits_only: false,
            dry_run: false,
            details: false,
            grace: None,
            threads: 2,
        }
    }
}

impl PruneOptions {
    /// Returns the commit that is to be deleted by name.
    fn deleted_commit(&self) -> Option<&Checksum> {
        match &self.delete {
            Some(Deletion::Commit(commit)) => Some(commit),
            _ => None,
        }
    }
}

/// Removes what nothing needs; see the module for what happens when.
///
/// # Errors
/// [`RepoError::Refused`] for a commit to delete that has a ref or is listed, [`RepoError::Hole`] for a commit that is not whole and not
/// marked as partial, [`RepoError::NotFound`] for one to delete that is not there, [`RepoError::Corrupt`] and
/// [`RepoError::Invalid`] for refs that cannot be read: nothing is removed then. [`RepoError::Locked`],
/// [`RepoError::ReadOnly`], [`RepoError::Io`].
pub fn prune(repo: &Repo, options: &PruneOptions) -> Result<PruneReport> {
    if options.dry_run {
        return look(repo, options);
    }
    repo.require_writable()?;
    let early = Survey::take_early(repo, options).ok();
    let report = match early {
        Some(survey) if survey.idle => report(survey, Tally::default(), options),
        early => prune_alone(repo, options, early)?,
    };
    leftovers::remove_cached_summaries(repo)?;
    clean_tmp(repo)?;
    Ok(report)
}

/// Returns whether ostler publishes to a repository, so that clients may be in the middle of fetching what is removed.
///
/// # Errors
/// [`RepoError::Io`].
pub fn is_published_to(repo: &Repo) -> Result<bool> {
    for path in [Retired::PATH, "extensions/ostler/generations/latest"] {
        let found = repo.root().stat(path);
        if found
            .map_err(RepoError::io("look at", repo.root().path_of(path)))?
            .is_some()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Tells what would be removed.
fn look(repo: &Repo, options: &PruneOptions) -> Result<PruneReport> {
    // Who may not write cannot lock either, and is told what is there at this moment.
    let lock = repo
        .is_writable()
        .then(|| repo.lock(LockKind::Shared))
        .transpose()?;
    let mut survey = Survey::take(repo, options, Clock::unknown())?;
    let tally = sweep::measure(repo, &survey.inventory, options)?;
    let details = options
        .details
        .then(|| shares::details(repo, &survey.inventory, &mut survey.facts, options.threads))
        .transpose()?;
    lock.map_or(Ok(()), LockGuard::release)?;
    Ok(PruneReport {
        details,
        ..report(survey, tally, options)
    })
}

/// What keeps everybody else out.
enum Alone<'r> {
    Lock(LockGuard<'r>),
    /// Who changes what a flip changes needs to be alone with that as well.
    Lease(FlipLease<'r>),
}

impl<'r> Alone<'r> {
    fn take(repo: &'r Repo, options: &PruneOptions) -> Result<Self> {
        Ok(match options.grace {
            None => Self::Lock(repo.lock(LockKind::Exclusive)?),
            Some(_) => Self::Lease(repo.lease_flip()?),
        })
    }

    fn release(self) -> Result<()> {
        match self {
            Self::Lock(lock) => lock.release(),
            Self::Lease(lease) => {
                drop(lease);
                Ok(())
            }
        }
    }
}

/// Removes what nothing needs, while nobody else works in the repository.
fn prune_alone(repo: &Repo, options: &PruneOptions, early: Option<Survey>) -> Result<PruneReport> {
    let alone = Alone::take(repo, options)?;
    let since = Instant::now();
    // What a flip that was cut short is yet to name must not go.
    repo.recover_flip()?;
    if let Some(commit) = options.deleted_commit() {
        check_deletion(repo, commit, options)?;
    }
    let mut survey = match early {
        Some(mut survey) => {
            survey.bring_up_to_date(repo, options)?;
            survey
        }
        None => Survey::take(repo, options, Clock::unknown())?,
    };
    if let Some(waiting) = &mut survey.waiting {
        waiting.write(repo)?;
    }
    let tally = remove(repo, &survey, options)?;
    if let Some(waiting) = &mut survey.waiting {
        waiting.forget(&survey.inventory);
        waiting.write(repo)?;
    }
    alone.release()?;
    let alone = since.elapsed();
    survey.record_lists(repo, false);
    Ok(PruneReport {
        alone: Some(alone),
        ..report(survey, tally, options)
    })
}

fn report(survey: Survey, tally: Tally, options: &PruneOptions) -> PruneReport {
    PruneReport {
        stats: stats(&survey.inventory, tally, options),
        grace: survey.waiting.map(|waiting| waiting.report),
        ..PruneReport::default()
    }
}

fn stats(inventory: &Inventory, tally: Tally, options: &PruneOptions) -> PruneStats {
    let deleted = options
        .deleted_commit()
        .is_some_and(|commit| inventory.holds(&ObjectName::new(*commit, ObjectType::Commit)));
    PruneStats {
        objects: (inventory.len() as u64).saturating_sub(u64::from(deleted)),
        removed: tally.objects,
        freed_bytes: tally.bytes,
    }
}

/// Refuses to delete a commit that a ref names or that is to stay, or that is not there.
fn check_deletion(repo: &Repo, commit: &Checksum, options: &PruneOptions) -> Result<()> {
    if options.listed.contains(commit) {
        let detail = format!("Commit '{commit}' is on a list of commits that stay");
        return Err(RepoError::Refused { detail });
    }
    if let Some(name) = roots::refs_to(repo, commit)?.first() {
        let detail = format!("Commit '{commit}' is referenced by {name}");
        return Err(RepoError::Refused { detail });
    }
    let object = ObjectName::new(*commit, ObjectType::Commit);
    // With a tombstone it was deleted before, by a run that may not have come to its end.
    if repo.has_own_object(&object)? || repo.has_tombstone(commit)? {
        return Ok(());
    }
    Err(RepoError::not_found(format!("object {object}")))
}

fn remove(repo: &Repo, survey: &Survey, options: &PruneOptions) -> Result<Tally> {
    let deleted = options.deleted_commit();
    let tombstones = repo.config().tombstone_commits() || deleted.is_some();
    if deleted.is_some() && !repo.config().tombstone_commits() {
        repo.edit_config(|config| {
            config
                .set("core", "tombstone-commits", "true")
                .map_err(RepoError::format("config"))
        })?;
    }
    if let Some(Deletion::Deltas(commit)) = &options.delete {
        deltas::remove(repo, |target| Ok(target == commit))?;
    }
    deltas::remove(repo, |target| is_going(repo, &survey.inventory, target))?;
    sweep::sweep(repo, &survey.inventory, tombstones, survey.measured, options)
}

/// Returns whether a commit is being removed, or is not there.
fn is_going(repo: &Repo, inventory: &Inventory, commit: &Checksum) -> Result<bool> {
    let name = ObjectName::new(*commit, ObjectType::Commit);
    if inventory.is_marked(&name) {
        return Ok(false);
    }
    let inherited = repo
        .parent()
        .map_or(Ok(false), |parent| parent.has_object(&name))?;
    // One that came after the listing stays.
    let new = !inventory.holds(&name) && repo.has_own_object(&name)?;
    Ok(!inherited && !new)
}
