//! Putting a summary together from what is known of a repository.
//!
//! Everything that a summary says of a ref but its name is a function of the commit, so that an entry of an older
//! summary serves as well as reading the commit again. The order of keys depends on the input alone: the same
//! repository at the same time gives the same bytes.

use super::{CollectionMap, Summary, SummaryRef};
use crate::checksum::Checksum;
use crate::commit::Commit;
use crate::delta::DeltaList;
use crate::error::Result;
use crate::gvariant::{Value, VarDict};
use crate::mode::RepoMode;
use crate::names::{CollectionId, CollectionRef, RefName};
use std::collections::{BTreeMap, HashMap};

/// What a summary says besides its refs.
#[derive(Debug, Clone, Copy)]
pub struct SummaryHeader<'a> {
    /// The time of making, in seconds since the epoch.
    pub now: u64,
    /// The mode of the repository.
    pub mode: RepoMode,
    /// Whether clients should look for tombstones of missing parents.
    pub tombstone_commits: bool,
    /// The collection of the main list.
    pub collection: Option<&'a CollectionId>,
    /// Static deltas; left out where there is none.
    pub deltas: &'a DeltaList,
    /// Further keys; what the repository says wins over them.
    pub metadata: &'a VarDict,
    /// An older summary whose keys that OSTree does not know are kept (those of Flatpak, for example).
    pub kept: Option<&'a Summary>,
}

/// What a summary says of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitEntry {
    /// Bytes of the commit object.
    pub size: u64,
    /// When it was made, in seconds since the epoch.
    pub timestamp: u64,
    /// Its `version`.
    pub version: Option<Box<str>>,
}

/// The keys that are made anew, or dropped, each time.
const KNOWN_KEYS: [&str; 8] = [
    Summary::MODE,
    Summary::LAST_MODIFIED,
    Summary::EXPIRES,
    Summary::TOMBSTONE_COMMITS,
    Summary::INDEXED_DELTAS,
    DeltaList::KEY,
    Summary::COLLECTION_ID,
    Summary::COLLECTION_MAP,
];

impl CommitEntry {
    /// Describes a commit by the bytes of its object.
    ///
    /// # Errors
    /// As [`Commit::parse`].
    pub fn of_commit(bytes: &[u8]) -> Result<Self> {
        let commit = Commit::parse(bytes)?;
        Ok(Self {
            size: bytes.len() as u64,
            timestamp: commit.timestamp,
            version: commit.metadata.get_str("version").map(Into::into),
        })
    }

    /// Returns what an entry of a summary says of its commit, if it says all.
    fn of_entry(entry: &SummaryRef) -> Option<Self> {
        Some(Self {
            size: entry.commit_size,
            timestamp: entry.timestamp()?,
            version: entry.metadata.get_str(SummaryRef::VERSION).map(Into::into),
        })
    }

    /// Returns the entry for a ref that names the commit.
    pub fn named(&self, name: RefName, checksum: Checksum) -> SummaryRef {
        let mut metadata = VarDict::new();
        metadata.insert(SummaryRef::TIMESTAMP, Value::U64(self.timestamp.swap_bytes()));
        if let Some(version) = &self.version {
            metadata.insert(SummaryRef::VERSION, Value::Str(version.to_string()));
        }
        SummaryRef {
            name,
            commit_size: self.size,
            checksum,
            metadata,
        }
    }
}

impl Summary {
    /// Returns what this summary says of commits, those of other collections left out. Of the metadata only what is a
    /// function of the commit is taken: other keys are of somebody who writes them for the ref.
    pub fn known_commits(&self) -> HashMap<Checksum, CommitEntry> {
        let known = |entry: &SummaryRef| Some((entry.checksum, CommitEntry::of_entry(entry)?));
        self.refs.iter().filter_map(known).collect()
    }

    /// Returns the keys that OSTree does not know: those of Flatpak, for example.
    pub fn unknown_metadata(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.metadata.iter().filter(|(key, _)| !KNOWN_KEYS.contains(key))
    }

    /// Returns all refs of the main list and of other collections.
    ///
    /// # Errors
    /// As [`collection_map`](Self::collection_map).
    pub fn all_refs(&self) -> Result<BTreeMap<CollectionRef, Checksum>> {
        let named = |collection: Option<&CollectionId>, entry: &SummaryRef| {
            (
                CollectionRef {
                    collection: collection.cloned(),
                    name: entry.name.clone(),
                },
                entry.checksum,
            )
        };
        let mut all: BTreeMap<_, _> = self.refs.iter().map(|entry| named(None, entry)).collect();
        for (collection, refs) in self.collection_map()?.iter() {
            all.extend(refs.iter().map(|entry| named(Some(collection), entry)));
        }
        Ok(all)
    }

    /// Puts a summary together; `entry` describes the commit that a ref names.
    ///
    /// # Errors
    /// What `entry` returns, and [`FormatError`](crate::FormatError) if the parts do not make a summary.
    pub fn compose<E: From<crate::FormatError>>(
        header: &SummaryHeader<'_>,
        refs: BTreeMap<CollectionRef, Checksum>,
        mut entry: impl FnMut(RefName, Checksum) -> Result<SummaryRef, E>,
    ) -> Result<Self, E> {
        let mut main = Vec::new();
        let mut others: BTreeMap<CollectionId, Vec<SummaryRef>> = BTreeMap::new();
        for (reference, checksum) in refs {
            let list = match reference.collection.filter(|id| Some(id) != header.collection) {
                Some(collection) => others.entry(collection).or_default(),
                None => &mut main,
            };
            list.push(entry(reference.name, checksum)?);
        }
        let collections = CollectionMap::new(others.into_iter().collect())?;
        Ok(Self::new(main, header.metadata(&collections))?)
    }
}

impl SummaryHeader<'_> {
    fn metadata(&self, collections: &CollectionMap) -> VarDict {
        let mut metadata = VarDict::new();
        metadata.insert(Summary::MODE, Value::Str(self.mode.as_str().to_owned()));
        metadata.insert(Summary::LAST_MODIFIED, Value::U64(self.now.swap_bytes()));
        metadata.insert(Summary::TOMBSTONE_COMMITS, Value::Bool(self.tombstone_commits));
        metadata.insert(Summary::INDEXED_DELTAS, Value::Bool(true));
        if !self.deltas.0.is_empty() {
            metadata.insert(DeltaList::KEY, self.deltas.to_value());
        }
        if let Some(id) = self.collection {
            metadata.insert(Summary::COLLECTION_ID, Value::Str(id.as_str().to_owned()));
        }
        if !collections.is_empty() {
            metadata.insert(Summary::COLLECTION_MAP, collections.to_value());
        }
        let kept = self.kept.map(Summary::unknown_metadata).into_iter().flatten();
        for (key, value) in self.metadata.iter().chain(kept) {
            if metadata.get(key).is_none() {
                metadata.insert(key, value.clone());
            }
        }
        metadata
    }
}
