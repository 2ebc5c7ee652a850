//! Headers of content objects: what a regular file or symbolic link is beside its content.
//!
//! | use | shape | framed by |
//! |---|---|---|
//! | hashed before the content | `(uuuusa(ayay))` | length as BE32, four zero bytes |
//! | start of a `.filez` | `(tuuuusa(ayay))`, the first member the size of the content | same |
//! | attribute `user.ostreemeta` | `(uuua(ayay))` | nothing |
//!
//! All integers are big endian: size in bytes (0 for symbolic links), user id, group id, `st_mode`, device (always
//! 0); then the target of the symbolic link (empty for regular files) and the [extended attributes](Xattrs).
//! `user.ostreemeta` has neither size, device nor target.
//!
//! Refused are types other than regular file and symbolic link, mode bits beyond type and permissions, a device,
//! a target on a regular file, a symbolic link whose target is empty, holds NUL or exceeds 4095 bytes, a symbolic
//! link with a size, sizes of 2^63 and more, and headers of more than [`MAX_FILE_HEADER_SIZE`] bytes.

use crate::checksum::{Checksum, Hasher};
use crate::dirmeta::{join_words, split_words};
use crate::error::{FormatError, Result};
use crate::gvariant::framing::{TupleReader, TupleWriter};
use crate::limits::{MAX_FILE_HEADER_SIZE, check_size};
use crate::posix_mode::{S_IFLNK, S_IFREG, is_of_type};
use crate::xattrs::Xattrs;

const WHAT: &str = "file header";
/// The longest target of a symbolic link that Linux takes.
const MAX_TARGET: u64 = 4095;
/// The largest file that Linux can have.
const MAX_CONTENT: u64 = i64::MAX as u64;

/// What a content object says of its file beside the content.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileHeader {
    /// User id of the owner.
    pub uid: u32,
    /// Group id of the owner.
    pub gid: u32,
    /// The full `st_mode`.
    pub mode: u32,
    /// Where a symbolic link leads; empty for regular files.
    pub symlink_target: String,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

impl FileHeader {
    /// Returns whether it is a symbolic link.
    pub const fn is_symlink(&self) -> bool {
        is_of_type(self.mode, S_IFLNK)
    }

    /// Returns whether it is a regular file.
    pub const fn is_regular(&self) -> bool {
        is_of_type(self.mode, S_IFREG)
    }

    /// Checks type, mode bits and target.
    ///
    /// # Errors
    /// [`FormatError`] as the module says.
    pub fn check(&self) -> Result<()> {
        let target = self.symlink_target.as_str();
        check_size("target of a symbolic link", target.len() as u64, MAX_TARGET)?;
        match (self.is_symlink(), self.is_regular()) {
            (false, false) => Err(invalid(format!(
                "mode 0{:o} is of no regular file or symbolic link",
                self.mode
            ))),
            (false, true) if !target.is_empty() => {
                Err(invalid("a regular file with the target of a symbolic link"))
            }
            (true, _) if target.is_empty() => Err(invalid("a symbolic link without target")),
            (true, _) if target.contains('\0') => Err(invalid("NUL in the target of a symbolic link")),
            _ => Ok(()),
        }
    }

    /// Returns the bytes that are hashed before the content.
    pub fn to_hash_prefix(&self) -> Vec<u8> {
        self.framed(None)
    }

    /// Returns the checksum of the object with this content; symbolic links have none.
    pub fn checksum_of(&self, content: &[u8]) -> Checksum {
        let mut hasher = Hasher::new();
        hasher.update(&self.to_hash_prefix());
        hasher.update(content);
        hasher.finish()
    }

    /// Returns the start of the `.filez` of a file of `size` bytes, up to where the compressed content begins.
    pub fn to_archive(&self, size: u64) -> Vec<u8> {
        self.framed(Some(size))
    }

    /// Reads the first eight bytes of a `.filez` and returns the length of the header that follows them.
    ///
    /// # Errors
    /// [`FormatError`] for a length of zero or beyond [`MAX_FILE_HEADER_SIZE`], and for padding that is not zero.
    pub fn parse_archive_prefix(prefix: &[u8; 8]) -> Result<usize> {
        let [a, b, c, d, padding @ ..] = *prefix;
        let length = u32::from_be_bytes([a, b, c, d]);
        if length == 0 || padding != [0; 4] {
            return Err(invalid("no length, or padding that is not zero"));
        }
        check_size(WHAT, length.into(), MAX_FILE_HEADER_SIZE)?;
        usize::try_from(length).map_err(|_e| invalid("length beyond the address space"))
    }

    /// Reads the header that follows the first eight bytes of a `.filez`, and the size of the content.
    ///
    /// # Errors
    /// [`FormatError`] as the module says.
    pub fn parse_archive_header(bytes: &[u8]) -> Result<(Self, u64)> {
        check_size(WHAT, bytes.len() as u64, MAX_FILE_HEADER_SIZE)?;
        let mut tuple = TupleReader::new(WHAT, bytes);
        let size = tuple.u64_be()?;
        let header = Self::read(tuple)?;
        if header.is_symlink() && size != 0 {
            return Err(invalid("a symbolic link with content"));
        }
        check_size("file content", size, MAX_CONTENT)?;
        Ok((header, size))
    }

    /// Returns the value of the attribute `user.ostreemeta`.
    pub fn to_ostreemeta(&self) -> Vec<u8> {
        join_words([self.uid, self.gid, self.mode], &self.xattrs)
    }

    /// Reads the value of the attribute `user.ostreemeta`. The target is that of the symbolic link, empty for
    /// regular files. Extended attributes may come in any order.
    ///
    /// # Errors
    /// [`FormatError`] as the module says.
    pub fn from_ostreemeta(bytes: &[u8], symlink_target: String) -> Result<Self> {
        check_size(WHAT, bytes.len() as u64, MAX_FILE_HEADER_SIZE)?;
        let ([uid, gid, mode], xattrs) = split_words(WHAT, bytes)?;
        let header = Self {
            uid,
            gid,
            mode,
            symlink_target,
            xattrs: Xattrs::from_unsorted_bytes(xattrs)?,
        };
        header.check()?;
        Ok(header)
    }

    /// Reads the members that both framed shapes have in common.
    fn read(mut tuple: TupleReader<'_>) -> Result<Self> {
        let (uid, gid, mode, device) = (tuple.u32_be()?, tuple.u32_be()?, tuple.u32_be()?, tuple.u32_be()?);
        if device != 0 {
            return Err(invalid("device number on something that is no device"));
        }
        let header = Self {
            uid,
            gid,
            mode,
            symlink_target: tuple.string()?.to_owned(),
            xattrs: Xattrs::from_bytes(tuple.last(1)?)?,
        };
        header.check()?;
        Ok(header)
    }

    /// Returns length, padding and header, with the size of the content in front if there is one.
    fn framed(&self, size: Option<u64>) -> Vec<u8> {
        let header = TupleWriter::encode(|tuple| {
            if let Some(size) = size {
                tuple.u64_be(size);
            }
            for word in [self.uid, self.gid, self.mode, 0] {
                tuple.u32_be(word);
            }
            tuple.string(&self.symlink_target);
            tuple.array(1, |array| self.xattrs.write(array));
        });
        let length = u32::try_from(header.len()).unwrap_or(u32::MAX);
        [&length.to_be_bytes()[..], &[0; 4], &header].concat()
    }
}

fn invalid(rule: impl Into<String>) -> FormatError {
    FormatError::invalid(WHAT, rule)
}

#[cfg(test)]
mod tests;
