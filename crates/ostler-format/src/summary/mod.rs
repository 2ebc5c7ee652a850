//! The summary: which refs a repository has, and where its clients find more.
//!
//! Shape `(a(s(taya{sv}))a{sv})`: refs as name and (size of the commit object in bytes, checksum of the commit,
//! metadata), strictly sorted by the bytes of the name, for clients search by halves; then metadata of the whole.
//! The size is the only integer in OSTree that is little endian, and a hard limit for what clients download.
//! Integers within the metadata are big endian.
//!
//! Refused are more than [`MAX_METADATA_SIZE`](crate::MAX_METADATA_SIZE) bytes, names that are not those of refs,
//! and checksums of another length than 32 bytes.

mod collections;
mod compose;
mod index;

pub use collections::CollectionMap;
pub use compose::{CommitEntry, SummaryHeader};
pub use index::{Subset, SummaryIndex};

use crate::checksum::Checksum;
use crate::error::{FormatError, Result};
use crate::gvariant::framing::{ArrayReader, ArrayWriter, TupleReader, TupleWriter};
use crate::gvariant::{Value, VarDict};
use crate::limits::check_metadata_size;
use crate::names::{RefName, refused};

const WHAT: &str = "summary";

/// A ref in a summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryRef {
    /// Its name.
    pub name: RefName,
    /// Bytes of the commit object, or more.
    pub commit_size: u64,
    /// The commit.
    pub checksum: Checksum,
    /// Metadata of the ref.
    pub metadata: VarDict,
}

/// A summary. Whoever changes the refs by hand keeps them sorted, or lets [`new`](Self::new) sort them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Refs, strictly sorted by name.
    pub refs: Vec<SummaryRef>,
    /// Metadata of the whole.
    pub metadata: VarDict,
}

impl SummaryRef {
    /// Key: seconds since the epoch at which the commit was made, `t`, big endian.
    pub const TIMESTAMP: &'static str = "ostree.commit.timestamp";
    /// Key: the `version` of the commit, `s`.
    pub const VERSION: &'static str = "ostree.commit.version";

    /// Returns when the commit was made, in seconds since the epoch, if the summary says so.
    pub fn timestamp(&self) -> Option<u64> {
        self.metadata.get_u64(Self::TIMESTAMP).map(u64::swap_bytes)
    }

    fn read(bytes: &[u8]) -> Result<Self> {
        let mut entry = TupleReader::new(WHAT, bytes);
        let name = RefName::new(entry.string()?)?;
        let mut commit = TupleReader::new(WHAT, entry.last(8)?);
        Ok(Self {
            name,
            commit_size: commit.u64_le()?,
            checksum: Checksum::from_slice(commit.variable(1)?)?,
            metadata: VarDict::from_bytes(commit.last(8)?)?,
        })
    }

    fn to_value(&self) -> Value {
        let commit = [
            Value::U64(self.commit_size),
            Value::Bytes(self.checksum.as_bytes().to_vec()),
            self.metadata.to_value(),
        ];
        Value::Tuple(vec![
            Value::Str(self.name.as_str().to_owned()),
            Value::Tuple(commit.into()),
        ])
    }

    fn write(&self, array: &mut ArrayWriter<'_>) {
        array.tuple(|entry| {
            entry.string(self.name.as_str());
            entry.tuple(8, |commit| {
                commit.u64_le(self.commit_size);
                commit.bytes(self.checksum.as_bytes());
                commit.variable(8, &self.metadata.to_bytes());
            });
        });
    }
}

