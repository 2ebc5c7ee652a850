//! Looks at what the target holds before a ref moves (I10): presence of a tree does not prove that of its children.
//!
//! The closure is listed from the source while it is locked; it is looked at under the target's lease, when nothing
//! can be removed any more. Where the target can tell which of its objects cannot have come or gone since, the look is taken before,
//! on the processors that the plan leaves idle, and only what may have changed is looked at again. What is sent in this run is
//! hashed and needs no look. Where each look is a message to another machine, the record of the last generation stands for
//! what it covers.

use crate::added;
use crate::error::{Result, TransferError};
use crate::flight::{gathered, in_flight};
use crate::generation::Generation;
use crate::history::History;
use crate::inventory::Inventory;
use crate::lists::Lists;
use crate::plan::Plan;
use crate::planner::missing_dirtree;
use crate::snapshot::Snapshot;
use crate::store::{Stamp, Store};
use ostler_format::{Checksum, LIST_ENTRY, ObjectName, ObjectType, list_entry};
use ostler_repo::parallel::{Crew, spread_beside};
use ostler_repo::{ListedObject, ObjectList, Repo};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

/// What a look found before the target was locked, while the plan was computed.
#[derive(Debug)]
pub(crate) struct Ahead {
    /// From before the look.
    stamps: Vec<Option<Stamp>>,
    /// Objects that are not as the list says.
    found: Vec<Odd>,
}

/// An object to be looked at, with the size that it should have where that is known.
type Looked = (ObjectName, Option<u64>);

/// Where looks are dear and there are more than so many objects to look at, directories are listed.
const LISTED: usize = 512;

/// An object that is missing at the target (0), or there with another number of bytes than was expected.
type Odd = (ObjectName, u64);

/// What the refs that move will lead to.
#[derive(Debug)]
pub(crate) struct Tips<'a> {
    pub(crate) source: &'a Repo,
    pub(crate) lists: Vec<Arc<ObjectList>>,
    pub(crate) ahead: Option<Ahead>,
    /// What commits of the source consist of, as far as known.
    pub(crate) known: &'a Lists<'a>,
}

/// Objects that the target must have, with the size that the source's copy has where that says something.
#[derive(Debug, Default)]
pub(crate) struct Closure {
    objects: Vec<Looked>,
}

impl Ahead {
    /// Looks at what one list names, while this thread does something else `first`; does only that where it would be for nothing,
    /// since the target has no stamps, or the source stores content otherwise.
    pub(crate) fn look(
        source: &Repo,
        store: &dyn Store,
        lists: &[Arc<ObjectList>],
        first: impl FnOnce() -> Result<()>,
    ) -> Result<Option<Self>> {
        let list = match lists {
            [list] if source.mode().is_archive() => list,
            _ => return first().map(|()| None),
        };
        let stamps = store.stamps()?;
        if stamps.iter().all(Option::is_none) {
            return first().map(|()| None);
        }
        let look = |found: &mut Vec<Odd>, entry: &[u8; LIST_ENTRY]| match list_entry(entry) {
            Some((name, size)) => look_at(store, &name, NonZero::new(size).map(NonZero::get), found),
            None => Ok(()),
        };
        let stop = AtomicBool::new(false);
        let found = spread_beside(first, list.recorded(), threads(), &stop, Vec::new, look, |_| {})?;
        let found = found.into_iter().flatten().collect();
        Ok(Some(Self { stamps, found }))
    }

    /// Returns, for each first byte of a checksum, whether what was found still holds.
    fn holds(&self, store: &dyn Store) -> Result<Vec<bool>> {
        let same = |(before, now): (&Option<Stamp>, Option<Stamp>)| before.is_some() && *before == now;
        Ok(self.stamps.iter().zip(store.stamps()?).map(same).collect())
    }
}

