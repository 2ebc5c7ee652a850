//! Who works in a repository through a mount, by the lease file that stands in for locks there.
//!
//! The file is made, kept alive and taken over by whoever publishes through a mount. Here it is judged and waited for: a flip whose owner
//! lives is completed by nobody else, and publishers for whom the directory is local wait for it, though its locks are not seen.

use crate::error::{RepoError, Result};
use crate::lock::{LockKind, LockWait, Observer};
use crate::repo::Repo;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long a wait for a lease file pauses between two looks: nobody tells when it goes.
const PAUSE: Duration = Duration::from_millis(500);
/// What others do not need to hear of.
const QUIET: Duration = Duration::from_secs(1);

/// The owner of a lease file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseOwner {
    /// User and host, for people.
    pub who: String,
    /// The number of the process.
    pub pid: i32,
    /// Tells this lease from every other one.
    pub token: String,
    /// The boot of the machine, and the namespace in which `pid` means something.
    boot: String,
    namespace: String,
    /// When the process started, as the kernel counts it.
    started: String,
}

impl LeaseOwner {
    /// The file, relative to the repository.
    pub const PATH: &str = "extensions/ostler/lease";
    /// The largest lease file that is read, in bytes.
    pub const LIMIT: u64 = 1 << 16;
    /// Who has not written the file for so many seconds is gone.
    pub const STALE: i64 = 600;
    /// The same for a file that does not say who owns it, which takes its owner less than a second.
    const STALE_UNNAMED: i64 = 60;

    /// Returns a new owner: this process.
    ///
    /// # Errors
    /// What the system answers.
    pub fn of_this_process(who: &str) -> io::Result<Self> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        let random = || RandomState::new().build_hasher().finish();
        Ok(Self {
            who: who.to_owned(),
            pid,
            token: format!("{:016x}{:016x}", random(), random()),
            boot: boot()?,
            namespace: namespace()?,
            started: Life::of(pid)?.started,
        })
    }

    /// Reads a lease file; `None` if it names nobody.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// Returns whether it is known to be dead.
    fn is_dead(&self) -> bool {
        let is_here = boot().is_ok_and(|boot| boot == self.boot)
            && namespace().is_ok_and(|namespace| namespace == self.namespace);
        let Some(pid) = Pid::from_raw(self.pid.max(0)).filter(|_| is_here) else {
            return false;
        };
        match test_kill_process(pid) {
            Err(Errno::SRCH) => true,
            // Nobody may have asked yet how it ended; or others have been given its number since.
            _ => Life::of(self.pid).is_ok_and(|life| life.is_over || life.started != self.started),
        }
    }
}

/// Who has a lease file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaseholder {
    /// `None` where the file says nothing that can be read.
    pub owner: Option<LeaseOwner>,
    /// For how many seconds it was not written, by the clock of the file system.
    pub silent: i64,
}

impl Leaseholder {
    /// Returns whether it is gone: a process of this machine that is dead, or somebody elsewhere who shows no sign of life.
    pub fn is_gone(&self) -> bool {
        match &self.owner {
            Some(owner) => owner.is_dead() || self.silent >= LeaseOwner::STALE,
            None => self.silent >= LeaseOwner::STALE_UNNAMED,
        }
    }
}

impl fmt::Display for Leaseholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.owner {
            Some(owner) => write!(f, "{} (process {})", owner.who.escape_debug(), owner.pid)?,
            None => f.write_str("somebody whom the file does not name")?,
        }
        write!(
            f,
            ", who showed a sign of life {} s ago (one who shows none for {} s is passed over)",
            self.silent.max(0),
            LeaseOwner::STALE
        )
    }
}

/// Asks again and again until nobody is in the way, at most for `limit`; `None` is for ever. `path` is that of the lease file.
///
/// # Errors
/// [`RepoError::Locked`] when the time is over, and what `attempt` returns.
pub fn wait_for_leaseholder(
    path: &Path,
    limit: Option<Duration>,
    observer: Option<&dyn Observer>,
    mut attempt: impl FnMut() -> Result<Option<Leaseholder>>,
) -> Result<()> {
    let start = Instant::now();
    let mut tell_at = QUIET;
    while let Some(holder) = attempt()? {
        let waited = start.elapsed();
        if limit.is_some_and(|limit| waited >= limit) {
            return Err(RepoError::Locked {
                path: path.to_owned(),
                kind: LockKind::Exclusive,
                holder: format!("; held by {holder}"),
                waited,
            });
        }
        if let Some(observer) = observer.filter(|_| waited >= tell_at) {
            tell_at *= 2;
            observer.waiting_for_lock(&LockWait {
                path: path.to_owned(),
                kind: LockKind::Exclusive,
                holders: Vec::new(),
                elsewhere: Some(holder.to_string()),
                waited,
                limit,
            });
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

impl Repo {
    /// Returns who lives and works here through a mount, by the time that the file system has.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn leaseholder(&self) -> Result<Option<Leaseholder>> {
        let failed = || RepoError::io("look at", self.root().path_of(LeaseOwner::PATH));
        let found = self.root().read_if_exists(LeaseOwner::PATH, LeaseOwner::LIMIT);
        let Some(bytes) = found.map_err(failed())? else {
            return Ok(None);
        };
        let Some(stat) = self.root().stat(LeaseOwner::PATH).map_err(failed())? else {
            return Ok(None);
        };
        let now = i64::try_from(self.present().map_err(failed())?).unwrap_or(i64::MAX);
        let holder = Leaseholder {
            owner: LeaseOwner::parse(&bytes),
            silent: now.saturating_sub(stat.mtime.0),
        };
        Ok((!holder.is_gone()).then_some(holder))
    }
}

fn boot() -> io::Result<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(text.trim_end().to_owned())
}

fn namespace() -> io::Result<String> {
    Ok(std::fs::read_link("/proc/self/ns/pid")?.display().to_string())
}

/// What the kernel tells of a process.
struct Life {
    /// Whether it has ended, and only its number is kept until its parent takes note.
    is_over: bool,
    /// When it started, in ticks since boot.
    started: String,
}

impl Life {
    fn of(pid: i32) -> io::Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let mut fields = behind_name.split_whitespace();
        Ok(Self {
            is_over: matches!(fields.next(), Some("Z" | "X")),
            started: fields.nth(18).unwrap_or_default().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    use std::process::{Command, Stdio};

    #[test]
    fn owner_is_gone_when_it_has_ended_though_nobody_has_taken_note() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let owner = LeaseOwner {
            pid,
            started: Life::of(pid).unwrap().started,
            ..LeaseOwner::of_this_process("somebody").unwrap()
        };
        let holder = Leaseholder {
            owner: Some(owner),
            silent: 0,
        };
        assert!(!holder.is_gone());
        drop(child.stdin.take());
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let _status = waitid(WaitId::Pid(Pid::from_raw(pid).unwrap()), ended).unwrap();
        assert!(holder.is_gone());
        let _status = child.wait().unwrap();
    }
}
