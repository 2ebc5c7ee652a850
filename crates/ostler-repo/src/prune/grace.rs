//! Keeping what nothing needs any more until nobody can be in the middle of fetching it.
//!
//! A commit that is to go is retired first (see [`crate::retired`]), and goes when its grace is over, if it has been on the
//! list without interruption. Until then it stays with all that it needs. Objects of no commit go when nothing about
//! their files has changed for as long.
//!
//! The list tells as well where histories end although there is a parent, which is retired: without a depth that says
//! otherwise they end there, and a publish or a prune to come does not lead over that edge.
//!
//! Which commits nothing leads to is known only where refs say what stays; otherwise the list is left as it is.

use super::inventory::Inventory;
use super::shares::Shares;
use super::survey::Survey;
use super::{PruneOptions, Retention, mark, roots};
use crate::error::{RepoError, Result};
use crate::parallel::spread;
use crate::repo::Repo;
use crate::retired::Retired;
use ostler_format::{Checksum, ObjectName, ObjectType};
use std::collections::HashSet;
use std::sync::atomic::AtomicBool;

/// How long what nothing needs stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace {
    /// Seconds.
    pub seconds: u64,
    /// Seconds since the epoch, UTC.
    pub now: u64,
}

/// What waits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GraceReport {
    /// Commits that were retired by this run.
    pub retired: Vec<Checksum>,
    /// How many commits are retired and wait, with these.
    pub waiting: u64,
    /// What is wrong with the list of what is retired, which was made anew.
    pub damaged_list: Option<String>,
}

/// The list as it is to be.
pub(super) struct Waiting {
    list: Retired,
    /// Where histories end, each with the retired parent.
    edges: Vec<(Checksum, Checksum)>,
    changed: bool,
    pub(super) report: GraceReport,
}

/// Marks what is in its grace. To be called after what has to stay is marked; nothing is written.
pub(super) fn spare(
    repo: &Repo,
    survey: &mut Survey,
    grace: Grace,
    options: &PruneOptions,
) -> Result<Waiting> {
    let mut report = GraceReport::default();
    let mut list = repo.retired(|error| report.damaged_list = Some(error.to_string()))?;
    let before = list.clone();
    let mut edges = Vec::new();
    let expired = if matches!(options.retention, Retention::Commits { .. }) {
        Vec::new()
    } else {
        let (expired, waiting) = retire(survey, &mut list, grace, &mut report);
        edges = edges_of(survey, &list, options);
        list.set_ends(edges.iter().map(|(end, _)| *end));
        let spared = roots::spared(repo, &waiting, &mut survey.facts)?;
        mark::mark(repo, &survey.inventory, &spared, options)?;
        // A commit that is damaged has nothing to mark; it waits all the same.
        for commit in waiting {
            let name = ObjectName::new(commit, ObjectType::Commit);
            survey.inventory.mark(&name);
        }
        expired
    };
    if !options.commits_only {
        let young = young_orphans(repo, survey, &expired, grace, options)?;
        mark::mark_objects(repo, &survey.inventory, &young, options)?;
    }
    Ok(Waiting {
        changed: list != before || report.damaged_list.is_some(),
        list,
        edges,
        report,
    })
}

