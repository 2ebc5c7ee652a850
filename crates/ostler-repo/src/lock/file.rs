//! Locks on files of any name, which live as long as they are held.
//!
//! libostree's protocol for staging directories: open the file (making it), lock it, and look whether the name
//! still stands for what was locked; if not, somebody removed it meanwhile, and the whole is tried again.
//! Whoever holds the lock removes the file before letting go. So nothing is left behind, and two holders at
//! once cannot be.

use super::record::{self, Request, State};
use super::{LockKind, Observer};
use crate::error::{RepoError, Result};
use crate::fs::{Dir, FileStat};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The permission bits of such files, before the umask: the group may lock too.
const MODE: u32 = 0o660;

/// An exclusive lock on a file below a directory. Every acquisition stands for itself: threads exclude each
/// other as processes do. The file is removed when the lock is dropped.
#[derive(Debug)]
#[must_use = "the lock is released when it is dropped"]
pub struct FileLock {
    dir: Dir,
    name: PathBuf,
    // Closing it releases the lock.
    file: File,
}

impl FileLock {
    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// [`RepoError::Io`] when the system refuses; a lock that others hold is `None`.
    pub fn try_acquire(dir: &Dir, relative: impl AsRef<Path>) -> Result<Option<Self>> {
        let relative = relative.as_ref();
        match attempt(dir, relative) {
            Ok(Ok(file)) => Ok(Some(Self::new(dir, relative, file))),
            Ok(Err(_)) => Ok(None),
            Err(error) => Err(RepoError::io("lock", dir.path_of(relative))(error)),
        }
    }

    /// Takes the lock, and waits for it at most for `limit`; `None` is for ever, zero is one try.
    ///
    /// # Errors
    /// [`RepoError::Locked`] when the time is over; [`RepoError::Io`] when the system refuses.
    pub fn acquire(
        dir: &Dir,
        relative: impl AsRef<Path>,
        limit: Option<Duration>,
        observer: Option<&dyn Observer>,
    ) -> Result<Self> {
        let relative = relative.as_ref();
        let request = Request {
            path: dir.path_of(relative),
            kind: LockKind::Exclusive,
            limit,
            observer,
        };
        let taken = std::cell::Cell::new(None);
        let busy = std::cell::Cell::new(None);
        request.wait(
            || {
                Ok(match attempt(dir, relative)? {
                    Ok(file) => {
                        taken.set(Some(file));
                        true
                    }
                    Err(file) => {
                        busy.set(record::identity(&file));
                        false
                    }
                })
            },
            || record::Waiting {
                identity: busy.get(),
                upgrade: false,
            },
        )?;
        let file = taken.into_inner().ok_or_else(|| RepoError::Locked {
            path: dir.path_of(relative),
            kind: LockKind::Exclusive,
            holder: String::new(),
            waited: Duration::ZERO,
        })?;
        Ok(Self::new(dir, relative, file))
    }

    fn new(dir: &Dir, relative: &Path, file: File) -> Self {
        Self {
            dir: dir.clone(),
            name: relative.to_path_buf(),
            file,
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Before the descriptor is closed, so that nobody locks a file that is about to go. A file that stays
        // is only a file: the next holder uses it.
        if is_named(&self.file, &self.dir, &self.name).unwrap_or(false) {
            drop(self.dir.unlink(&self.name));
        }
    }
}

/// Opens and locks the file: the locked file, or the file that somebody else has locked.
fn attempt(dir: &Dir, relative: &Path) -> io::Result<Result<File, File>> {
    loop {
        let file = dir.open_or_create(relative, MODE)?;
        if !record::try_set(&file, State::Locked(LockKind::Exclusive))? {
            return Ok(Err(file));
        }
        if is_named(&file, dir, relative)? {
            return Ok(Ok(file));
        }
    }
}

/// Returns whether the name stands for this file.
fn is_named(file: &File, dir: &Dir, relative: &Path) -> io::Result<bool> {
    let ours = FileStat::of(file)?;
    let named = dir.stat(relative)?;
    Ok(named.is_some_and(|named| (named.dev, named.ino) == (ours.dev, ours.ino)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn a_second_holder_waits_and_the_file_goes_with_the_lock() {
        let root = tempfile::tempdir().unwrap();
        let dir = Dir::open(root.path()).unwrap();
        let lock = FileLock::try_acquire(&dir, "x-lock").unwrap().unwrap();
        assert!(FileLock::try_acquire(&dir, "x-lock").unwrap().is_none());
        let refused = FileLock::acquire(&dir, "x-lock", Some(Duration::ZERO), None).unwrap_err();
        assert!(refused.to_string().contains("x-lock"), "{refused}");
        drop(lock);
        assert_eq!(dir.stat("x-lock").unwrap(), None);
        assert!(FileLock::try_acquire(&dir, "x-lock").unwrap().is_some());
    }

    #[test]
    fn a_lock_on_a_removed_file_does_not_count() {
        let root = tempfile::tempdir().unwrap();
        let dir = Dir::open(root.path()).unwrap();
        let first = FileLock::try_acquire(&dir, "x-lock").unwrap().unwrap();
        dir.unlink("x-lock").unwrap();
        let second = FileLock::try_acquire(&dir, "x-lock").unwrap();
        assert!(second.is_some(), "the name is free again");
        drop(first);
        assert!(
            dir.stat("x-lock").unwrap().is_some(),
            "the second holder's file stays"
        );
    }

    #[test]
    fn threads_take_turns() {
        let root = tempfile::tempdir().unwrap();
        let dir = Dir::open(root.path()).unwrap();
        let inside = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let lock = FileLock::acquire(&dir, "turn", None, None).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
    }
}
