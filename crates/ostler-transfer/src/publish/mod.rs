//! Publishing: snapshot, inventory, plan, execution and flip, repeated when the target changes meanwhile.
//!
//! Before anything else static deltas that are asked for are [made](crate::deltas) in the source. Order of a run then, with
//! what is locked:
//! 1. *source shared*: the refs are resolved once (the snapshot), the plan is computed, what it names is pinned;
//! 2. *nothing*: objects and files are put, out of sight of readers (where little is to be linked, and the lease is to be
//!    had at once, the source stays locked instead, and the objects are linked under the lease);
//! 3. *target lease*: refs and the list of what is retired are read again; objects are settled while the rest of the
//!    closure of each ref that moves is looked at, after what older commits that are sent need and the target had.
//!    If refs or list are not what the plan was computed against, or an object is not there, the lease is let go and
//!    the run computes again, with what was put already and the same snapshot, or a new one where the source has pruned
//!    a commit of it since; refs that somebody else has moved [beyond it](crate::overtaken) are done. Otherwise the flip
//!    is made.
//!
//! Stopped anywhere, it leaves the target as it was or the flip's intent record, which the next run completes; what was
//! put stays and is used by the next run. Pins and what was put are gone before the flip, so that a run that is stopped
//! behind it leaves nothing to tidy up.

mod finish;

pub(crate) use finish::ref_edits;

use crate::check::{Ahead, Tips, holes_of_partial};
use crate::claims::{Claims, Lost};
use crate::deltas;
use crate::error::{Result, TransferError};
use crate::execute::Execution;
use crate::inventory::Inventory;
use crate::lists::Lists;
use crate::overtaken;
use crate::pin::Pin;
use crate::plan::Plan;
use crate::planner::{Planner, with_causes};
use crate::policy::Policy;
use crate::report::{Again, Reporter};
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::sweep::{self, SweepOptions, Swept};
use ostler_format::{Checksum, CollectionRef, DeltaName, ObjectName, ObjectType};
use ostler_repo::pin::remove_stale;
use ostler_repo::{LockGuard, LockKind, ObjectList, Recovery, Repo};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// How often a run computes again before it gives up.
const ATTEMPTS: u32 = 8;

/// How a run is carried out.
#[derive(Clone, Copy)]
#[expect(
    missing_debug_implementations,
    reason = "the reporter is a trait object without one"
)]
pub struct PublishOptions<'a> {
    /// Rules for the updates.
    pub policy: &'a Policy,
    /// Compute and report the plan, and stop there.
    pub dry_run: bool,
    /// How many objects are put at once.
    pub jobs: NonZero<usize>,
    /// Up to so many bytes that the target can link are put under the source's shared lock; more are pinned first.
    pub held_bytes: u64,
    /// After so many seconds what the target does not need any more is removed, at the end of a run; `None`: never.
    pub sweep: Option<u64>,
    /// Returns the time, in seconds since the epoch, UTC: asked at the beginning, and again when nobody else can change the
    /// target any more, since what a flip leaves behind was needed until then.
    pub clock: &'a (dyn Fn() -> u64 + Sync),
    /// Who publishes, for the generation record.
    pub who: &'a str,
    /// Set when the user wants the run to stop; looked at between objects.
    pub interrupted: &'a AtomicBool,
    /// Hears how the run goes.
    pub reporter: &'a dyn Reporter,
}

/// What a run did, or with [`dry_run`](PublishOptions::dry_run) would do.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The plan that was carried out last.
    pub plan: Plan,
    /// With [`dry_run`](PublishOptions::dry_run), the static deltas that would be made in the source.
    pub deltas: Vec<DeltaName>,
    /// The number of the generation that the run made; `None` if there was nothing to do.
    pub generation: Option<u64>,
    /// How often the plan was computed.
    pub attempts: u32,
    /// With [`verify`](Policy::verify), what the target claims to have and nobody could heal.
    pub lost: Vec<Lost>,
    /// What was removed, if the grace of anything was over.
    pub swept: Option<Swept>,
    /// Why not all of it was removed; the next run does the rest.
    pub sweep_error: Option<String>,
}

/// Publishes from a local repository to a store.
///
/// # Errors
/// See [`TransferError`]; unless its variant says otherwise no ref of the target has moved.
pub fn publish(source: &Repo, store: &dyn Store, options: &PublishOptions<'_>) -> Result<Outcome> {
    Run {
        source,
        store,
        options,
        now: (options.clock)(),
    }
    .publish()
}

