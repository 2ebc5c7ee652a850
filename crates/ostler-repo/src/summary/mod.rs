//! Making and writing the summary: the list of refs that clients start from.
//!
//! All that a summary says of a ref but its name (size, time and version of the commit) is a function of the
//! commit, so that it is taken from the summary at hand where that has the same commit, and only the others are
//! read. A ref whose commit is missing fails the making, unless the summary at hand knows the commit.
//!
//! The order of keys and refs depends on what is there alone: the same repository at the same time gives the
//! same bytes.

mod metadata_commit;
pub mod overlap;
mod refs;
mod size;
mod write;

pub use metadata_commit::commit_metadata;
pub use size::size_note;
pub use write::{update_if_configured, update_summary};

use crate::error::{RepoError, Result};
use crate::repo::Repo;
use crate::sign::Signer;
use ostler_format::gvariant::VarDict;
use ostler_format::{DeltaList, MAX_METADATA_SIZE, Summary, SummaryHeader};
use std::time::Duration;

/// What goes into a summary besides what the repository says.
#[derive(Debug, Clone, Default)]
pub struct SummaryOptions {
    /// The time, in seconds since the epoch.
    pub now: u64,
    /// Keys to add, once: the next summary does not keep them unless `keep_unknown` is set then.
    pub metadata: VarDict,
    /// Keep the keys of the summary at hand that OSTree does not know: those of Flatpak, for example. Stock
    /// ostree drops them.
    pub keep_unknown: bool,
    /// Who signs it.
    pub signers: Vec<Signer>,
    /// How long clients get that have fetched the former signatures to fetch the former summary, where the signatures can
    /// overlap.
    pub settle: Duration,
}

/// Returns the bytes of a summary of the repository as it is. Nothing is locked or written.
///
/// # Errors
/// [`RepoError::NotFound`] for a ref whose commit is missing, [`RepoError::Format`], [`RepoError::Io`].
pub fn build_summary(repo: &Repo, options: &SummaryOptions) -> Result<Vec<u8>> {
    build(repo, options, &repo.delta_digests()?)
}

fn build(repo: &Repo, options: &SummaryOptions, deltas: &DeltaList) -> Result<Vec<u8>> {
    let old = summary_at_hand(repo)?;
    let config = repo.config();
    let none = DeltaList::default();
    let header = SummaryHeader {
        now: options.now,
        mode: repo.mode(),
        tombstone_commits: config.tombstone_commits(),
        collection: config.collection_id(),
        deltas: if config.no_deltas_in_summary() {
            &none
        } else {
            deltas
        },
        metadata: &options.metadata,
        kept: options.keep_unknown.then_some(&old),
    };
    let refs = refs::list(repo)?;
    let commits = refs::describe(repo, &refs, &old)?;
    let summary = Summary::compose(&header, refs, |name, checksum| match commits.get(&checksum) {
        Some(commit) => Ok(commit.named(name, checksum)),
        None => Err(RepoError::not_found(format!("commit {checksum} of ref {name}"))),
    })?;
    Ok(summary.to_bytes())
}

/// Returns the keys that are given, and of those that are there the ones to keep: what was given wins.
fn added_metadata(options: &SummaryOptions, old: &Summary) -> VarDict {
    let mut added = options.metadata.clone();
    for (key, value) in options
        .keep_unknown
        .then(|| old.unknown_metadata())
        .into_iter()
        .flatten()
    {
        if added.get(key).is_none() {
            added.insert(key, value.clone());
        }
    }
    added
}

/// Reads the summary that is there. One that cannot be read is as good as none: it is about to be replaced.
fn summary_at_hand(repo: &Repo) -> Result<Summary> {
    let bytes = repo
        .root()
        .read_if_exists("summary", MAX_METADATA_SIZE)
        .map_err(RepoError::io("read", repo.root().path_of("summary")))?;
    Ok(bytes
        .and_then(|bytes| Summary::parse(&bytes).ok())
        .unwrap_or_default())
}
