//! Transactions: adding objects to a repository and moving refs to them.
//!
//! 1. [`Repo::begin`] takes the shared lock, computes how much space there is to fill, and gets a
//!    [staging directory](crate::staging).
//! 2. Objects are written, by any number of threads at once, into staging. No reader sees them.
//! 3. [`Transaction::commit`] [settles](crate::settle) them, children first; then the staging directory goes,
//!    then the refs move, each from the value that the caller expects, then the lock is released, then the
//!    summary is made anew if the configuration asks for that.
//!
//! A ref therefore never names what is not there and on disk. Dropping a transaction instead, or dying, leaves
//! objects and refs as they were; what was staged stays for the next transaction of the same boot to go on
//! with, unless the disk was too full.
//!
//! "Already there" is asked of staging and of this repository, never of its parents. An object found in a
//! staging directory that was taken over is hashed before anybody relies on it, and dropped when broken.

mod adopt;
mod content;
mod import;
mod metadata;
mod received;
mod staged;

pub(crate) use adopt::Adopted;
pub use content::hash_content;
pub use import::Trust;
pub use received::Receiving;

use crate::error::{RepoError, Result};
use crate::free_space::SpaceBudget;
use crate::fs::{Linked, TempFile};
use crate::lock::{LockGuard, LockKind};
use crate::objects::content::Checking;
use crate::objects::store::ObjectFiles;
use crate::objects::{ContentReader, missing};
use crate::refs::RefEdit;
use crate::repo::Repo;
use crate::settle::SettleStats;
use crate::staging::{Staging, clean_tmp};
use crate::summary::update_if_configured;
use ostler_format::{Checksum, ObjectName, ObjectType, RepoMode};
use staged::{Staged, lock};
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How a transaction writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransactionOptions {
    /// Write to bare-split-xattrs repositories, which libostree does only for experiments.
    pub allow_split_xattrs: bool,
}

/// Objects and refs on their way into a repository.
#[derive(Debug)]
#[must_use = "a transaction that is dropped changes nothing"]
pub struct Transaction<'repo> {
    repo: &'repo Repo,
    files: ObjectFiles,
    staging: Staging,
    staged: Staged,
    damaged: Mutex<HashSet<ObjectName>>,
    /// Device and inode of files that became objects themselves.
    adopted: Mutex<HashSet<(u64, u64)>>,
    edits: Vec<RefEdit>,
    budget: SpaceBudget,
    counters: Counters,
    /// Whether the file system may be able to clone files.
    clones: AtomicBool,
    /// Released last.
    guard: LockGuard<'repo>,
}

/// What became of a content object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The name of the object.
    pub checksum: Checksum,
    /// Whether it was not there before.
    pub new: bool,
}

/// What a transaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransactionStats {
    /// Metadata objects passed to the transaction.
    pub metadata_objects: u64,
    /// Those that were not there before.
    pub metadata_written_objects: u64,
    /// Content objects passed to the transaction.
    pub content_objects: u64,
    /// Those that were not there before.
    pub content_written_objects: u64,
    /// The bytes of their content, before compression.
    pub content_written_bytes: u64,
    /// What moving them into place did; zero before the commit.
    pub settled: SettleStats,
}

#[derive(Debug, Default)]
struct Counters {
    metadata: AtomicU64,
    metadata_written: AtomicU64,
    content: AtomicU64,
    content_written: AtomicU64,
    content_bytes: AtomicU64,
}

impl Repo {
    /// Begins a transaction with default options.
    ///
    /// # Errors
    /// As [`begin_with`](Self::begin_with).
    pub fn begin(&self) -> Result<Transaction<'_>> {
        self.begin_with(TransactionOptions::default())
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`RepoError::ReadOnly`]; [`RepoError::Locked`] when the lock cannot be had; [`RepoError::Unsupported`]
    /// for a bare-split-xattrs repository, unless allowed; [`RepoError::Io`].
    pub fn begin_with(&self, options: TransactionOptions) -> Result<Transaction<'_>> {
        self.require_writable()?;
        if self.mode() == RepoMode::BareSplitXattrs && !options.allow_split_xattrs {
            let what = "writing to a bare-split-xattrs repository (an experiment of libostree's; allow it \
                        explicitly, or use bare or bare-user)";
            return Err(RepoError::Unsupported {
                what: what.to_owned(),
            });
        }
        let guard = self.lock(LockKind::Shared)?;
        let budget = SpaceBudget::new(self)?;
        let staging = self.acquire_staging()?;
        Ok(Transaction {
            repo: self,
            files: ObjectFiles::new(staging.dir().clone(), self.mode(), self.config().zlib_level())?,
            staging,
            staged: Staged::new(),
            damaged: Mutex::default(),
            adopted: Mutex::default(),
            edits: Vec::new(),
            budget,
            counters: Counters::default(),
            clones: AtomicBool::new(true),
            guard,
        })
    }

    fn acquire_staging(&self) -> Result<Staging> {
        loop {
            let staging = Staging::acquire(self)?;
            // Half of a split object says nothing of the other half: start afresh.
            if !staging.resumed() || self.mode() != RepoMode::BareSplitXattrs {
                return Ok(staging);
            }
            staging.discard()?;
        }
    }
}

