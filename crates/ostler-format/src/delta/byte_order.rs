//! The byte order of the sizes in a superblock.
//!
//! Whoever makes a delta writes versions and sizes in the order of their machine and says which under
//! `ostree.endianness` (`y`: `l` or `B`). Deltas of before 2016 do not say; then the sizes tell: with the wrong order the
//! parts look as if they had grown by being compressed, or their objects as if they were enormous.

use super::part_header::{Fallback, PartHeader};
use crate::error::{FormatError, Result};
use crate::gvariant::{Value, VarDict};

const LITTLE: u8 = b'l';
const BIG: u8 = b'B';
/// A mean object larger than this is not believed.
const MEAN_OBJECT: u128 = 4 << 30;

/// The byte order of the sizes in a superblock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteOrder {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl ByteOrder {
    /// The key in the metadata of a superblock.
    pub const KEY: &'static str = "ostree.endianness";

    /// Returns the value for the key.
    pub const fn to_value(self) -> Value {
        Value::Byte(match self {
            Self::Little => LITTLE,
            Self::Big => BIG,
        })
    }

    /// Returns the order that the metadata of a superblock states, if any.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] for another value than `l` and `B`.
    pub fn stated(metadata: &VarDict) -> Result<Option<Self>> {
        match metadata.get(Self::KEY) {
            None => Ok(None),
            Some(Value::Byte(LITTLE)) => Ok(Some(Self::Little)),
            Some(Value::Byte(BIG)) => Ok(Some(Self::Big)),
            Some(_) => Err(FormatError::invalid("superblock", "unknown byte order")),
        }
    }

    /// Returns the opposite.
    #[must_use]
    pub const fn swapped(self) -> Self {
        match self {
            Self::Little => Self::Big,
            Self::Big => Self::Little,
        }
    }

    /// Returns whether sizes read as little endian can hardly be meant so.
    pub(super) fn looks_swapped(parts: &[PartHeader], fallbacks: &[Fallback]) -> bool {
        let mut stored = 0_u128;
        let mut unpacked = 0_u128;
        let mut objects = 0_u128;
        for part in parts {
            stored += u128::from(part.size);
            unpacked += u128::from(part.unpacked);
            objects += part.objects.len() as u128;
        }
        for fallback in fallbacks {
            stored += u128::from(fallback.size);
            unpacked += u128::from(fallback.unpacked);
            objects += 1;
        }
        // Compressed to more than 1.2 times what it was.
        let grown = stored * 5 > unpacked * 6 && unpacked > 0;
        grown || unpacked > objects * MEAN_OBJECT
    }

    pub(super) const fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    pub(super) const fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        }
    }

    pub(super) const fn u32_bytes(self, value: u32) -> [u8; 4] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    pub(super) const fn u64_bytes(self, value: u64) -> [u8; 8] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }
}
