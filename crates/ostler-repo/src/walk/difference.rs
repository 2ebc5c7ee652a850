//! The objects that commits need beyond those that are held already.
//!
//! A dirtree that is held is held with all below it, so nothing below it is read: the cost is that of the difference.
//! Trees are read level by level, several dirtrees at once.

use super::layers::layers;
use super::{MAX_DEPTH, load_tree, too_deep};
use crate::error::{RepoError, Result};
use crate::objects::prefixes::prefix_of;
use crate::parallel::{READERS, spread};
use crate::repo::Repo;
use crate::walk::ObjectList;
use ostler_format::{Checksum, DirTree, ObjectName, ObjectType};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicBool;

/// How many dirtrees are in memory at once, with the names of all that is in them.
const TREES_AT_ONCE: usize = 256;

/// What is new, by type, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewObjects {
    /// Content objects, sorted.
    pub content: Vec<Checksum>,
    /// Dirmetas, sorted.
    pub dirmetas: Vec<Checksum>,
    /// Dirtrees, each behind all that it names.
    pub dirtrees: Vec<Checksum>,
    /// Commits, in the order in which they were added.
    pub commits: Vec<Checksum>,
}

impl NewObjects {
    /// Returns all objects, each behind every one that it refers to.
    pub fn child_first(&self) -> impl Iterator<Item = ObjectName> {
        let named = |kind| move |checksum: &Checksum| ObjectName::new(*checksum, kind);
        let content = self.content.iter().map(named(ObjectType::File));
        let dirmetas = self.dirmetas.iter().map(named(ObjectType::DirMeta));
        let dirtrees = self.dirtrees.iter().map(named(ObjectType::DirTree));
        let commits = self.commits.iter().map(named(ObjectType::Commit));
        content.chain(dirmetas).chain(dirtrees).chain(commits)
    }

    /// Returns the number of objects.
    pub fn len(&self) -> usize {
        self.content.len() + self.dirmetas.len() + self.dirtrees.len() + self.commits.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Collects what commits need beyond objects that are held.
#[derive(Debug)]
pub struct ClosureDifference<'r> {
    repo: &'r Repo,
    held: Held,
    /// Dirtrees that came with a list, each behind those that it names; and the same as a set.
    listed: Vec<Checksum>,
    listed_set: HashSet<Checksum>,
    /// Dirtrees that were read, each with those that it names, and the order of reading.
    entered: HashMap<Checksum, Vec<Checksum>>,
    order: Vec<Checksum>,
    content: Vec<Checksum>,
    dirmetas: Vec<Checksum>,
    commits: Vec<Checksum>,
}

impl<'r> ClosureDifference<'r> {
    /// Starts with objects that are held, in any order: whole closures of commits, so that below a dirtree among them
    /// nothing is missing.
    pub fn new(repo: &'r Repo, held: Vec<ObjectName>) -> Self {
        Self {
            repo,
            held: Held::new(held),
            listed: Vec::new(),
            listed_set: HashSet::new(),
            entered: HashMap::new(),
            order: Vec::new(),
            content: Vec::new(),
            dirmetas: Vec::new(),
            commits: Vec::new(),
        }
    }

    /// Adds a commit, walking its tree where it is not held.
    ///
    /// # Errors
    /// [`RepoError::Incomplete`] if a dirtree is missing, and what loading objects returns.
    pub fn add(&mut self, commit: &Checksum) -> Result<()> {
        if !self.is_new(*commit, ObjectType::Commit) || self.commits.contains(commit) {
            return Ok(());
        }
        let loaded = self.repo.load_commit(commit)?;
        self.add_dirmeta(loaded.root_meta);
        match self.walk(loaded.root_tree) {
            // Only a walk in the order of names knows at which path it is.
            Err(RepoError::Incomplete { .. }) => self.repo.closure(&[*commit]).map(drop)?,
            walked => walked?,
        }
        self.commits.push(*commit);
        Ok(())
    }

