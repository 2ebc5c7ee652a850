//! An inflated part: its lists in memory, payload and operations where they are.

use super::inflated_limit;
use super::scratch::{Room, Scratch, Section, read_failed};
use crate::error::{RepoError, Result};
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};
use ostler_format::delta::{
    Compression, Operations, PartHeader, PartLayout, PartMode, parse_part_modes, parse_part_xattrs, part_tail,
};
use ostler_format::{Checksum, FileHeader, Hasher, ObjectName, Xattrs};
use std::io::{self, BufReader, Read};
use std::ops::Range;
use std::rc::Rc;

/// What a decoder may take: as with current clients.
const DECODER_MEMORY: u64 = 100 << 20;
/// How many bytes are read at once.
const BUFFER: usize = 128 << 10;
/// The most bytes of lists and operations, each: what 128 MiB of objects' names in a superblock could ever need.
const LIST_LIMIT: u64 = 128 << 20;

/// An inflated part.
#[derive(Debug)]
pub(super) struct Part {
    name: String,
    scratch: Rc<Scratch>,
    payload: Range<u64>,
    modes: Vec<PartMode>,
    xattrs: Vec<Xattrs>,
    operations: Vec<u8>,
}

impl Part {
    /// Reads the file of a part to its end.
    pub(super) fn of_file(room: Room<'_>, name: &str, header: &PartHeader, file: impl Read) -> Result<Self> {
        let mut hashed = Hashed {
            input: file,
            hasher: Hasher::new(),
            left: header.size,
        };
        let inflated = fill(room, name, header, &mut hashed);
        // A file that is not the right one is told as such, whatever else is wrong with it.
        let found = hashed.finish(name)?;
        if found != header.checksum {
            let expected = header.checksum;
            let detail = format!("Checksum mismatch in static delta; expected={expected} actual={found}");
            return Err(RepoError::corrupt(name, detail));
        }
        Self::of_scratch(name, inflated?)
    }

    /// Reads a part that lies in a superblock.
    pub(super) fn of_inline(
        room: Room<'_>,
        name: &str,
        header: &PartHeader,
        compression: Compression,
        bytes: &[u8],
    ) -> Result<Self> {
        let scratch = inflate(room, name, compression, bytes, inflated_limit(header))?;
        Self::of_scratch(name, scratch)
    }

    fn of_scratch(name: &str, scratch: Scratch) -> Result<Self> {
        let total = scratch.len();
        let tail = part_tail(total) as u64;
        let tail = list(name, &scratch, total.saturating_sub(tail)..total)?;
        let layout = PartLayout::read(total, &tail).map_err(RepoError::format(name))?;
        let modes = list(name, &scratch, layout.modes)?;
        let xattrs = list(name, &scratch, layout.xattrs)?;
        Ok(Self {
            name: name.to_owned(),
            modes: parse_part_modes(&modes).map_err(RepoError::format(name))?,
            xattrs: parse_part_xattrs(&xattrs).map_err(RepoError::format(name))?,
            operations: list(name, &scratch, layout.operations)?,
            payload: layout.payload,
            scratch: Rc::new(scratch),
        })
    }

    /// Returns how errors name it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the numbers of modes and of sets of attributes, and the sizes of payload and operations.
    pub(super) fn sizes(&self) -> (usize, usize, u64, usize) {
        let payload = self.payload.end - self.payload.start;
        (
            self.modes.len(),
            self.xattrs.len(),
            payload,
            self.operations.len(),
        )
    }

    /// Returns the operations, which make `objects`.
    pub(super) fn operations<'a>(&'a self, objects: &'a [ObjectName]) -> Operations<'a> {
        Operations::new(&self.operations, objects)
    }

