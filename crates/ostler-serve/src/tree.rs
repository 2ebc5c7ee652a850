//! Any directory as a web site: what everybody may read in it, and nothing outside.
//!
//! Dots in a path are resolved as text, before anything is opened, and never lead above the root. Then the kernel opens the
//! whole path beneath the root (`openat2`), so that a symbolic link leads to what lies within and to nothing else, whoever makes
//! and moves links meanwhile. One exception: a link directly in the root that leads to a directory elsewhere makes that a root
//! of its own. Whoever serves a directory makes such a link to say what else to serve; nothing that a repository receives is
//! written there.
//!
//! Only regular files and directories are served that everybody may read: a key that lies about with mode 0600 is not.

use crate::listing;
use crate::open::Opened;
use crate::public::percent_decode;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

/// How many components a path may have.
const MAX_COMPONENTS: usize = 64;
/// How long a component may be.
const MAX_NAME: usize = 255;
/// How often the kernel is asked again where renames disturb it.
const RACE_TRIES: u32 = 64;

/// What a path leads to.
pub(crate) enum Found {
    /// A file.
    File(Opened),
    /// The page of a directory.
    Page(String),
    /// A directory, asked for without the slash at its end: its address with one.
    Moved(String),
    /// Something that not everybody may read, or that lies elsewhere.
    Forbidden,
    /// Nothing.
    Nothing,
}

/// Looks for what a request asks for; `path` as it stands in the request line.
pub(crate) fn find(root: BorrowedFd<'_>, path: &str) -> io::Result<Found> {
    let Some(names) = resolve(path) else {
        return Ok(Found::Nothing);
    };
    let fd = match open(root, &names) {
        Ok(fd) => fd,
        Err(Errno::ACCESS | Errno::PERM | Errno::XDEV) => return Ok(Found::Forbidden),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::NXIO) => {
            return Ok(Found::Nothing);
        }
        Err(error) => return Err(error.into()),
    };
    let stat = fstat(&fd)?;
    if stat.st_mode & 0o004 == 0 {
        return Ok(Found::Forbidden);
    }
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(Found::File(Opened {
            file: File::from(fd),
            stat,
        })),
        FileType::Directory if path.ends_with('/') => directory(fd, &names),
        FileType::Directory => Ok(Found::Moved(address(&names))),
        _ => Ok(Found::Forbidden),
    }
}

/// Returns the names from the root down; `None` for what no file can be called.
fn resolve(path: &str) -> Option<Vec<String>> {
    let decoded = percent_decode(path)?;
    let mut names: Vec<String> = Vec::new();
    for name in decoded.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name if name.contains('\0') || name.len() > MAX_NAME || names.len() == MAX_COMPONENTS => {
                return None;
            }
            name => names.push(name.to_owned()),
        }
    }
    Some(names)
}

/// Returns the address of a directory, as an absolute path with a slash at its end.
fn address(names: &[String]) -> String {
    let mut address = String::from("/");
    for name in names {
        listing::percent_encode(&mut address, name);
        address.push('/');
    }
    address
}

fn directory(fd: OwnedFd, names: &[String]) -> io::Result<Found> {
    if let Ok(index) = beneath(fd.as_fd(), "index.html") {
        let stat = fstat(&index)?;
        let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if regular && stat.st_mode & 0o004 != 0 {
            return Ok(Found::File(Opened {
                file: File::from(index),
                stat,
            }));
        }
    }
    let path: String = names.iter().flat_map(|name| ["/", name.as_str()]).collect();
    Ok(Found::Page(listing::page(
        fd,
        if path.is_empty() { "/" } else { &path },
    )?))
}

fn open(root: BorrowedFd<'_>, names: &[String]) -> rustix::io::Result<OwnedFd> {
    let Some((first, rest)) = names.split_first() else {
        return beneath(root, ".");
    };
    match beneath(root, &names.join("/")) {
        // What the kernel says of a link that leads out.
        Err(Errno::XDEV) => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let other = match openat(root, first.as_str(), flags, Mode::empty()) {
                Ok(other) => other,
                Err(Errno::NOTDIR) => return Err(Errno::XDEV),
                Err(error) => return Err(error),
            };
            let rest = rest.join("/");
            beneath(other.as_fd(), if rest.is_empty() { "." } else { &rest })
        }
        opened => opened,
    }
}

/// Opens what lies beneath a directory.
fn beneath(directory: BorrowedFd<'_>, path: &str) -> rustix::io::Result<OwnedFd> {
    // Without NONBLOCK a named pipe would hold the thread until somebody writes into it.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..RACE_TRIES {
        match openat2(directory, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::NOSYS) => return walk(directory, path, flags),
            opened => return opened,
        }
    }
    Err(Errno::AGAIN)
}

/// For kernels without `openat2`: follows no link at all.
fn walk(directory: BorrowedFd<'_>, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let (parents, last) = path.rsplit_once('/').unwrap_or(("", path));
    let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut holder: Option<OwnedFd> = None;
    for name in parents.split('/').filter(|name| !name.is_empty()) {
        let from = holder.as_ref().map_or(directory, |fd| fd.as_fd());
        holder = Some(openat(from, name, step, Mode::empty())?);
    }
    let from = holder.as_ref().map_or(directory, |fd| fd.as_fd());
    openat(from, last, flags | OFlags::NOFOLLOW, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_never_lead_above_the_root() {
        for (path, names) in [
            ("/", Some("")),
            ("/a//b/./c", Some("a/b/c")),
            ("/../a", Some("a")),
            ("/a/../../../b", Some("b")),
            ("/%2e%2e/%2E%2E/b", Some("b")),
            ("/a%2fb", Some("a/b")),
            ("/a%00", None),
            ("/%ff", None),
        ] {
            assert_eq!(
                resolve(path).map(|names| names.join("/")).as_deref(),
                names,
                "{path}"
            );
        }
        assert_eq!(resolve(&"/a".repeat(65)), None);
        assert_eq!(resolve(&format!("/{}", "a".repeat(256))), None);
    }

    #[test]
    fn address_of_a_directory_names_no_other_host() {
        let names = resolve("//evil.example//x y").expect("a path");
        assert_eq!(address(&names), "/evil.example/x%20y/");
    }
}
