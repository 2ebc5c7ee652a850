//! What an archive says of one of its files.

use crate::error::{RepoError, Result};
use ostler_format::PERMISSION_BITS;
use ostler_format::tar::SparseMap;
use std::path::Path;

/// The most bytes that a path, the target of a link, or all records of one entry may have: more than any file
/// system takes.
pub(super) const MAX_TEXT: u64 = 1 << 20;

/// One entry.
#[derive(Debug)]
pub(super) struct Member {
    /// Its path, as it stands in the archive.
    pub(super) path: Vec<u8>,
    pub(super) kind: MemberKind,
    /// Permission bits.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What an entry is.
#[derive(Debug)]
pub(super) enum MemberKind {
    Directory,
    /// A regular file, whose content follows.
    Regular(SparseMap),
    Symlink(Vec<u8>),
    /// Another name of a file, which has this path.
    HardLink(Vec<u8>),
    /// A device, a pipe, or what this program does not know.
    Special,
}

impl Member {
    /// Puts an entry together, with numbers as they are stored.
    pub(super) fn new(path: Vec<u8>, kind: MemberKind, mode: u32, owner: (u64, u64)) -> Result<Self> {
        let id = |what: &str, number: u64| {
            let invalid = |_error| RepoError::invalid(what, format!("{number} has more than 32 bits"));
            u32::try_from(number).map_err(invalid)
        };
        Ok(Self {
            path,
            kind,
            mode: mode & PERMISSION_BITS,
            uid: id("uid", owner.0)?,
            gid: id("gid", owner.1)?,
            xattrs: Vec::new(),
        })
    }
}

/// Returns a function that says of an error which entry of which archive it is about.
pub(super) fn about(archive: &Path, entry: &[u8]) -> impl FnOnce(RepoError) -> RepoError {
    move |source| RepoError::Entry {
        archive: archive.to_path_buf(),
        entry: entry.escape_ascii().to_string(),
        source: Box::new(source),
    }
}
