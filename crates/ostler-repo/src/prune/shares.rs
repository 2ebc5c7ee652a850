//! What goes, by who had it: the refs whose histories lose commits, commits without a ref, nobody.
//!
//! What several refs lose together is freed only when all of them lose it: it counts for none of them, and is a share of
//! its own. So all shares together are what goes, each object counted once. Four bytes for each object, while it lasts.

use super::inventory::{Inventory, Place};
use super::roots::{self, Facts, readable_fact};
use super::sweep::{Tally, size_of};
use crate::error::{RepoError, Result};
use crate::parallel::spread;
use crate::repo::Repo;
use ostler_format::{Checksum, DirTreeView, ObjectName, ObjectType};
use std::collections::HashSet;
use std::sync::atomic::AtomicBool;

/// What would go, by who would lose it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneDetails {
    /// Refs whose histories would lose commits, by name.
    pub refs: Vec<RefLoss>,
    /// Commits to which no ref leads, and what only they need.
    pub unnamed: Loss,
    /// What commits of several of the refs need that would go, or of refs and of none: freed when all of them are gone.
    pub together: Tally,
    /// What no commit needs.
    pub orphans: Tally,
}

/// What a ref would lose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefLoss {
    /// The ref, as listed.
    pub name: String,
    /// How many commits of its history stay.
    pub kept: u64,
    /// What goes.
    pub loss: Loss,
}

/// Commits that go, and what goes because of them alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loss {
    /// The commits, newest first where they have an order, each with its time.
    pub commits: Vec<(Checksum, u64)>,
    /// All objects that only these need, with the commits that are nobody else's.
    pub alone: Tally,
}

/// Who had an object: 0 is nobody, else the position of a share, from 1.
type Owner = u32;

/// Has been claimed by several.
const SEVERAL: Owner = Owner::MAX;

/// Objects that are not marked, by who claims them.
pub(super) struct Shares<'a> {
    repo: &'a Repo,
    inventory: &'a Inventory,
    owners: Vec<Vec<Owner>>,
    claimed: Owner,
}

impl<'a> Shares<'a> {
    pub(super) fn new(repo: &'a Repo, inventory: &'a Inventory) -> Self {
        let buckets = inventory.bucket_lengths();
        Self {
            repo,
            inventory,
            owners: buckets.map(|length| vec![0; length]).collect(),
            claimed: 0,
        }
    }

    /// Makes a share of what is not marked of these commits and all that they need. What is missing is passed over: it is as
    /// good as gone.
    pub(super) fn claim<'c>(
        &mut self,
        commits: impl IntoIterator<Item = &'c Checksum>,
        facts: &mut Facts,
    ) -> Result<()> {
        self.claimed += 1;
        let mut elsewhere = HashSet::new();
        for commit in commits {
            if !self
                .take(&ObjectName::new(*commit, ObjectType::Commit))
                .unwrap_or(false)
            {
                continue;
            }
            if let Some(fact) = readable_fact(self.repo, commit, facts)? {
                self.take(&ObjectName::new(fact.meta, ObjectType::DirMeta));
                self.claim_tree(fact.tree, &mut elsewhere)?;
            }
        }
        Ok(())
    }

    /// Claims a tree and all below it.
    fn claim_tree(&mut self, root: Checksum, elsewhere: &mut HashSet<Checksum>) -> Result<()> {
        let mut pending = vec![root];
        while let Some(tree) = pending.pop() {
            let name = ObjectName::new(tree, ObjectType::DirTree);
            // One of a parent repository may name what is here.
            if !self.take(&name).unwrap_or_else(|| elsewhere.insert(tree)) {
                continue;
            }
            let bytes = match self.repo.load_metadata(&name) {
                Err(error) if error.is_damage() => continue,
                bytes => bytes?,
            };
            let Ok(view) = DirTreeView::parse(&bytes) else {
                continue;
            };
            for file in view.files() {
                self.take(&ObjectName::new(file.checksum, ObjectType::File));
            }
            for dir in view.dirs() {
                self.take(&ObjectName::new(dir.meta, ObjectType::DirMeta));
                pending.push(dir.tree);
            }
        }
        Ok(())
    }

    /// Claims an object. Returns whether that makes a difference to what it names, which it does once for the first claim and
    /// once for the first of another; `None` where it is not here.
    fn take(&mut self, name: &ObjectName) -> Option<bool> {
        let place = self.inventory.place_of(name)?;
        if self.inventory.is_marked_at(place) {
            return Some(false);
        }
        let owner = self.owners.get_mut(place.bucket)?.get_mut(place.index)?;
        let before = *owner;
        *owner = match before {
            0 => self.claimed,
            owner if owner == self.claimed => owner,
            _ => SEVERAL,
        };
        Some(*owner != before)
    }

    /// Returns whether nobody has claimed the object at a place.
    pub(super) fn is_unclaimed(&self, place: Place) -> bool {
        self.owner(place) == 0
    }

    fn owner(&self, place: Place) -> Owner {
        let bucket = self.owners.get(place.bucket);
        bucket
            .and_then(|owners| owners.get(place.index))
            .copied()
            .unwrap_or(0)
    }

    /// Returns what each share comes to: that of nobody, the claims in their order, and that of several.
    fn measure(&self, threads: usize) -> Result<Vec<Tally>> {
        let shares = self.claimed as usize + 2;
        let prefixes: Vec<u8> = (0..=u8::MAX).collect();
        let add = |tallies: &mut Vec<Tally>, prefix: &u8| {
            for (place, name) in self.inventory.unmarked_places(*prefix) {
                let share = match self.owner(place) {
                    SEVERAL => shares - 1,
                    owner => owner as usize,
                };
                let bytes = size_of(self.repo, name)?.unwrap_or_default();
                if let Some(tally) = tallies.get_mut(share) {
                    tally.add(Tally { objects: 1, bytes });
                }
            }
            Ok::<_, RepoError>(())
        };
        let start = || vec![Tally::default(); shares];
        let states = spread(&prefixes, threads, &AtomicBool::new(false), start, add, |_| {})?;
        let mut sums = start();
        for tallies in states {
            for (sum, tally) in sums.iter_mut().zip(tallies) {
                sum.add(tally);
            }
        }
        Ok(sums)
    }
}

