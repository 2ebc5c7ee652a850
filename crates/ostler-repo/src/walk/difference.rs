//! The objects that one commit needs and another, which is held already, does not bring.
//!
//! Both trees are walked together. Where the dirtrees are equal nothing below is read, so the cost is that of the
//! difference. Where they differ, the entries are compared name by name, and what is new at a place is noted, and
//! what was there before. Whatever was there before anywhere that the walk came by is then taken off what is new,
//! so that a directory moved or a file renamed costs no more than the dirtrees around it.
//!
//! The answer holds all of `closure(new) − closure(old)` and nothing outside `closure(new)`. It may hold an object
//! that the old commit also has at a place that did not change: to know that, all of the old tree would have to be
//! read.
//!
//! The old commit is taken to be complete wherever the new one goes. Here, parts of it may be missing: that makes
//! the answer larger, never wrong.

use super::{MAX_DEPTH, load_tree, push_name, too_deep};
use crate::error::Result;
use crate::repo::Repo;
use ostler_format::{Checksum, DirTree, ObjectName, ObjectType, TreeDir, TreeFile};
use std::collections::{HashMap, HashSet};
use std::iter::Peekable;

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

/// Collects what several commits need beyond those that are held.
#[derive(Debug)]
pub struct ClosureDifference<'r> {
    repo: &'r Repo,
    /// Dirtrees of new commits that were read, each with those that it names.
    entered: HashMap<Checksum, Vec<Checksum>>,
    /// The keys of `entered` in the order of reading.
    order: Vec<Checksum>,
    content: Vec<Checksum>,
    dirmetas: Vec<Checksum>,
    commits: Vec<Checksum>,
    /// Subtrees at places where the old tree has no directory, with their paths: walked last, when it is known
    /// what the old tree had elsewhere.
    added: Vec<(Checksum, String)>,
    /// Subtrees of the old tree at places where the new one has no directory.
    removed: Vec<Checksum>,
    /// What the old tree had, and the new one has not, at the places that were compared.
    held: HashSet<ObjectName>,
    /// Whether the old commit of the comparison under way is held. If it is one of those to be added, what it has
    /// is needed as well.
    holding: bool,
}

impl Repo {
    /// Returns what `new` needs beyond `old`: with no old commit the whole closure.
    ///
    /// # Errors
    /// [`RepoError::Incomplete`](crate::RepoError::Incomplete) if a dirtree of `new` is missing, and what loading
    /// objects returns.
    pub fn diff_closure(&self, old: Option<&Checksum>, new: &Checksum) -> Result<NewObjects> {
        let mut difference = ClosureDifference::new(self);
        difference.add(old, new)?;
        difference.finish()
    }
}

/// A new directory with the old one at the same place, and how far they were walked.
struct Pair {
    new: std::vec::IntoIter<TreeDir>,
    old: Peekable<std::vec::IntoIter<TreeDir>>,
    /// The length of the path of the directory above.
    above: usize,
}

impl<'r> ClosureDifference<'r> {
    /// Starts with nothing.
    pub fn new(repo: &'r Repo) -> Self {
        Self {
            repo,
            entered: HashMap::new(),
            order: Vec::new(),
            content: Vec::new(),
            dirmetas: Vec::new(),
            commits: Vec::new(),
            added: Vec::new(),
            removed: Vec::new(),
            held: HashSet::new(),
            holding: false,
        }
    }

    /// Adds a commit with one that is held, or that was added before: its predecessor in the same ref is the best
    /// choice.
    ///
    /// # Errors
    /// [`RepoError::Incomplete`](crate::RepoError::Incomplete) if a dirtree of `new` is missing, and what loading
    /// objects returns. An `old` that is missing here counts as none.
    pub fn add(&mut self, old: Option<&Checksum>, new: &Checksum) -> Result<()> {
        if old == Some(new) || self.commits.contains(new) {
            return Ok(());
        }
        let known = old;
        let old = match old.map(|old| self.repo.load_commit(old)).transpose() {
            Err(error) if error.is_not_found() => None,
            old => old?,
        };
        let commit = self.repo.load_commit(new)?;
        self.holding = known.is_some_and(|old| !self.commits.contains(old));
        self.commits.push(*new);
        let Some(old) = old else {
            self.dirmetas.push(commit.root_meta);
            self.added.push((commit.root_tree, String::from("/")));
            return Ok(());
        };
        self.compare_meta(&old.root_meta, &commit.root_meta);
        self.compare(old.root_tree, commit.root_tree)
    }

