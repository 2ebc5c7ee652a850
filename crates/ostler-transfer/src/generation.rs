//! Generations: the record of each flip at a target, below `extensions/ostler/generations/`.
//!
//! ```text
//! extensions/ostler/generations/latest           the number of the last one, decimal
//! extensions/ostler/generations/00000042.json    the record
//! extensions/ostler/generations/00000042.objects the objects that it added, see [`crate::added`]
//! extensions/ostler/generations/00000042.pin     empty: what its refs lead to is never swept
//! ```
//! All are edits of the flip that they record. Nothing but history and speed is lost when they are deleted.

use crate::error::{Result, TransferError};
use crate::store::{Edit, Expect, Store};
use ostler_format::Checksum;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const DIR: &str = "extensions/ostler/generations";
/// The largest record that is read: some 100 bytes a ref.
const RECORD_LIMIT: u64 = 128 << 20;

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

    /// Returns the numbers of the generations that there are records of, sorted.
    ///
    /// # Errors
    /// Any failure of the store.
    pub fn numbers(store: &dyn Store) -> Result<Vec<u64>> {
        let files = store.list(DIR)?;
        let numbers = files
            .iter()
            .filter_map(|file| file.name.strip_suffix(".json")?.parse().ok());
        let mut numbers: Vec<u64> = numbers.collect();
        numbers.sort_unstable();
        Ok(numbers)
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

/// Returns what the refs of pinned generations name. A generation is pinned by a file beside its record.
pub(crate) fn pinned_refs(store: &dyn Store) -> Result<Vec<(String, Checksum)>> {
    let mut refs = Vec::new();
    for entry in store.list(DIR)? {
        let number = entry.name.strip_suffix(".pin").and_then(|name| name.parse().ok());
        let Some(number) = number else { continue };
        let Some(bytes) = store.get(&record_path(number), RECORD_LIMIT)? else {
            continue;
        };
        let path = || record_path(number).into();
        let record: Generation = serde_json::from_slice(&bytes)
            .map_err(|source| TransferError::Record { path: path(), source })?;
        for (name, hex) in record.refs {
            let commit = Checksum::from_hex(&hex).map_err(TransferError::format(record_path(number)))?;
            refs.push((name, commit));
        }
    }
    Ok(refs)
}

/// Returns the number of the last generation.
pub(crate) fn latest_number(store: &dyn Store) -> Result<Option<u64>> {
    let bytes = store.get(&format!("{DIR}/latest"), 64)?;
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()?.trim().parse().ok()))
}

fn record_path(number: u64) -> String {
    format!("{DIR}/{number:08}.json")
}

/// Returns the path of the list of what a generation added.
pub(crate) fn added_path(number: u64) -> String {
    format!("{DIR}/{number:08}.objects")
}
