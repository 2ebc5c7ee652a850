//! What has expired at a target, and what stays.

use super::record::{self, Record};
use super::{SweepOptions, Swept};
use crate::error::Result;
use crate::inventory::partial_commits;
use crate::live::{Chains, Live, Root, Rules};
use crate::refs;
use crate::report::{Reporter, Silent};
use crate::store::Store;
use ostler_format::Checksum;
use ostler_repo::Retired;
use std::collections::{BTreeSet, HashSet};

/// The largest file with a time that is read, in bytes.
const COMPLETED_LIMIT: u64 = 64;

/// The state of a target as far as it matters for a sweep.
pub(super) struct Due {
    roots: Vec<Root>,
    pub(super) list: Retired,
    live: HashSet<Checksum>,
    /// The commits that are there.
    pub(super) commits: HashSet<Checksum>,
    /// Those of them that are marked as incomplete.
    pub(super) partial: BTreeSet<Checksum>,
    /// Commits that are there, have expired and are not live.
    pub(super) expired: BTreeSet<Checksum>,
    /// Entries whose grace is over.
    over: Retired,
    /// What a sweep that was cut short was about to remove.
    pub(super) left: Option<Record>,
    grace: u64,
}

/// Returns whether a sweep has something to do, which costs next to nothing.
///
/// # Errors
/// Any failure of the store.
pub fn is_due(store: &dyn Store, now: u64, grace: u64) -> Result<bool> {
    let beside = store.list(record::HOLDER)?;
    let has = |path: &str| {
        let name = path.rsplit('/').next();
        beside.iter().any(|entry| Some(entry.name.as_str()) == name)
    };
    if has(record::PATH) {
        return Ok(true);
    }
    if !has(Retired::PATH) {
        return Ok(false);
    }
    // One that is damaged is reported by whoever changes it.
    Ok(!retired(store, &Silent)?.expired(now, grace).is_empty())
}

/// Reads the list of what is retired.
fn retired(store: &dyn Store, reporter: &dyn Reporter) -> Result<Retired> {
    let bytes = store.get(Retired::PATH, Retired::LIMIT)?;
    let mut list = Retired::read(bytes.as_deref(), |error| {
        reporter.note(&format!("{error}; nothing that was on it is swept"));
    });
    list.count_from(store.get(Retired::COMPLETED, COMPLETED_LIMIT)?.as_deref());
    Ok(list)
}

impl Due {
    /// Reads a target.
    pub(super) fn find(store: &dyn Store, rules: &Rules<'_>, options: &SweepOptions<'_>) -> Result<Self> {
        let mut due = Self::read(store, rules, options, options.reporter)?;
        due.live = Live::of(
            &due.roots,
            &mut Chains::new(store, None, HashSet::new()),
            &due.list,
            rules.now,
        )?
        .commits;
        due.find_expired();
        Ok(due)
    }

    /// Reads it again, when it does not change any more. Only what can have changed is followed.
    pub(super) fn refresh(
        &self,
        store: &dyn Store,
        rules: &Rules<'_>,
        options: &SweepOptions<'_>,
    ) -> Result<Self> {
        let mut now = Self::read(store, rules, options, &Silent)?;
        let same = now.roots == self.roots && now.list == self.list && now.commits.is_subset(&self.commits);
        now.live = if same {
            self.live.clone()
        } else {
            Live::of(
                &now.roots,
                &mut Chains::new(store, None, HashSet::new()),
                &now.list,
                rules.now,
            )?
            .commits
        };
        now.find_expired();
        // What expired meanwhile was not followed: the next sweep takes it.
        now.expired.retain(|commit| self.expired.contains(commit));
        Ok(now)
    }

    fn read(
        store: &dyn Store,
        rules: &Rules<'_>,
        options: &SweepOptions<'_>,
        reporter: &dyn Reporter,
    ) -> Result<Self> {
        let list = retired(store, reporter)?;
        let published = refs::of_store(store)?;
        let commits = store.list_commits()?;
        Ok(Self {
            roots: rules.roots(store, &published)?,
            over: list.expired(options.now, options.grace),
            list,
            live: HashSet::new(),
            commits: commits.into_iter().collect(),
            partial: partial_commits(store)?,
            expired: BTreeSet::new(),
            left: record::read(store, reporter)?,
            grace: options.grace,
        })
    }

    fn find_expired(&mut self) {
        let there = |commit: &Checksum| self.commits.contains(commit) && !self.live.contains(commit);
        let over = self.over.commits().map(|(commit, _)| *commit);
        self.expired = over.filter(there).collect();
    }

    /// Returns whether there is anything to do.
    pub(super) fn is_any(&self) -> bool {
        !self.over.is_empty() || self.left.is_some()
    }

    /// Returns the commits that stay, with all that they need.
    pub(super) fn staying(&self) -> impl Iterator<Item = Checksum> {
        self.commits
            .iter()
            .filter(|commit| !self.expired.contains(commit))
            .copied()
    }

    /// Returns the files beside the objects whose grace is over.
    pub(super) fn files_over(&self) -> impl Iterator<Item = &str> {
        self.over.files().map(|(path, _)| path)
    }

    /// Returns what the list is to be when `gone` files and what has expired are no more: live commits are off it, and
    /// those that are not there.
    pub(super) fn list_after(&self, gone: &[String]) -> Retired {
        let mut after = self.list.clone();
        for (commit, _) in self.list.commits() {
            if self.live.contains(commit) || self.expired.contains(commit) || !self.commits.contains(commit) {
                after.revive_commit(commit);
            }
        }
        for path in gone {
            after.revive_file(path);
        }
        after
    }

    /// Returns the live commits of the list.
    fn revived(&self) -> Vec<Checksum> {
        let listed = self.list.commits().map(|(commit, _)| *commit);
        listed.filter(|commit| self.live.contains(commit)).collect()
    }

    /// Returns an outcome by which nothing was removed yet.
    pub(super) fn outcome(&self) -> Swept {
        let over: HashSet<_> = self.over.commits().map(|(commit, _)| commit).collect();
        let files: HashSet<_> = self.over.files().map(|(path, _)| path).collect();
        let commits = self.list.commits().filter(|(commit, _)| !over.contains(commit));
        let files = self.list.files().filter(|(path, _)| !files.contains(path));
        let times: Vec<_> = (commits.map(|(_, time)| time))
            .chain(files.map(|(_, time)| time))
            .collect();
        Swept {
            revived: self.revived(),
            waiting: times.len() as u64,
            next: times.iter().min().map(|time| time.saturating_add(self.grace)),
            ..Swept::default()
        }
    }
}
