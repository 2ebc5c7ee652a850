//! Staging directories: where the objects of a transaction wait until all of them are there.
//!
//! ```text
//! tmp/staging-<boot id>-<random>/       a transaction's objects, as below objects/: XX/REST.suffix
//! tmp/staging-<boot id>-<random>-lock   locked for as long as the transaction lives
//! ```
//!
//! The protocol is libostree's, so that its transactions and ours clean up after each other and take over from
//! each other. A new transaction adopts any staging directory of this boot whose lock it gets at once: the
//! transaction that made it is dead, and what it had written is of use. Its objects were written by we know not
//! whom and never checked, so that nobody may rely on one before having read and hashed it. A directory of an
//! earlier boot is only good for removal: what it holds may never have reached the disk.
//!
//! The directory goes before its lock file does, and a lock counts only if the directory is still there once it is
//! held; so no directory is used by two.

use crate::deltas::PREFIX as DELTA_PREFIX;
use crate::error::{RepoError, Result};
use crate::fs::{Dir, FileKind, FileStat, Linked, TempFile};
use crate::lock::FileLock;
use crate::objects::loose::LooseStore;
use crate::objects::prefixes::{PrefixDirs, file_name, prefix_of};
use crate::repo::Repo;
use ostler_format::{ObjectName, RepoMode};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// How the names of all staging directories of transactions begin.
const PREFIX: &str = "staging-";

/// How those of publishers begin (see [`crate::incoming`]), which stock tools do not know and leave alone.
const INCOMING_PREFIX: &str = "ostler-incoming-";

/// How the names of all directories begin that only we make: those of publishers, and pins.
const OWN_PREFIX: &str = "ostler-";

/// What follows the name of the directory in that of its lock file.
const LOCK_SUFFIX: &str = "-lock";

/// The entry of `tmp/` that is never removed.
const CACHE: &str = "cache";

/// A staging directory in use.
#[derive(Debug)]
pub struct Staging {
    dirs: PrefixDirs,
    tmp: Dir,
    name: String,
    mode: RepoMode,
    resumed: bool,
    stale: bool,
    temporary: AtomicU64,
    /// Held until the end; letting go of it removes the lock file.
    _lock: FileLock,
}

impl Staging {
    /// Takes over an abandoned staging directory of this boot, or makes a new one.
    ///
    /// # Errors
    /// [`RepoError::ReadOnly`], [`RepoError::Io`].
    pub fn acquire(repo: &Repo) -> Result<Self> {
        Self::acquire_named(repo, PREFIX)
    }

    /// As [`acquire`](Self::acquire), under a name that only publishers of ours look for.
    pub(crate) fn acquire_incoming(repo: &Repo) -> Result<Self> {
        Self::acquire_named(repo, INCOMING_PREFIX)
    }

    fn acquire_named(repo: &Repo, kind: &str) -> Result<Self> {
        let tmp = repo.tmp()?;
        let prefix = format!("{kind}{}-", repo.boot_id()?);
        for name in staging_names(tmp, &prefix)? {
            if let Some((lock, dir)) = try_lock(tmp, &name)? {
                // What was abandoned long ago is nobody's interrupted work any more.
                let stale = dir
                    .stat_self()
                    .and_then(|stat| Ok(age_of(&stat, now(tmp)?) > repo.config().tmp_expiry().as_secs()))
                    .map_err(RepoError::io("look at", dir.path()))?;
                return Ok(Self::new(repo, tmp, name, dir, lock).adopted(stale));
            }
        }
        Self::make(repo, tmp, &prefix)
    }

    fn make(repo: &Repo, tmp: &Dir, prefix: &str) -> Result<Self> {
        loop {
            let name = tmp
                .make_random_dir(prefix, 0o700)
                .map_err(RepoError::io("make a staging directory in", tmp.path()))?;
            // Another transaction that starts just now may adopt it before we lock it; then we make another.
            if let Some((lock, dir)) = try_lock(tmp, &name)? {
                return Ok(Self::new(repo, tmp, name, dir, lock));
            }
        }
    }

