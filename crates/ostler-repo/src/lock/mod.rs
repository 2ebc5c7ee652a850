//! The lock of a repository, `.lock`, as libostree takes it.
//!
//! Shared: everybody who adds objects or reads what must stay. Exclusive: whoever removes. The lock is an
//! open-file-description record lock over the whole file, so stock tools and we exclude each other. The file
//! is made at the first need, opened for reading and writing even for the shared lock, and never removed.
//!
//! A [`Repo`] has one descriptor, and every guard counts: the kernel's lock is exclusive while any exclusive
//! guard lives, else shared while any shared guard lives, else released. Taking an exclusive guard beside a
//! shared one upgrades in place, dropping it downgrades. **Threads that use the same `Repo` therefore do not
//! exclude each other**; threads that must open the repository once each.
//!
//! Two programs that both hold the shared lock and both want the exclusive one block each other; the kernel
//! does not see that, the time limit ends it. Nothing makes the lock fair.
//!
//! A process that may not write to the repository takes no lock at all, nor does one where `core.locking` is
//! off; guards are then without effect, as in libostree.

mod file;
mod holders;
mod note;
mod record;
mod status;

pub use file::FileLock;
pub use holders::{Holder, LockUser, LockUsers, Waiter};
pub(crate) use status::users_of;

use crate::error::{RepoError, Result};
use crate::fs::Dir;
use crate::repo::Repo;
use note::Use;
use ostler_format::ObjectName;
use record::{Request, State};
use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The lock file of a repository.
const LOCK_FILE: &str = ".lock";

/// Its permission bits, before the umask: the group may lock too.
const LOCK_MODE: u32 = 0o660;

/// How a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockKind {
    /// Together with other shared holders: adding and reading objects.
    Shared,
    /// Alone: removing objects.
    Exclusive,
}

impl fmt::Display for LockKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Shared => "shared",
            Self::Exclusive => "exclusive",
        })
    }
}

/// A wait for a lock that has lasted a while.
#[derive(Debug, Clone)]
pub struct LockWait {
    /// The lock file.
    pub path: PathBuf,
    /// What is wanted.
    pub kind: LockKind,
    /// Who holds it, as far as the kernel tells this user.
    pub holders: Vec<Holder>,
    /// Who holds it elsewhere, where a file says so in place of the kernel.
    pub elsewhere: Option<String>,
    /// How long it has lasted.
    pub waited: Duration,
    /// When it will be given up; `None` is never.
    pub limit: Option<Duration>,
}

/// Whoever wants to hear what a repository does that takes long. It is called by the thread that waits.
pub trait Observer: Send + Sync {
    /// A lock has not been free for a second or more. Called again at growing intervals.
    fn waiting_for_lock(&self, _wait: &LockWait) {}

    /// An object that is not what its name says was taken over all the same, since that was asked for. Called by several threads.
    fn took_damaged(&self, _object: &ObjectName) {}

    /// Returns the time, in seconds since the epoch, for others who ask since when a lock is held; `None` where that
    /// is to remain unknown.
    fn now(&self) -> Option<u64> {
        None
    }
}

/// The lock of one [`Repo`].
#[derive(Debug, Default)]
pub(crate) struct RepoLock {
    counters: Mutex<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    file: Option<File>,
    shared: u32,
    exclusive: u32,
}

impl Counters {
    fn count(&mut self, kind: LockKind) -> &mut u32 {
        match kind {
            LockKind::Shared => &mut self.shared,
            LockKind::Exclusive => &mut self.exclusive,
        }
    }

    /// What the kernel must hold for these counts.
    fn state(&self) -> State {
        match (self.exclusive, self.shared) {
            (0, 0) => State::Unlocked,
            (0, _) => State::Locked(LockKind::Shared),
            _ => State::Locked(LockKind::Exclusive),
        }
    }

    /// Counts one guard more, if the kernel agrees.
    fn try_push(&mut self, root: &Dir, kind: LockKind, now: Option<u64>) -> std::io::Result<bool> {
        let before = self.state();
        *self.count(kind) += 1;
        let after = self.state();
        let taken = if before == after {
            Ok(true)
        } else {
            self.apply(root, after, now)
        };
        if !matches!(taken, Ok(true)) {
            *self.count(kind) -= 1;
        }
        taken
    }

    fn pop(&mut self, root: &Dir, kind: LockKind, now: Option<u64>) -> std::io::Result<()> {
        let before = self.state();
        *self.count(kind) -= 1;
        let after = self.state();
        if before != after {
            self.apply(root, after, now)?;
        }
        Ok(())
    }