struct Run<'a> {
    source: &'a Repo,
    store: &'a dyn Store,
    options: &'a PublishOptions<'a>,
    /// When it began.
    now: u64,
}

/// How the last part of a run ended.
enum Ending {
    Done(u64),
    Again(Again),
}

impl<'a> Run<'a> {
    fn publish(&self) -> Result<Outcome> {
        let outcome = self.publish_or_fail();
        if matches!(
            outcome,
            Err(TransferError::Refused(_) | TransferError::Summary(_))
        ) {
            // Running again would be refused again: there is nothing to go on with.
            self.store.forget()?;
        }
        let mut outcome = outcome?;
        if !self.options.dry_run {
            match self.sweep() {
                Ok(swept) => outcome.swept = swept,
                Err(error) => {
                    let why = error.chain();
                    let text = format!("what nobody needs any more was not removed: {why}");
                    self.options.reporter.note(&text);
                    outcome.sweep_error = Some(why);
                }
            }
        }
        Ok(outcome)
    }

    /// Removes what is over. What was published stays so: a failure is told, and the next run does the rest.
    fn sweep(&self) -> Result<Option<Swept>> {
        let Some(grace) = self.options.sweep else {
            return Ok(None);
        };
        let options = SweepOptions {
            retention: &self.options.policy.retention,
            now: (self.options.clock)(),
            grace,
            dry_run: false,
            threads: self.options.jobs,
            interrupted: self.options.interrupted,
            reporter: self.options.reporter,
        };
        if !sweep::is_due(self.store, options.now, options.grace)? {
            return Ok(None);
        }
        sweep::sweep(self.store, &options).map(Some)
    }

    fn publish_or_fail(&self) -> Result<Outcome> {
        if !self.options.dry_run {
            self.prepare()?;
        }
        let mut guard = self.source.lock(LockKind::Shared)?;
        // Before the snapshot: whatever others bring from the same source meanwhile is in that, or newer.
        let mut inventory = Inventory::read(self.store)?;
        let began = inventory.refs.clone();
        let mut snapshot = self.snapshot()?;
        let mut holes = BTreeSet::new();
        let mut claims = Claims::default();
        let lists = Lists::new(self.source);
        let mut attempted = BTreeSet::new();
        for attempts in 1..=ATTEMPTS {
            if holes.is_empty() {
                let found = self.unsound(&snapshot, &inventory);
                (holes, claims) = found.map_err(|error| with_causes(self.source, &snapshot, error))?;
            }
            let moved = self.list_moved(&snapshot, &inventory, &lists);
            let moved = moved.map_err(|error| with_causes(self.source, &snapshot, error))?;
            holes.extend(claims.relied_on(&moved));
            let mut plan = None;
            let ahead = Ahead::look(self.source, self.store, &moved, || {
                plan = Some(self.plan(&snapshot, &inventory, (&holes, &attempted), &lists)?);
                Ok(())
            })?;
            let plan = plan.expect("it was computed, or failed");
            let tips = Tips {
                source: self.source,
                lists: moved,
                ahead,
                known: &lists,
            };
            if self.options.dry_run || plan.is_empty() {
                // What an earlier attempt put has been brought by somebody else.
                self.store.forget()?;
                let deltas = if self.options.dry_run {
                    deltas::would_make(self.source, self.store, self.options, self.now)?
                } else {
                    Vec::new()
                };
                return Ok(Outcome {
                    lost: claims.lost_after(&plan),
                    plan,
                    deltas,
                    generation: None,
                    attempts,
                    swept: None,
                    sweep_error: None,
                });
            }
            self.announce(&plan);
            self.check_space(&plan)?;
            lists.record(snapshot.refs.len());
            attempted.extend(plan.commits());
            match self.carry_out(&plan, &tips, &inventory, guard)? {
                Ending::Done(number) => {
                    return Ok(Outcome {
                        lost: claims.lost_after(&plan),
                        plan,
                        deltas: Vec::new(),
                        generation: Some(number),
                        attempts,
                        swept: None,
                        sweep_error: None,
                    });
                }
                Ending::Again(reason) => {
                    self.options.reporter.again(&reason);
                    if let Again::Holes(missing) = reason {
                        self.note_holes(&mut holes, missing)?;
                    }
                }
            }
            guard = self.source.lock(LockKind::Shared)?;
            inventory = Inventory::read(self.store)?;
            self.renew(&mut snapshot, &mut holes, &began, &inventory.refs)?;
        }
        Err(TransferError::Contended {
            target: self.store.describe(),
            attempts: ATTEMPTS,
        })
    }

