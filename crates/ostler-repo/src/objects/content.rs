//! Reading content objects, in every mode of a repository.
//!
//! | mode | header from | payload |
//! |---|---|---|
//! | archive | start of the `.filez` | raw deflate behind it |
//! | bare | the inode and its extended attributes | the file |
//! | bare-split-xattrs | the inode and the `.file-xattrs-link` beside it | the file |
//! | bare-user | attribute `user.ostreemeta` | the file (a symbolic link's target with a NUL for links) |
//! | bare-user-only | permission bits of the inode; owner 0:0, no attributes | the file |
//!
//! A reader is lazy: the header is there at once, and the payload is read (and inflated) only when asked for.
//! Never more than the declared size comes out. [`Checking::Strict`] also refuses bytes that follow the deflate
//! stream of a small object, which [`Checking::Quick`] does not see.

use super::loose::{LooseStore, Opened, read_sized};
use crate::buffers::{self, Buffer, Room};
use crate::compress::{InflateReader, WHOLE_LIMIT, inflate_whole, read_some};
use crate::error::{RepoError, Result};
use crate::fs::FileStat;
use crate::xattrs;
use ostler_format::{
    Checksum, FileHeader, Hasher, ObjectName, ObjectType, RepoMode, S_IFLNK, S_IFMT, Xattrs,
};
use std::fs::File;
use std::io::{self, Chain, Cursor, Read};

/// How many bytes of a large `.filez` are read to begin with; nearly every header fits.
const FIRST_READ: u64 = 64 << 10;

/// More than most files have when compressed, in bytes.
const SMALL_ARCHIVED: usize = 32 << 10;

/// The attribute of bare-user repositories.
pub(crate) const OSTREEMETA: &str = "user.ostreemeta";

/// How closely the compressed form is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checking {
    /// For reading: the fastest way to the payload.
    Quick,
    /// For deciding whether an object is sound.
    Strict,
}

/// The compressed form: what was read already, then the rest of the file, if it is in one.
type Stored = Chain<Cursor<Buffer>, Rest>;

/// What follows the bytes that were read.
#[derive(Debug)]
struct Rest(Option<File>);

impl Read for Rest {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.as_mut().map_or(Ok(0), |file| file.read(buffer))
    }
}

/// A content object: its header, and its payload as a stream.
#[derive(Debug)]
pub struct ContentReader {
    name: ObjectName,
    header: FileHeader,
    size: u64,
    body: Body,
}

/// Where the payload comes from.
#[derive(Debug)]
enum Body {
    /// A symbolic link has none.
    None,
    /// Compressed, in memory from `start` on, small enough to be inflated at once.
    Small { stored: Buffer, start: usize },
    /// Inflated, in memory.
    Inflated(Cursor<Room>),
    /// Compressed, inflated as it is read.
    Stream(Box<InflateReader<Stored>>),
    /// As it is, with so many bytes left.
    Plain { file: File, left: u64 },
}

impl ContentReader {
    /// Returns the name that the object was opened by.
    pub(crate) fn name(&self) -> &ObjectName {
        &self.name
    }

    /// Returns the header.
    pub fn header(&self) -> &FileHeader {
        &self.header
    }

    /// Returns the size of the payload in bytes; 0 for symbolic links.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the file that holds exactly the payload, where the repository stores it so; for copying by
    /// the kernel.
    pub fn as_file(&self) -> Option<&File> {
        match &self.body {
            Body::Plain { file, .. } => Some(file),
            _ => None,
        }
    }

    /// Reads the payload to its end and checks that header and payload have the checksum that names them.
    ///
    /// # Errors
    /// [`RepoError::Corrupt`] when they have not, or when they cannot be read to their end.
    pub fn verify(self) -> Result<()> {
        let name = self.name;
        check_digest(&name, self.digest()?)
    }

