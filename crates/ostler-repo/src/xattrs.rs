//! Extended attributes of files on disk.
//!
//! Attributes of symbolic links are reached through `/proc/self/fd`, since the kernel has no call for them
//! that works relative to a directory. A file system without extended attributes has none to read.

use crate::fs::Dir;
use rustix::fs::{self as sys, XattrFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// The room offered at first; enough for the attributes of nearly all files.
const FIRST_ROOM: usize = 256;

/// A file whose attributes are read or written.
enum Subject<'a> {
    Open(BorrowedFd<'a>),
    Link(PathBuf),
}

impl<'a> Subject<'a> {
    fn link(dir: &'a Dir, name: &str) -> Self {
        Self::Link(format!("/proc/self/fd/{}/{name}", dir.as_fd().as_raw_fd()).into())
    }

    fn list(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::Open(fd) => sys::flistxattr(fd, buffer),
            Self::Link(path) => sys::llistxattr(path, buffer),
        }
    }

    fn get(&self, name: &[u8], buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::Open(fd) => sys::fgetxattr(fd, name, buffer),
            Self::Link(path) => sys::lgetxattr(path, name, buffer),
        }
    }

    fn set(&self, name: &[u8], value: &[u8]) -> Result<(), Errno> {
        match self {
            Self::Open(fd) => sys::fsetxattr(fd, name, value, XattrFlags::empty()),
            Self::Link(path) => sys::lsetxattr(path, name, value, XattrFlags::empty()),
        }
    }

    fn read_all(&self) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let names = match read_grown(|buffer| self.list(buffer)) {
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            other => other?,
        };
        let mut found = Vec::new();
        for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            match read_grown(|buffer| self.get(name, buffer)) {
                // Removed since the names were listed.
                Err(Errno::NODATA) => {}
                value => found.push((name.to_vec(), value?)),
            }
        }
        Ok(found)
    }

    fn write_all<'x>(&self, xattrs: impl IntoIterator<Item = (&'x [u8], &'x [u8])>) -> io::Result<()> {
        for (name, value) in xattrs {
            self.set(name, value).map_err(|error| {
                let text = format!(
                    "extended attribute {}: {error}",
                    OsStr::from_bytes(name).display()
                );
                io::Error::new(io::Error::from(error).kind(), text)
            })?;
        }
        Ok(())
    }
}

/// Calls `read` with more and more room until the answer fits.
fn read_grown(mut read: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; FIRST_ROOM];
    loop {
        match read(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(Errno::RANGE) => {
                // An empty buffer asks for the size.
                let size = read(&mut [])?;
                buffer.resize(size.max(buffer.len()) + FIRST_ROOM, 0);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Returns all attributes of an open file, in the file system's order.
pub(crate) fn read_file(file: &impl AsFd) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    Subject::Open(file.as_fd()).read_all()
}

/// Returns all attributes of a symbolic link (or of whatever `name` is) in `dir`.
pub(crate) fn read_link(dir: &Dir, name: &str) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    Subject::link(dir, name).read_all()
}

/// Returns one attribute of an open file, or `None` where it has none of that name.
pub(crate) fn read_one(file: &impl AsFd, name: &str) -> io::Result<Option<Vec<u8>>> {
    match read_grown(|buffer| Subject::Open(file.as_fd()).get(name.as_bytes(), buffer)) {
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        other => Ok(Some(other?)),
    }
}

/// Sets attributes of an open file.
pub(crate) fn write_file<'x>(
    file: &impl AsFd,
    xattrs: impl IntoIterator<Item = (&'x [u8], &'x [u8])>,
) -> io::Result<()> {
    Subject::Open(file.as_fd()).write_all(xattrs)
}

/// Sets attributes of a symbolic link in `dir`.
pub(crate) fn write_link<'x>(
    dir: &Dir,
    name: &str,
    xattrs: impl IntoIterator<Item = (&'x [u8], &'x [u8])>,
) -> io::Result<()> {
    Subject::link(dir, name).write_all(xattrs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn attributes_of_any_size_read_back() {
        let scratch = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = scratch.path().join("f");
        let file = File::create(&path).unwrap();
        let large = vec![b'x'; 2000];
        let wanted = [
            (&b"user.a"[..], &b"1"[..]),
            (&b"user.empty"[..], &b""[..]),
            (&b"user.large"[..], &large[..]),
        ];

        write_file(&file, wanted).unwrap();

        let mut found = read_file(&file).unwrap();
        found.retain(|(name, _)| name.starts_with(b"user."));
        found.sort();
        let dir = Dir::open(scratch.path()).unwrap();
        assert_eq!(found, wanted.map(|(name, value)| (name.to_vec(), value.to_vec())));
        assert_eq!(read_one(&file, "user.large").unwrap(), Some(large));
        assert_eq!(read_one(&file, "user.absent").unwrap(), None);
        assert_eq!(
            read_link(&dir, "f").unwrap().len(),
            read_file(&file).unwrap().len()
        );
    }
}
