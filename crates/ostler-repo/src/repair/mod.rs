//! Bringing back what is missing or damaged, from repositories that have it.
//!
//! All that refs and commits need is read, as a check does; what is not there or not sound is taken from the first source
//! that has it sound. What it names is looked at then as well, so that of a tree that was missing all comes back
//! that is missing with it. Commits whose objects are missing on purpose (an interrupted pull, one of a subdirectory or of
//! commits alone) are left as they are; only the mark goes if they turn out to be whole.
//!
//! Order of effects:
//! 1. What dead processes left in `tmp/` goes.
//! 2. Objects are staged, hashed on the way; no reader sees them. A run that is cut short leaves them for the next one.
//! 3. They are synced and put into place, children before what names them; a damaged object is replaced in one step.
//! 4. Commits that lack something in spite of it are marked so, as by a check, and where anything is lost for good also those
//!    with a tree that cannot be read: it may be theirs.
//! 5. The marks of commits that are whole go.
//! 6. Refs that named no commit are set to what a source has under their names, each when its commit is whole
//!    (`repair/refs.rs`).
//!
//! A reader finds every object either as it was or sound. The shared lock is held all the time, against removal.

pub(crate) mod marks;
mod mend;
mod refs;

pub use refs::RestoredRef;

use crate::error::{RepoError, Result};
use crate::fsck::Damage;
use crate::lock::LockKind;
use crate::refs::RefKey;
use crate::repo::Repo;
use crate::staging::clean_tmp;
use mend::Mender;
use ostler_format::{Checksum, ObjectName};
use std::collections::{BTreeMap, BTreeSet};

/// How to repair.
#[derive(Debug, Clone, Copy)]
pub struct RepairOptions {
    /// Change nothing, only tell what would be done.
    pub dry_run: bool,
    /// Look at content as a quick check does: see [`FsckOptions::quick`](crate::FsckOptions::quick).
    pub quick: bool,
    /// How many threads read.
    pub threads: usize,
}

/// What was done, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// How many objects were looked at.
    pub objects: u64,
    /// What was brought back, each with what was wrong and the position of the source that it came from.
    pub mended: BTreeMap<ObjectName, (Damage, usize)>,
    /// What no source has sound, with what is wrong with it.
    pub lost: BTreeMap<ObjectName, Loss>,
    /// Commits whose marks went: they are whole.
    pub completed: BTreeSet<Checksum>,
    /// Commits that are not whole, on purpose, and were left so.
    pub incomplete: BTreeSet<Checksum>,
    /// Refs that named no commit, and were set to what a source has.
    pub restored_refs: BTreeMap<String, RestoredRef>,
    /// Refs that name no commit, with what is wrong with them: no source has them, or not all that their commits need.
    pub lost_refs: BTreeMap<String, String>,
    /// What dead processes had left in `tmp/`.
    pub strays: Vec<String>,
}

impl RepairReport {
    /// Returns the commits that need something which is lost.
    fn broken_commits(&self) -> BTreeSet<Checksum> {
        let commits = self.lost.values().flat_map(|loss| &loss.commits);
        commits.copied().collect()
    }
}

/// An object that stays damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// What is wrong with it.
    pub damage: Damage,
    /// The positions of the sources that have it, but damaged.
    pub damaged_at: BTreeSet<usize>,
    /// The commits that need it.
    pub commits: BTreeSet<Checksum>,
    /// The refs that lead to one of those.
    pub refs: BTreeSet<String>,
}

/// Brings back what is missing or damaged; see the module for what happens when.
///
/// # Errors
/// [`RepoError::Invalid`] for a source that is the repository itself; [`RepoError::Locked`], [`RepoError::ReadOnly`],
/// [`RepoError::NoSpace`], [`RepoError::Io`]: nothing was put into place that is not sound.
pub fn repair(repo: &Repo, sources: &[Repo], options: &RepairOptions) -> Result<RepairReport> {
    if !options.dry_run {
        repo.require_writable()?;
    }
    for source in sources {
        refuse_itself(repo, source)?;
    }
    let mut report = RepairReport::default();
    if !options.dry_run {
        report.strays = remove_strays(repo)?;
    }
    let lock = repo.lock(LockKind::Shared)?;
    let survey = repo.survey_all_refs()?;
    let found_refs = refs::find(&survey, sources)?;
    let from_sources = found_refs.iter().map(|(name, found)| (name, &found.commit));
    let refs: Vec<(RefKey, Checksum)> = (survey.refs.iter().chain(from_sources))
        .map(|(name, commit)| (name.clone(), *commit))
        .collect();
    let transaction = (!options.dry_run).then(|| repo.begin()).transpose()?;
    let mender = Mender::new(repo, sources, transaction.as_ref(), *options);
    let commits = mender.commits(&refs, &mut report)?;
    let partial = marks::partial_commits(repo, &commits)?;
    let whole = || {
        commits
            .iter()
            .filter(|(commit, _)| !partial.incomplete.contains(*commit))
    };
    mender.mend(whole().map(|(_, commit)| commit), &mut report)?;
    let found = mender.finish();
    report.mended = found.mended;
    let lost = found.lost;
    if let Some(transaction) = transaction {
        transaction.commit()?;
    }
    marks::blame(repo, &commits, &refs, lost, &mut report)?;
    marks::settle(repo, &partial, options, &mut report)?;
    refs::restore(repo, survey, found_refs, options, &mut report)?;
    lock.release()?;
    Ok(report)
}

/// Refuses to take from a repository what is to be brought there.
fn refuse_itself(repo: &Repo, source: &Repo) -> Result<()> {
    let same = repo.objects().is_same(source.objects());
    if same.map_err(RepoError::io("compare with the source", repo.objects().path()))? {
        let detail = "it is the repository that is to be repaired";
        return Err(RepoError::invalid(
            format!("source {}", source.path().display()),
            detail,
        ));
    }
    Ok(())
}

/// Removes what dead processes left, and returns what that was.
fn remove_strays(repo: &Repo) -> Result<Vec<String>> {
    let names = || -> Result<BTreeSet<String>> {
        let tmp = repo.tmp()?;
        let entries = tmp.entries().map_err(RepoError::io("list", tmp.path()))?;
        Ok(entries
            .into_iter()
            .map(|entry| entry.name.to_string_lossy().into_owned())
            .collect())
    };
    let before = names()?;
    clean_tmp(repo)?;
    let after = names()?;
    Ok(before.difference(&after).cloned().collect())
}
