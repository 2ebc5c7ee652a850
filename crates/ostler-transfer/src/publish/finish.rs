//! The last part of a run, under the lease of the target: look again, settle, flip.
//!
//! What the plan stands on is read again: refs, the list of what is retired, commits whose trees were taken to be there. Then objects are
//! settled while the rest of the closure of each ref that moves is looked at. Until the flip readers see the target as it was.

use super::{Ending, Run};
use crate::added;
use crate::check::{Closure, Tips};
use crate::detached;
use crate::error::{Result, TransferError};
use crate::generation::{self, Generation, Listing};
use crate::inventory::{Inventory, partial_path};
use crate::kept;
use crate::plan::{Plan, RefUpdate};
use crate::refs;
use crate::report::Again;
use crate::store::{Edit, Expect, Lease, object_path};
use crate::summary;
use ostler_format::{Checksum, CollectionRef, ObjectName, ObjectType};
use ostler_repo::{RepoError, Retired};
use std::collections::{BTreeMap, BTreeSet};

impl Run<'_> {
    /// The part under the lease: look again, settle, flip.
    pub(super) fn finish(
        &self,
        plan: &Plan,
        inventory: &Inventory,
        tips: &Tips<'_>,
        lease: Box<dyn Lease + '_>,
        settle: impl FnOnce() -> Result<()>,
    ) -> Result<Ending> {
        self.store.recover()?;
        let now = refs::survey_store(self.store)?;
        let moved = moved(&inventory.refs, &now.refs).or_else(|| moved(&inventory.damaged, &now.damaged));
        if let Some(moved) = moved {
            return Ok(Ending::Again(Again::Moved(moved)));
        }
        let lost = Closure::relied_on(plan).look_after(self.store, || Ok(()))?;
        if !lost.is_empty() {
            return Ok(Ending::Again(Again::Holes(lost.into_iter().collect())));
        }
        if let Some(lost) = self.lost_ground(plan)? {
            return Ok(Ending::Again(Again::Moved(lost)));
        }
        // In place, before a ref names them, objects harm nobody if the run has to compute again.
        let holes = tips.look_after(self.store, (plan, inventory), settle)?;
        if !holes.is_empty() {
            return Ok(Ending::Again(Again::Holes(holes.into_iter().collect())));
        }
        let time = (self.options.clock)();
        let refs_after = refs::after(&now.refs, &now.aliases, &plan.refs);
        let mut edits: Vec<Edit> = plan.detached.iter().map(detached::edit).collect();
        edits.extend(plan.healed.iter().map(|commit| Edit {
            path: partial_path(commit),
            expect: Expect::Any,
            new: None,
        }));
        edits.extend(plan.retirement.edit(time)?);
        edits.extend(ref_edits(&plan.refs));
        let signing = &self.options.policy.signing;
        let summary = summary::edits(
            Some(self.source),
            self.store,
            &plan.summary,
            (&refs_after, signing),
            time,
        )?;
        summary::note(self.store, &summary.edits, self.options.reporter)?;
        edits.splice(0..0, kept::edits(self.store, &summary.edits)?);
        edits.extend(summary.edits);
        let listing = Listing::read(self.store)?;
        let number = generation::next_number(self.store, &listing)?;
        let record = self.record(plan, number, &refs_after, summary.digest, time);
        let added = added::list(plan, self.store, self.source.mode().is_archive())?;
        edits.splice(0..0, record.edits(added)?);
        edits.extend(generation::expired(self.store, &listing, &record)?);
        summary::overlap(
            self.store,
            summary.before,
            signing.settle,
            Some(self.options.interrupted),
        )?;
        match self.store.flip(&edits) {
            Err(TransferError::Repo(RepoError::Changed { path, .. })) => {
                Ok(Ending::Again(Again::Moved(path.display().to_string())))
            }
            Err(error) => Err(error),
            Ok(()) => {
                drop(lease);
                Ok(Ending::Done(record.number))
            }
        }
    }

    /// Names what a plan stands on and is not so any more, beside refs: the list of what is retired, or a commit whose
    /// trees were taken to be there. (Whoever removes a commit removes it before what it needs.)
    fn lost_ground(&self, plan: &Plan) -> Result<Option<String>> {
        if !plan.retirement.is_current(self.store)? {
            return Ok(Some(Retired::PATH.to_owned()));
        }
        for base in &plan.relied_on.bases {
            let name = ObjectName::new(*base, ObjectType::Commit);
            if self.store.look(&name)?.is_none_or(|size| size == 0) {
                return Ok(Some(object_path(name)));
            }
        }
        Ok(None)
    }

    fn record(
        &self,
        plan: &Plan,
        number: u64,
        refs_after: &BTreeMap<CollectionRef, Checksum>,
        summary: Option<Checksum>,
        time: u64,
    ) -> Generation {
        Generation {
            number,
            time,
            who: self.options.who.to_owned(),
            refs: Generation::refs_of(refs_after),
            summary: summary.map(|digest| digest.to_string()),
            added_objects: plan.objects.len() as u64,
            added_bytes: plan.bytes(),
            rolled_back_to: None,
        }
    }
}

/// Names a ref that is not what it was.
fn moved(
    before: &BTreeMap<CollectionRef, Checksum>,
    now: &BTreeMap<CollectionRef, Checksum>,
) -> Option<String> {
    let changed = |(name, commit): (&CollectionRef, &Checksum), other: &BTreeMap<_, _>| {
        (other.get(name) != Some(commit)).then(|| name.to_string())
    };
    (before.iter().find_map(|entry| changed(entry, now)))
        .or_else(|| now.iter().find_map(|entry| changed(entry, before)))
}

/// Returns the edits for refs: removals that make room for another ref first, then updates, then other removals.
pub(crate) fn ref_edits(updates: &[RefUpdate]) -> Vec<Edit> {
    let new_paths: BTreeSet<_> = updates
        .iter()
        .filter(|update| update.new.is_some())
        .map(|update| refs::path(&update.name))
        .collect();
    let makes_room = |path: &str| {
        let below = format!("{path}/");
        new_paths
            .range(below.clone()..)
            .next()
            .is_some_and(|next| next.starts_with(&below))
            || path
                .match_indices('/')
                .any(|(end, _)| path.get(..end).is_some_and(|above| new_paths.contains(above)))
    };
    let mut edits: Vec<_> = updates
        .iter()
        .map(|update| {
            let path = refs::path(&update.name);
            let rank = match update.new {
                Some(_) => 1,
                None if makes_room(&path) => 0,
                None => 2,
            };
            let expect = match (update.old, update.damaged) {
                (Some(old), _) => Expect::Ref(old),
                (None, Some(damaged)) => Expect::Bytes(damaged),
                (None, None) => Expect::Absent,
            };
            (
                rank,
                Edit {
                    path,
                    expect,
                    new: update.new.as_ref().map(refs::content),
                },
            )
        })
        .collect();
    edits.sort_by_key(|(rank, _)| *rank);
    edits.into_iter().map(|(_, edit)| edit).collect()
}
