//! The place of a snapshot: the hidden directory in which it is made, and how it gets its name.

use super::beside::MARK;
use crate::error::{RepoError, Result};
use crate::fs::{Dir, Linked};
use crate::lock::{FileLock, LockKind};
use crate::repo::Repo;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

const PREFIX: &str = ".ostler-snapshot-";
const LOCK_SUFFIX: &str = "-lock";

/// What lies at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    Empty,
    Snapshot,
    Other,
}

/// What tells a directory from all others: device and number.
type Identity = Option<(u64, u64)>;

/// Where a snapshot is to be.
#[derive(Debug)]
pub(super) struct Destination {
    holder: Dir,
    name: OsString,
}

impl Destination {
    /// Opens the directory that holds it. A symbolic link stands for the directory that it leads to.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let real = match std::fs::canonicalize(path) {
            Ok(real) => real,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => path.to_path_buf(),
            Err(fault) => return Err(RepoError::io("look at", path)(fault)),
        };
        let Some(name) = real.file_name() else {
            let what = format!("directory {}", path.display());
            return Err(RepoError::invalid(what, "it has no name that could be exchanged"));
        };
        let holder = real.parent().filter(|holder| !holder.as_os_str().is_empty());
        let holder = holder.unwrap_or(Path::new("."));
        Ok(Self {
            holder: Dir::open(holder).map_err(RepoError::io("open", holder))?,
            name: name.to_owned(),
        })
    }

    fn path(&self) -> PathBuf {
        self.holder.path_of(&self.name)
    }

    /// Fails for a place inside the repository: the copy would be part of what it is a copy of.
    pub(super) fn refuse_inside(&self, source: &Repo) -> Result<()> {
        let failed = |fault| RepoError::io("look at", self.holder.path())(fault);
        let place = |dir: &Dir| dir.stat_self().map(|stat| (stat.dev, stat.ino));
        let repository = place(source.root()).map_err(failed)?;
        let real = std::fs::canonicalize(self.holder.path()).map_err(failed)?;
        for above in real.ancestors() {
            let dir = Dir::open(above).map_err(RepoError::io("open", above))?;
            if place(&dir).map_err(failed)? == repository {
                let what = format!("directory {}", self.path().display());
                return Err(RepoError::invalid(what, "it lies inside the repository itself"));
            }
        }
        Ok(())
    }

    /// Removes what makers have left here that are gone.
    pub(super) fn remove_stale(&self) -> Result<()> {
        let holder = &self.holder;
        for entry in holder.entries().map_err(RepoError::io("list", holder.path()))? {
            let name = entry.name.to_string_lossy().into_owned();
            if !name.starts_with(PREFIX) {
                continue;
            }
            let name = name.trim_end_matches(LOCK_SUFFIX);
            // The lock of what is gone is removed by taking it.
            if let Some(lock) = FileLock::try_acquire(holder, lock_name(name))? {
                remove_unused(holder, name, false)?;
                drop(lock);
            }
        }
        Ok(())
    }

    /// Fails where a snapshot may not be put.
    pub(super) fn check(&self, replace: bool) -> Result<()> {
        self.admit(self.found()?.0, replace)
    }

    /// Fails where a snapshot may not take the place of what was found.
    fn admit(&self, found: Found, replace: bool) -> Result<()> {
        let what = match found {
            Found::Nothing | Found::Empty => return Ok(()),
            Found::Snapshot if replace => return Ok(()),
            Found::Snapshot => format!("a snapshot at {}", self.path().display()),
            Found::Other => format!("{}, which is no snapshot,", self.path().display()),
        };
        Err(RepoError::AlreadyExists { what })
    }

    fn found(&self) -> Result<(Found, Identity)> {
        let look = || {
            if self.holder.stat(&self.name)?.is_none() {
                return Ok((Found::Nothing, None));
            }
            let dir = self.holder.open_dir(&self.name)?;
            let found = if dir.entries()?.is_empty() {
                Found::Empty
            } else if dir.stat("objects")?.is_some() && dir.stat(MARK)?.is_some() {
                Found::Snapshot
            } else {
                Found::Other
            };
            let stat = dir.stat_self()?;
            Ok((found, Some((stat.dev, stat.ino))))
        };
        look().map_err(RepoError::io("look into", self.path()))
    }
}

/// The directory in which a snapshot is made; removed when dropped.
#[derive(Debug)]
pub(super) struct Sibling {
    holder: Dir,
    name: String,
    lock: Option<FileLock>,
    placed: bool,
}

impl Sibling {
    /// Makes it beside the destination.
    pub(super) fn make(destination: &Destination) -> Result<Self> {
        let holder = destination.holder.clone();
        let failed = || RepoError::io("make a directory in", holder.path());
        loop {
            let name = holder.make_random_dir(PREFIX, 0o700).map_err(failed())?;
            let lock = FileLock::try_acquire(&holder, lock_name(&name))?;
            // Somebody who tidies up may take it for stale before we lock it; then we make another.
            if let Some(lock) = lock
                && holder.stat(&name).map_err(failed())?.is_some()
            {
                return Ok(Self {
                    holder,
                    name,
                    lock: Some(lock),
                    placed: false,
                });
            }
        }
    }

