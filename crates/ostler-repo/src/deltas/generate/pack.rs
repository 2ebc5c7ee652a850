//! Writing a part: lists, payload, operations, through the compressor and the hash into where it goes.
//!
//! The payload passes by piece by piece. What takes memory is the compressor, [`encoder_memory`] for a window that is not
//! larger than the part.

use super::encode::{Encoded, Patches, Shape};
use super::form::From;
use super::layout::{Frame, Item, frame_of, source_of};
use super::memory::Memory;
use crate::error::{RepoError, Result};
use crate::repo::Repo;
use liblzma::stream::{Check, Filters, LzmaOptions, Stream};
use liblzma::write::XzEncoder;
use ostler_format::delta::{Compression, PartHeader, write_part_frame};
use ostler_format::{Hasher, ObjectName};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::FileExt as _;

/// The preset of stock tools: a window of 32 MiB.
const PRESET: u32 = 8;
const LARGEST_WINDOW: u64 = 32 << 20;
const SMALLEST_WINDOW: u64 = 1 << 16;
/// No payload is larger; headers may claim that it were.
const MOST_PAYLOAD: u64 = 1 << 62;
/// How many bytes are copied at once.
const PIECE: usize = 128 << 10;

/// Returns the window for a part of so many bytes: the next power of two.
fn window_for(length: u64) -> u64 {
    length.clamp(SMALLEST_WINDOW, LARGEST_WINDOW).next_power_of_two()
}

/// Returns about how much the compressor takes for a window: tables of ten and a half times its size beside it.
const fn encoder_memory(window: u64) -> u64 {
    window * 23 / 2 + (8 << 20)
}

/// Writes parts.
pub(super) struct Packer<'a> {
    pub(super) repo: &'a Repo,
    pub(super) patches: &'a Patches,
    pub(super) memory: &'a Memory,
}

impl Packer<'_> {
    /// Writes the part of these items into `out`, from the byte of the compression on.
    pub(super) fn pack<W: Write>(&self, items: &[Item<'_>], out: W) -> Result<(PartHeader, W)> {
        let frame = frame_of(items);
        if frame.payload > MOST_PAYLOAD {
            return Err(self.other_size());
        }
        let (before, behind) =
            write_part_frame(&frame.modes, &frame.xattrs, frame.payload, &frame.operations);
        let length = before.len() as u64 + frame.payload + behind.len() as u64;
        let window = window_for(length);
        let _share = self.memory.take(encoder_memory(window));
        let mut out = Hashed {
            out,
            hasher: Hasher::new(),
            length: 0,
        };
        out.write_all(&[Compression::Xz.to_byte()])
            .map_err(write_failed)?;
        let mut encoder = XzEncoder::new_stream(out, stream(window)?);
        encoder.write_all(&before).map_err(write_failed)?;
        self.payload(items, &frame, &mut encoder)?;
        encoder.write_all(&behind).map_err(write_failed)?;
        let out = encoder.finish().map_err(write_failed)?;
        let header = PartHeader {
            checksum: out.hasher.finish(),
            size: out.length,
            unpacked: items.iter().map(Item::size).fold(0, u64::saturating_add),
            objects: items.iter().map(Item::name).collect(),
        };
        Ok((header, out.out))
    }

    fn payload(&self, items: &[Item<'_>], frame: &Frame, out: &mut impl Write) -> Result<()> {
        let mut counted = Counted { out, length: 0 };
        for item in items {
            match item {
                Item::Metadata(name, _) => self.metadata(name, &mut counted)?,
                Item::File(file) => self.file(file, &mut counted)?,
            }
        }
        if counted.length != frame.payload {
            return Err(self.other_size());
        }
        Ok(())
    }

    fn other_size(&self) -> RepoError {
        let detail = "an object has another size than its header says";
        RepoError::corrupt(self.repo.path().display().to_string(), detail)
    }

    fn metadata(&self, name: &ObjectName, out: &mut impl Write) -> Result<()> {
        let bytes = self.repo.load_metadata(name)?;
        out.write_all(&bytes).map_err(write_failed)
    }

    fn file(&self, file: &Encoded, out: &mut impl Write) -> Result<()> {
        if let Some(source) = source_of(file) {
            out.write_all(source.as_bytes()).map_err(write_failed)?;
        }
        match &file.shape {
            Shape::Fallback { .. } => Ok(()),
            Shape::Link => out
                .write_all(file.header.symlink_target.as_bytes())
                .map_err(write_failed),
            Shape::Whole => self.rows_of(file, &[(0, file.size)], out),
            Shape::Rows { rows, .. } => {
                let own = rows.iter().filter(|row| row.from == From::Own);
                let own: Vec<_> = own.map(|row| (row.offset as u64, row.length as u64)).collect();
                self.rows_of(file, &own, out)
            }
            Shape::Patch { offset, length, .. } => self.patch(*offset, *length, out),
        }
    }

    /// Writes rows of a file's content, given in order.
    fn rows_of(&self, file: &Encoded, rows: &[(u64, u64)], out: &mut impl Write) -> Result<()> {
        let mut content = self.repo.open_content(&file.checksum)?;
        let mut buffer = vec![0; PIECE];
        let mut at = 0;
        for (offset, length) in rows {
            for (mut left, write) in [(offset - at, false), (*length, true)] {
                while left > 0 {
                    let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
                    let piece = buffer.get_mut(..most).unwrap_or_default();
                    let count = match content.read(piece) {
                        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                        read => read,
                    };
                    let count = count.map_err(|error| content.read_error(error))?;
                    left -= count as u64;
                    if write {
                        out.write_all(piece.get(..count).unwrap_or_default())
                            .map_err(write_failed)?;
                    }
                }
            }
            at = offset + length;
        }
        Ok(())
    }

    fn patch(&self, offset: u64, length: u64, out: &mut impl Write) -> Result<()> {
        let mut buffer = vec![0; PIECE];
        let (mut at, end) = (offset, offset + length);
        while at < end {
            let most = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
            let piece = buffer.get_mut(..most).unwrap_or_default();
            self.patches
                .file()
                .read_exact_at(piece, at)
                .map_err(self.patches.failed())?;
            out.write_all(piece).map_err(write_failed)?;
            at += most as u64;
        }
        Ok(())
    }
}

/// Returns a compressor of the preset, with a window that is not larger than needed.
fn stream(window: u64) -> Result<Stream> {
    let make = || {
        let mut options = LzmaOptions::new_preset(PRESET)?;
        options.dict_size(u32::try_from(window).unwrap_or(u32::MAX));
        let mut filters = Filters::new();
        filters.lzma2(&options);
        Stream::new_stream_encoder(&filters, Check::Crc64)
    };
    make().map_err(|error| write_failed(error.into()))
}

fn write_failed(error: io::Error) -> RepoError {
    RepoError::io("write", "a part of a static delta")(error)
}

/// Passes bytes on, hashes and counts them.
struct Hashed<W> {
    out: W,
    hasher: Hasher,
    length: u64,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(bytes.get(..count).unwrap_or_default());
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Passes bytes on and counts them.
struct Counted<'a, W> {
    out: &'a mut W,
    length: u64,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_hold_a_part_and_have_bounds() {
        for (length, window) in [
            (0, SMALLEST_WINDOW),
            (SMALLEST_WINDOW + 1, 2 * SMALLEST_WINDOW),
            (LARGEST_WINDOW, LARGEST_WINDOW),
            (LARGEST_WINDOW + 1, LARGEST_WINDOW),
            (u64::MAX, LARGEST_WINDOW),
        ] {
            assert_eq!(window_for(length), window, "{length}");
        }
    }
}
