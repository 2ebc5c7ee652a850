//! Dirmeta objects: owner, mode and extended attributes of a directory.
//!
//! Shape `(uuua(ayay))`: user id, group id and mode, each big endian, then the [extended attributes](Xattrs).
//! Without attributes that is 12 bytes. The mode is a full `st_mode`: refused are any type but directory and
//! any bits beyond type and [permissions](crate::PERMISSION_BITS).

use crate::error::{FormatError, Result};
use crate::limits::check_metadata_size;
use crate::posix_mode::{S_IFDIR, is_of_type};
use crate::xattrs::Xattrs;

/// Owner, mode and extended attributes of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DirMeta {
    /// User id of the owner.
    pub uid: u32,
    /// Group id of the owner.
    pub gid: u32,
    /// The full `st_mode`.
    pub mode: u32,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

impl DirMeta {
    /// Reads the bytes of a dirmeta object.
    ///
    /// # Errors
    /// [`FormatError`] for anything that is not exactly what [`to_bytes`](Self::to_bytes) writes for a valid value.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        check_metadata_size("dirmeta", bytes)?;
        let ([uid, gid, mode], xattrs) = split_words("dirmeta", bytes)?;
        let meta = Self {
            uid,
            gid,
            mode,
            xattrs: Xattrs::from_bytes(xattrs)?,
        };
        meta.check()?;
        Ok(meta)
    }

    /// Checks the mode.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] for anything but a directory with permissions.
    pub fn check(&self) -> Result<()> {
        if is_of_type(self.mode, S_IFDIR) {
            return Ok(());
        }
        let rule = format!("mode 0{:o} is not that of a directory", self.mode);
        Err(FormatError::invalid("dirmeta", rule))
    }

    /// Returns the bytes of the object.
    pub fn to_bytes(&self) -> Vec<u8> {
        join_words([self.uid, self.gid, self.mode], &self.xattrs)
    }
}

/// Reads the three big-endian words at the start of `(uuua(ayay))` and returns them with the bytes that follow.
pub(crate) fn split_words<'a>(what: &'static str, bytes: &'a [u8]) -> Result<([u32; 3], &'a [u8])> {
    let short = || FormatError::invalid(what, "ends before the mode");
    let (head, xattrs) = bytes.split_at_checked(12).ok_or_else(short)?;
    let mut words = [0; 3];
    for (word, chunk) in words.iter_mut().zip(head.chunks_exact(4)) {
        *word = u32::from_be_bytes(chunk.try_into().unwrap_or_default());
    }
    Ok((words, xattrs))
}

/// Returns `(uuua(ayay))`.
pub(crate) fn join_words(words: [u32; 3], xattrs: &Xattrs) -> Vec<u8> {
    let mut bytes: Vec<u8> = words.into_iter().flat_map(u32::to_be_bytes).collect();
    bytes.extend(xattrs.to_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Checksum;

    fn plain(mode: u32) -> DirMeta {
        DirMeta {
            uid: 0,
            gid: 0,
            mode,
            xattrs: Xattrs::default(),
        }
    }

    #[test]
    fn a_directory_of_root_has_the_known_bytes_and_id() {
        let bytes = plain(0o040_755).to_bytes();
        assert_eq!(bytes, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x41, 0xed]);
        let id = "446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488";
        assert_eq!(Checksum::of(&bytes).to_string(), id);
        assert_eq!(DirMeta::parse(&bytes), Ok(plain(0o040_755)));
    }

    #[test]
    fn modes_other_than_of_directories_are_refused() {
        for mode in [
            0,
            0o755,
            0o100_755,
            0o120_777,
            0o060_755,
            0o1_040_755,
            0o050_755,
            u32::MAX,
        ] {
            assert!(DirMeta::parse(&plain(mode).to_bytes()).is_err(), "{mode:o}");
        }
        assert!(DirMeta::parse(&plain(0o047_777).to_bytes()).is_ok());
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = plain(0o040_755).to_bytes();
        for length in 0..bytes.len() {
            assert!(DirMeta::parse(&bytes[..length]).is_err(), "{length}");
        }
    }
}
