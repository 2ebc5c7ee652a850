//! Everything that commits of a store need, read from the store itself.
//!
//! The trees are read without a lock; they never change. Under the lease everything that they named is looked at.

use crate::check::in_parallel;
use crate::error::{Result, TransferError};
use crate::store::{Store, object_path};
use ostler_format::{Checksum, Commit, DirTree, ObjectName, ObjectType};
use std::collections::BTreeSet;

/// The largest commit or dirtree that is read, in bytes.
const METADATA_LIMIT: u64 = 128 << 20;

/// At most this many missing objects are named.
const NAMED: usize = 20;

/// Objects that have to be there.
#[derive(Debug, Default)]
pub(super) struct Needed {
    objects: BTreeSet<ObjectName>,
    missing: Vec<ObjectName>,
}

impl Needed {
    /// Walks commits; those that are marked as partial count as missing.
    pub(super) fn by(
        store: &dyn Store,
        commits: &BTreeSet<Checksum>,
        partial: &BTreeSet<Checksum>,
    ) -> Result<Self> {
        let mut needed = Self::default();
        let mut level = BTreeSet::new();
        for commit in commits {
            let name = ObjectName::new(*commit, ObjectType::Commit);
            let bytes = store.get(&object_path(name), METADATA_LIMIT)?;
            match bytes.filter(|bytes| !bytes.is_empty() && !partial.contains(commit)) {
                None => needed.missing.push(name),
                Some(bytes) => {
                    let commit = Commit::parse(&bytes).map_err(TransferError::format(name))?;
                    needed.objects.insert(name);
                    let meta = ObjectName::new(commit.root_meta, ObjectType::DirMeta);
                    needed.objects.insert(meta);
                    level.insert(commit.root_tree);
                }
            }
        }
        while !level.is_empty() {
            level = needed.descend(store, &level)?;
        }
        let missing = needed.look(store)?;
        needed.missing.extend(missing);
        needed.missing.truncate(NAMED);
        Ok(needed)
    }

    /// Reads dirtrees, and returns those that they name and that were not read before.
    fn descend(&mut self, store: &dyn Store, level: &BTreeSet<Checksum>) -> Result<BTreeSet<Checksum>> {
        let tree = |checksum: &Checksum| ObjectName::new(*checksum, ObjectType::DirTree);
        let level: Vec<_> = level.iter().map(tree).collect();
        let read = in_parallel(store, &level, |name| {
            let bytes = store.get(&object_path(*name), METADATA_LIMIT)?;
            let parse = |bytes: Vec<u8>| DirTree::parse(&bytes).map_err(TransferError::format(name));
            bytes.filter(|bytes| !bytes.is_empty()).map(parse).transpose()
        })?;
        // Those that were not there are found missing when everything is looked at.
        self.objects.extend(level);
        let mut below = BTreeSet::new();
        for contents in read {
            let files = contents.files.iter();
            self.objects
                .extend(files.map(|file| ObjectName::new(file.checksum, ObjectType::File)));
            for dir in &contents.dirs {
                self.objects
                    .insert(ObjectName::new(dir.meta, ObjectType::DirMeta));
                below.insert(dir.tree);
            }
        }
        below.retain(|checksum| !self.objects.contains(&tree(checksum)));
        Ok(below)
    }

    /// Returns what was not there when it was read.
    pub(super) fn missing(&self) -> &[ObjectName] {
        &self.missing
    }

    /// Returns some of what is not there, or has no bytes.
    pub(super) fn look(&self, store: &dyn Store) -> Result<Vec<ObjectName>> {
        let objects: Vec<_> = self.objects.iter().copied().collect();
        let mut missing = in_parallel(store, &objects, |name| {
            let found = store.look(name)?;
            Ok(found.is_none_or(|size| size == 0).then_some(*name))
        })?;
        missing.sort_unstable();
        missing.truncate(NAMED);
        Ok(missing)
    }
}