/// Returns what goes, by who would lose it.
pub(super) fn details(
    repo: &Repo,
    inventory: &Inventory,
    facts: &mut Facts,
    threads: usize,
) -> Result<PruneDetails> {
    let mut shares = Shares::new(repo, inventory);
    let mut details = PruneDetails::default();
    for tip in roots::tips_of(repo)?.into_iter().filter(|tip| !tip.pinned) {
        let (kept, commits) = history(repo, inventory, tip.commit, facts)?;
        if commits.is_empty() {
            continue;
        }
        shares.claim(commits.iter().map(|(commit, _)| commit), facts)?;
        let alone = Tally::default();
        details.refs.push(RefLoss {
            name: tip.name.unwrap_or(tip.described),
            kept,
            loss: Loss { commits, alone },
        });
    }
    for (place, name) in (0..=u8::MAX).flat_map(|prefix| inventory.unmarked_places(prefix)) {
        if name.kind == ObjectType::Commit && shares.is_unclaimed(place) {
            let time = readable_fact(repo, &name.checksum, facts)?.map(|fact| fact.timestamp);
            details
                .unnamed
                .commits
                .push((name.checksum, time.unwrap_or_default()));
        }
    }
    details
        .unnamed
        .commits
        .sort_unstable_by_key(|(commit, time)| (std::cmp::Reverse(*time), *commit));
    shares.claim(details.unnamed.commits.iter().map(|(commit, _)| commit), facts)?;
    let mut tallies = shares.measure(threads)?.into_iter();
    details.orphans = tallies.next().unwrap_or_default();
    for (loss, tally) in details.refs.iter_mut().zip(&mut tallies) {
        loss.loss.alone = tally;
    }
    details.unnamed.alone = tallies.next().unwrap_or_default();
    details.together = tallies.next().unwrap_or_default();
    Ok(details)
}

/// Follows a ref: how many commits of its history stay, and those that go, newest first.
fn history(
    repo: &Repo,
    inventory: &Inventory,
    tip: Checksum,
    facts: &mut Facts,
) -> Result<(u64, Vec<(Checksum, u64)>)> {
    let (mut kept, mut going) = (0, Vec::new());
    let mut next = Some(tip);
    while let Some(commit) = next.take() {
        let Some(fact) = readable_fact(repo, &commit, facts)? else {
            break;
        };
        let name = ObjectName::new(commit, ObjectType::Commit);
        match inventory.place_of(&name) {
            Some(place) if !inventory.is_marked_at(place) => going.push((commit, fact.timestamp)),
            _ => kept += 1,
        }
        next = fact.parent;
    }
    Ok((kept, going))
}
