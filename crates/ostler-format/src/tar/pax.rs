//! The records of pax: what an entry of type `x` says about the one that follows.
//!
//! Shape: `LENGTH KEY=VALUE\n` again and again, LENGTH in decimal and of the whole record; values may hold any bytes,
//! newlines too. Numbers in them are decimal; times, which may have a fraction, are of no use here. Extended attributes come in two ways:
//! `SCHILY.xattr.NAME` with the value as it is, and `LIBARCHIVE.xattr.NAME` with the name escaped as in URLs and the
//! value in base 64. Where both are there they say the same, and the first is taken. The security label
//! is found under `RHT.security.selinux` too. An empty value means that the header counts.
//!
//! Refused are records whose length does not fit, numbers that are none, and base 64 that is none.

use super::sparse::{MAX_SPARSE_ENTRIES, decimal};
use crate::error::{FormatError, Result};
use crate::limits::check_size;

const WHAT: &str = "pax records";

/// The records, one after the other: key and value.
#[derive(Debug, Clone)]
pub struct PaxRecords<'a>(&'a [u8]);

impl<'a> PaxRecords<'a> {
    /// Reads records from what the entry holds.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn split(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let space = self.0.iter().position(|byte| *byte == b' ')?;
        let length = usize::try_from(decimal(self.0.get(..space)?).ok()?).ok()?;
        let record = self.0.get(space + 1..length)?.strip_suffix(b"\n")?;
        self.0 = self.0.get(length..)?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        let (key, value) = record.split_at_checked(equals)?;
        Some((key, value.get(1..)?))
    }
}

impl<'a> Iterator for PaxRecords<'a> {
    type Item = Result<(&'a [u8], &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        // Some writers count the zeros behind the records in.
        if self.0.iter().all(|byte| *byte == 0) {
            return None;
        }
        let found = self.split();
        if found.is_none() {
            self.0 = &[];
        }
        Some(
            found.ok_or_else(|| {
                FormatError::invalid(WHAT, "a record of another form than 'LENGTH KEY=VALUE'")
            }),
        )
    }
}

/// Appends a record.
pub fn push_pax_record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // The length counts its own digits.
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length += 1;
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// What records say of a file, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PaxAttributes {
    /// The path.
    pub path: Option<Vec<u8>>,
    /// Where a link leads.
    pub link: Option<Vec<u8>>,
    /// How many bytes follow the header.
    pub size: Option<u64>,
    /// User id of the owner.
    pub uid: Option<u64>,
    /// Group id of the owner.
    pub gid: Option<u64>,
    /// Extended attributes, each name once.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// What makes it a sparse file.
    pub sparse: Option<PaxSparse>,
}

/// What records say of a sparse file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PaxSparse {
    /// Whether the map stands in front of the content: version 1.0.
    pub in_content: bool,
    /// The size of the file.
    pub size: u64,
    /// The map of versions 0.0 and 0.1: pairs of offset and length.
    pub pieces: Vec<(u64, u64)>,
}

/// Numbers of sparse maps while they are collected.
#[derive(Default)]
struct SparseRecords {
    seen: bool,
    major: u64,
    size: u64,
    numbers: Vec<u64>,
}

impl PaxAttributes {
    /// Reads the records of one entry. A later record wins over an earlier one with the same key.
    ///
    /// # Errors
    /// [`FormatError`] as the module says.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut attributes = Self::default();
        let mut encoded = Vec::new();
        let mut sparse = SparseRecords::default();
        let mut sparse_name = None;
        for record in PaxRecords::new(bytes) {
            let (key, value) = record?;
            let text = || Some(value.to_vec()).filter(|value| !value.is_empty());
            match key {
                b"path" => attributes.path = text(),
                b"linkpath" => attributes.link = text(),
                b"size" => attributes.size = Some(decimal(value)?),
                b"uid" => attributes.uid = Some(decimal(value)?),
                b"gid" => attributes.gid = Some(decimal(value)?),
                b"GNU.sparse.name" => sparse_name = text(),
                b"RHT.security.selinux" => set(
                    &mut attributes.xattrs,
                    b"security.selinux".to_vec(),
                    value.to_vec(),
                ),
                _ => {
                    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                        set(&mut attributes.xattrs, name.to_vec(), value.to_vec());
                    } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
                        encoded.push((unescape(name), base64(value)?));
                    } else if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                        sparse.take_in(key, value)?;
                    }
                }
            }
        }
        for (name, value) in encoded {
            if attributes.xattrs.iter().all(|(found, _)| *found != name) {
                attributes.xattrs.push((name, value));
            }
        }
        attributes.path = sparse_name.or(attributes.path);
        attributes.sparse = sparse.finish()?;
        Ok(attributes)
    }
}

