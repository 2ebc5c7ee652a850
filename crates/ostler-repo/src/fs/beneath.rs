//! Opening a path so that it cannot leave a directory.
//!
//! The kernel does it (`openat2` with `RESOLVE_BENEATH`, Linux 5.6), which no race of links can fool. Where the
//! call is missing or forbidden, the path is walked part by part and every symbolic link on it refused, which
//! is stricter and costs a call a part.

use rustix::fs::{self as sys, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

/// How often a look-up is repeated that the kernel gave up because of renames going on meanwhile.
const RACE_TRIES: u32 = 64;

/// Opens `path` beneath `dir`.
pub(super) fn open(dir: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..RACE_TRIES {
        match sys::openat2(dir, path, flags, mode, resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            // PERM: a sandbox that does not know the call.
            Err(Errno::NOSYS | Errno::PERM) => return walk(dir, path, flags, mode),
            Err(Errno::XDEV) => return Err(leads_out()),
            other => return Ok(other?),
        }
    }
    Err(Errno::AGAIN.into())
}

/// What the kernel calls a link to another device, for want of a better word.
fn leads_out() -> io::Error {
    let kind = io::ErrorKind::CrossesDevices;
    io::Error::new(kind, "a symbolic link in the path leads out of the directory")
}

/// Opens `path` part by part without following any symbolic link.
fn walk(dir: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(leads_out());
            }
        }
    }
    let Some((last, parents)) = parts.split_last() else {
        return Ok(sys::openat(dir, ".", flags, mode)?);
    };
    let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut holder: Option<OwnedFd> = None;
    for part in parents {
        let from = holder.as_ref().map_or(dir, |fd| fd.as_fd());
        holder = Some(sys::openat(from, *part, step, Mode::empty())?);
    }
    let from = holder.as_ref().map_or(dir, |fd| fd.as_fd());
    Ok(sys::openat(from, *last, flags | OFlags::NOFOLLOW, mode)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn neither_way_of_opening_leaves_the_directory() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "x").unwrap();
        let inside = outside.path().join("in");
        std::fs::create_dir_all(inside.join("sub")).unwrap();
        std::fs::write(inside.join("sub/file"), "y").unwrap();
        symlink(outside.path(), inside.join("absolute")).unwrap();
        symlink("../secret", inside.join("up")).unwrap();
        symlink("..", inside.join("parent")).unwrap();

        let dir = std::fs::File::open(&inside).unwrap();
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        for how in [open, walk] {
            let try_open = |path: &str| how(dir.as_fd(), Path::new(path), flags, Mode::empty());
            assert!(try_open("sub/file").is_ok());
            assert!(try_open("./sub").is_ok());
            for bad in [
                "up",
                "absolute/secret",
                "parent/secret",
                "../secret",
                "sub/../../secret",
                "/etc/passwd",
            ] {
                assert!(try_open(bad).is_err(), "{bad}");
            }
        }
    }

    #[test]
    fn links_that_stay_beneath_are_followed_by_the_kernel() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("file"), "y").unwrap();
        std::fs::create_dir(root.path().join("sub")).unwrap();
        symlink("../file", root.path().join("sub/alias")).unwrap();
        let dir = std::fs::File::open(root.path()).unwrap();
        let opened = open(dir.as_fd(), Path::new("sub/alias"), OFlags::RDONLY, Mode::empty());
        assert!(opened.is_ok());
    }
}
