//! Maps of sparse files: which pieces of a file an archive holds; between them are zeros.
//!
//! Three shapes. GNU's own type: pairs of [numbers](super::number) of twelve bytes, offset and length, four in the
//! header and 21 in each block that follows, with a byte behind them that says whether there is another. Records of pax,
//! versions 0.0 and 0.1: the numbers as [`super::PaxSparse`] has them. Version 1.0: decimal numbers, a line each, in front of the
//! content and filled up to a block: how many pieces, then offset and length of each.
//!
//! Refused are pieces that are out of order, overlap or lie outside the file, and more than [`MAX_SPARSE_ENTRIES`].

use super::header::TAR_BLOCK;
use super::number;
use crate::error::{FormatError, Result};
use crate::limits::check_size;

const WHAT: &str = "sparse map";

/// The most pieces that a file may have: what a map of them takes in memory is 16 MiB.
pub const MAX_SPARSE_ENTRIES: u64 = 1 << 20;

/// The bytes of a pair in GNU's own type.
pub(super) const SPARSE_ENTRY: usize = 24;
/// How many pieces a block of GNU's own type has.
const EXTENDED_ENTRIES: usize = 21;
/// The most digits of a number of 64 bits.
const MAX_DIGITS: usize = 20;

/// The pieces of a file, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SparseMap {
    pieces: Vec<(u64, u64)>,
    size: u64,
}

impl SparseMap {
    /// Checks pairs of offset and length against the size of the file.
    ///
    /// # Errors
    /// [`FormatError`] as the module says.
    pub fn new(mut pieces: Vec<(u64, u64)>, size: u64) -> Result<Self> {
        check_size(
            "number of pieces of a sparse file",
            pieces.len() as u64,
            MAX_SPARSE_ENTRIES,
        )?;
        // An empty piece at the end tells the size, in some versions.
        pieces.retain(|(_, length)| *length > 0);
        let mut end = 0;
        for (offset, length) in &pieces {
            let next = offset
                .checked_add(*length)
                .filter(|next| *offset >= end && *next <= size);
            end = next.ok_or_else(|| {
                let rule = format!("piece of {length} bytes at {offset} in a file of {size}, after {end}");
                FormatError::invalid(WHAT, rule)
            })?;
        }
        Ok(Self { pieces, size })
    }

    /// Returns the map of a file that is there as a whole.
    pub fn whole(size: u64) -> Self {
        let pieces = if size == 0 { Vec::new() } else { vec![(0, size)] };
        Self { pieces, size }
    }

    /// Returns the size of the file.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns pairs of offset and length, in order.
    pub fn pieces(&self) -> &[(u64, u64)] {
        &self.pieces
    }

    /// Returns how many bytes the archive holds.
    pub fn stored(&self) -> u64 {
        // No overflow: the pieces lie in the file and do not overlap.
        self.pieces.iter().map(|(_, length)| length).sum()
    }
}

/// Reads the pairs of GNU's own type that are in use: an empty one ends them.
pub(super) fn entries(bytes: &[u8]) -> Result<Vec<(u64, u64)>> {
    let mut pieces = Vec::new();
    for entry in bytes.chunks_exact(SPARSE_ENTRY) {
        let (offset, length) = entry.split_at(SPARSE_ENTRY / 2);
        if length.first().is_none_or(|byte| *byte == 0) {
            break;
        }
        pieces.push((number::parse(WHAT, offset)?, number::parse(WHAT, length)?));
    }
    Ok(pieces)
}

/// A block with more pieces of GNU's own type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedSparse {
    /// Pairs of offset and length.
    pub pieces: Vec<(u64, u64)>,
    /// Whether another block follows.
    pub extended: bool,
}

impl ExtendedSparse {
    /// Reads a block.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] as the module says.
    pub fn parse(block: &[u8; TAR_BLOCK]) -> Result<Self> {
        let end = EXTENDED_ENTRIES * SPARSE_ENTRY;
        Ok(Self {
            pieces: entries(block.get(..end).unwrap_or_default())?,
            extended: block.get(end).is_some_and(|byte| *byte != 0),
        })
    }
}

