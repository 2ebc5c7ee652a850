//! Which commits are to stay.
//!
//! Every ref counts: the repository's own, aliases among them, those of remotes, those of mirrored collections, and those that
//! pinned generations had, these with all of their history. Commits that a list names stay as well, without their histories. Where
//! several refs lead to one commit, what keeps most of its history wins. History ends silently where a commit is not
//! there, as in repositories that were pulled in part; a ref may name a commit that is not there.
//!
//! What refs there are has to be known for certain, since all else goes: without `refs/heads`, and with
//! directories in `refs/` that are named like nothing we know, nothing is pruned.

use super::inventory::Inventory;
use super::{Depth, PruneOptions, RefRetention, Retention, pins};
use crate::error::{RepoError, Result};
use crate::fs::FileKind;
use crate::refs::RefKey;
use crate::repo::Repo;
use ostler_format::{Checksum, CollectionId, ObjectName, ObjectType, RemoteName};
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
    /// Up to where it was cut before.
    Ends,
}

/// All that is there of the history of a pinned generation stays, whatever is said of refs.
const PINNED: Reach = Reach::Depth(Depth::All);

/// What was read of commits. A commit never changes, so that this holds for as long as it is there.
pub(super) type Facts = HashMap<Checksum, Fact>;

/// What is read of a commit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fact {
    pub(super) tree: Checksum,
    pub(super) meta: Checksum,
    pub(super) parent: Option<Checksum>,
    pub(super) timestamp: u64,
}

/// Collects commits.
struct Collector<'a> {
    repo: &'a Repo,
    inventory: &'a Inventory,
    /// The commit that is being deleted: as good as gone.
    without: Option<Checksum>,
    partial: HashSet<Checksum>,
    roots: Vec<Root>,
    facts: &'a mut Facts,
    /// Where histories were cut before: see [`crate::retired`].
    ends: HashSet<Checksum>,
    walked: HashMap<Checksum, Walked>,
}

/// How a commit was come by.
#[derive(Clone, Copy, Default)]
struct Walked {
    kept: bool,
    /// How many of its parents were followed, if any were.
    followed: Option<Depth>,
    /// Whether its parents were followed by their age.
    aged: bool,
    /// Whether its parents were followed up to where their history was cut.
    to_end: bool,
}

/// Returns the commits that stay. What is read of commits is added to `facts`, and not read again where it is there.
pub(super) fn collect(
    repo: &Repo,
    inventory: &Inventory,
    options: &PruneOptions,
    facts: &mut Facts,
) -> Result<Vec<Root>> {
    let ends = match options.grace {
        // Whoever reads the list to change it tells of damage.
        Some(_) => repo.retired(|_| ())?.ends().copied().collect(),
        None => HashSet::new(),
    };
    let mut collector = Collector {
        repo,
        inventory,
        without: options.deleted_commit().copied(),
        partial: partial_commits(repo)?,
        roots: Vec::new(),
        facts,
        ends,
        walked: HashMap::new(),
    };
    match &options.retention {
        Retention::Commits { depth } => {
            for name in inventory.of_kind(ObjectType::Commit) {
                collector.follow(name.checksum, Reach::Depth(*depth))?;
            }
        }
        Retention::Refs(retention) => {
            for tip in tips_of(repo)? {
                let reach = if tip.pinned {
                    PINNED
                } else {
                    Reach::of(retention, tip.name.as_deref())
                };
                collector.follow(tip.commit, reach)?;
            }
        }
        Retention::Matching(matching) => {
            let without: BTreeSet<_> = matching.without.iter().map(describe).collect();
            for tip in tips_of(repo)? {
                if tip.pinned {
                    collector.follow(tip.commit, PINNED)?;
                } else if !without.contains(&tip.described) {
                    collector.follow_matching(tip.commit, &matching.held)?;
                }
            }
        }
    }
    for commit in &options.listed {
        if let Some(fact) = collector.look_at(commit)? {
            collector.keep(*commit, &fact);
        }
    }
    Ok(collector.roots)
}

/// Returns commits that stay for another reason than a ref, with what is missing or damaged of them no error.
pub(super) fn spared<'c>(
    repo: &Repo,
    commits: impl IntoIterator<Item = &'c Checksum>,
    facts: &mut Facts,
) -> Result<Vec<Root>> {
    let mut roots = Vec::new();
    for commit in commits {
        if let Some(fact) = readable_fact(repo, commit, facts)? {
            roots.push(fact.root(*commit, true));
        }
    }
    Ok(roots)
}

/// Returns what a commit says, or `None` where there is none.
pub(super) fn fact_of(repo: &Repo, commit: &Checksum, facts: &mut Facts) -> Result<Option<Fact>> {
    if let Some(fact) = facts.get(commit) {
        return Ok(Some(*fact));
    }
    let loaded = match repo.load_commit(commit) {
        Err(error) if error.is_not_found() => return Ok(None),
        loaded => loaded?,
    };
    let fact = Fact {
        tree: loaded.root_tree,
        meta: loaded.root_meta,
        parent: loaded.parent,
        timestamp: loaded.timestamp,
    };
    facts.insert(*commit, fact);
    Ok(Some(fact))
}