    fn new(repo: &Repo, tmp: &Dir, name: String, dir: Dir, lock: FileLock) -> Self {
        Self {
            dirs: if name.starts_with(INCOMING_PREFIX) {
                PrefixDirs::flat(dir)
            } else {
                PrefixDirs::new(dir)
            },
            tmp: tmp.clone(),
            name,
            mode: repo.mode(),
            resumed: false,
            stale: false,
            temporary: AtomicU64::new(0),
            _lock: lock,
        }
    }

    fn adopted(mut self, stale: bool) -> Self {
        self.resumed = true;
        self.stale = stale;
        self
    }

    /// Returns the directory.
    pub fn dir(&self) -> &Dir {
        self.dirs.root()
    }

    /// Returns whether the directory was taken over: it may hold objects of unknown origin.
    pub fn resumed(&self) -> bool {
        self.resumed
    }

    /// Returns how to read what is staged.
    pub(crate) fn loose(&self, reads_xattrs: bool) -> LooseStore<'_> {
        LooseStore {
            dirs: &self.dirs,
            mode: self.mode,
            reads_xattrs,
        }
    }

    /// Returns whether the directory holds an object. Where it was [taken over](Self::resumed) that says
    /// nothing of whether the object is sound.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn contains(&self, name: &ObjectName) -> Result<bool> {
        Ok(self.loose(false).stat(name)?.is_some())
    }

    /// Gives a complete file the name of an object; never replaces one.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn link_temp(&self, temp: TempFile, name: &ObjectName) -> Result<Linked> {
        let file = file_name(name, self.mode);
        self.dirs
            .ensure(prefix_of(&name.checksum))
            .and_then(|dir| dir.link_temp(temp, file.as_str()))
            .map_err(self.failed("stage", name))
    }

    /// Gives a complete file the name of an object, in place of what had it; for detached metadata.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn replace_with_temp(&self, temp: TempFile, name: &ObjectName) -> Result<()> {
        let file = file_name(name, self.mode);
        self.dirs
            .ensure(prefix_of(&name.checksum))
            .and_then(|dir| dir.replace_with_temp(temp, file.as_str()))
            .map_err(self.failed("stage", name))
    }

    /// Makes a hard link to a file of another directory. The system's answer is returned as it is: the caller
    /// copies where links are not to be had.
    ///
    /// # Errors
    /// `EXDEV`, `EMLINK`, `EPERM` and whatever else the system answers.
    pub fn link_from(&self, name: &ObjectName, from: &Dir, from_relative: &str) -> io::Result<Linked> {
        let file = file_name(name, self.mode);
        self.dirs
            .ensure(prefix_of(&name.checksum))?
            .link_from(file.as_str(), from, from_relative)
    }

    /// Moves a file that has a temporary name in the directory to the name of an object.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub(crate) fn name_temporary(&self, temporary: &str, name: &ObjectName) -> Result<Linked> {
        let file = file_name(name, self.mode);
        let linked = self
            .dirs
            .ensure(prefix_of(&name.checksum))
            .and_then(|dir| Dir::rename_new(self.dir(), temporary, dir, file.as_str()));
        if !matches!(linked, Ok(Linked::New)) {
            self.drop_temporary(temporary);
        }
        linked.map_err(self.failed("stage", name))
    }

    /// Returns a name in the directory that nothing has.
    pub(crate) fn temporary_name(&self) -> Result<String> {
        loop {
            let name = format!("link-{}", self.temporary.fetch_add(1, Ordering::Relaxed));
            let taken = self
                .dir()
                .stat(&name)
                .map_err(RepoError::io("look at", self.dir().path()))?;
            if taken.is_none() {
                return Ok(name);
            }
        }
    }

    /// Removes a file with a temporary name. What is left of it after a failure goes with the directory.
    pub(crate) fn drop_temporary(&self, temporary: &str) {
        drop(self.dir().unlink(temporary));
    }

    /// Removes a staged object; returns whether there was one.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn remove(&self, name: &ObjectName) -> Result<bool> {
        self.loose(false).remove(name)
    }

    /// Ends the use of the directory after its objects went into place: removes it, unless it was taken over
    /// recently and still holds objects that were not needed. Those are somebody's interrupted work.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn finish(self) -> Result<()> {
        if self.resumed && !self.stale && self.holds_objects()? {
            self.keep();
            return Ok(());
        }
        self.discard()
    }

    /// Removes the directory with all that it holds.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn discard(self) -> Result<()> {
        self.tmp
            .remove_tree(&self.name)
            .map_err(RepoError::io("remove", self.tmp.path_of(&self.name)))
    }

    /// Removes the directory after a sync that failed: what it holds may never have reached the disk, a second sync
    /// may claim that it has, and nobody must go on with it.
    pub(crate) fn spoil(&self) {
        drop(self.tmp.remove_tree(&self.name));
    }

    /// Leaves the directory for a later transaction of the same boot, as dropping does.
    pub fn keep(self) {
        drop(self);
    }

    /// Returns the prefix directories.
    pub(crate) fn prefixes(&self) -> &PrefixDirs {
        &self.dirs
    }

    fn holds_objects(&self) -> Result<bool> {
        let failed = || RepoError::io("list", self.dir().path());
        for prefix in 0..=u8::MAX {
            if let Some(dir) = self.dirs.get(prefix).map_err(failed())?
                && !dir.entries().map_err(failed())?.is_empty()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn failed(&self, doing: &str, name: &ObjectName) -> impl FnOnce(io::Error) -> RepoError {
        let path = self.dir().path_of(name.loose_path(self.mode));
        RepoError::io(doing, path)
    }
}

/// Removes from `tmp/` what nobody needs any more: staging directories of earlier boots, and everything else
/// that is older than `core.tmp-expiry-secs`, except the cache, staging directories of transactions of this boot (the
/// next transactions adopt them one by one) and whatever is locked. What a process left that is known to be gone goes
/// at once: temporary files, and locks of directories that are not there.
///
/// # Errors
/// [`RepoError::ReadOnly`], [`RepoError::Io`].
pub fn clean_tmp(repo: &Repo) -> Result<()> {
    let tmp = repo.tmp()?;
    let boot_id = repo.boot_id()?;
    let failed = || RepoError::io("clean", tmp.path());
    let now = now(tmp).map_err(failed())?;
    tmp.remove_abandoned_dirs(DELTA_PREFIX).map_err(failed())?;
    for entry in tmp.entries().map_err(failed())? {
        let Some(name) = entry.name.to_str().filter(|name| *name != CACHE) else {
            continue;
        };
        let kind = [PREFIX, INCOMING_PREFIX]
            .into_iter()
            .find(|prefix| name.starts_with(prefix));
        let Some(stat) = tmp.stat(name).map_err(failed())? else {
            continue;
        };
        let expired = age_of(&stat, now) > repo.config().tmp_expiry().as_secs();
        if let (FileKind::Directory, Some(kind)) = (entry.kind, kind) {
            let adoptable = name.starts_with(&format!("{kind}{boot_id}-"));
            if !adoptable || (expired && kind == INCOMING_PREFIX) {
                remove_unlocked(tmp, name)?;
            }
            continue;
        }
        if tmp.remove_abandoned(name).map_err(failed())? {
            continue;
        }
        if expired || (kind.is_some() && locks_nothing(tmp, name).map_err(failed())?) {
            remove_expired(tmp, name)?;
        }
    }
    Ok(())
}

/// Returns whether there is a staging directory, of a transaction or a publisher, whoever's.
pub(crate) fn is_anything_staged(repo: &Repo) -> Result<bool> {
    let tmp = repo.tmp()?;
    Ok(!staging_names(tmp, PREFIX)?.is_empty() || !staging_names(tmp, INCOMING_PREFIX)?.is_empty())
}

/// Removes a directory that has a lock of its own, unless somebody holds that.
fn remove_unlocked(tmp: &Dir, name: &str) -> Result<()> {
    if let Some(_held) = try_lock(tmp, name)? {
        tmp.remove_tree(name)
            .map_err(RepoError::io("remove", tmp.path_of(name)))?;
    }
    Ok(())
}

/// Returns whether this is the lock of a staging directory that is gone: its maker died between removing the two.
fn locks_nothing(tmp: &Dir, name: &str) -> io::Result<bool> {
    match name.strip_suffix(LOCK_SUFFIX) {
        Some(directory) => Ok(tmp.stat(directory)?.is_none()),
        None => Ok(false),
    }
}

/// Removes the directories of publishers that nobody uses, and locks that stayed behind.
pub(crate) fn remove_abandoned_incoming(repo: &Repo) -> Result<()> {
    let tmp = repo.tmp()?;
    for entry in tmp.entries().map_err(RepoError::io("list", tmp.path()))? {
        let Some(name) = (entry.name.to_str()).filter(|name| name.starts_with(INCOMING_PREFIX)) else {
            continue;
        };
        if entry.kind == FileKind::Directory {
            remove_unlocked(tmp, name)?;
        } else if locks_nothing(tmp, name).map_err(RepoError::io("look at", tmp.path_of(name)))? {
            remove_expired(tmp, name)?;
        }
    }
    Ok(())
}

/// Removes an entry of `tmp/`; a lock file, or a directory of ours, only if nobody holds the lock.
fn remove_expired(tmp: &Dir, name: &str) -> Result<()> {
    if name.ends_with(LOCK_SUFFIX) {
        // Getting the lock and letting go of it removes the file.
        return FileLock::try_acquire(tmp, name).map(drop);
    }
    if name.starts_with(OWN_PREFIX) {
        return remove_unlocked(tmp, name);
    }
    tmp.remove_tree(name)
        .map_err(RepoError::io("remove", tmp.path_of(name)))
}

/// Returns the names of the staging directories that begin with `prefix`.
fn staging_names(tmp: &Dir, prefix: &str) -> Result<Vec<String>> {
    let entries = tmp.entries().map_err(RepoError::io("list", tmp.path()))?;
    Ok(entries
        .into_iter()
        .filter(|entry| entry.kind == FileKind::Directory)
        .filter_map(|entry| entry.name.into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect())
}

/// Locks a staging directory, if nobody has it and it is still there.
fn try_lock(tmp: &Dir, name: &str) -> Result<Option<(FileLock, Dir)>> {
    let Some(lock) = FileLock::try_acquire(tmp, format!("{name}{LOCK_SUFFIX}"))? else {
        return Ok(None);
    };
    let dir = tmp
        .open_dir_if_exists(name)
        .map_err(RepoError::io("open", tmp.path_of(name)))?;
    Ok(dir.map(|dir| (lock, dir)))
}

/// Returns the time in seconds, as the file system of `tmp/` has it.
fn now(tmp: &Dir) -> io::Result<i64> {
    Ok(time_of(tmp)?.0)
}

/// Returns the time, as the file system of a directory that we may write to has it.
pub(crate) fn time_of(tmp: &Dir) -> io::Result<(i64, u32)> {
    let fresh = tmp.temp_file(0o600)?;
    Ok(FileStat::of(&fresh)?.mtime)
}

/// Returns the age of a file in seconds; files of the future have none.
fn age_of(stat: &FileStat, now: i64) -> u64 {
    u64::try_from(now.saturating_sub(stat.mtime.0)).unwrap_or_default()
}