/// The map of version 1.0, while block after block is read.
#[derive(Debug, Clone, Default)]
pub struct SparseMapText {
    digits: Vec<u8>,
    count: Option<u64>,
    offset: Option<u64>,
    pieces: Vec<(u64, u64)>,
}

impl SparseMapText {
    /// Starts with nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next block in. Returns the pieces when they are complete.
    ///
    /// # Errors
    /// [`FormatError`] as the module says.
    pub fn feed(&mut self, block: &[u8; TAR_BLOCK]) -> Result<Option<Vec<(u64, u64)>>> {
        for byte in block {
            if *byte != b'\n' {
                if self.digits.len() == MAX_DIGITS {
                    return Err(FormatError::invalid(WHAT, "a number of too many digits"));
                }
                self.digits.push(*byte);
                continue;
            }
            let number = decimal(&std::mem::take(&mut self.digits))?;
            match (self.count, self.offset.take()) {
                (None, _) => {
                    check_size("number of pieces of a sparse file", number, MAX_SPARSE_ENTRIES)?;
                    self.count = Some(number);
                }
                (Some(_), None) => self.offset = Some(number),
                (Some(_), Some(offset)) => self.pieces.push((offset, number)),
            }
            if self.count == Some(self.pieces.len() as u64) {
                return Ok(Some(std::mem::take(&mut self.pieces)));
            }
        }
        Ok(None)
    }
}

/// Reads a decimal number.
pub(super) fn decimal(digits: &[u8]) -> Result<u64> {
    let number = std::str::from_utf8(digits)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok());
    number.ok_or_else(|| FormatError::invalid(WHAT, format!("number '{}'", digits.escape_ascii())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_in_order_and_inside_the_file() {
        let map = SparseMap::new(vec![(0, 5), (5, 0), (7, 3), (10, 0)], 10).unwrap();
        assert_eq!(map.pieces(), [(0, 5), (7, 3)]);
        assert_eq!((map.stored(), map.size()), (8, 10));
        for bad in [
            vec![(0, 11)],
            vec![(5, 2), (0, 2)],
            vec![(0, 5), (4, 2)],
            vec![(u64::MAX, 2)],
            vec![(11, 1)],
        ] {
            assert!(SparseMap::new(bad.clone(), 10).is_err(), "{bad:?}");
        }
        assert_eq!(SparseMap::whole(0).stored(), 0);
    }

    #[test]
    fn the_text_of_a_map_may_span_blocks() {
        let pieces: Vec<(u64, u64)> = (0..100).map(|n| (n * 1000, 10)).collect();
        let lines = pieces
            .iter()
            .map(|(offset, length)| format!("{offset}\n{length}\n"));
        let text = format!("{}\n{}", pieces.len(), lines.collect::<String>());
        let mut bytes = text.into_bytes();
        bytes.resize(bytes.len().next_multiple_of(TAR_BLOCK), 0);
        let mut map = SparseMapText::new();
        let blocks = bytes.chunks_exact(TAR_BLOCK);
        let found: Vec<_> = blocks
            .map(|block| map.feed(block.first_chunk().unwrap()).unwrap())
            .collect();
        let (last, first) = found.split_last().unwrap();
        assert!(first.iter().all(Option::is_none));
        assert_eq!(last.as_ref(), Some(&pieces));
    }

    #[test]
    fn texts_that_are_no_map_are_refused() {
        for text in [
            "x\n",
            "-1\n",
            "99999999999\n",
            "\n",
            "111111111111111111111111111111",
        ] {
            let mut block = [0; TAR_BLOCK];
            block[..text.len()].copy_from_slice(text.as_bytes());
            assert!(SparseMapText::new().feed(&block).is_err(), "{text}");
        }
        let mut empty = [0; TAR_BLOCK];
        empty[..2].copy_from_slice(b"0\n");
        assert_eq!(SparseMapText::new().feed(&empty), Ok(Some(Vec::new())));
    }
}
