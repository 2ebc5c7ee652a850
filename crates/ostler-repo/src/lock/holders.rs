//! Who uses a lock file: for messages, and for whoever asks.
//!
//! The kernel does not tell who holds an open-file-description lock, but it lists the locks of each open file
//! in `/proc/PID/fdinfo`. We see the processes that we may look into: all of our user, or all as root. The
//! files behind the descriptors are never touched, since one on a dead network mount would hold us for ever.
//! Who waits for a lock tries again and again, so the kernel does not know; programs of ours say it (see [`note`]),
//! of others only that they have the file open can be seen, from Linux 5.14 on.

use super::LockKind;
use super::note::{self, Use};
use std::fmt;
use std::fs;
use std::path::Path;

/// The most characters of a command that are shown.
const SHOWN_COMMAND: usize = 80;

/// A process that uses a lock file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockUser {
    /// Its number.
    pub pid: u32,
    /// Its command line, shortened, with control characters escaped.
    pub command: String,
    /// When the process started, in seconds since the epoch.
    pub started: Option<u64>,
}

/// A process that holds a lock. Those that it started hold it too, where they were given its descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub user: LockUser,
    /// How it holds the lock.
    pub kind: LockKind,
    /// Since when, in seconds since the epoch, where it says so.
    pub since: Option<u64>,
}

/// A process that waits for a lock, or may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiter {
    /// The process.
    pub user: LockUser,
    /// What it wants; `None` where all that is known is that it has the lock file open and holds no lock.
    pub kind: Option<LockKind>,
    /// Since when, in seconds since the epoch, where it says so.
    pub since: Option<u64>,
}

/// Who holds a lock, and who waits for it, as far as can be seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockUsers {
    /// The holders.
    pub holders: Vec<Holder>,
    /// Those who wait.
    pub waiting: Vec<Waiter>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "process {} ({}, {})",
            self.user.pid, self.user.command, self.kind
        )
    }
}

/// What tells a lock file, and our own hold on it, from others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity {
    pub(super) inode: u64,
    /// `None` where we have not opened it.
    pub(super) own_descriptor: Option<i32>,
}

/// What one open file says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Open {
    held: Option<LockKind>,
    said: Option<(Use, u64)>,
    is_it: bool,
}

/// Lists the holders of a lock as far as they can be seen.
pub(super) fn find(identity: Identity) -> Vec<Holder> {
    look(identity).holders
}

/// Lists the users of a lock as far as they can be seen.
pub(super) fn look(identity: Identity) -> LockUsers {
    let mut users = LockUsers::default();
    for process in names(Path::new("/proc")) {
        if let Ok(pid) = process.parse::<u32>() {
            look_at(pid, identity, &mut users);
        }
    }
    users
}

fn look_at(pid: u32, identity: Identity, users: &mut LockUsers) {
    let is_own = pid == std::process::id();
    let directory = Path::new("/proc").join(pid.to_string());
    let descriptors = directory.join("fdinfo");
    let (mut held, mut waits, mut open) = (None, None, false);
    for descriptor in names(&descriptors) {
        if is_own && descriptor.parse().ok() == identity.own_descriptor {
            continue;
        }
        let info = fs::read_to_string(descriptors.join(&descriptor)).unwrap_or_default();
        let found = read(&info, identity.inode);
        let said = found.said.filter(|_| found.is_it || found.held.is_some());
        if let Some(kind) = found.held {
            let since = said.and_then(|(what, time)| (what == Use::Held).then_some(time));
            held.get_or_insert((kind, since));
        }
        if let Some((Use::Waits(kind), since)) = said {
            waits.get_or_insert((Some(kind), Some(since)));
        }
        open |= found.is_it && said.is_none() && is_lock_file(&directory, &descriptor);
    }
    if open && held.is_none() && waits.is_none() && !is_own {
        waits = Some((None, None));
    }
    if held.is_none() && waits.is_none() {
        return;
    }
    let user = LockUser {
        pid,
        command: command(pid),
        started: note::started(pid),
    };
    if let Some((kind, since)) = waits {
        let user = user.clone();
        users.waiting.push(Waiter { user, kind, since });
    }
    if let Some((kind, since)) = held {
        users.holders.push(Holder { user, kind, since });
    }
}

/// Returns whether a descriptor is of a file of the name that lock files have: numbers of inodes are those of many
/// file systems.
fn is_lock_file(process: &Path, descriptor: &str) -> bool {
    let path = fs::read_link(process.join("fd").join(descriptor));
    path.is_ok_and(|path| path.file_name().is_some_and(|name| name == super::LOCK_FILE))
}

/// Reads what the kernel says of an open file.
fn read(info: &str, inode: u64) -> Open {
    let mut open = Open::default();
    for line in info.lines() {
        let number = |value: &str| value.trim().parse::<u64>().ok();
        if let Some(value) = line.strip_prefix("pos:") {
            open.said = number(value).and_then(note::read);
        } else if let Some(value) = line.strip_prefix("ino:") {
            open.is_it = number(value) == Some(inode);
        } else if open.held.is_none() {
            open.held = held(line, inode);
        }
    }
    open
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// Reads a line such as `lock: 1: OFDLCK ADVISORY  WRITE -1 fd:00:5243 0 EOF`.
///
/// The device is left out of the comparison: on some file systems it is not the one that `stat` tells.
fn held(line: &str, inode: u64) -> Option<LockKind> {
    let words: Vec<&str> = line.strip_prefix("lock:")?.split_ascii_whitespace().collect();
    let [_, _, _, access, _, place, ..] = words.as_slice() else {
        return None;
    };
    let (_, number) = place.rsplit_once(':')?;
    if number.parse() != Ok(inode) {
        return None;
    }
    match *access {
        "READ" => Some(LockKind::Shared),
        "WRITE" => Some(LockKind::Exclusive),
        _ => None,
    }
}

fn command(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_end_matches('\0').replace('\0', " ");
    let text = if text.is_empty() { "unknown" } else { &text };
    let mut shown: String = text
        .chars()
        .take(SHOWN_COMMAND)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(SHOWN_COMMAND).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_lines_of_the_kernel_are_understood() {
        for (line, expected) in [
            (
                "lock:\t1: OFDLCK ADVISORY  READ  -1 00:2b:77 0 EOF",
                Some(LockKind::Shared),
            ),
            (
                "lock:\t1: POSIX  ADVISORY  WRITE 321 fd:00:77 0 EOF",
                Some(LockKind::Exclusive),
            ),
            ("lock:\t1: OFDLCK ADVISORY  READ  -1 00:2b:78 0 EOF", None),
            ("lock:\t1: LEASE  ACTIVE", None),
            ("pos:\t0", None),
        ] {
            assert_eq!(held(line, 77), expected, "{line}");
        }
    }

    #[test]
    fn an_open_file_says_what_it_is_and_what_it_is_used_for() {
        let info = "pos:\t7200000005\nflags:\t0100002\nmnt_id:\t24\nino:\t77\n\
                    lock:\t1: OFDLCK ADVISORY  READ  -1 00:2b:77 0 EOF\n";
        let open = Open {
            held: Some(LockKind::Shared),
            said: Some((Use::Held, 1_800_000_001)),
            is_it: true,
        };
        assert_eq!(read(info, 77), open);
        assert_eq!(read("pos:\t0\nino:\t78\n", 77), Open::default());
    }
}
