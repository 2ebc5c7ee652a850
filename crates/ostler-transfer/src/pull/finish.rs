//! Making a pull visible.
//!
//! Order of effects:
//! 1. The objects go into place and are synced, detached metadata before its commit.
//! 2. The refs move, all or none, each from the value that it had when the pull began.
//! 3. Where all of a remote is mirrored, summary and signatures are replaced as one change; signatures that the remote has no more go.
//! 4. The marks of commits that are whole now are removed.
//!
//! So a reader of a mirror never finds a ref, or an entry of the summary, that leads to what is not there.

use super::options::{PullOptions, PullStats};
use super::targets::Wanted;
use super::upstream::Upstream;
use crate::error::Result;
use ostler_format::{Checksum, CollectionRef, MAX_METADATA_SIZE};
use ostler_repo::flip::{Edit, Expect};
use ostler_repo::{Expected, LockKind, RefEdit, RefKey, Repo, RepoError, Transaction, update_if_configured};
use std::collections::{BTreeMap, BTreeSet};

/// How often refs that others move meanwhile are looked at again.
const TRIES: u32 = 8;

/// What a pull is about to change, when its objects are staged.
pub(super) struct Ending<'a> {
    pub(super) wanted: &'a [Wanted],
    pub(super) options: &'a PullOptions<'a>,
    /// Commits that are whole then.
    pub(super) completed: &'a BTreeSet<Checksum>,
    /// What the remote says of itself, where all of it is mirrored.
    pub(super) mirrored: Option<&'a Upstream>,
}

/// Puts everything in place.
pub(super) fn finish(transaction: Transaction<'_>, ending: &Ending<'_>, stats: &mut PullStats) -> Result<()> {
    let repo = transaction.repo();
    // No prune may come between the objects and their refs.
    let kept = repo.lock(LockKind::Shared)?;
    stats.content_written_bytes = transaction.commit()?.content_written_bytes;
    let edits = move_refs(repo, ending)?;
    stats.refs = edits.iter().filter(|edit| edit.new.is_some()).count() as u64;
    stats.deleted_refs = edits.len() as u64 - stats.refs;
    if let Some(upstream) = ending.mirrored {
        mirror_summary(repo, upstream)?;
    }
    for commit in ending.completed {
        repo.clear_partial(commit)?;
    }
    kept.release()?;
    if !edits.is_empty() && ending.mirrored.is_none() {
        update_if_configured(repo)?;
    }
    Ok(())
}

/// Moves the refs. What another program moves meanwhile is looked at again.
fn move_refs(repo: &Repo, ending: &Ending<'_>) -> Result<Vec<RefEdit>> {
    let mut tries = 0;
    loop {
        let edits = ref_edits(repo, ending)?;
        tries += 1;
        match repo.change_refs(&edits) {
            Ok(()) => return Ok(edits),
            Err(RepoError::Conflict { .. }) if tries < TRIES => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Returns the refs that are to move, each from the value that it has now.
fn ref_edits(repo: &Repo, ending: &Ending<'_>) -> Result<Vec<RefEdit>> {
    let mut news: BTreeMap<RefKey, Checksum> = BTreeMap::new();
    for wanted in ending.wanted {
        if let Some(key) = wanted.key(ending.options) {
            news.insert(key, wanted.commit);
        }
    }
    let mut edits = Vec::new();
    if ending.mirrored.is_some() && ending.options.delete_refs {
        edits.extend(dropped(repo, &news, ending.options.allow_empty)?);
    }
    for (name, commit) in news {
        let old = repo.read_key(&name)?;
        if old != Some(commit) {
            edits.push(RefEdit::set(
                name,
                old.map_or(Expected::Absent, Expected::Is),
                commit,
            ));
        }
    }
    Ok(edits)
}

/// Returns the removal of all refs of a mirror that the remote has no more. Those of remotes are left.
fn dropped(repo: &Repo, news: &BTreeMap<RefKey, Checksum>, allow_empty: bool) -> Result<Vec<RefEdit>> {
    let own = repo.config().collection_id();
    let place = |key: &RefKey| match key {
        RefKey::Refspec(refspec) => refspec.remote.is_none().then(|| CollectionRef {
            collection: None,
            name: refspec.name.clone(),
        }),
        RefKey::Collection(name) => Some(CollectionRef {
            collection: name.collection.clone().filter(|id| Some(id) != own),
            name: name.name.clone(),
        }),
    };
    let kept: BTreeSet<CollectionRef> = news.keys().filter_map(place).collect();
    let mut edits = Vec::new();
    for (key, commit) in repo.list_all_refs()? {
        if place(&key).is_some_and(|place| !kept.contains(&place)) {
            edits.push(RefEdit::remove(key, Expected::Is(commit)));
        }
    }
    if kept.is_empty() && !edits.is_empty() && !allow_empty {
        let detail = "the remote has no refs, and all refs of the mirror would go; --allow-empty lets them";
        return Err(RepoError::Refused {
            detail: detail.to_owned(),
        }
        .into());
    }
    Ok(edits)
}

/// Puts the summary of a remote in place, with its signatures.
fn mirror_summary(repo: &Repo, upstream: &Upstream) -> Result<()> {
    let Some((summary, signature)) = &upstream.files else {
        return Ok(());
    };
    let turn = repo.lock_refs()?;
    let mut edits = Vec::new();
    for (path, new) in [("summary", Some(summary)), ("summary.sig", signature.as_ref())] {
        let old = repo
            .root()
            .read_if_exists(path, MAX_METADATA_SIZE)
            .map_err(RepoError::io("read", repo.root().path_of(path)))?;
        if old.as_ref() != new {
            edits.push(Edit {
                path: path.to_owned(),
                expect: old
                    .as_deref()
                    .map_or(Expect::Absent, |old| Expect::Bytes(Checksum::of(old))),
                new: new.cloned(),
            });
        }
    }
    if !edits.is_empty() {
        repo.flip(&edits)?;
    }
    drop(turn);
    Ok(())
}
