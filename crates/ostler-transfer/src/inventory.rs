//! The inventory: what a target is known to hold, read before a plan is made and again before it is carried out.

use crate::error::{Result, TransferError};
use crate::refs::{self, StoreRefs};
use crate::store::{Store, object_path};
use ostler_format::{Checksum, CollectionRef, ObjectName, ObjectType};
use ostler_repo::Config;
use std::collections::{BTreeMap, BTreeSet};

/// The largest configuration that is read, in bytes.
const CONFIG_LIMIT: u64 = 1 << 20;
/// The largest summary that clients read, in bytes (128 MiB for every metadata file).
pub(crate) const SUMMARY_LIMIT: u64 = 128 << 20;

/// Where commits are marked as incomplete, and what follows the commit in the name of a mark.
const MARKS: &str = "state";
const MARK: &str = ".commitpartial";

/// What a target holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// Its refs, aliases resolved.
    pub refs: BTreeMap<CollectionRef, Checksum>,
    /// Refs that are symbolic links to others: name and the name that they lead to.
    pub aliases: BTreeMap<CollectionRef, CollectionRef>,
    /// Refs whose files name no commit, with the checksums of the files.
    pub damaged: BTreeMap<CollectionRef, Checksum>,
    /// Commits that it marks as incomplete, or damaged.
    pub partial: BTreeSet<Checksum>,
    /// Whether it has no object at all, so that nothing needs to be looked for.
    pub is_empty: bool,
}

impl Inventory {
    /// Reads a target.
    ///
    /// # Errors
    /// [`TransferError::UnfitTarget`] if it is not an archive repository; any failure of the store.
    pub fn read(store: &dyn Store) -> Result<Self> {
        check_config(store)?;
        let StoreRefs {
            refs,
            aliases,
            damaged,
        } = refs::survey_store(store)?;
        let is_empty = refs.is_empty() && store.list("objects")?.is_empty();
        Ok(Self {
            refs,
            aliases,
            damaged,
            partial: partial_commits(store)?,
            is_empty,
        })
    }

    /// Returns whether the target has a commit and does not mark it as partial. That its trees are there too is
    /// not said by this.
    ///
    /// # Errors
    /// Any failure of the store.
    pub fn has_commit(&self, store: &dyn Store, commit: &Checksum) -> Result<bool> {
        if self.is_empty || self.partial.contains(commit) {
            return Ok(false);
        }
        let found = store.look(&ObjectName::new(*commit, ObjectType::Commit))?;
        Ok(found.is_some_and(|size| size > 0))
    }
}

/// Returns the commits that a target marks as incomplete.
pub(crate) fn partial_commits(store: &dyn Store) -> Result<BTreeSet<Checksum>> {
    let marks = store.list(MARKS)?;
    let commits = marks.iter().filter_map(|mark| mark.name.strip_suffix(MARK));
    Ok(commits.filter_map(|hex| Checksum::from_hex(hex).ok()).collect())
}

/// Returns the path of the mark that a commit is incomplete.
pub(crate) fn partial_path(commit: &Checksum) -> String {
    format!("{MARKS}/{commit}{MARK}")
}

/// Returns the path of the detached metadata of a commit.
pub(crate) fn detached_path(commit: &Checksum) -> String {
    object_path(ObjectName::new(*commit, ObjectType::CommitMeta))
}

fn check_config(store: &dyn Store) -> Result<()> {
    let unfit = |reason: String| TransferError::UnfitTarget {
        target: store.describe(),
        reason,
    };
    let Some(bytes) = store.get("config", CONFIG_LIMIT)? else {
        return Err(unfit("it is not a repository (no 'config')".into()));
    };
    let config = Config::parse(&bytes).map_err(|fault| unfit(format!("its 'config' is refused: {fault}")))?;
    if !config.mode().is_archive() {
        let mode = config.mode();
        return Err(unfit(format!(
            "its mode is '{mode}', and clients pull only from archive repositories over HTTP"
        )));
    }
    Ok(())
}
