//! How much may wait in quarantine: the table `[quarantine]`.

use super::file::Source;
use super::size::{self, Size};
use crate::error::Result;
use serde::Deserialize;
use toml::Spanned;

/// Bytes that may wait, and that must stay free; each is of files as they are stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Room {
    /// Of all pushers of a repository together.
    pub(crate) max: Option<u64>,
    /// Of one pusher.
    pub(crate) max_each: Option<u64>,
    /// What must stay free on the file system.
    pub(crate) min_free: Option<u64>,
}

/// The table as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RoomTable {
    max: Option<Spanned<Size>>,
    max_each: Option<Spanned<Size>>,
    min_free: Option<Spanned<Size>>,
}

impl RoomTable {
    pub(super) fn read(&self, source: &Source<'_>) -> Result<Room> {
        let bytes = |key: &Option<Spanned<Size>>| key.as_ref().map(|key| size::read(source, key)).transpose();
        Ok(Room {
            max: bytes(&self.max)?,
            max_each: bytes(&self.max_each)?,
            min_free: bytes(&self.min_free)?,
        })
    }
}
