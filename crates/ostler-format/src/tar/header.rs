//! The header block of a tar entry, 512 bytes.
//!
//! ```text
//!   0 path      100   124 size    12    156 type       1   257 magic  6   329 device  16
//! 100 mode        8   136 mtime   12    157 link path 100  263 version 2  345 prefix 155 (POSIX)
//! 108 uid         8   148 checksum 8                       265 names   64 386 sparse map (GNU)
//! 116 gid         8
//! ```
//!
//! Texts end at a NUL or with their field; [numbers](super::number) are octal or binary, sizes and times in bytes
//! and seconds since the epoch. The checksum is the sum of all bytes of the block, with spaces in its own place; some
//! old writers took bytes for signed. The magic tells the forms apart: `ustar\0` for POSIX and pax, `ustar  \0` for
//! GNU, anything else for the first one, which ends at 257.
//!
//! Refused are blocks with a wrong checksum, and what is not a number in the place of one.

use super::number;
use super::sparse::{SPARSE_ENTRY, entries};
use crate::error::{FormatError, Result};

/// The size of everything in a tar archive: what is smaller is filled up with zeros.
pub const TAR_BLOCK: usize = 512;

const WHAT: &str = "tar header";
const POSIX: &[u8] = b"ustar\0";
const GNU: &[u8] = b"ustar  \0";
/// How many pieces the map in a header has.
const SPARSE_ENTRIES: usize = 4;

/// What the header of an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarHeader {
    /// The type: a character.
    pub kind: u8,
    /// The path, with the prefix that POSIX splits off.
    pub path: Vec<u8>,
    /// Where a link leads.
    pub link: Vec<u8>,
    /// Permission bits, and sometimes the type beside them.
    pub mode: u32,
    /// User id of the owner.
    pub uid: u64,
    /// Group id of the owner.
    pub gid: u64,
    /// How many bytes follow.
    pub size: u64,
    /// What makes it a sparse file of GNU's own type.
    pub sparse: Option<GnuSparse>,
}

/// What a header says of a sparse file of GNU's own type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GnuSparse {
    /// The pieces that it has room for: pairs of offset and length.
    pub pieces: Vec<(u64, u64)>,
    /// The size of the file.
    pub size: u64,
    /// Whether more pieces follow.
    pub extended: bool,
}

/// Returns whether a block is empty, as those are that end an archive.
pub fn is_zero_block(block: &[u8; TAR_BLOCK]) -> bool {
    block.iter().all(|byte| *byte == 0)
}

/// Returns what ends an archive.
pub const fn end_of_archive() -> [u8; 2 * TAR_BLOCK] {
    [0; 2 * TAR_BLOCK]
}

impl TarHeader {
    /// Reads a header.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] as the module says.
    pub fn parse(block: &[u8; TAR_BLOCK]) -> Result<Self> {
        if !Self::has_checksum(block) {
            return Err(FormatError::invalid(WHAT, "wrong checksum"));
        }
        let number = |at, length| number::parse(WHAT, field(block, at, length));
        let kind = field(block, 156, 1).first().copied().unwrap_or_default();
        let is_gnu = field(block, 257, 8) == GNU;
        let sparse = if kind == b'S' && is_gnu {
            Some(GnuSparse {
                pieces: entries(field(block, 386, SPARSE_ENTRIES * SPARSE_ENTRY))?,
                size: number(483, 12)?,
                extended: field(block, 482, 1) != [0],
            })
        } else {
            None
        };
        Ok(Self {
            kind,
            path: path_of(block),
            link: text(field(block, 157, 100)).to_vec(),
            mode: u32::try_from(number(100, 8)?)
                .map_err(|_error| FormatError::invalid(WHAT, "a mode of more than 32 bits"))?,
            uid: number(108, 8)?,
            gid: number(116, 8)?,
            size: number(124, 12)?,
            sparse,
        })
    }

