//! Which commits are pulled, and for which refs.
//!
//! Where the remote has a summary, that alone says what a ref names: a ref that it does not list is none, whatever files there are.
//! Only where there is no summary a ref's own file is asked for. A mirror without targets pulls all that the summary lists.

use super::commits::CommitTask;
use super::options::PullOptions;
use super::upstream::Upstream;
use crate::error::{Result, TransferError};
use crate::http::{Client, Remote};
use ostler_format::{Checksum, CollectionId, CollectionRef, RefName, Refspec, Summary, SummaryRef};
use ostler_repo::{PullTarget, RefKey, RepoError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The most bytes that are read of a ref.
const MAX_REF: u64 = 64 << 10;

/// How much of what should be a ref is shown.
const SHOWN: usize = 200;

/// A commit to be pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The ref that it is pulled for, and the collection of that.
    pub(super) reference: Option<CollectionRef>,
    /// The collection that the commit must be bound to, where not to that of the remote.
    pub(super) bound: Option<CollectionId>,
    pub(super) commit: Checksum,
    pub(super) size: Option<u64>,
}

impl Wanted {
    /// Returns the ref that is to be set here.
    pub(super) fn key(&self, options: &PullOptions<'_>) -> Option<RefKey> {
        let reference = self.reference.clone()?;
        match &options.tracking {
            _ if options.mirror => Some(reference.into()),
            remote => Some(
                Refspec {
                    remote: remote.clone(),
                    name: reference.name,
                }
                .into(),
            ),
        }
    }
}

/// Finds the commits of the targets.
pub(super) fn resolve(
    remote: &Remote,
    client: &Client,
    upstream: &Upstream,
    targets: &[PullTarget],
    options: &PullOptions<'_>,
) -> Result<Vec<Wanted>> {
    if !targets.is_empty() {
        let resolved = targets
            .iter()
            .map(|target| resolve_one(remote, client, upstream, target));
        return resolved.collect();
    }
    if options.mirror {
        return all(upstream);
    }
    if remote.branches.is_empty() {
        let name = remote
            .name
            .as_ref()
            .map_or_else(|| remote.url.to_string(), ToString::to_string);
        return Err(TransferError::Remote(format!(
            "No configured branches for remote {name}"
        )));
    }
    let branches = remote.branches.iter().map(|branch| {
        let name = RefName::new(branch).map_err(TransferError::format("branches of the remote"))?;
        look_up(remote, client, upstream, uncollected(name))
    });
    branches.collect()
}

/// Returns all refs of the summary, those of other collections among them.
fn all(upstream: &Upstream) -> Result<Vec<Wanted>> {
    let Some(summary) = &upstream.summary else {
        return Ok(Vec::new());
    };
    let own = own_collection(summary)?;
    let mut wanted: Vec<Wanted> = summary
        .refs
        .iter()
        .map(|found| of_summary(own.clone(), found))
        .collect();
    let map = summary
        .collection_map()
        .map_err(TransferError::format("summary"))?;
    for (collection, refs) in map.iter() {
        wanted.extend(
            refs.iter()
                .map(|found| of_summary(Some(collection.clone()), found)),
        );
    }
    Ok(wanted)
}

fn own_collection(summary: &Summary) -> Result<Option<CollectionId>> {
    let id = summary
        .metadata
        .get_str(Summary::COLLECTION_ID)
        .filter(|id| !id.is_empty());
    id.map(|id| CollectionId::new(id).map_err(TransferError::format("summary")))
        .transpose()
}

fn of_summary(collection: Option<CollectionId>, found: &SummaryRef) -> Wanted {
    Wanted {
        bound: collection.clone(),
        reference: Some(CollectionRef {
            collection,
            name: found.name.clone(),
        }),
        commit: found.checksum,
        size: Some(found.commit_size),
    }
}

fn resolve_one(remote: &Remote, client: &Client, upstream: &Upstream, target: &PullTarget) -> Result<Wanted> {
    let at = |reference: Option<CollectionRef>, commit| Wanted {
        bound: reference.as_ref().and_then(|name| name.collection.clone()),
        reference,
        commit,
        size: None,
    };
    Ok(match target {
        PullTarget::Commit(commit) => at(None, *commit),
        PullTarget::RefAt(name, commit) => at(Some(uncollected(name.clone())), *commit),
        PullTarget::Collection(name, Some(commit)) => at(Some(name.clone()), *commit),
        PullTarget::Collection(name, None) => look_up(remote, client, upstream, name.clone())?,
        PullTarget::Ref(name) => look_up(remote, client, upstream, uncollected(name.clone()))?,
    })
}

