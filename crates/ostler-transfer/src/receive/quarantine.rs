//! Where what is pushed waits until all of it is here: an archive of its own, whose parent is the repository.
//!
//! ```text
//! extensions/ostler/incoming/<pusher>~<boot id>~<random>/       the archive, for its owner only
//! extensions/ostler/incoming/<pusher>~<boot id>~<random>-lock   held by the receiver; whoever can take it may go on with it
//! extensions/ostler/incoming/turn                               held by the receiver that publishes
//! ```
//! One that a receiver left is taken over by the next push of the same pusher, and of nobody else: nobody finds out, or
//! relies on, what others have brought. One of an earlier boot, or that is older than `core.tmp-expiry-secs`, is removed by
//! whoever comes next. Nothing in it is synced: what is taken over from it is hashed, and what is published is synced in the repository.

use crate::error::{Result, TransferError};
use ostler_format::RepoMode;
use ostler_format::wire::Update;
use ostler_repo::fs::{Dir, FileKind};
use ostler_repo::{Expected, FileLock, OpenOptions, RefEdit, Repo, RepoError};
use std::fs::canonicalize;
use std::io;
use std::path::{Path, PathBuf};

const PLACE: &str = "extensions/ostler/incoming";
const TURN: &str = "turn";
const LOCK_SUFFIX: &str = "-lock";

/// What stands between the parts of a name; no pusher has it in theirs.
const SEPARATOR: char = '~';

/// The longest name of a pusher.
const MAX_PUSHER: usize = 64;

/// What a file takes at least.
const BLOCK: u64 = 4096;

/// Settings of the repository that hold for the archive as well.
const INHERITED: [&str; 2] = ["min-free-space-percent", "min-free-space-size"];

/// A quarantine in use.
#[derive(Debug)]
pub(super) struct Quarantine {
    repo: Repo,
    holder: Dir,
    name: String,
    /// Held until the end.
    _lock: FileLock,
}

impl Quarantine {
    /// Takes over what an earlier push of the same pusher left, or begins anew.
    pub(super) fn open(repo: &Repo, pusher: &str, options: &OpenOptions, now: u64) -> Result<Self> {
        let holder = holder(repo)?;
        let own = own_prefix(repo, pusher)?;
        let (name, lock) = match Self::left(repo, &holder, pusher, now)? {
            Some(left) => left,
            None => make(&holder, &own)?,
        };
        let path = holder.path_of(&name);
        let archive = Repo::create(&path, RepoMode::Archive, None)?;
        let failed = |doing| RepoError::io(doing, &path);
        // Refs that were to be published when the receiver went.
        let root = archive.root();
        root.remove_tree("refs/heads")
            .and_then(|()| root.ensure_dir("refs/heads", 0o700))
            .map_err(failed("tidy up"))?;
        let parent = canonicalize(repo.path()).map_err(failed("look at the parent of"))?;
        let parent = parent
            .to_str()
            .map(str::to_owned)
            .ok_or_else(|| TransferError::Denied(format!("{} is no UTF-8", repo.path().display())))?;
        let settings = repo.config().keyfile();
        archive.edit_config(|file| {
            file.set("core", "parent", &parent)?;
            file.set("core", "fsync", "false")?;
            for key in INHERITED {
                if let Some(value) = settings.get("core", key)? {
                    file.set("core", key, &value)?;
                }
            }
            Ok(())
        })?;
        Ok(Self {
            repo: Repo::open_with(&path, options.clone())?,
            holder,
            name,
            _lock: lock,
        })
    }

    /// Returns the archive.
    pub(super) fn repo(&self) -> &Repo {
        &self.repo
    }

    /// Removes detached metadata, which the pusher sends anew: signatures that were added for one ref are not for another.
    pub(super) fn forget_detached(&self) -> Result<()> {
        let root = self.repo.root();
        let objects = root
            .open_dir("objects")
            .map_err(RepoError::io("open", root.path_of("objects")))?;
        let failed = || RepoError::io("tidy up", objects.path());
        for prefix in objects.entries().map_err(failed())? {
            if prefix.kind != FileKind::Directory {
                continue;
            }
            let held = objects.open_dir(&prefix.name).map_err(failed())?;
            for entry in held.entries().map_err(failed())? {
                if Path::new(&entry.name)
                    .extension()
                    .is_some_and(|kind| kind == "commitmeta")
                {
                    held.unlink(&entry.name).map_err(failed())?;
                }
            }
        }
        Ok(())
    }

    /// Returns how many bytes wait for all pushers, and for this one.
    pub(super) fn occupied(&self) -> Result<(u64, u64)> {
        let failed = || RepoError::io("look at what waits in", self.holder.path());
        let mine = self.name.split(SEPARATOR).next().unwrap_or_default();
        let (mut all, mut own) = (0, 0);
        for entry in self.holder.entries().map_err(failed())? {
            let Some(name) = entry.name.to_str().filter(|_| entry.kind == FileKind::Directory) else {
                continue;
            };
            let bytes = bytes_below(&self.holder, name).map_err(failed())?;
            all += bytes;
            if name.split(SEPARATOR).next() == Some(mine) {
                own += bytes;
            }
        }
        Ok((all, own))
    }

    /// Removes what others left, and what this pusher left before, unless somebody uses it: it would only spare them to send it again.
    pub(super) fn remove_unused(&self) -> Result<()> {
        let entries = self.holder.entries();
        for entry in entries.map_err(RepoError::io("list", self.holder.path()))? {
            let Some(name) = entry.name.to_str().filter(|_| entry.kind == FileKind::Directory) else {
                continue;
            };
            if name == self.name {
                continue;
            }
            if let Some(_lock) = FileLock::try_acquire(&self.holder, lock_name(name))? {
                remove(&self.holder, name)?;
            }
        }
        Ok(())
    }

