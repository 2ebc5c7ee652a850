//! The past of a target, as its generation records tell it, and pinning a generation so that it stays.
//!
//! A record is history and no proof: a flip that was given up after a crash may have left its record and moved nothing, and
//! others may have changed refs since. What stands is what the refs say.
//!
//! Pinning and unpinning are flips of their own: the pin and the list of what is retired change together.

use crate::error::{Result, TransferError};
use crate::generation::{Generation, Listing, pin_path};
use crate::live::Root;
use crate::publish::complete;
use crate::refs;
use crate::report::Reporter;
use crate::retire;
use crate::store::{Edit, Expect, Store};
use ostler_format::{Checksum, CollectionRef, ObjectName, ObjectType};
use std::collections::{BTreeMap, BTreeSet};

/// The generations of a target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Past {
    /// Those that there are records of, oldest first.
    pub generations: Vec<Generation>,
    /// Numbers of those that are pinned.
    pub pinned: BTreeSet<u64>,
}

/// A ref that differs between two sets of refs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefDifference {
    /// Its name, as in the records.
    pub name: String,
    /// What it names in the first.
    pub old: Option<String>,
    /// What it names in the second.
    pub new: Option<String>,
}

impl Past {
    /// Reads the records. Those that cannot be read are passed over.
    ///
    /// # Errors
    /// Any failure of the store.
    pub fn read(store: &dyn Store) -> Result<Self> {
        let listing = Listing::read(store)?;
        let mut past = Self {
            generations: Vec::new(),
            pinned: listing.pinned,
        };
        for number in listing.numbers {
            past.generations.extend(Generation::read(store, number)?);
        }
        Ok(past)
    }

    /// Returns a generation.
    ///
    /// # Errors
    /// [`TransferError::NoGeneration`].
    pub fn generation(&self, store: &dyn Store, number: u64) -> Result<&Generation> {
        let found = self.generations.iter().find(|record| record.number == number);
        found.ok_or_else(|| TransferError::NoGeneration {
            target: store.describe(),
            number,
        })
    }

    /// Returns the newest generation whose refs are these.
    pub fn standing(&self, refs: &BTreeMap<String, String>) -> Option<&Generation> {
        self.generations.iter().rev().find(|record| record.refs == *refs)
    }
}

/// Returns the refs of a target as records write them.
///
/// # Errors
/// Any failure of the store.
pub fn present_refs(store: &dyn Store) -> Result<BTreeMap<String, String>> {
    Ok(Generation::refs_of(&refs::of_store(store)?))
}

/// Returns the refs that differ, by name.
pub fn ref_differences(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<RefDifference> {
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let differences = names.into_iter().map(|name| RefDifference {
        name: name.clone(),
        old: before.get(name).cloned(),
        new: after.get(name).cloned(),
    });
    differences.filter(|found| found.old != found.new).collect()
}

/// Pins a generation, or lets go of it. Returns whether that changed anything. One whose record is gone or cannot be read can
/// be let go of all the same: nothing else would end what the pin keeps from being removed.
///
/// # Errors
/// [`TransferError::NoGeneration`]; [`TransferError::Swept`] for one to be pinned of which commits are gone already; any
/// failure of the store.
pub fn set_pinned(
    store: &dyn Store,
    number: u64,
    pinned: bool,
    clock: &dyn Fn() -> u64,
    reporter: &dyn Reporter,
) -> Result<bool> {
    complete(store, reporter)?;
    let lease = store.lease()?;
    store.recover()?;
    let past = Past::read(store)?;
    let tips = match past.generation(store, number).and_then(recorded_refs) {
        Err(_) if !pinned && past.pinned.contains(&number) => {
            // Nobody knows what it kept: nothing is retired.
            store.flip(&[pin_edit(number, false)])?;
            return Ok(true);
        }
        tips => tips?,
    };
    if past.pinned.contains(&number) == pinned {
        return Ok(false);
    }
    let now = clock();
    let rules = retire::unlimited(now);
    let present = refs::of_store(store)?;
    let mut roots = rules.roots_without(store, &present, Some(number))?;
    let mut dropped = Vec::new();
    if pinned {
        require_commits(store, number, &tips)?;
        roots.extend(tips.values().copied().map(Root::pinned));
    } else {
        dropped.extend(tips.values().copied());
    }
    let mut edits = vec![pin_edit(number, pinned)];
    edits.extend(retire::edit(store, &roots, &dropped, now, reporter, |_| Ok(()))?);
    store.flip(&edits)?;
    drop(lease);
    Ok(true)
}

fn pin_edit(number: u64, pinned: bool) -> Edit {
    Edit {
        path: pin_path(number),
        expect: Expect::Any,
        new: pinned.then(Vec::new),
    }
}

fn require_commits(store: &dyn Store, number: u64, refs: &BTreeMap<CollectionRef, Checksum>) -> Result<()> {
    let mut missing = BTreeSet::new();
    for commit in refs.values() {
        let name = ObjectName::new(*commit, ObjectType::Commit);
        if store.look(&name)?.is_none_or(|size| size == 0) {
            missing.insert(name);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(TransferError::Swept {
        target: store.describe(),
        number,
        missing: missing.into_iter().collect(),
    })
}

/// Reads the refs of a record.
pub(crate) fn recorded_refs(record: &Generation) -> Result<BTreeMap<CollectionRef, Checksum>> {
    let subject = || format!("the refs of generation {}", record.number);
    let parsed = record.refs.iter().map(|(name, hex)| {
        let name = name.parse().map_err(TransferError::format(subject()))?;
        let commit = Checksum::from_hex(hex).map_err(TransferError::format(subject()))?;
        Ok((name, commit))
    });
    parsed.collect()
}