    /// Names the damaged refs of the target that stay so.
    fn note_damaged(&self, inventory: &Inventory, plan: &Plan) {
        let replaced: BTreeSet<_> = plan.refs.iter().map(|update| &update.name).collect();
        for name in inventory.damaged.keys().filter(|name| !replaced.contains(name)) {
            let target = self.store.describe();
            let text = format!(
                "ref '{name}' of {target} is damaged, names no commit and is left: nothing is swept until it is published or \
                 removed"
            );
            self.options.reporter.note(&text);
        }
    }

    /// Tells what a plan is, and what was found damaged at the target.
    fn announce(&self, plan: &Plan) {
        self.options.reporter.planned(plan);
        if let Some(damage) = &plan.retirement.damage {
            let text = format!("{damage}; what was on it stays until it is dropped anew, or pruned");
            self.options.reporter.note(&text);
        }
        for update in plan.detached.iter().filter(|update| update.replaces_damaged) {
            let name = ObjectName::new(update.commit, ObjectType::CommitMeta);
            let text = format!("{name} of the target is damaged, and replaced by that of the source");
            self.options.reporter.note(&text);
        }
    }

    /// Returns what the target claims to have, and does not have sound, as far as anything is read before the plan is made.
    fn unsound(&self, snapshot: &Snapshot, inventory: &Inventory) -> Result<(BTreeSet<ObjectName>, Claims)> {
        let mut holes = holes_of_partial(self.source, self.store, snapshot, inventory)?;
        let mut claims = Claims::default();
        if self.options.policy.verify {
            claims = Claims::check(self.source, self.store, inventory)?;
            holes.extend(&claims.holes);
        }
        Ok((holes, claims))
    }

    /// Resolves the refs that are published. The source is locked.
    fn snapshot(&self) -> Result<Snapshot> {
        let mut snapshot = Snapshot::take(self.source, &self.options.policy.selection)?;
        let retention = &self.options.policy.retention;
        (snapshot.refs).retain(|name, _| !retention.is_over(name.name.as_str(), self.now));
        Ok(snapshot)
    }

    /// Makes a snapshot fit for another attempt, when the target has these refs `now` and had others when the run `began`.
    /// The source is locked.
    fn renew(
        &self,
        snapshot: &mut Snapshot,
        holes: &mut BTreeSet<ObjectName>,
        began: &BTreeMap<CollectionRef, Checksum>,
        now: &BTreeMap<CollectionRef, Checksum>,
    ) -> Result<()> {
        if self.is_pruned(snapshot)? {
            *snapshot = self.snapshot()?;
            holes.clear();
        }
        snapshot.add_names(self.source)?;
        for (name, theirs) in overtaken::take((self.source, self.store), snapshot, began, now)? {
            self.options.reporter.note(&format!(
                "'{name}' was moved meanwhile to {theirs}, which descends from what was to be published: it stays there"
            ));
        }
        Ok(())
    }

