//! The flip: several files of a repository replaced or removed as one change.
//!
//! ```text
//! extensions/ostler/flip/0, 1, …   the new files, written and synced
//! extensions/ostler/flip/intent    which file goes where, and what is there before
//! extensions/ostler/lock           held by a publisher from its last look until its flip is done
//! extensions/ostler/lease          there while somebody publishes through a mount, see [`LeaseOwner`]
//! ```
//!
//! Order of effects, and what a reader of the repository sees after each:
//! 1. All expectations are checked; the new files are written beside the old ones and synced: nothing.
//! 2. The intent record appears, synced: nothing. From here on the change will happen, whatever crashes.
//! 3. Each file is renamed into place, or removed, in the order given: file by file the new state.
//! 4. The directories are synced: nothing more. The change survives a power cut.
//! 5. The intent record is removed.
//!
//! After a crash before 2 nothing has changed, and what lies in `flip/` is removed by the next flip. After a
//! crash from 2 on, [`Repo::recover_flip`] does what was not done yet: a new file that is gone from `flip/` is in
//! place already. The removal of the record is not synced: a record that comes back finds nothing left to do.
//! Where a tool that knows nothing of the record has meanwhile removed what a new ref would name, the rest of the
//! change is given up instead: a ref never names what is not there.
//!
//! The modification time of a replaced file rises by at least a second, since some clients cache by the second.
//!
//! Who flips or recovers is alone with it: a publisher by a [`FlipLease`], which includes the exclusive lock of the
//! repository; others by a [`RefsTurn`](crate::RefsTurn), which includes the shared one and which one has at a time.

mod check;
mod lease;
mod owner;
mod place;
mod recover;
#[cfg(test)]
mod tests;

pub use lease::FlipLease;
pub use owner::{LeaseOwner, Leaseholder, wait_for_leaseholder};
pub use recover::Recovery;

use crate::error::{RepoError, Result};
use crate::fs::Dir;
use crate::repo::Repo;
use ostler_format::Checksum;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where new files and the intent record lie, relative to the repository.
const FLIP_DIR: &str = "extensions/ostler/flip";
const INTENT: &str = "intent";
/// The largest file that is compared or replaced, in bytes: the limit that clients have for metadata files.
const FILE_LIMIT: u64 = 128 << 20;

/// What a file must be before it is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Anything, or nothing.
    Any,
    /// Not there.
    Absent,
    /// There, with bytes of this checksum.
    Bytes(Checksum),
    /// There, and a ref that names this commit, whatever white space follows.
    Ref(Checksum),
}

/// One file to be replaced or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The path, relative to the repository.
    pub path: String,
    /// What must be there.
    pub expect: Expect,
    /// The new bytes; `None` removes the file.
    pub new: Option<Vec<u8>>,
}

/// What the intent record says of one edit. The index of an entry is the name of its new file.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    path: String,
    /// SHA-256 of what is there before; absent where nothing is.
    old: Option<String>,
    /// SHA-256 of what will be there; absent where the file is removed.
    new: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Intent {
    edits: Vec<Entry>,
}

impl Expect {
    /// Returns whether what is found is as expected.
    pub fn allows(&self, found: Option<&[u8]>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => found.is_none(),
            Self::Bytes(expected) => found.map(Checksum::of) == Some(*expected),
            Self::Ref(commit) => {
                let text = found.map(<[u8]>::trim_ascii_end);
                text == Some(commit.to_hex().as_str().as_bytes())
            }
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("anything"),
            Self::Absent => f.write_str("no file"),
            Self::Bytes(digest) => write!(f, "a file of checksum {digest}"),
            Self::Ref(commit) => write!(f, "a ref to commit {commit}"),
        }
    }
}

impl Repo {
    /// Carries out the edits as one change. The caller keeps others out, by a [`FlipLease`] or a
    /// [`RefsTurn`](crate::RefsTurn). A flip that a crash cut short is completed first.
    ///
    /// # Errors
    /// [`RepoError::Changed`] if a file is not what its edit expects. [`RepoError::Overtaken`] where a tool that
    /// takes no locks changed a file in the middle of the flip: the others have changed then.
    /// [`RepoError::CutShort`] for a failure in the middle: what was not done is done by
    /// [`recover_flip`](Self::recover_flip). After any other failure nothing has changed.
    pub fn flip(&self, edits: &[Edit]) -> Result<()> {
        self.recover_flip()?;
        let olds = self.check_expectations(edits)?;
        let flip = self.flip_dir()?;
        let intent = intent(edits, &olds);
        let recorded = self
            .write_new_files(&flip, edits)
            .and_then(|()| self.record(&flip, &intent));
        if let Err(error) = recorded {
            forget(&flip);
            return Err(error);
        }
        let left_alone = self
            .carry_out(&flip, &intent)
            .map_err(|source| RepoError::CutShort {
                path: self.path().to_path_buf(),
                source: Box::new(source),
            })?;
        match left_alone.first() {
            None => Ok(()),
            Some(path) => Err(RepoError::Overtaken {
                path: self.root().path_of(path),
            }),
        }
    }

    /// Returns whether a flip was cut short. Costs one look; takes no lock.
    ///
    /// # Errors
    /// Any failure of the file system.
    pub fn flip_pending(&self) -> Result<bool> {
        let record = format!("{FLIP_DIR}/{INTENT}");
        let found = self
            .root()
            .stat(&record)
            .map_err(RepoError::io("look at", self.root().path_of(&record)))?;
        Ok(found.is_some())
    }

    fn flip_dir(&self) -> Result<Dir> {
        let failed = || RepoError::io("open", self.root().path_of(FLIP_DIR));
        let made = self.root().ensure_dir(FLIP_DIR, 0o777).map_err(failed())?;
        if made && self.config().fsync() {
            // A record in a directory that a power cut takes away is none.
            self.root().sync_parents(FLIP_DIR).map_err(failed())?;
        }
        self.root().open_dir(FLIP_DIR).map_err(failed())
    }

    fn record(&self, flip: &Dir, intent: &Intent) -> Result<()> {
        let record = serde_json::to_vec(intent)
            .map_err(|fault| RepoError::invalid("intent record", fault.to_string()))?;
        flip.replace(INTENT, &record, 0o644, self.config().fsync())
            .map_err(RepoError::io("write", flip.path_of(INTENT)))
    }
}

/// Takes back what was prepared, as far as that can be done: the record first, so that it never stands for files
/// that are gone. What stays is removed, or carried out, by the next flip.
fn forget(flip: &Dir) {
    if flip.unlink(INTENT).is_ok() {
        drop(clear(flip));
    }
}

/// Removes whatever lies in the directory of a flip.
fn clear(flip: &Dir) -> Result<()> {
    for entry in flip.entries().map_err(RepoError::io("list", flip.path()))? {
        flip.unlink(&entry.name)
            .map_err(RepoError::io("remove", flip.path_of(&entry.name)))?;
    }
    Ok(())
}

fn intent(edits: &[Edit], olds: &[Option<Checksum>]) -> Intent {
    let entries = edits.iter().zip(olds).map(|(edit, old)| Entry {
        path: edit.path.clone(),
        old: old.map(|digest| digest.to_string()),
        new: edit.new.as_deref().map(|bytes| Checksum::of(bytes).to_string()),
    });
    Intent {
        edits: entries.collect(),
    }
}