impl Summary {
    /// Key: when the summary was made, `t`, big endian, seconds since the epoch.
    pub const LAST_MODIFIED: &'static str = "ostree.summary.last-modified";
    /// Key: until when it is meant to be used, `t`, big endian, seconds since the epoch.
    pub const EXPIRES: &'static str = "ostree.summary.expires";
    /// Key: the mode of the repository as in `config`, `s`.
    pub const MODE: &'static str = "ostree.summary.mode";
    /// Key: whether deleted commits leave tombstones, `b`.
    pub const TOMBSTONE_COMMITS: &'static str = "ostree.summary.tombstone-commits";
    /// Key: whether delta indexes are there, `b`.
    pub const INDEXED_DELTAS: &'static str = "ostree.summary.indexed-deltas";
    /// Key: the collection of the refs, `s`.
    pub const COLLECTION_ID: &'static str = "ostree.summary.collection-id";
    /// Key: refs of other collections, see [`CollectionMap`].
    pub const COLLECTION_MAP: &'static str = "ostree.summary.collection-map";

    /// Sorts the refs.
    ///
    /// # Errors
    /// [`FormatError::Name`](crate::FormatError::Name) for a name that occurs twice.
    pub fn new(refs: Vec<SummaryRef>, metadata: VarDict) -> Result<Self> {
        let refs = sort_refs(refs)?;
        Ok(Self { refs, metadata })
    }

    /// Reads the bytes of a summary.
    ///
    /// # Errors
    /// [`FormatError`] for what is not in normal form or breaks a rule of the module.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        check_metadata_size(WHAT, bytes)?;
        let mut tuple = TupleReader::new(WHAT, bytes);
        Ok(Self {
            refs: read_refs(tuple.variable(8)?)?,
            metadata: VarDict::from_bytes(tuple.last(8)?)?,
        })
    }

    /// Returns the bytes of the summary. The refs must be sorted.
    pub fn to_bytes(&self) -> Vec<u8> {
        debug_assert!(self.refs.is_sorted_by(|a, b| a.name < b.name), "refs are sorted");
        TupleWriter::encode(|tuple| {
            tuple.array(8, |array| self.refs.iter().for_each(|entry| entry.write(array)));
            tuple.variable(8, &self.metadata.to_bytes());
        })
    }

    /// Returns the ref of this name.
    pub fn lookup(&self, name: &str) -> Option<&SummaryRef> {
        find(&self.refs, name)
    }

    /// Returns when the summary was made, in seconds since the epoch, if it says so.
    pub fn last_modified(&self) -> Option<u64> {
        self.metadata.get_u64(Self::LAST_MODIFIED).map(u64::swap_bytes)
    }

    /// Returns the refs of other collections; none if the summary has no such map.
    ///
    /// # Errors
    /// As [`CollectionMap::from_value`].
    pub fn collection_map(&self) -> Result<CollectionMap> {
        let value = self.metadata.get(Self::COLLECTION_MAP);
        value.map_or_else(|| Ok(CollectionMap::default()), CollectionMap::from_value)
    }
}

/// Finds a ref in a sorted list.
fn find<'a>(refs: &'a [SummaryRef], name: &str) -> Option<&'a SummaryRef> {
    let at = refs
        .binary_search_by(|entry| entry.name.as_str().cmp(name))
        .ok()?;
    refs.get(at)
}

/// Sorts refs, and refuses a name that occurs twice.
fn sort_refs(mut refs: Vec<SummaryRef>) -> Result<Vec<SummaryRef>> {
    refs.sort_by(|a, b| a.name.cmp(&b.name));
    check_order(&refs)?;
    Ok(refs)
}

/// Reads `a(s(taya{sv}))`.
fn read_refs(bytes: &[u8]) -> Result<Vec<SummaryRef>> {
    let refs: Vec<_> = ArrayReader::new(WHAT, bytes, 8)?
        .map(|entry| SummaryRef::read(entry?))
        .collect::<Result<_>>()?;
    check_order(&refs)?;
    Ok(refs)
}

fn check_order(refs: &[SummaryRef]) -> Result<()> {
    let mut pairs = refs.iter().zip(refs.iter().skip(1));
    match pairs.find(|(a, b)| a.name >= b.name) {
        Some((_, second)) => Err(refused(
            "ref",
            second.name.as_str(),
            "out of order, or twice in a summary",
        )),
        None => Ok(()),
    }
}

fn invalid(rule: &str) -> FormatError {
    FormatError::invalid(WHAT, rule)
}

#[cfg(test)]
mod tests;
