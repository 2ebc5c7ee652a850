//! Making the changes of refs on disk, once they are checked.
//!
//! New files get their temporary names in `tmp/`, never beside refs: a crash leaves nothing there that a copy
//! of the repository would carry away.

use super::alias::link_text;
use super::edit::names_in_directory;
use super::{Expected, Place};
use crate::error::{RepoError, Result};
use crate::flip::{Edit, Expect};
use crate::fs::{Dir, TempFile};
use crate::repo::{FILE_MODE, Repo};
use ostler_format::{Checksum, RefName};
use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The permission bits of directories of refs, before the umask.
const REF_DIR_MODE: u32 = 0o777;

/// How many new files are open at a time.
const BATCH: usize = 256;

/// From how many on one sync of the file system is cheaper than one of each file or directory.
const MANY: usize = 16;

/// How often a directory is made again that others remove as empty meanwhile.
const TRIES: u32 = 16;

/// A change of one ref, by its place.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) place: Place,
    pub(super) expected: Expected,
    pub(super) value: New,
}

/// What a ref becomes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum New {
    Nothing,
    Commit(Checksum),
    Alias(RefName),
}

impl Change {
    /// Returns the change as a part of a flip, without its path; `None` for an alias.
    pub(super) fn as_edit(&self) -> Option<Edit> {
        let new = match &self.value {
            New::Nothing => None,
            New::Commit(checksum) => Some(content(checksum)),
            New::Alias(_) => return None,
        };
        let expect = match self.expected {
            Expected::Is(checksum) => Expect::Ref(checksum),
            Expected::Absent => Expect::Absent,
            Expected::Any | Expected::Exists | Expected::NoCommit => Expect::Any,
        };
        Some(Edit {
            path: String::new(),
            expect,
            new,
        })
    }
}

/// Returns the bytes of a ref.
fn content(checksum: &Checksum) -> Vec<u8> {
    format!("{checksum}\n").into_bytes()
}

impl Repo {
    /// Makes changes that were checked.
    pub(super) fn make_changes(&self, changes: &[Change]) -> Result<()> {
        let mut dirty = BTreeSet::new();
        for batch in changes.chunks(BATCH) {
            let prepared = self.prepare(batch)?;
            for (change, temp) in batch.iter().zip(prepared) {
                let path = change.place.path();
                self.make_change(change, &path, temp, &mut dirty)
                    .map_err(|error| match error {
                        Failure::Io(error) => RepoError::io(
                            format!("write ref {}", change.place),
                            self.root().path_of(&path),
                        )(error),
                        Failure::Repo(error) => error,
                    })?;
            }
        }
        let finish = || {
            if self.config().fsync() {
                self.sync_directories(&dirty)?;
            }
            self.root().touch()
        };
        finish().map_err(RepoError::io("sync refs in", self.root().path()))
    }

    /// Writes the new files, without names, and brings them to disk.
    fn prepare(&self, batch: &[Change]) -> Result<Vec<Option<TempFile>>> {
        let tmp = self.tmp()?;
        let fsync = self.config().fsync();
        let write = |checksum: &Checksum| {
            let mut temp = tmp.temp_file(FILE_MODE)?;
            temp.write_all(&content(checksum))?;
            temp.set_mode(FILE_MODE)?;
            if fsync && batch.len() < MANY {
                temp.sync()?;
            }
            Ok(temp)
        };
        let prepare = || {
            let files = batch
                .iter()
                .map(|change| match &change.value {
                    New::Commit(checksum) => write(checksum).map(Some),
                    New::Nothing | New::Alias(_) => Ok(None),
                })
                .collect::<io::Result<Vec<_>>>()?;
            if fsync && batch.len() >= MANY {
                tmp.syncfs()?;
            }
            Ok(files)
        };
        prepare().map_err(RepoError::io("write refs in", tmp.path()))
    }

    fn make_change(
        &self,
        change: &Change,
        path: &Path,
        temp: Option<TempFile>,
        dirty: &mut BTreeSet<PathBuf>,
    ) -> Result<(), Failure> {
        let root = self.root();
        match (&change.value, temp) {
            (New::Alias(target), _) => {
                let tmp = self.tmp()?;
                let link = link_text(&change.place.name, target);
                self.put(&change.place, path, dirty, || {
                    root.replace_symlink(&link, path, tmp)
                })
            }
            (New::Commit(_), Some(mut temp)) => {
                self.put(&change.place, path, dirty, || root.try_replace(&mut temp, path))
            }
            _ => {
                remove(root, &change.place.space.path(), path, dirty)?;
                Ok(())
            }
        }
    }

    /// Puts a ref in place with `rename`, after making its directories.
    fn put(
        &self,
        place: &Place,
        path: &Path,
        dirty: &mut BTreeSet<PathBuf>,
        mut rename: impl FnMut() -> io::Result<()>,
    ) -> Result<(), Failure> {
        let root = self.root();
        let parent = path.parent().unwrap_or(Path::new(""));
        for _ in 0..TRIES {
            root.ensure_dir(parent, REF_DIR_MODE)?;
            match rename() {
                Ok(()) => {
                    // Those above as well, even if they were there: who made them need not have synced them.
                    dirty.extend(parent.ancestors().map(Path::to_path_buf));
                    return Ok(());
                }
                // Somebody removed a directory that was empty for a moment.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                    self.clear_directory(place, path)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::from(io::ErrorKind::NotFound).into())
    }

    /// Removes a directory that holds no ref and has the name of one.
    fn clear_directory(&self, place: &Place, path: &Path) -> Result<(), Failure> {
        if let Some(space) = self.open_space(&place.space)?
            && let Some(name) = names_in_directory(&space, &place.name)?.first()
        {
            return Err(Failure::Repo(RepoError::NameConflict {
                reference: place.to_string(),
                existing: place.space.describe(name),
            }));
        }
        Ok(self.root().remove_tree(path)?)
    }

    fn sync_directories(&self, dirty: &BTreeSet<PathBuf>) -> io::Result<()> {
        if dirty.len() >= MANY {
            return self.root().syncfs();
        }
        for path in dirty {
            if path.as_os_str().is_empty() {
                self.root().fsync()?;
            } else if let Some(dir) = self.root().open_dir_if_exists(path)? {
                dir.fsync()?;
            }
        }
        Ok(())
    }
}

/// Removes a ref and the directories that it leaves empty, up to that of its kind.
fn remove(root: &Dir, space: &Path, path: &Path, dirty: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    if !root.unlink(path)? {
        return Ok(());
    }
    for parent in path.ancestors().skip(1) {
        dirty.insert(parent.to_path_buf());
        if parent == space {
            break;
        }
        match root.remove_dir(parent) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Why a change could not be made.
enum Failure {
    Io(io::Error),
    Repo(RepoError),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<RepoError> for Failure {
    fn from(error: RepoError) -> Self {
        Self::Repo(error)
    }
}
