//! Completing a flip that a crash cut short, or giving it up where it can no longer be completed.
//!
//! Between the crash and the recovery anybody may have worked in the repository. A file that was changed is left alone.
//! A prune by a tool that does not know the record may have removed what the new refs were to name, since nothing named
//! it yet. Then nothing more of the flip is done: the refs that have not moved stay where they are, and so does the
//! summary, and the next publish brings what is missing.

use super::{Entry, FILE_LIMIT, FLIP_DIR, INTENT, Intent, clear};
use crate::error::{RepoError, Result};
use crate::fs::Dir;
use crate::repo::Repo;
use crate::retired::Retired;
use ostler_format::{Checksum, ObjectName, ObjectType};

/// What became of a flip that a crash had cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// All of it is done.
    Completed,
    /// What it was to publish is not there any more, or its record is damaged: what was not done yet never will be.
    GivenUp,
}

impl Repo {
    /// Completes a flip that a crash cut short; `None` if there was none. The caller keeps others out, as for
    /// [`flip`](Self::flip).
    ///
    /// # Errors
    /// Any failure of the file system.
    pub fn recover_flip(&self) -> Result<Option<Recovery>> {
        let record = format!("{FLIP_DIR}/{INTENT}");
        let found = self.root().read_if_exists(&record, FILE_LIMIT);
        let Some(bytes) = found.map_err(RepoError::io("read", self.root().path_of(&record)))? else {
            return Ok(None);
        };
        let flip = self.flip_dir()?;
        // It was synced before it got its name: what cannot be read was damaged since, and nobody can complete it.
        let Ok(intent) = serde_json::from_slice::<Intent>(&bytes) else {
            self.give_up(&flip)?;
            return Ok(Some(Recovery::GivenUp));
        };
        if self.is_whole(&flip, &intent)? {
            let changes = |path: &dyn Fn(&str) -> bool| intent.edits.iter().any(|entry| path(&entry.path));
            if changes(&|path| path == Retired::PATH) && changes(&|path| path.starts_with("refs/")) {
                self.note_completion()?;
            }
            self.carry_out(&flip, &intent)?;
            return Ok(Some(Recovery::Completed));
        }
        self.give_up(&flip)?;
        Ok(Some(Recovery::GivenUp))
    }

    /// Notes that refs move now, whenever what they leave behind was retired: nothing of that may go before its grace is over.
    fn note_completion(&self) -> Result<()> {
        let failed = || RepoError::io("write", self.root().path_of(Retired::COMPLETED));
        let now = self.present().map_err(failed())?;
        let text = format!("{now}\n");
        self.root()
            .replace(Retired::COMPLETED, text.as_bytes(), 0o644, self.config().fsync())
            .map_err(failed())
    }

    /// Returns whether the new files are what the record says, and what new refs among them name is there.
    fn is_whole(&self, flip: &Dir, intent: &Intent) -> Result<bool> {
        let mut commits = Vec::new();
        for (index, entry) in intent.edits.iter().enumerate() {
            let name = index.to_string();
            let found = flip.read_if_exists(&name, FILE_LIMIT);
            let Some(bytes) = found.map_err(RepoError::io("read", flip.path_of(&name)))? else {
                continue;
            };
            if entry.new != Some(Checksum::of(&bytes).to_string()) {
                return Ok(false);
            }
            commits.extend(commit_named(entry, &bytes));
        }
        commits.sort_unstable();
        commits.dedup();
        self.holds_all_of(&commits)
    }

    /// Returns whether everything that the commits consist of is there, with bytes in it. Of one that is marked as
    /// partial, nothing more than the commit is asked for.
    fn holds_all_of(&self, commits: &[Checksum]) -> Result<bool> {
        let mut whole = Vec::new();
        for commit in commits {
            match self.is_partial(commit)? {
                None => whole.push(*commit),
                Some(_) if self.has_object(&ObjectName::new(*commit, ObjectType::Commit))? => {}
                Some(_) => return Ok(false),
            }
        }
        let objects = match self.closure(&whole) {
            Ok(objects) => objects,
            Err(RepoError::Corrupt { .. } | RepoError::Format { .. }) => return Ok(false),
            Err(error) if error.is_not_found() => return Ok(false),
            Err(error) => return Err(error),
        };
        for name in objects {
            let size = match self.object_size(&name) {
                Err(error) if error.is_not_found() => return Ok(false),
                size => size?,
            };
            if size == 0 && (self.mode().is_archive() || name.kind != ObjectType::File) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes the record for good, then the files.
    fn give_up(&self, flip: &Dir) -> Result<()> {
        flip.unlink(INTENT)
            .map_err(RepoError::io("remove", flip.path_of(INTENT)))?;
        if self.config().fsync() {
            flip.fsync().map_err(RepoError::io("sync", flip.path()))?;
        }
        clear(flip)
    }
}

/// Returns the commit that a new file names, if it is a ref.
fn commit_named(entry: &Entry, bytes: &[u8]) -> Option<Checksum> {
    let text = std::str::from_utf8(bytes)
        .ok()
        .filter(|_| entry.path.starts_with("refs/"))?;
    Checksum::from_hex(text.trim_end()).ok()
}
