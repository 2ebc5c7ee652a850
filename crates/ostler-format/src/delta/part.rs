//! Parts of static deltas.
//!
//! A part's file is one byte that tells the compression (0 none, `x` for xz) and then, compressed, shape
//! `(a(uuu)aa(ayay)ayay)`: owners and modes (user, group, `st_mode`, all big endian), sets of extended attributes,
//! payload, operations. All four are aligned to at most four bytes and lie one behind the other; three framing offsets
//! end the file, so that who has its last bytes knows where everything is.

use crate::error::{FormatError, Result};
use crate::gvariant::framing::{ArrayReader, ArrayWriter, fixed_elements, offset_size};
use crate::xattrs::Xattrs;
use std::ops::Range;

const WHAT: &str = "part of a static delta";
const MODE_ENTRY: usize = 12;
/// Members that have a framing offset.
const OFFSETS: usize = 3;

/// How a part is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// As one or more streams of the container format of xz.
    Xz,
}

impl Compression {
    /// Returns the compression for the first byte of a part.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] for bytes that stand for none.
    pub fn from_byte(byte: u8) -> Result<Self> {
        match byte {
            0 => Ok(Self::None),
            b'x' => Ok(Self::Xz),
            other => Err(invalid(format!("unknown compression {other}"))),
        }
    }

    /// Returns the first byte of a part that is compressed so.
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Xz => b'x',
        }
    }
}

/// Owner, group and `st_mode` of content objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartMode {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// The full `st_mode`.
    pub mode: u32,
}

/// Where the members of a part lie, in bytes from its start, uncompressed and without the byte of the compression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartLayout {
    /// `a(uuu)`, for [`parse_part_modes`].
    pub modes: Range<u64>,
    /// `aa(ayay)`, for [`parse_part_xattrs`].
    pub xattrs: Range<u64>,
    /// The payload that operations refer to.
    pub payload: Range<u64>,
    /// The operations, for [`Operations`](super::Operations).
    pub operations: Range<u64>,
}

/// Returns how many bytes at the end of a part of `total` bytes tell its layout.
pub fn part_tail(total: u64) -> usize {
    OFFSETS * usize::try_from(total).map_or(8, offset_size)
}

impl PartLayout {
    /// Reads the layout of a part of `total` bytes from its last [`part_tail`] bytes.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] for offsets that go backwards or past the end.
    pub fn read(total: u64, tail: &[u8]) -> Result<Self> {
        let width = part_tail(total) / OFFSETS;
        if width == 0 || tail.len() != width * OFFSETS {
            return Err(invalid("it is cut short"));
        }
        let end = total
            .checked_sub(tail.len() as u64)
            .ok_or_else(|| invalid("it is cut short"))?;
        // Tuples have their offsets in reverse.
        let mut offsets = tail.chunks_exact(width).rev().map(|bytes| {
            let mut number = [0; 8];
            for (slot, byte) in number.iter_mut().zip(bytes) {
                *slot = *byte;
            }
            u64::from_le_bytes(number)
        });
        let mut start = 0;
        let mut member = || {
            let stop = offsets.next().unwrap_or(end);
            if stop < start || stop > end {
                return Err(invalid("a framing offset goes backwards or past the end"));
            }
            let member = start..stop;
            start = stop;
            Ok(member)
        };
        Ok(Self {
            modes: member()?,
            xattrs: member()?,
            payload: member()?,
            operations: member()?,
        })
    }
}

/// Reads `a(uuu)`.
///
/// # Errors
/// [`FormatError::Invalid`] for a length that is no multiple of twelve bytes.
pub fn parse_part_modes(bytes: &[u8]) -> Result<Vec<PartMode>> {
    let word = |entry: &[u8], at: usize| {
        let word = entry.get(at..).and_then(<[u8]>::first_chunk).copied();
        word.map(u32::from_be_bytes).unwrap_or_default()
    };
    let modes = fixed_elements(WHAT, bytes, MODE_ENTRY)?.map(|entry| PartMode {
        uid: word(entry, 0),
        gid: word(entry, 4),
        mode: word(entry, 8),
    });
    Ok(modes.collect())
}

