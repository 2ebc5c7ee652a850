//! Reading dirtrees, and finding out what of what they name is not here.
//!
//! A tree is compared with the one at the same place in a commit that is complete here: what is equal on both sides is here, with
//! all below it, and is not looked at. Everything else is looked for once. A tree that is here, but not known to be complete, is
//! read as well.

use super::crew::{Crew, Job, Need};
use super::subpath::Part;
use crate::error::{Result, TransferError};
use ostler_format::{Checksum, DirTree, DirTreeView, ObjectName, ObjectType};
use ostler_repo::RepoError;
use ostler_repo::walk::MAX_DEPTH;

/// A dirtree to be read.
#[derive(Debug, Clone)]
pub(super) struct TreeTask {
    pub(super) tree: Checksum,
    /// The tree at the same place in a commit that is complete here.
    pub(super) base: Option<Checksum>,
    /// What of it is wanted.
    pub(super) part: Part,
    /// What is here may be damaged, and is read to find out.
    pub(super) heals: bool,
    /// How many directories it lies in.
    pub(super) depth: usize,
}

impl Crew<'_> {
    /// Sees to it that a tree, with all that is wanted of it, will be here.
    pub(super) fn want_tree(&self, task: TreeTask) -> Result<()> {
        if task.base == Some(task.tree) {
            return Ok(());
        }
        let name = ObjectName::new(task.tree, ObjectType::DirTree);
        // Only a tree that is read as a whole covers what else is wanted of it, here or at another place.
        let new = if task.part.is_all() {
            self.seen.insert(name, task.heals)
        } else {
            !self.seen.covers(&name, task.heals)
        };
        if !new {
            return Ok(());
        }
        if self.is_sound_here(&name, task.heals)? {
            self.start(Job::Scan(task));
        } else {
            self.obtain(Need::Tree(task));
        }
        Ok(())
    }

    /// Sees to it that a content object or a dirmeta will be here.
    pub(super) fn want_leaf(&self, name: ObjectName, heals: bool) -> Result<()> {
        if self.seen.insert(name, heals) && !self.is_sound_here(&name, heals)? {
            self.obtain(Need::Leaf(name));
        }
        Ok(())
    }

    /// Returns whether an object is here; with `heals`, one that is damaged counts as missing and is replaced.
    fn is_sound_here(&self, name: &ObjectName, heals: bool) -> Result<bool> {
        if !self.has(name)? {
            return Ok(false);
        }
        if !heals {
            return Ok(true);
        }
        match self.scene.repo.verify_object(name) {
            Err(RepoError::Corrupt { .. } | RepoError::Format { .. }) => {
                self.scene.transaction.replace_damaged(*name);
                Ok(false)
            }
            Err(error) if !error.is_not_found() => Err(error.into()),
            // Not in the repository itself, but staged.
            _ => Ok(true),
        }
    }

    /// Reads a tree that is here.
    pub(super) fn scan_stored(&self, task: &TreeTask) -> Result<()> {
        let name = ObjectName::new(task.tree, ObjectType::DirTree);
        let bytes = self.scene.transaction.load_metadata(&name)?;
        self.scan(task, &bytes)
    }

    /// Finds out what a tree needs.
    pub(super) fn scan(&self, task: &TreeTask, bytes: &[u8]) -> Result<()> {
        if task.depth >= MAX_DEPTH {
            let what = format!("a tree of more than {MAX_DEPTH} directories in one another");
            return Err(RepoError::Unsupported { what }.into());
        }
        let subject = || format!("object {}", ObjectName::new(task.tree, ObjectType::DirTree));
        let view = DirTreeView::parse(bytes).map_err(TransferError::format(subject()))?;
        let old = self.base_tree(task)?;
        for file in view.files().filter(|file| task.part.has_file(file.name)) {
            let old = old.as_ref().and_then(|old| old.file(file.name));
            if old.is_none_or(|old| old.checksum != file.checksum) {
                self.want_leaf(ObjectName::new(file.checksum, ObjectType::File), task.heals)?;
            }
        }
        for dir in view.dirs() {
            let Some(part) = task.part.of_dir(dir.name) else {
                continue;
            };
            let old = old.as_ref().and_then(|old| old.dir(dir.name));
            if old.is_none_or(|old| old.meta != dir.meta) {
                self.want_leaf(ObjectName::new(dir.meta, ObjectType::DirMeta), task.heals)?;
            }
            self.want_tree(TreeTask {
                tree: dir.tree,
                base: old.map(|old| old.tree),
                part,
                heals: task.heals,
                depth: task.depth + 1,
            })?;
        }
        Ok(())
    }

    fn base_tree(&self, task: &TreeTask) -> Result<Option<DirTree>> {
        let Some(base) = &task.base else {
            return Ok(None);
        };
        match self.scene.repo.load_dirtree(base) {
            Ok(tree) => Ok(Some(tree)),
            // A hole in what should be complete: all of the new tree is looked at then.
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
