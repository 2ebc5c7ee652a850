//! The history of the selected refs, as the source has it: commits and their parents.
//!
//! It ends where the source has no more: at a parent that is missing, or that is partial (a shallow pull leaves
//! those). A tip must be complete.

use crate::error::{Damage, Result, TransferError};
use crate::store::{Store, object_path};
use ostler_format::CollectionRef;
use ostler_format::{Checksum, Commit, ObjectName, ObjectType};
use ostler_repo::{Partial, Repo};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The largest commit that is read from a store, in bytes.
const COMMIT_LIMIT: u64 = 128 << 20;

/// What is kept of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) parent: Option<Checksum>,
    pub(crate) timestamp: u64,
}

/// Commits of the source by their checksums.
#[derive(Debug, Default)]
pub(crate) struct History {
    links: HashMap<Checksum, Link>,
}

impl History {
    /// Reads the commits from the given tips back to where the source's history ends.
    pub(crate) fn read(source: &Repo, tips: &BTreeMap<CollectionRef, Checksum>) -> Result<Self> {
        let mut history = Self::default();
        for (reference, tip) in tips {
            if source.is_partial(tip)?.is_some() {
                return Err(TransferError::PartialSource {
                    reference: reference.to_string(),
                    commit: *tip,
                });
            }
            history.follow(source, *tip)?;
        }
        Ok(history)
    }

    fn follow(&mut self, source: &Repo, tip: Checksum) -> Result<()> {
        let mut next = Some(tip);
        while let Some(commit) = next.filter(|commit| !self.links.contains_key(commit)) {
            if commit != tip && !readable(source, &commit)? {
                break;
            }
            let loaded = source
                .load_commit(&commit)
                .map_err(|fault| Damage::wrap(ObjectName::new(commit, ObjectType::Commit), fault))?;
            self.links.insert(
                commit,
                Link {
                    parent: loaded.parent,
                    timestamp: loaded.timestamp,
                },
            );
            next = loaded.parent;
        }
        Ok(())
    }

    /// Forgets the commits that do not satisfy a condition.
    pub(crate) fn keep_only(&mut self, mut condition: impl FnMut(&Checksum) -> Result<bool>) -> Result<()> {
        let mut dropped = Vec::new();
        for commit in self.links.keys() {
            if !condition(commit)? {
                dropped.push(*commit);
            }
        }
        for commit in dropped {
            self.links.remove(&commit);
        }
        Ok(())
    }

    /// Returns all commits.
    pub(crate) fn commits(&self) -> impl Iterator<Item = &Checksum> {
        self.links.keys()
    }

    /// Returns a commit and its ancestors, as far as the source has them.
    pub(crate) fn from(&self, tip: Checksum) -> impl Iterator<Item = Checksum> {
        std::iter::successors(self.links.contains_key(&tip).then_some(tip), |commit| {
            self.links
                .get(commit)?
                .parent
                .filter(|parent| self.links.contains_key(parent))
        })
    }

    /// Returns commits of this history in an order in which parents stand before their children.
    pub(crate) fn oldest_first(&self, commits: &HashSet<Checksum>) -> Vec<Checksum> {
        let mut wanted: Vec<_> = commits.iter().copied().collect();
        // The order is the same in every run.
        wanted.sort_unstable();
        let mut placed = HashSet::new();
        let mut order = Vec::with_capacity(wanted.len());
        for commit in wanted {
            let parent = |commit: &Checksum| self.parent(commit).filter(|parent| commits.contains(parent));
            let unplaced = |commit: &Checksum| !placed.contains(commit);
            let mut chain: Vec<_> = std::iter::successors(Some(commit).filter(unplaced), |commit| {
                parent(commit).filter(unplaced)
            })
            .collect();
            chain.reverse();
            placed.extend(chain.iter().copied());
            order.extend(chain);
        }
        order
    }

    /// Returns whether `ancestor` is `tip` or one of its ancestors. The last commit that the source has names a
    /// parent that it has not; that counts.
    pub(crate) fn contains(&self, tip: Checksum, ancestor: Checksum) -> bool {
        tip == ancestor
            || self
                .from(tip)
                .any(|commit| self.parent(&commit) == Some(ancestor))
    }

    /// Returns the parent that a commit names, whether the source has it or not.
    pub(crate) fn parent(&self, commit: &Checksum) -> Option<Checksum> {
        self.links.get(commit)?.parent
    }

    /// Returns what is known of a commit.
    pub(crate) fn link(&self, commit: &Checksum) -> Option<Link> {
        self.links.get(commit).copied()
    }

    /// Returns the time of a commit, in seconds since the epoch.
    pub(crate) fn timestamp(&self, commit: &Checksum) -> Option<u64> {
        Some(self.links.get(commit)?.timestamp)
    }

    /// Returns whether the source can read the tree of a commit that need not be in this history.
    pub(crate) fn is_complete(&self, source: &Repo, commit: &Checksum) -> Result<bool> {
        Ok(self.links.contains_key(commit) || readable(source, commit)?)
    }
}

/// Returns whether the source has a commit that is not partial. One that `fsck` marked is damage, not an end.
fn readable(source: &Repo, commit: &Checksum) -> Result<bool> {
    if !source.has_object(&ObjectName::new(*commit, ObjectType::Commit))? {
        return Ok(false);
    }
    match source.is_partial(commit)? {
        None => Ok(true),
        Some(Partial::Incomplete) => Ok(false),
        Some(Partial::Damaged) => Err(TransferError::PartialSource {
            reference: "history".into(),
            commit: *commit,
        }),
    }
}

/// Returns what a commit of a store says; `None` if the store has not got it.
pub(crate) fn link_at(store: &dyn Store, commit: &Checksum) -> Result<Option<Link>> {
    let name = ObjectName::new(*commit, ObjectType::Commit);
    let Some(bytes) = store.get(&object_path(name), COMMIT_LIMIT)? else {
        return Ok(None);
    };
    let commit = Commit::parse(&bytes).map_err(TransferError::format(name))?;
    Ok(Some(Link {
        parent: commit.parent,
        timestamp: commit.timestamp,
    }))
}
