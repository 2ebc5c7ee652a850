//! Who uses the lock of a repository, and handing it over to another program.

use super::holders::{self, Identity, LockUsers};
use super::{LOCK_FILE, LockGuard};
use crate::error::{RepoError, Result};
use crate::fs::Dir;
use crate::repo::Repo;
use rustix::io::{FdFlags, fcntl_setfd};
use std::path::Path;

impl Repo {
    /// Returns who holds the lock of the repository, and who waits for it, as far as this user may see. Takes no lock.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn lock_users(&self) -> Result<LockUsers> {
        users_of(self.root(), LOCK_FILE)
    }
}

/// Returns the users of a lock file; nobody where there is none.
pub(crate) fn users_of(dir: &Dir, file: impl AsRef<Path>) -> Result<LockUsers> {
    let failed = RepoError::io("look at", dir.path_of(&file));
    let found = dir.stat(&file).map_err(failed)?;
    Ok(found.map_or_else(LockUsers::default, |stat| {
        holders::look(Identity {
            inode: stat.ino,
            own_descriptor: None,
        })
    }))
}

impl LockGuard<'_> {
    /// Lets every program that this process starts or becomes inherit the lock: it is then held until the last of them
    /// has ended or closed it. Returns `false` where no lock is taken in this repository.
    ///
    /// # Errors
    /// [`RepoError::Io`] when the kernel refuses.
    pub fn let_inherit(&self) -> Result<bool> {
        let Some(repo) = self.repo else {
            return Ok(false);
        };
        let counters = repo.lock.counters();
        let Some(file) = &counters.file else {
            return Ok(false);
        };
        fcntl_setfd(file, FdFlags::empty())
            .map_err(|error| RepoError::io("hand over", repo.root().path_of(LOCK_FILE))(error.into()))?;
        Ok(true)
    }
}
