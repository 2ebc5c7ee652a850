//! The `ostree.sizes` metadata of a commit: how much a pull of it has to fetch.
//!
//! Shape `aay`, sorted by checksum, an entry for each object of the commit but the commit itself:
//!
//! ```text
//! 32 bytes checksum | varint archived | varint unpacked | 1 byte object type
//! ```
//!
//! *archived* is the size in bytes of the object as an archive repository stores it, *unpacked* that of its content
//! (the length of the target for symbolic links); both are equal for metadata. Commits older than 2020 lack the
//! type, and say nothing of metadata: such entries are read as files.
//!
//! Refused are entries that end early or go on, varints that [`read_varint`] refuses, unknown types, and lists
//! that are not strictly sorted.

use crate::checksum::Checksum;
use crate::error::{FormatError, Result};
use crate::gvariant::{Type, Value};
use crate::object::ObjectType;
use crate::varint::{read_varint, write_varint};

const WHAT: &str = "ostree.sizes";

/// The sizes of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SizeEntry {
    /// The object's checksum.
    pub checksum: Checksum,
    /// The object's type.
    pub kind: ObjectType,
    /// Bytes that it takes in an archive repository.
    pub archived: u64,
    /// Bytes of its content.
    pub unpacked: u64,
}

impl SizeEntry {
    /// Reads one entry.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] as the module says.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let short = || FormatError::invalid(WHAT, "entry ends within the checksum");
        let (checksum, rest) = bytes.split_at_checked(32).ok_or_else(short)?;
        let (archived, rest) = read_varint(rest)?;
        let (unpacked, rest) = read_varint(rest)?;
        let kind = match rest {
            [] => ObjectType::File,
            [number] => ObjectType::from_number(*number)?,
            _ => return Err(FormatError::invalid(WHAT, "bytes after the entry")),
        };
        Ok(Self {
            checksum: Checksum::from_slice(checksum)?,
            kind,
            archived,
            unpacked,
        })
    }

    /// Returns the bytes of the entry, in the present form that has the type.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.checksum.as_bytes().to_vec();
        write_varint(&mut bytes, self.archived);
        write_varint(&mut bytes, self.unpacked);
        bytes.push(self.kind as u8);
        bytes
    }
}

/// The sizes of all objects of a commit, strictly sorted by checksum.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectSizes(Vec<SizeEntry>);

impl ObjectSizes {
    /// The key in the metadata of a commit.
    pub const KEY: &'static str = "ostree.sizes";

    /// Sorts entries.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] if a checksum occurs twice.
    pub fn new(mut entries: Vec<SizeEntry>) -> Result<Self> {
        entries.sort_unstable_by_key(|entry| entry.checksum);
        Self::from_sorted(entries)
    }

    fn from_sorted(entries: Vec<SizeEntry>) -> Result<Self> {
        if entries.is_sorted_by(|a, b| a.checksum < b.checksum) {
            return Ok(Self(entries));
        }
        Err(FormatError::invalid(WHAT, "not strictly sorted by checksum"))
    }

    /// Returns the entries by checksum.
    pub fn entries(&self) -> &[SizeEntry] {
        &self.0
    }

    /// Reads the value of the key.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] as the module says.
    pub fn from_value(value: &Value) -> Result<Self> {
        let wrong = || FormatError::invalid(WHAT, "not of type aay");
        let Value::Array(_, items) = value else {
            return Err(wrong());
        };
        let entries = items.iter().map(|item| match item {
            Value::Bytes(bytes) => SizeEntry::parse(bytes),
            _ => Err(wrong()),
        });
        Self::from_sorted(entries.collect::<Result<_>>()?)
    }

    /// Returns the value for the key.
    pub fn to_value(&self) -> Value {
        let items = self.0.iter().map(|entry| Value::Bytes(entry.to_bytes()));
        Value::Array(Type::bytes(), items.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &[u8], kind: ObjectType, archived: u64, unpacked: u64) -> SizeEntry {
        SizeEntry {
            checksum: Checksum::of(name),
            kind,
            archived,
            unpacked,
        }
    }

    #[test]
    fn entries_have_the_known_bytes() {
        for (entry, tail) in [
            (entry(b"a", ObjectType::DirMeta, 12, 12), &[0x0c, 0x0c, 3][..]),
            (entry(b"b", ObjectType::File, 50, 3), &[0x32, 3, 1]),
            (entry(b"c", ObjectType::DirTree, 37, 37), &[0x25, 0x25, 2]),
            (entry(b"d", ObjectType::File, 300, 0), &[0xac, 2, 0, 1]),
        ] {
            let bytes = entry.to_bytes();
            assert_eq!(&bytes[32..], tail);
            assert_eq!(SizeEntry::parse(&bytes), Ok(entry));
        }
    }

    #[test]
    fn an_entry_without_type_is_a_file() {
        let full = entry(b"a", ObjectType::File, 5, 6);
        let bytes = full.to_bytes();
        assert_eq!(SizeEntry::parse(&bytes[..34]), Ok(full));
    }

    #[test]
    fn damaged_entries_are_refused() {
        let bytes = entry(b"a", ObjectType::File, 300, 6).to_bytes();
        for length in 0..35 {
            assert!(SizeEntry::parse(&bytes[..length]).is_err(), "{length}");
        }
        assert!(SizeEntry::parse(&[&bytes[..], &[1]].concat()).is_err());
        assert!(SizeEntry::parse(&[&bytes[..35], &[10]].concat()).is_err());
    }

    #[test]
    fn lists_are_sorted_and_unique() {
        let (a, b) = (
            entry(b"a", ObjectType::File, 1, 1),
            entry(b"b", ObjectType::File, 1, 1),
        );
        let sizes = ObjectSizes::new(vec![a, b]).unwrap();
        assert_eq!(ObjectSizes::new(vec![b, a]), Ok(sizes.clone()));
        assert_eq!(ObjectSizes::from_value(&sizes.to_value()), Ok(sizes.clone()));
        assert!(ObjectSizes::new(vec![a, b, a]).is_err());
        let reversed: Vec<_> = sizes
            .entries()
            .iter()
            .rev()
            .map(|e| Value::Bytes(e.to_bytes()))
            .collect();
        let reversed = Value::Array(Type::bytes(), reversed);
        assert!(ObjectSizes::from_value(&reversed).is_err());
        assert!(ObjectSizes::from_value(&Value::Byte(1)).is_err());
    }
}