    /// Removes it: what is in it is published, or not wanted.
    pub(super) fn discard(self) -> Result<()> {
        remove(&self.holder, &self.name)
    }

    /// Removes what earlier pushes of the same pusher left, and of others what nobody will come back for.
    pub(super) fn tidy(repo: &Repo, pusher: &str, now: u64) -> Result<()> {
        let holder = holder(repo)?;
        while let Some((name, lock)) = Self::left(repo, &holder, pusher, now)? {
            remove(&holder, &name)?;
            drop(lock);
        }
        Ok(())
    }

    /// Waits until no other receiver publishes.
    pub(super) fn turn(repo: &Repo) -> Result<FileLock> {
        let observer = repo.observer();
        let limit = repo.config().lock_timeout();
        Ok(FileLock::acquire(
            &holder(repo)?,
            TURN,
            limit,
            observer.as_deref(),
        )?)
    }

    /// Returns one that nobody uses; those of earlier boots, and those that are old, go.
    fn left(repo: &Repo, holder: &Dir, pusher: &str, now: u64) -> Result<Option<(String, FileLock)>> {
        let own = own_prefix(repo, pusher)?;
        let boot = format!("{SEPARATOR}{}{SEPARATOR}", repo.boot_id()?);
        let expiry = repo.config().tmp_expiry().as_secs();
        let entries = holder.entries().map_err(RepoError::io("list", holder.path()))?;
        for entry in entries {
            let Some(name) = entry.name.to_str().map(str::to_owned) else {
                continue;
            };
            if entry.kind != FileKind::Directory {
                // The lock of somebody who died goes when it is taken and let go.
                drop(FileLock::try_acquire(holder, &name)?);
                continue;
            }
            let Some(lock) = FileLock::try_acquire(holder, lock_name(&name))? else {
                continue;
            };
            let stat = holder
                .stat(&name)
                .map_err(RepoError::io("look at", holder.path_of(&name)))?;
            // Somebody else was through with it just now.
            let Some(stat) = stat else { continue };
            let age = now.saturating_sub(u64::try_from(stat.mtime.0).unwrap_or_default());
            if !name.contains(&boot) || age > expiry {
                remove(holder, &name)?;
            } else if name.starts_with(&own) {
                return Ok(Some((name, lock)));
            }
        }
        Ok(None)
    }
}

/// Returns the edits that let the archive's refs name what is to be published.
pub(super) fn ref_edits(updates: &[Update]) -> Vec<RefEdit> {
    let edit = |update: &Update| {
        let name = ostler_format::Refspec {
            remote: None,
            name: update.name.clone(),
        };
        update.new.map(|new| RefEdit::set(name, Expected::Any, new))
    };
    updates.iter().filter_map(edit).collect()
}

/// Checks the name of a pusher: letters, digits, `.`, `_` and `-`, no more than 64.
pub(super) fn check_pusher(pusher: &str) -> Result<()> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if pusher.is_empty() || pusher.len() > MAX_PUSHER || !pusher.bytes().all(is_plain) {
        return Err(TransferError::Denied(format!(
            "'{}' is no name for a pusher: 1 to {MAX_PUSHER} of A-Z, a-z, 0-9, '.', '_' and '-' are expected",
            pusher.escape_debug()
        )));
    }
    Ok(())
}

fn own_prefix(repo: &Repo, pusher: &str) -> Result<String> {
    check_pusher(pusher)?;
    Ok(format!("{pusher}{SEPARATOR}{}{SEPARATOR}", repo.boot_id()?))
}

fn holder(repo: &Repo) -> Result<Dir> {
    let failed = || RepoError::io("make", repo.root().path_of(PLACE));
    repo.root()
        .ensure_dir("extensions/ostler", 0o777)
        .map_err(failed())?;
    repo.root().ensure_dir(PLACE, 0o700).map_err(failed())?;
    Ok(repo.root().open_dir(PLACE).map_err(failed())?)
}

fn make(holder: &Dir, prefix: &str) -> Result<(String, FileLock)> {
    loop {
        let name = holder
            .make_random_dir(prefix, 0o700)
            .map_err(RepoError::io("make a quarantine in", holder.path()))?;
        // Another receiver that starts just now may take it over before we lock it; then we make another.
        let lock = FileLock::try_acquire(holder, lock_name(&name))?;
        let there = holder
            .stat(&name)
            .map_err(RepoError::io("look at", holder.path_of(&name)))?;
        if let (Some(lock), Some(_)) = (lock, there) {
            return Ok((name, lock));
        }
    }
}

/// Returns how many bytes the files below a directory have, each at least those of a block. What goes meanwhile does not count.
fn bytes_below(holder: &Dir, name: &str) -> io::Result<u64> {
    let mut bytes = 0;
    let mut left = vec![PathBuf::from(name)];
    while let Some(path) = left.pop() {
        let Some(dir) = holder.open_dir_if_exists(&path)? else {
            continue;
        };
        for entry in dir.entries()? {
            if entry.kind == FileKind::Directory {
                left.push(path.join(&entry.name));
            } else if let Some(stat) = dir.stat(&entry.name)? {
                bytes += stat.size.max(BLOCK);
            }
        }
    }
    Ok(bytes)
}

/// Removes a quarantine whose lock is held.
fn remove(holder: &Dir, name: &str) -> Result<()> {
    holder
        .remove_tree(name)
        .map_err(RepoError::io("remove", holder.path_of(name)))?;
    Ok(())
}

fn lock_name(name: &str) -> String {
    format!("{name}{LOCK_SUFFIX}")
}
