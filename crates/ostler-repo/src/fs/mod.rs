//! Files below a directory, by descriptor: the one owner of `rename`, `link`, `fsync` and `syncfs`.
//!
//! Every path is relative to a [`Dir`] and stays beneath it: a symbolic link that leads out of the directory
//! is an error, not a way, so that somebody who can plant a link in a repository cannot make us write (or
//! open) anything outside. The directory itself is opened as the user named it, links and all.
//!
//! What survives a crash: the bytes of a file after [`TempFile::sync`] or [`Dir::syncfs`]; its name only after
//! [`Dir::fsync`] of the directory that holds it, or [`Dir::syncfs`] after the name was made. A name never
//! shows half a file, because files get their final name only when they are complete.

mod append;
mod beneath;
mod change;
mod remote;
mod temp;

pub use remote::sync_file;
pub use temp::TempFile;

use rustix::fs as sys;
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many bytes of names are read at a time.
const NAMES_BUFFER: usize = 64 << 10;

/// The numbers by which the kernel knows ext4 (and its predecessors), XFS and btrfs.
const ORDERED: [i128; 3] = [0xEF53, 0x5846_5342, 0x9123_683E];

/// The numbers of those file systems of this machine on which the time of a directory tells each change at once: those, and
/// tmpfs, overlayfs, F2FS, ZFS and bcachefs.
const LOCAL: [i128; 8] = [
    ORDERED[0],
    ORDERED[1],
    ORDERED[2],
    0x0102_1994,
    0x794C_7630,
    0xF2F5_2010,
    0x2FC1_2FC1,
    0xCA45_1A4E,
];

/// An open directory. Cloning shares the descriptor.
#[derive(Debug, Clone)]
pub struct Dir {
    fd: Arc<OwnedFd>,
    /// For messages only.
    path: Arc<Path>,
}

/// What kind of file a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, pipe or socket.
    Special,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Its name.
    pub name: OsString,
    /// What it is.
    pub kind: FileKind,
}

/// What the file system knows about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStat {
    /// What it is.
    pub kind: FileKind,
    /// Type and permission bits, as in `st_mode`.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The size in bytes.
    pub size: u64,
    /// The number of hard links.
    pub nlink: u32,
    /// The inode number.
    pub ino: u64,
    /// The device.
    pub dev: u64,
    /// The modification time: seconds since the epoch, and nanoseconds.
    pub mtime: (i64, u32),
    /// The time of the last change of anything about it, likewise.
    pub ctime: (i64, u32),
}

/// Whether a name was made or was there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the name may have been taken"]
pub enum Linked {
    /// The name is new.
    New,
    /// The name was there; nothing was changed.
    Exists,
}

/// Space and inodes of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FsSpace {
    /// The unit of the block counts, in bytes.
    pub block_bytes: u64,
    /// All blocks.
    pub blocks: u64,
    /// Free blocks.
    pub free_blocks: u64,
    /// Free blocks for users without privileges.
    pub available_blocks: u64,
}

