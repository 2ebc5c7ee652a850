//! What each generation added: objects with the sizes of their files at the target.
//!
//! A list (see [`ostler_format::push_list_entry`]) is in the order of putting. It says what a mirror has to fetch, and how
//! large an object at the target must be, so that a look at it needs no look at the source's copy. A list is no proof that
//! an object is there, and one that is missing or malformed costs those looks and nothing else.

use crate::check::in_parallel;
use crate::error::Result;
use crate::generation::{added_path, latest_number};
use crate::plan::{Addition, Plan};
use crate::store::Store;
use ostler_format::{LIST_ENTRY, ObjectName, list_entries, push_list_entry};
use std::collections::HashMap;

/// The largest list that is written or read: some three million objects.
const LIST_LIMIT: u64 = 128 << 20;
/// Lists are read as long as they hold at most this many times the objects that are asked for,
const WORTH_READING: usize = 4;

/// or as many objects as are read in some hundredths of a second: where a source stores content otherwise, nothing else says how
/// large an object of the target must be.
const ALWAYS_READ: usize = 1 << 18;

/// At most this many lists are read: looking at the source costs less than opening more of them.
const LISTS: usize = 200;

/// Returns the list of a plan that has been settled. Unless the source's files are `as_stored` at the target, content is
/// looked at there: it was compressed on the way.
pub(crate) fn list(plan: &Plan, store: &dyn Store, as_stored: bool) -> Result<Option<Vec<u8>>> {
    let is_known = |added: &&Addition| as_stored || added.name.kind.is_metadata();
    let compressed: Vec<_> = plan.objects.iter().filter(|added| !is_known(added)).collect();
    let looked = in_parallel(store, &compressed, |added| {
        Ok(store.look(&added.name)?.map(|size| (added.name, size)))
    })?;
    let looked: HashMap<_, _> = looked.into_iter().collect();
    let mut bytes = Vec::new();
    for added in &plan.objects {
        let size = if is_known(&added) {
            Some(&added.size)
        } else {
            looked.get(&added.name)
        };
        if let Some(size) = size {
            push_list_entry(&mut bytes, &added.name, *size);
        }
    }
    let fits = !bytes.is_empty() && bytes.len() as u64 <= LIST_LIMIT;
    Ok(fits.then_some(bytes))
}

/// Returns for each of some objects the size that the lists of a target say last, 0 where they say none; newest lists first,
/// until they are long beside the number of objects that are asked for.
pub(crate) fn sizes(store: &dyn Store, wanted: &[ObjectName]) -> Result<Vec<u64>> {
    let mut sizes = vec![0; wanted.len()];
    if wanted.is_empty() {
        return Ok(sizes);
    }
    let index = Index::new(wanted);
    let mut budget = wanted.len().saturating_mul(WORTH_READING).max(ALWAYS_READ);
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
            let known = index.find(&name).and_then(|place| sizes.get_mut(place));
            if let Some(known) = known.filter(|known| **known == 0) {
                *known = size;
            }
        }
    }
    Ok(sizes)
}

/// Where each of some objects stands, found by the beginning of its checksum: 16 bytes an object.
struct Index<'a> {
    wanted: &'a [ObjectName],
    places: Vec<(u64, usize)>,
}

impl<'a> Index<'a> {
    fn new(wanted: &'a [ObjectName]) -> Self {
        let mut places: Vec<_> = (0..)
            .zip(wanted)
            .map(|(place, name)| (beginning(name), place))
            .collect();
        places.sort_unstable();
        Self { wanted, places }
    }

    fn find(&self, name: &ObjectName) -> Option<usize> {
        let key = beginning(name);
        let from = self.places.partition_point(|(known, _)| *known < key);
        let rest = self.places.get(from..).unwrap_or_default();
        let near = rest.iter().take_while(|(known, _)| *known == key);
        let is_it = |place: &usize| self.wanted.get(*place).is_some_and(|wanted| wanted == name);
        near.map(|(_, place)| *place).find(is_it)
    }
}

fn beginning(name: &ObjectName) -> u64 {
    let first = name.checksum.as_bytes().first_chunk().copied();
    u64::from_be_bytes(first.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_format::{Checksum, ObjectType};

    #[test]
    fn objects_are_found_by_their_whole_names() {
        let mut near = *Checksum::of(b"1").as_bytes();
        near[31] ^= 1;
        let checksums = [Checksum::of(b"1"), Checksum::of(b"2"), Checksum::from_bytes(near)];
        let name = |checksum: &Checksum, kind| ObjectName::new(*checksum, kind);
        let listed: Vec<_> = checksums
            .iter()
            .flat_map(|checksum| [ObjectType::File, ObjectType::DirTree].map(|kind| name(checksum, kind)))
            .collect();
        let index = Index::new(&listed);
        for (place, name) in listed.iter().enumerate() {
            assert_eq!(index.find(name), Some(place));
        }
        assert_eq!(index.find(&name(&checksums[0], ObjectType::Commit)), None);
        assert_eq!(index.find(&name(&Checksum::of(b"3"), ObjectType::File)), None);
    }
}
