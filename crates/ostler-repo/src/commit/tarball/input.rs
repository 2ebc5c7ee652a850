//! The bytes of an archive, decompressed where they are compressed.
//!
//! The first bytes tell how: gzip, xz and zstd are decompressed, of the others the name is told.

use crate::error::{RepoError, Result};
use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

/// How many bytes are read at once.
const BUFFER: usize = 128 << 10;

/// What a decompressor may take: enough for what `xz -9` makes; of zstd, windows of half as much, which
/// only `--ultra` and `--long` exceed.
pub(super) const DECODER_MEMORY: u64 = 80 << 20;
const ZSTD_WINDOW_BITS: u32 = 26;

/// Beginnings of what is not decompressed here.
const OTHERS: &[(&[u8], &str)] = &[
    (b"BZh", "bzip2"),
    (b"\x1f\x9d", "compress"),
    (b"\x1f\xa0", "compress"),
    (b"LZIP", "lzip"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x89LZO", "lzop"),
    (b"\x5d\0\0", "lzma"),
    (b"PK\x03\x04", "zip"),
    (b"7z\xbc\xaf", "7-Zip"),
];

/// The bytes of an archive.
pub(super) struct Input {
    reader: Box<dyn Read>,
    /// What was looked at and not taken yet.
    ahead: VecDeque<u8>,
}

/// An open file that several may share; it is read by one.
struct Shared(Arc<File>);

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl Input {
    /// Looks at the first bytes and decompresses from there.
    pub(super) fn open(name: &Path, file: &Arc<File>) -> Result<Self> {
        let failed = |error| RepoError::io("read", name)(error);
        let mut file = BufReader::with_capacity(BUFFER, Shared(Arc::clone(file)));
        let start = first_bytes(&mut file).map_err(failed)?;
        if let Some((_, what)) = OTHERS.iter().find(|(magic, _)| start.starts_with(magic)) {
            let what = format!("archives of {what} ({})", name.display());
            return Err(RepoError::Unsupported { what });
        }
        let file = io::Cursor::new(start.clone()).chain(file);
        let reader: Box<dyn Read> = if start.starts_with(b"\x1f\x8b") {
            Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(file)))
        } else if start.starts_with(b"\xfd7zXZ\0") {
            let stream = Stream::new_stream_decoder(DECODER_MEMORY, CONCATENATED)
                .map_err(|error| failed(error.into()))?;
            Box::new(BufReader::with_capacity(
                BUFFER,
                XzDecoder::new_stream(file, stream),
            ))
        } else if start.starts_with(b"\x28\xb5\x2f\xfd") {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(file).map_err(failed)?;
            decoder.window_log_max(ZSTD_WINDOW_BITS).map_err(failed)?;
            Box::new(BufReader::with_capacity(BUFFER, decoder))
        } else {
            Box::new(file)
        };
        Ok(Self {
            reader,
            ahead: VecDeque::new(),
        })
    }

    /// Returns the next `length` bytes without taking them; fewer at the end only.
    pub(super) fn peek(&mut self, length: usize) -> io::Result<&[u8]> {
        let missing = length.saturating_sub(self.ahead.len()) as u64;
        let mut bytes = Vec::new();
        (&mut self.reader).take(missing).read_to_end(&mut bytes)?;
        self.ahead.extend(bytes);
        let bytes = self.ahead.make_contiguous();
        Ok(bytes.get(..length).unwrap_or(bytes))
    }

    /// Fills `buffer`. Returns whether that was possible; at the very end nothing is read.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let mut filled = 0;
        while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
            match self.read(room) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Reads a piece of `length` bytes, which the caller has limited.
    pub(super) fn piece(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let count = self.by_ref().take(length as u64).read_to_end(&mut bytes)?;
        if count == length {
            Ok(bytes)
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Reads over `length` bytes.
    pub(super) fn skip(&mut self, length: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.by_ref().take(length), &mut io::sink())?;
        if skipped == length {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Reads over what follows the end of the archive: the sums that decompressors check stand there, and whoever
    /// writes into a pipe wants it emptied.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink()).map(drop)
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ahead.is_empty() {
            self.reader.read(buffer)
        } else {
            self.ahead.read(buffer)
        }
    }
}

/// Returns as many bytes as tell one compression from the other, unless the file is shorter.
fn first_bytes(file: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    file.take(6).read_to_end(&mut start)?;
    Ok(start)
}
