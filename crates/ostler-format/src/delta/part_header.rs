//! What a superblock says of each part, and of each object that is not in any part.
//!
//! | | shape | members |
//! |---|---|---|
//! | part | `(uayttay)` | version (0), SHA-256 of the part's file, its size, sum of the sizes of its objects, the objects |
//! | fallback | `(yaytt)` | type (1: content), checksum, size of the compressed object, size of its content |
//!
//! Version and sizes are in the superblock's [byte order](ByteOrder), sizes in bytes. The objects of a part are entries of
//! 33 bytes: type and checksum, in the order in which the part's operations make them. Refused are other versions, types
//! of objects that are not addressed by what they hold, metadata as fallback, and commits: the one that a delta leads to stands in
//! the superblock, where its signatures are checked, and any other would arrive without a check.

use super::byte_order::ByteOrder;
use crate::checksum::Checksum;
use crate::error::{FormatError, Result};
use crate::gvariant::framing::{ArrayReader, ArrayWriter, TupleReader, fixed_elements};
use crate::object::{ObjectName, ObjectType};

const WHAT: &str = "superblock";
const OBJECT_ENTRY: usize = 33;
/// The one version of parts that there is.
const VERSION: u32 = 0;

/// What a superblock says of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartHeader {
    /// The SHA-256 of the part's file, the byte of its compression included. Of no meaning for inline parts.
    pub checksum: Checksum,
    /// The size of the part's file in bytes.
    pub size: u64,
    /// The sum of the sizes of its objects, uncompressed.
    pub unpacked: u64,
    /// What the part makes, in that order.
    pub objects: Vec<ObjectName>,
}

/// An object that is in no part: to be fetched by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fallback {
    /// The content object.
    pub checksum: Checksum,
    /// Its size as an archive stores it.
    pub size: u64,
    /// The size of its content.
    pub unpacked: u64,
}

impl PartHeader {
    fn read(bytes: &[u8], order: ByteOrder) -> Result<Self> {
        let mut tuple = TupleReader::new(WHAT, bytes);
        let version = order.u32(number(tuple.fixed(4, 4)?)?);
        if version != VERSION {
            return Err(invalid(format!("a part of version {version}")));
        }
        Ok(Self {
            checksum: Checksum::from_slice(tuple.variable(1)?)?,
            size: order.u64(number(tuple.fixed(8, 8)?)?),
            unpacked: order.u64(number(tuple.fixed(8, 8)?)?),
            objects: fixed_elements(WHAT, tuple.last(1)?, OBJECT_ENTRY)?
                .map(read_object)
                .collect::<Result<_>>()?,
        })
    }

    /// Reads `a(uayttay)`.
    pub(super) fn read_all(bytes: &[u8], order: ByteOrder) -> Result<Vec<Self>> {
        ArrayReader::new(WHAT, bytes, 8)?
            .map(|part| Self::read(part?, order))
            .collect()
    }

    pub(super) fn write(&self, array: &mut ArrayWriter<'_>, order: ByteOrder) {
        array.tuple(|tuple| {
            tuple.fixed(4, &order.u32_bytes(VERSION));
            tuple.bytes(self.checksum.as_bytes());
            tuple.fixed(8, &order.u64_bytes(self.size));
            tuple.fixed(8, &order.u64_bytes(self.unpacked));
            let mut objects = Vec::with_capacity(self.objects.len() * OBJECT_ENTRY);
            for object in &self.objects {
                objects.push(object.kind as u8);
                objects.extend_from_slice(object.checksum.as_bytes());
            }
            tuple.bytes(&objects);
        });
    }
}

impl Fallback {
    fn read(bytes: &[u8], order: ByteOrder) -> Result<Self> {
        let mut tuple = TupleReader::new(WHAT, bytes);
        if tuple.byte()? != ObjectType::File as u8 {
            return Err(invalid("metadata among the objects to be fetched by themselves"));
        }
        let fallback = Self {
            checksum: Checksum::from_slice(tuple.variable(1)?)?,
            size: order.u64(number(tuple.fixed(8, 8)?)?),
            unpacked: order.u64(number(tuple.fixed(8, 8)?)?),
        };
        tuple.finish()?;
        Ok(fallback)
    }

    /// Reads `a(yaytt)`.
    pub(super) fn read_all(bytes: &[u8], order: ByteOrder) -> Result<Vec<Self>> {
        ArrayReader::new(WHAT, bytes, 8)?
            .map(|fallback| Self::read(fallback?, order))
            .collect()
    }

    pub(super) fn write(&self, array: &mut ArrayWriter<'_>, order: ByteOrder) {
        array.tuple(|tuple| {
            tuple.byte(ObjectType::File as u8);
            tuple.bytes(self.checksum.as_bytes());
            tuple.fixed(8, &order.u64_bytes(self.size));
            tuple.fixed(8, &order.u64_bytes(self.unpacked));
        });
    }
}

fn read_object(entry: &[u8]) -> Result<ObjectName> {
    let (kind, checksum) = entry
        .split_first()
        .ok_or_else(|| invalid("an object without type"))?;
    match ObjectType::from_number(*kind)? {
        kind @ (ObjectType::File | ObjectType::DirTree | ObjectType::DirMeta) => {
            Ok(ObjectName::new(Checksum::from_slice(checksum)?, kind))
        }
        kind => Err(invalid(format!("a part that makes an object of type {kind}"))),
    }
}

fn number<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes
        .first_chunk()
        .copied()
        .ok_or_else(|| invalid("a number is cut short"))
}

fn invalid(rule: impl Into<String>) -> FormatError {
    FormatError::invalid(WHAT, rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_files_and_directories_but_no_commits() {
        for (kind, allowed) in [
            (ObjectType::File, true),
            (ObjectType::DirTree, true),
            (ObjectType::DirMeta, true),
            (ObjectType::Commit, false),
            (ObjectType::CommitMeta, false),
        ] {
            let mut entry = vec![kind as u8];
            entry.extend_from_slice(Checksum::of(b"object").as_bytes());
            assert_eq!(read_object(&entry).is_ok(), allowed, "{kind}");
        }
    }
}
