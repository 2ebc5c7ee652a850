//! Opening a public file below the root, without ever leaving it.
//!
//! Each component is opened relative to the directory before it, and none may be a symbolic link: whoever can
//! place a link in the repository cannot make the server read `/etc`. The one exception are ref aliases, whose
//! target is followed as text and has to stay below `refs/heads`. Only regular files are served.

use crate::public::PublicPath;
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, openat, readlinkat};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

/// How many aliases may point to one another.
const MAX_ALIASES: usize = 8;

/// An opened file and what the system says about it.
pub(crate) struct Opened {
    pub(crate) file: File,
    pub(crate) stat: Stat,
}

/// Opens a public file; `None` where it does not exist or is not to be served.
pub(crate) fn open(root: &OwnedFd, path: &PublicPath) -> io::Result<Option<Opened>> {
    let mut components = path.components().to_vec();
    for _ in 0..=MAX_ALIASES {
        match walk(root, &components) {
            Ok(opened) => return Ok(opened),
            Err(Errno::LOOP) if path.alias_base() > 0 => {
                match alias_target(root, &components, path.alias_base())? {
                    Some(target) => components = target,
                    None => return Ok(None),
                }
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::NXIO) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

fn walk(root: &OwnedFd, components: &[String]) -> rustix::io::Result<Option<Opened>> {
    let Some((name, parents)) = components.split_last() else {
        return Ok(None);
    };
    let parent = walk_directories(root, parents)?;
    let directory = parent.as_ref().map_or(root.as_fd(), |fd| fd.as_fd());
    // Without NONBLOCK a named pipe would hold the thread until somebody writes into it.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = openat(directory, name.as_str(), flags, Mode::empty())?;
    let stat = fstat(&file)?;
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    Ok(regular.then(|| Opened {
        file: File::from(file),
        stat,
    }))
}

/// Opens the last of the directories; `None` for the root itself.
fn walk_directories(root: &OwnedFd, names: &[String]) -> rustix::io::Result<Option<OwnedFd>> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::DIRECTORY;
    let mut directory: Option<OwnedFd> = None;
    for name in names {
        let above = directory.as_ref().map_or(root.as_fd(), |fd| fd.as_fd());
        directory = Some(openat(above, name.as_str(), flags, Mode::empty())?);
    }
    Ok(directory)
}

/// Returns where the alias at `components` points to; `None` if it is no link or leaves the first `base` ones.
fn alias_target(root: &OwnedFd, components: &[String], base: usize) -> io::Result<Option<Vec<String>>> {
    let Some((name, parents)) = components.split_last() else {
        return Ok(None);
    };
    let parent = match walk_directories(root, parents) {
        Ok(parent) => parent,
        Err(Errno::LOOP | Errno::NOTDIR | Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let directory = parent.as_ref().map_or(root.as_fd(), |fd| fd.as_fd());
    let target = match readlinkat(directory, name.as_str(), Vec::new()) {
        Ok(target) => target,
        Err(Errno::INVAL | Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Ok(target) = target.into_string() else {
        return Ok(None);
    };
    Ok(follow(parents, &target, base))
}

fn follow(parents: &[String], target: &str, base: usize) -> Option<Vec<String>> {
    if target.starts_with('/') {
        return None;
    }
    let mut components = parents.to_vec();
    for step in target.split('/') {
        match step {
            "" | "." => {}
            ".." if components.len() > base => {
                components.pop();
            }
            _ if step.starts_with('.') => return None,
            name => components.push(name.to_owned()),
        }
    }
    (components.len() > base).then_some(components)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_stay_below_their_base() {
        let parents = ["refs", "heads", "a"].map(str::to_owned);
        let joined = |target| follow(&parents, target, 2).map(|parts| parts.join("/"));
        assert_eq!(joined("b").as_deref(), Some("refs/heads/a/b"));
        assert_eq!(joined("../c/d").as_deref(), Some("refs/heads/c/d"));
        for outside in [
            "/etc/passwd",
            "../../remotes/x/y",
            "..",
            "../../../config",
            ".hidden",
        ] {
            assert_eq!(joined(outside), None, "{outside}");
        }
    }
}