    /// Returns whether a block has the checksum of a header.
    pub fn has_checksum(block: &[u8; TAR_BLOCK]) -> bool {
        let Ok(stated) = number::parse(WHAT, field(block, 148, 8)) else {
            return false;
        };
        let (mut unsigned, mut signed) = (0_u64, 0_i64);
        for (at, byte) in block.iter().enumerate() {
            let byte = if (148..156).contains(&at) { b' ' } else { *byte };
            unsigned += u64::from(byte);
            signed += i64::from(byte.cast_signed());
        }
        stated == unsigned || i64::try_from(stated) == Ok(signed)
    }
}

/// An entry to be written.
#[derive(Debug, Clone, Copy)]
pub struct TarEntry<'a> {
    /// The type: a character.
    pub kind: u8,
    /// The path.
    pub path: &'a [u8],
    /// Where a link leads.
    pub link: &'a [u8],
    /// Permission bits.
    pub mode: u32,
    /// User id of the owner.
    pub uid: u32,
    /// Group id of the owner.
    pub gid: u32,
    /// How many bytes follow.
    pub size: u64,
    /// Seconds since the epoch.
    pub mtime: u64,
}

impl TarEntry<'_> {
    /// Appends the header to `out`, in POSIX form; in front of it what it has no room for and `xattrs`, in
    /// records of pax. Names that are not ASCII go there too, since only there their coding is said.
    pub fn write<'x>(&self, xattrs: impl IntoIterator<Item = (&'x [u8], &'x [u8])>, out: &mut Vec<u8>) {
        let mut block = [0; TAR_BLOCK];
        let mut records = Vec::new();
        let mut record =
            |key: &str, value: &[u8]| super::push_pax_record(&mut records, key.as_bytes(), value);
        if !set_text(&mut block, 0, self.path) {
            record("path", self.path);
        }
        if !set_text(&mut block, 157, self.link) {
            record("linkpath", self.link);
        }
        let numbers = [
            ("uid", 108, 8, u64::from(self.uid)),
            ("gid", 116, 8, u64::from(self.gid)),
            ("size", 124, 12, self.size),
            ("mtime", 136, 12, self.mtime),
        ];
        for (key, at, length, value) in numbers {
            if !set_number(&mut block, at, length, value) {
                record(key, value.to_string().as_bytes());
            }
        }
        for (name, value) in xattrs {
            let key = [b"SCHILY.xattr.", name].concat();
            super::push_pax_record(&mut records, &key, value);
        }
        set_number(&mut block, 100, 8, u64::from(self.mode));
        if !records.is_empty() {
            write_records(&records, self.mtime, out);
        }
        finish(&mut block, self.kind);
        out.extend_from_slice(&block);
    }
}

/// Appends the entry that holds records for the next one.
fn write_records(records: &[u8], mtime: u64, out: &mut Vec<u8>) {
    let mut block = [0; TAR_BLOCK];
    set_text(&mut block, 0, b"PaxHeader");
    for (at, length, value) in [
        (100, 8, 0o644),
        (108, 8, 0),
        (116, 8, 0),
        (124, 12, records.len() as u64),
        (136, 12, mtime),
    ] {
        // A time that does not fit is 0 here: what counts is that of the entry itself.
        set_number(&mut block, at, length, value);
    }
    finish(&mut block, b'x');
    out.extend_from_slice(&block);
    out.extend_from_slice(records);
    let padding = records.len().next_multiple_of(TAR_BLOCK) - records.len();
    out.extend(std::iter::repeat_n(0, padding));
}

/// Sets type, magic and checksum.
fn finish(block: &mut [u8; TAR_BLOCK], kind: u8) {
    set(block, 156, &[kind]);
    set(block, 257, b"ustar\x0000");
    set(block, 148, b"        ");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    set_number(block, 148, 7, sum);
}

fn set(block: &mut [u8; TAR_BLOCK], at: usize, bytes: &[u8]) {
    for (slot, byte) in block.iter_mut().skip(at).zip(bytes) {
        *slot = *byte;
    }
}

