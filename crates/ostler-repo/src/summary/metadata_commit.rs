//! The commit on `ostree-metadata`: what a repository with a collection says of itself, so that clients that fetch
//! by collection get it as they get any other ref.
//!
//! It holds an empty directory, and as metadata the keys of the summary that are not OSTree's own, with the
//! bindings. As in stock, each update of the summary adds one, whether there is news or not.

use super::{SummaryOptions, added_metadata, summary_at_hand};
use crate::bindings::{COLLECTION_BINDING, REF_BINDING};
use crate::error::{RepoError, Result};
use crate::refs::{Expected, RefEdit};
use crate::repo::Repo;
use crate::sign::sign_all;
use ostler_format::gvariant::Value;
use ostler_format::{
    Checksum, CollectionId, Commit, DirMeta, DirTree, ObjectType, RefName, Refspec, S_IFDIR, Xattrs,
};

/// The ref.
const METADATA_REF: &str = "ostree-metadata";

/// How often the commit is made again because others commit to the ref.
const ATTEMPTS: u32 = 8;

/// Commits the repository's own metadata, if the repository has a collection, signed by the signers. To be done before the
/// summary is made, which lists the ref. `timestamp` is the time of the commit, in seconds since the epoch. Returns the new commit.
///
/// # Errors
/// As [`Repo::begin`] and [`Transaction::commit`](crate::Transaction::commit); what a signer says.
pub fn commit_metadata(repo: &Repo, options: &SummaryOptions, timestamp: u64) -> Result<Option<Checksum>> {
    let Some(collection) = repo.config().collection_id() else {
        return Ok(None);
    };
    for _ in 1..ATTEMPTS {
        match commit_once(repo, collection, options, timestamp) {
            // Another update of the summary came first: ours follows it.
            Err(RepoError::Conflict { .. }) => {}
            outcome => return outcome.map(Some),
        }
    }
    commit_once(repo, collection, options, timestamp).map(Some)
}

fn commit_once(
    repo: &Repo,
    collection: &CollectionId,
    options: &SummaryOptions,
    timestamp: u64,
) -> Result<Checksum> {
    let name = RefName::new(METADATA_REF).map_err(RepoError::format("ref"))?;
    let reference = Refspec::local(name);
    let parent = repo.read_ref(&reference)?;
    let mut metadata = added_metadata(options, &summary_at_hand(repo)?);
    metadata.insert(COLLECTION_BINDING, Value::Str(collection.as_str().to_owned()));
    metadata.insert(REF_BINDING, Value::strings([METADATA_REF]));
    let mut transaction = repo.begin()?;
    let directory = DirMeta {
        uid: 0,
        gid: 0,
        mode: S_IFDIR | 0o755,
        xattrs: Xattrs::default(),
    };
    let empty = DirTree::new(Vec::new(), Vec::new()).map_err(RepoError::format("dirtree"))?;
    let commit = Commit {
        metadata,
        parent,
        related: Vec::new(),
        subject: String::new(),
        body: String::new(),
        timestamp,
        root_tree: transaction.write_metadata(ObjectType::DirTree, &empty.to_bytes())?,
        root_meta: transaction.write_metadata(ObjectType::DirMeta, &directory.to_bytes())?,
    };
    let bytes = commit.to_bytes();
    let commit = transaction.write_metadata(ObjectType::Commit, &bytes)?;
    if !options.signers.is_empty() {
        // With the commit, so that nobody finds it unsigned.
        transaction.write_detached(&commit, &sign_all(&bytes, &options.signers)?)?;
    }
    let expected = parent.map_or(Expected::Absent, Expected::Is);
    transaction.edit_ref(RefEdit::set(reference, expected, commit));
    let _stats = transaction.commit()?;
    Ok(commit)
}
