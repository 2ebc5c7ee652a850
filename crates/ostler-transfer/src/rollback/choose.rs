//! Which generation a rollback goes to, and which refs that moves.

use crate::error::{Result, TransferError};
use crate::generation::Generation;
use crate::inventory::Inventory;
use crate::past::{Past, ref_differences};
use crate::plan::RefUpdate;
use crate::refs;
use crate::store::Store;
use ostler_format::{Checksum, CollectionRef};
use std::collections::{BTreeMap, BTreeSet};

/// Returns the generation that is asked for, or the newest with other refs than these before the one that stands. A record
/// of a flip that never happened stands for nothing, so that it is not gone back to unless it is asked for.
pub(super) fn generation<'p>(
    store: &dyn Store,
    past: &'p Past,
    present: &BTreeMap<String, String>,
    asked: Option<u64>,
) -> Result<&'p Generation> {
    if let Some(number) = asked {
        return past.generation(store, number);
    }
    let standing = past.standing(present).map_or(u64::MAX, |record| record.number);
    let mut earlier = past.generations.iter().rev();
    earlier
        .find(|record| record.number < standing && record.refs != *present)
        .ok_or_else(|| TransferError::NothingEarlier {
            target: store.describe(),
        })
}

/// Names the refs that are not as the last generation left them; none, if all are as some generation left them.
pub(super) fn changed_since(past: &Past, present: &BTreeMap<String, String>) -> Vec<String> {
    match past.generations.last() {
        Some(last) if past.standing(present).is_none() => {
            let differences = ref_differences(&last.refs, present).into_iter();
            differences.map(|difference| difference.name).collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the refs that have to move, and all refs afterwards. An alias moves with the ref that it stands for, and is
/// replaced only if that leads elsewhere.
pub(super) fn updates(
    before: &Inventory,
    wanted: &BTreeMap<CollectionRef, Checksum>,
) -> (Vec<RefUpdate>, BTreeMap<CollectionRef, Checksum>) {
    let names: BTreeSet<_> = before.refs.keys().chain(wanted.keys()).collect();
    let update = |name: &CollectionRef| RefUpdate {
        name: name.clone(),
        old: before.refs.get(name).copied(),
        new: wanted.get(name).copied(),
        damaged: before.damaged.get(name).copied(),
    };
    let is_alias = |name: &&&CollectionRef| before.aliases.contains_key(**name);
    let moves = |update: &RefUpdate| update.old != update.new;
    let plain = names.iter().filter(|name| !is_alias(name));
    let mut updates: Vec<_> = plain.map(|name| update(name)).filter(moves).collect();
    let mut aliases = before.aliases.clone();
    let moved = refs::after(&before.refs, &aliases, &updates);
    for name in names.iter().filter(is_alias) {
        if moved.get(*name) != wanted.get(*name) {
            aliases.remove(*name);
            updates.push(update(name));
        }
    }
    updates.sort_by(|a, b| a.name.cmp(&b.name));
    let after = refs::after(&before.refs, &aliases, &updates);
    (updates, after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, commit)| ((*name).to_owned(), (*commit).to_owned()))
            .collect()
    }

    fn past(generations: &[&[(&str, &str)]]) -> Past {
        let records = generations.iter().zip(1..).map(|(pairs, number)| Generation {
            number,
            time: 0,
            who: String::new(),
            refs: refs(pairs),
            summary: None,
            added_objects: 0,
            added_bytes: 0,
            rolled_back_to: None,
        });
        Past {
            generations: records.collect(),
            pinned: BTreeSet::new(),
        }
    }

    #[test]
    fn default_is_the_newest_earlier_one_with_other_refs() {
        let store = crate::MemoryStore::default();
        let (a, b, c) = ([("x", "a")], [("x", "b")], [("x", "c")]);
        let chosen = |past: &Past, present: &[(&str, &str)]| {
            let found = generation(&store, past, &refs(present), None);
            found.map(|record| record.number).ok()
        };
        assert_eq!(chosen(&past(&[&a, &b]), &b), Some(1));
        assert_eq!(
            chosen(&past(&[&a, &b, &b]), &b),
            Some(1),
            "only the summary changed"
        );
        assert_eq!(chosen(&past(&[&a, &b, &a]), &a), Some(2), "rolled back before");
        assert_eq!(
            chosen(&past(&[&a, &b, &c]), &b),
            Some(1),
            "the last never happened"
        );
        assert_eq!(
            chosen(&past(&[&a, &b]), &c),
            Some(2),
            "somebody else moved the ref"
        );
        assert_eq!(chosen(&past(&[&a]), &a), None);
        assert_eq!(chosen(&past(&[]), &a), None);
    }

    #[test]
    fn what_no_generation_left_so_was_changed_by_somebody_else() {
        let (a, b) = ([("x", "a")], [("x", "b"), ("y", "b")]);
        let past = past(&[&a, &b]);
        assert_eq!(changed_since(&past, &refs(&b)), Vec::<String>::new());
        assert_eq!(changed_since(&past, &refs(&a)), Vec::<String>::new());
        assert_eq!(changed_since(&past, &refs(&[("x", "c"), ("y", "b")])), ["x"]);
        assert_eq!(changed_since(&past, &refs(&[("x", "b")])), ["y"]);
    }
}