/// Reads `aa(ayay)`.
///
/// # Errors
/// [`FormatError`] for what is not in normal form, and as [`Xattrs::from_bytes`]; old versions wrote sets that are not
/// sorted, which are sorted.
pub fn parse_part_xattrs(bytes: &[u8]) -> Result<Vec<Xattrs>> {
    ArrayReader::new(WHAT, bytes, 1)?
        .map(|set| Xattrs::from_unsorted_bytes(set?))
        .collect()
}

/// Returns what stands before and behind the payload of `payload` bytes in a part.
pub fn write_part_frame(
    modes: &[PartMode],
    xattrs: &[Xattrs],
    payload: u64,
    operations: &[u8],
) -> (Vec<u8>, Vec<u8>) {
    let mut before = Vec::with_capacity(modes.len() * MODE_ENTRY);
    for mode in modes {
        for word in [mode.uid, mode.gid, mode.mode] {
            before.extend_from_slice(&word.to_be_bytes());
        }
    }
    let modes_end = before.len() as u64;
    before.extend(ArrayWriter::encode(1, |sets| {
        for set in xattrs {
            sets.array(|array| set.write(array));
        }
    }));
    let xattrs_end = before.len() as u64;
    let payload_end = xattrs_end + payload;
    let body = payload_end + operations.len() as u64;
    let width = [1_u64, 2, 4]
        .into_iter()
        .find(|width| body + OFFSETS as u64 * width < 1 << (8 * width))
        .unwrap_or(8);
    let mut behind = operations.to_vec();
    for offset in [payload_end, xattrs_end, modes_end] {
        let width = usize::try_from(width).unwrap_or(8);
        behind.extend(offset.to_le_bytes().into_iter().take(width));
    }
    (before, behind)
}

fn invalid(rule: impl Into<String>) -> FormatError {
    FormatError::invalid(WHAT, rule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gvariant::{Type, Value};

    fn whole(modes: &[PartMode], xattrs: &[Xattrs], payload: &[u8], operations: &[u8]) -> Vec<u8> {
        let (before, behind) = write_part_frame(modes, xattrs, payload.len() as u64, operations);
        [&before[..], payload, &behind].concat()
    }

    fn layout(bytes: &[u8]) -> Result<PartLayout> {
        let total = bytes.len() as u64;
        let tail = bytes.len().saturating_sub(part_tail(total));
        PartLayout::read(total, &bytes[tail..])
    }

    #[test]
    fn a_part_is_the_tuple_that_its_shape_says_and_reads_back() {
        let modes = [
            PartMode {
                uid: 1,
                gid: 2,
                mode: 0o100_644,
            },
            PartMode {
                uid: 0,
                gid: 0,
                mode: 0o120_777,
            },
        ];
        let set = Xattrs::new(vec![(b"user.a".to_vec(), b"1".to_vec())]).unwrap();
        let xattrs = [Xattrs::default(), set];
        for length in [0, 1, 180, 200, 65_000, 65_536, 70_000] {
            let payload = vec![7; length];
            let bytes = whole(&modes, &xattrs, &payload, b"ops");
            let ty = Type::parse("(a(uuu)aa(ayay)ayay)").unwrap();
            let value = Value::from_bytes(&ty, &bytes).unwrap();
            assert_eq!(value.to_bytes(), bytes);
            let layout = layout(&bytes).unwrap();
            let cut = |range: &Range<u64>| {
                let at = |end| usize::try_from(end).unwrap();
                &bytes[at(range.start)..at(range.end)]
            };
            assert_eq!(parse_part_modes(cut(&layout.modes)), Ok(modes.to_vec()));
            assert_eq!(parse_part_xattrs(cut(&layout.xattrs)), Ok(xattrs.to_vec()));
            assert_eq!(cut(&layout.payload), payload);
            assert_eq!(cut(&layout.operations), b"ops");
        }
    }

    #[test]
    fn an_empty_part_is_three_offsets_and_no_bytes_are_none() {
        let bytes = whole(&[], &[], &[], &[]);
        assert_eq!(bytes, [0, 0, 0]);
        assert!(layout(&bytes).is_ok());
        for bad in [&[][..], &[0], &[0, 0], &[1, 0, 0], &[0, 9, 0], &[9, 1, 1, 1, 2]] {
            assert!(layout(bad).is_err(), "{bad:?}");
        }
    }
}
