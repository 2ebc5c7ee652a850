//! All refs, those that are damaged told from those that name a commit.
//!
//! A ref that is damaged names nothing that anybody could rely on; what it named may be all that keeps commits from being
//! removed. So whoever goes by all refs refuses ([`Survey::into_sound`]), and whoever needs some of them goes by those.

use super::RefKey;
use crate::error::{RepoError, Result};
use ostler_format::Checksum;
use std::collections::BTreeMap;

/// A file with the name of a ref that names no commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedRef {
    /// The ref, for messages.
    pub reference: String,
    /// What is wrong with it.
    pub detail: String,
    /// Whether it is one of a mirrored collection.
    pub mirrored: bool,
}

/// Refs by their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey<K = RefKey> {
    /// Those that name a commit.
    pub refs: BTreeMap<K, Checksum>,
    /// Those that do not.
    pub damaged: BTreeMap<K, DamagedRef>,
}

impl From<DamagedRef> for RepoError {
    fn from(damaged: DamagedRef) -> Self {
        Self::DamagedRef {
            reference: damaged.reference,
            detail: damaged.detail,
            mirrored: damaged.mirrored,
        }
    }
}

impl<K> Default for Survey<K> {
    fn default() -> Self {
        Self {
            refs: BTreeMap::new(),
            damaged: BTreeMap::new(),
        }
    }
}

impl<K: Ord> Survey<K> {
    /// Returns the refs, for whoever needs to know of all.
    ///
    /// # Errors
    /// [`RepoError::DamagedRef`] if one is damaged.
    pub fn into_sound(self) -> Result<BTreeMap<K, Checksum>> {
        match self.damaged.into_values().next() {
            Some(damaged) => Err(damaged.into()),
            None => Ok(self.refs),
        }
    }

    /// Returns all refs, with what is wrong with those that are damaged.
    pub fn into_all(self) -> BTreeMap<K, Result<Checksum, DamagedRef>> {
        let sound = self.refs.into_iter().map(|(name, commit)| (name, Ok(commit)));
        let damaged = self
            .damaged
            .into_iter()
            .map(|(name, damaged)| (name, Err(damaged)));
        sound.chain(damaged).collect()
    }

    /// Forgets refs other than those that are wanted.
    pub fn retain(&mut self, mut wanted: impl FnMut(&K) -> bool) {
        self.refs.retain(|name, _| wanted(name));
        self.damaged.retain(|name, _| wanted(name));
    }

    /// Returns the same refs by other names; of two that get one name the first stays.
    pub(super) fn add<L: Ord>(&mut self, other: Survey<L>, rename: impl Fn(L) -> K) {
        for (name, commit) in other.refs {
            let name = rename(name);
            if !self.damaged.contains_key(&name) {
                self.refs.entry(name).or_insert(commit);
            }
        }
        for (name, damaged) in other.damaged {
            let name = rename(name);
            if !self.refs.contains_key(&name) {
                self.damaged.entry(name).or_insert(damaged);
            }
        }
    }
}
