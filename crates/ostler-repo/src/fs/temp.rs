//! Files that have no name until they are complete.
//!
//! Order: write to a nameless file, sync where asked, then give it its name with one call. A process that dies
//! before leaves nothing, except a file `.ostler-…` if it dies between giving that name and taking it away again: when
//! a file replaces another, and all along where the file system has no nameless files. Nobody takes it for an object
//! or a ref. It is locked for as long as its maker lives, so that the next one can tell and
//! [remove](Dir::remove_abandoned) it.

use super::remote::where_known;
use super::{Dir, FileKind, Linked, permissions};
use rustix::fs::{self as sys, AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::path::Path;

/// What temporary names begin with.
const PREFIX: &str = ".ostler-";

/// How many random names are tried before giving up.
const NAME_TRIES: u32 = 100;

/// A file that is being written and has no final name yet. Dropping it abandons it.
#[derive(Debug)]
pub struct TempFile {
    file: File,
    /// Where it was made: the directory, whose file system it lives on.
    dir: Dir,
    /// Its temporary name there, if it needs one.
    name: Option<OsString>,
}

impl TempFile {
    /// Returns the file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Sets the permission bits exactly, whatever the umask.
    ///
    /// # Errors
    /// What the system answers.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        Ok(sys::fchmod(&self.file, permissions(mode))?)
    }

    /// Brings the bytes to disk.
    ///
    /// # Errors
    /// What the system answers. After an error the file must be given up: a second call may claim success.
    pub fn sync(&self) -> io::Result<()> {
        Ok(where_known(sys::fdatasync(&self.file))?)
    }

    /// Gives the file the name `name` in `holder`, where nothing has that name.
    fn link(&mut self, holder: BorrowedFd<'_>, name: &std::ffi::OsStr) -> rustix::io::Result<()> {
        if let Some(temporary) = &self.name {
            sys::linkat(self.dir.as_fd(), temporary, holder, name, AtFlags::empty())?;
            return Ok(());
        }
        match sys::linkat(&self.file, "", holder, name, AtFlags::EMPTY_PATH) {
            // Kernels before 6.10 let only the privileged do that.
            Err(Errno::NOENT) => {
                let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                sys::linkat(sys::CWD, own, holder, name, AtFlags::SYMLINK_FOLLOW)
            }
            other => other,
        }
    }

    /// Gives the file a temporary name, unless it has one.
    fn name(&mut self) -> io::Result<&OsString> {
        if self.name.is_none() {
            hold(&self.file);
            let dir = self.dir.clone();
            let name = with_random_name(|name| self.link(dir.as_fd(), name.as_ref()))?.1;
            self.name = Some(name);
        }
        Ok(self.name.get_or_insert_default())
    }
}

impl Write for TempFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl AsFd for TempFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // What is left of it after a failure here expires with the other contents of `tmp/`.
            drop(self.dir.unlink(name));
        }
    }
}

impl Dir {
    /// Makes a file without a name on the file system of this directory, with the permission bits `mode`
    /// less the umask.
    ///
    /// # Errors
    /// What the system answers.
    pub fn temp_file(&self, mode: u32) -> io::Result<TempFile> {
        let mode = permissions(mode);
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match sys::openat(self.as_fd(), ".", flags, mode) {
            Ok(fd) => Ok(TempFile {
                file: fd.into(),
                dir: self.clone(),
                name: None,
            }),
            // The file system has no nameless files, or the kernel does not know them.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => self.named_temp_file(mode),
            Err(error) => Err(error.into()),
        }
    }

