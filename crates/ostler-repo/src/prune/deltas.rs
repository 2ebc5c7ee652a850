//! Removing static deltas.
//!
//! Of each the superblock first, which is what makes it a delta: a client that finds it finds all parts. What a run
//! that was cut short left without one is removed as well. Directories that hold deltas stay, empty or not.

use crate::deltas::{entries, subdirectories};
use crate::error::{RepoError, Result};
use crate::fs::Dir;
use crate::repo::Repo;
use ostler_format::{Checksum, DeltaName};

/// A delta, or what is left of one.
pub(super) struct Found {
    holder: Dir,
    entry: String,
}

/// Returns the deltas to the commits of which `goes` says so.
pub(super) fn find(repo: &Repo, goes: impl Fn(&Checksum) -> Result<bool>) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for (directory, holder) in subdirectories(repo.root(), "deltas")? {
        for entry in entries(&holder)? {
            let Some(name) = DeltaName::from_path(&directory, &entry) else {
                continue;
            };
            if goes(&name.to)? {
                let holder = holder.clone();
                found.push(Found { holder, entry });
            }
        }
    }
    Ok(found)
}

/// Removes the deltas to the commits of which `goes` says so.
pub(super) fn remove(repo: &Repo, goes: impl Fn(&Checksum) -> Result<bool>) -> Result<()> {
    for Found { holder, entry } in find(repo, goes)? {
        holder
            .unlink(format!("{entry}/superblock"))
            .and_then(|_| holder.remove_tree(&entry))
            .map_err(RepoError::io("remove", holder.path_of(&entry)))?;
    }
    Ok(())
}
