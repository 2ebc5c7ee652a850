//! What a program says of its use of a lock: since when it holds it, or what it waits for.
//!
//! ```text
//! position of the open lock file = seconds since the epoch * 4 + use
//! use: 0 not held, 1 held, 2 waits for the shared lock, 3 waits for the exclusive one
//! ```
//! Nobody reads or writes lock files, so that the position of an open one is free to say this. It belongs to the open
//! file as the lock does, the kernel shows it in `/proc/PID/fdinfo`, and it is gone when the lock is. Other programs leave
//! it at 0, which says nothing.

use super::LockKind;
use rustix::fs::{SeekFrom, seek};
use std::fs::{self, File};

/// What an open lock file is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Nothing,
    Held,
    Waits(LockKind),
}

/// Says it. Nobody depends on it, so that a file system may refuse.
pub(super) fn write(file: &File, what: Use, now: Option<u64>) {
    let number = match what {
        Use::Nothing => 0,
        Use::Held => 1,
        Use::Waits(LockKind::Shared) => 2,
        Use::Waits(LockKind::Exclusive) => 3,
    };
    let position = now
        .and_then(|now| now.checked_mul(4))
        .map_or(0, |now| now + number);
    let _refused = seek(file, SeekFrom::Start(position));
}

/// Reads it from the position, with its time.
pub(super) fn read(position: u64) -> Option<(Use, u64)> {
    let time = position / 4;
    let what = match position % 4 {
        0 => Use::Nothing,
        1 => Use::Held,
        2 => Use::Waits(LockKind::Shared),
        _ => Use::Waits(LockKind::Exclusive),
    };
    (time > 0).then_some((what, time))
}

/// Returns when a process started, in seconds since the epoch.
pub(super) fn started(pid: u32) -> Option<u64> {
    let boot = fs::read_to_string("/proc/stat").ok()?;
    let boot = boot.lines().find_map(|line| line.strip_prefix("btime "))?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ticks = start_ticks(&stat)?.checked_div(rustix::param::clock_ticks_per_second())?;
    Some(boot.trim().parse::<u64>().ok()? + ticks)
}

/// Reads the 22nd field, counted from a name in parentheses, which may hold anything.
fn start_ticks(stat: &str) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Seek as _;

    #[test]
    fn what_is_said_is_read() {
        let mut file = tempfile::tempfile().unwrap();
        for what in [
            Use::Nothing,
            Use::Held,
            Use::Waits(LockKind::Shared),
            Use::Waits(LockKind::Exclusive),
        ] {
            write(&file, what, Some(1_800_000_000));
            assert_eq!(read(file.stream_position().unwrap()), Some((what, 1_800_000_000)));
        }
        write(&file, Use::Held, None);
        assert_eq!(read(file.stream_position().unwrap()), None);
    }

    #[test]
    fn start_of_a_process_is_found_behind_any_name() {
        let stat = "7 (a) 8 (b) S 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1";
        assert_eq!(start_ticks(stat), Some(4711));
        assert!(started(std::process::id()).is_some_and(|time| time > 1_700_000_000));
    }
}
