//! Removing objects and files that their caller knows nobody needs, in steps that do not overtake each other.
//!
//! What one call removes is gone from the disk before anything that a later call removes: the file system keeps that order
//! itself where it has a journal, otherwise the directories are synced.

use crate::error::{RepoError, Result};
use crate::objects::prefixes::prefix_of;
use crate::parallel::spread;
use crate::prune::Tally;
use crate::repo::Repo;
use crate::settle::sync_prefixes;
use ostler_format::ObjectName;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::AtomicBool;

impl Repo {
    /// Removes objects of this repository itself, on several threads; those that are not there are passed over. Returns how
    /// many were there. The caller holds the exclusive lock.
    ///
    /// # Errors
    /// [`RepoError::ReadOnly`], [`RepoError::Io`].
    pub fn remove_objects(&self, names: &[ObjectName], threads: usize) -> Result<Tally> {
        self.require_writable()?;
        let remove = |tally: &mut Tally, name: &ObjectName| {
            if let Some(stat) = self.loose().stat(name)? {
                self.loose().remove(name)?;
                tally.objects += 1;
                tally.bytes += stat.size;
            }
            Ok::<_, RepoError>(())
        };
        let never = AtomicBool::new(false);
        let tallies = spread(names, threads, &never, Tally::default, remove, |_| {})?;
        if self.has_to_sync_removals()? {
            let touched: BTreeSet<u8> = names.iter().map(|name| prefix_of(&name.checksum)).collect();
            sync_prefixes(self.object_dirs(), &touched)
                .map_err(RepoError::io("sync directories of", self.objects().path()))?;
        }
        let mut sum = Tally::default();
        for tally in tallies {
            sum.objects += tally.objects;
            sum.bytes += tally.bytes;
        }
        Ok(sum)
    }

    /// Removes files beside the objects, by their paths, and the directories of deltas and of their indexes that they leave empty; those that
    /// are not there are passed over. Returns how many were there. The caller holds the exclusive lock.
    ///
    /// # Errors
    /// [`RepoError::ReadOnly`], [`RepoError::Io`].
    pub fn remove_files(&self, paths: &[&str]) -> Result<Tally> {
        self.require_writable()?;
        let failed = |path: &Path| RepoError::io("remove", self.root().path_of(path));
        let mut tally = Tally::default();
        let mut holders = BTreeSet::new();
        for path in paths.iter().map(Path::new) {
            if let Some(stat) = self.root().stat(path).map_err(failed(path))? {
                self.root().unlink(path).map_err(failed(path))?;
                tally.objects += 1;
                tally.bytes += stat.size;
            }
            holders.extend(path.parent());
        }
        let sync = self.has_to_sync_removals()?;
        for holder in holders {
            let Some(dir) = self.root().open_dir_if_exists(holder).map_err(failed(holder))? else {
                continue;
            };
            if !self.remove_empty(holder)? && sync {
                dir.fsync().map_err(RepoError::io("sync", dir.path()))?;
            }
        }
        Ok(tally)
    }

    /// Removes a directory of deltas or indexes that is empty, and the one above it if that is empty then. Returns whether
    /// the first one went. Other directories are there to stay.
    fn remove_empty(&self, holder: &Path) -> Result<bool> {
        if !(holder.starts_with("deltas") || holder.starts_with("delta-indexes")) {
            return Ok(false);
        }
        let mut removed = false;
        for path in holder.ancestors().filter(|path| path.components().count() > 1) {
            match self.root().remove_dir(path) {
                Ok(_) => removed = true,
                Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => break,
                Err(error) => return Err(RepoError::io("remove", self.root().path_of(path))(error)),
            }
        }
        Ok(removed)
    }

    fn has_to_sync_removals(&self) -> Result<bool> {
        let objects = self.objects();
        let keeps_order = objects
            .keeps_order()
            .map_err(RepoError::io("look at the file system of", objects.path()))?;
        Ok(self.config().fsync() && !keeps_order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_format::{Checksum, ObjectType, RepoMode};

    #[test]
    fn what_is_there_goes_and_is_counted_and_the_rest_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let repo = Repo::create(dir.path(), RepoMode::Archive, None).unwrap();
        let name = ObjectName::new(Checksum::of(b"x"), ObjectType::DirMeta);
        let path = dir
            .path()
            .join("objects")
            .join(name.loose_path(RepoMode::Archive).as_str());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "12345").unwrap();
        let absent = ObjectName::new(Checksum::of(b"y"), ObjectType::Commit);
        let tally = repo.remove_objects(&[name, absent], 2).unwrap();
        assert_eq!((tally.objects, tally.bytes), (1, 5));
        assert!(!path.exists());
    }

    #[test]
    fn directory_of_a_delta_goes_with_its_last_file_and_no_other_does() {
        let dir = tempfile::tempdir().unwrap();
        let repo = Repo::create(dir.path(), RepoMode::Archive, None).unwrap();
        for path in [
            "deltas/ab/cd/superblock",
            "deltas/ab/cd/0",
            "deltas/ef/g/0",
            "delta-indexes/ab/cd.index",
            "summaries/x.gz",
        ] {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "123").unwrap();
        }
        let tally = repo
            .remove_files(&["deltas/ab/cd/superblock", "summaries/x.gz"])
            .unwrap();
        assert_eq!((tally.objects, tally.bytes), (2, 6));
        assert!(dir.path().join("deltas/ab/cd").is_dir());
        assert!(dir.path().join("summaries").is_dir());
        repo.remove_files(&["delta-indexes/ab/cd.index"]).unwrap();
        assert!(!dir.path().join("delta-indexes/ab").exists());
        let again = ["deltas/ab/cd/superblock", "deltas/ab/cd/0", "nowhere/x/y"];
        assert_eq!(repo.remove_files(&again).unwrap().objects, 1);
        assert!(!dir.path().join("deltas/ab/cd").exists());
        assert!(!dir.path().join("deltas/ab").exists() && dir.path().join("deltas/ef/g").is_dir());
        assert!(dir.path().join("deltas").is_dir());
    }
}
