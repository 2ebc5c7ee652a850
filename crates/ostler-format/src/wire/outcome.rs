//! What became of a push.

use super::MAX_TEXT;
use super::cursor::{Cursor, put_name, put_text};
use crate::error::{FormatError, Result};
use crate::names::RefName;

/// How one ref fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Ruling {
    /// It is what it was to become, on disk (or would be, where that was only tried).
    Accepted = 0,
    /// It is what it was, for the reason that is given.
    Refused = 1,
    /// It is what it was, because another ref of the same push was refused.
    NotTried = 2,
}

/// What became of one ref.
///
/// Shape: length of the name (2), name, ruling (1), length of the reason (2), reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The ref.
    pub name: RefName,
    /// How it fared.
    pub ruling: Ruling,
    /// Why, as a clause that follows the name; empty for what was accepted.
    pub reason: String,
}

/// The last message of a push.
///
/// Shape: whether a generation was made (1), its number (8), objects (8) and bytes (8) that the repository has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Finished {
    /// The number of the generation that the push made, if it made one.
    pub generation: Option<u64>,
    /// Objects that the repository has got.
    pub objects: u64,
    /// Their bytes, as they are stored.
    pub bytes: u64,
}

impl Verdict {
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self> {
        Ok(Self {
            name: cursor.name()?,
            ruling: match cursor.byte()? {
                0 => Ruling::Accepted,
                1 => Ruling::Refused,
                2 => Ruling::NotTried,
                other => return Err(FormatError::invalid("verdict", format!("unknown ruling {other}"))),
            },
            reason: cursor.text(MAX_TEXT)?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put_name(out, &self.name);
        out.push(self.ruling as u8);
        put_text(out, &self.reason, MAX_TEXT);
    }
}

impl Finished {
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self> {
        let generation = match (cursor.flag()?, cursor.number64()?) {
            (true, number) => Some(number),
            (false, 0) => None,
            (false, number) => {
                return Err(FormatError::invalid(
                    "message",
                    format!("generation {number}, which was not made"),
                ));
            }
        };
        Ok(Self {
            generation,
            objects: cursor.number64()?,
            bytes: cursor.number64()?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.generation.is_some()));
        for number in [self.generation.unwrap_or_default(), self.objects, self.bytes] {
            out.extend_from_slice(&number.to_be_bytes());
        }
    }
}