    /// Reads the payload to its end and returns the checksum of header and payload, whatever names them.
    ///
    /// # Errors
    /// [`RepoError::Corrupt`] when they cannot be read to their end.
    pub(crate) fn digest(mut self) -> Result<Checksum> {
        let mut hasher = Hasher::new();
        hasher.update(&self.header.to_hash_prefix());
        self.inflate().map_err(|error| self.read_error(error))?;
        if let Body::Inflated(bytes) = &self.body {
            hasher.update(bytes.get_ref().as_ref());
            return Ok(hasher.finish());
        }
        let mut buffer = buffers::stream();
        loop {
            let count = read_some(&mut self, &mut buffer).map_err(|error| self.read_error(error))?;
            match buffer.get(..count) {
                Some(bytes) if count > 0 => hasher.update(bytes),
                _ => return Ok(hasher.finish()),
            }
        }
    }

    /// Inflates what is to be inflated in one piece.
    fn inflate(&mut self) -> io::Result<()> {
        if let Body::Small { stored, start } = &self.body {
            let deflated = stored.get(*start..).unwrap_or_default();
            let size = usize::try_from(self.size).map_err(io::Error::other)?;
            let mut inflated = buffers::room(size);
            inflate_whole(deflated, &mut inflated)?;
            self.body = Body::Inflated(Cursor::new(inflated));
        }
        Ok(())
    }

    /// Turns an error of [`Read::read`] into one that names the object.
    pub fn read_error(&self, error: io::Error) -> RepoError {
        read_error(&self.name, error)
    }

    /// Reads the `.filez` of `stored_size` bytes in an open file, from its start.
    pub(crate) fn of_archive(
        name: ObjectName,
        mut file: File,
        stored_size: u64,
        checking: Checking,
    ) -> Result<Self> {
        let whole = stored_size <= WHOLE_LIMIT;
        let first = if whole { stored_size } else { FIRST_READ };
        let failed = |error| read_error(&name, error);
        let mut head = buffers::empty();
        append(&mut file, first, &mut head).map_err(failed)?;
        let start = archive_payload_start(&name, &head)?;
        if start > head.len() && !whole {
            let missing = (start - head.len()) as u64;
            append(&mut file, missing, &mut head).map_err(failed)?;
        }
        Self::of_parts(name, head, start, Rest(Some(file)), stored_size, checking)
    }

    /// Reads a `.filez` that is in memory, strictly.
    pub(crate) fn of_archive_bytes(name: ObjectName, stored: Vec<u8>) -> Result<Self> {
        Self::of_whole_archive(name, stored.into(), Checking::Strict)
    }

    /// Reads a `.filez` that is in memory.
    pub(crate) fn of_whole_archive(name: ObjectName, stored: Buffer, checking: Checking) -> Result<Self> {
        let start = archive_payload_start(&name, &stored)?;
        let stored_size = stored.len() as u64;
        Self::of_parts(name, stored, start, Rest(None), stored_size, checking)
    }

    fn of_parts(
        name: ObjectName,
        head: Buffer,
        start: usize,
        rest: Rest,
        stored_size: u64,
        checking: Checking,
    ) -> Result<Self> {
        let corrupt = |detail: &str| RepoError::corrupt(name.to_string(), detail);
        let header_bytes = head
            .get(8..start)
            .ok_or_else(|| corrupt("its header is cut short"))?;
        let (header, size) = FileHeader::parse_archive_header(header_bytes)
            .map_err(RepoError::format(format!("object {name}")))?;
        let body = if header.is_symlink() {
            if stored_size != start as u64 {
                return Err(corrupt("there are bytes after a symbolic link"));
            }
            Body::None
        } else if stored_size <= WHOLE_LIMIT && size <= WHOLE_LIMIT && checking == Checking::Quick {
            Body::Small { stored: head, start }
        } else {
            let mut head = Cursor::new(head);
            head.set_position(start as u64);
            Body::Stream(Box::new(InflateReader::new(head.chain(rest), size)))
        };
        Ok(Self {
            name,
            header,
            size,
            body,
        })
    }

