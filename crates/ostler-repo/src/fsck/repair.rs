//! What a check changes when it is asked to: corrupt objects are deleted, missing parents get tombstones.

use super::{Check, Commits, Damage, FsckFinding, FsckReport, check};
use crate::error::{RepoError, Result};
use crate::lock::LockKind;
use ostler_format::{Checksum, ObjectName, ObjectType};
use std::collections::BTreeSet;

impl Check<'_> {
    /// Deletes the corrupt objects of the report, under the exclusive lock and after another look: what was
    /// replaced by a sound one meanwhile stays.
    pub(super) fn delete_corrupt(&self, report: &mut FsckReport) -> Result<()> {
        let corrupt: BTreeSet<ObjectName> = report
            .findings
            .iter()
            .filter_map(|finding| match finding {
                FsckFinding::Object { object, damage, .. } if *damage != Damage::Missing => Some(*object),
                _ => None,
            })
            .collect();
        if corrupt.is_empty() {
            return Ok(());
        }
        let lock = self.repo.lock(LockKind::Exclusive)?;
        for object in corrupt {
            if object.kind == ObjectType::Commit {
                self.mark(&BTreeSet::from([object.checksum]), report)?;
            }
            if self.is_corrupt(&object)? {
                let path = object.loose_path(self.repo.mode());
                let objects = self.repo.objects();
                let deleted = objects
                    .unlink(&path)
                    .map_err(RepoError::io("delete", objects.path_of(&path)))?;
                // An object of the parent repository is for a check of that one.
                if deleted {
                    self.reporter.deleted(&object);
                }
            }
        }
        drop(lock);
        Ok(())
    }

    fn is_corrupt(&self, object: &ObjectName) -> Result<bool> {
        let damage = check::object(self.repo, object)?;
        Ok(damage.is_some_and(|damage| damage != Damage::Missing))
    }

    /// Writes a tombstone for each parent that is not there, and tells clients to look for tombstones.
    pub(super) fn add_tombstones(&self, commits: &Commits, report: &mut FsckReport) -> Result<()> {
        let parents: BTreeSet<Checksum> = commits.values().filter_map(|commit| commit.parent).collect();
        let lock = self.repo.lock(LockKind::Shared)?;
        for parent in parents {
            let gone = !self
                .repo
                .has_object(&ObjectName::new(parent, ObjectType::Commit))?;
            if gone && !self.repo.has_tombstone(&parent)? {
                self.repo.write_tombstone(&parent)?;
                report.tombstones.push(parent);
                self.reporter.added_tombstone(&parent);
            }
        }
        if !report.tombstones.is_empty() && !self.repo.config().tombstone_commits() {
            self.repo.edit_config(|config| {
                config
                    .set("core", "tombstone-commits", "true")
                    .map_err(RepoError::format("config"))
            })?;
        }
        lock.release()
    }
}
