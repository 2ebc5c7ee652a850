//! Which objects can go: those that expired commits need, less those that anything else needs.
//!
//! What expired commits need is found at the cost of what changed beside them (see [`super::dropped`]). That nothing else needs an object
//! can only be told by reading all that stays, unless nothing but commits is to go. Trees are read level by level by several threads, each once however many commits share it. Kept are a name for each
//! candidate, sorted, with a mark beside it, and the checksums of the trees that were read.

use super::dropped;
use super::due::Due;
use crate::error::{Result, TransferError};
use crate::store::{Store, object_path};
use ostler_format::{Checksum, Commit, DirTreeView, ObjectName, ObjectType};
use ostler_repo::parallel::spread;
use std::collections::{BTreeSet, HashSet};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};

/// The largest commit or tree, in bytes.
pub(super) const LIMIT: u64 = 128 << 20;

/// What can go.
pub(super) struct Candidates {
    names: Vec<ObjectName>,
    /// Whether something that stays needs it, for each.
    needed: Vec<AtomicBool>,
    /// Trees of commits that stay.
    followed: HashSet<Checksum>,
    lost: Lost,
    threads: usize,
}

/// What stays and was not there to be read. While nothing is locked, somebody may bring it, and count on what it needs.
#[derive(Debug, Default)]
struct Lost {
    commits: HashSet<Checksum>,
    trees: Vec<Checksum>,
}

impl Candidates {
    /// Collects what may go: what commits that have expired need and others beside them do not, and what a sweep that was cut
    /// short left.
    pub(super) fn of(store: &dyn Store, due: &Due, threads: NonZero<usize>) -> Result<Self> {
        let threads = threads.get();
        let mut names = dropped::collect(store, due, threads)?;
        names.extend(due.left.iter().flat_map(|left| &left.objects));
        names.sort_unstable();
        names.dedup();
        Ok(Self {
            needed: names.iter().map(|_| AtomicBool::new(false)).collect(),
            names,
            followed: HashSet::new(),
            lost: Lost::default(),
            threads,
        })
    }

    /// Notes what commits need. Those that are marked as `partial` may have holes.
    pub(super) fn keep(
        &mut self,
        store: &dyn Store,
        commits: &[Checksum],
        partial: &BTreeSet<Checksum>,
    ) -> Result<()> {
        for tolerant in [false, true] {
            let chosen: Vec<_> = (commits.iter().copied())
                .filter(|commit| partial.contains(commit) == tolerant)
                .collect();
            let level = self.enter(store, &chosen)?;
            // No tree needs a commit.
            if self.names.iter().any(|name| name.kind != ObjectType::Commit) {
                self.follow(store, level, tolerant)?;
            }
        }
        Ok(())
    }

    /// Returns whether a commit was not there when it was to be followed.
    pub(super) fn has_lost(&self, commit: &Checksum) -> bool {
        self.lost.commits.contains(commit)
    }

    /// Looks again for the trees that were not there. Returns whether any is missing still.
    pub(super) fn keep_lost_trees(&mut self, store: &dyn Store) -> Result<bool> {
        let trees = std::mem::take(&mut self.lost.trees);
        // What lies above them needs no second look: a tree never changes.
        self.follow(store, trees, true)?;
        Ok(!self.lost.trees.is_empty())
    }

    /// Reads commits; returns their trees, as far as they were not followed before.
    fn enter(&mut self, store: &dyn Store, commits: &[Checksum]) -> Result<Vec<Checksum>> {
        let read = |found: &mut Found, checksum: &Checksum| {
            self.mark(&ObjectName::new(*checksum, ObjectType::Commit));
            match read_commit(store, checksum)? {
                Some(commit) => {
                    self.mark(&ObjectName::new(commit.root_meta, ObjectType::DirMeta));
                    found.trees.push(commit.root_tree);
                }
                // Removed by somebody just now.
                None => found.lost.push(*checksum),
            }
            Ok::<_, TransferError>(())
        };
        let never = AtomicBool::new(false);
        let found = spread(commits, self.threads, &never, Found::default, read, |_| {})?;
        let (roots, lost) = Found::joined(found);
        self.lost.commits.extend(lost);
        Ok(self.unfollowed(roots))
    }

