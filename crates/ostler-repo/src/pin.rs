//! A pin: hard links that keep objects of a repository while they are sent somewhere, whatever a prune does.
//!
//! ```text
//! tmp/ostler-pin-<random>/      links, without prefix directories; other files under `files/`
//! tmp/ostler-pin-<random>-lock    held as long as the pin is in use; whoever can take it may remove both
//! ```
//! Made under the shared lock, used without it. Dying leaves the directory, which [`remove_stale`] removes (as any tool
//! does when it is older than `core.tmp-expiry-secs`).

use crate::error::{RepoError, Result};
use crate::fs::Dir;
use crate::lock::FileLock;
use crate::objects::archive::ArchiveStream;
use crate::objects::content::Checking;
use crate::objects::loose::LooseStore;
use crate::objects::missing;
use crate::objects::prefixes::{PrefixDirs, file_name, prefix_of};
use crate::repo::Repo;
use ostler_format::{Checksum, ObjectName, ObjectType, RepoMode};
use std::io;

const PREFIX: &str = "ostler-pin-";
const FILES: &str = "files";
const LOCK_SUFFIX: &str = "-lock";

/// Links to objects and files of a repository; removed when dropped.
#[derive(Debug)]
pub struct PinDir<'repo> {
    repo: &'repo Repo,
    name: String,
    dirs: PrefixDirs,
    lock: Option<FileLock>,
}

impl<'repo> PinDir<'repo> {
    /// Links objects (of the repository or its parents) and other files, by their paths in the repository.
    /// The caller holds the shared lock.
    ///
    /// # Errors
    /// [`RepoError::NotFound`] for an object that is missing; [`RepoError::Io`] where links are not to be had
    /// (see [`is_link_refusal`]).
    pub fn make<'n>(
        repo: &'repo Repo,
        objects: impl IntoIterator<Item = ObjectName>,
        files: impl IntoIterator<Item = &'n str>,
    ) -> Result<Self> {
        remove_stale(repo)?;
        let tmp = repo.tmp()?;
        let failed = || RepoError::io("make a pin in", tmp.path());
        let pin = loop {
            let name = tmp.make_random_dir(PREFIX, 0o700).map_err(failed())?;
            let lock = FileLock::try_acquire(tmp, lock_name(&name))?;
            let dir = tmp.open_dir_if_exists(&name).map_err(failed())?;
            // Somebody who tidies up may take it for stale before we lock it; then we make another.
            if let (Some(lock), Some(dir)) = (lock, dir) {
                break Self {
                    repo,
                    name,
                    dirs: PrefixDirs::flat(dir),
                    lock: Some(lock),
                };
            }
        };
        for object in objects {
            pin.link(&object)?;
        }
        for path in files {
            pin.link_file(path)
                .map_err(RepoError::io("link", repo.root().path_of(path)))?;
        }
        Ok(pin)
    }

    fn link(&self, name: &ObjectName) -> Result<()> {
        let owner = self.repo.owner_of(name)?;
        self.link_own(owner, name)?;
        if owner.mode() == RepoMode::BareSplitXattrs && name.kind == ObjectType::File {
            self.link_own(owner, &ObjectName::new(name.checksum, ObjectType::FileXattrsLink))?;
        }
        Ok(())
    }

    fn link_own(&self, owner: &Repo, name: &ObjectName) -> Result<()> {
        let (dir, file) = owner.place_of(name)?;
        let linked = self
            .dirs
            .ensure(prefix_of(&name.checksum))
            .and_then(|to| to.link_from(&file, &dir, &file));
        match linked {
            Ok(_) => Ok(()),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Err(missing(name)),
            Err(fault) => Err(RepoError::io("link", dir.path_of(&file))(fault)),
        }
    }

    fn link_file(&self, path: &str) -> io::Result<()> {
        let here = format!("{FILES}/{path}");
        if let Some((holder, _)) = here.rsplit_once('/') {
            self.dirs.root().ensure_dir(holder, 0o700)?;
        }
        self.dirs.root().link_from(here, self.repo.root(), path).map(drop)
    }

    fn loose(&self) -> LooseStore<'_> {
        LooseStore {
            dirs: &self.dirs,
            mode: self.repo.mode(),
            reads_xattrs: !self.repo.config().disable_xattrs(),
        }
    }

    /// Returns where an object lies: a directory and a name in it.
    ///
    /// # Errors
    /// [`RepoError::NotFound`] if it was not pinned; [`RepoError::Io`].
    pub fn place_of(&self, name: &ObjectName) -> Result<(Dir, String)> {
        let dir = self.loose().directory_of(name)?.ok_or_else(|| missing(name))?;
        Ok((dir.clone(), file_name(name, self.repo.mode()).as_str().to_owned()))
    }

    /// Returns where another file lies: a directory and a path in it.
    pub fn place_of_file(&self, path: &str) -> (Dir, String) {
        (self.dirs.root().clone(), format!("{FILES}/{path}"))
    }

    /// Opens a content object as an archive stores it; see [`Repo::archive_stream`].
    ///
    /// # Errors
    /// As there.
    pub fn archive_stream(&self, checksum: &Checksum) -> Result<ArchiveStream> {
        let name = ObjectName::new(*checksum, ObjectType::File);
        let content = self
            .loose()
            .content(checksum, Checking::Quick)?
            .ok_or_else(|| missing(&name))?;
        ArchiveStream::new(content, self.repo.config().zlib_level())
    }
}

impl Drop for PinDir<'_> {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next pin, or by any tool after a day.
        if let Ok(tmp) = self.repo.tmp() {
            drop(tmp.remove_tree(&self.name));
        }
        drop(self.lock.take());
    }
}

/// Returns whether a failure means that hard links are not to be had here: another file system, another owner's
/// files, too many links.
pub fn is_link_refusal(fault: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, ReadOnlyFilesystem, TooManyLinks, Unsupported};
    matches!(
        fault.kind(),
        CrossesDevices | PermissionDenied | ReadOnlyFilesystem | TooManyLinks | Unsupported
    )
}

/// Removes pins whose owners have died: those whose lock can be taken. The caller may write to the repository.
///
/// # Errors
/// [`RepoError::ReadOnly`], [`RepoError::Io`].
pub fn remove_stale(repo: &Repo) -> Result<()> {
    let tmp = repo.tmp()?;
    for entry in tmp.entries().map_err(RepoError::io("list", tmp.path()))? {
        let name = entry.name.to_string_lossy().into_owned();
        if name.starts_with(PREFIX)
            // The lock of a pin that is gone is removed by taking it.
            && let Some(lock) = FileLock::try_acquire(tmp, lock_name(name.trim_end_matches(LOCK_SUFFIX)))?
        {
            tmp.remove_tree(name.trim_end_matches(LOCK_SUFFIX))
                .map_err(RepoError::io("remove", tmp.path_of(&name)))?;
            drop(lock);
        }
    }
    Ok(())
}

fn lock_name(name: &str) -> String {
    format!("{name}{LOCK_SUFFIX}")
}
