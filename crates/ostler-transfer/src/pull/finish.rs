//! Making a pull visible.
//!
//! Order of effects:
//! 1. The objects go into place and are synced, detached metadata before its commit.
//! 2. The refs move, all or none, each from the value that it had when the pull began. Where all of a remote is mirrored, Flatpak's index of
//!    summaries, if it is carried, the summary and signatures are replaced by the same change; signatures that the remote has no more go.
//! 3. The marks of commits that are whole now are removed.
//!
//! So a reader of a mirror never finds a ref, or an entry of the summary, that leads to what is not there.

use super::index::edit;
use super::options::{PullOptions, PullStats};
use super::targets::Wanted;
use super::upstream::Upstream;
use crate::error::Result;
use ostler_format::{Checksum, CollectionRef};
use ostler_repo::flip::Edit;
use ostler_repo::{Expected, LockKind, RefEdit, RefKey, Repo, RepoError, Transaction, update_if_configured};
use std::collections::{BTreeMap, BTreeSet};

/// How often a summary that others replace meanwhile is looked at again.
const TRIES: u32 = 8;

/// What a pull is about to change, when its objects are staged.
pub(super) struct Ending<'a> {
    pub(super) wanted: &'a [Wanted],
    pub(super) options: &'a PullOptions<'a>,
    /// What refs had before the pull.
    pub(super) before: &'a BTreeMap<RefKey, Checksum>,
    /// Commits that are whole then.
    pub(super) completed: &'a BTreeSet<Checksum>,
    /// What the remote says of itself, where all of it is mirrored.
    pub(super) mirrored: Option<&'a Upstream>,
}

/// Returns what the refs that may move have before the pull, and where refs may be deleted what all have.
pub(super) fn refs_before(
    repo: &Repo,
    wanted: &[Wanted],
    options: &PullOptions<'_>,
    mirrors: bool,
) -> Result<BTreeMap<RefKey, Checksum>> {
    let mut before = BTreeMap::new();
    if mirrors && options.delete_refs {
        before.extend(repo.survey_all_refs()?.refs);
    }
    for key in wanted.iter().filter_map(|wanted| wanted.key(options)) {
        if let Some(commit) = repo.read_commit_of(&key)? {
            before.insert(key, commit);
        }
    }
    Ok(before)
}

/// Puts everything in place.
pub(super) fn finish(transaction: Transaction<'_>, ending: &Ending<'_>, stats: &mut PullStats) -> Result<()> {
    let repo = transaction.repo();
    // No prune may come between the objects and their refs.
    let kept = repo.lock(LockKind::Shared)?;
    stats.content_written_bytes = transaction.commit()?.content_written_bytes;
    let edits = ref_edits(repo, ending)?;
    stats.refs = edits.iter().filter(|edit| edit.new.is_some()).count() as u64;
    stats.deleted_refs = edits.len() as u64 - stats.refs;
    let changed = !edits.is_empty();
    move_refs(repo, ending, edits)?;
    for commit in ending.completed {
        repo.clear_partial(commit)?;
    }
    kept.release()?;
    if changed && ending.mirrored.is_none() {
        update_if_configured(repo)?;
    }
    Ok(())
}

/// Moves the refs, and the summary of a mirror with them. What another program has moved meanwhile to where it should be is
/// done; anything else that it moved ends the pull.
fn move_refs(repo: &Repo, ending: &Ending<'_>, mut edits: Vec<RefEdit>) -> Result<()> {
    let mut tries = 0;
    loop {
        let files = match ending.mirrored {
            Some(upstream) => summary_edits(repo, upstream)?,
            None => Vec::new(),
        };
        tries += 1;
        match repo.change_refs_and_files(&edits, &files) {
            Ok(()) => return Ok(()),
            Err(conflict @ RepoError::Conflict { .. }) => {
                let before = edits.len();
                let mut left = Vec::with_capacity(before);
                for edit in edits {
                    if repo.read_commit_of(&edit.name)? != edit.new {
                        left.push(edit);
                    }
                }
                if left.len() == before {
                    return Err(conflict.into());
                }
                edits = left;
            }
            // The summary, by another mirroring.
            Err(RepoError::Changed { .. }) if tries < TRIES => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Returns the refs that are to move, each from the value that it had before the pull.
fn ref_edits(repo: &Repo, ending: &Ending<'_>) -> Result<Vec<RefEdit>> {
    let mut news: BTreeMap<RefKey, Checksum> = BTreeMap::new();
    for wanted in ending.wanted {
        if let Some(key) = wanted.key(ending.options) {
            news.insert(key, wanted.commit);
        }
    }
    let mut edits = Vec::new();
    if ending.mirrored.is_some() && ending.options.delete_refs {
        edits.extend(dropped(repo, ending, &news)?);
    }
    for (name, commit) in news {
        let old = ending.before.get(&name).copied();
        if old != Some(commit) {
            edits.push(RefEdit::set(
                name,
                old.map_or(Expected::NoCommit, Expected::Is),
                commit,
            ));
        }
    }
    Ok(edits)
}

/// Returns the removal of all refs of a mirror that the remote has no more. Those of remotes are left.
fn dropped(repo: &Repo, ending: &Ending<'_>, news: &BTreeMap<RefKey, Checksum>) -> Result<Vec<RefEdit>> {
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
    for (key, commit) in ending.before {
        if place(key).is_some_and(|place| !kept.contains(&place)) {
            edits.push(RefEdit::remove(key.clone(), Expected::Is(*commit)));
        }
    }
    if kept.is_empty() && !edits.is_empty() && !ending.options.allow_empty {
        let detail = "the remote has no refs, and all refs of the mirror would go; --allow-empty lets them";
        return Err(RepoError::Refused {
            detail: detail.to_owned(),
        }
        .into());
    }
    Ok(edits)
}

/// Returns what puts the summary of a remote in place, with its index and signatures.
fn summary_edits(repo: &Repo, upstream: &Upstream) -> Result<Vec<Edit>> {
    let mut edits = upstream.index.edits(repo)?;
    if let Some((summary, signature)) = &upstream.files {
        edits.extend(edit(repo, "summary", Some(summary))?);
        edits.extend(edit(repo, "summary.sig", signature.as_ref())?);
    }
    Ok(edits)
}