/// Brings the list up to date; returns the commits whose grace is over and those that wait.
fn retire(
    survey: &Survey,
    list: &mut Retired,
    grace: Grace,
    report: &mut GraceReport,
) -> (Vec<Checksum>, Vec<Checksum>) {
    let live: HashSet<Checksum> = survey.roots.iter().map(|root| root.commit).collect();
    let here = |commit: &Checksum| {
        survey
            .inventory
            .holds(&ObjectName::new(*commit, ObjectType::Commit))
    };
    let over: Vec<Checksum> = list
        .commits()
        .map(|(commit, _)| *commit)
        .filter(|commit| live.contains(commit) || !here(commit))
        .collect();
    for commit in over {
        list.revive_commit(&commit);
    }
    let commits = survey.inventory.of_kind(ObjectType::Commit);
    for name in commits.filter(|name| !live.contains(&name.checksum)) {
        if !list.has_commit(&name.checksum) {
            list.retire_commit(name.checksum, grace.now);
            report.retired.push(name.checksum);
        }
    }
    let passed: HashSet<Checksum> = list
        .expired(grace.now, grace.seconds)
        .commits()
        .map(|(commit, _)| *commit)
        .collect();
    let (expired, waiting): (Vec<Checksum>, Vec<Checksum>) = list
        .commits()
        .map(|(commit, _)| *commit)
        .partition(|commit| passed.contains(commit));
    report.retired.retain(|commit| !passed.contains(commit));
    report.waiting = waiting.len() as u64;
    (expired, waiting)
}

/// Returns the commits that stay although their parents are retired, with these. By a target that was matched, commits may
/// stay on both sides of such an edge; then only those count that were ends before.
fn edges_of(survey: &Survey, list: &Retired, options: &PruneOptions) -> Vec<(Checksum, Checksum)> {
    let matching = matches!(options.retention, Retention::Matching(_));
    let commits = survey.roots.iter().map(|root| root.commit);
    let commits = commits.filter(|commit| !matching || list.is_end(commit));
    let edges = commits.filter_map(|commit| Some((commit, survey.facts.get(&commit)?.parent?)));
    edges.filter(|(_, parent)| list.has_commit(parent)).collect()
}

/// Returns the objects that belong to no commit that goes, and have come or changed within the grace.
fn young_orphans(
    repo: &Repo,
    survey: &mut Survey,
    expired: &[Checksum],
    grace: Grace,
    options: &PruneOptions,
) -> Result<Vec<ObjectName>> {
    let inventory: &Inventory = &survey.inventory;
    let mut shares = Shares::new(repo, inventory);
    shares.claim(expired, &mut survey.facts)?;
    let shares = &shares;
    let prefixes: Vec<u8> = (0..=u8::MAX).collect();
    let look = |young: &mut Vec<ObjectName>, prefix: &u8| {
        for (place, name) in inventory.unmarked_places(*prefix) {
            if shares.is_unclaimed(place) && !is_older(repo, name, grace)? {
                young.push(*name);
            }
        }
        Ok::<_, RepoError>(())
    };
    let states = spread(
        &prefixes,
        options.threads,
        &AtomicBool::new(false),
        Vec::new,
        look,
        |_| {},
    )?;
    Ok(states.concat())
}

/// Returns whether nothing about the file of an object has changed for as long as the grace.
fn is_older(repo: &Repo, name: &ObjectName, grace: Grace) -> Result<bool> {
    let Some(stat) = repo.loose().stat(name)? else {
        return Ok(true);
    };
    let changed = u64::try_from(stat.ctime.0).unwrap_or_default();
    Ok(changed
        .checked_add(grace.seconds)
        .is_some_and(|end| end <= grace.now))
}

impl Waiting {
    /// Returns whether the list is to be written.
    pub(super) fn is_changed(&self) -> bool {
        self.changed
    }

    /// Writes the list, where it has changed. The caller has the lease.
    pub(super) fn write(&mut self, repo: &Repo) -> Result<()> {
        if std::mem::take(&mut self.changed) {
            repo.flip(&[self.list.edit()?])?;
        }
        Ok(())
    }

    /// Takes the commits that went off the list.
    pub(super) fn forget(&mut self, inventory: &Inventory) {
        for prefix in 0..=u8::MAX {
            let gone = inventory
                .unmarked(prefix)
                .filter(|name| name.kind == ObjectType::Commit);
            for name in gone {
                self.changed |= self.list.revive_commit(&name.checksum);
            }
        }
        if self.changed {
            self.edges.retain(|(_, parent)| self.list.has_commit(parent));
            self.list.set_ends(self.edges.iter().map(|(end, _)| *end));
        }
    }
}