impl Tips<'_> {
    /// As [`Closure::look_after`], for what the plan does not send.
    pub(crate) fn look_after(
        &self,
        store: &dyn Store,
        (plan, inventory): (&Plan, &Inventory),
        first: impl FnOnce() -> Result<()>,
    ) -> Result<BTreeSet<ObjectName>> {
        let held = self.ahead.as_ref().map(|ahead| ahead.holds(store)).transpose()?;
        let holds = |name: &ObjectName| {
            let place = name.checksum.as_bytes().first().map(|byte| usize::from(*byte));
            held.as_ref().zip(place).and_then(|(held, place)| held.get(place)) == Some(&true)
        };
        let mut sent: Vec<_> = plan.objects.iter().map(|added| added.name).collect();
        sent.sort_unstable();
        let is_sent = |name: &ObjectName| sent.binary_search(name).is_ok();
        let rest = match &held {
            Some(held) if held.iter().all(|holds| *holds) => Closure::default(),
            _ if store.looks_are_dear() => {
                let recorded = self.recorded(store, plan, inventory)?;
                self.closure(store, |name| !is_sent(name) && !recorded.contains(name))?
            }
            _ => self.closure(store, |name| !holds(name) && !is_sent(name))?,
        };
        let mut holes = rest.look_after(store, first)?;
        let known = self.ahead.iter().flat_map(|ahead| &ahead.found);
        let known = known.filter(|(name, _)| holds(name) && !is_sent(name));
        holes.extend(holes_among(store, known.copied().collect())?);
        Ok(holes)
    }

    /// Returns what the target has by the record of its last generation, if its refs are those of the record: what the refs that move
    /// named until now. (The refs of the inventory are still those of the target.)
    fn recorded(&self, store: &dyn Store, plan: &Plan, inventory: &Inventory) -> Result<HashSet<ObjectName>> {
        let record = Generation::latest(store)?;
        if record.is_none_or(|record| record.refs != Generation::refs_of(&inventory.refs)) {
            return Ok(HashSet::new());
        }
        let olds = plan.refs.iter().filter_map(|update| update.old);
        let whole: BTreeSet<_> = olds.filter(|old| !inventory.partial.contains(old)).collect();
        let mut names = HashSet::new();
        for old in &whole {
            let commit = ObjectName::new(*old, ObjectType::Commit);
            if self.source.has_object(&commit)?
                && let Some(list) = self.known.of_base(old)?
            {
                names.extend(list.names());
            }
        }
        Ok(names)
    }

    /// Lists objects. Sizes are those of the source's files where these are stored alike, else those that the target's records
    /// have.
    fn closure(&self, store: &dyn Store, wanted: impl Fn(&ObjectName) -> bool) -> Result<Closure> {
        let archive = self.source.mode().is_archive();
        let sized = |listed: ListedObject| {
            let stored_alike = archive || listed.name.kind.is_metadata();
            let size = listed.size.filter(|_| stored_alike);
            (listed.name, size.map(NonZero::get))
        };
        let all = self.lists.iter().flat_map(|list| list.entries()).map(sized);
        let mut objects: Vec<_> = all.filter(|(name, _)| wanted(name)).collect();
        if self.lists.len() > 1 {
            objects.sort_unstable_by_key(|(name, _)| *name);
            objects.dedup_by_key(|(name, _)| *name);
        }
        if store.looks_are_dear() {
            // Many lists would have to be fetched to learn them.
            return Ok(Closure { objects });
        }
        let unsized_names: Vec<_> = (objects.iter())
            .filter_map(|(name, size)| size.is_none().then_some(*name))
            .collect();
        let mut recorded = added::sizes(store, &unsized_names)?.into_iter();
        for (_, size) in objects.iter_mut().filter(|(_, size)| size.is_none()) {
            *size = recorded.next().and_then(NonZero::new).map(NonZero::get);
        }
        Ok(Closure { objects })
    }
}

impl Closure {
    /// Takes what the plan found at the target of commits that are sent and that no ref will name.
    pub(crate) fn relied_on(plan: &Plan) -> Self {
        let names = plan.relied_on.objects.iter();
        Self {
            objects: names.map(|name| (*name, None)).collect(),
        }
    }

    /// Lists what every commit of the history leads to, by the recorded lists of `tips` among them.
    pub(crate) fn of_history(source: &Repo, history: &History, tips: &BTreeSet<Checksum>) -> Result<Self> {
        let commits: BTreeSet<_> = history.commits().copied().collect();
        let names = source.listed_closure(tips.intersection(&commits), &commits);
        let names = names.map_err(missing_dirtree)?;
        Ok(Self {
            objects: names.into_iter().map(|name| (name, None)).collect(),
        })
    }

    /// Returns the objects that are missing or empty at the target, or of another size than the source's and then,
    /// when read, not what their names say. (Another size alone is legal: compressors differ.) Does `first` on this
    /// thread while others begin to look.
    pub(crate) fn look_after(
        &self,
        store: &dyn Store,
        first: impl FnOnce() -> Result<()>,
    ) -> Result<BTreeSet<ObjectName>> {
        if store.looks_are_dear() {
            first()?;
            return self.look_at_distance(store);
        }
        let look = |found: &mut Vec<Odd>, (name, size): &Looked| look_at(store, name, *size, found);
        let stop = AtomicBool::new(false);
        let found = spread_beside(first, &self.objects, threads(), &stop, Vec::new, look, |_| {})?;
        holes_among(store, found.into_iter().flatten().collect())
    }

