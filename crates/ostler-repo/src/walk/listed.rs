//! The objects of many commits, by recorded lists where there are some.

use super::ClosureDifference;
use crate::error::Result;
use crate::repo::Repo;
use ostler_format::{Checksum, ObjectName};

/// Recorded lists are used as long as they hold no more than this in all: each is held in memory.
const LISTED: usize = 1 << 22;

impl Repo {
    /// Returns every object that `commits` consist of, each once and behind all that it names. Of the `tips` among them, whose
    /// lists hold most of what the others need, the recorded lists are read; all else is walked.
    ///
    /// A list says what a commit consists of, not that it is there.
    ///
    /// # Errors
    /// [`RepoError::Incomplete`](crate::RepoError::Incomplete) if a dirtree that had to be read is missing, and what loading
    /// objects returns.
    pub fn listed_closure<'c>(
        &self,
        tips: impl IntoIterator<Item = &'c Checksum>,
        commits: impl IntoIterator<Item = &'c Checksum>,
    ) -> Result<Vec<ObjectName>> {
        let mut walk = ClosureDifference::new(self, Vec::new());
        let mut room = LISTED;
        for tip in tips {
            if let Some(list) = self.recorded_list(tip)
                && let Some(rest) = room.checked_sub(list.len())
            {
                room = rest;
                walk.add_list(&list);
            }
        }
        for commit in commits {
            walk.add(commit)?;
        }
        Ok(walk.finish().child_first().collect())
    }
}