    /// Returns whether the source has lost a commit of the snapshot, while it was not locked and nothing was pinned any more.
    fn is_pruned(&self, snapshot: &Snapshot) -> Result<bool> {
        for commit in snapshot.refs.values() {
            if !(self.source).has_object(&ObjectName::new(*commit, ObjectType::Commit))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Completes what an earlier run did not finish, removes its pins, makes the deltas that are asked for, and brings
    /// indexes in line with the source's deltas.
    fn prepare(&self) -> Result<()> {
        if self.source.is_writable() {
            remove_stale(self.source)?;
        }
        complete(self.store, self.options.reporter)?;
        deltas::make(self.source, self.store, self.options, self.now)?;
        if self.source.is_writable() {
            for target in self.source.mend_delta_indexes()? {
                self.options.reporter.note(&format!(
                    "the index of the source's static deltas to {target} did not fit them: it was made anew"
                ));
            }
        }
        Ok(())
    }

    fn plan(
        &self,
        snapshot: &Snapshot,
        inventory: &Inventory,
        (holes, attempted): (&BTreeSet<ObjectName>, &BTreeSet<Checksum>),
        lists: &Lists<'_>,
    ) -> Result<Plan> {
        let (source, store, policy) = (self.source, self.store, self.options.policy);
        let plan = Planner {
            source,
            store,
            snapshot,
            inventory,
            policy,
            holes,
            attempted,
            lists,
            now: self.now,
            mends_indexes: self.options.dry_run && source.is_writable(),
        }
        .plan()?;
        if attempted.is_empty() {
            self.note_damaged(inventory, &plan);
        }
        Ok(plan)
    }

    /// Lists what the refs that move lead to. Nothing is listed for a target without objects: there, everything is sent.
    fn list_moved(
        &self,
        snapshot: &Snapshot,
        inventory: &Inventory,
        lists: &Lists<'_>,
    ) -> Result<Vec<Arc<ObjectList>>> {
        if inventory.is_empty || self.options.dry_run {
            return Ok(Vec::new());
        }
        let moved = |(name, new): &(&CollectionRef, &Checksum)| inventory.refs.get(name) != Some(new);
        let tips: BTreeSet<_> = snapshot.refs.iter().filter(moved).map(|(_, new)| *new).collect();
        tips.iter().map(|tip| lists.of(tip)).collect()
    }

    fn note_holes(&self, holes: &mut BTreeSet<ObjectName>, missing: Vec<ObjectName>) -> Result<()> {
        let before = holes.len();
        holes.extend(missing.iter().copied());
        if holes.len() == before {
            return Err(TransferError::Unstable {
                target: self.store.describe(),
                missing,
            });
        }
        Ok(())
    }

    fn check_space(&self, plan: &Plan) -> Result<()> {
        let needed = if self.store.shares_files_with(self.source) {
            0
        } else {
            plan.bytes()
        };
        match self.store.free_bytes()? {
            Some(available) if needed > available => Err(TransferError::NoSpace {
                target: self.store.describe(),
                needed,
                available,
            }),
            _ => Ok(()),
        }
    }

    fn carry_out(
        &self,
        plan: &Plan,
        tips: &Tips<'_>,
        inventory: &Inventory,
        guard: LockGuard<'a>,
    ) -> Result<Ending> {
        let pin = Pin::take(self.source, self.store, plan, self.options.held_bytes, guard)?;
        let execution = Execution {
            source: self.source,
            store: self.store,
            pin: &pin,
            jobs: self.options.jobs,
            interrupted: self.options.interrupted,
            reporter: self.options.reporter,
        };
        if pin.holds_lock() && self.may_link(plan) {
            execution.hash_all(plan)?;
            // Never waits for the one lock while holding the other.
            if let Some(lease) = self.store.try_lease()? {
                self.options.reporter.flipping();
                return self.finish(plan, inventory, tips, lease, || link_or_put(&execution, plan));
            }
        }
        let order = execution.put_all(plan)?;
        execution.check_interrupt()?;
        drop(pin);
        self.options.reporter.flipping();
        let lease = self.store.lease()?;
        self.finish(plan, inventory, tips, lease, || self.store.settle(&order))
    }

    /// Returns whether the objects of a plan can be linked into place, and are so few that the source may stay locked.
    fn may_link(&self, plan: &Plan) -> bool {
        let replaces = plan.objects.iter().any(|added| added.replaces_damaged);
        !plan.objects.is_empty()
            && !replaces
            && plan.files.is_empty()
            && plan.bytes() <= self.options.held_bytes
            && self.store.shares_files_with(self.source)
    }
}

/// Completes a flip that was cut short, or gives it up.
pub(crate) fn complete(store: &dyn Store, reporter: &dyn Reporter) -> Result<()> {
    if !store.pending()? {
        return Ok(());
    }
    let lease = store.lease()?;
    match store.recover()? {
        None => {}
        Some(Recovery::Completed) => reporter.note("completed a change of the target that was cut short"),
        Some(Recovery::GivenUp) => {
            reporter.note("a publish was cut short, and what it brought was removed since: it is dropped");
        }
    }
    drop(lease);
    Ok(())
}

/// Makes hashed objects visible by links, or puts and settles them where links are refused.
fn link_or_put(execution: &Execution<'_>, plan: &Plan) -> Result<()> {
    let names: Vec<_> = plan.objects.iter().map(|added| added.name).collect();
    if execution.store.settle_links(execution.source, &names)? {
        for added in &plan.objects {
            execution.reporter.stored(added.size);
        }
        return Ok(());
    }
    let order = execution.put_all(plan)?;
    execution.store.settle(&order)
}
