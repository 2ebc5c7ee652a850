//! Bytes to be read at any place: in memory up to [`IN_MEMORY`], in a file without a name beyond.

use crate::error::{RepoError, Result};
use crate::fs::Dir;
use crate::transaction::Transaction;
use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;

/// How many bytes are kept in memory.
const IN_MEMORY: u64 = 32 << 20;
/// By how many bytes more space is asked for.
const STEP: u64 = 8 << 20;
/// The permission bits of the file, which nobody else sees.
const PRIVATE_MODE: u32 = 0o600;

/// Bytes that are read at any place.
#[derive(Debug)]
pub(super) enum Scratch {
    /// In memory.
    Memory(Vec<u8>),
    /// In a file, of this length.
    File(File, u64),
}

/// Where files without a name are made, and who is asked for the space.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room<'a> {
    tmp: &'a Dir,
    transaction: Option<&'a Transaction<'a>>,
}

impl<'a> Room<'a> {
    /// In the repository of a transaction, within its limits.
    pub(super) fn of_transaction(transaction: &'a Transaction<'_>) -> Result<Self> {
        Ok(Self {
            tmp: transaction.repo().tmp()?,
            transaction: Some(transaction),
        })
    }

    /// In a directory.
    pub(super) const fn in_dir(tmp: &'a Dir) -> Self {
        Self {
            tmp,
            transaction: None,
        }
    }
}

impl Scratch {
    /// Takes all that `input` has, which must not exceed `limit` bytes.
    pub(super) fn fill(room: Room<'_>, what: &str, input: &mut dyn Read, limit: u64) -> Result<Self> {
        let failed = |error: io::Error| read_failed(what, error);
        let mut bytes = Vec::new();
        input
            .take(IN_MEMORY.min(limit) + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        let mut length = bytes.len() as u64;
        if length > limit {
            return Err(too_large(what, limit));
        }
        if length <= IN_MEMORY {
            return Ok(Self::Memory(bytes));
        }
        let space = Space::new(room);
        let tmp = room.tmp;
        let mut temp = tmp.temp_file(PRIVATE_MODE).map_err(write_failed(tmp))?;
        space.reserve(length)?;
        temp.write_all(&bytes).map_err(write_failed(tmp))?;
        bytes.resize(128 << 10, 0);
        loop {
            let count = match input.read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read.map_err(failed)?,
            };
            let Some(piece) = bytes.get(..count).filter(|piece| !piece.is_empty()) else {
                break;
            };
            length += count as u64;
            if length > limit {
                return Err(too_large(what, limit));
            }
            space.reserve(length)?;
            temp.write_all(piece).map_err(write_failed(tmp))?;
        }
        let file = temp.file().try_clone().map_err(write_failed(tmp))?;
        Ok(Self::File(file, length))
    }

    /// Returns the number of bytes.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(_, length) => *length,
        }
    }

    /// Reads some of the bytes from `offset` on; none at the end.
    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Memory(bytes) => {
                let at = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                bytes.get(at..).unwrap_or_default().read(buffer)
            }
            Self::File(file, _) => file.read_at(buffer, offset),
        }
    }

    /// Reads exactly as many bytes as `buffer` has.
    pub(super) fn read_exact_at(&self, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(offset, buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    offset += count as u64;
                    buffer = buffer.get_mut(count..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A row of the bytes.
#[derive(Debug)]
pub(super) struct Section {
    scratch: Rc<Scratch>,
    at: u64,
    left: u64,
}

impl Section {
    /// Returns `length` bytes from `offset` on; `None` where they go beyond the end.
    pub(super) fn new(scratch: &Rc<Scratch>, offset: u64, length: u64) -> Option<Self> {
        let end = offset.checked_add(length)?;
        (end <= scratch.len()).then(|| Self {
            scratch: Rc::clone(scratch),
            at: offset,
            left: length,
        })
    }

    /// Returns how many bytes are still to be read.
    pub(super) const fn left(&self) -> u64 {
        self.left
    }
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self
            .scratch
            .read_at(self.at, buffer.get_mut(..most).unwrap_or_default())?;
        if count == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// The space that a scratch file takes while it is written.
struct Space<'a> {
    room: Room<'a>,
    reserved: Cell<u64>,
}

impl<'a> Space<'a> {
    const fn new(room: Room<'a>) -> Self {
        Self {
            room,
            reserved: Cell::new(0),
        }
    }

    /// Makes sure that there is room for `length` bytes.
    fn reserve(&self, length: u64) -> Result<()> {
        let Some(transaction) = self.room.transaction else {
            return Ok(());
        };
        while self.reserved.get() < length {
            transaction.charge_scratch(STEP)?;
            self.reserved.set(self.reserved.get() + STEP);
        }
        Ok(())
    }
}

impl Drop for Space<'_> {
    // Objects that are made of the bytes are charged by themselves.
    fn drop(&mut self) {
        if let Some(transaction) = self.room.transaction {
            for _ in 0..self.reserved.get() / STEP {
                transaction.credit_scratch(STEP);
            }
        }
    }
}

/// Says that bytes cannot be read; an error of ours inside comes out as it was.
pub(super) fn read_failed(what: &str, error: io::Error) -> RepoError {
    match error.downcast::<RepoError>() {
        Ok(error) => error,
        // What decoders say of bytes that they do not understand, or that end too early.
        Err(error) if error.raw_os_error().is_none() => RepoError::corrupt(what, error.to_string()),
        Err(error) => RepoError::io("read", what)(error),
    }
}

fn too_large(what: &str, limit: u64) -> RepoError {
    RepoError::corrupt(what, format!("it inflates to more than {limit} bytes"))
}

fn write_failed(tmp: &Dir) -> impl FnOnce(io::Error) -> RepoError {
    RepoError::io("write a temporary file in", tmp.path())
}
