//! Whiteouts: files by which the layer of a container image takes away what a layer below brought.
//!
//! In images they are empty files `.wh.NAME`, obeyed before anything else of their directory is put in place, so that
//! they take away nothing that comes with them. Overlay file systems have devices of the number 0:0 instead;
//! commits, which hold no devices, have `.ostree-wh.NAME` for those.

use super::file::{Placed, Worker};
use super::link::move_over;
use super::options::Overwrite;
use super::{CheckoutOptions, Shared};
use crate::error::{RepoError, Result};
use crate::fs::{Dir, FileKind, FileStat, Linked};
use crate::xattrs;
use ostler_format::{Checksum, DirTree, FileHeader, PERMISSION_BITS, Xattrs};
use rustix::io::Errno;
use std::io;

/// What the names of files begin with that take NAME away.
const PREFIX: &str = ".wh.";
/// The name of the file that empties its directory.
const OPAQUE: &str = ".wh..wh..opq";
/// What the names of files begin with that stand for a device.
const DEVICE_PREFIX: &str = ".ostree-wh.";

/// Returns whether a directory is to hold nothing but what the commit has in it.
pub(super) fn is_opaque(options: &CheckoutOptions, contents: &DirTree) -> bool {
    let find = |name: &str| contents.files.binary_search_by(|file| (*file.name).cmp(name));
    options.whiteouts && options.overwrite != Overwrite::Never && find(OPAQUE).is_ok()
}

/// Returns whether a file of this path, if it is no symbolic link, is obeyed and not put in place.
pub(super) fn is_obeyed(options: &CheckoutOptions, path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    options.whiteouts && name.starts_with(PREFIX)
        || options.passthrough_whiteouts && name.starts_with(DEVICE_PREFIX)
}

impl Shared<'_> {
    /// Obeys a whiteout; false if the file is none.
    pub(super) fn white_out(&self, dir: &Dir, name: &str, checksum: &Checksum) -> Result<bool> {
        let Some(gone) = name.strip_prefix(PREFIX).filter(|_| self.options.whiteouts) else {
            return Ok(false);
        };
        if self.repo.open_content(checksum)?.header().is_symlink() {
            return Ok(false);
        }
        if gone.is_empty() {
            return Err(empty_whiteout("whiteout", name));
        }
        dir.remove_tree(gone)
            .map_err(RepoError::io("remove", dir.path_of(gone)))?;
        Ok(true)
    }
}

impl Worker<'_> {
    /// Makes the device that a file stands for; false if it stands for none.
    pub(super) fn make_device(&mut self, file: &Placed<'_>) -> Result<bool> {
        let wanted = self.options.passthrough_whiteouts;
        let Some(name) = file.name.strip_prefix(DEVICE_PREFIX).filter(|_| wanted) else {
            return Ok(false);
        };
        let reader = self.repo.open_content(file.checksum)?;
        let header = reader.header();
        if header.is_symlink() {
            return Ok(false);
        }
        if name.is_empty() {
            return Err(empty_whiteout("overlayfs whiteout", file.name));
        }
        let file = &Placed { name, ..*file };
        let failed = || file.failed("make the whiteout device");
        let mode = header.mode & PERMISSION_BITS;
        if file.dir.make_whiteout(name, mode).map_err(failed())? == Linked::New {
            self.stats.copied += 1;
            self.attributes_of_device(file, header).map_err(failed())?;
            return Ok(true);
        }
        match self.options.overwrite {
            Overwrite::Never => return Err(failed()(Errno::EXIST.into())),
            Overwrite::Add => {}
            Overwrite::Identical => {
                if !self.is_same_device(file, header).map_err(failed())? {
                    return Err(file.other_there());
                }
            }
            Overwrite::Files => {
                let temporary = self
                    .temporary_name(file.dir, |name| file.dir.make_whiteout(name, mode))
                    .map_err(failed())?;
                let made = Placed {
                    name: &temporary,
                    ..*file
                };
                self.attributes_of_device(&made, header).map_err(failed())?;
                move_over(file, &temporary).map_err(failed())?;
                self.stats.copied += 1;
                return Ok(true);
            }
        }
        self.stats.kept += 1;
        Ok(true)
    }

    fn attributes_of_device(&self, file: &Placed<'_>, header: &FileHeader) -> io::Result<()> {
        if self.options.user_mode {
            return Ok(());
        }
        xattrs::write_link(file.dir, file.name, header.xattrs.iter())?;
        file.dir.set_owner(file.name, header.uid, header.gid)?;
        file.dir.set_mode(file.name, header.mode)
    }

    /// Returns whether what is in the way is the device.
    fn is_same_device(&self, file: &Placed<'_>, header: &FileHeader) -> io::Result<bool> {
        if !file.dir.is_whiteout(file.name)? {
            return Ok(false);
        }
        if self.options.user_mode {
            return Ok(true);
        }
        if !self.repo.config().disable_xattrs() {
            let found = Xattrs::new(xattrs::read_link(file.dir, file.name)?).map_err(io::Error::other)?;
            if found != header.xattrs {
                return Ok(false);
            }
        }
        let seen = |stat: FileStat| (stat.uid, stat.gid, stat.mode & PERMISSION_BITS);
        let wanted = (header.uid, header.gid, header.mode & PERMISSION_BITS);
        Ok(file.dir.stat(file.name)?.map(seen) == Some(wanted))
    }

    /// Takes away a directory that a file is to replace, where whiteouts are obeyed: layers may do so.
    pub(super) fn clear_for(&self, file: &Placed<'_>, found: &FileStat) -> Result<()> {
        if !self.options.whiteouts || found.kind != FileKind::Directory {
            return Ok(());
        }
        file.dir.remove_tree(file.name).map_err(file.failed("remove"))
    }
}

fn empty_whiteout(kind: &str, name: &str) -> RepoError {
    RepoError::Refused {
        detail: format!("Invalid empty {kind} '{name}'"),
    }
}
