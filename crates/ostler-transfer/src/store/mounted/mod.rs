//! A store that is a directory of another machine, mounted here: by sshfs, NFS or CIFS.
//!
//! Every call may take as long as a message there and back, so many are under way at once, and nothing is asked that is
//! known. No hard links, nameless files or extended attributes are needed: what is put lies in `tmp/ostler-mounted/`,
//! written and synced, and gets its place by a rename.
//!
//! Locks do not cross such a mount. A [lease file](lease) stands in: it is taken at the first put, so that what is staged has
//! one owner, and kept until it is settled. `.lock` is taken as well where the mount has locks: it keeps out others who work through
//! the same mount.
//!
//! Order of effects: lease file; objects and files staged, each hashed on this side and synced; under the lease
//! content and dirmeta are renamed into place, then dirtrees, those below first, then commits, then other files; then the flip of
//! [`Repo::flip`]. A crash leaves the lease file, which the next run on this machine takes over at once, and what is staged, which
//! it reads back and uses, or removes.

mod lease;
mod staging;

use super::directory::DirStore;
use super::{Body, Edit, Entry, Item, Lease, Overwrite, Removed, Store};
use crate::error::{Result, TransferError};
use lease::LeaseFile;
use ostler_format::{Checksum, ObjectName};
use ostler_repo::{FlipLease, Recovery, Repo, RepoError};
use rustix::io::Errno;
use staging::Staging;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};

/// So many operations are under way at once where nobody says otherwise.
const JOBS: NonZero<usize> = NonZero::new(16).expect("it is not zero");

/// A mounted directory as a store.
#[derive(Debug)]
pub struct MountedStore {
    inner: DirStore,
    lease: LeaseFile,
    staging: Staging,
    jobs: NonZero<usize>,
    /// Whether something of a run that died was seen.
    left_behind: AtomicBool,
}

/// The lease of a mounted directory. What is staged and not settled keeps the file.
#[derive(Debug)]
struct MountedLease<'a> {
    store: &'a MountedStore,
    #[expect(dead_code, reason = "held for its effect")]
    locks: Option<FlipLease<'a>>,
}

impl Lease for MountedLease<'_> {}

impl Drop for MountedLease<'_> {
    fn drop(&mut self) {
        if self.store.staging.is_closed() {
            self.store.lease.release();
        }
    }
}

impl MountedStore {
    /// Wraps a repository; `who` is named to others who wait.
    pub fn new(repo: Repo, who: &str) -> Self {
        Self {
            lease: LeaseFile::new(repo.root().clone(), who),
            inner: DirStore::new(repo).sharing_files(false),
            staging: Staging::default(),
            jobs: JOBS,
            left_behind: AtomicBool::new(false),
        }
    }

    /// Sets how many operations are under way at once.
    #[must_use]
    pub fn with_jobs(mut self, jobs: NonZero<usize>) -> Self {
        self.jobs = jobs;
        self
    }

    fn repo(&self) -> &Repo {
        self.inner.repo()
    }

    /// Takes the lease file, and waits for it as long as for any lock.
    fn hold(&self) -> Result<()> {
        let observer = self.repo().observer();
        let limit = self.repo().config().lock_timeout();
        if self.lease.acquire(limit, observer.as_deref())? && self.left_behind.load(Ordering::Relaxed) {
            self.lease.remove_left()?;
        }
        Ok(())
    }

    /// Fails if another publisher has taken over.
    fn require_lease(&self) -> Result<()> {
        if self.lease.is_held()? {
            return Ok(());
        }
        Err(TransferError::LeaseLost {
            target: self.describe(),
        })
    }

    /// Removes what a run that died has staged. The lease file is held.
    fn clear(&self) -> Result<()> {
        if self.left_behind.swap(false, Ordering::Relaxed) {
            staging::remove_left(self.repo(), self.jobs)?;
            self.lease.remove_left()?;
        }
        Ok(())
    }
}

impl Store for MountedStore {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn stages(&self) -> bool {
        true
    }

    fn looks_are_dear(&self) -> bool {
        true
    }

    fn jobs(&self) -> NonZero<usize> {
        self.jobs
    }

    fn get(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.inner.get(path, limit)
    }

    fn look(&self, object: &ObjectName) -> Result<Option<u64>> {
        self.inner.look(object)
    }

    fn verify(&self, object: &ObjectName) -> Result<bool> {
        self.inner.verify(object)
    }

    fn list(&self, dir: &str) -> Result<Vec<Entry>> {
        self.inner.list(dir)
    }

    fn put(&self, item: &Item, body: Body<'_>, _overwrite: Overwrite) -> Result<()> {
        self.hold()?;
        self.staging.put(self.repo(), item, body)
    }

    fn settle(&self, order: &[(Item, Overwrite)]) -> Result<()> {
        self.require_lease()?;
        if order.is_empty() {
            return self.clear();
        }
        self.staging.settle(self.repo(), self.jobs, order)?;
        self.left_behind.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn forget(&self) -> Result<()> {
        if !self.staging.is_closed() {
            self.require_lease()?;
            self.staging.discard(self.repo(), self.jobs)?;
        } else if self.left_behind.load(Ordering::Relaxed) && self.lease.try_acquire()? {
            self.clear()?;
        }
        self.lease.release();
        Ok(())
    }

    fn flip(&self, edits: &[Edit]) -> Result<()> {
        self.require_lease()?;
        self.inner.flip(edits)
    }

    fn pending(&self) -> Result<bool> {
        let left = staging::is_left(self.repo())? || self.lease.is_there()?;
        self.left_behind.store(left, Ordering::Relaxed);
        self.inner.pending()
    }

    fn recover(&self) -> Result<Option<Recovery>> {
        self.require_lease()?;
        self.inner.recover()
    }

    fn lease(&self) -> Result<Box<dyn Lease + '_>> {
        self.hold()?;
        Ok(Box::new(MountedLease {
            store: self,
            locks: where_locks_are(self.repo().lease_flip())?,
        }))
    }

    fn try_lease(&self) -> Result<Option<Box<dyn Lease + '_>>> {
        if !self.lease.try_acquire()? {
            return Ok(None);
        }
        let locks = match where_locks_are(self.repo().try_lease_flip()) {
            Ok(Some(None)) => Ok(None),
            Ok(locks) => Ok(Some(locks.flatten())),
            Err(error) => Err(error),
        };
        if !matches!(locks, Ok(Some(_))) && self.staging.is_closed() {
            self.lease.release();
        }
        Ok(locks?.map(|locks| Box::new(MountedLease { store: self, locks }) as Box<dyn Lease>))
    }

    fn list_commits(&self) -> Result<Vec<Checksum>> {
        self.inner.list_commits()
    }

    fn remove(&self, items: &[Item]) -> Result<Removed> {
        self.require_lease()?;
        self.inner.remove(items)
    }

    fn free_bytes(&self) -> Result<Option<u64>> {
        self.inner.free_bytes()
    }
}

/// Does without locks on a mount that has none.
fn where_locks_are<T>(taken: Result<T, RepoError>) -> Result<Option<T>> {
    match taken {
        Ok(locks) => Ok(Some(locks)),
        Err(RepoError::Io { source, .. })
            if [Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP]
                .map(Some)
                .contains(&Errno::from_io_error(&source)) =>
        {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
