//! Who may flip: the locks, and completing what a crash cut short as soon as somebody comes by.
//!
//! Order: the flip lock, then the exclusive lock of the repository. A publisher holds both from its last look at the
//! target until its flip is done, so that nobody removes or moves anything in between.

use super::Recovery;
use crate::error::{RepoError, Result};
use crate::lock::{FileLock, LockGuard, LockKind, LockUsers, users_of};
use crate::repo::Repo;

/// The file that publishers lock, relative to the repository, and the directory that it lies in.
const FLIP_LOCK: &str = "extensions/ostler/lock";
const HOLDER: &str = "extensions/ostler";

/// The right to flip, alone in the repository; ends when dropped.
#[derive(Debug)]
#[must_use = "others are kept out only as long as the lease is held"]
pub struct FlipLease<'a> {
    // Let go of in this order.
    _repository: LockGuard<'a>,
    _flip: FileLock,
}

impl Repo {
    /// Waits until no other publisher and nobody else works in the repository, and keeps them out.
    ///
    /// # Errors
    /// [`RepoError::Locked`] when the time is over; [`RepoError::ReadOnly`], [`RepoError::Io`].
    pub fn lease_flip(&self) -> Result<FlipLease<'_>> {
        self.make_holder()?;
        let (limit, observer) = (self.config().lock_timeout(), self.observer());
        let flip = FileLock::acquire(self.root(), FLIP_LOCK, limit, observer.as_deref())?;
        Ok(FlipLease {
            _repository: self.lock(LockKind::Exclusive)?,
            _flip: flip,
        })
    }

    /// As [`lease_flip`](Self::lease_flip), without waiting: `None` where others are at work.
    ///
    /// # Errors
    /// [`RepoError::ReadOnly`], [`RepoError::Io`].
    pub fn try_lease_flip(&self) -> Result<Option<FlipLease<'_>>> {
        self.make_holder()?;
        let Some(flip) = FileLock::try_acquire(self.root(), FLIP_LOCK)? else {
            return Ok(None);
        };
        let repository = self.try_lock(LockKind::Exclusive)?;
        Ok(repository.map(|repository| FlipLease {
            _repository: repository,
            _flip: flip,
        }))
    }

    /// Completes a flip that a crash cut short; for whoever comes to work in the repository. Costs one look where
    /// there is none. One that a publisher is just making is left to it, here or through a mount, and none is completed by a process that
    /// may not write.
    ///
    /// # Errors
    /// As [`recover_flip`](Self::recover_flip), and as [`lock_refs`](Self::lock_refs).
    pub fn complete_flip(&self) -> Result<Option<Recovery>> {
        if !self.is_writable() || !self.flip_pending()? || self.leaseholder()?.is_some() {
            return Ok(None);
        }
        self.make_holder()?;
        let Some(_flip) = FileLock::try_acquire(self.root(), FLIP_LOCK)? else {
            return Ok(None);
        };
        let _turn = self.lock_refs()?;
        self.recover_flip()
    }

    /// Returns who holds the flip lock, as far as this user may see. Takes no lock.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn flip_lock_users(&self) -> Result<LockUsers> {
        users_of(self.root(), FLIP_LOCK)
    }

    fn make_holder(&self) -> Result<()> {
        self.require_writable()?;
        self.root()
            .ensure_dir(HOLDER, 0o777)
            .map(drop)
            .map_err(RepoError::io("make", self.root().path_of(HOLDER)))
    }
}
