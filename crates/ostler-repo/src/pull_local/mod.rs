//! Copying refs and what they need from another repository on this machine.
//!
//! Refs are read from the source's ref files, never from its summary, which stock ostree trusts and which may
//! be stale. What the target needs is found by walking the trees of a new commit together with those of a commit
//! that the target has: equal subtrees are skipped. A commit that the target has, without a mark that it is
//! partial, is taken for complete; one that a check marked as damaged is healed: what is there of it is read,
//! and replaced where it is broken.
//!
//! The source is locked (shared) from reading its refs until the last object is copied, so that no prune takes
//! them away meanwhile. Order of effects at the target: marks that the new commits are partial; content, dirmetas
//! and dirtrees, leaves first; commits and refs as a transaction orders them; removal of the marks. Where there is
//! nothing to do, nothing is written or synced.

mod copy;
mod plan;
mod target;

pub use target::PullTarget;

use crate::error::Result;
use crate::lock::LockKind;
use crate::partial::Partial;
use crate::refs::{Expected, RefEdit};
use crate::repo::Repo;
use crate::sign::Trust;
use ostler_format::RemoteName;
use plan::Plan;

/// What to copy, and how.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of the command of its own"
)]
pub struct PullLocalOptions {
    /// Set the refs of this remote in place of the repository's own.
    pub remote: Option<RemoteName>,
    /// How many parents to copy with each commit; `None` for all that the source has.
    pub depth: Option<u64>,
    /// Copy commits without what they hold; they stay partial.
    pub commit_metadata_only: bool,
    /// Hash every object at the source before it is linked or copied.
    pub untrusted: bool,
    /// Take content as it is also where it has to be written anew, as stock does: damage is copied, and the observer of the target
    /// hears of it. Commits that a check marked as damaged are healed with sound objects only.
    pub as_it_is: bool,
    /// Refuse a source that has refs of remotes, where all refs are to be copied, as stock does.
    pub refuse_mixed: bool,
    /// Refuse content whose mode a bare-user-only repository cannot hold.
    pub bareuseronly_files: bool,
    /// Refuse a commit to which the source announces no static delta from nothing or from a commit that is here. What is copied
    /// are the objects, as always: on one machine there is nothing to gain from a delta.
    pub require_deltas: bool,
    /// Check that commits are bound to the refs, and to the collection, that they are pulled from.
    pub verify_bindings: bool,
    /// How many threads copy.
    pub threads: usize,
}

impl Default for PullLocalOptions {
    fn default() -> Self {
        Self {
            remote: None,
            depth: Some(0),
            commit_metadata_only: false,
            untrusted: false,
            as_it_is: false,
            refuse_mixed: false,
            bareuseronly_files: false,
            require_deltas: false,
            verify_bindings: true,
            threads: 2,
        }
    }
}

/// What was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PullLocalStats {
    /// Commits, dirtrees and dirmetas that the target did not have.
    pub metadata_objects: u64,
    /// Content objects that the target did not have.
    pub content_objects: u64,
    /// Bytes of content that were written, before compression; what was linked is not.
    pub content_written_bytes: u64,
    /// Refs that moved.
    pub refs: u64,
}

/// Copies `targets`, or where there are none all refs of the source's own, from `source` to `repo`.
///
/// # Errors
/// [`RepoError::NotFound`](crate::RepoError::NotFound) for a ref or object that the source lacks,
/// [`RepoError::Corrupt`](crate::RepoError::Corrupt) for objects that fail a check,
/// [`RepoError::Invalid`](crate::RepoError::Invalid) for a commit that is not bound to its ref and for modes that are
/// refused, [`RepoError::Locked`](crate::RepoError::Locked) and [`RepoError::Io`](crate::RepoError::Io).
pub fn pull_local(
    repo: &Repo,
    source: &Repo,
    targets: &[PullTarget],
    options: &PullLocalOptions,
) -> Result<PullLocalStats> {
    pull_local_with(repo, source, targets, options, &Trust::none(), &mut |_, _| {})
}

/// As [`pull_local`], and tells `progress`, on the calling thread, how many of how many objects are done. Commits, and the
/// summary that names them, must carry the signatures that `trust` asks for.
///
/// # Errors
/// As [`pull_local`], and as [`Trust::check_commit`] and [`Trust::check_summary`].
pub fn pull_local_with(
    repo: &Repo,
    source: &Repo,
    targets: &[PullTarget],
    options: &PullLocalOptions,
    trust: &Trust,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<PullLocalStats> {
    repo.require_writable()?;
    let pinned = source.lock(LockKind::Shared)?;
    let kept = repo.lock(LockKind::Shared)?;
    let plan = Plan::make(repo, source, targets, options, trust)?;
    let edits = ref_edits(repo, &plan)?;
    if plan.is_empty() {
        pinned.release()?;
        kept.release()?;
        if !edits.is_empty() {
            repo.edit_refs(&edits)?;
        }
        return Ok(PullLocalStats {
            refs: edits.len() as u64,
            ..PullLocalStats::default()
        });
    }
    let refs = edits.len() as u64;
    let mut transaction = repo.begin()?;
    for commit in &plan.commits {
        repo.set_partial(&commit.checksum, Partial::Incomplete)?;
    }
    let placed = copy::copy(&transaction, source, &plan, options, progress)?;
    for edit in edits {
        transaction.edit_ref(edit);
    }
    pinned.release()?;
    // The transaction has the lock itself.
    kept.release()?;
    let stats = transaction.commit()?;
    if !options.commit_metadata_only {
        for commit in &plan.commits {
            repo.clear_partial(&commit.checksum)?;
        }
    }
    Ok(PullLocalStats {
        metadata_objects: stats.metadata_written_objects + placed.metadata,
        content_objects: stats.content_written_objects + placed.content,
        content_written_bytes: stats.content_written_bytes,
        refs,
    })
}

/// Returns the refs that are to move, each from the value that it has now.
fn ref_edits(repo: &Repo, plan: &Plan) -> Result<Vec<RefEdit>> {
    let mut edits = Vec::new();
    for (name, commit) in &plan.refs {
        let old = repo.read_commit_of(name)?;
        if old.as_ref() != Some(commit) {
            edits.push(RefEdit {
                name: name.clone(),
                expected: old.map_or(Expected::NoCommit, Expected::Is),
                new: Some(*commit),
            });
        }
    }
    Ok(edits)
}
