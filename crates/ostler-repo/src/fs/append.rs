//! Lines at the end of a file that several processes write to, and that nobody changes afterwards: logs.
//!
//! A line is handed to the system in one call, behind whatever is there by then, so that lines of several processes do not mix. What a
//! full disk has cut short stays; the next line begins on a line of its own.

use super::{Dir, beneath, permissions};
use rustix::fs::OFlags;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

impl Dir {
    /// Opens a regular file to write at its end, and makes an empty one where there is none. The last part of the path must not be
    /// a symbolic link.
    ///
    /// # Errors
    /// As [`open_file`](Self::open_file).
    pub fn open_to_append(&self, relative: impl AsRef<Path>, mode: u32) -> io::Result<File> {
        let relative = relative.as_ref();
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW;
        let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        let fd = beneath::open(self.as_fd(), relative, flags, permissions(mode))?;
        let (file, _) = self.regular(fd, relative)?;
        Ok(file)
    }

    /// Adds a line at the end of a file, which is made where there is none, and brings it to disk.
    ///
    /// # Errors
    /// As [`open_to_append`](Self::open_to_append), and [`io::ErrorKind::WriteZero`] if there was room for a part of it only.
    pub fn append_line(&self, relative: impl AsRef<Path>, line: &[u8], mode: u32) -> io::Result<()> {
        let relative = relative.as_ref();
        let mut file = self.open_to_append(relative, mode)?;
        let length = file.metadata()?.len();
        let mut last = [b'\n'];
        if let Some(end) = length.checked_sub(1) {
            // Shorter by now, it was begun anew.
            let _count = file.read_at(&mut last, end)?;
        }
        let mut bytes = Vec::with_capacity(line.len() + 2);
        bytes.extend((last != *b"\n").then_some(b'\n'));
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
        if file.write(&bytes)? < bytes.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        file.sync_data()?;
        if length == 0 {
            self.sync_parent(relative)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn lines_follow_one_another_and_a_broken_one_breaks_no_other() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open(place.path()).unwrap();
        dir.append_line("log", b"one", 0o600).unwrap();
        dir.append_line("log", b"two", 0o600).unwrap();
        let log = place.path().join("log");
        assert_eq!(fs::read(&log).unwrap(), b"one\ntwo\n");
        fs::write(&log, "one\ntw").unwrap();
        dir.append_line("log", b"three", 0o600).unwrap();
        assert_eq!(fs::read(&log).unwrap(), b"one\ntw\nthree\n");
    }

    #[test]
    fn what_is_no_file_is_not_written_to() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open(place.path()).unwrap();
        symlink("elsewhere", place.path().join("link")).unwrap();
        fs::create_dir(place.path().join("dir")).unwrap();
        for name in ["link", "dir"] {
            dir.append_line(name, b"one", 0o600).unwrap_err();
        }
        assert!(!place.path().join("elsewhere").exists());
    }
}