    fn of_plain(name: ObjectName, header: FileHeader, file: File, size: u64) -> Self {
        Self {
            name,
            header,
            size,
            body: Body::Plain { file, left: size },
        }
    }

    fn of_link(name: ObjectName, header: FileHeader) -> Self {
        Self {
            name,
            header,
            size: 0,
            body: Body::None,
        }
    }
}

/// Returns where the payload of a `.filez` begins, going by its first eight bytes.
fn archive_payload_start(name: &ObjectName, head: &[u8]) -> Result<usize> {
    let prefix = head.first_chunk().ok_or_else(|| {
        RepoError::corrupt(name.to_string(), format!("it is only {} bytes long", head.len()))
    })?;
    let header =
        FileHeader::parse_archive_prefix(prefix).map_err(RepoError::format(format!("object {name}")))?;
    Ok(header.saturating_add(8))
}

/// Checks that a computed checksum is the one that names the object.
pub(crate) fn check_digest(name: &ObjectName, found: Checksum) -> Result<()> {
    if found == name.checksum {
        return Ok(());
    }
    // In the words of libostree, which scripts look for.
    let kind = name.kind.as_str();
    let expected = name.checksum;
    let detail = format!("Corrupted {kind} object; checksum expected='{expected}' actual='{found}'");
    Err(RepoError::corrupt(name.to_string(), detail))
}

/// Appends the next `size` bytes of a file, which must be there.
fn append(file: &mut File, size: u64, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.reserve(usize::try_from(size).map_err(io::Error::other)?);
    if file.take(size).read_to_end(buffer)? as u64 == size {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

fn read_error(name: &ObjectName, error: io::Error) -> RepoError {
    match error.kind() {
        io::ErrorKind::InvalidData => RepoError::corrupt(name.to_string(), error.to_string()),
        io::ErrorKind::UnexpectedEof => RepoError::corrupt(name.to_string(), "it is cut short"),
        _ => RepoError::io("read object", name.to_string())(error),
    }
}

impl Read for ContentReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inflate()?;
        match &mut self.body {
            Body::None | Body::Small { .. } => Ok(0),
            Body::Inflated(bytes) => bytes.read(buffer),
            Body::Stream(stream) => stream.read(buffer),
            Body::Plain { file, left } => {
                let room = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                let count = file.read(buffer.get_mut(..room).unwrap_or_default())?;
                if count == 0 && room > 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                *left -= count as u64;
                Ok(count)
            }
        }
    }
}

