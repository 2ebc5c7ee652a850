//! What commits of the source consist of: from its records, else by walking, each once in a run.

use crate::error::Result;
use crate::execute::lock;
use crate::planner::missing_dirtree;
use ostler_format::Checksum;
use ostler_repo::{ObjectList, Repo, RepoError};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Lists of objects by commit.
#[derive(Debug)]
pub(crate) struct Lists<'a> {
    source: &'a Repo,
    known: Mutex<HashMap<Checksum, Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    list: Arc<ObjectList>,
    /// Whether the source has a record of it.
    recorded: bool,
}

impl<'a> Lists<'a> {
    /// Starts with no lists.
    pub(crate) fn new(source: &'a Repo) -> Self {
        Self {
            source,
            known: Mutex::default(),
        }
    }

    /// Returns the list of a commit.
    pub(crate) fn of(&self, commit: &Checksum) -> Result<Arc<ObjectList>> {
        self.find(commit).map_err(missing_dirtree)
    }

    /// Returns the list of a commit that the target has; `None` if a dirtree of it is missing or damaged here.
    pub(crate) fn of_base(&self, commit: &Checksum) -> Result<Option<Arc<ObjectList>>> {
        match self.find(commit) {
            Err(RepoError::Incomplete { .. } | RepoError::Corrupt { .. } | RepoError::Format { .. }) => {
                Ok(None)
            }
            found => Ok(Some(found?)),
        }
    }

    /// Returns the list of a commit if it was asked for before.
    pub(crate) fn known(&self, commit: &Checksum) -> Option<Arc<ObjectList>> {
        lock(&self.known).get(commit).map(|known| Arc::clone(&known.list))
    }

    fn find(&self, commit: &Checksum) -> Result<Arc<ObjectList>, RepoError> {
        if let Some(list) = self.known(commit) {
            return Ok(list);
        }
        let recorded = self.source.recorded_list(commit);
        let known = Known {
            recorded: recorded.is_some(),
            list: Arc::new(recorded.map_or_else(|| self.source.walk_list(commit), Ok)?),
        };
        lock(&self.known).insert(*commit, known.clone());
        Ok(known.list)
    }

    /// Records at the source what had to be walked. `refs` is the number of refs whose commits may be asked for again.
    pub(crate) fn record(&self, refs: usize) {
        for (commit, known) in lock(&self.known).iter_mut().filter(|(_, known)| !known.recorded) {
            known.recorded = true;
            // What cannot be recorded is walked again the next time.
            drop(self.source.record_list(commit, &known.list, refs));
        }
    }
}