    fn apply(&mut self, root: &Dir, state: State, now: Option<u64>) -> std::io::Result<bool> {
        let file = match &mut self.file {
            Some(file) => file,
            empty => empty.insert(root.open_or_create(LOCK_FILE, LOCK_MODE)?),
        };
        let taken = record::try_set(file, state)?;
        if taken {
            let now_used = match state {
                State::Unlocked => Use::Nothing,
                State::Locked(_) => Use::Held,
            };
            note::write(file, now_used, now);
        }
        Ok(taken)
    }

    /// Says to others that somebody waits here.
    fn wait(&self, kind: LockKind, now: Option<u64>) {
        if let Some(file) = &self.file {
            note::write(file, Use::Waits(kind), now);
        }
    }

    /// Says to others that nobody waits here any more.
    fn give_up(&self, now: Option<u64>) {
        if let Some(file) = &self.file {
            let now = now.filter(|_| self.state() == State::Unlocked);
            note::write(file, Use::Nothing, now);
        }
    }
}

impl RepoLock {
    fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A hold on the lock of a repository; ends when dropped.
#[derive(Debug)]
#[must_use = "the lock is released when the guard is dropped"]
pub struct LockGuard<'a> {
    /// `None` where no lock is taken, or after a release.
    repo: Option<&'a Repo>,
    kind: LockKind,
}

impl LockGuard<'_> {
    /// Returns how the lock is held.
    pub fn kind(&self) -> LockKind {
        self.kind
    }

    /// Releases the hold, for those who want to know whether that went well.
    ///
    /// # Errors
    /// [`RepoError::Io`] when the kernel refuses.
    pub fn release(mut self) -> Result<()> {
        self.pop()
    }

    fn pop(&mut self) -> Result<()> {
        match self.repo.take() {
            None => Ok(()),
            Some(repo) => repo
                .lock
                .counters()
                .pop(repo.root(), self.kind, repo.now())
                .map_err(RepoError::io("unlock", repo.root().path_of(LOCK_FILE))),
        }
    }
}

impl Drop for LockGuard<'_> {
    fn drop(&mut self) {
        // A lock that cannot be released ends with the process; there is nobody to tell.
        drop(self.pop());
    }
}

impl Repo {
    /// Takes the lock, and waits for it as long as `core.lock-timeout-secs` says.
    ///
    /// # Errors
    /// [`RepoError::Locked`] when the time is over, naming the holder where the kernel does.
    pub fn lock(&self, kind: LockKind) -> Result<LockGuard<'_>> {
        self.lock_within(kind, self.config().lock_timeout())
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// [`RepoError::Io`] when the kernel refuses; a lock that others hold is `None`.
    pub fn try_lock(&self, kind: LockKind) -> Result<Option<LockGuard<'_>>> {
        if !self.takes_locks() {
            return Ok(Some(LockGuard { repo: None, kind }));
        }
        let taken = self
            .push(kind)
            .map_err(RepoError::io("lock", self.root().path_of(LOCK_FILE)))?;
        // Only when it was taken may a guard come to be: dropping one releases.
        Ok(taken.then(|| LockGuard {
            repo: Some(self),
            kind,
        }))
    }

    /// Takes the lock, and waits for it at most for `limit`; `None` is for ever, zero is one try.
    ///
    /// # Errors
    /// As [`lock`](Self::lock).
    pub fn lock_within(&self, kind: LockKind, limit: Option<Duration>) -> Result<LockGuard<'_>> {
        if !self.takes_locks() {
            return Ok(LockGuard { repo: None, kind });
        }
        let observer = self.observer();
        let request = Request {
            path: self.root().path_of(LOCK_FILE),
            kind,
            limit,
            observer: observer.as_deref(),
        };
        let waits = Cell::new(false);
        // The counters are not held while waiting: other threads may come and go meanwhile.
        let taken = request.wait(
            || {
                let taken = self.push(kind)?;
                if !taken && !waits.replace(true) {
                    self.lock.counters().wait(kind, self.now());
                }
                Ok(taken)
            },
            || {
                let counters = self.lock.counters();
                let upgrade = kind == LockKind::Exclusive && counters.shared > 0;
                let identity = counters.file.as_ref().and_then(record::identity);
                record::Waiting { identity, upgrade }
            },
        );
        if taken.is_err() {
            self.lock.counters().give_up(self.now());
        }
        taken?;
        Ok(LockGuard {
            repo: Some(self),
            kind,
        })
    }

    fn push(&self, kind: LockKind) -> std::io::Result<bool> {
        self.lock.counters().try_push(self.root(), kind, self.now())
    }

    fn now(&self) -> Option<u64> {
        self.observer()?.now()
    }

    fn takes_locks(&self) -> bool {
        self.config().locking() && self.is_writable()
    }
}
