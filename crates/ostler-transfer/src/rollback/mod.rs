//! Rolling back: a new flip to the refs and the summary of an earlier generation.
//!
//! Order of a run:
//! 1. *nothing locked*: which generation is meant, what its refs need, which summary goes with them;
//! 2. *lease*: the refs are read again, and everything that refs which move will need is looked at; then refs, summary, the
//!    list of what is retired and a new record change in one flip. If the refs have changed meanwhile, the run fails:
//!    nobody asked for a way back from what was published just now.
//!
//! Stopped anywhere, it leaves what a publish leaves: the target as it was, or a flip that the next command completes.
//! What the refs named before is retired by the flip, so that one can roll forward again until it is swept.

mod choose;
mod closure;
mod summary;

use crate::error::{Result, TransferError};
use crate::generation::{self, Generation, Listing};
use crate::inventory::Inventory;
use crate::kept;
use crate::past::{Past, recorded_refs};
use crate::plan::{RefUpdate, SummaryPlan};
use crate::policy::{Signing, SummaryPolicy};
use crate::publish::{complete, ref_edits};
use crate::report::Reporter;
use crate::retire;
use crate::store::{Edit, Expect, Store};
use crate::summaries;
use crate::summary::{INDEX, SummaryEdits};
use closure::Needed;
use ostler_format::{Checksum, CollectionRef, ObjectName};
use ostler_repo::RepoError;
use std::collections::{BTreeMap, BTreeSet};

/// How often the target is read until it does not change meanwhile.
const LOOKS: u32 = 8;

/// How a target is rolled back.
#[derive(Clone, Copy)]
#[expect(
    missing_debug_implementations,
    reason = "the reporter is a trait object without one"
)]
pub struct RollbackOptions<'a> {
    /// To which generation; `None`: to the newest before the present one that had other refs.
    pub generation: Option<u64>,
    /// Also where refs were changed since the last generation by something that makes no records.
    pub force: bool,
    /// What becomes of the summary.
    pub summary: SummaryPolicy,
    /// Who signs it.
    pub signing: &'a Signing,
    /// Say what would be done, and stop there.
    pub dry_run: bool,
    /// Returns the time, in seconds since the epoch, UTC: asked when nobody else can change the target any more.
    pub clock: &'a (dyn Fn() -> u64 + Sync),
    /// Who rolls back, for the generation record.
    pub who: &'a str,
    /// Hears how the run goes.
    pub reporter: &'a dyn Reporter,
}

/// What a run did, or with [`dry_run`](RollbackOptions::dry_run) would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollbackOutcome {
    /// The generation that was gone back to.
    pub to: u64,
    /// Refs that moved.
    pub refs: Vec<RefUpdate>,
    /// Refs that something else had changed since the last generation.
    pub changed: Vec<String>,
    /// The summary.
    pub summary: SummaryPlan,
    /// The number of the new generation; `None` if there was nothing to do.
    pub generation: Option<u64>,
}

/// Rolls a target back.
///
/// # Errors
/// [`TransferError::NoGeneration`], [`TransferError::NothingEarlier`], [`TransferError::ChangedSince`],
/// [`TransferError::Swept`], [`TransferError::Summary`], [`TransferError::Contended`]; any failure of the store.
pub fn rollback(store: &dyn Store, options: &RollbackOptions<'_>) -> Result<RollbackOutcome> {
    if !options.dry_run {
        complete(store, options.reporter)?;
    }
    let (past, before) = look(store)?;
    let present = Generation::refs_of(&before.refs);
    let record = choose::generation(store, &past, &present, options.generation)?;
    let changed = choose::changed_since(&past, &present);
    if !changed.is_empty() && !options.force && !options.dry_run {
        return Err(TransferError::ChangedSince {
            target: store.describe(),
            refs: changed,
        });
    }
    let wanted = recorded_refs(record)?;
    let (refs, refs_after) = choose::updates(&before, &wanted);
    let tips: BTreeSet<_> = refs.iter().filter_map(|update| update.new).collect();
    let needed = Needed::by(store, &tips, &before.partial)?;
    refuse_holes(store, record.number, needed.missing())?;
    let summary = summary::plan(store, options, record, &refs_after)?;
    let way = Way {
        store,
        options,
        before,
        refs,
        refs_after,
        summary,
        needed,
        to: record.number,
    };
    let idle = way.refs.is_empty() && way.summary == SummaryPlan::Keep;
    let generation = if options.dry_run || idle {
        None
    } else {
        Some(way.take()?)
    };
    Ok(RollbackOutcome {
        to: way.to,
        refs: way.refs,
        changed,
        summary: way.summary,
        generation,
    })
}