    /// Returns a row of the payload.
    pub(super) fn section(&self, offset: u64, length: u64) -> Result<Section> {
        let size = self.payload.end - self.payload.start;
        if offset.checked_add(length).is_none_or(|end| end > size) {
            return Err(self.invalid("bytes beyond the payload"));
        }
        Section::new(&self.scratch, self.payload.start + offset, length)
            .ok_or_else(|| self.invalid("bytes beyond the payload"))
    }

    /// Reads a row of the payload into memory.
    pub(super) fn read(&self, offset: u64, length: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.section(offset, length)?
            .read_to_end(&mut bytes)
            .map_err(|error| read_failed(&self.name, error))?;
        Ok(bytes)
    }

    /// Returns the header of a file with these numbers of mode and attributes; the target of a symbolic link is still
    /// to come.
    pub(super) fn file_header(&self, mode: u64, xattrs: u64) -> Result<FileHeader> {
        let at = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let mode = self.modes.get(at(mode));
        let mode = mode.ok_or_else(|| self.invalid("a number of a mode that is not there"))?;
        let xattrs = self.xattrs.get(at(xattrs));
        let xattrs = xattrs.ok_or_else(|| self.invalid("a number of attributes that are not there"))?;
        Ok(FileHeader {
            uid: mode.uid,
            gid: mode.gid,
            mode: mode.mode,
            symlink_target: String::new(),
            xattrs: xattrs.clone(),
        })
    }

    /// Returns the error for what makes no sense.
    pub(super) fn invalid(&self, detail: &str) -> RepoError {
        RepoError::corrupt(&self.name, detail)
    }
}

/// Inflates what follows the byte of the compression.
fn fill(room: Room<'_>, name: &str, header: &PartHeader, file: &mut impl Read) -> Result<Scratch> {
    let mut first = [0];
    file.read_exact(&mut first)
        .map_err(|error| read_failed(name, error))?;
    let [first] = first;
    let compression = Compression::from_byte(first).map_err(RepoError::format(name))?;
    inflate(room, name, compression, file, inflated_limit(header))
}

fn inflate(
    room: Room<'_>,
    name: &str,
    compression: Compression,
    mut input: impl Read,
    limit: u64,
) -> Result<Scratch> {
    if compression == Compression::None {
        return Scratch::fill(room, name, &mut input, limit);
    }
    let stream = Stream::new_stream_decoder(DECODER_MEMORY, CONCATENATED)
        .map_err(|error| read_failed(name, error.into()))?;
    let mut decoder = XzDecoder::new_stream(BufReader::with_capacity(BUFFER, input), stream);
    Scratch::fill(room, name, &mut decoder, limit)
}

/// Reads one of the lists into memory.
fn list(name: &str, scratch: &Scratch, range: Range<u64>) -> Result<Vec<u8>> {
    let length = range.end - range.start;
    let length = usize::try_from(length.min(LIST_LIMIT + 1)).unwrap_or(usize::MAX);
    if length as u64 > LIST_LIMIT {
        return Err(RepoError::corrupt(name, "a list in it is too long"));
    }
    let mut bytes = vec![0; length];
    scratch
        .read_exact_at(range.start, &mut bytes)
        .map_err(|error| read_failed(name, error))?;
    Ok(bytes)
}

/// Passes bytes on, at most so many, and hashes them.
struct Hashed<R> {
    input: R,
    hasher: Hasher,
    left: u64,
}

impl<R: Read> Hashed<R> {
    /// Reads the rest and returns the checksum of all.
    fn finish(mut self, name: &str) -> Result<Checksum> {
        let failed = |error| read_failed(name, error);
        io::copy(&mut self, &mut io::sink()).map_err(failed)?;
        let mut beyond = [0];
        if self.input.read(&mut beyond).map_err(failed)? > 0 {
            let detail = "Checksum mismatch in static delta; it is longer than the superblock says";
            return Err(RepoError::corrupt(name, detail));
        }
        Ok(self.hasher.finish())
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.input.read(buffer.get_mut(..most).unwrap_or_default())?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        self.left -= count as u64;
        Ok(count)
    }
}
