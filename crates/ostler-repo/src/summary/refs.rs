//! The refs of a summary, with what it says of their commits.

use crate::error::{RepoError, Result};
use crate::parallel::{READERS, spread};
use crate::repo::Repo;
use ostler_format::gvariant::{Value, VarDict};
use ostler_format::{
    Checksum, CollectionId, CollectionMap, Commit, ObjectName, ObjectType, RefName, Summary, SummaryRef,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;

/// The refs of a repository as a summary lists them.
pub(super) struct SummaryRefs {
    /// Those of the repository itself.
    pub(super) main: Vec<SummaryRef>,
    /// Those of other collections.
    pub(super) collections: CollectionMap,
}

/// What a summary says of a commit.
struct Described {
    size: u64,
    /// Seconds since the epoch.
    timestamp: u64,
    version: Option<Box<str>>,
}

type Refs = BTreeMap<RefName, Checksum>;

impl SummaryRefs {
    /// Reads the refs, and their commits as far as `old` does not describe them.
    pub(super) fn read(repo: &Repo, old: &Summary) -> Result<Self> {
        let (main, others) = list(repo)?;
        let mut wanted: Vec<Checksum> = main
            .values()
            .chain(others.values().flat_map(Refs::values))
            .copied()
            .collect();
        wanted.sort_unstable();
        wanted.dedup();
        let commits = describe(repo, &wanted, old)?;
        let entries = |refs: Refs| -> Result<Vec<SummaryRef>> {
            refs.into_iter()
                .map(|(name, checksum)| entry(name, checksum, &commits))
                .collect()
        };
        let others: Vec<_> = others
            .into_iter()
            .map(|(id, refs)| Ok((id, entries(refs)?)))
            .collect::<Result<_>>()?;
        Ok(Self {
            main: entries(main)?,
            collections: CollectionMap::new(others).map_err(RepoError::format("refs of collections"))?,
        })
    }
}

/// Returns the refs of the repository itself, aliases included, and those of other collections.
fn list(repo: &Repo) -> Result<(Refs, BTreeMap<CollectionId, Refs>)> {
    let own = repo.config().collection_id();
    let mut main = match own {
        None => repo.list_heads()?,
        // They are among those of collections.
        Some(_) => Refs::new(),
    };
    let mut others: BTreeMap<CollectionId, Refs> = BTreeMap::new();
    for (reference, checksum) in repo.list_collection_refs()? {
        let refs = match reference.collection {
            Some(id) if Some(&id) != own => others.entry(id).or_default(),
            _ => &mut main,
        };
        refs.insert(reference.name, checksum);
    }
    Ok((main, others))
}

fn entry(name: RefName, checksum: Checksum, commits: &HashMap<Checksum, Described>) -> Result<SummaryRef> {
    let described = commits
        .get(&checksum)
        .ok_or_else(|| RepoError::not_found(format!("commit {checksum} of ref {name}")))?;
    let mut metadata = VarDict::new();
    let timestamp = Value::U64(described.timestamp.swap_bytes());
    metadata.insert(SummaryRef::TIMESTAMP, timestamp);
    if let Some(version) = &described.version {
        metadata.insert(SummaryRef::VERSION, Value::Str(version.to_string()));
    }
    Ok(SummaryRef {
        name,
        commit_size: described.size,
        checksum,
        metadata,
    })
}

/// Describes commits, each once: from the old summary, or by reading them. Missing ones are left out.
fn describe(repo: &Repo, wanted: &[Checksum], old: &Summary) -> Result<HashMap<Checksum, Described>> {
    let mut known: HashMap<_, _> = old.refs.iter().filter_map(remembered).collect();
    let unknown: Vec<Checksum> = wanted
        .iter()
        .filter(|checksum| !known.contains_key(checksum))
        .copied()
        .collect();
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

/// Returns what an entry of the old summary says of its commit, if it says all.
fn remembered(entry: &SummaryRef) -> Option<(Checksum, Described)> {
    let described = Described {
        size: entry.commit_size,
        timestamp: entry.timestamp()?,
        version: entry.metadata.get_str(SummaryRef::VERSION).map(Into::into),
    };
    Some((entry.checksum, described))
}

fn read(repo: &Repo, checksum: &Checksum) -> Result<Described> {
    let name = ObjectName::new(*checksum, ObjectType::Commit);
    let bytes = repo.load_metadata(&name)?;
    let commit = Commit::parse(&bytes).map_err(RepoError::format(format!("object {name}")))?;
    Ok(Described {
        size: bytes.len() as u64,
        timestamp: commit.timestamp,
        version: commit.metadata.get_str("version").map(Into::into),
    })
}
