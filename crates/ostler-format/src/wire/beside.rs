//! Signatures beside commits that are at the far end already: what a sender has of them, and what became of those that were missing.

use super::MAX_TEXT;
use super::cursor::{Cursor, put_name, put_text};
use crate::checksum::{Checksum, Hasher};
use crate::error::{FormatError, Result};
use crate::names::RefName;
use crate::signatures::Engine;

/// The most signatures of a commit that are told.
pub const MAX_TOLD: usize = 192;

/// A ref that does not move, and the signatures that the sender has of its commit.
///
/// Shape: length of the name (2), name, commit (32), number of signatures (1), for each its [digest](signature_digest) (32).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRef {
    /// The ref.
    pub name: RefName,
    /// The commit that it names at both ends.
    pub commit: Checksum,
    /// The digests of its signatures, at most [`MAX_TOLD`].
    pub signatures: Vec<Checksum>,
}

/// What became of the signatures that a commit lacked.
///
/// Shape: length of the name (2), name, commit (32), number of signatures (1), length of the reason (2), reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// A ref that names the commit.
    pub name: RefName,
    /// The commit.
    pub commit: Checksum,
    /// How many it has got, on disk (or would get, where that was only asked).
    pub added: u8,
    /// Why it has got none, as a clause; empty if it has.
    pub reason: String,
}

/// Returns the digest by which a signature is told: SHA-256 of the key that signatures of its engine stand under, a zero byte and the
/// signature.
pub fn signature_digest(engine: Engine, signature: &[u8]) -> Checksum {
    let mut hasher = Hasher::new();
    hasher.update(engine.key().as_bytes());
    hasher.update(&[0]);
    hasher.update(signature);
    hasher.finish()
}

impl SignedRef {
    /// Returns how many bytes it takes in a message.
    pub fn length(&self) -> usize {
        2 + self.name.as_str().len() + 32 + 1 + 32 * self.signatures.len()
    }

    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self> {
        let (name, commit, count) = (cursor.name()?, cursor.checksum()?, usize::from(cursor.byte()?));
        if count == 0 || count > MAX_TOLD {
            return Err(FormatError::invalid(
                "message",
                format!("{count} signatures of a commit"),
            ));
        }
        let signatures = (0..count).map(|_| cursor.checksum()).collect::<Result<_>>()?;
        Ok(Self {
            name,
            commit,
            signatures,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put_name(out, &self.name);
        out.extend_from_slice(self.commit.as_bytes());
        let told = self.signatures.iter().take(MAX_TOLD);
        out.push(u8::try_from(told.len()).unwrap_or(u8::MAX));
        for digest in told {
            out.extend_from_slice(digest.as_bytes());
        }
    }
}

impl Joined {
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self> {
        Ok(Self {
            name: cursor.name()?,
            commit: cursor.checksum()?,
            added: cursor.byte()?,
            reason: cursor.text(MAX_TEXT)?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put_name(out, &self.name);
        out.extend_from_slice(self.commit.as_bytes());
        out.push(self.added);
        put_text(out, &self.reason, MAX_TEXT);
    }
}