    fn hold(&mut self, checksum: Checksum, kind: ObjectType) {
        if self.holding {
            self.held.insert(ObjectName::new(checksum, kind));
        }
    }

    fn compare_meta(&mut self, old: &Checksum, new: &Checksum) {
        if old != new {
            self.dirmetas.push(*new);
            self.hold(*old, ObjectType::DirMeta);
        }
    }

    /// Compares two trees from their roots.
    fn compare(&mut self, old: Checksum, new: Checksum) -> Result<()> {
        let mut path = String::from("/");
        let mut stack: Vec<Pair> = Vec::new();
        if let Some(pair) = self.enter(Some(&old), &new, &path, 0)? {
            stack.push(pair);
        }
        while let Some(pair) = stack.last_mut() {
            let Some(dir) = pair.new.next() else {
                pair.old.by_ref().for_each(|old| self.remove(&old));
                path.truncate(pair.above);
                stack.pop();
                continue;
            };
            while let Some(gone) = pair.old.next_if(|old| old.name < dir.name) {
                self.remove(&gone);
            }
            let above = path.len();
            let Some(before) = pair.old.next_if(|old| old.name == dir.name) else {
                self.dirmetas.push(dir.meta);
                push_name(&mut path, &dir.name);
                self.added.push((dir.tree, path.clone()));
                path.truncate(above);
                continue;
            };
            self.compare_meta(&before.meta, &dir.meta);
            if before.tree == dir.tree {
                continue;
            }
            push_name(&mut path, &dir.name);
            match self.enter(Some(&before.tree), &dir.tree, &path, above)? {
                Some(_) if stack.len() >= MAX_DEPTH => return Err(too_deep()),
                Some(pair) => stack.push(pair),
                None => path.truncate(above),
            }
        }
        Ok(())
    }

    /// Notes a directory that the new tree does not have.
    fn remove(&mut self, old: &TreeDir) {
        if self.holding {
            self.hold(old.meta, ObjectType::DirMeta);
            self.removed.push(old.tree);
        }
    }

    /// Reads a new dirtree, unless that was done before, and the old one at its place, and compares their files.
    fn enter(
        &mut self,
        old: Option<&Checksum>,
        new: &Checksum,
        path: &str,
        above: usize,
    ) -> Result<Option<Pair>> {
        if old == Some(new) {
            return Ok(None);
        }
        if let Some(old) = old {
            self.hold(*old, ObjectType::DirTree);
        }
        if self.entered.contains_key(new) {
            return Ok(None);
        }
        let contents = load_tree(self.repo, new, path)?;
        self.entered
            .insert(*new, contents.dirs.iter().map(|dir| dir.tree).collect());
        self.order.push(*new);
        let before = old.map_or_else(|| Ok(empty()), |old| self.load_held(old))?;
        self.compare_files(&before.files, &contents.files);
        Ok(Some(Pair {
            new: contents.dirs.into_iter(),
            old: before.dirs.into_iter().peekable(),
            above,
        }))
    }

    /// Loads a dirtree of the old commit; one that is missing here tells nothing, and counts as empty.
    fn load_held(&self, tree: &Checksum) -> Result<DirTree> {
        match self.repo.load_dirtree(tree) {
            Err(error) if error.is_not_found() => Ok(empty()),
            contents => contents,
        }
    }

    /// Notes the files that are new at their names, and those that were there before.
    fn compare_files(&mut self, old: &[TreeFile], new: &[TreeFile]) {
        let mut old = old.iter().peekable();
        for file in new {
            while let Some(gone) = old.next_if(|gone| gone.name < file.name) {
                self.hold(gone.checksum, ObjectType::File);
            }
            match old.next_if(|before| before.name == file.name) {
                Some(before) if before.checksum == file.checksum => continue,
                Some(before) => self.hold(before.checksum, ObjectType::File),
                None => {}
            }
            self.content.push(file.checksum);
        }
        for gone in old {
            self.hold(gone.checksum, ObjectType::File);
        }
    }