    /// Looks with many looks under way at once. Of many objects the directories are listed first: what is missing costs no
    /// look then, and many file systems keep from a listing what they will be asked.
    fn look_at_distance(&self, store: &dyn Store) -> Result<BTreeSet<ObjectName>> {
        let (there, mut found) = if self.objects.len() > LISTED {
            self.listed(store)?
        } else {
            (self.objects.iter().collect(), Vec::new())
        };
        let odd = in_flight(store.jobs(), &there, |(name, size)| {
            let mut odd = Vec::new();
            look_at(store, name, *size, &mut odd)?;
            Ok::<_, TransferError>(odd)
        })?;
        found.extend(odd.into_iter().flatten());
        holes_among(store, found)
    }

    /// Lists the directories of the objects; returns those that are there, and those that are missing.
    fn listed(&self, store: &dyn Store) -> Result<(Vec<&Looked>, Vec<Odd>)> {
        let mut dirs: BTreeMap<u8, Vec<&Looked>> = BTreeMap::new();
        for looked in &self.objects {
            let [first, ..] = looked.0.checksum.as_bytes();
            dirs.entry(*first).or_default().push(looked);
        }
        let dirs: Vec<_> = dirs.into_iter().collect();
        let listed = in_flight(store.jobs(), &dirs, |(dir, objects)| {
            let dir = format!("{dir:02x}");
            let entries = store.list(&format!("objects/{dir}"))?.into_iter();
            let names = entries.filter_map(|entry| ObjectName::from_loose(&dir, &entry.name));
            let names: HashSet<_> = names.collect();
            let is_there = |(name, _): &&&Looked| names.contains(name);
            Ok::<_, TransferError>(objects.iter().partition::<Vec<&Looked>, _>(is_there))
        })?;
        let (mut there, mut missing) = (Vec::new(), Vec::new());
        for (present, absent) in listed {
            there.extend(present);
            missing.extend(absent.into_iter().map(|(name, _)| (*name, 0)));
        }
        Ok((there, missing))
    }

    /// Returns the objects that are not there, or are there and not what their names say.
    pub(crate) fn verify(&self, store: &dyn Store) -> Result<BTreeSet<ObjectName>> {
        let holes = in_parallel(store, &self.objects, |(name, _)| {
            Ok((!store.verify(name)?).then_some(*name))
        })?;
        Ok(holes.into_iter().collect())
    }
}

/// Looks at an object, and notes it if it is missing, empty or of another size than expected.
fn look_at(store: &dyn Store, name: &ObjectName, size: Option<u64>, found: &mut Vec<Odd>) -> Result<()> {
    match store.look(name)? {
        None | Some(0) => found.push((*name, 0)),
        Some(other) if size.is_some_and(|size| size != other) => found.push((*name, other)),
        Some(_) => {}
    }
    Ok(())
}

/// Returns those that are missing, and those that have neither the size which the target's records say nor, when read, the
/// content that their names say.
fn holes_among(store: &dyn Store, odd: Vec<Odd>) -> Result<BTreeSet<ObjectName>> {
    let (missing, others): (Vec<Odd>, Vec<Odd>) = odd.into_iter().partition(|(_, size)| *size == 0);
    let names: Vec<_> = others.iter().map(|(name, _)| *name).collect();
    let recorded = added::sizes(store, &names)?;
    let unknown: Vec<_> = (others.into_iter().zip(recorded))
        .filter_map(|((name, size), recorded)| (size != recorded).then_some(name))
        .collect();
    let damaged = in_parallel(
        store,
        &unknown,
        |name| Ok((!store.verify(name)?).then_some(*name)),
    )?;
    Ok(missing.into_iter().map(|(name, _)| name).chain(damaged).collect())
}

/// Returns what the target lacks or has damaged of those commits of the selected refs that it marks as incomplete.
pub(crate) fn holes_of_partial(
    source: &Repo,
    store: &dyn Store,
    snapshot: &Snapshot,
    inventory: &Inventory,
) -> Result<BTreeSet<ObjectName>> {
    if inventory.partial.is_empty() {
        return Ok(BTreeSet::new());
    }
    let mut history = History::read(source, &snapshot.refs)?;
    history.keep_only(|commit| Ok(inventory.partial.contains(commit)))?;
    let tips = snapshot.refs.values().copied().collect();
    Closure::of_history(source, &history, &tips)?.verify(store)
}

/// Applies a function that asks a store to all items on several threads; the order of the results is not defined.
pub(crate) fn in_parallel<T: Sync, R: Send>(
    store: &dyn Store,
    items: &[T],
    work: impl Fn(&T) -> Result<Option<R>> + Sync,
) -> Result<Vec<R>> {
    let jobs = store.jobs().get();
    let crew = if store.looks_are_dear() {
        Crew::of_waiting(jobs)
    } else {
        jobs.into()
    };
    Ok(gathered(crew, items, work)?.into_iter().flatten().collect())
}

fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}
