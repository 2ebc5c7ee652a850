//! Applying a whole delta that lies somewhere.
//!
//! In one transaction: parts first, then the detached metadata that came with the delta, then the commit, and before it ends
//! every object of the commit must be there: a delta never leaves a commit behind that lacks something. No ref moves.

use super::apply::{apply_inline_part, apply_part, has_part};
use super::stored::StoredDelta;
use super::workers::in_order;
use crate::error::{RepoError, Result};
use crate::objects::missing;
use crate::repo::Repo;
use crate::transaction::Transaction;
use ostler_format::delta::Superblock;
use ostler_format::{Checksum, Commit, DirTree, ObjectName, ObjectType};
use std::collections::HashSet;

impl Repo {
    /// Applies a delta. What is to be fetched by itself cannot be, so a delta with such objects is refused.
    ///
    /// # Errors
    /// [`RepoError::Refused`] for a delta that cannot be applied here; [`RepoError::Missing`] when a commit would lack
    /// something; what [`apply_part`] returns; [`RepoError::Io`].
    pub fn apply_delta(&self, delta: &StoredDelta, threads: usize) -> Result<()> {
        let superblock = delta.superblock();
        if let Some(from) = &superblock.from
            && !self.has_object(&ObjectName::new(*from, ObjectType::Commit))?
        {
            // In the words of libostree, as what follows.
            let detail = format!("Commit {from}, which is the delta source, is not in repository");
            return Err(RepoError::Refused { detail });
        }
        if !superblock.fallbacks.is_empty() {
            let detail = "Cannot execute delta offline: contains nonempty http fallback entries".to_owned();
            return Err(RepoError::Refused { detail });
        }
        let transaction = self.begin()?;
        let numbers: Vec<usize> = (0..superblock.parts.len()).collect();
        let apply = |number: &usize| one_part(&transaction, delta, *number);
        in_order(&numbers, &numbers, threads, apply, |_| {})?;
        let commit = ObjectName::new(superblock.to, ObjectType::Commit);
        require_tree(&transaction, superblock)?;
        let detached = superblock.detached_metadata();
        if let Some(detached) = detached.map_err(RepoError::format("superblock"))? {
            transaction.write_detached(&superblock.to, &detached)?;
        }
        transaction.write_named_metadata(&commit, &superblock.commit)?;
        transaction.commit().map(drop)
    }
}

fn one_part(transaction: &Transaction<'_>, delta: &StoredDelta, index: usize) -> Result<()> {
    if has_part(transaction, delta.superblock(), index)? {
        return Ok(());
    }
    match delta.part_file(index)? {
        Some(file) => apply_part(transaction, delta.superblock(), index, file),
        None => apply_inline_part(transaction, delta.superblock(), index),
    }
    .map(drop)
}

/// Checks that everything below the commit is there.
fn require_tree(transaction: &Transaction<'_>, superblock: &Superblock) -> Result<()> {
    let commit = Commit::parse(&superblock.commit).map_err(RepoError::format("commit of the delta"))?;
    require(transaction, commit.root_meta, ObjectType::DirMeta)?;
    let mut seen: HashSet<Checksum> = HashSet::from([commit.root_tree]);
    let mut content: HashSet<Checksum> = HashSet::new();
    let mut stack = vec![commit.root_tree];
    while let Some(tree) = stack.pop() {
        let name = ObjectName::new(tree, ObjectType::DirTree);
        let bytes = transaction.load_metadata(&name)?;
        let tree = DirTree::parse(&bytes).map_err(RepoError::format(format!("object {name}")))?;
        for file in &tree.files {
            if content.insert(file.checksum) {
                require(transaction, file.checksum, ObjectType::File)?;
            }
        }
        for dir in &tree.dirs {
            if content.insert(dir.meta) {
                require(transaction, dir.meta, ObjectType::DirMeta)?;
            }
            if seen.insert(dir.tree) {
                stack.push(dir.tree);
            }
        }
    }
    Ok(())
}

fn require(transaction: &Transaction<'_>, checksum: Checksum, kind: ObjectType) -> Result<()> {
    let name = ObjectName::new(checksum, kind);
    if transaction.has(&name)? || transaction.repo().has_object(&name)? {
        return Ok(());
    }
    Err(missing(&name))
}
