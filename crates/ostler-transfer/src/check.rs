//! Looks at what the target holds before a ref moves (I10): presence of a tree does not prove that of its children.
//!
//! The closure is listed from the source while it is locked; it is looked at under the target's lease, when nothing
//! can be removed any more. What is sent in this run is hashed and needs no look.

use crate::added;
use crate::error::{Result, TransferError};
use crate::history::History;
use crate::inventory::Inventory;
use crate::plan::Plan;
use crate::planner::missing_dirtree;
use crate::policy::Policy;
use crate::snapshot::Snapshot;
use crate::store::Store;
use ostler_format::{ObjectName, ObjectType};
use ostler_repo::parallel::{spread, spread_beside};
use ostler_repo::{ListedObject, ObjectList, Repo};
use std::collections::BTreeSet;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

/// Objects that the target must have, with the size that the source's copy has where that says something.
#[derive(Debug, Default)]
pub(crate) struct Closure {
    objects: Vec<(ObjectName, Option<u64>)>,
}

impl Closure {
    /// Leaves out what the plan sends. Sizes are those of the source's files where these are stored alike, else those that the
    /// target's records have.
    pub(crate) fn unsent(
        source: &Repo,
        store: &dyn Store,
        lists: &[Arc<ObjectList>],
        plan: &Plan,
    ) -> Result<Self> {
        let mut sent: Vec<_> = plan.objects.iter().map(|added| added.name).collect();
        sent.sort_unstable();
        let archive = source.mode().is_archive();
        let sized = |listed: ListedObject| {
            let stored_alike = archive || listed.name.kind.is_metadata();
            (
                listed.name,
                listed.size.filter(|_| stored_alike).map(NonZero::get),
            )
        };
        let all = lists.iter().flat_map(|list| list.entries()).map(sized);
        let mut objects: Vec<_> = all
            .filter(|(name, _)| sent.binary_search(name).is_err())
            .collect();
        if lists.len() > 1 {
            objects.sort_unstable_by_key(|(name, _)| *name);
            objects.dedup_by_key(|(name, _)| *name);
        }
        let unsized_names: Vec<_> = (objects.iter())
            .filter_map(|(name, size)| size.is_none().then_some(*name))
            .collect();
        let mut recorded = added::sizes(store, &unsized_names)?.into_iter();
        for (_, size) in objects.iter_mut().filter(|(_, size)| size.is_none()) {
            *size = recorded.next().and_then(NonZero::new).map(NonZero::get);
        }
        Ok(Self { objects })
    }

    /// Takes what the plan found at the target of commits that are sent and that no ref will name.
    pub(crate) fn relied_on(plan: &Plan) -> Self {
        let names = plan.relied_on.objects.iter();
        Self {
            objects: names.map(|name| (*name, None)).collect(),
        }
    }

    /// Lists what every commit of the history leads to.
    pub(crate) fn of_history(source: &Repo, history: &History) -> Result<Self> {
        let commits: Vec<_> = history.commits().copied().collect();
        let names = source.closure(&commits).map_err(missing_dirtree)?;
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
        let look = |found: &mut Vec<_>, (name, size): &(ObjectName, Option<u64>)| {
            match store.look(name)? {
                None | Some(0) => found.push((*name, 0)),
                Some(other) if size.is_some_and(|size| size != other) => found.push((*name, other)),
                Some(_) => {}
            }
            Ok(())
        };
        let stop = AtomicBool::new(false);
        let found = spread_beside(first, &self.objects, threads(), &stop, Vec::new, look, |_| {})?;
        let (other, missing): (Vec<_>, Vec<_>) =
            found.into_iter().flatten().partition(|(_, size)| *size != 0);
        let mut holes: BTreeSet<_> = missing.into_iter().map(|(name, _)| name).collect();
        holes.extend(damaged(store, other)?);
        Ok(holes)
    }

    /// Returns the objects that are not there, or are there and not what their names say.
    pub(crate) fn verify(&self, store: &dyn Store) -> Result<BTreeSet<ObjectName>> {
        let holes = in_parallel(&self.objects, |(name, _)| {
            Ok((!store.verify(name)?).then_some(*name))
        })?;
        Ok(holes.into_iter().collect())
    }
}

/// Returns those of some objects of a target, given with the sizes of their files, that have neither the size that the
/// target's records say nor, when read, the content that their names say.
fn damaged(store: &dyn Store, objects: Vec<(ObjectName, u64)>) -> Result<Vec<ObjectName>> {
    let names: Vec<_> = objects.iter().map(|(name, _)| *name).collect();
    let recorded = added::sizes(store, &names)?;
    let unknown: Vec<_> = (objects.into_iter().zip(recorded))
        .filter_map(|((name, size), recorded)| (size != recorded).then_some(name))
        .collect();
    in_parallel(&unknown, |name| Ok((!store.verify(name)?).then_some(*name)))
}

/// Returns what the target lacks or has damaged of commits that it claims to have: of those that it marks as incomplete,
/// and, with [`verify`](Policy::verify), of the whole history of the selected refs as far as the target has it.
pub(crate) fn known_holes(
    source: &Repo,
    store: &dyn Store,
    snapshot: &Snapshot,
    inventory: &Inventory,
    policy: &Policy,
) -> Result<BTreeSet<ObjectName>> {
    if !policy.verify && inventory.partial.is_empty() {
        return Ok(BTreeSet::new());
    }
    let named: BTreeSet<_> = inventory.refs.values().collect();
    let mut history = History::read(source, &snapshot.refs)?;
    history.keep_only(|commit| {
        let claimed = || -> Result<bool> {
            // The target of a ref is claimed even if it is gone; an ancestor may have been pruned.
            let found = store.look(&ObjectName::new(*commit, ObjectType::Commit))?;
            Ok(named.contains(commit) || found.is_some())
        };
        Ok(inventory.partial.contains(commit) || (policy.verify && claimed()?))
    })?;
    Closure::of_history(source, &history)?.verify(store)
}

/// Applies a function to all items on several threads; the order of the results is not defined.
pub(crate) fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<Option<R>> + Sync,
) -> Result<Vec<R>> {
    let gather = |results: &mut Vec<R>, item: &T| {
        results.extend(work(item)?);
        Ok::<_, TransferError>(())
    };
    let states = spread(
        items,
        threads(),
        &AtomicBool::new(false),
        Vec::new,
        gather,
        |_| {},
    )?;
    Ok(states.into_iter().flatten().collect())
}

fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}