    fn follow(&mut self, store: &dyn Store, mut level: Vec<Checksum>, tolerant: bool) -> Result<()> {
        while !level.is_empty() {
            let read = |found: &mut Found, tree: &Checksum| {
                self.mark(&ObjectName::new(*tree, ObjectType::DirTree));
                let is_there = read_tree(store, tree, |name| match name.kind {
                    ObjectType::DirTree => found.trees.push(name.checksum),
                    _ => self.mark(&name),
                })?;
                if is_there {
                    return Ok(());
                }
                if tolerant {
                    found.lost.push(*tree);
                    return Ok(());
                }
                Err(TransferError::Hole {
                    target: store.describe(),
                    object: ObjectName::new(*tree, ObjectType::DirTree),
                })
            };
            let never = AtomicBool::new(false);
            let found = spread(&level, self.threads, &never, Found::default, read, |_| {})?;
            let (below, lost) = Found::joined(found);
            self.lost.trees.extend(lost);
            level = self.unfollowed(below);
        }
        Ok(())
    }

    fn unfollowed(&mut self, trees: Vec<Checksum>) -> Vec<Checksum> {
        trees
            .into_iter()
            .filter(|tree| self.followed.insert(*tree))
            .collect()
    }

    fn mark(&self, name: &ObjectName) {
        if let Ok(index) = self.names.binary_search(name)
            && let Some(needed) = self.needed.get(index)
        {
            needed.store(true, Ordering::Relaxed);
        }
    }

    /// Returns what nothing that stays needs.
    pub(super) fn going(&self) -> Vec<ObjectName> {
        let marked = self.names.iter().zip(&self.needed);
        let unneeded = marked.filter(|(_, needed)| !needed.load(Ordering::Relaxed));
        unneeded.map(|(name, _)| *name).collect()
    }
}

/// What a thread found below what it read.
#[derive(Debug, Default)]
struct Found {
    trees: Vec<Checksum>,
    /// What was to be read and was not there.
    lost: Vec<Checksum>,
}

impl Found {
    /// Returns the trees that all of them found, and what was not there.
    fn joined(all: Vec<Self>) -> (Vec<Checksum>, Vec<Checksum>) {
        let mut joined = Self::default();
        for found in all {
            joined.trees.extend(found.trees);
            joined.lost.extend(found.lost);
        }
        (joined.trees, joined.lost)
    }
}

pub(super) fn read_commit(store: &dyn Store, checksum: &Checksum) -> Result<Option<Commit>> {
    let name = ObjectName::new(*checksum, ObjectType::Commit);
    let Some(bytes) = store.get(&object_path(name), LIMIT)? else {
        return Ok(None);
    };
    Ok(Some(Commit::parse(&bytes).map_err(TransferError::format(name))?))
}

/// Tells what a tree names; returns whether there is one.
fn read_tree(store: &dyn Store, tree: &Checksum, mut found: impl FnMut(ObjectName)) -> Result<bool> {
    let name = ObjectName::new(*tree, ObjectType::DirTree);
    let Some(bytes) = store.get(&object_path(name), LIMIT)? else {
        return Ok(false);
    };
    let view = DirTreeView::parse(&bytes).map_err(TransferError::format(name))?;
    for file in view.files() {
        found(ObjectName::new(file.checksum, ObjectType::File));
    }
    for dir in view.dirs() {
        found(ObjectName::new(dir.meta, ObjectType::DirMeta));
        found(ObjectName::new(dir.tree, ObjectType::DirTree));
    }
    Ok(true)
}
