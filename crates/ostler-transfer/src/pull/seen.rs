//! Which objects were met already, so that each is fetched once however often trees name it.
//!
//! What is only wanted to be there may have to be found sound later, by another commit: so an object is noted with how it was asked for.

use ostler_format::ObjectName;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Into how many maps the names are spread, so that threads rarely wait for each other.
const SHARDS: usize = 16;

/// A set of objects that threads share, each with whether damage of it was looked for.
#[derive(Debug)]
pub(super) struct Seen([Mutex<HashMap<ObjectName, bool>>; SHARDS]);

impl Seen {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }

    /// Notes an object; returns whether it was not noted before, or only without a look for damage where one is wanted now.
    pub(super) fn insert(&self, name: ObjectName, heals: bool) -> bool {
        let mut shard = self.shard(&name);
        match shard.get_mut(&name) {
            None => {
                shard.insert(name, heals);
                true
            }
            Some(before) if heals && !*before => {
                *before = true;
                true
            }
            Some(_) => false,
        }
    }

    /// Returns whether an object was noted already, with a look for damage where one is wanted.
    pub(super) fn covers(&self, name: &ObjectName, heals: bool) -> bool {
        self.shard(name).get(name).is_some_and(|before| *before || !heals)
    }

    fn shard(&self, name: &ObjectName) -> MutexGuard<'_, HashMap<ObjectName, bool>> {
        let [.., last] = name.checksum.as_bytes();
        let shard = self
            .0
            .get(usize::from(*last) % SHARDS)
            .expect("the index is below the number of shards");
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_format::{Checksum, ObjectType};

    #[test]
    fn a_look_for_damage_is_not_covered_by_a_look_without() {
        let seen = Seen::new();
        let name = ObjectName::new(Checksum::of(b"x"), ObjectType::File);
        assert!(!seen.covers(&name, false));
        assert!(seen.insert(name, false));
        assert!(!seen.insert(name, false));
        assert!(seen.covers(&name, false) && !seen.covers(&name, true));
        assert!(seen.insert(name, true));
        assert!(!seen.insert(name, true) && !seen.insert(name, false));
        assert!(seen.covers(&name, false) && seen.covers(&name, true));
    }
}
