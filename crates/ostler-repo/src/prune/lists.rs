//! A look by recorded lists, which can find out that nothing is to be removed, and no more than that.
//!
//! Where all commits stay, most likely everything does. Then the lists of the newest commits say what these need at the cost of
//! a file each, and only trees that are on no list are read. If that leaves no object over, there is nothing to do; otherwise what
//! was marked is forgotten, and trees are read as ever. So nothing is removed by a list: one that lacks an object costs the
//! walk, as does one that names what is not there; one that names too much keeps garbage.
//!
//! Lists are made, and made anew where they cannot be used, behind a prune that had to read the trees, in repositories in which
//! something of ours is kept already: those that are published from, or to.

use super::inventory::{Inventory, Marked};
use super::roots::{Facts, Root};
use super::{PruneOptions, mark};
use crate::repo::Repo;
use ostler_format::{Checksum, ObjectName, ObjectType};
use std::collections::HashSet;

/// What is ours in a repository.
const OURS: &str = "extensions/ostler";

/// The number of objects up to which lists are read, and up to which they are made: one is held in memory.
const OBJECTS: usize = 1 << 21;

/// How many lists are looked for behind a prune.
const RECORDED: usize = 64;

/// What lists say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// Nobody asked them, or one cannot be used.
    Nothing,
    /// There is something that no list names, or the other way round.
    NotAll,
    /// All that is there stays.
    AllStays,
}

/// Marks what stays, as far as lists tell. Unless all of it does, the marks mean nothing.
pub(super) fn ask(
    repo: &Repo,
    inventory: &Inventory,
    roots: &[Root],
    facts: &Facts,
    options: &PruneOptions,
) -> Told {
    let commits = inventory.of_kind(ObjectType::Commit).count();
    let whole = roots.iter().all(|root| !root.partial);
    if options.commits_only || !whole || commits != roots.len() || inventory.len() > OBJECTS {
        return Told::Nothing;
    }
    for head in heads(roots, facts) {
        let Some(list) = repo.recorded_list(&head) else {
            return Told::Nothing;
        };
        if list.names().any(|name| inventory.mark(&name) == Marked::Absent) {
            return Told::NotAll;
        }
    }
    // What stands in the way of this will be told when all trees are read.
    match mark::mark(repo, inventory, roots, options) {
        Ok(()) if inventory.unmarked_count() == 0 => Told::AllStays,
        _ => Told::NotAll,
    }
}

/// Makes the lists of the newest commits where there are none that can be used; where lists are `doubted`, all that are not
/// what a walk finds. Nobody needs them, so that a failure is none.
pub(super) fn record(repo: &Repo, inventory: &Inventory, roots: &[Root], facts: &Facts, doubted: bool) {
    let ours = repo.root().stat(OURS).ok().flatten();
    if ours.is_none() || inventory.len() > OBJECTS {
        return;
    }
    let heads = heads(roots, facts);
    let partial = roots.iter().filter(|root| root.partial).map(|root| root.commit);
    let partial: HashSet<_> = partial.collect();
    for head in heads.iter().take(RECORDED).filter(|head| !partial.contains(head)) {
        let recorded = repo.recorded_list(head);
        // What a parent repository has is not looked for here.
        let is_own = inventory.holds(&ObjectName::new(*head, ObjectType::Commit));
        if is_own
            && (doubted || recorded.is_none())
            && let Ok(list) = repo.walk_list(head)
            && recorded.as_ref() != Some(&list)
        {
            drop(repo.record_list(head, &list, heads.len()));
        }
    }
}

/// Returns the commits that are nobody's parent.
fn heads(roots: &[Root], facts: &Facts) -> Vec<Checksum> {
    let parents: HashSet<_> = roots
        .iter()
        .filter_map(|root| facts.get(&root.commit)?.parent)
        .collect();
    let commits = roots.iter().map(|root| root.commit);
    commits.filter(|commit| !parents.contains(commit)).collect()
}