impl Dir {
    /// Opens a directory by a path of the caller's; symbolic links in it are followed.
    ///
    /// # Errors
    /// What the system answers.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = sys::openat(sys::CWD, path, flags, Mode::empty())?;
        Ok(Self::from_fd(fd, path.to_path_buf()))
    }

    /// Wraps an open directory; the path is for messages.
    pub(crate) fn from_fd(fd: OwnedFd, path: PathBuf) -> Self {
        Self {
            fd: Arc::new(fd),
            path: path.into(),
        }
    }

    /// Opens a directory below this one.
    ///
    /// # Errors
    /// What the system answers; `EXDEV` when a symbolic link leads out of this directory.
    pub fn open_dir(&self, relative: impl AsRef<Path>) -> io::Result<Self> {
        let relative = relative.as_ref();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = beneath::open(self.as_fd(), relative, flags, Mode::empty())?;
        Ok(Self::from_fd(fd, self.path.join(relative)))
    }

    /// Opens a directory below this one, or returns `None` where there is none.
    ///
    /// # Errors
    /// As [`open_dir`](Self::open_dir).
    pub fn open_dir_if_exists(&self, relative: impl AsRef<Path>) -> io::Result<Option<Self>> {
        none_if_missing(self.open_dir(relative))
    }

    /// Returns the path that the directory was opened by, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of something in the directory, for messages.
    pub fn path_of(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.path.join(relative)
    }

    /// Opens a regular file for reading. The last part of the path must not be a symbolic link.
    ///
    /// # Errors
    /// What the system answers; [`io::ErrorKind::IsADirectory`] or [`io::ErrorKind::InvalidInput`] for what is
    /// not a regular file.
    pub fn open_file(&self, relative: impl AsRef<Path>) -> io::Result<File> {
        let (file, _) = self.open_regular(relative.as_ref(), OFlags::NOFOLLOW)?;
        Ok(file)
    }

    /// Opens a regular file for reading and follows symbolic links as long as they stay beneath this
    /// directory; for ref aliases.
    ///
    /// # Errors
    /// As [`open_file`](Self::open_file).
    pub fn open_file_following(&self, relative: impl AsRef<Path>) -> io::Result<File> {
        let (file, _) = self.open_regular(relative.as_ref(), OFlags::empty())?;
        Ok(file)
    }

    /// Opens a regular file for reading and writing, and makes an empty one where there is none.
    /// The last part of the path must not be a symbolic link. For lock files.
    ///
    /// # Errors
    /// As [`open_file`](Self::open_file).
    pub fn open_or_create(&self, relative: impl AsRef<Path>, mode: u32) -> io::Result<File> {
        let relative = relative.as_ref();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
        let fd = beneath::open(self.as_fd(), relative, flags, permissions(mode))?;
        let (file, _) = self.regular(fd, relative)?;
        Ok(file)
    }

    /// Opens a regular file for reading; returns its size as well.
    // Without `NONBLOCK` a pipe planted under an expected name would hold us for ever.
    fn open_regular(&self, relative: &Path, flags: OFlags) -> io::Result<(File, u64)> {
        let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        let fd = beneath::open(self.as_fd(), relative, flags, Mode::empty())?;
        self.regular(fd, relative)
    }

    fn regular(&self, fd: OwnedFd, relative: &Path) -> io::Result<(File, u64)> {
        let stat = stat_of(fd.as_fd(), Path::new(""), AtFlags::EMPTY_PATH)?;
        if stat.kind == FileKind::Regular {
            return Ok((File::from(fd), stat.size));
        }
        let kind = match stat.kind {
            FileKind::Directory => io::ErrorKind::IsADirectory,
            _ => io::ErrorKind::InvalidInput,
        };
        let text = format!("{} is not a regular file", self.path_of(relative).display());
        Err(io::Error::new(kind, text))
    }

    /// Reads a file of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`open_file`](Self::open_file); [`io::ErrorKind::FileTooLarge`] for a larger one.
    pub fn read(&self, relative: impl AsRef<Path>, limit: u64) -> io::Result<Vec<u8>> {
        read_limited(self.open_regular(relative.as_ref(), OFlags::NOFOLLOW)?, limit)
    }

    /// Reads a file of at most `limit` bytes, or returns `None` where there is none.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_if_exists(&self, relative: impl AsRef<Path>, limit: u64) -> io::Result<Option<Vec<u8>>> {
        none_if_missing(self.read(relative, limit))
    }

    /// Reads a file as [`read_if_exists`](Self::read_if_exists), through symbolic links that stay beneath
    /// this directory.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_following(&self, relative: impl AsRef<Path>, limit: u64) -> io::Result<Option<Vec<u8>>> {
        none_if_missing(
            self.open_regular(relative.as_ref(), OFlags::empty())
                .and_then(|opened| read_limited(opened, limit)),
        )
    }

    /// Looks at a file without following a symbolic link; `None` where there is none.
    ///
    /// # Errors
    /// What the system answers.
    pub fn stat(&self, relative: impl AsRef<Path>) -> io::Result<Option<FileStat>> {
        none_if_missing(stat_of(
            self.as_fd(),
            relative.as_ref(),
            AtFlags::SYMLINK_NOFOLLOW,
        ))
    }

    /// Looks at the directory itself.
    ///
    /// # Errors
    /// What the system answers.
    pub fn stat_self(&self) -> io::Result<FileStat> {
        stat_of(self.as_fd(), Path::new(""), AtFlags::EMPTY_PATH)
    }

    /// Returns whether both are one directory, whatever its names.
    ///
    /// # Errors
    /// What the system answers.
    pub fn is_same(&self, other: &Self) -> io::Result<bool> {
        let (one, other) = (self.stat_self()?, other.stat_self()?);
        Ok((one.dev, one.ino) == (other.dev, other.ino))
    }

    /// Returns the target of a symbolic link.
    ///
    /// # Errors
    /// What the system answers; `EINVAL` for what is not a symbolic link.
    pub fn read_link(&self, relative: impl AsRef<Path>) -> io::Result<PathBuf> {
        let (parent, name) = self.parent_of(relative.as_ref())?;
        let target = sys::readlinkat(parent.as_fd(), name, Vec::new())?;
        Ok(PathBuf::from(OsStr::from_bytes(target.as_bytes())))
    }

    /// Returns what the directory holds, in the file system's order, without `.` and `..`.
    ///
    /// # Errors
    /// What the system answers.
    pub fn entries(&self) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in sys::Dir::read_from(self.as_fd())? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                // Some file systems leave the type to `stat`; a name may be gone by then.
                sys::FileType::Unknown => match self.stat(name)? {
                    Some(stat) => stat.kind,
                    None => continue,
                },
                known => FileKind::from_type(known),
            };
            entries.push(DirEntry {
                name: name.to_owned(),
                kind,
            });
        }
        Ok(entries)
    }

    /// Calls `visit` with each name in the directory, in the file system's order, without `.` and `..`: for
    /// directories of so many files that a list of them would cost more than reading them.
    ///
    /// # Errors
    /// What the system answers, and what `visit` returns.
    pub(crate) fn for_each_name<E: From<io::Error>>(
        &self,
        mut visit: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        // A descriptor of its own: the place in the directory belongs to the descriptor, and threads share ours.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let own = sys::openat(self.as_fd(), c".", flags, Mode::empty()).map_err(io::Error::from)?;
        let mut buffer = Vec::with_capacity(NAMES_BUFFER);
        let mut names = sys::RawDir::new(own, buffer.spare_capacity_mut());
        while let Some(entry) = names.next() {
            let entry = entry.map_err(io::Error::from)?;
            match entry.file_name().to_bytes() {
                b"." | b".." => {}
                name => visit(name)?,
            }
        }
        Ok(())
    }

    /// Returns whether this process may write into `relative` (`.` is the directory itself).
    pub fn is_writable(&self, relative: impl AsRef<Path>) -> bool {
        sys::accessat(
            self.as_fd(),
            relative.as_ref(),
            sys::Access::WRITE_OK,
            AtFlags::EACCESS,
        )
        .is_ok()
    }

    /// Returns whether nobody may write to the directory, since its file system is mounted so.
    pub fn is_on_read_only_file_system(&self) -> bool {
        let access = sys::accessat(self.as_fd(), ".", sys::Access::WRITE_OK, AtFlags::EACCESS);
        access == Err(rustix::io::Errno::ROFS)
    }

    /// Returns the space of the file system.
    ///
    /// # Errors
    /// What the system answers.
    pub fn statvfs(&self) -> io::Result<FsSpace> {
        let space = sys::fstatvfs(self.as_fd())?;
        Ok(FsSpace {
            block_bytes: space.f_frsize,
            blocks: space.f_blocks,
            free_blocks: space.f_bfree,
            available_blocks: space.f_bavail,
        })
    }

    /// Returns whether the file system is known to bring changes of names to disk in the order in which they were made,
    /// by its journal or by transactions: ext3 and ext4, XFS, btrfs.
    ///
    /// # Errors
    /// What the system answers.
    pub(crate) fn keeps_order(&self) -> io::Result<bool> {
        let kind = i128::from(sys::fstatfs(self.as_fd())?.f_type);
        Ok(ORDERED.contains(&kind))
    }

    /// Returns whether the time of a directory on this file system is known to tell whether a name in it has come or gone.
    ///
    /// # Errors
    /// What the system answers.
    pub(crate) fn tells_changes(&self) -> io::Result<bool> {
        let kind = i128::from(sys::fstatfs(self.as_fd())?.f_type);
        Ok(LOCAL.contains(&kind))
    }

    /// Opens the directory that holds `relative`, beneath this one, and returns the name in it.
    fn parent_of<'a>(&self, relative: &'a Path) -> io::Result<(Holder<'_>, &'a OsStr)> {
        let Some(name) = relative.file_name() else {
            let text = format!("'{}' does not name a file", relative.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        };
        let holder = match relative.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            None => Holder::This(self.fd.as_fd()),
            Some(parent) => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                Holder::Below(beneath::open(self.as_fd(), parent, flags, Mode::empty())?)
            }
        };
        Ok((holder, name))
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The directory that a name lies in.
enum Holder<'a> {
    This(BorrowedFd<'a>),
    Below(OwnedFd),
}

