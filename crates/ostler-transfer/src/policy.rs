//! The policy: which ref updates are accepted.

use crate::deltas::{DeltaOrigins, DeltaRule};
use crate::error::{Refusal, Result, TransferError};
use crate::history::{self, History};
use crate::plan::RefUpdate;
use crate::planner::Planner;
use crate::refs;
use crate::retention::Retention;
use crate::snapshot::{Selection, Snapshot};
use ostler_format::Checksum;
use ostler_format::CollectionRef;
use ostler_repo::sign::Signer;
use std::collections::BTreeMap;
use std::time::Duration;

/// Rules for a publish.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of the user")]
pub struct Policy {
    /// Which refs are published; with [`delete_refs`](Self::delete_refs), also which may be removed.
    pub selection: Selection,
    /// Accept updates that are not fast-forwards, or older.
    pub force: bool,
    /// Remove refs of the target that the source has no more.
    pub delete_refs: bool,
    /// Accept that no ref is left.
    pub allow_empty: bool,
    /// What becomes of the summary.
    pub summary: SummaryPolicy,
    /// Who signs it.
    pub signing: Signing,
    /// How much of the history of refs the target keeps.
    pub retention: Retention,
    /// Read and hash everything that the target claims to have, and replace what is not whole.
    pub verify: bool,
    /// Static deltas that are made for what is published, beside those that rules of [`retention`](Self::retention) name.
    pub deltas: Vec<DeltaRule>,
    /// What refs move from and to, where somebody has said so before: others do not move, and these from there or not at all.
    pub moves: Option<BTreeMap<CollectionRef, RefMove>>,
}

/// What somebody wants to become of one ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefMove {
    /// What it names before; `None` if it is not there.
    pub old: Option<Checksum>,
    /// What it names afterwards; `None` if it goes.
    pub new: Option<Checksum>,
    /// Whether it need not be a fast-forward, or newer.
    pub force: bool,
}

/// Who signs the target's summary, and how signatures follow one another.
#[derive(Debug, Clone, Default)]
pub struct Signing {
    /// Those who sign the summary; none: it has the signatures that it has, and a new one has none.
    pub signers: Vec<Signer>,
    /// How long clients get that have fetched the former signatures to fetch the former summary, where both have
    /// signatures that can overlap (see [`ostler_repo::summary::overlap`]).
    pub settle: Duration,
}

/// What becomes of the target's summary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SummaryPolicy {
    /// The source's, with its signature, if it describes exactly the refs that the target will have; made anew,
    /// unsigned, otherwise; refused if that would take a signature away from clients. Where somebody signs,
    /// whichever it is is signed.
    #[default]
    Auto,
    /// The source's, with its signature; refused if it does not describe the target's refs.
    Copy,
    /// Made from the target's refs; unsigned unless somebody signs.
    Generate,
    /// Left alone.
    None,
}

impl Policy {
    /// Returns whether static deltas are made for any ref.
    pub(crate) fn asks_for_deltas(&self) -> bool {
        !self.deltas.is_empty() || self.retention.asks_for_deltas()
    }

    /// Returns from where deltas to a new commit of a ref lead.
    pub(crate) fn delta_origins(&self, name: &str) -> DeltaOrigins {
        let matching = self.deltas.iter().filter(|rule| rule.refs.matches(name));
        matching.fold(self.retention.deltas_of(name), |all, rule| all.with(rule.origins))
    }

    /// Returns whether a ref of the target is to be removed: its time is over, or the source dropped it.
    pub(crate) fn drops(&self, name: &CollectionRef, snapshot: &Snapshot, now: u64) -> bool {
        let selected = self.selection.takes(&name.name);
        self.retention.is_over(name.name.as_str(), now)
            || (self.delete_refs && selected && !snapshot.all_names.contains(name))
            || self.move_of(name).is_some_and(|wanted| wanted.new.is_none())
    }

    fn move_of(&self, name: &CollectionRef) -> Option<RefMove> {
        self.moves.as_ref()?.get(name).copied()
    }

