//! What a target holds of a source, for a prune of the source that goes by it: the commits that are there, and the refs
//! that it had at some time and has no more.
//!
//! Read without a lock. What comes to the target meanwhile was published from somewhere and stays there by its ref; what
//! goes meanwhile stays at the source until the next prune.

use crate::error::{Result, TransferError};
use crate::generation::{Generation, Listing};
use crate::refs;
use crate::store::Store;
use ostler_format::{Checksum, CollectionRef, ObjectName, ObjectType};
use ostler_repo::{RefKey, Repo};
use std::collections::{BTreeMap, BTreeSet};

/// A target, as a prune of its source sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counterpart {
    /// Its commits, whole or not.
    pub commits: BTreeSet<Checksum>,
    /// Its refs.
    pub refs: BTreeMap<CollectionRef, Checksum>,
    /// What its generations say of refs: all commits that each has named.
    pub past: BTreeMap<CollectionRef, BTreeSet<Checksum>>,
}

/// A ref of the source that the target has dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedRef {
    /// Its name as published.
    pub name: CollectionRef,
    /// Its name at the source.
    pub key: RefKey,
    /// What it names at the source.
    pub commit: Checksum,
    /// Whether the target never had it name this commit: it was not published yet, or is somebody's new ref.
    pub unpublished: bool,
}

impl Counterpart {
    /// Reads a target.
    ///
    /// # Errors
    /// Any failure of the store.
    pub fn read(store: &dyn Store) -> Result<Self> {
        let mut past: BTreeMap<CollectionRef, BTreeSet<Checksum>> = BTreeMap::new();
        for number in Listing::read(store)?.numbers {
            let record = Generation::read(store, number)?;
            for (name, commit) in record.iter().flat_map(|record| &record.refs) {
                if let (Ok(name), Ok(commit)) = (name.parse(), Checksum::from_hex(commit)) {
                    past.entry(name).or_default().insert(commit);
                }
            }
        }
        let refs = refs::of_store(store)?;
        Ok(Self {
            commits: commits(store)?,
            refs,
            past,
        })
    }

    /// Returns the refs of the source that the target had at some time and has no more.
    ///
    /// # Errors
    /// If the refs of the source cannot be read.
    pub fn dropped(&self, source: &Repo) -> Result<Vec<DroppedRef>> {
        let mut dropped = Vec::new();
        for (name, commit) in refs::of_repo(source)? {
            if let Some(commits) = self.past.get(&name)
                && !self.refs.contains_key(&name)
            {
                dropped.push(DroppedRef {
                    key: RefKey::Collection(name.clone()),
                    unpublished: !commits.contains(&commit),
                    name,
                    commit,
                });
            }
        }
        Ok(dropped)
    }

    /// Fails where the target has nothing of the source: then it is most likely another one.
    ///
    /// # Errors
    /// [`TransferError::Unrelated`]; if the source cannot be read.
    pub fn require_common(&self, source: &Repo, store: &dyn Store) -> Result<()> {
        for commit in &self.commits {
            if source.has_object(&ObjectName::new(*commit, ObjectType::Commit))? {
                return Ok(());
            }
        }
        Err(TransferError::Unrelated {
            target: store.describe(),
        })
    }
}

/// Lists the commits of a store.
fn commits(store: &dyn Store) -> Result<BTreeSet<Checksum>> {
    let mut commits = BTreeSet::new();
    for directory in store.list("objects")?.into_iter().filter(|entry| entry.is_dir) {
        for file in store.list(&format!("objects/{}", directory.name))? {
            if let Some(name) = ObjectName::from_loose(&directory.name, &file.name)
                && name.kind == ObjectType::Commit
            {
                commits.insert(name.checksum);
            }
        }
    }
    Ok(commits)
}
