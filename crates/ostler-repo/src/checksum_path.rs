//! What the object of a file on disk would be called.

use crate::commit::{not_committable, usable_xattrs};
use crate::error::{RepoError, Result};
use crate::fs::{Dir, FileKind, FileStat};
use crate::transaction::hash_content;
use crate::xattrs;
use ostler_format::{Checksum, DirMeta, FileHeader, Xattrs};
use rustix::fs::{CWD, Mode, OFlags};
use std::fs::File;
use std::io;
use std::path::Path;

/// Returns the checksum of the content object that a regular file or symbolic link would be, or of the dirmeta of a
/// directory, with owner, mode and, unless they are left out, extended attributes as they are.
///
/// # Errors
/// [`RepoError::Refused`] for devices, pipes and sockets; [`RepoError::Io`].
pub fn checksum_path(path: &Path, no_xattrs: bool) -> Result<Checksum> {
    let failed = |doing: &'static str| RepoError::io(doing, path);
    let metadata = std::fs::symlink_metadata(path).map_err(failed("look at"))?;
    let taken = |found: io::Result<Vec<(Vec<u8>, Vec<u8>)>>| {
        if no_xattrs {
            return Ok(Xattrs::default());
        }
        usable_xattrs(found.map_err(failed("read the extended attributes of"))?)
    };
    if metadata.is_dir() {
        let dir = Dir::open(path).map_err(failed("open"))?;
        let stat = dir.stat_self().map_err(failed("look at"))?;
        let meta = DirMeta {
            uid: stat.uid,
            gid: stat.gid,
            mode: stat.mode,
            xattrs: taken(xattrs::read_file(&dir))?,
        };
        return Ok(Checksum::of(&meta.to_bytes()));
    }
    let header = |stat: &FileStat, symlink_target, xattrs| FileHeader {
        uid: stat.uid,
        gid: stat.gid,
        mode: stat.mode,
        symlink_target,
        xattrs,
    };
    if metadata.is_symlink() {
        let (dir, name) = holder_of(path)?;
        let stat = dir.stat(&name).map_err(failed("look at"))?;
        let stat = stat.ok_or_else(|| RepoError::not_found(path.display().to_string()))?;
        let target = link_target(&dir, &name)?;
        let header = header(&stat, target, taken(xattrs::read_link(&dir, &name))?);
        return Ok(header.checksum_of(b""));
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(io::Error::from);
    let mut file = File::from(opened.map_err(failed("open"))?);
    let stat = FileStat::of(&file).map_err(failed("look at"))?;
    if stat.kind != FileKind::Regular {
        return Err(not_committable(&path.to_string_lossy()));
    }
    let header = header(&stat, String::new(), taken(xattrs::read_file(&file))?);
    hash_content(&header, stat.size, &mut file)
}

/// Returns the target of a symbolic link as a commit can hold it.
pub(crate) fn link_target(dir: &Dir, name: &str) -> Result<String> {
    let target = dir
        .read_link(name)
        .map_err(|fault| RepoError::io("read the symbolic link", dir.path_of(name))(fault))?;
    let text = target.into_os_string().into_string();
    text.map_err(|target| RepoError::Refused {
        detail: format!(
            "the target of symbolic link {} is not UTF-8: {}",
            dir.path_of(name).display(),
            target.display()
        ),
    })
}

/// Opens the directory that holds a file.
fn holder_of(path: &Path) -> Result<(Dir, String)> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| RepoError::Refused {
            detail: format!("the name of {} is not UTF-8", path.display()),
        })?;
    let dir = Dir::open(parent).map_err(RepoError::io("open", parent))?;
    Ok((dir, name.to_owned()))
}
