//! The sizes that clients and we ourselves put up with.

/// The most bytes of a metadata object, summary, signature file, delta superblock or delta index: what stock
/// clients fetch at most.
pub const MAX_METADATA_SIZE: u64 = 128 << 20;

/// The most bytes of the header of a content object: far above what file systems hold in extended attributes,
/// small enough to be read into memory whole.
pub const MAX_FILE_HEADER_SIZE: u64 = 1 << 20;
