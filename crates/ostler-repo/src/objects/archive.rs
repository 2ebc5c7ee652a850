//! A content object in the form in which an archive stores it, made from any mode while it is read.
//!
//! Shape: BE32 header length, 4 zeros, header `(tuuuusa(ayay))`, and for regular files raw deflate. The content is
//! hashed as it passes; if it is not what its name says, the stream ends in an error and not in an end of file.
//! Compressed bytes differ between engines and levels; the id of the object covers the content only.

use super::content::{ContentReader, check_digest};
use crate::buffers;
use crate::compress::{WHOLE_LIMIT, deflate_whole};
use crate::error::Result;
use crate::repo::Repo;
use flate2::Compression;
use flate2::read::DeflateEncoder;
use ostler_format::{Checksum, Hasher, ObjectName, ObjectType};
use std::fmt;
use std::io::{self, Cursor, Read};

/// The bytes of a `.filez`, as a stream.
pub struct ArchiveStream {
    head: Cursor<Vec<u8>>,
    body: Option<DeflateEncoder<Hashed>>,
}

/// Content that is hashed as it is read, and refused at its end if the checksum is not the expected one.
struct Hashed {
    content: ContentReader,
    hasher: Option<Hasher>,
    left: u64,
}

impl fmt::Debug for ArchiveStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchiveStream").finish_non_exhaustive()
    }
}

impl ArchiveStream {
    /// Compresses `content` at `level` (1 to 9). Small content is read, checked and compressed at once.
    ///
    /// # Errors
    /// [`RepoError::Corrupt`](crate::RepoError::Corrupt) if small content is not what its name says.
    pub(crate) fn new(mut content: ContentReader, level: u32) -> Result<Self> {
        let mut head = content.header().to_archive(content.size());
        let mut hasher = Hasher::new();
        hasher.update(&content.header().to_hash_prefix());
        if content.size() > WHOLE_LIMIT {
            let left = content.size();
            let hashed = Hashed {
                content,
                hasher: Some(hasher),
                left,
            };
            let body = DeflateEncoder::new(hashed, Compression::new(level));
            return Ok(Self {
                head: Cursor::new(head),
                body: Some(body),
            });
        }
        let mut payload = buffers::empty();
        content
            .read_to_end(&mut payload)
            .map_err(|fault| content.read_error(fault))?;
        hasher.update(&payload);
        check_digest(content.name(), hasher.finish())?;
        if content.header().is_regular() {
            deflate_whole(level, &payload, &mut head).map_err(|fault| content.read_error(fault))?;
        }
        Ok(Self {
            head: Cursor::new(head),
            body: None,
        })
    }
}

impl Read for ArchiveStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.head.read(buffer)? {
            0 => self.body.as_mut().map_or(Ok(0), |body| body.read(buffer)),
            count => Ok(count),
        }
    }
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        self.left = self.left.saturating_sub(count as u64);
        if let Some(hasher) = &mut self.hasher {
            hasher.update(buffer.get(..count).unwrap_or_default());
        }
        if count == 0
            && !buffer.is_empty()
            && let Some(hasher) = self.hasher.take()
        {
            check_digest(self.content.name(), hasher.finish()).map_err(io::Error::other)?;
        }
        Ok(count)
    }
}

impl Repo {
    /// Opens a content object in the form in which an archive stores it, compressed on the way.
    ///
    /// # Errors
    /// [`RepoError::NotFound`](crate::RepoError::NotFound); [`RepoError::Corrupt`](crate::RepoError::Corrupt) if it is small and not what its name says (a large one fails
    /// at its end).
    pub fn archive_stream(&self, checksum: &Checksum) -> Result<ArchiveStream> {
        let content = self.open_content(checksum)?;
        ArchiveStream::new(content, self.config().zlib_level())
    }

    /// Returns where an object of this repository or a parent lies: a directory and a name in it.
    ///
    /// # Errors
    /// [`RepoError::NotFound`](crate::RepoError::NotFound); [`RepoError::Io`](crate::RepoError::Io).
    pub fn place_of(&self, name: &ObjectName) -> Result<(crate::fs::Dir, String)> {
        let owner = if self.parent().is_some() {
            self.owner_of(name)?
        } else {
            self
        };
        let dir = owner
            .loose()
            .directory_of(name)?
            .ok_or_else(|| super::missing(name))?;
        Ok((
            dir.clone(),
            super::prefixes::file_name(name, owner.mode()).as_str().to_owned(),
        ))
    }
}

/// Checks that bytes are the object that a name says, as an archive stores it.
///
/// # Errors
/// [`RepoError::Corrupt`](crate::RepoError::Corrupt) or [`RepoError::Format`](crate::RepoError::Format) if they are not.
pub fn verify_archived(name: &ObjectName, bytes: &[u8]) -> Result<()> {
    if name.kind == ObjectType::File {
        ContentReader::of_archive_bytes(*name, bytes.to_vec())?.verify()
    } else {
        super::verify::check_metadata(name, bytes)
    }
}

/// Checks that a file holds the content object that a name says, as an archive stores it: from its start, in pieces.
///
/// # Errors
/// As [`verify_archived`].
pub fn verify_archived_file(name: &ObjectName, file: std::fs::File, size: u64) -> Result<()> {
    ContentReader::of_archive(*name, file, size, super::content::Checking::Quick)?.verify()
}
