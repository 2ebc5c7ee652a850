//! Marking what the commits that stay need.
//!
//! Trees are read level by level by several threads, each tree once however many commits share it. Those of commits
//! that are not marked as partial come first and must be whole; of the others, what is missing is passed over.
//!
//! A tree that is marked counts as read, with marks on all that it names, in later passes too: whoever marks ends the work
//! by an error if it could not read one, and the marks are worthless then.

use super::inventory::{Inventory, Marked};
use super::roots::Root;
use super::{PruneOptions, sweep};
use crate::error::{RepoError, Result};
use crate::parallel::spread;
use crate::repo::Repo;
use crate::walk::Closure;
use ostler_format::{Checksum, DirTreeView, ObjectName, ObjectType};
use std::collections::HashSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

/// A walk through all trees.
struct Marker<'a> {
    repo: &'a Repo,
    inventory: &'a Inventory,
    threads: usize,
    /// Trees that are not in the inventory: those of parent repositories, and what somebody brings here just now.
    others: Mutex<HashSet<Checksum>>,
}

/// Marks the commits that stay, and all that they need.
pub(super) fn mark(repo: &Repo, inventory: &Inventory, roots: &[Root], options: &PruneOptions) -> Result<()> {
    for root in roots {
        inventory.mark(&ObjectName::new(root.commit, ObjectType::Commit));
    }
    if options.commits_only {
        return Ok(());
    }
    let marker = Marker::new(repo, inventory, options);
    for partial in [false, true] {
        let roots = || roots.iter().filter(|root| root.partial == partial);
        match marker.reach(roots(), partial) {
            Err(error) if error.is_not_found() => return Err(explain(repo, roots(), error)),
            done => done?,
        }
    }
    marker.mark_links()
}

/// Marks objects that are to stay whatever needs them, and what trees among them need, as far as that is there.
pub(super) fn mark_objects(
    repo: &Repo,
    inventory: &Inventory,
    objects: &[ObjectName],
    options: &PruneOptions,
) -> Result<()> {
    let marker = Marker::new(repo, inventory, options);
    let mut level = Vec::new();
    for name in objects {
        match name.kind {
            ObjectType::DirTree => level.extend(marker.enter(&name.checksum).then_some(name.checksum)),
            _ => {
                inventory.mark(name);
            }
        }
    }
    marker.descend(level, true)?;
    marker.mark_links()
}

impl<'a> Marker<'a> {
    fn new(repo: &'a Repo, inventory: &'a Inventory, options: &PruneOptions) -> Self {
        Self {
            repo,
            inventory,
            threads: options.threads,
            others: Mutex::default(),
        }
    }
}

impl Marker<'_> {
    /// Marks the trees of commits with all that is in them.
    fn reach<'r>(&self, roots: impl Iterator<Item = &'r Root>, tolerant: bool) -> Result<()> {
        let mut level = Vec::new();
        for root in roots {
            self.inventory
                .mark(&ObjectName::new(root.meta, ObjectType::DirMeta));
            if self.enter(&root.tree) {
                level.push(root.tree);
            }
        }
        self.descend(level, tolerant)
    }

    /// Reads trees, and all below them that have not been read.
    fn descend(&self, mut level: Vec<Checksum>, tolerant: bool) -> Result<()> {
        let never = AtomicBool::new(false);
        while !level.is_empty() {
            let read = |below: &mut Vec<Checksum>, tree: &Checksum| self.read(tree, tolerant, below);
            level = spread(&level, self.threads, &never, Vec::new, read, |_| {})?.concat();
        }
        Ok(())
    }

    /// Marks the links by payload to objects that are marked.
    fn mark_links(&self) -> Result<()> {
        for link in self.inventory.of_kind(ObjectType::PayloadLink) {
            if !self.inventory.is_marked(link)
                && sweep::is_payload_link_needed(self.repo, self.inventory, link)?
            {
                self.inventory.mark(link);
            }
        }
        Ok(())
    }

    /// Marks a tree; returns whether it is to be read, which it is once.
    fn enter(&self, tree: &Checksum) -> bool {
        match self.inventory.mark(&ObjectName::new(*tree, ObjectType::DirTree)) {
            Marked::First => true,
            Marked::Before => false,
            Marked::Absent => {
                let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
                others.insert(*tree)
            }
        }
    }

    /// Marks what a tree names, and adds the trees among it that are to be read.
    fn read(&self, tree: &Checksum, tolerant: bool, below: &mut Vec<Checksum>) -> Result<()> {
        let name = ObjectName::new(*tree, ObjectType::DirTree);
        let bytes = match self.repo.load_metadata(&name) {
            // One that was listed has just been removed by somebody, who may be followed by somebody who brings it again: then its
            // mark would say that it was read.
            Err(error) if tolerant && error.is_not_found() && !self.inventory.holds(&name) => return Ok(()),
            bytes => bytes?,
        };
        let view = DirTreeView::parse(&bytes).map_err(RepoError::format(format!("object {name}")))?;
        for file in view.files() {
            self.inventory
                .mark(&ObjectName::new(file.checksum, ObjectType::File));
        }
        for dir in view.dirs() {
            self.inventory
                .mark(&ObjectName::new(dir.meta, ObjectType::DirMeta));
            if self.enter(&dir.tree) {
                below.push(dir.tree);
            }
        }
        Ok(())
    }
}

/// Finds the commit for which a tree is missing: only done where there is one.
fn explain<'r>(repo: &Repo, roots: impl Iterator<Item = &'r Root>, error: RepoError) -> RepoError {
    for root in roots {
        match Closure::new(repo).add_tree(&root.tree, &root.meta) {
            Err(RepoError::Incomplete { object, path }) => {
                let commit = root.commit;
                return RepoError::Hole { object, path, commit };
            }
            Err(other) => return other,
            Ok(()) => {}
        }
    }
    error
}

#[cfg(test)]
mod tests {
    use super::super::seen::Clock;
    use super::*;
    use ostler_format::{DirMeta, DirTree, RepoMode, Xattrs};

    #[test]
    fn a_tree_that_goes_while_it_is_marked_is_an_error_even_below_a_partial_commit() {
        let dir = tempfile::tempdir().unwrap();
        let repo = Repo::create(dir.path(), RepoMode::Archive, None).unwrap();
        let transaction = repo.begin().unwrap();
        let meta = DirMeta {
            uid: 0,
            gid: 0,
            mode: 0o040_755,
            xattrs: Xattrs::default(),
        };
        let meta = transaction
            .write_metadata(ObjectType::DirMeta, &meta.to_bytes())
            .unwrap();
        let tree = DirTree::default().to_bytes();
        let tree = transaction.write_metadata(ObjectType::DirTree, &tree).unwrap();
        transaction.commit().unwrap();
        let options = PruneOptions::default();
        let root = Root {
            commit: Checksum::of(b"of a pull that was cut short"),
            tree,
            meta,
            partial: true,
        };
        let list = || Inventory::list(&repo, false, 1, Clock::unknown()).unwrap();
        let listed = list();
        repo.loose()
            .remove(&ObjectName::new(tree, ObjectType::DirTree))
            .unwrap();
        assert!(mark(&repo, &listed, std::slice::from_ref(&root), &options).is_err());
        assert!(mark(&repo, &list(), &[root], &options).is_ok());
    }
}