    /// Adds a commit whose objects are known.
    pub fn add_list(&mut self, list: &ObjectList) {
        for listed in list.entries() {
            let checksum = listed.name.checksum;
            if !self.is_new(checksum, listed.name.kind) {
                continue;
            }
            match listed.name.kind {
                ObjectType::DirMeta => self.dirmetas.push(checksum),
                ObjectType::DirTree => self.list_dirtree(checksum),
                ObjectType::Commit if self.commits.contains(&checksum) => {}
                ObjectType::Commit => self.commits.push(checksum),
                _ => self.content.push(checksum),
            }
        }
    }

    fn list_dirtree(&mut self, tree: Checksum) {
        if self.listed_set.insert(tree) {
            // One that was read before takes its place from the list, with all that it names.
            self.entered.remove(&tree);
            self.listed.push(tree);
        }
    }

    fn is_new(&self, checksum: Checksum, kind: ObjectType) -> bool {
        !self.held.contains(&ObjectName::new(checksum, kind))
    }

    fn add_dirmeta(&mut self, meta: Checksum) {
        if self.is_new(meta, ObjectType::DirMeta) {
            self.dirmetas.push(meta);
        }
    }

    fn walk(&mut self, root: Checksum) -> Result<()> {
        let mut level = vec![root];
        for _ in 0..=MAX_DEPTH {
            level.sort_unstable();
            level.dedup();
            level.retain(|tree| {
                !self.entered.contains_key(tree)
                    && !self.listed_set.contains(tree)
                    && self.is_new(*tree, ObjectType::DirTree)
            });
            if level.is_empty() {
                return Ok(());
            }
            let mut below = Vec::new();
            for part in level.chunks(TREES_AT_ONCE) {
                for (tree, contents) in self.read(part)? {
                    below.extend(contents.dirs.iter().map(|dir| dir.tree));
                    self.enter(tree, &contents);
                }
            }
            level = below;
        }
        Err(too_deep())
    }

    fn read(&self, level: &[Checksum]) -> Result<Vec<(Checksum, DirTree)>> {
        let read = |found: &mut Vec<_>, tree: &Checksum| {
            found.push((*tree, load_tree(self.repo, tree, "")?));
            Ok::<_, RepoError>(())
        };
        let states = spread(level, READERS, &AtomicBool::new(false), Vec::new, read, |_| {})?;
        Ok(states.into_iter().flatten().collect())
    }

    fn enter(&mut self, tree: Checksum, contents: &DirTree) {
        for file in &contents.files {
            if self.is_new(file.checksum, ObjectType::File) {
                self.content.push(file.checksum);
            }
        }
        for dir in &contents.dirs {
            self.add_dirmeta(dir.meta);
        }
        let children = contents.dirs.iter().map(|dir| dir.tree).collect();
        self.entered.insert(tree, children);
        self.order.push(tree);
    }

    /// Returns what is new.
    pub fn finish(self) -> NewObjects {
        let mut dirtrees = self.listed;
        dirtrees.extend(layers(&self.order, &self.entered).concat());
        NewObjects {
            content: sorted(self.content),
            dirmetas: sorted(self.dirmetas),
            dirtrees,
            commits: self.commits,
        }
    }
}

/// A set of objects, sorted; with where those begin whose checksums begin with each byte, which spares most of a search.
#[derive(Debug)]
struct Held {
    names: Vec<ObjectName>,
    starts: Vec<usize>,
}

impl Held {
    fn new(mut names: Vec<ObjectName>) -> Self {
        // Stable sorting is quick where much is in order already, as lists are.
        names.sort();
        names.dedup();
        let first_byte = |name: &ObjectName| usize::from(prefix_of(&name.checksum));
        let start = |byte| names.partition_point(|name| first_byte(name) < byte);
        let starts = (0..=256).map(start).collect();
        Self { names, starts }
    }

    fn contains(&self, name: &ObjectName) -> bool {
        let byte = usize::from(prefix_of(&name.checksum));
        let near = match self.starts.get(byte..=byte + 1) {
            Some([from, to]) => self.names.get(*from..*to),
            _ => None,
        };
        near.is_some_and(|near| near.binary_search(name).is_ok())
    }
}

fn sorted(mut checksums: Vec<Checksum>) -> Vec<Checksum> {
    checksums.sort_unstable();
    checksums.dedup();
    checksums
}
