//! The sizes of all objects of a commit, for its metadata.
//!
//! Every object is looked at, whether it is new or not: the sizes that count are those of the objects as they are stored,
//! and whoever stored them may have compressed them in another way.

use crate::error::{RepoError, Result};
use crate::transaction::Transaction;
use ostler_format::{Checksum, DirTree, ObjectName, ObjectSizes, ObjectType, SizeEntry};
use std::collections::HashSet;

/// Returns the sizes of a tree's objects.
///
/// # Errors
/// What loading objects returns.
pub(super) fn of_tree(transaction: &Transaction<'_>, tree: Checksum, meta: Checksum) -> Result<ObjectSizes> {
    let mut entries = Vec::new();
    let mut seen = HashSet::new();
    let mut pending = vec![(tree, meta)];
    while let Some((tree, meta)) = pending.pop() {
        let meta = ObjectName::new(meta, ObjectType::DirMeta);
        if seen.insert(meta) {
            entries.push(of_metadata(&meta, &transaction.load_metadata(&meta)?));
        }
        let name = ObjectName::new(tree, ObjectType::DirTree);
        if !seen.insert(name) {
            continue;
        }
        let bytes = transaction.load_metadata(&name)?;
        entries.push(of_metadata(&name, &bytes));
        let contents = DirTree::parse(&bytes).map_err(RepoError::format(format!("object {name}")))?;
        for file in contents.files {
            let name = ObjectName::new(file.checksum, ObjectType::File);
            if seen.insert(name) {
                let (archived, unpacked) = transaction.content_sizes(&file.checksum)?;
                entries.push(entry(&name, archived, unpacked));
            }
        }
        pending.extend(contents.dirs.into_iter().map(|dir| (dir.tree, dir.meta)));
    }
    // A dirtree and a dirmeta cannot have the same bytes, nor anything the checksum of something else.
    ObjectSizes::new(entries).map_err(RepoError::format("sizes of the objects"))
}

fn of_metadata(name: &ObjectName, bytes: &[u8]) -> SizeEntry {
    let size = bytes.len() as u64;
    entry(name, size, size)
}

fn entry(name: &ObjectName, archived: u64, unpacked: u64) -> SizeEntry {
    SizeEntry {
        checksum: name.checksum,
        kind: name.kind,
        archived,
        unpacked,
    }
}
