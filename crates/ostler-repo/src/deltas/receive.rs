//! A static delta that was made elsewhere, as it is: its files are brought one by one, and seen when all of them are there.

use super::generate::place::Place;
use crate::error::Result;
use crate::fs::TempFile;
use crate::repo::Repo;
use ostler_format::DeltaName;
use std::fmt;

/// A delta on its way into a repository. Dropping it abandons it.
#[must_use = "a delta that is dropped is not seen"]
pub struct ReceivedDelta<'r> {
    name: DeltaName,
    place: Place<'r>,
}

impl fmt::Debug for ReceivedDelta<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReceivedDelta({})", self.name)
    }
}

impl Repo {
    /// Begins to take a delta.
    ///
    /// # Errors
    /// [`RepoError::ReadOnly`](crate::RepoError::ReadOnly), [`RepoError::Io`](crate::RepoError::Io).
    pub fn receive_delta(&self, name: DeltaName) -> Result<ReceivedDelta<'_>> {
        Ok(ReceivedDelta {
            name,
            place: Place::in_repository(self, name)?,
        })
    }
}

impl ReceivedDelta<'_> {
    /// Returns an empty file for a part.
    ///
    /// # Errors
    /// [`RepoError::Io`](crate::RepoError::Io).
    pub fn part(&self) -> Result<TempFile> {
        self.place.part()
    }

    /// Takes a part that is complete.
    ///
    /// # Errors
    /// [`RepoError::Io`](crate::RepoError::Io).
    pub fn add_part(&self, index: usize, part: TempFile) -> Result<()> {
        self.place.name_part(index, part)
    }

    /// Takes the superblock, behind all parts, and lets the delta be seen, in place of one of the same name.
    ///
    /// # Errors
    /// [`RepoError::Io`](crate::RepoError::Io).
    pub fn finish(self, superblock: &[u8]) -> Result<()> {
        self.place.write(superblock)?;
        self.place.show()
    }
}
