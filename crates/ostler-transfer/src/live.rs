//! What of a target is live: the commits that a ref leads to within what is kept of its history, and those that a pinned
//! generation led to, with all of their history.
//!
//! Only commits that the target has, or is just being sent, count: history ends where one is missing. It also ends where
//! an earlier run cut it ([`Retired::is_end`]), unless what is kept now says how far it goes.

use crate::error::Result;
use crate::generation;
use crate::history::{History, Link, link_at};
use crate::refs;
use crate::retention::{Keep, Retention};
use crate::store::Store;
use ostler_format::{Checksum, CollectionRef, ObjectName, ObjectType};
use ostler_repo::Retired;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Where a walk begins, and how far it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Root {
    pub(crate) tip: Checksum,
    /// `None`: as far as there are commits, and up to where history was cut.
    pub(crate) keep: Option<Keep>,
}

impl Root {
    /// A commit of a pinned generation: no rule limits what is kept of its history, and what was cut off and is still
    /// there belongs to it again, since nobody knows how much of it there was at that generation.
    pub(crate) fn pinned(tip: Checksum) -> Self {
        let keep = Some(Keep {
            forever: true,
            ..Keep::default()
        });
        Self { tip, keep }
    }
}

/// What a run publishes, and to where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Publishing<'a> {
    /// Its refs: [`Retention::others`] is for these.
    pub(crate) refs: &'a BTreeMap<CollectionRef, Checksum>,
    /// Refs of the target that follow others.
    pub(crate) aliases: &'a BTreeMap<CollectionRef, CollectionRef>,
}

/// The rules of a run for what stays.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    pub(crate) retention: &'a Retention,
    /// The run that publishes, if one does.
    pub(crate) publishing: Option<Publishing<'a>>,
    /// Seconds since the epoch.
    pub(crate) now: u64,
}

impl Rules<'_> {
    /// Returns how far a ref leads. One that follows another leads as far as that, unless there is a rule for it.
    pub(crate) fn root(&self, name: &CollectionRef, tip: Checksum) -> Root {
        let followed = (self.publishing.as_ref())
            .and_then(|run| run.aliases.get(name))
            .filter(|_| !self.retention.has_rule_for(name.name.as_str()));
        let name = followed.unwrap_or(name);
        let published = self.publishing.is_some_and(|run| run.refs.contains_key(name));
        Root {
            tip,
            keep: self.retention.keep_of(name.name.as_str(), published),
        }
    }

    /// Returns where to begin for everything that a target keeps: these refs, those that it tracks of remotes, its pinned
    /// generations, and commits that a list names.
    pub(crate) fn roots(
        &self,
        store: &dyn Store,
        published: &BTreeMap<CollectionRef, Checksum>,
    ) -> Result<Vec<Root>> {
        self.roots_without(store, published, None)
    }

    /// As [`roots`](Self::roots), as if a generation were not pinned.
    pub(crate) fn roots_without(
        &self,
        store: &dyn Store,
        published: &BTreeMap<CollectionRef, Checksum>,
        unpinned: Option<u64>,
    ) -> Result<Vec<Root>> {
        let mut roots: Vec<_> = published
            .iter()
            .map(|(name, tip)| self.root(name, *tip))
            .collect();
        let tracked = refs::of_remotes(store)?;
        roots.extend(tracked.into_iter().map(|tip| Root { tip, keep: None }));
        let pinned = generation::pinned_commits(store, unpinned)?;
        roots.extend(pinned.into_iter().map(Root::pinned));
        roots.extend(self.listed_roots());
        Ok(roots)
    }

    /// Returns the commits that a list names, without their histories.
    pub(crate) fn listed_roots(&self) -> impl Iterator<Item = Root> {
        self.retention.listed().map(|tip| Root {
            tip: *tip,
            keep: Some(Keep::default()),
        })
    }
}

/// Commits of a target with their parents and times, each looked for once.
pub(crate) struct Chains<'a> {
    store: &'a dyn Store,
    /// Knows what commits say without reading them.
    history: Option<&'a History>,
    /// On their way to the target.
    sent: HashSet<Checksum>,
    known: HashMap<Checksum, Option<Link>>,
}

impl<'a> Chains<'a> {
    /// Reads commits of a store, and takes those that are `sent` for there.
    pub(crate) fn new(store: &'a dyn Store, history: Option<&'a History>, sent: HashSet<Checksum>) -> Self {
        Self {
            store,
            history,
            sent,
            known: HashMap::new(),
        }
    }

    /// Returns whether a commit is on its way.
    pub(crate) fn is_sent(&self, commit: &Checksum) -> bool {
        self.sent.contains(commit)
    }

    /// Returns what a commit says; `None` if the target has not got it.
    pub(crate) fn link(&mut self, commit: &Checksum) -> Result<Option<Link>> {
        if let Some(known) = self.known.get(commit) {
            return Ok(*known);
        }
        let told = self.history.and_then(|history| history.link(commit));
        let found = match told {
            Some(link) if self.sent.contains(commit) || self.is_there(commit)? => Some(link),
            Some(_) => None,
            None => link_at(self.store, commit)?,
        };
        self.known.insert(*commit, found);
        Ok(found)
    }

    fn is_there(&self, commit: &Checksum) -> Result<bool> {
        let found = self.store.look(&ObjectName::new(*commit, ObjectType::Commit))?;
        Ok(found.is_some_and(|size| size > 0))
    }
}

/// Commits that are live, and what lies right behind them.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(crate) commits: HashSet<Checksum>,
    /// Parents of those behind which what is kept ends.
    pub(crate) beyond: Vec<Checksum>,
}

impl Live {
    /// Follows the roots.
    pub(crate) fn of(roots: &[Root], chains: &mut Chains<'_>, list: &Retired, now: u64) -> Result<Self> {
        let mut live = Self::default();
        let mut followed = HashSet::new();
        for root in roots {
            let mut index = 0;
            let mut next = Some(root.tip);
            while let Some(commit) = next {
                let unlimited = root.keep.is_none_or(|keep| keep.forever);
                if unlimited && !followed.insert((root.keep.is_some(), commit)) {
                    break;
                }
                let Some(link) = chains.link(&commit)? else {
                    break;
                };
                if root
                    .keep
                    .is_some_and(|keep| !keep.keeps(index, link.timestamp, now))
                {
                    live.beyond.push(commit);
                    break;
                }
                live.commits.insert(commit);
                index += 1;
                next = link.parent;
                if root.keep.is_none() && list.is_end(&commit) {
                    live.beyond.extend(next.take());
                }
            }
        }
        Ok(live)
    }

    /// Returns the live commits whose parents are retired.
    pub(crate) fn ends(&self, chains: &mut Chains<'_>, list: &Retired) -> Result<Vec<Checksum>> {
        let mut ends = Vec::new();
        for commit in &self.commits {
            let parent = chains.link(commit)?.and_then(|link| link.parent);
            if parent.is_some_and(|parent| list.has_commit(&parent)) {
                ends.push(*commit);
            }
        }
        Ok(ends)
    }
}