impl LooseStore<'_> {
    /// Opens a content object; `None` where it is not in this directory.
    pub(crate) fn content(&self, checksum: &Checksum, checking: Checking) -> Result<Option<ContentReader>> {
        let name = ObjectName::new(*checksum, ObjectType::File);
        if self.mode.is_archive() {
            let mut stored = buffers::empty();
            stored.reserve(SMALL_ARCHIVED);
            if self.read_small(&name, &mut stored)? {
                return ContentReader::of_whole_archive(name, stored, checking).map(Some);
            }
            return match self.open_file(&name)? {
                None => Ok(None),
                Some((file, stat)) => ContentReader::of_archive(name, file, stat.size, checking).map(Some),
            };
        }
        let Some(opened) = self.open(&name)? else {
            return Ok(None);
        };
        let reader = match (self.mode, opened) {
            (RepoMode::BareUser, Opened::File(file, stat)) => self.bare_user(name, file, stat)?,
            (RepoMode::BareUser, Opened::Link(_)) => {
                return Err(RepoError::corrupt(name.to_string(), "it is a symbolic link"));
            }
            (_, Opened::File(file, stat)) => {
                let header = self.header_of(&name, &stat, Some(&file), String::new())?;
                ContentReader::of_plain(name, header, file, stat.size)
            }
            (_, Opened::Link(stat)) => {
                let target = self.link_target(&name)?;
                ContentReader::of_link(name, self.header_of(&name, &stat, None, target)?)
            }
        };
        Ok(Some(reader))
    }

    fn bare_user(&self, name: ObjectName, mut file: File, stat: FileStat) -> Result<ContentReader> {
        let failed = |error| self.io_error("read", &name, error);
        let meta = xattrs::read_one(&file, OSTREEMETA)
            .map_err(failed)?
            .ok_or_else(|| {
                RepoError::corrupt(name.to_string(), "its attribute user.ostreemeta is missing")
            })?;
        let format = || RepoError::format(format!("object {name}"));
        if !meta_of_link(&meta) {
            let header = FileHeader::from_ostreemeta(&meta, String::new()).map_err(format())?;
            return Ok(ContentReader::of_plain(name, header, file, stat.size));
        }
        let limit = FIRST_READ.min(stat.size);
        let target = until_nul(read_sized(&mut file, limit).map_err(failed)?);
        let target = utf8_target(&name, target)?;
        let header = FileHeader::from_ostreemeta(&meta, target).map_err(format())?;
        Ok(ContentReader::of_link(name, header))
    }

    /// Puts a header together from the inode and what lies beside it.
    fn header_of(
        &self,
        name: &ObjectName,
        stat: &FileStat,
        file: Option<&File>,
        symlink_target: String,
    ) -> Result<FileHeader> {
        let (uid, gid, xattrs) = match self.mode {
            RepoMode::BareUserOnly => (0, 0, Xattrs::default()),
            RepoMode::BareSplitXattrs => (stat.uid, stat.gid, self.split_xattrs(name)?),
            _ if !self.reads_xattrs => (stat.uid, stat.gid, Xattrs::default()),
            _ => (stat.uid, stat.gid, self.real_xattrs(name, file)?),
        };
        let header = FileHeader {
            uid,
            gid,
            mode: stat.mode,
            symlink_target,
            xattrs,
        };
        header
            .check()
            .map_err(RepoError::format(format!("object {name}")))?;
        Ok(header)
    }

    fn real_xattrs(&self, name: &ObjectName, file: Option<&File>) -> Result<Xattrs> {
        let found = match file {
            Some(file) => xattrs::read_file(file),
            None => match self.directory_of(name)? {
                Some(dir) => xattrs::read_link(dir, super::prefixes::file_name(name, self.mode).as_str()),
                None => Ok(Vec::new()),
            },
        };
        let found = found.map_err(|error| self.io_error("read the extended attributes of", name, error))?;
        Xattrs::new(found).map_err(RepoError::format(format!("object {name}")))
    }

    fn split_xattrs(&self, name: &ObjectName) -> Result<Xattrs> {
        let link = ObjectName::new(name.checksum, ObjectType::FileXattrsLink);
        let bytes = self
            .read_metadata(&link)?
            .ok_or_else(|| RepoError::corrupt(name.to_string(), "its file-xattrs-link is missing"))?;
        Xattrs::from_bytes(&bytes).map_err(RepoError::format(format!("object {link}")))
    }

    fn link_target(&self, name: &ObjectName) -> Result<String> {
        let Some(dir) = self.directory_of(name)? else {
            return Err(super::missing(name));
        };
        let target = dir
            .read_link(super::prefixes::file_name(name, self.mode).as_str())
            .map_err(|error| self.io_error("read the symbolic link", name, error))?;
        utf8_target(name, target.into_os_string().into_encoded_bytes())
    }
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

fn utf8_target(name: &ObjectName, target: Vec<u8>) -> Result<String> {
    String::from_utf8(target)
        .map_err(|error| RepoError::corrupt(name.to_string(), format!("its target is not text: {error}")))
}

/// Returns whether the mode in `user.ostreemeta`, its third big-endian word, is that of a symbolic link.
fn meta_of_link(meta: &[u8]) -> bool {
    meta.get(8..12)
        .and_then(|word| word.try_into().ok())
        .is_some_and(|word| u32::from_be_bytes(word) & S_IFMT == S_IFLNK)
}
