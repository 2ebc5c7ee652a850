//! Marks that a commit is not whole: `state/<commit>.commitpartial`, and tombstones of deleted commits.
//!
//! A mark is set before the commit that it is about becomes visible, and removed after all of the commit is on
//! disk: a reader who sees a commit without a mark may take it for complete. Setting a mark is durable with the
//! next sync of the file system, which is the one before objects are moved into place.

use crate::error::{RepoError, Result};
use crate::repo::Repo;
use ostler_format::{Checksum, ObjectName, ObjectType, tombstone};

/// The directory of the marks.
const STATE: &str = "state";

/// What follows the commit in the name of a mark.
const SUFFIX: &str = ".commitpartial";

/// Why a commit may lack some of its objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Partial {
    /// Not all of it was fetched: an interrupted pull, one of a subdirectory or of commits only.
    Incomplete,
    /// A check found objects missing or damaged.
    Damaged,
}

impl Partial {
    fn bytes(self) -> &'static [u8] {
        match self {
            Self::Incomplete => b"",
            Self::Damaged => b"f",
        }
    }
}

fn mark_path(commit: &Checksum) -> String {
    format!("{STATE}/{commit}{SUFFIX}")
}

impl Repo {
    /// Returns whether, and why, a commit of this repository is marked as partial.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn is_partial(&self, commit: &Checksum) -> Result<Option<Partial>> {
        let path = mark_path(commit);
        // Only the first byte has a meaning, and whoever wrote more than a page did not write a mark.
        let found = self
            .root()
            .read_if_exists(&path, 4096)
            .map_err(RepoError::io("read", self.root().path_of(&path)))?;
        Ok(found.map(|bytes| match bytes.first() {
            Some(b'f') => Partial::Damaged,
            _ => Partial::Incomplete,
        }))
    }

    /// Marks a commit as partial. A mark that is there stays, except that damage replaces incompleteness.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn set_partial(&self, commit: &Checksum, why: Partial) -> Result<()> {
        match (self.is_partial(commit)?, why) {
            (None, _) | (Some(Partial::Incomplete), Partial::Damaged) => {}
            _ => return Ok(()),
        }
        let path = mark_path(commit);
        self.root()
            .replace_via(self.tmp()?, &path, why.bytes(), 0o644, false)
            .map_err(RepoError::io("write", self.root().path_of(&path)))
    }

    /// Removes the mark of a commit; returns whether there was one.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn clear_partial(&self, commit: &Checksum) -> Result<bool> {
        let path = mark_path(commit);
        self.root()
            .unlink(&path)
            .map_err(RepoError::io("remove", self.root().path_of(&path)))
    }

    /// Returns the commits that are marked as partial, sorted.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn partial_commits(&self) -> Result<Vec<Checksum>> {
        let failed = || RepoError::io("list", self.root().path_of(STATE));
        let Some(state) = self.root().open_dir_if_exists(STATE).map_err(failed())? else {
            return Ok(Vec::new());
        };
        let entries = state.entries().map_err(failed())?;
        let mut commits: Vec<_> = entries
            .iter()
            .filter_map(|entry| entry.name.to_str()?.strip_suffix(SUFFIX))
            .filter_map(|hex| Checksum::from_hex(hex).ok())
            .collect();
        commits.sort_unstable();
        Ok(commits)
    }

    /// Returns whether a commit was deleted and left a tombstone.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn has_tombstone(&self, commit: &Checksum) -> Result<bool> {
        self.has_own_object(&tombstone_of(commit))
    }

    /// Writes the tombstone of a commit that is being deleted. What was there already stays.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn write_tombstone(&self, commit: &Checksum) -> Result<()> {
        let name = tombstone_of(commit);
        let path = name.loose_path(self.mode());
        let (objects, tmp) = (self.objects(), self.tmp()?);
        objects
            .ensure_dir(path.directory(), 0o777)
            .and_then(|_| objects.replace_via(tmp, &path, &tombstone(commit), 0o644, false))
            .map_err(RepoError::io("write", objects.path_of(&path)))
    }

    /// Removes the tombstone of a commit; returns whether there was one.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn remove_tombstone(&self, commit: &Checksum) -> Result<bool> {
        self.loose().remove(&tombstone_of(commit))
    }
}

pub(crate) fn tombstone_of(commit: &Checksum) -> ObjectName {
    ObjectName::new(*commit, ObjectType::TombstoneCommit)
}