/// Sets a text of at most 100 bytes, as much of it as fits. Returns whether it is all there and plain.
fn set_text(block: &mut [u8; TAR_BLOCK], at: usize, text: &[u8]) -> bool {
    let fits = text.len() <= 100 && text.is_ascii();
    let cut = text.get(..100).unwrap_or(text);
    set(block, at, cut);
    fits
}

fn set_number(block: &mut [u8; TAR_BLOCK], at: usize, length: usize, value: u64) -> bool {
    let field = block.get_mut(at..at + length).unwrap_or_default();
    let fits = number::write(field, value);
    if !fits {
        number::write(field, 0);
    }
    fits
}

fn path_of(block: &[u8; TAR_BLOCK]) -> Vec<u8> {
    let name = text(field(block, 0, 100));
    let prefix = text(field(block, 345, 155));
    if field(block, 257, 6) == POSIX && !prefix.is_empty() {
        return [prefix, b"/", name].concat();
    }
    name.to_vec()
}

fn field(block: &[u8; TAR_BLOCK], at: usize, length: usize) -> &[u8] {
    block.get(at..at + length).unwrap_or_default()
}

/// Returns a text up to its NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(entry: TarEntry<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        entry.write([], &mut out);
        out
    }

    const ENTRY: TarEntry<'_> = TarEntry {
        kind: b'0',
        path: b"usr/bin/hello",
        link: b"",
        mode: 0o4755,
        uid: 1000,
        gid: 7,
        size: 12,
        mtime: 1_700_000_000,
    };

    #[test]
    fn a_written_header_reads_back() {
        let bytes = written(ENTRY);
        let header = TarHeader::parse(bytes.first_chunk().unwrap()).unwrap();
        assert_eq!(bytes.len(), TAR_BLOCK);
        assert_eq!((header.kind, header.path), (b'0', ENTRY.path.to_vec()));
        assert_eq!(
            (header.mode, header.uid, header.gid, header.size),
            (0o4755, 1000, 7, 12)
        );
    }

    #[test]
    fn what_does_not_fit_goes_into_records() {
        let path = [b'p'; 101];
        let entry = TarEntry {
            path: &path,
            link: "größe".as_bytes(),
            uid: 1 << 31,
            size: 1 << 40,
            ..ENTRY
        };
        let bytes = written(entry);
        let header = TarHeader::parse(bytes.first_chunk().unwrap()).unwrap();
        assert_eq!(header.kind, b'x');
        let records = &bytes[TAR_BLOCK..][..usize::try_from(header.size).unwrap()];
        let attributes = super::super::PaxAttributes::parse(records).unwrap();
        assert_eq!(attributes.path.as_deref(), Some(&path[..]));
        assert_eq!(attributes.link.as_deref(), Some("größe".as_bytes()));
        assert_eq!((attributes.uid, attributes.gid), (Some(1 << 31), None));
        assert_eq!(attributes.size, Some(1 << 40));
        let last = bytes[bytes.len() - TAR_BLOCK..].first_chunk().unwrap();
        assert_eq!(TarHeader::parse(last).unwrap().kind, b'0');
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        let bytes = written(ENTRY);
        for at in 0..TAR_BLOCK {
            let mut block: [u8; TAR_BLOCK] = *bytes.first_chunk().unwrap();
            block[at] ^= 1;
            let blank = (148..156).contains(&at);
            assert!(blank || TarHeader::parse(&block).is_err(), "{at}");
        }
    }

    #[test]
    fn the_prefix_counts_in_posix_form_only() {
        for (magic, path) in [
            (&b"ustar\x0000"[..], &b"pre/name"[..]),
            (GNU, b"name"),
            (b"", b"name"),
        ] {
            let mut block = [0; TAR_BLOCK];
            set(&mut block, 0, b"name");
            set(&mut block, 257, magic);
            set(&mut block, 345, b"pre");
            set(&mut block, 148, b"        ");
            let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
            set_number(&mut block, 148, 7, sum);
            assert_eq!(TarHeader::parse(&block).unwrap().path, path);
        }
    }
}
