//! What each generation added: objects with the sizes of their files at the target.
//!
//! Shape of a list: entries of 41 bytes in the order of putting: checksum (32), type (1, as in static deltas), size of the
//! file in bytes (8, big endian). It says what a mirror has to fetch, and how large an object at the target must be, so
//! that a look at it needs no look at the source's copy. A list is no proof that an object is there, and one that is
//! missing or malformed costs those looks and nothing else.

use crate::error::Result;
use crate::generation::{added_path, latest_number};
use crate::plan::Plan;
use crate::store::Store;
use ostler_format::{Checksum, ObjectName, ObjectType};
use std::collections::HashMap;

const ENTRY: usize = 32 + 1 + 8;
/// The largest list that is written or read: some three million objects.
const LIST_LIMIT: u64 = 128 << 20;
/// Lists are read as long as they hold at most this many times the objects that are asked for.
const WORTH_READING: usize = 4;

/// At most this many lists are read: looking at the source costs less than opening more of them.
const LISTS: usize = 200;

/// Returns the list of a plan, whose sizes are those of the files at the target only if `as_stored`.
pub(crate) fn list(plan: &Plan, as_stored: bool) -> Option<Vec<u8>> {
    let known = plan
        .objects
        .iter()
        .filter(|added| as_stored || added.name.kind.is_metadata());
    let mut bytes = Vec::new();
    for added in known {
        bytes.extend_from_slice(added.name.checksum.as_bytes());
        bytes.push(added.name.kind as u8);
        bytes.extend_from_slice(&added.size.to_be_bytes());
    }
    (!bytes.is_empty() && bytes.len() as u64 <= LIST_LIMIT).then_some(bytes)
}

/// Returns the sizes that the lists of a target say for `names`, the last word of each; newest lists first.
pub(crate) fn sizes(store: &dyn Store, names: &[ObjectName]) -> Result<HashMap<ObjectName, u64>> {
    let mut sizes = HashMap::new();
    let mut budget = names.len().saturating_mul(WORTH_READING);
    let latest = latest_number(store)?.unwrap_or(0);
    for number in (1..=latest).rev().take(LISTS) {
        // A generation that added nothing has no list.
        let Some(bytes) = store.get(&added_path(number), LIST_LIMIT)? else {
            continue;
        };
        let Some(rest) = budget.checked_sub(bytes.len() / ENTRY) else {
            break;
        };
        budget = rest;
        for (name, size) in bytes.chunks_exact(ENTRY).filter_map(entry) {
            sizes.entry(name).or_insert(size);
        }
    }
    Ok(sizes)
}

fn entry(bytes: &[u8]) -> Option<(ObjectName, u64)> {
    let (checksum, rest) = bytes.split_first_chunk::<32>()?;
    let (kind, size) = rest.split_first()?;
    let name = ObjectName::new(
        Checksum::from_bytes(*checksum),
        ObjectType::from_number(*kind).ok()?,
    );
    Some((name, u64::from_be_bytes(size.try_into().ok()?)))
}
