//! Metadata objects, many in one message.
//!
//! Shape of the message: encoding (1: 0 plain, 1 deflated), length of the entries when plain (4), the entries in that encoding.
//! Shape of an entry: type of the object (1), checksum (32), length (4), bytes. Detached metadata of no bytes says that a commit
//! has none. The entries have at most [`MAX_BATCH`] bytes, whatever their length in the message: who inflates them makes room for
//! the length that is given, and refuses what does not fill it exactly.

use super::cursor::{Cursor, put_object};
use crate::error::{FormatError, Result};
use crate::limits::check_size;
use crate::object::{ObjectName, ObjectType};

/// The most bytes of the entries of a batch, when plain.
pub const MAX_BATCH: usize = 1 << 20;

/// How the entries of a batch are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Encoding {
    /// As they are.
    Plain = 0,
    /// As one stream of raw deflate.
    Deflate = 1,
}

/// A batch as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// How the entries are written.
    pub encoding: Encoding,
    /// The length of the entries when plain.
    pub length: usize,
    /// The entries in that encoding.
    pub body: Vec<u8>,
}

/// A metadata object of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchEntry<'a> {
    /// Its name.
    pub name: ObjectName,
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl Batch {
    /// Appends an entry to the plain entries of a batch.
    pub fn push(entries: &mut Vec<u8>, name: &ObjectName, bytes: &[u8]) {
        put_object(entries, name);
        entries.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        entries.extend_from_slice(bytes);
    }

    /// Returns how many bytes an object with so many bytes takes among the entries.
    pub const fn entry_length(bytes: usize) -> usize {
        1 + 32 + 4 + bytes
    }

    /// Reads plain entries.
    ///
    /// # Errors
    /// [`FormatError`] for content, and for entries that end within a field.
    pub fn entries(plain: &[u8]) -> Result<Vec<BatchEntry<'_>>> {
        check_size("batch", plain.len() as u64, MAX_BATCH as u64)?;
        Cursor::new(plain).all(|cursor| {
            let name = cursor.object()?;
            if name.kind == ObjectType::File {
                return Err(FormatError::invalid("batch", "content has a message of its own"));
            }
            let length = usize::try_from(cursor.number32()?).unwrap_or(usize::MAX);
            let bytes = cursor.take(length)?;
            Ok(BatchEntry { name, bytes })
        })
    }

    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self> {
        let encoding = match cursor.byte()? {
            0 => Encoding::Plain,
            1 => Encoding::Deflate,
            other => return Err(FormatError::invalid("batch", format!("unknown encoding {other}"))),
        };
        let length = u64::from(cursor.number32()?);
        check_size("batch", length, MAX_BATCH as u64)?;
        let body = cursor.rest().to_vec();
        if encoding == Encoding::Plain && body.len() as u64 != length {
            return Err(FormatError::invalid(
                "batch",
                "its length is not that of its entries",
            ));
        }
        Ok(Self {
            encoding,
            length: usize::try_from(length).unwrap_or(MAX_BATCH),
            body,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(self.encoding as u8);
        out.extend_from_slice(&u32::try_from(self.length).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&self.body);
    }
}
