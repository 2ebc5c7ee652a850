//! Who works in a repository through a mount, by the lease file that stands in for locks there.
//!
//! The file is made, kept alive and taken over by whoever publishes through a mount. Here it is only judged: a flip whose owner
//! lives is completed by nobody else, also where its locks are not seen.

use crate::error::{RepoError, Result};
use crate::repo::Repo;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;

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

    /// Returns whether the owner of a file that was not written for so many seconds is gone: a process of this machine that is dead, or
    /// somebody elsewhere who shows no sign of life.
    pub fn is_gone(owner: Option<&Self>, silent: i64) -> bool {
        match owner {
            Some(owner) => owner.is_dead() || silent >= Self::STALE,
            None => silent >= Self::STALE_UNNAMED,
        }
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

impl Repo {
    /// Returns whether somebody who lives works here through a mount, by the time that the file system has.
    pub(super) fn is_leased(&self) -> Result<bool> {
        let failed = || RepoError::io("look at", self.root().path_of(LeaseOwner::PATH));
        let found = self.root().read_if_exists(LeaseOwner::PATH, LeaseOwner::LIMIT);
        let Some(bytes) = found.map_err(failed())? else {
            return Ok(false);
        };
        let Some(stat) = self.root().stat(LeaseOwner::PATH).map_err(failed())? else {
            return Ok(false);
        };
        let now = i64::try_from(self.present().map_err(failed())?).unwrap_or(i64::MAX);
        let owner = LeaseOwner::parse(&bytes);
        Ok(!LeaseOwner::is_gone(
            owner.as_ref(),
            now.saturating_sub(stat.mtime.0),
        ))
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
        assert!(!LeaseOwner::is_gone(Some(&owner), 0));
        drop(child.stdin.take());
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let _status = waitid(WaitId::Pid(Pid::from_raw(pid).unwrap()), ended).unwrap();
        assert!(LeaseOwner::is_gone(Some(&owner), 0));
        let _status = child.wait().unwrap();
    }
}
