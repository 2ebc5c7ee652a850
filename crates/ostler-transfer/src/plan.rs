//! The plan: what a publish will add and change, as a value.
//!
//! Computed from a snapshot, an inventory and a policy; printed, compared and tested without any effect.

use crate::retire::Retirement;
use crate::summaries;
use ostler_format::CollectionRef;
use ostler_format::{Checksum, ObjectName, ObjectType};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// A ref that moves: from what the plan was computed against to what it shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefUpdate {
    /// The ref.
    #[serde(serialize_with = "as_text")]
    pub name: CollectionRef,
    /// What the target has.
    #[serde(serialize_with = "as_hex")]
    pub old: Option<Checksum>,
    /// What it will have; `None` removes the ref.
    #[serde(serialize_with = "as_hex")]
    pub new: Option<Checksum>,
    /// The checksum of what the target has in the place of the ref, if that names no commit.
    #[serde(serialize_with = "as_hex", skip_serializing_if = "Option::is_none")]
    pub damaged: Option<Checksum>,
}

/// An object that the target lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addition {
    /// The object.
    pub name: ObjectName,
    /// The bytes of the source's file; what is stored may be smaller where the source is not compressed.
    pub size: u64,
    /// Whether a damaged copy at the target is to be replaced.
    pub replaces_damaged: bool,
}

/// Detached metadata that is new or has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachedUpdate {
    /// The commit that it belongs to.
    pub commit: Checksum,
    /// The bytes that the target has.
    pub old: Option<Vec<u8>>,
    /// The bytes that it shall have.
    pub new: Vec<u8>,
    /// Whether nobody can read what the target has.
    pub replaces_damaged: bool,
}

/// A file of the source beside its objects that is carried as it is: a part of a static delta, a delta index,
/// a digest-named summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedFile {
    /// Its path in both repositories.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
}

/// What becomes of the summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SummaryPlan {
    /// Left as it is.
    Keep,
    /// The source's files are carried; `signature` is absent where the source has none.
    Copy {
        /// Flatpak's index and its signature, by name, as far as they changed.
        index: Vec<(&'static str, Vec<u8>)>,
        /// The bytes of `summary`.
        summary: Vec<u8>,
        /// The bytes of `summary.sig`.
        signature: Option<Vec<u8>>,
    },
    /// Made from the target's refs, without a signature.
    Generate,
}

impl SummaryPlan {
    /// Returns Flatpak's index if it changes, so that the files that it names have to be there before.
    pub(crate) fn new_index(&self) -> Option<&[u8]> {
        let Self::Copy { index, .. } = self else {
            return None;
        };
        let found = index.iter().find(|(name, _)| *name == summaries::INDEX);
        found.map(|(_, bytes)| bytes.as_slice())
    }
}

/// What a publish will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Refs that move, by name.
    pub refs: Vec<RefUpdate>,
    /// Objects to add, in the order in which they are put: content, dirmeta, dirtrees bottom up, commits oldest first.
    pub objects: Vec<Addition>,
    /// Files beside the objects to add, in the order in which they are put.
    pub files: Vec<CarriedFile>,
    /// Detached metadata to add or change.
    pub detached: Vec<DetachedUpdate>,
    /// Commits that the target marks as incomplete and that are whole after this, so that the marks go.
    pub healed: Vec<Checksum>,
    /// The summary.
    pub summary: SummaryPlan,
    /// Commits of the target that nothing leads to any more, and those that something leads to again.
    pub retirement: Retirement,
    /// Objects of the published commits that the target has already.
    pub reused_objects: u64,
    /// What commits behind those that refs name need of that.
    pub(crate) relied_on: ReliedOn,
}

impl Plan {
    /// Returns whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.refs.is_empty()
            && self.objects.is_empty()
            && self.files.is_empty()
            && self.detached.is_empty()
            && self.healed.is_empty()
            && self.summary == SummaryPlan::Keep
            && self.retirement.is_empty()
    }

    /// Returns the number of bytes of the source's files to be put.
    pub fn bytes(&self) -> u64 {
        self.objects
            .iter()
            .map(|added| added.size)
            .chain(self.files.iter().map(|file| file.size))
            .sum()
    }

    /// Returns the commits to add.
    pub(crate) fn commits(&self) -> impl Iterator<Item = Checksum> {
        let names = self.objects.iter().map(|added| added.name);
        names
            .filter(|name| name.kind == ObjectType::Commit)
            .map(|name| name.checksum)
    }

    /// Returns number and bytes of the objects to add, by type.
    pub fn by_type(&self) -> BTreeMap<ObjectType, Tally> {
        let mut tallies: BTreeMap<ObjectType, Tally> = BTreeMap::new();
        for added in &self.objects {
            let tally = tallies.entry(added.name.kind).or_default();
            tally.objects += 1;
            tally.bytes += added.size;
        }
        tallies
    }
}

/// What a target has and commits need that are sent but that no ref will name. (Of the others all is looked at before the
/// refs move.)
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ReliedOn {
    /// Commits of the target whose trees they share.
    pub(crate) bases: Vec<Checksum>,
    /// Objects beyond these.
    pub(crate) objects: Vec<ObjectName>,
}

/// A number of objects and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// How many.
    pub objects: u64,
    /// Their bytes, as stored in the source.
    pub bytes: u64,
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn as_hex<S: Serializer>(checksum: &Option<Checksum>, serializer: S) -> Result<S::Ok, S::Error> {
    match checksum {
        Some(checksum) => serializer.collect_str(checksum),
        None => serializer.serialize_none(),
    }
}

fn as_text<S: Serializer>(name: &CollectionRef, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(name)
}
