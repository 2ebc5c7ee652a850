//! Looking at and opening the files of one directory of loose objects: `objects/` or a staging directory.
//!
//! Nothing here knows of parent repositories or of several directories; see [`super`] and
//! [`crate::transaction`] for that. Nothing here writes.

use super::prefixes::{PrefixDirs, directory_name, file_name, prefix_of};
use crate::error::{RepoError, Result};
use crate::fs::{Dir, FileKind, FileStat};
use ostler_format::{FormatError, MAX_METADATA_SIZE, ObjectName, RepoMode};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

/// How an object's file is opened. Without `NONBLOCK` a pipe planted under the name would hold us for ever.
const OPEN: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// More than most metadata objects have, in bytes.
const SMALL: usize = 8 << 10;

/// A directory of loose objects and how to read it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LooseStore<'a> {
    /// The prefix directories.
    pub(crate) dirs: &'a PrefixDirs,
    /// How content is stored.
    pub(crate) mode: RepoMode,
    /// Whether extended attributes on disk count (`core.disable-xattrs` says no).
    pub(crate) reads_xattrs: bool,
}

/// What has the name of an object.
#[derive(Debug)]
pub(super) enum Opened {
    /// A regular file.
    File(File, FileStat),
    /// A symbolic link.
    Link(FileStat),
}

impl<'a> LooseStore<'a> {
    /// Returns the path of an object, for messages.
    pub(crate) fn path_of(&self, name: &ObjectName) -> PathBuf {
        self.dirs.root().path_of(name.loose_path(self.mode))
    }

    /// Returns the directory in which the object's file would be, or `None` where there is none.
    pub(crate) fn directory_of(&self, name: &ObjectName) -> Result<Option<&'a Dir>> {
        let prefix = prefix_of(&name.checksum);
        self.dirs.get(prefix).map_err(|error| {
            let path = self.dirs.root().path_of(directory_name(prefix).as_str());
            RepoError::io("open", path)(error)
        })
    }

    /// Looks at the object's file; `None` where there is none.
    pub(crate) fn stat(&self, name: &ObjectName) -> Result<Option<FileStat>> {
        let Some(dir) = self.directory_of(name)? else {
            return Ok(None);
        };
        dir.stat(file_name(name, self.mode).as_str())
            .map_err(|error| self.io_error("look at", name, error))
    }

    /// As [`stat`](Self::stat), for asking what need not be written: may miss what another writer has put since into a
    /// directory that was not there before.
    pub(crate) fn stat_to_write(&self, name: &ObjectName) -> Result<Option<FileStat>> {
        let found = self.dirs.recall(prefix_of(&name.checksum));
        match found.map_err(|error| self.io_error("open", name, error))? {
            None => Ok(None),
            Some(dir) => dir
                .stat(file_name(name, self.mode).as_str())
                .map_err(|error| self.io_error("look at", name, error)),
        }
    }

    /// Removes the object's file; returns whether there was one.
    pub(crate) fn remove(&self, name: &ObjectName) -> Result<bool> {
        let Some(dir) = self.directory_of(name)? else {
            return Ok(false);
        };
        dir.unlink(file_name(name, self.mode).as_str())
            .map_err(|error| self.io_error("remove", name, error))
    }

    /// Opens the object's file without following it; `None` where there is none.
    pub(super) fn open(&self, name: &ObjectName) -> Result<Option<Opened>> {
        let Some(dir) = self.directory_of(name)? else {
            return Ok(None);
        };
        let file = file_name(name, self.mode);
        let opened = match rustix::fs::openat(dir, file.as_str(), OPEN, Mode::empty()) {
            Ok(fd) => {
                let file = File::from(fd);
                FileStat::of(&file).map(|stat| Opened::File(file, stat))
            }
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => match dir.stat(file.as_str()) {
                Ok(None) => return Ok(None),
                Ok(Some(stat)) => Ok(Opened::Link(stat)),
                Err(error) => Err(error),
            },
            Err(error) => Err(error.into()),
        };
        match opened.map_err(|error| self.io_error("open", name, error))? {
            Opened::File(_, stat) if stat.kind != FileKind::Regular => {
                Err(RepoError::corrupt(name.to_string(), "it is not a regular file"))
            }
            opened => Ok(Some(opened)),
        }
    }

    /// Opens an object that is never a symbolic link.
    pub(super) fn open_file(&self, name: &ObjectName) -> Result<Option<(File, FileStat)>> {
        match self.open(name)? {
            None => Ok(None),
            Some(Opened::File(file, stat)) => Ok(Some((file, stat))),
            Some(Opened::Link(_)) => Err(RepoError::corrupt(name.to_string(), "it is a symbolic link")),
        }
    }

    /// Returns the bytes of a metadata object, or of anything else that is stored as it is and small.
    pub(crate) fn read_metadata(&self, name: &ObjectName) -> Result<Option<Vec<u8>>> {
        let mut bytes = Vec::with_capacity(SMALL);
        if self.read_small(name, &mut bytes)? {
            return Ok(Some(bytes));
        }
        let Some((mut file, stat)) = self.open_file(name)? else {
            return Ok(None);
        };
        if stat.size > MAX_METADATA_SIZE {
            return Err(RepoError::format(format!("object {name}"))(
                FormatError::TooLarge {
                    what: "metadata object",
                    found: stat.size,
                    limit: MAX_METADATA_SIZE,
                },
            ));
        }
        read_sized(&mut file, stat.size)
            .map(Some)
            .map_err(|error| self.io_error("read", name, error))
    }

    /// Reads an object's file into the room of an empty buffer. If that brings bytes and leaves room, they are all there
    /// are, and there was no need to ask for the size: `true`. Whatever else the name stands for is left to a closer look.
    pub(super) fn read_small(&self, name: &ObjectName, bytes: &mut Vec<u8>) -> Result<bool> {
        let Some(dir) = self.directory_of(name)? else {
            return Ok(false);
        };
        let file = file_name(name, self.mode);
        let Ok(fd) = rustix::fs::openat(dir, file.as_str(), OPEN, Mode::empty()) else {
            return Ok(false);
        };
        let read = rustix::io::read(&fd, rustix::buffer::spare_capacity(bytes));
        Ok(read.is_ok() && !bytes.is_empty() && bytes.len() < bytes.capacity())
    }

    /// Returns the error for a system call that failed on the object's file.
    pub(crate) fn io_error(&self, doing: &str, name: &ObjectName, source: io::Error) -> RepoError {
        match source.downcast::<RepoError>() {
            Ok(error) => error,
            Err(source) => RepoError::io(doing, self.path_of(name))(source),
        }
    }
}

/// Reads a file that was just seen to have `size` bytes: files of objects never change once they are there.
pub(super) fn read_sized(file: &mut File, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}
