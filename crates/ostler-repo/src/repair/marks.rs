//! Which commits are whole after a repair, and the marks that say so.

use super::mend::is_on_purpose;
use super::{Loss, RepairOptions, RepairReport};
use crate::error::{RepoError, Result};
use crate::fsck::{Damage, check};
use crate::partial::Partial;
use crate::refs::RefKey;
use crate::repo::Repo;
use crate::walk::Closure;
use ostler_format::{Checksum, Commit, ObjectName, ObjectType};
use std::collections::{BTreeMap, BTreeSet};

/// The commits that were marked before.
#[derive(Default)]
pub(super) struct Marked {
    /// By a check that found damage.
    pub(super) damaged: BTreeSet<Checksum>,
    /// As fetched in part.
    pub(super) incomplete: BTreeSet<Checksum>,
}

/// Returns which of the commits are marked.
pub(super) fn partial_commits(repo: &Repo, commits: &BTreeMap<Checksum, Commit>) -> Result<Marked> {
    let mut marked = Marked::default();
    for commit in repo.partial_commits()? {
        if !commits.contains_key(&commit) {
            continue;
        }
        let partial = repo.is_partial(&commit)?;
        if is_on_purpose(partial) {
            marked.incomplete.insert(commit);
        } else {
            marked.damaged.insert(commit);
        }
    }
    Ok(marked)
}

/// Notes what could not be brought back, with the commits and refs that need it. What a commit needs below a tree that
/// cannot be read nobody knows: it counts as one that needs everything that is lost.
pub(super) fn blame(
    repo: &Repo,
    commits: &BTreeMap<Checksum, Commit>,
    refs: &[(RefKey, Checksum)],
    lost: BTreeMap<ObjectName, (Damage, BTreeSet<usize>)>,
    report: &mut RepairReport,
) -> Result<()> {
    if lost.is_empty() {
        return Ok(());
    }
    let mut needed: BTreeMap<ObjectName, BTreeSet<Checksum>> = BTreeMap::new();
    for name in lost.keys().filter(|name| name.kind == ObjectType::Commit) {
        needed.entry(*name).or_default().insert(name.checksum);
    }
    for (checksum, commit) in commits {
        let mut closure = Closure::new(repo);
        closure.tolerate_holes(true);
        match closure.add_tree(&commit.root_tree, &commit.root_meta) {
            Err(error) if error.is_damage() || matches!(error, RepoError::Unsupported { .. }) => {
                for name in lost.keys().filter(|name| name.kind != ObjectType::Commit) {
                    needed.entry(*name).or_default().insert(*checksum);
                }
                continue;
            }
            added => added?,
        }
        for name in closure.finish().iter().filter(|name| lost.contains_key(name)) {
            needed.entry(*name).or_default().insert(*checksum);
        }
    }
    let leading = leading_refs(commits, refs);
    for (name, (damage, damaged_at)) in lost {
        let commits = needed.remove(&name).unwrap_or_default();
        let refs = commits.iter().filter_map(|commit| leading.get(commit)).flatten();
        let refs = refs.cloned().collect();
        let loss = Loss {
            damage,
            damaged_at,
            commits,
            refs,
        };
        report.lost.insert(name, loss);
    }
    Ok(())
}

/// Returns the refs whose histories have each commit.
pub(crate) fn leading_refs(
    commits: &BTreeMap<Checksum, Commit>,
    refs: &[(RefKey, Checksum)],
) -> BTreeMap<Checksum, BTreeSet<String>> {
    let mut leading: BTreeMap<Checksum, BTreeSet<String>> = BTreeMap::new();
    for (key, tip) in refs {
        let mut next = Some(*tip);
        while let Some(commit) = next {
            leading.entry(commit).or_default().insert(key.to_string());
            next = commits.get(&commit).and_then(|commit| commit.parent);
        }
    }
    leading
}

/// Sets and removes marks by what is whole now.
pub(super) fn settle(
    repo: &Repo,
    marked: &Marked,
    options: &RepairOptions,
    report: &mut RepairReport,
) -> Result<()> {
    let broken = report.broken_commits();
    if !options.dry_run {
        let missing = report.lost.values().filter(|loss| loss.damage == Damage::Missing);
        for commit in missing.flat_map(|loss| &loss.commits) {
            repo.set_partial(commit, Partial::Damaged)?;
        }
    }
    report.completed = marked.damaged.difference(&broken).copied().collect();
    for commit in &marked.incomplete {
        if is_whole(repo, commit)? {
            report.completed.insert(*commit);
        } else {
            report.incomplete.insert(*commit);
        }
    }
    if !options.dry_run {
        for commit in &report.completed {
            repo.clear_partial(commit)?;
        }
    }
    Ok(())
}

/// Returns whether a commit and all that it needs is there and sound.
fn is_whole(repo: &Repo, commit: &Checksum) -> Result<bool> {
    let objects = match repo.closure(&[*commit]) {
        Err(error) if error.is_damage() => return Ok(false),
        objects => objects?,
    };
    // Most that are not whole lack something: that is seen at once.
    for name in &objects {
        if !repo.has_object(name)? {
            return Ok(false);
        }
    }
    for name in &objects {
        if check::object(repo, name)?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}
