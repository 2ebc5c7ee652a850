//! The set of objects that commits consist of.
//!
//! Each distinct dirtree is read once however often it occurs. Memory: 33 bytes for each object, and 32 for each
//! dirtree; the list of objects is sorted and freed of duplicates whenever it has doubled, so that a hundred commits
//! that differ little take little more than one.

use super::{TreeStack, load_tree};
use crate::error::{RepoError, Result};
use crate::repo::Repo;
use ostler_format::{Checksum, ObjectName, ObjectType, TreeDir};
use std::collections::HashSet;

/// The length from which the list of objects is freed of duplicates.
const FIRST_COMPACTION: usize = 1 << 16;

/// Collects the objects of commits and trees.
#[derive(Debug)]
pub struct Closure<'r> {
    repo: &'r Repo,
    tolerant: bool,
    seen: HashSet<Checksum>,
    objects: Vec<ObjectName>,
    compact_at: usize,
}

impl Repo {
    /// Returns every object that `commits` consist of: themselves, their dirtrees, dirmetas and content objects,
    /// sorted, each once. Parents and detached metadata are no part of it.
    ///
    /// # Errors
    /// [`RepoError::Incomplete`] if a dirtree is missing, and what loading objects returns.
    pub fn closure(&self, commits: &[Checksum]) -> Result<Vec<ObjectName>> {
        let mut closure = Closure::new(self);
        for commit in commits {
            closure.add_commit(commit)?;
        }
        Ok(closure.finish())
    }
}

impl<'r> Closure<'r> {
    /// Starts with no objects.
    pub fn new(repo: &'r Repo) -> Self {
        Self {
            repo,
            tolerant: false,
            seen: HashSet::new(),
            objects: Vec::new(),
            compact_at: FIRST_COMPACTION,
        }
    }

    /// Sets whether a missing dirtree is passed over, as is right for commits that are marked partial, or an error.
    /// A missing one is named in the result all the same. What lies below a dirtree that was walked already is
    /// not walked again, so that holes there show only to the first walk.
    pub fn tolerate_holes(&mut self, tolerant: bool) {
        self.tolerant = tolerant;
    }

    /// Adds a commit and its tree.
    ///
    /// # Errors
    /// [`RepoError::Incomplete`] if a dirtree is missing and holes are not tolerated, and what loading objects
    /// returns.
    pub fn add_commit(&mut self, commit: &Checksum) -> Result<()> {
        let loaded = self.repo.load_commit(commit)?;
        self.objects.push(ObjectName::new(*commit, ObjectType::Commit));
        self.add_tree(&loaded.root_tree, &loaded.root_meta)
    }

    /// Adds a directory and all below it.
    ///
    /// # Errors
    /// As for [`add_commit`](Self::add_commit).
    pub fn add_tree(&mut self, tree: &Checksum, meta: &Checksum) -> Result<()> {
        let mut stack = TreeStack::default();
        self.objects.push(ObjectName::new(*meta, ObjectType::DirMeta));
        if let Some(dirs) = self.read(tree, &stack)? {
            stack.push(dirs)?;
        }
        while stack.advance() {
            let Some(dir) = stack.current() else { continue };
            let tree = dir.tree;
            if let Some(dirs) = self.read(&tree, &stack)? {
                stack.push(dirs)?;
            }
        }
        Ok(())
    }

    /// Adds what a dirtree names, unless that was done before, and returns its directories.
    fn read(&mut self, tree: &Checksum, stack: &TreeStack) -> Result<Option<Vec<TreeDir>>> {
        if self.seen.contains(tree) {
            return Ok(None);
        }
        self.objects.push(ObjectName::new(*tree, ObjectType::DirTree));
        let contents = match load_tree(self.repo, tree, "") {
            Err(RepoError::Incomplete { .. }) if self.tolerant => return Ok(None),
            Err(RepoError::Incomplete { object, .. }) => {
                let path = stack.path();
                return Err(RepoError::Incomplete { object, path });
            }
            contents => contents?,
        };
        self.seen.insert(*tree);
        let files = contents.files.iter();
        self.objects
            .extend(files.map(|file| ObjectName::new(file.checksum, ObjectType::File)));
        let dirs = contents.dirs.iter();
        self.objects
            .extend(dirs.map(|dir| ObjectName::new(dir.meta, ObjectType::DirMeta)));
        self.compact();
        Ok(Some(contents.dirs))
    }

    fn compact(&mut self) {
        if self.objects.len() >= self.compact_at {
            self.objects.sort_unstable();
            self.objects.dedup();
            self.compact_at = FIRST_COMPACTION.max(self.objects.len() * 2);
        }
    }

    /// Returns the objects, sorted, each once.
    pub fn finish(mut self) -> Vec<ObjectName> {
        self.objects.sort_unstable();
        self.objects.dedup();
        self.objects
    }
}
