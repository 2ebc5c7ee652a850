//! How the two ends introduce themselves.
//!
//! Shape: the 8 bytes `OSTLRPSH`, the lowest and the highest version that is spoken (2 each), capabilities (8, a bit each), name
//! and version of the program (length 2, text), path of the repository (length 2, text; empty from the far end). What follows is
//! of later versions and left out.

use super::cursor::{Cursor, put_text};
use crate::error::{FormatError, Result};

/// The version that is spoken here, alone.
pub const VERSION: u16 = 1;

/// The capability to inflate batches.
pub const CAN_INFLATE: u64 = 1;

/// The capability to compare signatures of commits whose refs do not move, and to add those that are missing.
pub const CAN_JOIN: u64 = 2;

/// The most bytes of a program's name.
pub const MAX_AGENT: usize = 255;

/// The most bytes of a path.
pub const MAX_PATH: usize = 4096;

const MAGIC: &[u8; 8] = b"OSTLRPSH";

/// The first message of either end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The lowest version of the protocol that its sender speaks.
    pub lowest: u16,
    /// The highest.
    pub highest: u16,
    /// What else its sender can do; unknown bits say nothing.
    pub capabilities: u64,
    /// Name and version of the program.
    pub agent: String,
    /// The repository that is pushed to; empty for the one that the far end has been given.
    pub path: String,
}

impl Hello {
    /// Returns what we say.
    pub fn ours(agent: &str, path: &str) -> Self {
        Self {
            lowest: VERSION,
            highest: VERSION,
            capabilities: CAN_INFLATE | CAN_JOIN,
            agent: agent.to_owned(),
            path: path.to_owned(),
        }
    }

    /// Returns the highest version that both speak, or `None`.
    pub fn common_version(&self, other: &Self) -> Option<u16> {
        let highest = self.highest.min(other.highest);
        (highest >= self.lowest.max(other.lowest)).then_some(highest)
    }

    /// Returns whether its sender has a capability.
    pub const fn can(&self, capability: u64) -> bool {
        self.capabilities & capability == capability
    }

    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self> {
        if cursor.take(MAGIC.len())? != MAGIC {
            return Err(FormatError::invalid("greeting", "it is not that of an ostler"));
        }
        let hello = Self {
            lowest: cursor.number16()?,
            highest: cursor.number16()?,
            capabilities: cursor.number64()?,
            agent: cursor.text(MAX_AGENT)?,
            path: cursor.text(MAX_PATH)?,
        };
        if hello.lowest > hello.highest {
            return Err(FormatError::invalid("greeting", "no version is spoken"));
        }
        Ok(hello)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.lowest.to_be_bytes());
        out.extend_from_slice(&self.highest.to_be_bytes());
        out.extend_from_slice(&self.capabilities.to_be_bytes());
        put_text(out, &self.agent, MAX_AGENT);
        put_text(out, &self.path, MAX_PATH);
    }
}
