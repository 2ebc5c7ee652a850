//! Names: making, moving and removing them, and bringing them to disk.

use super::remote::where_known;
use super::{Dir, FileKind, Linked, permissions};
use rustix::fs::{self as sys, AtFlags, FileType, Gid, RenameFlags, Uid};
use rustix::io::Errno;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

/// The number of the device by which an overlay file system hides a name: 0:0.
const WHITEOUT: u64 = 0;

impl Dir {
    /// Makes a directory and those above it, as far as they are missing, with the permission bits `mode` less
    /// the umask. Returns whether any was made; their names are not on disk before a
    /// [`sync_parents`](Self::sync_parents) or [`syncfs`](Self::syncfs).
    ///
    /// # Errors
    /// What the system answers; `ENOTDIR` when something else has the name.
    pub fn ensure_dir(&self, relative: impl AsRef<Path>, mode: u32) -> io::Result<bool> {
        let relative = relative.as_ref();
        match self.make_dir(relative, mode) {
            Ok(linked) => return Ok(linked == Linked::New),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut made = false;
        let mut path = PathBuf::new();
        for component in relative.components() {
            path.push(component);
            made |= self.make_dir(&path, mode)? == Linked::New;
        }
        Ok(made)
    }

    /// Makes one directory, whose parent must be there.
    ///
    /// # Errors
    /// What the system answers; `ENOTDIR` when something else has the name.
    pub fn make_dir(&self, relative: impl AsRef<Path>, mode: u32) -> io::Result<Linked> {
        let relative = relative.as_ref();
        let (holder, name) = self.parent_of(relative)?;
        match sys::mkdirat(holder.as_fd(), name, permissions(mode)) {
            Ok(()) => Ok(Linked::New),
            Err(Errno::EXIST) => {
                // Opening tells whether it is a directory, and one beneath us.
                self.open_dir(relative)?;
                Ok(Linked::Exists)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a hard link to a file of `from`; never replaces anything.
    ///
    /// # Errors
    /// What the system answers: `EXDEV` across file systems, `EMLINK` and `EPERM` where links are not to be had.
    pub fn link_from(
        &self,
        relative: impl AsRef<Path>,
        from: &Self,
        from_relative: impl AsRef<Path>,
    ) -> io::Result<Linked> {
        let (holder, name) = self.parent_of(relative.as_ref())?;
        let (from_holder, from_name) = from.parent_of(from_relative.as_ref())?;
        exists_or(sys::linkat(
            from_holder.as_fd(),
            from_name,
            holder.as_fd(),
            name,
            AtFlags::empty(),
        ))
    }

    /// Moves a file of `from` here, where nothing has the name. When something has, both stay as they are.
    ///
    /// # Errors
    /// What the system answers.
    pub fn rename_new(
        from: &Self,
        from_relative: impl AsRef<Path>,
        to: &Self,
        to_relative: impl AsRef<Path>,
    ) -> io::Result<Linked> {
        let (source, source_name) = from.parent_of(from_relative.as_ref())?;
        let (target, target_name) = to.parent_of(to_relative.as_ref())?;
        let renamed = sys::renameat_with(
            source.as_fd(),
            source_name,
            target.as_fd(),
            target_name,
            RenameFlags::NOREPLACE,
        );
        match renamed {
            // File systems without the flag (NFS, some FUSE): a link never replaces either.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                let linked = exists_or(sys::linkat(
                    source.as_fd(),
                    source_name,
                    target.as_fd(),
                    target_name,
                    AtFlags::empty(),
                ))?;
                if linked == Linked::New {
                    sys::unlinkat(source.as_fd(), source_name, AtFlags::empty())?;
                }
                Ok(linked)
            }
            other => exists_or(other),
        }
    }

    /// Moves a file of `from` here and replaces what has the name in the same instant.
    ///
    /// # Errors
    /// What the system answers.
    pub fn rename_over(
        from: &Self,
        from_relative: impl AsRef<Path>,
        to: &Self,
        to_relative: impl AsRef<Path>,
    ) -> io::Result<()> {
        let (source, source_name) = from.parent_of(from_relative.as_ref())?;
        let (target, target_name) = to.parent_of(to_relative.as_ref())?;
        Ok(sys::renameat(
            source.as_fd(),
            source_name,
            target.as_fd(),
            target_name,
        )?)
    }

    /// Exchanges two names of the directory in one instant, whatever they stand for.
    ///
    /// # Errors
    /// What the system answers: `EINVAL` from file systems that cannot do it.
    pub fn exchange(&self, one: impl AsRef<Path>, other: impl AsRef<Path>) -> io::Result<()> {
        let (holder, name) = self.parent_of(one.as_ref())?;
        let (other_holder, other_name) = self.parent_of(other.as_ref())?;
        Ok(sys::renameat_with(
            holder.as_fd(),
            name,
            other_holder.as_fd(),
            other_name,
            RenameFlags::EXCHANGE,
        )?)
    }

    /// Writes a whole file and puts it in place of what has the name, in one instant, with exactly the
    /// permission bits `mode`. Durable: the bytes are on disk before the name is, and the name on return.
    ///
    /// # Errors
    /// What the system answers; before the last step, the sync of the directory, the old file is in place.
    pub fn replace(
        &self,
        relative: impl AsRef<Path>,
        bytes: &[u8],
        mode: u32,
        durable: bool,
    ) -> io::Result<()> {
        self.replace_via(self, relative, bytes, mode, durable)
    }

    /// As [`replace`](Self::replace), with the temporary name in `scratch`, a directory of the same file
    /// system.
    ///
    /// # Errors
    /// As [`replace`](Self::replace).
    pub fn replace_via(
        &self,
        scratch: &Self,
        relative: impl AsRef<Path>,
        bytes: &[u8],
        mode: u32,
        durable: bool,
    ) -> io::Result<()> {
        let mut temp = scratch.temp_file(mode)?;
        temp.write_all(bytes)?;
        temp.set_mode(mode)?;
        if durable {
            temp.sync()?;
        }
        let relative = relative.as_ref();
        self.replace_with_temp(temp, relative)?;
        if durable {
            self.sync_parent(relative)?;
        }
        Ok(())
    }

    /// Makes a symbolic link; fails when the name is taken.
    ///
    /// # Errors
    /// What the system answers.
    pub fn symlink(&self, target: impl AsRef<Path>, relative: impl AsRef<Path>) -> io::Result<()> {
        let (holder, name) = self.parent_of(relative.as_ref())?;
        Ok(sys::symlinkat(target.as_ref(), holder.as_fd(), name)?)
    }

    /// Makes the device by which an overlay file system hides a name, with the permission bits `mode` less the
    /// umask; never replaces anything.
    ///
    /// # Errors
    /// What the system answers.
    pub fn make_whiteout(&self, relative: impl AsRef<Path>, mode: u32) -> io::Result<Linked> {
        let (holder, name) = self.parent_of(relative.as_ref())?;
        let kind = FileType::CharacterDevice;
        exists_or(sys::mknodat(
            holder.as_fd(),
            name,
            kind,
            permissions(mode),
            WHITEOUT,
        ))
    }

    /// Returns whether something is a device by which an overlay file system hides a name.
    ///
    /// # Errors
    /// What the system answers.
    pub fn is_whiteout(&self, relative: impl AsRef<Path>) -> io::Result<bool> {
        let (holder, name) = self.parent_of(relative.as_ref())?;
        let found = sys::statat(holder.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(found.st_mode);
        Ok(kind == FileType::CharacterDevice && found.st_rdev == WHITEOUT)
    }

    /// Sets the owner of what has the name; a symbolic link is not followed.
    ///
    /// # Errors
    /// What the system answers.
    pub fn set_owner(&self, relative: impl AsRef<Path>, uid: u32, gid: u32) -> io::Result<()> {
        let (holder, name) = self.parent_of(relative.as_ref())?;
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        Ok(sys::chownat(
            holder.as_fd(),
            name,
            uid,
            gid,
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    /// Sets the permission bits of what has the name, which must be known not to be a symbolic link.
    ///
    /// # Errors
    /// What the system answers.
    pub fn set_mode(&self, relative: impl AsRef<Path>, mode: u32) -> io::Result<()> {
        let (holder, name) = self.parent_of(relative.as_ref())?;
        Ok(sys::chmodat(
            holder.as_fd(),
            name,
            permissions(mode),
            AtFlags::empty(),
        )?)
    }

    /// Removes a file or link; returns whether there was one.
    ///
    /// # Errors
    /// What the system answers.
    pub fn unlink(&self, relative: impl AsRef<Path>) -> io::Result<bool> {
        self.remove(relative.as_ref(), AtFlags::empty())
    }

    /// Removes an empty directory; returns whether there was one.
    ///
    /// # Errors
    /// What the system answers; [`io::ErrorKind::DirectoryNotEmpty`] when it is not empty.
    pub fn remove_dir(&self, relative: impl AsRef<Path>) -> io::Result<bool> {
        self.remove(relative.as_ref(), AtFlags::REMOVEDIR)
    }

    fn remove(&self, relative: &Path, flags: AtFlags) -> io::Result<bool> {
        let removed = self
            .parent_of(relative)
            .and_then(|(holder, name)| Ok(sys::unlinkat(holder.as_fd(), name, flags)?));
        Ok(super::none_if_missing(removed)?.is_some())
    }

    /// Removes whatever has the name, with everything below it; symbolic links are removed and not followed.
    /// What others remove meanwhile is no error.
    ///
    /// # Errors
    /// What the system answers; `EMFILE` for trees deeper than the process may open directories.
    pub fn remove_tree(&self, relative: impl AsRef<Path>) -> io::Result<()> {
        let relative = relative.as_ref();
        match self.stat(relative)? {
            None => return Ok(()),
            Some(stat) if stat.kind != FileKind::Directory => return self.unlink(relative).map(drop),
            Some(_) => {}
        }
        let Some(top) = self.open_dir_if_exists(relative)? else {
            return Ok(());
        };
        // A stack of our own: the depth of a tree is not ours to choose.
        let mut stack: Vec<(Self, Vec<OsString>, OsString)> =
            vec![(top.clone(), top.empty_of_files()?, OsString::new())];
        while let Some((dir, below, _)) = stack.last_mut() {
            if let Some(name) = below.pop() {
                if let Some(child) = dir.open_dir_if_exists(&name)? {
                    let names = child.empty_of_files()?;
                    stack.push((child, names, name));
                }
                continue;
            }
            let done = stack.pop();
            if let (Some((_, _, name)), Some((holder, _, _))) = (done, stack.last()) {
                holder.remove_dir(&name)?;
            }
        }
        self.remove_dir(relative).map(drop)
    }

    /// Removes everything in the directory but its directories, and returns their names.
    fn empty_of_files(&self) -> io::Result<Vec<OsString>> {
        let mut directories = Vec::new();
        for entry in self.entries()? {
            if entry.kind == FileKind::Directory {
                directories.push(entry.name);
            } else {
                self.unlink(&entry.name)?;
            }
        }
        Ok(directories)
    }

    /// Sets the directory's own times to now.
    ///
    /// # Errors
    /// What the system answers.
    pub fn touch(&self) -> io::Result<()> {
        let now = sys::Timespec {
            tv_sec: 0,
            tv_nsec: sys::UTIME_NOW,
        };
        let times = sys::Timestamps {
            last_access: now,
            last_modification: now,
        };
        Ok(sys::futimens(self.as_fd(), &times)?)
    }

    /// Sets the times of a file in the directory, in seconds since the epoch and nanoseconds; a symbolic link
    /// is not followed.
    ///
    /// # Errors
    /// What the system answers.
    pub fn set_mtime(&self, relative: impl AsRef<Path>, seconds: i64, nanoseconds: u32) -> io::Result<()> {
        let (holder, name) = self.parent_of(relative.as_ref())?;
        let time = sys::Timespec {
            tv_sec: seconds,
            tv_nsec: nanoseconds.into(),
        };
        let times = sys::Timestamps {
            last_access: time,
            last_modification: time,
        };
        Ok(sys::utimensat(
            holder.as_fd(),
            name,
            &times,
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    /// Brings the names in this directory to disk.
    ///
    /// # Errors
    /// What the system answers. An error stands for lost names: a second call may claim success.
    pub fn fsync(&self) -> io::Result<()> {
        Ok(where_known(sys::fsync(self.as_fd()))?)
    }

    /// Brings the name `relative` to disk: syncs the directory that holds it.
    ///
    /// # Errors
    /// As [`fsync`](Self::fsync).
    pub fn sync_parent(&self, relative: impl AsRef<Path>) -> io::Result<()> {
        match relative.as_ref().parent() {
            Some(parent) if !parent.as_os_str().is_empty() => self.open_dir(parent)?.fsync(),
            _ => self.fsync(),
        }
    }

    /// Brings the name `relative` to disk, and the names of all directories between here and there: for names
    /// in directories that may be new.
    ///
    /// # Errors
    /// As [`fsync`](Self::fsync).
    pub fn sync_parents(&self, relative: impl AsRef<Path>) -> io::Result<()> {
        for parent in relative.as_ref().ancestors().skip(1) {
            if !parent.as_os_str().is_empty() {
                self.open_dir(parent)?.fsync()?;
            }
        }
        self.fsync()
    }

    /// Brings everything on the file system of this directory to disk.
    ///
    /// # Errors
    /// What the system answers.
    pub fn syncfs(&self) -> io::Result<()> {
        Ok(where_known(sys::syncfs(self.as_fd()))?)
    }
}

fn exists_or(result: rustix::io::Result<()>) -> io::Result<Linked> {
    match result {
        Ok(()) => Ok(Linked::New),
        Err(Errno::EXIST) => Ok(Linked::Exists),
        Err(error) => Err(error.into()),
    }
}