/// Returns a ref that is named without a collection.
const fn uncollected(name: RefName) -> CollectionRef {
    CollectionRef {
        collection: None,
        name,
    }
}

/// Finds out what a ref names.
fn look_up(remote: &Remote, client: &Client, upstream: &Upstream, name: CollectionRef) -> Result<Wanted> {
    let Some(summary) = &upstream.summary else {
        let commit = read_ref(remote, client, &name)?;
        return Ok(Wanted {
            bound: name.collection.clone(),
            reference: Some(name),
            commit,
            size: None,
        });
    };
    let own = own_collection(summary)?;
    let found = match &name.collection {
        Some(collection) if own.as_ref() != Some(collection) => {
            let map = summary
                .collection_map()
                .map_err(TransferError::format("summary"))?;
            map.lookup(collection, name.name.as_str()).cloned()
        }
        _ => summary.lookup(name.name.as_str()).cloned(),
    };
    // In the words of libostree.
    let missing = || {
        let detail = match &name.collection {
            None => format!("No such branch '{}' in repository summary", name.name),
            Some(collection) => format!(
                "No such branch '({collection}, {})' in repository summary",
                name.name
            ),
        };
        RepoError::Refused { detail }
    };
    let found = found.ok_or_else(missing)?;
    Ok(Wanted {
        bound: name.collection.clone(),
        // A mirror keeps the refs of another collection apart from its own, however they were asked for.
        reference: Some(CollectionRef {
            collection: name.collection.or(own),
            name: name.name,
        }),
        commit: found.checksum,
        size: Some(found.commit_size),
    })
}

/// Reads the file of a ref.
fn read_ref(remote: &Remote, client: &Client, name: &CollectionRef) -> Result<Checksum> {
    let path = match &name.collection {
        None => format!("refs/heads/{}", name.name),
        Some(collection) => format!("refs/mirrors/{collection}/{}", name.name),
    };
    let bytes = client.get(&remote.url, &path, MAX_REF, None)?.into_required()?;
    let text = String::from_utf8_lossy(&bytes);
    if let Ok(commit) = Checksum::from_hex(text.trim_end()) {
        return Ok(commit);
    }
    // In the words of libostree; a page of HTML is what servers send that do not know of errors.
    let shown: String = text.trim_end().chars().take(SHOWN).collect();
    let collection = name.collection.as_ref().map_or("(empty)", CollectionId::as_str);
    let detail = format!(
        "Fetching checksum for ref ({collection}, {}): Invalid rev {}",
        name.name,
        shown.replace('\n', " ")
    );
    Err(RepoError::Refused { detail }.into())
}

/// Puts what is wanted of one commit together. `before` is what refs have here.
pub(super) fn tasks(
    remote: &Remote,
    wanted: &[Wanted],
    before: &BTreeMap<RefKey, Checksum>,
    options: &PullOptions<'_>,
) -> Vec<Arc<CommitTask>> {
    let mut by_commit: BTreeMap<Checksum, CommitTask> = BTreeMap::new();
    for wanted in wanted {
        let task = by_commit.entry(wanted.commit).or_insert_with(|| CommitTask {
            checksum: wanted.commit,
            references: Vec::new(),
            collection: remote.collection.clone(),
            depth: options.depth,
            size_limit: wanted.size,
            is_target: true,
            old: Vec::new(),
            arrived: Mutex::default(),
        });
        if let Some(size) = wanted.size {
            task.size_limit = Some(task.size_limit.map_or(size, |known| known.max(size)));
        }
        if let Some(reference) = &wanted.reference {
            let collection = wanted.bound.as_ref().or(remote.collection.as_ref()).cloned();
            task.references.push((reference.name.clone(), collection));
        }
        if let Some(key) = wanted.key(options) {
            task.old.extend(before.get(&key));
        }
    }
    by_commit.into_values().map(Arc::new).collect()
}