    /// Returns where it lies.
    pub(super) fn path(&self) -> PathBuf {
        self.holder.path_of(&self.name)
    }

    /// Gives it the name of the destination, and the permissions of what was there or of the source. What lies there is looked
    /// at again, since others may have put something there meanwhile. Returns where an older snapshot lies that cannot be
    /// removed yet.
    pub(super) fn put(
        mut self,
        destination: &Destination,
        source: &Repo,
        replace: bool,
    ) -> Result<Option<PathBuf>> {
        let found = loop {
            let (found, identity) = destination.found()?;
            destination.admit(found, replace)?;
            if self.take_place(found, identity, destination, source)? {
                break found;
            }
        };
        self.placed = true;
        let holder = &self.holder;
        if source.config().fsync() {
            holder.fsync().map_err(RepoError::io("sync", holder.path()))?;
        }
        if found == Found::Snapshot && !remove_unused(holder, &self.name, true)? {
            return Ok(Some(self.path()));
        }
        Ok(None)
    }

    /// Takes the place of what was found; `false` where that is not there any more, but something else.
    fn take_place(
        &mut self,
        found: Found,
        identity: Identity,
        destination: &Destination,
        source: &Repo,
    ) -> Result<bool> {
        let failed = || RepoError::io("put a snapshot at", destination.path());
        let (holder, name) = (&self.holder, &destination.name);
        let like = match found {
            Found::Nothing => source.root().stat_self(),
            _ => holder.open_dir(name).and_then(|dir| dir.stat_self()),
        };
        let mode = like.map_err(failed())?.mode;
        holder.set_mode(&self.name, mode).map_err(failed())?;
        match found {
            Found::Nothing => {
                let linked = Dir::rename_new(holder, &self.name, holder, name).map_err(failed())?;
                return Ok(matches!(linked, Linked::New));
            }
            Found::Empty => match Dir::rename_over(holder, &self.name, holder, name) {
                Err(fault) if fault.kind() == io::ErrorKind::DirectoryNotEmpty => return Ok(false),
                renamed => renamed.map_err(failed())?,
            },
            Found::Snapshot | Found::Other => return self.exchange(identity, destination),
        }
        Ok(true)
    }

    /// Changes places with what was found. What somebody has put there since it was looked at gets its name back: `false`.
    fn exchange(&mut self, identity: Identity, destination: &Destination) -> Result<bool> {
        let failed = || RepoError::io("put a snapshot at", destination.path());
        let (holder, name) = (&self.holder, &destination.name);
        holder.exchange(&self.name, name).map_err(failed())?;
        // From here on something of others may lie under our name: it is not ours to remove.
        self.placed = true;
        let stat = holder.stat(&self.name).map_err(failed())?;
        if stat.map(|stat| (stat.dev, stat.ino)) != identity {
            holder.exchange(&self.name, name).map_err(failed())?;
            self.placed = false;
            return Ok(false);
        }
        Ok(true)
    }
}

impl Drop for Sibling {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next snapshot.
        if !self.placed {
            drop(self.holder.remove_tree(&self.name));
        }
        drop(self.lock.take());
    }
}

/// Removes a copy when nobody reads it below its shared lock; `false` where somebody does, and goes on doing so as long
/// as we may wait.
fn remove_unused(holder: &Dir, name: &str, wait: bool) -> Result<bool> {
    let path = holder.path_of(name);
    // What cannot be opened is not finished.
    if let Ok(old) = Repo::open(&path) {
        let lock = if wait {
            match old.lock(LockKind::Exclusive) {
                Err(RepoError::Locked { .. }) => None,
                lock => Some(lock?),
            }
        } else {
            old.try_lock(LockKind::Exclusive)?
        };
        let Some(lock) = lock else {
            return Ok(false);
        };
        holder.remove_tree(name).map_err(RepoError::io("remove", &path))?;
        // Its file is gone with the rest.
        drop(lock);
        return Ok(true);
    }
    holder.remove_tree(name).map_err(RepoError::io("remove", &path))?;
    Ok(true)
}

fn lock_name(name: &str) -> String {
    format!("{name}{LOCK_SUFFIX}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_somebody_puts_there_in_the_last_instant_gets_its_name_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("copy");
        fs::create_dir(&path).unwrap();
        let destination = Destination::open(&path).unwrap();
        let (_, identity) = destination.found().unwrap();
        let holder = &destination.holder;
        let moved = Dir::rename_new(holder, "copy", holder, "moved").unwrap();
        assert!(matches!(moved, Linked::New));
        fs::create_dir(&path).unwrap();
        fs::write(path.join("stranger"), "of others").unwrap();

        let mut sibling = Sibling::make(&destination).unwrap();
        fs::write(sibling.path().join("ours"), "new").unwrap();
        assert!(!sibling.exchange(identity, &destination).unwrap());
        assert!(path.join("stranger").exists() && sibling.path().join("ours").exists());

        let (_, identity) = destination.found().unwrap();
        assert!(sibling.exchange(identity, &destination).unwrap());
        assert!(path.join("ours").exists() && sibling.path().join("stranger").exists());
        // What lies under our name now is not ours to remove.
        let left = sibling.path();
        drop(sibling);
        assert!(left.join("stranger").exists());
    }
}
