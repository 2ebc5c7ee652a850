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
use ostler_format::{Checksum, MAX_METADATA_SIZE};
use ostler_repo::flip::{Edit, Expect};
use ostler_repo::{Expected, RefEdit, RefKey, Repo, RepoError, Transaction};
use std::collections::{BTreeMap, BTreeSet};

/// Returns the refs that are to move, each from the value that it has now.
pub(super) fn ref_edits(repo: &Repo, wanted: &[Wanted], options: &PullOptions<'_>) -> Result<Vec<RefEdit>> {
    let mut news: BTreeMap<RefKey, Checksum> = BTreeMap::new();
    for wanted in wanted {
        if let Some(key) = wanted.key(options) {
            news.insert(key, wanted.commit);
        }
    }
    let mut edits = Vec::new();
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

/// Puts everything in place.
pub(super) fn finish(
    mut transaction: Transaction<'_>,
    edits: Vec<RefEdit>,
    completed: &BTreeSet<Checksum>,
    mirrored: Option<&Upstream>,
    stats: &mut PullStats,
) -> Result<()> {
    let repo = transaction.repo();
    stats.refs = edits.iter().filter(|edit| edit.new.is_some()).count() as u64;
    stats.deleted_refs = edits.len() as u64 - stats.refs;
    for edit in edits {
        transaction.edit_ref(edit);
    }
    stats.content_written_bytes = transaction.commit()?.content_written_bytes;
    if let Some(upstream) = mirrored {
        mirror_summary(repo, upstream)?;
    }
    for commit in completed {
        repo.clear_partial(commit)?;
    }
    Ok(())
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
