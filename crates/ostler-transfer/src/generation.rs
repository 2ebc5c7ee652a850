//! Generations: the record of each flip at a target, below `extensions/ostler/generations/`.
//!
//! ```text
//! extensions/ostler/generations/latest           the number of the last one, decimal
//! extensions/ostler/generations/00000042.json    the record
//! extensions/ostler/generations/00000042.objects the objects that it added, see [`crate::added`]
//! extensions/ostler/generations/00000042.pin     empty: what its refs lead to, and all the history of that, is never swept
//! ```
//! A number is never given twice, as long as anything of its generation is there.
//! All are edits of the flip that they record. Nothing but history and speed is lost when they are deleted.

use crate::error::{Result, TransferError};
use crate::kept;
use crate::store::{Edit, Expect, Store};
use ostler_format::Checksum;
use ostler_repo::refs_of_record;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashSet};

const DIR: &str = "extensions/ostler/generations";
/// The largest record that is read: some 100 bytes a ref.
const RECORD_LIMIT: u64 = 128 << 20;

/// So many records are kept, and those of pinned generations.
const KEPT: usize = 100;
/// So many more are there before the oldest are removed: that reads all the others.
const SLACK: usize = 20;

/// The record of one flip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Counted from 1.
    pub number: u64,
    /// When it was made: seconds since the epoch, UTC.
    pub time: u64,
    /// Who made it, as the caller says: user and host.
    pub who: String,
    /// All refs of the target after the flip.
    pub refs: BTreeMap<String, String>,
    /// SHA-256 of the summary, if the target has one.
    pub summary: Option<String>,
    /// What the run added.
    pub added_objects: u64,
    /// Bytes of the source's files that the run added.
    pub added_bytes: u64,
    /// The generation whose refs this one brought back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back_to: Option<u64>,
}

/// Which records there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// Generations with a record.
    pub(crate) numbers: BTreeSet<u64>,
    /// Those that are pinned, with a record or without.
    pub(crate) pinned: BTreeSet<u64>,
}

impl Listing {
    /// Lists them.
    pub(crate) fn read(store: &dyn Store) -> Result<Self> {
        let mut listing = Self::default();
        for file in store.list(DIR)? {
            let number = |suffix| file.name.strip_suffix(suffix)?.parse::<u64>().ok();
            listing.numbers.extend(number(".json"));
            listing.pinned.extend(number(".pin"));
        }
        Ok(listing)
    }
}

impl Generation {
    /// Reads the record of the last flip; `None` where there is none or where it is unreadable (it is only history).
    ///
    /// # Errors
    /// Any failure of the store.
    pub fn latest(store: &dyn Store) -> Result<Option<Self>> {
        let Some(number) = latest_number(store)? else {
            return Ok(None);
        };
        Self::read(store, number)
    }

    /// Reads the record of a generation; `None` as for [`latest`](Self::latest).
    ///
    /// # Errors
    /// Any failure of the store.
    pub fn read(store: &dyn Store, number: u64) -> Result<Option<Self>> {
        let bytes = store.get(&record_path(number), RECORD_LIMIT)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Returns the edits that add this record, and the list of what was added, to a flip.
    ///
    /// # Errors
    /// If the record cannot be serialised.
    pub(crate) fn edits(&self, added: Option<Vec<u8>>) -> Result<Vec<Edit>> {
        let path = record_path(self.number);
        let record = serde_json::to_vec_pretty(self).map_err(|source| TransferError::Record {
            path: path.clone().into(),
            source,
        })?;
        let latest = format!("{}\n", self.number).into_bytes();
        let whole = |path: String, bytes: Vec<u8>| Edit {
            path,
            expect: Expect::Any,
            new: Some(bytes),
        };
        let mut edits = vec![whole(path, record), whole(format!("{DIR}/latest"), latest)];
        edits.extend(added.map(|list| whole(added_path(self.number), list)));
        Ok(edits)
    }

    /// Returns the refs in the form of the record.
    pub(crate) fn refs_of<K: ToString>(refs: &BTreeMap<K, Checksum>) -> BTreeMap<String, String> {
        refs.iter()
            .map(|(key, commit)| (key.to_string(), commit.to_string()))
            .collect()
    }
}

/// Returns the commits that the refs of pinned generations name, but for one that is not to count. A generation is pinned by
/// a file beside its record.
pub(crate) fn pinned_commits(store: &dyn Store, except: Option<u64>) -> Result<BTreeSet<Checksum>> {
    let mut commits = BTreeSet::new();
    for number in Listing::read(store)?.pinned {
        if except == Some(number) {
            continue;
        }
        let Some(bytes) = store.get(&record_path(number), RECORD_LIMIT)? else {
            continue;
        };
        let named = refs_of_record(&bytes);
        commits.extend(
            named
                .map_err(|source| TransferError::PinnedRecord { number, source })?
                .into_values(),
        );
    }
    Ok(commits)
}

/// Returns the number of the last generation.
pub(crate) fn latest_number(store: &dyn Store) -> Result<Option<u64>> {
    let bytes = store.get(&format!("{DIR}/latest"), 64)?;
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()?.trim().parse().ok()))
}

/// Returns the number of the next generation: behind all that are known, also where the number of the last one was lost.
/// A record never changes, and a pin means one record.
pub(crate) fn next_number(store: &dyn Store, listing: &Listing) -> Result<u64> {
    let latest = latest_number(store)?;
    let listed = [listing.numbers.last(), listing.pinned.last()];
    let known = listed.into_iter().flatten().copied().chain(latest);
    let next = known.max().unwrap_or(0).checked_add(1);
    next.ok_or_else(|| TransferError::NoNumber {
        target: store.describe(),
    })
}

/// Returns the edits that remove the records of old generations, with their lists and kept summaries, once there are
/// more than enough of them. `new` is the record that the same flip adds to those of the listing.
pub(crate) fn expired(store: &dyn Store, listing: &Listing, new: &Generation) -> Result<Vec<Edit>> {
    let Listing { numbers, pinned } = listing;
    let unpinned: Vec<_> = numbers.difference(pinned).copied().collect();
    if unpinned.len() < KEPT + SLACK {
        return Ok(Vec::new());
    }
    let excess = (unpinned.len() + 1).saturating_sub(KEPT);
    let old: BTreeSet<_> = unpinned.into_iter().take(excess).collect();
    let mut needed: HashSet<String> = new.summary.iter().cloned().collect();
    let mut dropped = BTreeSet::new();
    for number in numbers {
        let summary = Generation::read(store, *number)?.and_then(|record| record.summary);
        if old.contains(number) {
            dropped.extend(summary);
        } else {
            needed.extend(summary);
        }
    }
    let files = old
        .iter()
        .flat_map(|number| [record_path(*number), added_path(*number)]);
    let summaries = dropped.iter().filter(|digest| !needed.contains(*digest));
    let summaries = summaries.flat_map(|digest| kept::paths(digest));
    Ok(files.chain(summaries).map(removal).collect())
}

fn removal(path: String) -> Edit {
    Edit {
        path,
        expect: Expect::Any,
        new: None,
    }
}

/// Returns the path of the file that pins a generation.
pub(crate) fn pin_path(number: u64) -> String {
    format!("{DIR}/{number:08}.pin")
}

fn record_path(number: u64) -> String {
    format!("{DIR}/{number:08}.json")
}

/// Returns the path of the list of what a generation added.
pub(crate) fn added_path(number: u64) -> String {
    format!("{DIR}/{number:08}.objects")
}
