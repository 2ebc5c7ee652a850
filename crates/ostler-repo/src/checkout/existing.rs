//! Whether what is in the way of a file is that file already.

use super::CheckoutOptions;
use super::file::Placed;
use crate::error::Result;
use crate::fs::{FileKind, FileStat};
use crate::repo::Repo;
use crate::xattrs;
use ostler_format::{Checksum, FileHeader, Hasher, PERMISSION_BITS, RepoMode, Xattrs};
use std::io;

/// Returns whether the file in the way is what the object is, with its owner, permission bits and extended
/// attributes. `stored` is the file that a hard link would lead to, where there is one; it need only be looked at to
/// see most differences.
pub(super) fn is_object(
    repo: &Repo,
    file: &Placed<'_>,
    found: &FileStat,
    stored: Option<&FileStat>,
) -> Result<bool> {
    if stored.is_some_and(|stored| !alike(stored, found)) {
        return Ok(false);
    }
    let header = match found.kind {
        FileKind::Regular | FileKind::Symlink => header_of(repo, file, found),
        FileKind::Directory | FileKind::Special => return Ok(false),
    };
    let header = header.map_err(file.failed("look at"))?;
    Ok(checksum_with(file, header).map_err(file.failed("read"))? == *file.checksum)
}

/// Returns whether the file in the way is what a checkout in user mode would make of the object: there nobody asks
/// for owners and extended attributes.
pub(super) fn is_shown_alike(
    options: &CheckoutOptions,
    file: &Placed<'_>,
    found: &FileStat,
    header: &FileHeader,
    size: u64,
) -> Result<bool> {
    let failed = || file.failed("read");
    if header.is_symlink() {
        if found.kind != FileKind::Symlink {
            return Ok(false);
        }
        let target = file.dir.read_link(file.name).map_err(failed())?;
        return Ok(target.as_os_str() == header.symlink_target.as_str());
    }
    if found.kind != FileKind::Regular
        || found.size != size
        || found.mode & PERMISSION_BITS != options.file_bits(header.mode)
    {
        return Ok(false);
    }
    Ok(checksum_with(file, header.clone()).map_err(failed())? == *file.checksum)
}

/// Returns whether two files may be the same by what the file system knows about them.
fn alike(stored: &FileStat, found: &FileStat) -> bool {
    let seen = |stat: &FileStat| (stat.mode, stat.uid, stat.gid);
    seen(stored) == seen(found) && (stored.kind != FileKind::Regular || stored.size == found.size)
}

/// Returns the header that the file in the way would be committed with.
fn header_of(repo: &Repo, file: &Placed<'_>, found: &FileStat) -> io::Result<FileHeader> {
    let nobodys = repo.mode() == RepoMode::BareUserOnly;
    let attributes = if nobodys || repo.config().disable_xattrs() {
        Vec::new()
    } else if found.kind == FileKind::Symlink {
        xattrs::read_link(file.dir, file.name)?
    } else {
        xattrs::read_file(&file.dir.open_file(file.name)?)?
    };
    let (uid, gid) = if nobodys { (0, 0) } else { (found.uid, found.gid) };
    Ok(FileHeader {
        uid,
        gid,
        mode: found.mode,
        symlink_target: String::new(),
        xattrs: Xattrs::new(attributes).map_err(io::Error::other)?,
    })
}

/// Returns the checksum of what the file in the way holds, under the given header.
fn checksum_with(file: &Placed<'_>, mut header: FileHeader) -> io::Result<Checksum> {
    let mut hasher = Hasher::new();
    if header.is_symlink() {
        let target = file.dir.read_link(file.name)?.into_os_string();
        header.symlink_target = target
            .into_string()
            .map_err(|_target| io::ErrorKind::InvalidData)?;
        hasher.update(&header.to_hash_prefix());
        return Ok(hasher.finish());
    }
    hasher.update(&header.to_hash_prefix());
    let mut content = file.dir.open_file(file.name)?;
    let mut buffer = crate::buffers::stream();
    loop {
        let count = crate::compress::read_some(&mut content, &mut buffer)?;
        if count == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(buffer.get(..count).unwrap_or_default());
    }
}
