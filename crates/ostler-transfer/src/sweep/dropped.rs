//! What commits that have expired need, and a commit that stays right beside them does not need in the same place.
//!
//! Both trees are gone through together. A subtree that is the same in both is passed over, since all of it stays: so the
//! cost is that of what changed between the two. An object that was moved is found here as well; whether something that stays
//! needs it is looked at afterwards.

use super::due::Due;
use super::reach::{LIMIT, read_commit};
use crate::error::{Result, TransferError};
use crate::store::{Store, object_path};
use ostler_format::{Checksum, Commit, DirTree, ObjectName, ObjectType};
use ostler_repo::parallel::spread;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicBool;

/// A tree that may go, and the one that stays in its place.
type Pair = (Checksum, Option<Checksum>);

/// Commits by their checksums.
type Commits = HashMap<Checksum, Commit>;

/// Returns objects that can go if nothing that stays needs them, sorted, each once. Holes and damage are no matter here: what cannot
/// be read names nothing, and what it named stays behind as garbage.
pub(super) fn collect(store: &dyn Store, due: &Due, threads: usize) -> Result<Vec<ObjectName>> {
    let expired: Vec<Checksum> = due.expired.iter().copied().collect();
    let mut names: Vec<_> = (expired.iter())
        .map(|commit| ObjectName::new(*commit, ObjectType::Commit))
        .collect();
    let commits = read_all(store, &expired, threads)?;
    if commits.is_empty() {
        return Ok(names);
    }
    let beside = Beside::of(store, due, &commits, threads)?;
    let mut seen = HashSet::new();
    let mut level: Vec<Pair> = Vec::new();
    for (checksum, commit) in &commits {
        let stays = beside.find(checksum, &commits);
        if stays.is_none_or(|stays| stays.root_meta != commit.root_meta) {
            names.push(ObjectName::new(commit.root_meta, ObjectType::DirMeta));
        }
        let pair = (commit.root_tree, stays.map(|stays| stays.root_tree));
        level.extend((pair.1 != Some(pair.0) && seen.insert(pair)).then_some(pair));
    }
    while !level.is_empty() {
        names.extend((level.iter()).map(|(tree, _)| ObjectName::new(*tree, ObjectType::DirTree)));
        let compare = |found: &mut Found, pair: &Pair| found.compare(store, *pair);
        let found = spread(
            &level,
            threads,
            &AtomicBool::new(false),
            Found::default,
            compare,
            |_| {},
        )?;
        level.clear();
        for found in found {
            names.extend(found.names);
            level.extend(found.pairs.into_iter().filter(|pair| seen.insert(*pair)));
        }
        names.sort_unstable();
        names.dedup();
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// What a thread found.
#[derive(Default)]
struct Found {
    names: Vec<ObjectName>,
    pairs: Vec<Pair>,
}

impl Found {
    /// Adds what a tree names otherwise than the one that stays.
    fn compare(&mut self, store: &dyn Store, (tree, stays): Pair) -> Result<()> {
        let Some(tree) = load(store, &tree)? else {
            return Ok(());
        };
        let stays = match stays {
            Some(stays) => load(store, &stays)?.unwrap_or_default(),
            None => DirTree::default(),
        };
        let files: HashMap<_, _> = (stays.files.iter())
            .map(|file| (&file.name, file.checksum))
            .collect();
        let dirs: HashMap<_, _> = stays.dirs.iter().map(|dir| (&dir.name, dir)).collect();
        for file in &tree.files {
            if files.get(&file.name) != Some(&file.checksum) {
                self.names.push(ObjectName::new(file.checksum, ObjectType::File));
            }
        }
        for dir in &tree.dirs {
            let stays = dirs.get(&dir.name);
            if stays.is_none_or(|stays| stays.meta != dir.meta) {
                self.names.push(ObjectName::new(dir.meta, ObjectType::DirMeta));
            }
            let stays = stays.map(|stays| stays.tree);
            if stays != Some(dir.tree) {
                self.pairs.push((dir.tree, stays));
            }
        }
        Ok(())
    }
}

/// Commits that stay, by what is known of their descent.
struct Beside {
    staying: Commits,
    /// A child of each commit, one that stays if there is one.
    children: HashMap<Checksum, Checksum>,
}

impl Beside {
    fn of(store: &dyn Store, due: &Due, expired: &Commits, threads: usize) -> Result<Self> {
        let staying = read_all(store, &due.staying().collect::<Vec<_>>(), threads)?;
        let mut children = HashMap::new();
        for (checksum, commit) in expired.iter().chain(&staying) {
            children.extend(commit.parent.map(|parent| (parent, *checksum)));
        }
        Ok(Self { staying, children })
    }

    /// Returns the next descendant of a commit that stays, else the next ancestor.
    fn find(&self, commit: &Checksum, expired: &Commits) -> Option<&Commit> {
        let later = |commit: &Checksum| self.children.get(commit).copied();
        let earlier = |commit: &Checksum| {
            let links = expired.get(commit).or_else(|| self.staying.get(commit));
            links.and_then(|links| links.parent)
        };
        self.first(commit, &later)
            .or_else(|| self.first(commit, &earlier))
    }

    fn first(&self, commit: &Checksum, next: &dyn Fn(&Checksum) -> Option<Checksum>) -> Option<&Commit> {
        let steps = std::iter::successors(next(commit), next);
        // As a commit names its parent by its checksum, there is no circle; damaged ones could pretend to make one.
        let mut steps = steps.take(self.children.len() + 1);
        steps.find_map(|step| self.staying.get(&step))
    }
}

/// Reads commits that are there and whole.
fn read_all(store: &dyn Store, checksums: &[Checksum], threads: usize) -> Result<Commits> {
    let read = |found: &mut Vec<(Checksum, Commit)>, checksum: &Checksum| {
        match read_commit(store, checksum) {
            Err(TransferError::Format { .. }) => {}
            commit => found.extend(commit?.map(|commit| (*checksum, commit))),
        }
        Ok::<_, TransferError>(())
    };
    let found = spread(
        checksums,
        threads,
        &AtomicBool::new(false),
        Vec::new,
        read,
        |_| {},
    )?;
    Ok(found.into_iter().flatten().collect())
}

/// Returns a tree that is there and whole.
fn load(store: &dyn Store, tree: &Checksum) -> Result<Option<DirTree>> {
    let bytes = store.get(&object_path(ObjectName::new(*tree, ObjectType::DirTree)), LIMIT)?;
    Ok(bytes.and_then(|bytes| DirTree::parse(&bytes).ok()))
}