impl<'repo> Transaction<'repo> {
    /// Returns the repository.
    pub fn repo(&self) -> &'repo Repo {
        self.repo
    }

    /// Returns whether an object need not be written any more: it is staged or in the repository itself.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn has(&self, name: &ObjectName) -> Result<bool> {
        if self.staged.contains(name) {
            return Ok(true);
        }
        if self.staging.resumed() && self.adopt(name)? {
            return Ok(true);
        }
        if lock(&self.damaged).contains(name) {
            return Ok(false);
        }
        let stat = self.repo.loose().stat_to_write(name)?;
        Ok(stat.is_some_and(|stat| stat.size > 0 || may_be_empty(name.kind, self.repo.mode())))
    }

    /// Says that the caller has read an object and found it damaged: from now on it counts as missing, and
    /// what is written under its name replaces it when the transaction commits.
    pub fn replace_damaged(&self, name: ObjectName) {
        lock(&self.damaged).insert(name);
    }

    /// Adds the change of a ref, to be made when the objects are in place.
    pub fn edit_ref(&mut self, edit: RefEdit) {
        self.edits.push(edit);
    }

    /// Returns the bytes of a metadata object, staged, in the repository or in a parent.
    ///
    /// # Errors
    /// As [`Repo::load_metadata`].
    pub fn load_metadata(&self, name: &ObjectName) -> Result<Vec<u8>> {
        if self.staged.contains(name) {
            let staged = self.staging.loose(true).read_metadata(name)?;
            return staged.ok_or_else(|| missing(name));
        }
        self.repo.load_metadata(name)
    }

    /// Opens a content object, staged, in the repository or in a parent.
    ///
    /// # Errors
    /// As [`Repo::open_content`].
    pub fn open_content(&self, checksum: &Checksum) -> Result<ContentReader> {
        let name = ObjectName::new(*checksum, ObjectType::File);
        if self.staged.contains(&name) {
            let reads_xattrs = !self.repo.config().disable_xattrs();
            let staged = self
                .staging
                .loose(reads_xattrs)
                .content(checksum, Checking::Quick)?;
            return staged.ok_or_else(|| missing(&name));
        }
        self.repo.open_content(checksum)
    }

    /// Returns the size of a content object as an archive stores it, and that of its content: of a symbolic link, the length of
    /// its target.
    ///
    /// # Errors
    /// As [`open_content`](Self::open_content).
    pub(crate) fn content_sizes(&self, checksum: &Checksum) -> Result<(u64, u64)> {
        let name = ObjectName::new(*checksum, ObjectType::File);
        let stored = if self.staged.contains(&name) {
            let staged = self.staging.loose(false).stat(&name)?;
            staged.ok_or_else(|| missing(&name))?.size
        } else {
            self.repo.object_size(&name)?
        };
        let content = self.open_content(checksum)?;
        let header = content.header();
        let unpacked = if header.is_symlink() {
            header.symlink_target.len() as u64
        } else {
            content.size()
        };
        Ok((stored, unpacked))
    }

    /// Asks for space for a temporary file, which is not an object.
    pub(crate) fn charge_scratch(&self, size: u64) -> Result<()> {
        self.budget.charge(size)
    }

    /// Gives space back that a temporary file took.
    pub(crate) fn credit_scratch(&self, size: u64) {
        self.budget.credit(size);
    }

    /// Returns what was done so far.
    pub fn stats(&self) -> TransactionStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TransactionStats {
            metadata_objects: read(&self.counters.metadata),
            metadata_written_objects: read(&self.counters.metadata_written),
            content_objects: read(&self.counters.content),
            content_written_objects: read(&self.counters.content_written),
            content_written_bytes: read(&self.counters.content_bytes),
            settled: SettleStats::default(),
        }
    }

    /// Puts the objects in place, then moves the refs; see the module for the order.
    ///
    /// # Errors
    /// [`RepoError::Conflict`] when a ref is not what its edit expects: the objects are then in place, and no
    /// ref of the transaction has moved. [`RepoError::Io`]: nothing that a ref names is missing.
    pub fn commit(mut self) -> Result<TransactionStats> {
        if self.repo.fails_before_commit() {
            return Err(RepoError::Refused {
                detail: "OSTREE_REPO_TEST_ERROR_PRE_COMMIT specified".to_owned(),
            });
        }
        let mut stats = self.stats();
        let durable = self.repo.config().fsync();
        let order = self.staged.take_order(&self.staging.loose(false))?;
        let damaged = std::mem::take(&mut *lock(&self.damaged));
        stats.settled = self.staging.settle(self.repo, &order, &damaged, durable)?;
        self.staging.finish()?;
        clean_tmp(self.repo)?;
        self.repo.change_refs(&self.edits)?;
        self.guard.release()?;
        if !self.edits.is_empty() {
            update_if_configured(self.repo)?;
        }
        Ok(stats)
    }

    /// Ends the transaction without any effect on objects and refs. What was staged is kept for a later
    /// transaction, unless space ran out.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn abort(self) -> Result<()> {
        if self.budget.exceeded() {
            self.staging.discard()?;
        } else {
            self.staging.keep();
        }
        clean_tmp(self.repo)?;
        self.guard.release()
    }

    /// Gives a complete file the name of an object in staging. Returns whether the object was not there.
    fn stage(&self, temp: TempFile, name: &ObjectName) -> Result<bool> {
        if self.repo.config().per_object_fsync() && self.repo.config().fsync() {
            temp.sync()
                .map_err(RepoError::io("sync", self.staging.dir().path()))?;
        }
        let linked = self.staging.link_temp(temp, name)?;
        self.note(linked, name)
    }

    /// Notes an object that was just named in staging.
    fn note(&self, linked: Linked, name: &ObjectName) -> Result<bool> {
        if linked == Linked::Exists && self.staging.resumed() && !self.staged.contains(name) {
            // Left by whoever had the directory before, or by another thread of ours this instant.
            self.check_staged(name)?;
        }
        self.staged.insert(*name);
        Ok(linked == Linked::New)
    }

    /// Checks whether an object that lies in a staging directory of unknown origin is sound; relies on it if
    /// so, and removes it if not.
    fn adopt(&self, name: &ObjectName) -> Result<bool> {
        // Detached metadata has no checksum to tell by.
        if name.kind == ObjectType::CommitMeta {
            return Ok(false);
        }
        // One thread at a time for an object: none removes what another has just written anew.
        let _turn = self.staged.turn(name);
        if self.staged.contains(name) {
            return Ok(true);
        }
        if !self.staging.contains(name)? {
            return Ok(false);
        }
        if self.is_somebodys(name)? {
            self.staging.remove(name)?;
            return Ok(false);
        }
        match self.check_staged(name) {
            Ok(()) => {
                self.staged.insert(*name);
                Ok(true)
            }
            Err(RepoError::Corrupt { .. } | RepoError::Format { .. }) => {
                self.staging.remove(name)?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns whether a file left in staging may have another name by which somebody writes to it: a commit that took it
    /// over, to remove that name at the end, did not come to its end.
    fn is_somebodys(&self, name: &ObjectName) -> Result<bool> {
        let taken_over = matches!(self.repo.mode(), RepoMode::Bare | RepoMode::BareUserOnly);
        if name.kind != ObjectType::File || !taken_over {
            return Ok(false);
        }
        let staged = self.staging.loose(false).stat(name)?;
        Ok(staged.is_some_and(|stat| stat.nlink > 1))
    }

    fn check_staged(&self, name: &ObjectName) -> Result<()> {
        let reads_xattrs = !self.repo.config().disable_xattrs();
        let found = self.staging.loose(reads_xattrs).verify(name)?;
        found.ok_or_else(|| missing(name))
    }

    fn count_metadata(&self, new: bool) {
        self.counters.metadata.fetch_add(1, Ordering::Relaxed);
        self.counters
            .metadata_written
            .fetch_add(u64::from(new), Ordering::Relaxed);
    }

    fn count_content(&self, new: bool, size: u64) {
        self.counters.content.fetch_add(1, Ordering::Relaxed);
        if new {
            self.counters.content_written.fetch_add(1, Ordering::Relaxed);
            self.counters.content_bytes.fetch_add(size, Ordering::Relaxed);
        }
    }
}

/// Returns whether a file without bytes can be an object. Where it cannot, a power cut made it.
fn may_be_empty(kind: ObjectType, mode: RepoMode) -> bool {
    match kind {
        ObjectType::File => !mode.is_archive(),
        ObjectType::CommitMeta | ObjectType::FileXattrs | ObjectType::FileXattrsLink => true,
        _ => false,
    }
}
