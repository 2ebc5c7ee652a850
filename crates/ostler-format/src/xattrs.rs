//! Extended attributes of files and directories.
//!
//! Shape `a(ayay)`: name with a NUL at its end, value. Sorted by the bytes of the name, each name once: libostree
//! hashes them in that order, and refuses others since 2024.10.
//!
//! Refused are empty names, names with NUL or of more than 255 bytes, and values of more than 64 KiB: no kernel
//! would take them.

use crate::error::{FormatError, Result};
use crate::gvariant::framing::{ArrayReader, ArrayWriter, TupleReader};
use crate::limits::check_size;

const WHAT: &str = "extended attributes";
const MAX_NAME: u64 = 255;
const MAX_VALUE: u64 = 64 << 10;

/// Extended attributes, strictly sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Xattrs(Vec<(Vec<u8>, Vec<u8>)>);

impl Xattrs {
    /// Sorts pairs of name (without NUL) and value.
    ///
    /// # Errors
    /// [`FormatError`] for a name that occurs twice and for what the module says.
    pub fn new(mut pairs: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Self> {
        pairs.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Self::from_sorted(pairs)
    }

    fn from_sorted(pairs: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Self> {
        for (name, value) in &pairs {
            check_size("name of an extended attribute", name.len() as u64, MAX_NAME)?;
            check_size("extended attribute", value.len() as u64, MAX_VALUE)?;
            if name.is_empty() || name.contains(&0) {
                return Err(invalid("empty name, or NUL within a name"));
            }
        }
        if !pairs.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(invalid("not sorted, or a name occurs twice"));
        }
        Ok(Self(pairs))
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the value of a name.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let at = self.0.binary_search_by(|pair| pair.0.as_slice().cmp(name)).ok()?;
        self.0.get(at).map(|pair| pair.1.as_slice())
    }

    /// Iterates over names (without NUL) and values, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// Reads `a(ayay)`.
    ///
    /// # Errors
    /// [`FormatError`] for what is not in normal form, not strictly sorted, or refused as the module says.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::from_sorted(read_pairs(bytes)?)
    }

    /// Reads `a(ayay)` in any order: `user.ostreemeta` as old versions wrote it.
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes), but for the order.
    pub(crate) fn from_unsorted_bytes(bytes: &[u8]) -> Result<Self> {
        Self::new(read_pairs(bytes)?)
    }

    /// Returns `a(ayay)`.
    pub fn to_bytes(&self) -> Vec<u8> {
        ArrayWriter::encode(1, |array| self.write(array))
    }

    /// Appends the elements of `a(ayay)` to an array.
    pub(crate) fn write(&self, array: &mut ArrayWriter<'_>) {
        for (name, value) in &self.0 {
            array.tuple(|pair| {
                pair.bytes(&[name.as_slice(), &[0]].concat());
                pair.bytes(value);
            });
        }
    }
}

fn read_pairs(bytes: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    ArrayReader::new(WHAT, bytes, 1)?
        .map(|pair| {
            let mut pair = TupleReader::new(WHAT, pair?);
            let (name, value) = (pair.variable(1)?, pair.last(1)?);
            let Some((0, name)) = name.split_last() else {
                return Err(invalid("name without NUL at its end"));
            };
            Ok((name.to_vec(), value.to_vec()))
        })
        .collect()
}

fn invalid(rule: &str) -> FormatError {
    FormatError::invalid(WHAT, rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &[u8], value: &[u8]) -> (Vec<u8>, Vec<u8>) {
        (name.to_vec(), value.to_vec())
    }

    #[test]
    fn one_attribute_has_the_known_bytes() {
        let xattrs = Xattrs::new(vec![pair(b"user.b", b"B1")]).unwrap();
        assert_eq!(xattrs.to_bytes(), b"user.b\0B1\x07\x0a");
        assert_eq!(Xattrs::from_bytes(b"user.b\0B1\x07\x0a"), Ok(xattrs));
    }

    #[test]
    fn attributes_are_sorted_by_bytes_and_found() {
        let xattrs = Xattrs::new(vec![
            pair(b"user.b", b""),
            pair(b"security.x", b"1"),
            pair(b"user.B", b"2"),
        ])
        .unwrap();
        let names: Vec<_> = xattrs.iter().map(|(name, _)| name.to_vec()).collect();
        assert_eq!(names, [&b"security.x"[..], b"user.B", b"user.b"]);
        assert_eq!(xattrs.get(b"user.B"), Some(&b"2"[..]));
        assert_eq!(xattrs.get(b"user.c"), None);
        assert_eq!(Xattrs::from_bytes(&xattrs.to_bytes()), Ok(xattrs));
    }

    #[test]
    fn unsorted_doubled_and_impossible_names_are_refused() {
        let raw = |pairs: &[(Vec<u8>, Vec<u8>)]| Xattrs(pairs.to_vec()).to_bytes();
        let unsorted = raw(&[pair(b"b", b""), pair(b"a", b"")]);
        assert!(Xattrs::from_bytes(&unsorted).is_err());
        assert!(Xattrs::from_unsorted_bytes(&unsorted).is_ok());
        for bad in [
            vec![pair(b"a", b"1"), pair(b"a", b"2")],
            vec![pair(b"", b"1")],
            vec![pair(b"a\0b", b"1")],
            vec![pair(&[b'a'; 256], b"1")],
            vec![pair(b"a", &[0; (64 << 10) + 1])],
        ] {
            assert!(Xattrs::from_bytes(&raw(&bad)).is_err(), "{bad:.80?}");
            assert!(Xattrs::new(bad).is_err());
        }
    }

    #[test]
    fn a_name_without_nul_is_refused() {
        assert!(Xattrs::from_bytes(b"userB1\x04\x07").is_err());
        assert!(Xattrs::from_bytes(b"B1\x00\x03").is_err());
    }
}
