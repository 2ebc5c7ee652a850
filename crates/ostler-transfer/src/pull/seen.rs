//! Which objects were met already, so that each is fetched once however often trees name it.

use ostler_format::ObjectName;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Into how many sets the names are spread, so that threads rarely wait for each other.
const SHARDS: usize = 16;

/// A set of objects that threads share.
#[derive(Debug)]
pub(super) struct Seen([Mutex<HashSet<ObjectName>>; SHARDS]);

impl Seen {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }

    /// Notes an object; returns whether it was not noted before.
    pub(super) fn insert(&self, name: ObjectName) -> bool {
        let [.., last] = name.checksum.as_bytes();
        let shard = self
            .0
            .get(usize::from(*last) % SHARDS)
            .expect("the index is below the number of shards");
        shard.lock().unwrap_or_else(PoisonError::into_inner).insert(name)
    }
}