    /// Checks the updates; those that follow from an alias of the target are dropped from the list.
    pub(crate) fn check(
        &self,
        planner: &Planner<'_>,
        updates: &mut Vec<RefUpdate>,
        history: &History,
    ) -> Result<()> {
        let mut refusals = Vec::new();
        refusals.extend(updates.iter().filter_map(|update| self.overtaken(update)));
        follow_aliases(planner, updates, &mut refusals);
        for update in updates.iter() {
            let force = self.force || self.move_of(&update.name).is_some_and(|wanted| wanted.force);
            if let (Some(old), Some(new), false) = (update.old, update.new, force)
                && let Some(reason) = step_back(planner, history, old, new)?
            {
                refusals.push(Refusal {
                    reference: update.name.to_string(),
                    reason,
                    yields_to_force: true,
                });
            }
        }
        refuse_conflicts(planner, updates, &mut refusals);
        let kept = planner
            .inventory
            .refs
            .keys()
            .any(|name| !self.drops(name, planner.snapshot, planner.now));
        if updates.iter().any(|update| update.new.is_none())
            && !kept
            && planner.snapshot.refs.is_empty()
            && !self.allow_empty
        {
            let gone = updates.iter().filter(|update| update.new.is_none());
            refusals.extend(gone.map(|update| Refusal {
                reference: update.name.to_string(),
                reason:
                    "would go, and leave the target without refs: not removed without --allow-empty".into(),
                yields_to_force: false,
            }));
        }
        if refusals.is_empty() {
            Ok(())
        } else {
            Err(TransferError::Refused(refusals))
        }
    }
}

impl Policy {
    /// Refuses an update that would overwrite what nobody has seen who asked for it.
    fn overtaken(&self, update: &RefUpdate) -> Option<Refusal> {
        let wanted = self.move_of(&update.name)?;
        if wanted.old == update.old {
            return None;
        }
        let there =
            |commit: Option<Checksum>| commit.map_or("not there".to_owned(), |commit| format!("at {commit}"));
        Some(Refusal {
            reference: update.name.to_string(),
            reason: format!(
                "was moved meanwhile: it is {}, and was {}",
                there(update.old),
                there(wanted.old)
            ),
            yields_to_force: false,
        })
    }
}

/// An alias at the target moves with the ref that it leads to; it is never overwritten by a file.
fn follow_aliases(planner: &Planner<'_>, updates: &mut Vec<RefUpdate>, refusals: &mut Vec<Refusal>) {
    let aliases = &planner.inventory.aliases;
    let after = |name: &CollectionRef, updates: &[RefUpdate]| {
        let update = updates.iter().find(|update| update.name == *name);
        update.map_or_else(|| planner.inventory.refs.get(name).copied(), |update| update.new)
    };
    let all = updates.clone();
    updates.retain(|update| {
        let Some(target) = aliases.get(&update.name) else {
            return true;
        };
        if update.new.is_some() && after(target, &all) != update.new {
            refusals.push(Refusal {
                reference: update.name.to_string(),
                reason: format!(
                    "is an alias of '{target}' at the target, which is not updated to the same commit"
                ),
                yields_to_force: false,
            });
        }
        update.new.is_none()
    });
}

/// Says why an update would go back, if it would.
fn step_back(
    planner: &Planner<'_>,
    history: &History,
    old: Checksum,
    new: Checksum,
) -> Result<Option<String>> {
    if !history.contains(new, old) {
        return Ok(Some(format!(
            "would not be a fast-forward: {new} does not descend from {old}, which the target has"
        )));
    }
    let old_time = match history.timestamp(&old) {
        Some(time) => Some(time),
        None => history::link_at(planner.store, &old)?.map(|link| link.timestamp),
    };
    match (old_time, history.timestamp(&new)) {
        (Some(old_time), Some(new_time)) if new_time < old_time => Ok(Some(format!(
            "would go back in time: {new} is {} s older than {old}, which the target has",
            old_time - new_time
        ))),
        _ => Ok(None),
    }
}

/// Two refs of which one would have to be a file and a directory.
fn refuse_conflicts(planner: &Planner<'_>, updates: &[RefUpdate], refusals: &mut Vec<Refusal>) {
    let mut after: BTreeMap<String, &CollectionRef> = planner
        .inventory
        .refs
        .keys()
        .chain(planner.inventory.damaged.keys())
        .map(|name| (refs::path(name), name))
        .collect();
    for update in updates {
        match update.new {
            Some(_) => after.insert(refs::path(&update.name), &update.name),
            None => after.remove(&refs::path(&update.name)),
        };
    }
    for (path, name) in &after {
        for (end, _) in path.match_indices('/') {
            let Some(above) = path.get(..end).and_then(|above| after.get(above)) else {
                continue;
            };
            refusals.push(Refusal {
                reference: name.to_string(),
                reason: format!("conflicts with '{above}': one would be a directory on the other's path"),
                yields_to_force: false,
            });
        }
    }
}
