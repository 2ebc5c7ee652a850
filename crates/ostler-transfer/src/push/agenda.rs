//! What a push is about: told from the refs of the far end, before anything is offered.

use super::{Fate, Pushed, PushedRef, PushedSignatures};
use crate::error::{Result, TransferError};
use crate::history::History;
use crate::snapshot::Selection;
use ostler_format::wire::{Finished, SignedRef, Update};
use ostler_format::{Checksum, CollectionRef, RefName};
use ostler_repo::Repo;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// What is wanted of the refs of a far end.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Refs of the far end with the commits that they shall name; `None` for one that shall go.
    pub updates: &'a BTreeMap<RefName, Option<Checksum>>,
    /// Refs of the far end that shall go unless they are among these.
    pub drops: Option<&'a Selection>,
    /// Whether refs need not be fast-forwarded.
    pub force: bool,
    /// How many parents of each commit are offered, where the far end has not got them; `None` is all that are here. A ref that moves
    /// forward brings all commits that lie between: how else could the far end see that it does.
    pub depth: Option<u64>,
}

/// The updates of a push.
#[derive(Debug)]
pub(super) struct Agenda {
    /// Every ref that was named, with what becomes of it as far as known.
    refs: BTreeMap<RefName, PushedRef>,
    /// What is offered.
    pub(super) updates: Vec<Update>,
    /// The refs of it of which the far end has not said what became of them.
    untold: BTreeSet<RefName>,
    /// For each tip that is offered: the commit and its ancestors, newest first, up to what the far end has or another chain
    /// names.
    pub(super) chains: Vec<Vec<Checksum>>,
    /// The last commits of chains behind which the far end need not have anything.
    pub(super) cut: HashSet<Checksum>,
    /// Refs that do not move, with the signatures of their commits; by name.
    pub(super) beside: Vec<SignedRef>,
    /// What became of those that the far end lacked.
    signatures: BTreeMap<RefName, PushedSignatures>,
    /// The commits that refs of the far end name and we have: what they consist of need not be sent.
    pub(super) history: History,
}

impl Agenda {
    /// Compares what is wanted with what the far end has. The source is locked.
    pub(super) fn of(
        source: &Repo,
        advertised: &BTreeMap<RefName, Checksum>,
        wanted: &Wanted<'_>,
    ) -> Result<Self> {
        let plain = |name: &RefName| CollectionRef {
            collection: None,
            name: name.clone(),
        };
        let moved = wanted.updates.iter().filter_map(|(name, new)| {
            let new = (*new)?;
            (advertised.get(name) != Some(&new)).then(|| (plain(name), new))
        });
        let history = History::read(source, &moved.collect())?;
        let mut agenda = Self {
            refs: BTreeMap::new(),
            updates: Vec::new(),
            untold: BTreeSet::new(),
            chains: Vec::new(),
            cut: HashSet::new(),
            beside: Vec::new(),
            signatures: BTreeMap::new(),
            history,
        };
        for (name, new) in wanted.updates {
            let old = advertised.get(name).copied();
            agenda.add(name, old, *new, wanted.force);
        }
        for (name, old) in advertised {
            let goes = |drops: &Selection| drops.takes(name) && !wanted.updates.contains_key(name);
            if wanted.drops.is_some_and(goes) {
                agenda.add(name, Some(*old), None, wanted.force);
            }
        }
        agenda.follow(advertised, wanted.depth);
        Ok(agenda)
    }

    fn add(&mut self, name: &RefName, old: Option<Checksum>, new: Option<Checksum>, force: bool) {
        let steps_back =
            !force && matches!((old, new), (Some(old), Some(new)) if !self.history.contains(new, old));
        let fate = match (old, new) {
            _ if old == new => Fate::UpToDate,
            (Some(old), Some(new)) if steps_back => Fate::Refused(format!(
                "would not be a fast-forward: {new} does not descend from {old}, which the far end has"
            )),
            _ => Fate::NotTried,
        };
        if fate == Fate::NotTried {
            self.untold.insert(name.clone());
            self.updates.push(Update {
                name: name.clone(),
                old,
                new,
                force,
            });
        }
        let name = name.clone();
        let pushed = PushedRef {
            name: name.clone(),
            old,
            new,
            fate,
        };
        self.refs.insert(name, pushed);
    }

