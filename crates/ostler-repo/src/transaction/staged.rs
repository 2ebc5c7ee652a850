//! What a transaction has staged, and in which order it goes into place.
//!
//! Threads note objects as they write them. The order is by type, and among dirtrees from the leaves up, so
//! that every object stands after those that it names.

use crate::error::{RepoError, Result};
use crate::objects::loose::LooseStore;
use crate::objects::missing;
use crate::settle::rank;
use ostler_format::{Checksum, DirTreeView, ObjectName, ObjectType};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Into how many sets the names are spread, so that threads rarely wait for each other.
const SHARDS: usize = 16;

/// The objects that a transaction relies on in its staging directory.
#[derive(Debug)]
pub(super) struct Staged {
    names: [Mutex<HashSet<ObjectName>>; SHARDS],
    turns: [Mutex<()>; SHARDS],
    /// The subtrees of the dirtrees whose bytes passed by.
    subtrees: Mutex<HashMap<Checksum, Box<[Checksum]>>>,
}

impl Staged {
    pub(super) fn new() -> Self {
        Self {
            names: std::array::from_fn(|_| Mutex::default()),
            turns: std::array::from_fn(|_| Mutex::default()),
            subtrees: Mutex::default(),
        }
    }

    /// Returns whether the object is noted.
    pub(super) fn contains(&self, name: &ObjectName) -> bool {
        lock(self.shard(name)).contains(name)
    }

    /// Notes an object; returns whether it was not noted before.
    pub(super) fn insert(&self, name: ObjectName) -> bool {
        lock(self.shard(&name)).insert(name)
    }

    /// Notes the subtrees of a dirtree, so that it need not be read again for its place in the order.
    pub(super) fn insert_subtrees(&self, tree: Checksum, view: &DirTreeView<'_>) {
        let subtrees = view.dirs().map(|dir| dir.tree).collect();
        lock(&self.subtrees).insert(tree, subtrees);
    }

    /// Waits until no other thread has its turn with the object (or with one of a few others).
    pub(super) fn turn(&self, name: &ObjectName) -> MutexGuard<'_, ()> {
        lock(pick(&self.turns, name))
    }

    fn shard(&self, name: &ObjectName) -> &Mutex<HashSet<ObjectName>> {
        pick(&self.names, name)
    }

    /// Returns all objects in the order of going into place, and forgets them. Dirtrees whose bytes did not
    /// pass by are read from `store`.
    pub(super) fn take_order(&mut self, store: &LooseStore<'_>) -> Result<Vec<ObjectName>> {
        let mut order: Vec<ObjectName> = Vec::new();
        for shard in &mut self.names {
            order.extend(shard.get_mut().unwrap_or_else(PoisonError::into_inner).drain());
        }
        order.sort_unstable_by_key(|name| (rank(name.kind), name.checksum));
        let start = order.partition_point(|name| rank(name.kind) < rank(ObjectType::DirTree));
        let end = order.partition_point(|name| rank(name.kind) <= rank(ObjectType::DirTree));
        if let Some(trees) = order.get_mut(start..end) {
            let known = self.subtrees.get_mut().unwrap_or_else(PoisonError::into_inner);
            let mut graph = HashMap::with_capacity(trees.len());
            for name in &*trees {
                let subtrees = match known.remove(&name.checksum) {
                    Some(subtrees) => subtrees,
                    None => read_subtrees(store, name)?,
                };
                graph.insert(name.checksum, subtrees);
            }
            known.clear();
            for (slot, tree) in trees.iter_mut().zip(leaves_first(&graph)) {
                slot.checksum = tree;
            }
        }
        Ok(order)
    }
}

/// Picks the shard of an object.
fn pick<'a, T>(shards: &'a [T; SHARDS], name: &ObjectName) -> &'a T {
    // Any byte does: checksums are spread evenly.
    let [.., last] = name.checksum.as_bytes();
    shards
        .get(usize::from(*last) % SHARDS)
        .expect("the index is below the number of shards")
}

fn read_subtrees(store: &LooseStore<'_>, name: &ObjectName) -> Result<Box<[Checksum]>> {
    let bytes = store.read_metadata(name)?.ok_or_else(|| missing(name))?;
    let view = DirTreeView::parse(&bytes).map_err(RepoError::format(format!("object {name}")))?;
    Ok(view.dirs().map(|dir| dir.tree).collect())
}

/// Orders the nodes of a graph so that each stands after those that it points to. Without recursion: the
/// depth comes from outside. A circle, which would break SHA-256, is cut somewhere.
fn leaves_first(graph: &HashMap<Checksum, Box<[Checksum]>>) -> Vec<Checksum> {
    let mut order = Vec::with_capacity(graph.len());
    let mut seen = HashSet::with_capacity(graph.len());
    let mut roots: Vec<&Checksum> = graph.keys().collect();
    roots.sort_unstable();
    let mut stack: Vec<(Checksum, std::slice::Iter<'_, Checksum>)> = Vec::new();
    let mut enter = |tree: &Checksum, stack: &mut Vec<_>| {
        if let Some(subtrees) = graph.get(tree)
            && seen.insert(*tree)
        {
            stack.push((*tree, subtrees.iter()));
        }
    };
    for root in roots {
        enter(root, &mut stack);
        while let Some((tree, rest)) = stack.last_mut() {
            if let Some(subtree) = rest.next() {
                enter(subtree, &mut stack);
            } else {
                order.push(*tree);
                stack.pop();
            }
        }
    }
    order
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> Checksum {
        Checksum::of(&number.to_le_bytes())
    }

    #[test]
    fn every_tree_stands_after_its_subtrees() {
        // A tree over 0..100: `n` holds `2n + 1` and `2n + 2`, and all hold 99.
        let graph: HashMap<_, Box<[_]>> = (0..100_u32)
            .map(|n| {
                let below = [2 * n + 1, 2 * n + 2, 99].into_iter().filter(|m| *m > n);
                (id(n), below.map(id).collect())
            })
            .collect();
        let order = leaves_first(&graph);
        assert_eq!(order.len(), 100);
        for (place, tree) in order.iter().enumerate() {
            for subtree in graph[tree].iter().filter(|subtree| graph.contains_key(*subtree)) {
                assert!(order[..place].contains(subtree));
            }
        }
    }

    #[test]
    fn a_chain_of_any_depth_needs_no_stack() {
        let graph: HashMap<_, Box<[_]>> = (0..100_000).map(|n| (id(n), Box::from([id(n + 1)]))).collect();
        assert_eq!(leaves_first(&graph).first(), Some(&id(99_999)));
    }
}
