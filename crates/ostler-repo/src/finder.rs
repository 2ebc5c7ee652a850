//! Finding repositories that have certain refs of collections: remotes that are configured, and mounted media.
//!
//! What a repository has is read from its summary, as clients read it. A remote speaks for the collection that it is
//! configured with, and for no other. On a medium everything counts that lies in `.ostree/repos.d` (links too, as long
//! as they do not lead away from the medium), `.ostree/repo` and `ostree/repo`; each is taken for each remote of ours
//! with a collection that is looked for, whose settings say how far to trust it.
//!
//! Only files are looked at: of remotes those with a `file://` URL. Nothing is written.

use crate::error::{RepoError, Result};
use crate::fs::Dir;
use crate::repo::Repo;
use ostler_format::{
    Checksum, CollectionId, CollectionRef, MAX_METADATA_SIZE, RemoteName, Summary, SummaryRef,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Where repositories lie on a medium, beside those in [`LINKS`].
const KNOWN: [&str; 2] = [".ostree/repo", "ostree/repo"];

/// A directory of repositories, or links to some, on a medium.
const LINKS: &str = ".ostree/repos.d";

/// How a repository was found. What is nearer comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finder {
    /// On a mounted medium.
    Mount,
    /// As a remote that is configured.
    Config,
}

/// A repository to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// How it was found.
    pub finder: Finder,
    /// The remote of ours whose settings hold for it.
    pub remote: RemoteName,
    /// The collection that it may speak for.
    pub collection: CollectionId,
    /// Where it lies.
    pub path: PathBuf,
}

/// A repository that has some of the refs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub candidate: Candidate,
    /// When its summary was made, in seconds since the epoch.
    pub last_modified: Option<u64>,
    /// The refs that were looked for, with their commits where it has the newest that was found.
    pub refs: BTreeMap<CollectionRef, Option<Checksum>>,
    /// The times of those commits.
    times: BTreeMap<CollectionRef, u64>,
}

/// Returns the remotes of a repository that have a collection and are on this machine.
///
/// # Errors
/// [`RepoError::Format`] for settings that cannot be read.
pub fn configured(repo: &Repo) -> Result<Vec<Candidate>> {
    let mut found = Vec::new();
    for remote in repo.config().remotes() {
        let collection = repo.config().remote_collection_id(&remote)?;
        let url = repo.config().remote_option(&remote, "url")?;
        let path = url.as_deref().and_then(|url| url.strip_prefix("file://"));
        if let (Some(collection), Some(path)) = (collection, path) {
            found.push(Candidate {
                finder: Finder::Config,
                remote,
                collection,
                path: PathBuf::from(path),
            });
        }
    }
    Ok(found)
}

/// Returns the repositories on media, each with the remotes of `repo` that may hold for it. Media that cannot be looked
/// at have none.
///
/// # Errors
/// [`RepoError::Format`] for settings that cannot be read.
pub fn mounted(repo: &Repo, mounts: &[PathBuf]) -> Result<Vec<Candidate>> {
    let mut remotes = Vec::new();
    for remote in repo.config().remotes() {
        if let Some(collection) = repo.config().remote_collection_id(&remote)? {
            remotes.push((remote, collection));
        }
    }
    let mut found = Vec::new();
    for path in mounts.iter().flat_map(|mount| repositories_on(mount)) {
        found.extend(remotes.iter().map(|(remote, collection)| Candidate {
            finder: Finder::Mount,
            remote: remote.clone(),
            collection: collection.clone(),
            path: path.clone(),
        }));
    }
    Ok(found)
}

/// Returns the repositories on a medium, each once, by their real paths, none of which leads away from it.
fn repositories_on(mount: &Path) -> Vec<PathBuf> {
    let Ok(mount) = mount.canonicalize() else {
        return Vec::new();
    };
    let listed = Dir::open(&mount).and_then(|root| root.open_dir(LINKS)?.entries());
    let mut names: Vec<_> = listed
        .unwrap_or_default()
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    names.sort();
    let links = names.into_iter().map(|name| Path::new(LINKS).join(name));
    let known = KNOWN.iter().map(PathBuf::from);
    let mut found: Vec<PathBuf> = Vec::new();
    for relative in links.chain(known) {
        let real = mount.join(relative).canonicalize();
        if let Ok(real) = real
            && real.starts_with(&mount)
            && real.join("objects").is_dir()
            && !found.contains(&real)
        {
            found.push(real);
        }
    }
    found
}

/// Looks for refs in repositories. Those that have none of them, or for each an older commit than another, are left
/// out; the others come in the order in which they are to be pulled from.
///
/// # Errors
/// [`RepoError::Format`] for a summary that cannot be read. Candidates that are not there are passed over.
pub fn find(candidates: Vec<Candidate>, wanted: &BTreeSet<CollectionRef>) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for candidate in candidates {
        found.extend(look(candidate, wanted)?);
    }
    let mut newest: BTreeMap<CollectionRef, u64> = BTreeMap::new();
    for (name, time) in found.iter().flat_map(|found| &found.times) {
        let known = newest.entry(name.clone()).or_default();
        *known = (*known).max(*time);
    }
    for found in &mut found {
        for (name, commit) in &mut found.refs {
            if found.times.get(name) < newest.get(name) {
                *commit = None;
            }
        }
    }
    found.retain(|found| found.refs.values().any(Option::is_some));
    found.sort_by(|left, right| {
        let key = |found: &Found| (found.candidate.finder, found.last_modified);
        let names = || left.candidate.remote.cmp(&right.candidate.remote);
        key(left).cmp(&key(right)).then_with(names)
    });
    Ok(found)
}

/// Looks at one repository; `None` where it has no summary.
fn look(candidate: Candidate, wanted: &BTreeSet<CollectionRef>) -> Result<Option<Found>> {
    let path = candidate.path.join("summary");
    let read = Dir::open(&candidate.path).and_then(|dir| dir.read("summary", MAX_METADATA_SIZE));
    let Ok(bytes) = read else {
        return Ok(None);
    };
    let unreadable = || RepoError::format(format!("summary {}", path.display()));
    let summary = Summary::parse(&bytes).map_err(unreadable())?;
    let others = summary.collection_map().map_err(unreadable())?;
    let own = summary.metadata.get_str(Summary::COLLECTION_ID);
    let mut found = Found {
        last_modified: summary.last_modified(),
        refs: BTreeMap::new(),
        times: BTreeMap::new(),
        candidate,
    };
    for name in wanted {
        let collection = name
            .collection
            .as_ref()
            .filter(|id| **id == found.candidate.collection);
        let entry: Option<&SummaryRef> = collection.and_then(|collection| {
            if own == Some(collection.as_str()) {
                summary.lookup(name.name.as_str())
            } else {
                others.lookup(collection, name.name.as_str())
            }
        });
        if let Some(entry) = entry {
            let time = entry.timestamp().unwrap_or_default();
            found.times.insert(name.clone(), time);
        }
        found.refs.insert(name.clone(), entry.map(|entry| entry.checksum));
    }
    Ok(Some(found))
}
