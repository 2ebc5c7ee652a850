//! Flatpak's index of summaries, `summary.idx`: for each subset of the refs (an architecture, mostly) the summary that lists them.
//!
//! Shape `(a{s(ayaaya{sv})}a{sv})`: by the name of the subset the SHA-256 of its summary, those of the summaries before it, newest first,
//! and metadata; then metadata of the whole. The summary of checksum C lies in `summaries/C.gz`, compressed by gzip; `summaries/B-C.delta`
//! makes it from the one of checksum B.
//!
//! Refused are more than [`MAX_METADATA_SIZE`](crate::MAX_METADATA_SIZE) bytes, and checksums of another length than 32 bytes. Integers in
//! the metadata are left alone.

use crate::checksum::Checksum;
use crate::error::Result;
use crate::gvariant::VarDict;
use crate::gvariant::framing::{ArrayReader, TupleReader, TupleWriter};
use crate::limits::check_metadata_size;

const WHAT: &str = "summary index";

/// A subset of the refs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subset {
    /// Its name.
    pub name: String,
    /// SHA-256 of its summary, before compression.
    pub checksum: Checksum,
    /// Those of the summaries before it, newest first.
    pub history: Vec<Checksum>,
    /// Metadata of the subset.
    pub metadata: VarDict,
}

/// An index of summaries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SummaryIndex {
    /// The subsets, in the order of the file.
    pub subsets: Vec<Subset>,
    /// Metadata of the whole.
    pub metadata: VarDict,
}

impl Subset {
    fn read(bytes: &[u8]) -> Result<Self> {
        let mut entry = TupleReader::new(WHAT, bytes);
        let name = entry.string()?.to_owned();
        let mut subset = TupleReader::new(WHAT, entry.last(8)?);
        let checksum = Checksum::from_slice(subset.variable(1)?)?;
        let history = ArrayReader::new(WHAT, subset.variable(1)?, 1)?
            .map(|earlier| Checksum::from_slice(earlier?))
            .collect::<Result<_>>()?;
        Ok(Self {
            name,
            checksum,
            history,
            metadata: VarDict::from_bytes(subset.last(8)?)?,
        })
    }
}

impl SummaryIndex {
    /// Reads the bytes of an index.
    ///
    /// # Errors
    /// [`FormatError`](crate::FormatError) for what is not in normal form or breaks a rule of the module.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        check_metadata_size(WHAT, bytes)?;
        let mut tuple = TupleReader::new(WHAT, bytes);
        let subsets = ArrayReader::new(WHAT, tuple.variable(8)?, 8)?
            .map(|entry| Subset::read(entry?))
            .collect::<Result<_>>()?;
        Ok(Self {
            subsets,
            metadata: VarDict::from_bytes(tuple.last(8)?)?,
        })
    }

    /// Returns the bytes of the index.
    pub fn to_bytes(&self) -> Vec<u8> {
        TupleWriter::encode(|tuple| {
            tuple.array(8, |array| {
                for subset in &self.subsets {
                    array.tuple(|entry| {
                        entry.string(&subset.name);
                        entry.tuple(8, |fields| {
                            fields.bytes(subset.checksum.as_bytes());
                            fields.array(1, |history| {
                                for earlier in &subset.history {
                                    history.bytes(earlier.as_bytes());
                                }
                            });
                            fields.variable(8, &subset.metadata.to_bytes());
                        });
                    });
                }
            });
            tuple.variable(8, &self.metadata.to_bytes());
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gvariant::{Type, Value};

    fn example() -> SummaryIndex {
        let digest = |text: &str| Checksum::of(text.as_bytes());
        let mut metadata = VarDict::new();
        metadata.insert("xa.title", Value::Str("Example".into()));
        SummaryIndex {
            subsets: vec![
                Subset {
                    name: "aarch64".into(),
                    checksum: digest("a"),
                    history: vec![digest("b"), digest("c")],
                    metadata: VarDict::new(),
                },
                Subset {
                    name: "x86_64".into(),
                    checksum: digest("d"),
                    history: Vec::new(),
                    metadata: metadata.clone(),
                },
            ],
            metadata,
        }
    }

    #[test]
    fn index_is_read_as_it_was_written_and_has_its_shape() {
        let bytes = example().to_bytes();
        assert_eq!(SummaryIndex::parse(&bytes).unwrap(), example());
        let shape = Type::parse("(a{s(ayaaya{sv})}a{sv})").unwrap();
        assert!(Value::from_bytes(&shape, &bytes).is_ok());
    }

    #[test]
    fn checksums_of_another_length_and_cut_bytes_are_refused() {
        let bytes = example().to_bytes();
        for length in 1..bytes.len() {
            assert!(SummaryIndex::parse(&bytes[..length]).is_err(), "{length}");
        }
        let shape = Type::parse("(a{s(ayaaya{sv})}a{sv})").unwrap();
        let Value::Tuple(mut fields) = Value::from_bytes(&shape, &bytes).unwrap() else {
            panic!("a tuple");
        };
        let Value::Array(_, entries) = &mut fields[0] else {
            panic!("an array");
        };
        let Value::DictEntry(_, subset) = &mut entries[0] else {
            panic!("an entry");
        };
        let Value::Tuple(subset) = &mut **subset else {
            panic!("a tuple");
        };
        subset[0] = Value::Bytes(vec![7; 31]);
        assert!(SummaryIndex::parse(&Value::Tuple(fields).to_bytes()).is_err());
    }
}
