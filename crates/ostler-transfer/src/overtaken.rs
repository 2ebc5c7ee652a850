//! Refs of the target that somebody else has moved beyond a snapshot while the run was under way.
//!
//! Of two runs from one source the slower one finds commits there that descend from its own. There is nothing left to do
//! for such a ref, nor to undo: a forced step back is meant against what the target had when the run began.

use crate::error::Result;
use crate::history::link_at;
use crate::snapshot::Snapshot;
use crate::store::Store;
use ostler_format::{Checksum, CollectionRef};
use ostler_repo::Repo;
use std::collections::BTreeMap;

/// Takes those refs off a snapshot that are not at the target what they were when the run `began`, and lead `now` to
/// descendants of what the snapshot has. Returns them, with what they lead to.
pub(crate) fn take(
    places: (&Repo, &dyn Store),
    snapshot: &mut Snapshot,
    began: &BTreeMap<CollectionRef, Checksum>,
    now: &BTreeMap<CollectionRef, Checksum>,
) -> Result<Vec<(CollectionRef, Checksum)>> {
    let mut overtaken = Vec::new();
    for (name, ours) in &snapshot.refs {
        let Some(theirs) = now.get(name) else { continue };
        let has_moved = theirs != ours && began.get(name) != Some(theirs);
        if has_moved && descends(places, *theirs, *ours)? {
            overtaken.push((name.clone(), *theirs));
        }
    }
    for (name, _) in &overtaken {
        snapshot.refs.remove(name);
    }
    Ok(overtaken)
}

/// Returns whether `ancestor` is among the ancestors of `tip`, as far as these are at the target or in the source.
fn descends(places: (&Repo, &dyn Store), tip: Checksum, ancestor: Checksum) -> Result<bool> {
    let mut next = Some(tip);
    while let Some(commit) = next.filter(|commit| *commit != ancestor) {
        next = parent_of(places, &commit)?;
    }
    Ok(next.is_some())
}

/// The target may keep less of the history than the source from which both runs publish.
fn parent_of((source, store): (&Repo, &dyn Store), commit: &Checksum) -> Result<Option<Checksum>> {
    if let Some(link) = link_at(store, commit)? {
        return Ok(link.parent);
    }
    match source.load_commit(commit) {
        Err(error) if error.is_not_found() => Ok(None),
        loaded => Ok(loaded?.parent),
    }
}
