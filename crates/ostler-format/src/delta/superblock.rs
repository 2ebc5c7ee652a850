//! Superblocks of static deltas.
//!
//! Shape `(a{sv}tayay(a{sv}aya(say)sstayay)aya(uayttay)a(yaytt))`: metadata, time of making in seconds since the epoch
//! (big endian), checksum of the commit from which it leads (0 or 32 bytes), of the one to which it leads, that commit
//! itself, deltas on which it depends (nobody writes any: refused), [parts](PartHeader), [fallbacks](Fallback).
//!
//! Metadata beside that of whoever made it: [`ByteOrder::KEY`]; parts that lie in the superblock itself, `(yay)` of
//! compression and bytes under `<path of the delta>/<number>`; the detached metadata that the commit had when the
//! delta was made, `a{sv}` under `<path of the delta>/commitmeta`.
//!
//! Refused beside what is not in normal form: a commit that has not the checksum under which it is named.

use super::byte_order::ByteOrder;
use super::part::Compression;
use super::part_header::{Fallback, PartHeader};
use super::path::DeltaName;
use crate::checksum::Checksum;
use crate::error::{FormatError, Result};
use crate::gvariant::framing::{TupleReader, TupleWriter};
use crate::gvariant::{Type, Value, VarDict};
use crate::limits::{MAX_METADATA_SIZE, check_size};

const WHAT: &str = "superblock";

/// The superblock of a static delta.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// Metadata, in the order stored: inline parts and detached metadata included.
    pub metadata: VarDict,
    /// When the delta was made, in seconds since the epoch.
    pub timestamp: u64,
    /// The commit that the receiver has; none for a delta from nothing.
    pub from: Option<Checksum>,
    /// The commit that it gets.
    pub to: Checksum,
    /// The bytes of that commit.
    pub commit: Vec<u8>,
    /// The parts, by number.
    pub parts: Vec<PartHeader>,
    /// Content objects that are in no part.
    pub fallbacks: Vec<Fallback>,
    /// The byte order of versions and sizes.
    pub byte_order: ByteOrder,
}

/// A part that lies in the superblock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InlinePart<'a> {
    /// How `bytes` are compressed.
    pub compression: Compression,
    /// The part.
    pub bytes: &'a [u8],
}

impl Superblock {
    /// Reads the bytes of a superblock: at most [`MAX_METADATA_SIZE`], which is what clients fetch.
    ///
    /// # Errors
    /// [`FormatError`] for what is not in normal form or breaks a rule of the module.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        Self::parse_up_to(bytes, MAX_METADATA_SIZE)
    }

    /// Reads the bytes of a superblock that is no larger than `limit`: for files with inline parts that do not come over
    /// the net.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_up_to(bytes: &[u8], limit: u64) -> Result<Self> {
        check_size(WHAT, bytes.len() as u64, limit)?;
        let mut tuple = TupleReader::new(WHAT, bytes);
        let metadata = VarDict::from_bytes(tuple.variable(8)?)?;
        let timestamp = tuple.u64_be()?;
        let from = match tuple.variable(1)? {
            [] => None,
            from => Some(Checksum::from_slice(from)?),
        };
        let to = Checksum::from_slice(tuple.variable(1)?)?;
        let commit = tuple.variable(8)?;
        if Checksum::of(commit) != to {
            return Err(invalid(format!(
                "the commit in it is not {to}, to which it leads"
            )));
        }
        if !tuple.variable(1)?.is_empty() {
            return Err(invalid("it depends on other deltas"));
        }
        let (parts, fallbacks) = (tuple.variable(8)?, tuple.last(8)?);
        let stated = ByteOrder::stated(&metadata)?;
        let read = |order| {
            Ok((
                PartHeader::read_all(parts, order)?,
                Fallback::read_all(fallbacks, order)?,
            ))
        };
        let mut byte_order = stated.unwrap_or(ByteOrder::Little);
        let (mut parts, mut fallbacks) = read(byte_order)?;
        if stated.is_none() && ByteOrder::looks_swapped(&parts, &fallbacks) {
            byte_order = byte_order.swapped();
            (parts, fallbacks) = read(byte_order)?;
        }
        Ok(Self {
            metadata,
            timestamp,
            from,
            to,
            commit: commit.to_vec(),
            parts,
            fallbacks,
            byte_order,
        })
    }

    /// Returns the bytes of the superblock. Metadata is written as it is: [`ByteOrder::KEY`] is the caller's to set.
    pub fn to_bytes(&self) -> Vec<u8> {
        TupleWriter::encode(|tuple| {
            tuple.variable(8, &self.metadata.to_bytes());
            tuple.u64_be(self.timestamp);
            tuple.bytes(self.from.as_ref().map_or(&[], |from| from.as_bytes().as_slice()));
            tuple.bytes(self.to.as_bytes());
            tuple.variable(8, &self.commit);
            tuple.bytes(&[]);
            tuple.array(8, |parts| {
                for part in &self.parts {
                    part.write(parts, self.byte_order);
                }
            });
            tuple.array(8, |fallbacks| {
                for fallback in &self.fallbacks {
                    fallback.write(fallbacks, self.byte_order);
                }
            });
        })
    }

    /// Returns the name of the delta.
    pub const fn name(&self) -> DeltaName {
        DeltaName {
            from: self.from,
            to: self.to,
        }
    }

    /// Returns whether the byte order was guessed from the sizes.
    pub fn byte_order_is_guessed(&self) -> bool {
        self.metadata.get(ByteOrder::KEY).is_none()
    }

    /// Returns the key of a part that lies in the superblock.
    pub fn inline_key(name: &DeltaName, index: usize) -> String {
        format!("{}/{index}", name.path())
    }

    /// Returns the value for the key of a part that lies in the superblock.
    pub fn inline_value(compression: Compression, bytes: Vec<u8>) -> Value {
        Value::Tuple(vec![Value::Byte(compression.to_byte()), Value::Bytes(bytes)])
    }

    /// Returns a part that lies in the superblock; `None` where the part is a file.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] for another type than `(yay)` and for a compression that nobody knows.
    pub fn inline_part(&self, index: usize) -> Result<Option<InlinePart<'_>>> {
        let Some(value) = self.metadata.get(&Self::inline_key(&self.name(), index)) else {
            return Ok(None);
        };
        let Value::Tuple(members) = value else {
            return Err(invalid("a part in it is not of type (yay)"));
        };
        let [Value::Byte(compression), Value::Bytes(bytes)] = members.as_slice() else {
            return Err(invalid("a part in it is not of type (yay)"));
        };
        Ok(Some(InlinePart {
            compression: Compression::from_byte(*compression)?,
            bytes,
        }))
    }

    /// Returns the key of the detached metadata.
    pub fn detached_key(name: &DeltaName) -> String {
        format!("{}/commitmeta", name.path())
    }

    /// Returns the detached metadata that the commit had when the delta was made, if it had any.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] for another type than `a{sv}`.
    pub fn detached_metadata(&self) -> Result<Option<VarDict>> {
        let Some(value) = self.metadata.get(&Self::detached_key(&self.name())) else {
            return Ok(None);
        };
        if value.ty() != Type::vardict() {
            return Err(invalid("the detached metadata in it is not of type a{sv}"));
        }
        VarDict::from_bytes(&value.to_bytes()).map(Some)
    }
}

fn invalid(rule: impl Into<String>) -> FormatError {
    FormatError::invalid(WHAT, rule)
}
