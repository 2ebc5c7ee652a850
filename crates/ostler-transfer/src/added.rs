//! What each generation added: objects with the sizes of their files at the target.
//!
//! A list (see [`ostler_format::push_list_entry`]) is in the order of putting. It says what a mirror has to fetch, and how
//! large an object at the target must be, so that a look at it needs no look at the source's copy. A list is no proof that
//! an object is there, and one that is missing or malformed costs those looks and nothing else.

use crate::error::Result;
use crate::generation::{added_path, latest_number};
use crate::plan::Plan;
use crate::store::Store;
use ostler_format::{LIST_ENTRY, ObjectName, list_entries, push_list_entry};
use std::collections::HashMap;

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
        push_list_entry(&mut bytes, &added.name, added.size);
    }
    (!bytes.is_empty() && bytes.len() as u64 <= LIST_LIMIT).then_some(bytes)
}

/// Returns the sizes that the lists of a target say, the last word of each; newest lists first, until they are long beside
/// the number of objects that are asked for.
pub(crate) fn sizes(store: &dyn Store, wanted: usize) -> Result<HashMap<ObjectName, u64>> {
    let mut sizes = HashMap::new();
    let mut budget = wanted.saturating_mul(WORTH_READING);
    let latest = latest_number(store)?.unwrap_or(0);
    for number in (1..=latest).rev().take(LISTS) {
        // A generation that added nothing has no list.
        let Some(bytes) = store.get(&added_path(number), LIST_LIMIT)? else {
            continue;
        };
        let Some(rest) = budget.checked_sub(bytes.len() / LIST_ENTRY) else {
            break;
        };
        budget = rest;
        for (name, size) in list_entries(&bytes) {
            sizes.entry(name).or_insert(size);
        }
    }
    Ok(sizes)
}