/// What is to be done.
struct Way<'a> {
    store: &'a dyn Store,
    options: &'a RollbackOptions<'a>,
    before: Inventory,
    refs: Vec<RefUpdate>,
    refs_after: BTreeMap<CollectionRef, Checksum>,
    summary: SummaryPlan,
    needed: Needed,
    to: u64,
}

/// Reads the records and the refs of a store so that they are of one time: a flip may be under way.
fn look(store: &dyn Store) -> Result<(Past, Inventory)> {
    for _ in 0..LOOKS {
        let before = Inventory::read(store)?;
        let past = Past::read(store)?;
        if Inventory::read(store)? == before {
            return Ok((past, before));
        }
    }
    Err(TransferError::Contended {
        target: store.describe(),
        attempts: LOOKS,
    })
}

fn refuse_holes(store: &dyn Store, number: u64, missing: &[ObjectName]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    Err(TransferError::Swept {
        target: store.describe(),
        number,
        missing: missing.to_vec(),
    })
}

impl Way<'_> {
    /// The part under the lease: look again, flip. Returns the number of the new generation.
    fn take(&self) -> Result<u64> {
        self.options.reporter.flipping();
        let lease = self.store.lease()?;
        self.store.recover()?;
        if Inventory::read(self.store)? != self.before {
            return Err(self.contended());
        }
        refuse_holes(self.store, self.to, &self.needed.look(self.store)?)?;
        let (edits, number, before) = self.edits()?;
        crate::summary::overlap(self.store, before, self.options.signing.settle, None)?;
        match self.store.flip(&edits) {
            Err(TransferError::Repo(RepoError::Changed { .. })) => Err(self.contended()),
            Err(error) => Err(error),
            Ok(()) => {
                drop(lease);
                Ok(number)
            }
        }
    }

    fn contended(&self) -> TransferError {
        TransferError::Contended {
            target: self.store.describe(),
            attempts: 1,
        }
    }

    /// Returns what the flip does, the number of its generation, and what goes before it.
    fn edits(&self) -> Result<(Vec<Edit>, u64, Option<Edit>)> {
        let (store, now) = (self.store, (self.options.clock)());
        let after = (&self.refs_after, self.options.signing);
        let SummaryEdits {
            before,
            edits: mut summary_edits,
            digest,
        } = crate::summary::edits(None, store, &self.summary, after, now)?;
        let drops_index = self.drop_index(&mut summary_edits)?;
        let roots = retire::unlimited(now).roots(store, &self.refs_after)?;
        let dropped: Vec<_> = self.refs.iter().filter_map(|update| update.old).collect();
        let retired = retire::edit(store, &roots, &dropped, now, self.options.reporter, |list| {
            if drops_index {
                summaries::retire(store, &[], now, list)?;
            }
            Ok(())
        })?;
        let listing = Listing::read(store)?;
        let record = Generation {
            number: generation::next_number(store, &listing)?,
            time: now,
            who: self.options.who.to_owned(),
            refs: Generation::refs_of(&self.refs_after),
            summary: digest.map(|digest| digest.to_string()),
            added_objects: 0,
            added_bytes: 0,
            rolled_back_to: Some(self.to),
        };
        let mut edits = record.edits(None)?;
        edits.extend(kept::edits(store, &summary_edits)?);
        edits.extend(retired);
        edits.extend(ref_edits(&self.refs));
        edits.extend(summary_edits);
        edits.extend(generation::expired(store, &listing, &record)?);
        Ok((edits, record.number, before))
    }

    /// Removes Flatpak's index where the summary changes: it is of the state that is left, and nobody keeps it. Its clients
    /// read the summary then.
    fn drop_index(&self, edits: &mut Vec<Edit>) -> Result<bool> {
        let changes = self.summary != SummaryPlan::Keep;
        if !changes
            || self
                .store
                .get(INDEX[0], crate::inventory::SUMMARY_LIMIT)?
                .is_none()
        {
            return Ok(false);
        }
        self.options
            .reporter
            .note("summary.idx is of the state that is left: it is removed, and is to be made anew");
        edits.extend(INDEX.iter().map(|path| Edit {
            path: (*path).to_owned(),
            expect: Expect::Any,
            new: None,
        }));
        Ok(true)
    }
}