    /// Returns what is new.
    ///
    /// # Errors
    /// As for [`add`](Self::add): subtrees without a counterpart are walked here.
    pub fn finish(mut self) -> Result<NewObjects> {
        self.walk_removed()?;
        for (tree, path) in std::mem::take(&mut self.added) {
            self.walk_added(&tree, path)?;
        }
        let mut dirtrees = child_first(&self.order, &mut self.entered);
        dirtrees.retain(|tree| !self.held.contains(&ObjectName::new(*tree, ObjectType::DirTree)));
        Ok(NewObjects {
            content: without(self.content, ObjectType::File, &self.held),
            dirmetas: without(self.dirmetas, ObjectType::DirMeta, &self.held),
            dirtrees,
            commits: self.commits,
        })
    }

    /// Notes what the old tree had at places that are gone: worth the reading only if something was added that it
    /// may be moved to.
    fn walk_removed(&mut self) -> Result<()> {
        let mut pending = std::mem::take(&mut self.removed);
        self.holding = true;
        if self.added.is_empty() {
            return Ok(());
        }
        while let Some(tree) = pending.pop() {
            if !self.held.insert(ObjectName::new(tree, ObjectType::DirTree)) {
                continue;
            }
            let contents = self.load_held(&tree)?;
            for file in &contents.files {
                self.hold(file.checksum, ObjectType::File);
            }
            for dir in &contents.dirs {
                self.hold(dir.meta, ObjectType::DirMeta);
                pending.push(dir.tree);
            }
        }
        Ok(())
    }

    /// Notes all that a subtree without a counterpart names, but for subtrees that the old tree had elsewhere.
    fn walk_added(&mut self, tree: &Checksum, mut path: String) -> Result<()> {
        let mut stack: Vec<Pair> = Vec::new();
        if let Some(pair) = self.enter_added(tree, &path, path.len())? {
            stack.push(pair);
        }
        while let Some(pair) = stack.last_mut() {
            let Some(dir) = pair.new.next() else {
                path.truncate(pair.above);
                stack.pop();
                continue;
            };
            self.dirmetas.push(dir.meta);
            let above = path.len();
            push_name(&mut path, &dir.name);
            match self.enter_added(&dir.tree, &path, above)? {
                Some(_) if stack.len() >= MAX_DEPTH => return Err(too_deep()),
                Some(pair) => stack.push(pair),
                None => path.truncate(above),
            }
        }
        Ok(())
    }

    fn enter_added(&mut self, tree: &Checksum, path: &str, above: usize) -> Result<Option<Pair>> {
        if self.held.contains(&ObjectName::new(*tree, ObjectType::DirTree)) {
            return Ok(None);
        }
        self.enter(None, tree, path, above)
    }
}

fn empty() -> DirTree {
    DirTree {
        files: Vec::new(),
        dirs: Vec::new(),
    }
}

/// Returns the dirtrees of `order`, each behind those that it names.
fn child_first(order: &[Checksum], named: &mut HashMap<Checksum, Vec<Checksum>>) -> Vec<Checksum> {
    let mut sorted = Vec::with_capacity(order.len());
    let mut stack: Vec<(Checksum, Vec<Checksum>)> = Vec::new();
    for root in order {
        // Taking the list out of the map marks the dirtree as done.
        stack.extend(named.remove_entry(root));
        while let Some((tree, children)) = stack.last_mut() {
            if let Some(child) = children.pop() {
                stack.extend(named.remove_entry(&child));
            } else {
                sorted.push(*tree);
                stack.pop();
            }
        }
    }
    sorted
}

/// Returns `checksums` sorted, each once, without those held.
fn without(mut checksums: Vec<Checksum>, kind: ObjectType, held: &HashSet<ObjectName>) -> Vec<Checksum> {
    checksums.sort_unstable();
    checksums.dedup();
    checksums.retain(|checksum| !held.contains(&ObjectName::new(*checksum, kind)));
    checksums
}