impl SparseRecords {
    fn take_in(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.seen = true;
        match key {
            b"major" => self.major = decimal(value)?,
            b"size" | b"realsize" => self.size = decimal(value)?,
            b"offset" | b"numbytes" => self.push(value)?,
            b"map" => {
                self.numbers.clear();
                for number in value.split(|byte| *byte == b',') {
                    self.push(number)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn push(&mut self, number: &[u8]) -> Result<()> {
        self.numbers.push(decimal(number)?);
        check_size(
            "number of pieces of a sparse file",
            self.numbers.len() as u64 / 2,
            MAX_SPARSE_ENTRIES,
        )
    }

    fn finish(self) -> Result<Option<PaxSparse>> {
        if !self.seen {
            return Ok(None);
        }
        let (pairs, odd) = self.numbers.as_chunks::<2>();
        if !odd.is_empty() {
            return Err(FormatError::invalid(
                WHAT,
                "a piece of a sparse file without its length",
            ));
        }
        Ok(Some(PaxSparse {
            in_content: self.major == 1,
            size: self.size,
            pieces: pairs.iter().map(|[offset, length]| (*offset, *length)).collect(),
        }))
    }
}

fn set(xattrs: &mut Vec<(Vec<u8>, Vec<u8>)>, name: Vec<u8>, value: Vec<u8>) {
    match xattrs.iter_mut().find(|(found, _)| *found == name) {
        Some((_, old)) => *old = value,
        None => xattrs.push((name, value)),
    }
}

/// Resolves `%41` and the like; what does not look so stays.
fn unescape(name: &[u8]) -> Vec<u8> {
    let hex = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, behind)) = rest.split_first() {
        let escaped = behind.get(..2).filter(|_| *first == b'%').and_then(hex);
        plain.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() {
            behind.get(2..).unwrap_or_default()
        } else {
            behind
        };
    }
    plain
}

/// Decodes base 64, with or without `=` at the end.
fn base64(text: &[u8]) -> Result<Vec<u8>> {
    let invalid = || FormatError::invalid(WHAT, "an extended attribute that is not base 64");
    let text = text.trim_ascii_end();
    let padded = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
    for group in text.get(..text.len() - padded).unwrap_or_default().chunks(4) {
        let mut bits = 0_u32;
        for symbol in group {
            let value = match symbol {
                b'A'..=b'Z' => symbol - b'A',
                b'a'..=b'z' => symbol - b'a' + 26,
                b'0'..=b'9' => symbol - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return Err(invalid()),
            };
            bits = bits << 6 | u32::from(value);
        }
        let whole = match group.len() {
            4 => 3,
            3 => 2,
            2 => 1,
            _ => return Err(invalid()),
        };
        bits <<= 6 * (4 - group.len());
        let [_, decoded @ ..] = bits.to_be_bytes();
        bytes.extend(decoded.iter().take(whole));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(pairs: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (key, value) in pairs {
            push_pax_record(&mut bytes, key.as_bytes(), value);
        }
        bytes
    }

    #[test]
    fn records_count_their_own_length() {
        assert_eq!(records(&[("a", b"b")]), b"6 a=b\n");
        for length in 0..200 {
            let value = vec![b'v'; length];
            let bytes = records(&[("key", &value), ("k", b"1\n2=3")]);
            let read: Vec<_> = PaxRecords::new(&bytes).map(Result::unwrap).collect();
            assert_eq!(read, [(&b"key"[..], &value[..]), (b"k", b"1\n2=3")]);
        }
    }

    #[test]
    fn attributes_are_read_in_both_ways() {
        let bytes = records(&[
            ("path", b"old"),
            ("path", "größe".as_bytes()),
            ("linkpath", b""),
            ("uid", b"4294967295"),
            ("SCHILY.xattr.security.capability", b"\x01\n\x00\xff"),
            ("LIBARCHIVE.xattr.security.capability", b"AAAA"),
            ("LIBARCHIVE.xattr.user.a%20b", b"MTI"),
            ("mtime", b"1.5"),
        ]);
        let attributes = PaxAttributes::parse(&bytes).unwrap();
        assert_eq!(attributes.path.as_deref(), Some("größe".as_bytes()));
        assert_eq!(attributes.link, None);
        assert_eq!(attributes.uid, Some(u64::from(u32::MAX)));
        let xattrs = vec![
            (b"security.capability".to_vec(), b"\x01\n\x00\xff".to_vec()),
            (b"user.a b".to_vec(), b"12".to_vec()),
        ];
        assert_eq!(attributes.xattrs, xattrs);
    }

    #[test]
    fn sparse_files_of_each_version_are_known() {
        let zero = records(&[
            ("GNU.sparse.size", b"100"),
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.offset", b"0"),
            ("GNU.sparse.numbytes", b"5"),
            ("GNU.sparse.offset", b"50"),
            ("GNU.sparse.numbytes", b"7"),
        ]);
        let one = records(&[("GNU.sparse.size", b"100"), ("GNU.sparse.map", b"0,5,50,7")]);
        for bytes in [zero, one] {
            let sparse = PaxAttributes::parse(&bytes).unwrap().sparse.unwrap();
            assert_eq!((sparse.in_content, sparse.size), (false, 100));
            assert_eq!(sparse.pieces, [(0, 5), (50, 7)]);
        }
        let two = records(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"name"),
            ("GNU.sparse.realsize", b"100"),
        ]);
        let attributes = PaxAttributes::parse(&two).unwrap();
        assert_eq!(attributes.path.as_deref(), Some(&b"name"[..]));
        assert!(attributes.sparse.unwrap().in_content);
    }

    #[test]
    fn damaged_records_are_refused() {
        for bad in [
            &b"5 a=b\n"[..],
            b"7 a=b\n",
            b"a=b\n",
            b"6 a:b\n",
            b"x a=b\n",
            b"99999999999999999999 a=b\n",
            b"9 uid=-1\n",
            b"10 size=x\n",
            b"6 a=b\n6 a=b",
            b"30 LIBARCHIVE.xattr.user=MT?\n",
            b"30 LIBARCHIVE.xattr.user=MTAAA\n",
            b"23 GNU.sparse.offset=1\n",
        ] {
            assert!(PaxAttributes::parse(bad).is_err(), "{}", bad.escape_ascii());
        }
        assert_eq!(PaxAttributes::parse(b"\0\0\0"), Ok(PaxAttributes::default()));
    }
}