    fn named_temp_file(&self, mode: Mode) -> io::Result<TempFile> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let (fd, name) = with_random_name(|name| sys::openat(self.as_fd(), name, flags, mode))?;
        hold(&fd);
        Ok(TempFile {
            file: fd.into(),
            dir: self.clone(),
            name: Some(name),
        })
    }

    /// Removes `name` if it is the temporary file of a process that is gone. Returns whether it was.
    ///
    /// # Errors
    /// What the system answers to the removal.
    pub fn remove_abandoned(&self, name: &str) -> io::Result<bool> {
        if !name.starts_with(PREFIX) {
            return Ok(false);
        }
        // Others' files that we may not open, and links, are left to expire.
        let Ok(file) = self.open_file(name) else {
            return Ok(false);
        };
        match sys::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => self.unlink(name),
            Err(_held) => Ok(false),
        }
    }

    /// Gives a temporary file its name, where nothing has that name. The file may have been made in another
    /// directory of the same file system.
    ///
    /// # Errors
    /// What the system answers.
    pub fn link_temp(&self, mut temp: TempFile, relative: impl AsRef<Path>) -> io::Result<Linked> {
        let relative = relative.as_ref();
        let (holder, name) = self.parent_of(relative)?;
        match temp.link(holder.as_fd(), name) {
            Ok(()) => Ok(Linked::New),
            Err(Errno::EXIST) => Ok(Linked::Exists),
            // A file system without links: between the look and the rename nobody is kept out.
            Err(Errno::PERM | Errno::NOSYS | Errno::OPNOTSUPP) if temp.name.is_some() => {
                if self.stat(relative)?.is_some() {
                    return Ok(Linked::Exists);
                }
                self.try_replace(&mut temp, relative)?;
                Ok(Linked::New)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a temporary file its name; what had that name is replaced in the same instant. The temporary
    /// name that this needs lies where the file was made.
    ///
    /// # Errors
    /// What the system answers; the old file is then still in place.
    pub fn replace_with_temp(&self, mut temp: TempFile, relative: impl AsRef<Path>) -> io::Result<()> {
        self.try_replace(&mut temp, relative.as_ref())
    }

    /// As [`replace_with_temp`](Self::replace_with_temp), for callers that try again.
    pub(crate) fn try_replace(&self, temp: &mut TempFile, relative: &Path) -> io::Result<()> {
        let (holder, name) = self.parent_of(relative)?;
        let dir = temp.dir.clone();
        let temporary = temp.name()?;
        sys::renameat(dir.as_fd(), temporary, holder.as_fd(), name)?;
        temp.name = None;
        Ok(())
    }

    /// Gives a temporary file its name as [`replace_with_temp`](Self::replace_with_temp) does, and returns the bytes of the
    /// file that had the name at that very instant, at most `limit`; `None` where nothing had it. On file systems that
    /// cannot exchange names, those of the instant before.
    ///
    /// # Errors
    /// What the system answers.
    pub fn exchange_with_temp(
        &self,
        mut temp: TempFile,
        relative: impl AsRef<Path>,
        limit: u64,
    ) -> io::Result<Option<Vec<u8>>> {
        let relative = relative.as_ref();
        let (holder, name) = self.parent_of(relative)?;
        let dir = temp.dir.clone();
        let temporary = temp.name()?.clone();
        loop {
            let exchanged = sys::renameat_with(
                dir.as_fd(),
                &temporary,
                holder.as_fd(),
                name,
                sys::RenameFlags::EXCHANGE,
            );
            match exchanged {
                // The temporary name, which goes with `temp`, now stands for the other file.
                Ok(()) => return dir.read_if_exists(&temporary, limit),
                Err(Errno::NOENT) => match temp.link(holder.as_fd(), name) {
                    Ok(()) => return Ok(None),
                    Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                },
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    let before = self.read_if_exists(relative, limit)?;
                    self.try_replace(&mut temp, relative)?;
                    return Ok(before);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Makes a symbolic link, replacing what had the name in the same instant. The temporary name that this
    /// needs lies in `scratch`.
    ///
    /// # Errors
    /// What the system answers.
    pub fn replace_symlink(
        &self,
        target: impl AsRef<Path>,
        relative: impl AsRef<Path>,
        scratch: &Self,
    ) -> io::Result<()> {
        let (holder, name) = self.parent_of(relative.as_ref())?;
        let target = target.as_ref();
        let ((), temporary) = with_random_name(|name| sys::symlinkat(target, scratch.as_fd(), name))?;
        sys::renameat(scratch.as_fd(), &temporary, holder.as_fd(), name).map_err(|error| {
            drop(scratch.unlink(&temporary));
            error.into()
        })
    }

    /// Makes a directory as [`make_random_dir`](Self::make_random_dir) does, and locks it for as long as it is open.
    ///
    /// # Errors
    /// What the system answers.
    pub(crate) fn make_held_dir(&self, prefix: &str, mode: u32) -> io::Result<(String, Self)> {
        for _ in 0..NAME_TRIES {
            let name = self.make_random_dir(prefix, mode)?;
            // Somebody may take it for abandoned before it is locked.
            if let Some(dir) = self.open_dir_if_exists(&name)? {
                hold(&dir);
                if self.stat(&name)?.is_some() {
                    return Ok((name, dir));
                }
            }
        }
        Err(Errno::EXIST.into())
    }

    /// Removes the directories with names that begin with `prefix` whose makers are gone.
    ///
    /// # Errors
    /// What the system answers.
    pub(crate) fn remove_abandoned_dirs(&self, prefix: &str) -> io::Result<()> {
        for entry in self.entries()? {
            let Some(name) = entry.name.to_str().filter(|name| name.starts_with(prefix)) else {
                continue;
            };
            if entry.kind == FileKind::Directory
                && let Some(dir) = self.open_dir_if_exists(name)?
                && sys::flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok()
            {
                self.remove_tree(name)?;
            }
        }
        Ok(())
    }

    /// Makes a directory `prefix` + six random characters in this one and returns its name.
    ///
    /// # Errors
    /// What the system answers.
    pub fn make_random_dir(&self, prefix: &str, mode: u32) -> io::Result<String> {
        for _ in 0..NAME_TRIES {
            let name = format!("{prefix}{}", random_letters());
            match sys::mkdirat(self.as_fd(), &name, permissions(mode)) {
                Err(Errno::EXIST) => {}
                other => return Ok(other.map(|()| name)?),
            }
        }
        Err(Errno::EXIST.into())
    }
}

/// Locks a file that gets a temporary name, for as long as it is open. Where files cannot be locked, nobody gets
/// the lock that would let them remove it either.
fn hold(file: impl AsFd) {
    let _held = sys::flock(file, FlockOperation::NonBlockingLockExclusive);
}

/// Calls `make` with random names until one is free.
fn with_random_name<T>(mut make: impl FnMut(&str) -> rustix::io::Result<T>) -> io::Result<(T, OsString)> {
    for _ in 0..NAME_TRIES {
        let name = format!("{PREFIX}{:016x}", random());
        match make(&name) {
            Err(Errno::EXIST) => {}
            other => return Ok((other?, name.into())),
        }
    }
    Err(Errno::EXIST.into())
}

/// A number that differs from call to call and from process to process. Names need no more: what decides
/// between two makers of one name is that making it fails for the second.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Six characters as `mkdtemp` makes them.
fn random_letters() -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut rest = random();
    let mut letter = || {
        let digit = rest % 62;
        rest /= 62;
        usize::try_from(digit)
            .ok()
            .and_then(|digit| LETTERS.get(digit))
            .map_or('0', |letter| char::from(*letter))
    };
    std::iter::repeat_with(&mut letter).take(6).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn files_with_a_temporary_name_behave_as_those_without() {
        let root = tempfile::tempdir().unwrap();
        let dir = Dir::open(root.path()).unwrap();
        let temp = |bytes: &[u8]| {
            let mut temp = dir.named_temp_file(permissions(0o644)).unwrap();
            temp.write_all(bytes).unwrap();
            temp
        };
        assert_eq!(dir.link_temp(temp(b"1"), "f").unwrap(), Linked::New);
        assert_eq!(dir.link_temp(temp(b"2"), "f").unwrap(), Linked::Exists);
        assert_eq!(dir.read("f", 9).unwrap(), b"1");
        dir.replace_with_temp(temp(b"3"), "f").unwrap();
        assert_eq!(dir.read("f", 9).unwrap(), b"3");
        drop(temp(b"4"));
        assert_eq!(dir.entries().unwrap().len(), 1, "no temporary name is left");
    }

    #[test]
    fn only_files_whose_maker_is_gone_are_abandoned() {
        let root = tempfile::tempdir().unwrap();
        let dir = Dir::open(root.path()).unwrap();
        let mut in_use = [
            dir.temp_file(0o644).unwrap(),
            dir.named_temp_file(permissions(0o644)).unwrap(),
        ];
        for temp in &mut in_use {
            let name = temp.name().unwrap().to_str().unwrap();
            assert!(!dir.remove_abandoned(name).unwrap(), "{name}");
        }
        std::fs::write(root.path().join(".ostler-dead"), "").unwrap();
        std::fs::write(root.path().join("other"), "").unwrap();
        assert!(dir.remove_abandoned(".ostler-dead").unwrap());
        assert!(!dir.remove_abandoned(".ostler-dead").unwrap(), "gone already");
        assert!(
            !dir.remove_abandoned("other").unwrap(),
            "no temporary file of ours"
        );
    }

    #[test]
    fn an_exchange_tells_what_it_replaced_and_leaves_no_other_name() {
        let root = tempfile::tempdir().unwrap();
        let dir = Dir::open(root.path()).unwrap();
        let temp = |bytes: &[u8]| {
            let mut temp = dir.temp_file(0o644).unwrap();
            temp.write_all(bytes).unwrap();
            temp
        };
        assert_eq!(dir.exchange_with_temp(temp(b"1"), "f", 9).unwrap(), None);
        assert_eq!(
            dir.exchange_with_temp(temp(b"2"), "f", 9).unwrap(),
            Some(b"1".to_vec())
        );
        assert_eq!(dir.read("f", 9).unwrap(), b"2");
        assert_eq!(dir.entries().unwrap().len(), 1);
    }

    #[test]
    fn random_names_differ_and_have_the_form_of_mkdtemp() {
        let names: BTreeSet<String> = std::iter::repeat_with(random_letters).take(1000).collect();
        assert_eq!(names.len(), 1000);
        assert!(
            names
                .iter()
                .all(|name| name.len() == 6 && name.bytes().all(|b| b.is_ascii_alphanumeric()))
        );
        let root = tempfile::tempdir().unwrap();
        let dir = Dir::open(root.path()).unwrap();
        let name = dir.make_random_dir("staging-x-", 0o700).unwrap();
        assert!(name.starts_with("staging-x-") && name.len() == 16, "{name}");
        assert!(root.path().join(name).is_dir());
    }
}
