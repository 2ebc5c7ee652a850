//! Lists of static deltas: in the summary, and in delta indexes.
//!
//! Shape `a{sv}`: the [name](DeltaName) of each delta and, as `ay`, the SHA-256 of its superblock file. A summary has
//! such a dictionary under `ostree.static-deltas`; an index file is a dictionary with that one key, holding the
//! deltas to one commit. The order means nothing (libostree writes that of its hash table) and is kept.

use super::path::DeltaName;
use crate::checksum::Checksum;
use crate::error::{FormatError, Result};
use crate::gvariant::{Type, Value, VarDict};
use crate::limits::check_metadata_size;

const WHAT: &str = "list of static deltas";

/// Static deltas and the checksums of their superblock files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeltaList(pub Vec<(DeltaName, Checksum)>);

impl DeltaList {
    /// The key in the metadata of a summary, and in an index.
    pub const KEY: &'static str = "ostree.static-deltas";

    /// Reads the value of the key.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] for another type, for names that are not those of deltas, and for checksums of
    /// another length than 32 bytes.
    pub fn from_value(value: &Value) -> Result<Self> {
        let wrong = || FormatError::invalid(WHAT, "not a dictionary of bytes");
        if value.ty() != Type::vardict() {
            return Err(wrong());
        }
        let entries = VarDict::from_bytes(&value.to_bytes())?;
        let entries = entries.iter().map(|(name, value)| {
            let superblock = value.as_bytes().ok_or_else(wrong)?;
            Ok((name.parse()?, Checksum::from_slice(superblock)?))
        });
        Ok(Self(entries.collect::<Result<_>>()?))
    }

    /// Returns the value for the key.
    pub fn to_value(&self) -> Value {
        let entry = |(name, superblock): &(DeltaName, Checksum)| {
            (name.to_string(), Value::Bytes(superblock.as_bytes().to_vec()))
        };
        self.0.iter().map(entry).collect::<VarDict>().to_value()
    }

    /// Reads an index file; one without the key is empty.
    ///
    /// # Errors
    /// As [`from_value`](Self::from_value), and for what is not a dictionary in normal form.
    pub fn parse_index(bytes: &[u8]) -> Result<Self> {
        check_metadata_size("delta index", bytes)?;
        let index = VarDict::from_bytes(bytes)?;
        index
            .get(Self::KEY)
            .map_or_else(|| Ok(Self::default()), Self::from_value)
    }

    /// Returns the bytes of an index file.
    pub fn to_index(&self) -> Vec<u8> {
        VarDict::from_iter([(Self::KEY, self.to_value())]).to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_reads_back_in_its_order() {
        let to = Checksum::of(b"to");
        let delta = |from: Option<&[u8]>| DeltaName {
            from: from.map(Checksum::of),
            to,
        };
        let list = DeltaList(vec![
            (delta(Some(b"z")), Checksum::of(b"1")),
            (delta(None), Checksum::of(b"2")),
            (delta(Some(b"a")), Checksum::of(b"3")),
        ]);
        assert_eq!(DeltaList::parse_index(&list.to_index()), Ok(list));
        assert_eq!(DeltaList::parse_index(b""), Ok(DeltaList::default()));
    }

    #[test]
    fn wrong_names_lengths_and_types_are_refused() {
        let hex = Checksum::of(b"to").to_string();
        for dict in [
            VarDict::from_iter([("no-delta", Value::Bytes(vec![0; 32]))]),
            VarDict::from_iter([(hex.as_str(), Value::Bytes(vec![0; 31]))]),
            VarDict::from_iter([(hex.as_str(), Value::Str(hex.clone()))]),
        ] {
            assert!(DeltaList::from_value(&dict.to_value()).is_err(), "{dict:?}");
        }
        assert!(DeltaList::from_value(&Value::Bool(true)).is_err());
    }
}
