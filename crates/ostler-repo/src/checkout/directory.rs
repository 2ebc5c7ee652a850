//! Directories of a checkout: made for their owner alone, sealed when everything in them is complete.

use super::CheckoutOptions;
use crate::error::{RepoError, Result};
use crate::fs::set_time_to_epoch;
use crate::fs::{Dir, Linked};
use crate::objects::store::BARE_USER_ONLY_BITS;
use crate::xattrs;
use ostler_format::{DirMeta, PERMISSION_BITS};
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

/// The permission bits of a directory that is not complete.
const UNFINISHED: Mode = Mode::RWXU;

/// A directory of the checkout. Files to be put into it and directories below hold it; whoever lets go of it last
/// seals it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) dir: Dir,
    /// Whether this checkout made it: then nobody else is in it, and its attributes are ours to set.
    pub(super) fresh: bool,
    meta: Arc<DirMeta>,
    parent: Option<Arc<Self>>,
}

/// Whether directories may be there, and where the checkout begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Merge<'a> {
    pub(super) allowed: bool,
    pub(super) root: &'a Dir,
    /// The path of the directory in the checkout.
    pub(super) path: &'a str,
}

impl Place {
    pub(super) fn new(dir: Dir, fresh: bool, meta: Arc<DirMeta>, parent: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self {
            dir,
            fresh,
            meta,
            parent,
        })
    }

    /// Makes a directory below another, or opens one that is there, if that may be. Where a symbolic link to a
    /// directory is there, its target takes the files, as long as it lies in the destination.
    pub(super) fn below(
        parent: &Arc<Self>,
        name: &str,
        meta: Arc<DirMeta>,
        merge: &Merge<'_>,
    ) -> Result<Arc<Self>> {
        let failed = |doing: &'static str| RepoError::io(doing, parent.dir.path_of(name));
        let made = make(&parent.dir, name.as_ref()).map_err(failed("make directory"))?;
        if made == Linked::Exists && !merge.allowed {
            return Err(failed("make directory")(Errno::EXIST.into()));
        }
        let dir = match open(&parent.dir, name.as_ref()) {
            Err(error) if made == Linked::Exists && leads_on(&error) => {
                let path = merge.path.trim_start_matches('/');
                merge.root.open_dir(path).map_err(failed("open directory"))?
            }
            opened => opened.map_err(failed("open directory"))?,
        };
        Ok(Self::new(
            dir,
            made == Linked::New,
            meta,
            Some(Arc::clone(parent)),
        ))
    }

    /// Lets go of a directory, and seals it and those above it that nobody else holds.
    pub(super) fn leave(place: Arc<Self>, options: &CheckoutOptions) -> Result<()> {
        let mut next = Some(place);
        while let Some(place) = next.and_then(Arc::into_inner) {
            place
                .seal(options)
                .map_err(RepoError::io("set the attributes of", place.dir.path()))?;
            next = place.parent;
        }
        Ok(())
    }

    /// Gives a directory its attributes. One that was there before keeps its own: it may be somebody else's.
    fn seal(&self, options: &CheckoutOptions) -> io::Result<()> {
        if !self.fresh {
            return Ok(());
        }
        if !options.user_mode {
            set_owner(&self.dir, self.meta.uid, self.meta.gid)?;
            xattrs::write_file(&self.dir, self.meta.xattrs.iter())?;
        }
        let bits = if options.bareuseronly_dirs {
            BARE_USER_ONLY_BITS
        } else {
            PERMISSION_BITS
        };
        rustix::fs::fchmod(&self.dir, Mode::from_raw_mode(self.meta.mode & bits))?;
        if options.sets_times() {
            // As directories of all checkouts.
            set_time_to_epoch(&self.dir)?;
        }
        Ok(())
    }
}

/// Makes a directory for its owner alone.
pub(super) fn make(parent: &Dir, name: &Path) -> io::Result<Linked> {
    match rustix::fs::mkdirat(parent, name, UNFINISHED) {
        Ok(()) => Ok(Linked::New),
        Err(Errno::EXIST) => Ok(Linked::Exists),
        Err(error) => Err(error.into()),
    }
}

/// Opens a directory that is no symbolic link.
pub(super) fn open(parent: &Dir, name: &Path) -> io::Result<Dir> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    Ok(Dir::from_fd(fd, parent.path_of(name)))
}

/// Returns whether what was to be opened as a directory may be a symbolic link to one.
fn leads_on(error: &io::Error) -> bool {
    [Errno::LOOP, Errno::NOTDIR]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Sets the owner of an open file or directory.
pub(super) fn set_owner(file: &impl AsFd, uid: u32, gid: u32) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    Ok(rustix::fs::fchown(file, Some(uid), Some(gid))?)
}
