//! The sizes that clients and we ourselves put up with.

use crate::error::{FormatError, Result};

/// The most bytes of a metadata object, summary, signature file, delta superblock or delta index: what stock
/// clients fetch at most.
pub const MAX_METADATA_SIZE: u64 = 128 << 20;

/// The most bytes of the header of a content object: far above what file systems hold in extended attributes,
/// small enough to be read into memory whole.
pub const MAX_FILE_HEADER_SIZE: u64 = 1 << 20;

/// Refuses `bytes` beyond [`MAX_METADATA_SIZE`].
pub(crate) fn check_metadata_size(what: &'static str, bytes: &[u8]) -> Result<()> {
    check_size(what, bytes.len() as u64, MAX_METADATA_SIZE)
}

/// Refuses a size beyond a limit.
pub(crate) fn check_size(what: &'static str, found: u64, limit: u64) -> Result<()> {
    if found > limit {
        return Err(FormatError::TooLarge { what, found, limit });
    }
    Ok(())
}
