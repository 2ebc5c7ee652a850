//! Which commits are to stay.
//!
//! Every ref counts: the repository's own, aliases among them, those of remotes, those of mirrored collections. Where
//! several refs lead to one commit, what keeps most of its history wins. History ends silently where a commit is not
//! there, as in repositories that were pulled in part; a ref may name a commit that is not there.
//!
//! What refs there are has to be known for certain, since all else goes: without `refs/heads`, and with
//! directories in `refs/` that are named like nothing we know, nothing is pruned.

use super::inventory::Inventory;
use super::{Depth, PruneOptions, Retention};
use crate::error::{RepoError, Result};
use crate::fs::FileKind;
use crate::refs::RefKey;
use crate::repo::Repo;
use ostler_format::{Checksum, CollectionId, ObjectType, RemoteName};
use std::collections::{BTreeSet, HashMap, HashSet};

/// A commit that stays, and its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) commit: Checksum,
    pub(super) tree: Checksum,
    pub(super) meta: Checksum,
    /// Whether it is marked as partial, so that what is missing of it is no error.
    pub(super) partial: bool,
}

/// How far the history of a ref is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// So many parents.
    Depth(Depth),
    /// As far as commits are not older than this, and the tip.
    Younger(u64),
}

/// Collects commits.
struct Collector<'a> {
    repo: &'a Repo,
    /// The commit that is being deleted: as good as gone.
    without: Option<Checksum>,
    partial: HashSet<Checksum>,
    roots: Vec<Root>,
    known: HashMap<Checksum, Known>,
}

/// What is known of a commit that is there.
#[derive(Clone, Copy)]
struct Known {
    root: Root,
    parent: Option<Checksum>,
    timestamp: u64,
    kept: bool,
    /// How many of its parents were followed, if any were; `Some(None)` is all.
    followed: Option<Depth>,
    /// Whether its parents were followed by their age.
    aged: bool,
}

/// Returns the commits that stay.
pub(super) fn collect(repo: &Repo, inventory: &Inventory, options: &PruneOptions) -> Result<Vec<Root>> {
    let mut collector = Collector {
        repo,
        without: options.deleted_commit().copied(),
        partial: partial_commits(repo)?,
        roots: Vec::new(),
        known: HashMap::new(),
    };
    match &options.retention {
        Retention::Commits { depth } => {
            for name in inventory.of_kind(ObjectType::Commit) {
                collector.follow(name.checksum, Reach::Depth(*depth))?;
            }
        }
        Retention::Refs(retention) => {
            for (key, commit) in roots_of(repo)? {
                let name = match &key {
                    RefKey::Refspec(refspec) => Some(refspec.to_string()),
                    RefKey::Collection(_) => None,
                };
                let reach = match (retention.depth_of(name.as_deref()), retention.younger_than) {
                    (Some(depth), _) => Reach::Depth(depth),
                    (None, Some(time)) => Reach::Younger(time),
                    (None, None) => Reach::Depth(retention.depth),
                };
                collector.follow(commit, reach)?;
            }
        }
    }
    Ok(collector.roots)
}

/// Returns all refs, and fails where that may not be all of them.
pub(super) fn roots_of(repo: &Repo) -> Result<Vec<(RefKey, Checksum)>> {
    let root = repo.root();
    root.open_dir("refs/heads")
        .map_err(RepoError::io("list", root.path_of("refs/heads")))?;
    refuse_strangers(repo, "refs/remotes", |name| RemoteName::new(name).is_ok())?;
    refuse_strangers(repo, "refs/mirrors", |name| CollectionId::new(name).is_ok())?;
    Ok(repo.list_all_refs()?.into_iter().collect())
}

/// Fails where a directory holds one whose refs would not be listed.
fn refuse_strangers(repo: &Repo, path: &str, is_known: impl Fn(&str) -> bool) -> Result<()> {
    let root = repo.root();
    let list = || {
        root.open_dir_if_exists(path)?
            .map(|dir| dir.entries())
            .transpose()
    };
    let entries = list().map_err(RepoError::io("list", root.path_of(path)))?;
    for entry in entries.into_iter().flatten() {
        let strange = match entry.kind {
            FileKind::Directory => !entry.name.to_str().is_some_and(&is_known),
            FileKind::Symlink => true,
            FileKind::Regular | FileKind::Special => false,
        };
        if strange {
            let what = format!("{path}/{}", entry.name.display());
            let detail = "refs below it would not be found, so that nobody knows what has to stay";
            return Err(RepoError::invalid(what, detail));
        }
    }
    Ok(())
}

/// Returns the commits that are marked as partial here or in a parent repository.
fn partial_commits(repo: &Repo) -> Result<HashSet<Checksum>> {
    let mut partial = HashSet::new();
    let mut next = Some(repo);
    while let Some(repo) = next {
        partial.extend(repo.partial_commits()?);
        next = repo.parent();
    }
    Ok(partial)
}

impl Collector<'_> {
    /// Keeps a commit, and its history as far as it reaches.
    fn follow(&mut self, tip: Checksum, mut reach: Reach) -> Result<()> {
        let mut next = Some(tip);
        while let Some(commit) = next.take() {
            let Some(mut known) = self.look_at(&commit)? else {
                break;
            };
            if matches!(reach, Reach::Younger(time) if known.timestamp < time) && commit != tip {
                break;
            }
            if !known.kept {
                known.kept = true;
                self.roots.push(known.root);
            }
            if known.follow(&mut reach) {
                next = known.parent;
            }
            self.known.insert(commit, known);
        }
        Ok(())
    }

    /// Returns what is known of a commit, or `None` where there is none.
    fn look_at(&self, commit: &Checksum) -> Result<Option<Known>> {
        if let Some(known) = self.known.get(commit) {
            return Ok(Some(*known));
        }
        if self.without.as_ref() == Some(commit) {
            return Ok(None);
        }
        let loaded = match self.repo.load_commit(commit) {
            Err(error) if error.is_not_found() => return Ok(None),
            loaded => loaded?,
        };
        Ok(Some(Known {
            root: Root {
                commit: *commit,
                tree: loaded.root_tree,
                meta: loaded.root_meta,
                partial: self.partial.contains(commit),
            },
            parent: loaded.parent,
            timestamp: loaded.timestamp,
            kept: false,
            followed: None,
            aged: false,
        }))
    }
}

impl Known {
    /// Notes that the parents are being followed, and returns whether they are to be: `reach` is then theirs.
    fn follow(&mut self, reach: &mut Reach) -> bool {
        match reach {
            Reach::Younger(time) => self.timestamp >= *time && !std::mem::replace(&mut self.aged, true),
            Reach::Depth(left) => {
                if self.followed.is_some_and(|before| before >= *left) {
                    return false;
                }
                self.followed = Some(*left);
                match left {
                    Depth::All => true,
                    Depth::Parents(0) => false,
                    Depth::Parents(left) => {
                        *left -= 1;
                        true
                    }
                }
            }
        }
    }
}

/// Returns the refs that name a commit, in the words of stock.
pub(super) fn refs_to(repo: &Repo, commit: &Checksum) -> Result<BTreeSet<String>> {
    let named = |key: &RefKey| match key {
        RefKey::Refspec(refspec) => format!("'{refspec}'"),
        RefKey::Collection(name) => match &name.collection {
            Some(collection) => format!("({collection}, {})", name.name),
            None => format!("'{}'", name.name),
        },
    };
    Ok(roots_of(repo)?
        .iter()
        .filter(|(_, found)| found == commit)
        .map(|(key, _)| named(key))
        .collect())
}