/// As [`fact_of`], where one that is damaged is as good as none.
pub(super) fn readable_fact(repo: &Repo, commit: &Checksum, facts: &mut Facts) -> Result<Option<Fact>> {
    match fact_of(repo, commit, facts) {
        Err(error) if error.is_damage() => Ok(None),
        fact => fact,
    }
}

impl Fact {
    fn root(&self, commit: Checksum, partial: bool) -> Root {
        Root {
            commit,
            tree: self.tree,
            meta: self.meta,
            partial,
        }
    }
}

impl Reach {
    /// Returns how far the history of a ref of this name is kept.
    fn of(retention: &RefRetention, name: Option<&str>) -> Self {
        if let Some(depth) = name.and_then(|name| retention.branches.get(name)) {
            return Self::Depth(*depth);
        }
        let other = name.is_none_or(|name| !retention.only.contains(name));
        match (retention.younger_than, retention.depth) {
            _ if !retention.only.is_empty() && other => Self::Ends,
            (Some(time), _) => Self::Younger(time),
            (None, Some(depth)) => Self::Depth(depth),
            (None, None) => Self::Ends,
        }
    }
}

/// What keeps a commit.
pub(super) struct Tip {
    /// The name of the ref as listed, by which a depth can be set: refs of mirrored collections have none.
    pub(super) name: Option<String>,
    /// What it is, for people.
    pub(super) described: String,
    /// Whether it is of a pinned generation.
    pub(super) pinned: bool,
    /// The commit.
    pub(super) commit: Checksum,
}

/// Returns all refs, and those of pinned generations.
pub(super) fn tips_of(repo: &Repo) -> Result<Vec<Tip>> {
    let refs = roots_of(repo)?.into_iter().map(|(key, commit)| Tip {
        described: describe(&key),
        name: match key {
            RefKey::Refspec(refspec) => Some(refspec.to_string()),
            RefKey::Collection(_) => None,
        },
        pinned: false,
        commit,
    });
    let mut tips: Vec<Tip> = refs.collect();
    for pinned in pins::refs(repo)? {
        tips.push(Tip {
            described: format!("'{}' of the pinned generation {}", pinned.name, pinned.generation),
            name: Some(pinned.name),
            pinned: true,
            commit: pinned.commit,
        });
    }
    Ok(tips)
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
            let Some(fact) = self.look_at(&commit)? else {
                break;
            };
            if matches!(reach, Reach::Younger(time) if fact.timestamp < time) && commit != tip {
                break;
            }
            self.keep(commit, &fact);
            if reach == Reach::Ends && self.ends.contains(&commit) {
                break;
            }
            let walked = self.walked.entry(commit).or_default();
            if walked.follow(&mut reach, fact.timestamp) {
                next = fact.parent;
            }
        }
        Ok(())
    }

    /// Keeps the commits of a history that are held elsewhere, and those before the first of them; all, if none is.
    fn follow_matching(&mut self, tip: Checksum, held: &BTreeSet<Checksum>) -> Result<()> {
        let mut chain = Vec::new();
        let mut next = Some(tip);
        while let Some(commit) = next.take() {
            if let Some(fact) = self.look_at(&commit)? {
                chain.push((commit, fact));
                next = fact.parent;
            }
        }
        let first = chain.iter().position(|(commit, _)| held.contains(commit));
        for (index, (commit, fact)) in chain.iter().enumerate() {
            if first.is_none_or(|first| index < first) || held.contains(commit) {
                self.keep(*commit, fact);
            }
        }
        Ok(())
    }

    /// Keeps a commit.
    fn keep(&mut self, commit: Checksum, fact: &Fact) {
        let walked = self.walked.entry(commit).or_default();
        if !std::mem::replace(&mut walked.kept, true) {
            let partial = self.partial.contains(&commit);
            self.roots.push(fact.root(commit, partial));
        }
    }

    /// Returns what a commit says, or `None` where there is none.
    fn look_at(&mut self, commit: &Checksum) -> Result<Option<Fact>> {
        if self.without.as_ref() == Some(commit) {
            return Ok(None);
        }
        // One that was read before may have gone since.
        let here = self
            .inventory
            .holds(&ObjectName::new(*commit, ObjectType::Commit));
        if !here && !self.walked.contains_key(commit) {
            self.facts.remove(commit);
        }
        fact_of(self.repo, commit, self.facts)
    }
}

impl Walked {
    /// Notes that the parents of a commit of this time are being followed, and returns whether they are to be: `reach` is
    /// then theirs.
    fn follow(&mut self, reach: &mut Reach, timestamp: u64) -> bool {
        match reach {
            Reach::Younger(time) => timestamp >= *time && !std::mem::replace(&mut self.aged, true),
            Reach::Ends => !std::mem::replace(&mut self.to_end, true),
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
    let tips = tips_of(repo)?.into_iter();
    Ok(tips
        .filter(|tip| tip.commit == *commit)
        .map(|tip| tip.described)
        .collect())
}

fn describe(key: &RefKey) -> String {
    match key {
        RefKey::Refspec(refspec) => format!("'{refspec}'"),
        RefKey::Collection(name) => match &name.collection {
            Some(collection) => format!("({collection}, {})", name.name),
            None => format!("'{}'", name.name),
        },
    }
}
