//! File systems of other machines, mounted here: sshfs, NFS, CIFS.

use super::{Dir, beneath, permissions};
use rustix::fs::{self as sys, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

/// The types of file systems on which every call may wait for another machine, and whose locks are not seen there:
/// FUSE, NFS, CIFS, SMB 2, SMB, 9P, AFS (both of its clients), Ceph, Coda.
const REMOTE: &[u32] = &[
    0x6573_5546,
    0x6969,
    0xFF53_4D42,
    0xFE53_4D42,
    0x517B,
    0x0102_1997,
    0x5346_414F,
    0x6B41_4653,
    0x00C3_6400,
    0x7375_7245,
];

impl Dir {
    /// Returns whether the directory lies on a file system that another machine may be behind. A FUSE file system of this
    /// machine is taken for one as well.
    ///
    /// # Errors
    /// What the system answers: `ENOTCONN` where the other end is gone.
    pub fn is_remote(&self) -> io::Result<bool> {
        let kind = i128::from(sys::fstatfs(self)?.f_type) & i128::from(u32::MAX);
        Ok(REMOTE.iter().any(|remote| i128::from(*remote) == kind))
    }

    /// Makes a file with the permission bits `mode` less the umask and opens it for writing; `None` where something has
    /// the name.
    ///
    /// # Errors
    /// What the system answers.
    pub fn create_new(&self, relative: impl AsRef<Path>, mode: u32) -> io::Result<Option<File>> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match beneath::open(self.as_fd(), relative.as_ref(), flags, permissions(mode)) {
            Ok(fd) => Ok(Some(fd.into())),
            Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(fault) => Err(fault),
        }
    }
}

/// Brings the bytes of a file to disk, and with them to light whatever went wrong since they were written; a file system that
/// knows no such call has nothing to say.
///
/// # Errors
/// What the system answers. After an error the file must be given up: a second call may claim success.
pub fn sync_file(file: &File) -> io::Result<()> {
    Ok(where_known(sys::fsync(file))?)
}

/// Passes over that a file system of another machine does not know how to sync.
pub(super) fn where_known(synced: rustix::io::Result<()>) -> rustix::io::Result<()> {
    match synced {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(()),
        synced => synced,
    }
}
