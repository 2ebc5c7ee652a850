//! The refs of a summary, with what it says of their commits.

use crate::error::{RepoError, Result};
use crate::parallel::{READERS, spread};
use crate::repo::Repo;
use ostler_format::{Checksum, CollectionRef, CommitEntry, ObjectName, ObjectType, Summary};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;

/// Refs of the repository itself, without a collection, and of other collections.
type Refs = BTreeMap<CollectionRef, Checksum>;

/// Returns the refs of the repository itself, aliases included, and those of other collections.
pub(super) fn list(repo: &Repo) -> Result<Refs> {
    let own = repo.config().collection_id();
    let named = |collection, name| CollectionRef { collection, name };
    let mut refs: Refs = match own {
        None => repo
            .list_heads()?
            .into_iter()
            .map(|(name, commit)| (named(None, name), commit))
            .collect(),
        // They are among those of collections.
        Some(_) => Refs::new(),
    };
    for (reference, commit) in repo.list_collection_refs()? {
        let collection = reference.collection.filter(|id| Some(id) != own);
        refs.insert(named(collection, reference.name), commit);
    }
    Ok(refs)
}

/// Describes the commits of refs, each once: from the old summary, or by reading them. Missing ones are left out.
pub(super) fn describe(repo: &Repo, refs: &Refs, old: &Summary) -> Result<HashMap<Checksum, CommitEntry>> {
    let mut known = old.known_commits();
    let mut unknown: Vec<Checksum> = refs
        .values()
        .filter(|checksum| !known.contains_key(checksum))
        .copied()
        .collect();
    unknown.sort_unstable();
    unknown.dedup();
    let read = |described: &mut Vec<_>, checksum: &Checksum| {
        match read(repo, checksum) {
            Ok(commit) => described.push((*checksum, commit)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    };
    let states = spread(&unknown, READERS, &AtomicBool::new(false), Vec::new, read, |_| {})?;
    known.extend(states.into_iter().flatten());
    Ok(known)
}

fn read(repo: &Repo, checksum: &Checksum) -> Result<CommitEntry> {
    let name = ObjectName::new(*checksum, ObjectType::Commit);
    let bytes = repo.load_metadata(&name)?;
    CommitEntry::of_commit(&bytes).map_err(RepoError::format(format!("object {name}")))
}