impl AsFd for Holder<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::This(fd) => *fd,
            Self::Below(fd) => fd.as_fd(),
        }
    }
}

impl FileKind {
    fn from_type(kind: sys::FileType) -> Self {
        match kind {
            sys::FileType::RegularFile => Self::Regular,
            sys::FileType::Directory => Self::Directory,
            sys::FileType::Symlink => Self::Symlink,
            _ => Self::Special,
        }
    }
}

impl FileStat {
    /// Looks at an open file.
    ///
    /// # Errors
    /// What the system answers.
    pub fn of(file: &impl AsFd) -> io::Result<Self> {
        stat_of(file.as_fd(), Path::new(""), AtFlags::EMPTY_PATH)
    }
}

fn stat_of(fd: BorrowedFd<'_>, path: &Path, flags: AtFlags) -> io::Result<FileStat> {
    let found = sys::statx(fd, path, flags, StatxFlags::BASIC_STATS)?;
    let mode = u32::from(found.stx_mode);
    Ok(FileStat {
        kind: FileKind::from_type(sys::FileType::from_raw_mode(mode)),
        mode,
        uid: found.stx_uid,
        gid: found.stx_gid,
        size: found.stx_size,
        nlink: found.stx_nlink,
        ino: found.stx_ino,
        dev: sys::makedev(found.stx_dev_major, found.stx_dev_minor),
        mtime: (found.stx_mtime.tv_sec, found.stx_mtime.tv_nsec),
        ctime: (found.stx_ctime.tv_sec, found.stx_ctime.tv_nsec),
    })
}

/// Sets the modification time of a file to the epoch, and leaves that of the last access.
///
/// # Errors
/// What the system answers.
pub(crate) fn set_time_to_epoch(file: &impl AsFd) -> io::Result<()> {
    let times = sys::Timestamps {
        last_access: sys::Timespec {
            tv_sec: 0,
            tv_nsec: sys::UTIME_OMIT,
        },
        last_modification: sys::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
    };
    Ok(sys::futimens(file, &times)?)
}

fn permissions(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & 0o7777)
}

/// Reads a file whole that was just seen to have a size, in as few calls as that takes.
fn read_limited((file, size): (File, u64), limit: u64) -> io::Result<Vec<u8>> {
    if size > limit {
        let text = format!("{size} bytes exceed the limit of {limit}");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    file.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Turns "no such file", which includes a missing or non-directory parent, into `None`.
fn none_if_missing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
