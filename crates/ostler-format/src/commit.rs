//! Commit objects.
//!
//! Shape `(a{sv}aya(say)sstayay)`: metadata, checksum of the parent (0 or 32 bytes), related objects as name and
//! checksum (nobody writes any), subject, body, seconds since the epoch in UTC as a big-endian `t`, checksum of the
//! root's dirtree and of its dirmeta.
//!
//! The order of the keys is part of a commit's id: [`VarDict`] keeps it, and what was read is written as the same
//! bytes. Refused are empty keys, more than 65536 keys or related objects, and checksums of any other length.

use crate::checksum::{Checksum, Hasher};
use crate::error::{FormatError, Result};
use crate::gvariant::VarDict;
use crate::gvariant::framing::{ArrayReader, TupleReader, TupleWriter};
use crate::limits::{check_metadata_size, check_size};

const WHAT: &str = "commit";
/// The most keys in the metadata, and the most related objects: far beyond what anybody writes.
const MAX_ENTRIES: u64 = 1 << 16;

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Metadata, in the order stored.
    pub metadata: VarDict,
    /// The commit before this one.
    pub parent: Option<Checksum>,
    /// Related objects.
    pub related: Vec<(String, Checksum)>,
    /// The first line of the description.
    pub subject: String,
    /// The rest of the description.
    pub body: String,
    /// Seconds since the epoch.
    pub timestamp: u64,
    /// The root's dirtree.
    pub root_tree: Checksum,
    /// The root's dirmeta.
    pub root_meta: Checksum,
}

impl Commit {
    /// Reads the bytes of a commit object.
    ///
    /// # Errors
    /// [`FormatError`] for what is not in normal form or breaks a rule of the module.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        check_metadata_size(WHAT, bytes)?;
        let mut tuple = TupleReader::new(WHAT, bytes);
        let metadata = VarDict::from_bytes(tuple.variable(8)?)?;
        check_size("number of keys of a commit", metadata.len() as u64, MAX_ENTRIES)?;
        if metadata.iter().any(|(key, _)| key.is_empty()) {
            return Err(FormatError::invalid(WHAT, "empty key in the metadata"));
        }
        let parent = match tuple.variable(1)? {
            [] => None,
            parent => Some(Checksum::from_slice(parent)?),
        };
        Ok(Self {
            metadata,
            parent,
            related: read_related(tuple.variable(1)?)?,
            subject: tuple.string()?.to_owned(),
            body: tuple.string()?.to_owned(),
            timestamp: tuple.u64_be()?,
            root_tree: Checksum::from_slice(tuple.variable(1)?)?,
            root_meta: Checksum::from_slice(tuple.last(1)?)?,
        })
    }

    /// Returns the bytes of the object.
    pub fn to_bytes(&self) -> Vec<u8> {
        TupleWriter::encode(|tuple| {
            tuple.variable(8, &self.metadata.to_bytes());
            tuple.bytes(
                self.parent
                    .as_ref()
                    .map_or(&[], |parent| parent.as_bytes().as_slice()),
            );
            tuple.array(1, |related| {
                for (name, checksum) in &self.related {
                    related.tuple(|entry| {
                        entry.string(name);
                        entry.bytes(checksum.as_bytes());
                    });
                }
            });
            tuple.string(&self.subject);
            tuple.string(&self.body);
            tuple.u64_be(self.timestamp);
            tuple.bytes(self.root_tree.as_bytes());
            tuple.bytes(self.root_meta.as_bytes());
        })
    }

    /// Returns the checksum of the root's dirtree and dirmeta together: equal for commits of the same content,
    /// whatever their metadata. `ostree show` calls it `ContentChecksum`.
    pub fn content_checksum(&self) -> Checksum {
        let mut hasher = Hasher::new();
        hasher.update(self.root_tree.as_bytes());
        hasher.update(self.root_meta.as_bytes());
        hasher.finish()
    }
}

fn read_related(bytes: &[u8]) -> Result<Vec<(String, Checksum)>> {
    let entries = ArrayReader::new(WHAT, bytes, 1)?;
    check_size(
        "number of objects related to a commit",
        entries.len() as u64,
        MAX_ENTRIES,
    )?;
    entries
        .map(|entry| {
            let mut entry = TupleReader::new(WHAT, entry?);
            Ok((entry.string()?.to_owned(), Checksum::from_slice(entry.last(1)?)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gvariant::Value;

    fn id(hex: &str) -> Checksum {
        Checksum::from_hex(hex).unwrap()
    }

    fn sample() -> Commit {
        let mut metadata = VarDict::new();
        metadata.insert("version", Value::Str("1.0".into()));
        metadata.insert("ostree.ref-binding", Value::strings(["test/x86_64"]));
        Commit {
            metadata,
            parent: None,
            related: Vec::new(),
            subject: "subj".into(),
            body: "body".into(),
            timestamp: 1_577_934_245,
            root_tree: id("c5407f27675126de4681a96e84cfb44adc1a48410148be43b65a146f86558d7b"),
            root_meta: id("446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488"),
        }
    }

    #[test]
    fn a_commit_has_the_known_bytes_and_id() {
        let bytes = sample().to_bytes();
        assert_eq!(bytes.len(), 150);
        assert_eq!(bytes.get(144..), Some(&[0x70, 0x45, 0x40, 0x3b, 0x3b, 0x3b][..]));
        let known = "e93206fac89667e58f65aeff97333809e86b242769cb163ffbdacb654bf27896";
        assert_eq!(Checksum::of(&bytes), id(known));
        assert_eq!(Commit::parse(&bytes), Ok(sample()));
    }

    #[test]
    fn every_member_survives() {
        let mut commit = sample();
        commit.parent = Some(Checksum::of(b"parent"));
        commit.related = vec![
            ("é".into(), Checksum::of(b"1")),
            (String::new(), Checksum::of(b"2")),
        ];
        commit.timestamp = u64::MAX;
        commit.body = "long ".repeat(1000);
        assert_eq!(Commit::parse(&commit.to_bytes()), Ok(commit));
    }

    #[test]
    fn an_empty_key_is_refused() {
        let mut commit = sample();
        commit.metadata.insert("", Value::Byte(0));
        assert!(Commit::parse(&commit.to_bytes()).is_err());
    }

    #[test]
    fn checksums_of_another_length_are_refused() {
        let write = |parent: &[u8], tree: &[u8], meta: &[u8]| {
            TupleWriter::encode(|tuple| {
                tuple.variable(8, &[]);
                tuple.bytes(parent);
                tuple.bytes(&[]);
                tuple.string("");
                tuple.string("");
                tuple.u64_be(0);
                tuple.bytes(tree);
                tuple.bytes(meta);
            })
        };
        let good = [9; 32];
        assert!(Commit::parse(&write(&[], &good, &good)).is_ok());
        assert!(Commit::parse(&write(&good, &good, &good)).is_ok());
        for bad in [&[][..], &[9; 31], &[9; 33]] {
            assert!(Commit::parse(&write(&[], bad, &good)).is_err());
            assert!(Commit::parse(&write(&[], &good, bad)).is_err());
            assert!(bad.is_empty() || Commit::parse(&write(bad, &good, &good)).is_err());
        }
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = sample().to_bytes();
        for length in 0..bytes.len() {
            assert!(Commit::parse(&bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn the_content_checksum_depends_on_the_root_alone() {
        let mut other = sample();
        other.subject.clear();
        assert_eq!(other.content_checksum(), sample().content_checksum());
        other.root_meta = other.root_tree;
        assert_ne!(other.content_checksum(), sample().content_checksum());
    }
}
