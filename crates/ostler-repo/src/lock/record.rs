//! The system call behind the locks, and waiting for it.
//!
//! Open-file-description locks belong to the open file and not to the process, so closing some other
//! descriptor of the file does not lose them. File systems that do not know them (`EINVAL`) get `flock`, as
//! libostree does it.

use super::holders::{self, Holder, Identity};
use super::{LockKind, LockWait, Observer};
use crate::error::{RepoError, Result};
use crate::fs::FileStat;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::fs::FlockOperation;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// The pause after the first failed try; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// The longest pause between two tries: short enough to find a gap between short holds.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// How long a wait lasts before anybody is told; the telling then doubles its interval.
const QUIET: Duration = Duration::from_secs(1);

/// What the kernel holds for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Unlocked,
    Locked(LockKind),
}

/// A lock that is wanted.
pub(super) struct Request<'a> {
    pub(super) path: PathBuf,
    pub(super) kind: LockKind,
    /// `None` is for ever, zero is one try.
    pub(super) limit: Option<Duration>,
    pub(super) observer: Option<&'a dyn Observer>,
}

/// What is known while waiting.
pub(super) struct Waiting {
    /// Which file it is and which descriptor is our own.
    pub(super) identity: Option<Identity>,
    /// Whether we hold the shared lock ourselves.
    pub(super) upgrade: bool,
}

/// Sets the lock of a file; `false` when somebody else's is in the way.
pub(super) fn try_set(file: &File, state: State) -> io::Result<bool> {
    let kind = match state {
        State::Unlocked => libc::F_UNLCK,
        State::Locked(LockKind::Shared) => libc::F_RDLCK,
        State::Locked(LockKind::Exclusive) => libc::F_WRLCK,
    };
    let record = libc::flock {
        l_type: short(kind),
        l_whence: short(libc::SEEK_SET),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    loop {
        match fcntl(file, FcntlArg::F_OFD_SETLK(&record)) {
            Ok(_) => return Ok(true),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN | Errno::EACCES) => return Ok(false),
            Err(Errno::EINVAL) => return flock(file, state),
            Err(error) => return Err(error.into()),
        }
    }
}

fn flock(file: &File, state: State) -> io::Result<bool> {
    let operation = match state {
        State::Unlocked => FlockOperation::Unlock,
        State::Locked(LockKind::Shared) => FlockOperation::NonBlockingLockShared,
        State::Locked(LockKind::Exclusive) => FlockOperation::NonBlockingLockExclusive,
    };
    match rustix::fs::flock(file, operation) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The constants are small numbers whose types differ between C libraries.
fn short<T: TryInto<libc::c_short>>(constant: T) -> libc::c_short {
    constant.try_into().unwrap_or_default()
}

/// Returns what tells this open file from others.
pub(super) fn identity(file: &File) -> Option<Identity> {
    let stat = FileStat::of(file).ok()?;
    Some(Identity {
        inode: stat.ino,
        own_descriptor: Some(file.as_raw_fd()),
    })
}

impl Request<'_> {
    /// Tries until it works or the time is over.
    pub(super) fn wait(
        &self,
        mut attempt: impl FnMut() -> io::Result<bool>,
        waiting: impl Fn() -> Waiting,
    ) -> Result<()> {
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut tell_at = QUIET;
        loop {
            if attempt().map_err(RepoError::io("lock", &self.path))? {
                return Ok(());
            }
            let waited = start.elapsed();
            let left = self.limit.map(|limit| limit.saturating_sub(waited));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(self.give_up(waited, &waiting()));
            }
            if waited >= tell_at {
                tell_at *= 2;
                self.tell(waited, &waiting());
            }
            thread::sleep(left.map_or(pause, |left| pause.min(left)));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn tell(&self, waited: Duration, waiting: &Waiting) {
        if let Some(observer) = self.observer {
            observer.waiting_for_lock(&LockWait {
                path: self.path.clone(),
                kind: self.kind,
                holders: find_holders(waiting),
                elsewhere: None,
                waited,
                limit: self.limit,
            });
        }
    }

    fn give_up(&self, waited: Duration, waiting: &Waiting) -> RepoError {
        let mut holder = String::new();
        let found = find_holders(waiting);
        if !found.is_empty() {
            let names: Vec<String> = found.iter().map(Holder::to_string).collect();
            holder = format!("; held by {}", names.join(", "));
        }
        if waiting.upgrade {
            holder.push_str(
                "; this program holds the shared lock and wants the exclusive one, and whoever else does the \
                 same waits for it in turn",
            );
        }
        RepoError::Locked {
            path: self.path.clone(),
            kind: self.kind,
            holder,
            waited: if self.limit.is_some_and(|limit| limit.is_zero()) {
                Duration::ZERO
            } else {
                waited
            },
        }
    }
}

fn find_holders(waiting: &Waiting) -> Vec<Holder> {
    waiting.identity.map(holders::find).unwrap_or_default()
}