    fn follow(&mut self, advertised: &BTreeMap<RefName, Checksum>, depth: Option<u64>) {
        let theirs: HashSet<_> = advertised.values().copied().collect();
        let mut named = HashSet::new();
        let moves_forward = |update: &&Update| match (update.old, update.new) {
            (Some(old), Some(new)) => self.history.contains(new, old),
            _ => false,
        };
        // Those first whose chains are not cut: others may share commits with them.
        let (forward, others): (Vec<_>, Vec<_>) = self.updates.iter().partition(moves_forward);
        let forward = forward.into_iter().map(|update| (update, u64::MAX));
        let others = others
            .into_iter()
            .map(|update| (update, depth.unwrap_or(u64::MAX)));
        for (update, depth) in forward.chain(others) {
            let Some(tip) = update.new else { continue };
            let chain: Vec<_> = (0..)
                .zip(self.history.from(tip))
                .take_while(|(place, commit)| {
                    // The far end wants to hear of the tip itself in any case.
                    *place <= depth && (*place == 0 || !theirs.contains(commit)) && named.insert(*commit)
                })
                .map(|(_, commit)| commit)
                .collect();
            if let Some(last) = chain.last() {
                if chain.len() as u64 > depth {
                    self.cut.insert(*last);
                }
                self.chains.push(chain);
            }
        }
    }

    /// Returns what is known of each ref.
    pub(super) fn refs(&self) -> impl Iterator<Item = &PushedRef> {
        self.refs.values()
    }

    /// Returns whether a ref may not move, so that none is offered.
    pub(super) fn is_refused(&self) -> bool {
        self.refs
            .values()
            .any(|pushed| matches!(pushed.fate, Fate::Refused(_)))
    }

    /// Notes what became of a ref that was offered.
    pub(super) fn note(&mut self, name: &RefName, fate: Fate) -> Result<()> {
        if !self.untold.remove(name) {
            return Err(TransferError::Protocol(format!(
                "it tells of '{name}', which was not offered, or tells of it twice"
            )));
        }
        if let Some(pushed) = self.refs.get_mut(name) {
            pushed.fate = fate;
        }
        Ok(())
    }

    /// Notes what became of signatures; fails with what is said where that cannot be.
    pub(super) fn note_signatures(&mut self, pushed: PushedSignatures) -> Result<(), &'static str> {
        let place = self.beside.binary_search_by(|told| told.name.cmp(&pushed.name));
        let told = place.ok().and_then(|place| self.beside.get(place));
        let Some(told) = told.filter(|told| told.commit == pushed.commit) else {
            return Err("what it was not told of");
        };
        if pushed.added > told.signatures.len() || pushed.refused.is_some() && pushed.added > 0 {
            return Err("what cannot be");
        }
        match self.signatures.insert(pushed.name.clone(), pushed) {
            Some(_) => Err("twice"),
            None => Ok(()),
        }
    }

    /// Checks that the far end has told of each ref that was offered, and that all have moved or none.
    pub(super) fn check_told(&self) -> Result<()> {
        if let Some(name) = self.untold.first() {
            let text = format!("it is through, and does not tell what became of '{name}'");
            return Err(TransferError::Protocol(text));
        }
        let count =
            |is_meant: fn(&Fate) -> bool| self.refs.values().filter(|pushed| is_meant(&pushed.fate)).count();
        let accepted = count(|fate| *fate == Fate::Accepted);
        let left = count(|fate| *fate == Fate::NotTried);
        if self.is_refused() && accepted > 0 || !self.is_refused() && left > 0 {
            return Err(TransferError::Protocol(
                "it tells that some refs have moved and others have not".into(),
            ));
        }
        Ok(())
    }

    /// Returns what became of it all. What was sent is counted in objects and bytes.
    pub(super) fn into_pushed(self, finished: Finished, (objects, bytes): (u64, u64)) -> Pushed {
        Pushed {
            refs: self.refs.into_values().collect(),
            signatures: self.signatures.into_values().collect(),
            generation: finished.generation,
            objects,
            bytes,
        }
    }
}
