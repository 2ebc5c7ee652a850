//! The record of a sweep that is under way: `extensions/ostler/sweeping`.
//!
//! ```text
//! "ostler-sweep 1\n"   number of objects (8 bytes, big endian)   the objects   paths, each with a NUL behind it   SHA-256
//! ```
//! The objects are entries of [`ostler_format::push_list_entry`] without sizes; the checksum is that of all before it.
//! It says where to go on after a crash, and is no reason to remove anything without a look. One that is damaged, or
//! that does not hold all since it would be too large, leaves garbage to the next prune.

use crate::error::Result;
use crate::report::Reporter;
use crate::store::{Edit, Expect, Store};
use ostler_format::{Checksum, LIST_ENTRY, ObjectName, list_entries, push_list_entry};

/// The directory of the record, and its path.
pub(super) const HOLDER: &str = "extensions/ostler";
pub(super) const PATH: &str = "extensions/ostler/sweeping";
const MAGIC: &[u8] = b"ostler-sweep 1\n";
/// The largest record: some three million objects.
const LIMIT: u64 = 128 << 20;
const OBJECTS: usize = 3_000_000;
const DIGEST: usize = 32;

/// What a sweep is about to remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) objects: Vec<ObjectName>,
    pub(super) files: Vec<String>,
}

/// Reads the record of a store; one that is damaged is reported, and empty.
pub(super) fn read(store: &dyn Store, reporter: &dyn Reporter) -> Result<Option<Record>> {
    let Some(bytes) = store.get(PATH, LIMIT)? else {
        return Ok(None);
    };
    let record = Record::parse(&bytes).unwrap_or_else(|| {
        reporter.note("the record of a sweep that was cut short is damaged; prune removes what it left");
        Record::default()
    });
    Ok(Some(record))
}

/// Returns the edit that removes the record.
pub(super) fn removal() -> Edit {
    Edit {
        path: PATH.to_owned(),
        expect: Expect::Any,
        new: None,
    }
}

impl Record {
    /// Returns the edit that makes the record.
    pub(super) fn edit(&self) -> Edit {
        Edit {
            path: PATH.to_owned(),
            expect: Expect::Any,
            new: Some(self.to_bytes()),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let objects = self.objects.get(..OBJECTS).unwrap_or(&self.objects);
        let mut bytes = Vec::with_capacity(MAGIC.len() + 8 + objects.len() * LIST_ENTRY + DIGEST);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&(objects.len() as u64).to_be_bytes());
        for name in objects {
            push_list_entry(&mut bytes, name, 0);
        }
        for path in &self.files {
            bytes.extend_from_slice(path.as_bytes());
            bytes.push(0);
        }
        let digest = Checksum::of(&bytes);
        bytes.extend_from_slice(digest.as_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (all, digest) = bytes.split_last_chunk::<DIGEST>()?;
        if Checksum::of(all).as_bytes() != digest {
            return None;
        }
        let (count, rest) = all.strip_prefix(MAGIC)?.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_be_bytes(*count))
            .ok()?
            .checked_mul(LIST_ENTRY)?;
        let (objects, paths) = rest.split_at_checked(length)?;
        let paths = paths.split_inclusive(|byte| *byte == 0);
        let path = |path: &[u8]| String::from_utf8(path.strip_suffix(&[0])?.to_vec()).ok();
        Some(Self {
            objects: list_entries(objects).map(|(name, _)| name).collect(),
            files: paths.map(path).collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_format::ObjectType;

    fn sample() -> Record {
        let name = |byte, kind| ObjectName::new(Checksum::from_bytes([byte; 32]), kind);
        Record {
            objects: vec![name(1, ObjectType::Commit), name(2, ObjectType::File)],
            files: vec!["deltas/ab/c/superblock".into(), "summaries/x.gz".into()],
        }
    }

    #[test]
    fn record_is_read_as_it_was_written() {
        for record in [sample(), Record::default()] {
            assert_eq!(Record::parse(&record.to_bytes()), Some(record));
        }
    }

    #[test]
    fn record_with_any_byte_changed_or_missing_is_none() {
        let bytes = sample().to_bytes();
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            assert_eq!(Record::parse(&changed), None, "byte {index}");
            assert_eq!(Record::parse(&bytes[..index]), None, "{index} bytes");
        }
    }
}
