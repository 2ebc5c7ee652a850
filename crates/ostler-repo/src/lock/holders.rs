//! Who holds a lock, for messages.
//!
//! The kernel does not tell who holds an open-file-description lock, but it lists the locks of each open file
//! in `/proc/PID/fdinfo`. We see the processes that we may look into: all of our user, or all as root. The
//! files behind the descriptors are never touched, since one on a dead network mount would hold us for ever.

use super::LockKind;
use std::fmt;
use std::fs;
use std::path::Path;

/// The most characters of a command that are shown.
const SHOWN_COMMAND: usize = 80;

/// A process that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// Its command line, shortened, with control characters escaped.
    pub command: String,
    /// How it holds the lock.
    pub kind: LockKind,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({}, {})", self.pid, self.command, self.kind)
    }
}

/// What tells a lock file, and our own hold on it, from others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity {
    pub(super) inode: u64,
    pub(super) own_descriptor: i32,
}

/// Lists the holders of a lock as far as they can be seen.
pub(super) fn find(identity: Identity) -> Vec<Holder> {
    let mut holders = Vec::new();
    let own = std::process::id();
    for process in names(Path::new("/proc")) {
        let Ok(pid) = process.parse::<u32>() else {
            continue;
        };
        let descriptors = Path::new("/proc").join(&process).join("fdinfo");
        for descriptor in names(&descriptors) {
            if pid == own && descriptor.parse() == Ok(identity.own_descriptor) {
                continue;
            }
            let info = fs::read_to_string(descriptors.join(&descriptor)).unwrap_or_default();
            if let Some(kind) = info.lines().find_map(|line| held(line, identity.inode)) {
                holders.push(Holder {
                    pid,
                    command: command(pid),
                    kind,
                });
                break;
            }
        }
    }
    holders
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
}
