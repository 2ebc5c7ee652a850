//! Moving staged objects into `objects/`.
//!
//! The order of effects, and what a reader or a crash sees after each:
//!
//! 1. The file system is synced: the bytes of every staged object are on disk, under names that nobody reads.
//!    Marks of partial commits that were set before are on disk as well. Where that fails, what was staged is
//!    thrown away.
//! 2. The objects are renamed into place in the order given, children before what names them: a reader who
//!    finds an object finds everything below it. A crash leaves garbage, never a hole. Nothing is replaced that
//!    is there, except detached metadata, what the caller found damaged, and files without any bytes where ours
//!    has some: those a power cut made.
//! 3. The directories are synced: the names are on disk. Only now may a ref name a commit.
//!
//! With `core.fsync=false` steps 1 and 3 are left out, and a power cut may leave anything.
//! Journaling file systems bring the renames of step 2 to disk in the order in which they were made.

use crate::error::{RepoError, Result};
use crate::fs::{Dir, Linked};
use crate::objects::prefixes::{PrefixDirs, file_name, prefix_of};
use crate::repo::Repo;
use crate::staging::Staging;
use ostler_format::{ObjectName, ObjectType};
use std::collections::{BTreeSet, HashSet};
use std::io;

/// Up to this many directories are synced one by one; beyond, one sync of the file system is cheaper.
const SYNCED_ONE_BY_ONE: usize = 8;

/// What settling did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SettleStats {
    /// Objects that went into place.
    pub settled_objects: u64,
    /// Objects that another writer had put there meanwhile.
    pub found_objects: u64,
    /// Damaged objects that were replaced.
    pub healed_objects: u64,
}

/// The ranks of types: an object only names objects of lower rank, or dirtrees among each other.
pub(crate) fn rank(kind: ObjectType) -> u8 {
    match kind {
        ObjectType::FileXattrs => 0,
        ObjectType::FileXattrsLink => 1,
        ObjectType::File => 2,
        ObjectType::PayloadLink => 3,
        ObjectType::DirMeta => 4,
        ObjectType::DirTree => 5,
        // Detached metadata goes before the commit: who sees the commit sees its signatures.
        ObjectType::CommitMeta => 6,
        ObjectType::Commit => 7,
        ObjectType::TombstoneCommit => 8,
    }
}

impl Staging {
    /// Moves the objects in `order` into place; see the module for what happens when. Every object is one that
    /// was staged here, and stands after those that it names. Those in `damaged` replace what is in place.
    ///
    /// # Errors
    /// [`RepoError::Io`]: what went into place before stays there, the rest stays staged.
    pub fn settle(
        &self,
        repo: &Repo,
        order: &[ObjectName],
        damaged: &HashSet<ObjectName>,
        durable: bool,
    ) -> Result<SettleStats> {
        let mut stats = SettleStats::default();
        if order.is_empty() {
            return Ok(stats);
        }
        if durable {
            repo.sync_objects().inspect_err(|_| self.spoil())?;
        }
        let mut touched = BTreeSet::new();
        for name in order {
            self.move_object(repo, name, damaged.contains(name), &mut stats)
                .map_err(RepoError::io("move into place", repo.loose().path_of(name)))?;
            touched.insert(prefix_of(&name.checksum));
            if name.kind == ObjectType::Commit {
                repo.remove_tombstone(&name.checksum)?;
            }
        }
        if durable {
            sync_directories(repo, &touched)?;
        }
        Ok(stats)
    }

    fn move_object(
        &self,
        repo: &Repo,
        name: &ObjectName,
        damaged: bool,
        stats: &mut SettleStats,
    ) -> io::Result<()> {
        let prefix = prefix_of(&name.checksum);
        let file = file_name(name, repo.mode());
        let file = file.as_str();
        let from = self.prefixes().get(prefix)?.ok_or(io::ErrorKind::NotFound)?;
        let to = repo.object_dirs().ensure(prefix)?;
        if name.kind == ObjectType::CommitMeta {
            Dir::rename_over(from, file, to, file)?;
            stats.settled_objects += 1;
            return Ok(());
        }
        if !damaged && Dir::rename_new(from, file, to, file)? == Linked::New {
            stats.settled_objects += 1;
            return Ok(());
        }
        let was_there = to.stat(file)?;
        let emptied = matches!((was_there, from.stat(file)?), (Some(theirs), Some(ours)) if theirs.size == 0 && ours.size > 0);
        if damaged || emptied {
            Dir::rename_over(from, file, to, file)?;
            stats.settled_objects += 1;
            stats.healed_objects += u64::from(was_there.is_some());
        } else {
            from.unlink(file)?;
            stats.found_objects += 1;
        }
        Ok(())
    }
}

/// Brings the names in prefix directories to disk, of which there are at most 256.
pub(crate) fn sync_prefixes(target: &PrefixDirs, touched: &BTreeSet<u8>) -> io::Result<()> {
    touched
        .iter()
        .try_for_each(|prefix| target.get(*prefix)?.map_or(Ok(()), Dir::fsync))
}

impl Repo {
    /// Brings everything on the file system of the objects to disk.
    pub(crate) fn sync_objects(&self) -> Result<()> {
        self.objects()
            .syncfs()
            .map_err(RepoError::io("sync", self.objects().path()))
    }
}

/// Brings the names in the given prefix directories to disk, and those of directories that were made.
pub(crate) fn sync_directories(repo: &Repo, touched: &BTreeSet<u8>) -> Result<()> {
    let target = repo.object_dirs();
    let grown = target.take_grown();
    if touched.len() > SYNCED_ONE_BY_ONE {
        return repo.sync_objects();
    }
    let sync = || {
        sync_prefixes(target, touched)?;
        if grown { target.root().fsync() } else { Ok(()) }
    };
    sync().map_err(RepoError::io("sync directories of", repo.objects().path()))
}
