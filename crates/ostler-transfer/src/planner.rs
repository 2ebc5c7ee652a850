//! Computes a [`Plan`]: reads source and target, changes neither.
//!
//! The source's shared lock is held throughout, so that what the plan names is there until it is pinned.

use crate::carry::Deltas;
use crate::check::in_parallel;
use crate::error::{Damage, Result, TransferError};
use crate::history::History;
use crate::inventory::Inventory;
use crate::lists::Lists;
use crate::live::{Publishing, Rules};
use crate::plan::{Addition, Plan, RefUpdate, ReliedOn};
use crate::policy::Policy;
use crate::retire::{Changes, Pending};
use crate::snapshot::Snapshot;
use crate::store::Store;
use crate::{carry, detached, refs, retire, summary};
use ostler_format::{Checksum, ObjectName, ObjectType};
use ostler_repo::{Closure, ClosureDifference, NewObjects, Repo, RepoError};
use std::collections::{BTreeSet, HashMap, HashSet};

/// What a plan is computed from.
#[derive(Clone, Copy)]
pub(crate) struct Planner<'a> {
    pub(crate) source: &'a Repo,
    pub(crate) store: &'a dyn Store,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) inventory: &'a Inventory,
    pub(crate) policy: &'a Policy,
    /// Objects that the target was found to lack, or to have damaged, although it claims to have them.
    pub(crate) holes: &'a BTreeSet<ObjectName>,
    /// Commits that an earlier attempt of the run sent: they may be there, but what they shared may be gone.
    pub(crate) attempted: &'a BTreeSet<Checksum>,
    /// What commits of the source consist of, as far as known.
    pub(crate) lists: &'a Lists<'a>,
    /// The time of the run.
    pub(crate) now: u64,
    /// Whether the source's indexes of deltas will have been brought in line when the plan is carried out.
    pub(crate) mends_indexes: bool,
}

/// What becomes of an object that a commit needs.
enum Wanted {
    /// The target has it.
    Reused,
    /// It is sent.
    Added(Addition),
    /// The source does not have it either.
    Missing(Damage),
}

impl Planner<'_> {
    /// Computes the plan.
    pub(crate) fn plan(&self) -> Result<Plan> {
        self.compute()
            .map_err(|error| with_causes(self.source, self.snapshot, error))
    }

    fn compute(&self) -> Result<Plan> {
        let history = History::read(self.source, &self.snapshot.refs)?;
        let refs = self.ref_updates(&history)?;
        let commits = self.commits_to_send(&refs, &history)?;
        let (objects, reused) = self.additions(&commits, &refs, &history)?;
        let refs_after = refs::after(&self.inventory.refs, &self.inventory.aliases, &refs);
        let changes = Changes {
            history: &history,
            refs: &refs,
            refs_after: &refs_after,
            sent: &commits,
        };
        let retired = retire::commits(self, &changes)?;
        let published = Published {
            planner: self,
            sent: commits.iter().copied().collect(),
            retired: &retired,
        };
        let Deltas { mut files, carried } = carry::deltas(self, &history, &published)?;
        let changes = summary::Changes {
            refs: !refs.is_empty(),
            // A run that was cut short may have left them in place before its flip.
            deltas: !files.is_empty() || summary::lacks(self.store, &carried)?,
        };
        let summary = summary::plan(self, &refs_after, changes)?;
        if let Some(index) = summary.new_index() {
            files.extend(carry::indexed(self, index)?);
        }
        let detached = detached::updates(self, &history, &published)?;
        Ok(Plan {
            retirement: retired.with_files(self.store, summary.new_index(), &files, self.now)?,
            detached,
            healed: self.healed(&history),
            files,
            summary,
            objects,
            reused_objects: reused.objects.len() as u64,
            relied_on: if is_beyond_tips(&commits, &refs) {
                reused
            } else {
                ReliedOn::default()
            },
            refs,
        })
    }

    /// Returns the rules for what the target keeps.
    pub(crate) fn rules(&self) -> Rules<'_> {
        Rules {
            retention: &self.policy.retention,
            publishing: Some(Publishing {
                refs: &self.snapshot.refs,
                aliases: &self.inventory.aliases,
            }),
            now: self.now,
        }
    }

    fn healed(&self, history: &History) -> Vec<Checksum> {
        let partial = |commit: &&Checksum| self.inventory.partial.contains(commit);
        history.commits().filter(partial).copied().collect()
    }

    /// Returns the refs that move, after the policy has agreed to each.
    fn ref_updates(&self, history: &History) -> Result<Vec<RefUpdate>> {
        let mut updates = Vec::new();
        for (name, new) in &self.snapshot.refs {
            let old = self.inventory.refs.get(name).copied();
            if old != Some(*new) {
                updates.push(RefUpdate {
                    name: name.clone(),
                    old,
                    new: Some(*new),
                    damaged: self.inventory.damaged.get(name).copied(),
                });
            }
        }
        for (name, old) in &self.inventory.refs {
            if self.policy.drops(name, self.snapshot, self.now) {
                updates.push(RefUpdate {
                    name: name.clone(),
                    old: Some(*old),
                    new: None,
                    damaged: None,
                });
            }
        }
        self.policy.check(self, &mut updates, history)?;
        Ok(updates)
    }

    /// Returns the commits that the target lacks, oldest first: from each moved ref back to the first commit that
    /// the target has, or that it does not keep.
    fn commits_to_send(&self, refs: &[RefUpdate], history: &History) -> Result<Vec<Checksum>> {
        let rules = self.rules();
        let mut wanted = HashSet::new();
        for update in refs {
            let Some(tip) = update.new else { continue };
            let keep = rules.root(&update.name, tip).keep;
            for (index, commit) in (0..).zip(history.from(tip)) {
                let time = history.timestamp(&commit).unwrap_or_default();
                if keep.is_some_and(|keep| !keep.keeps(index, time, self.now)) {
                    break;
                }
                if wanted.contains(&commit) {
                    // Another ref leads here as well, and may not lead as far.
                    if rules.retention.is_unset() {
                        break;
                    }
                    continue;
                }
                if self.has_commit(&commit)? {
                    break;
                }
                wanted.insert(commit);
            }
        }
        Ok(history.oldest_first(&wanted))
    }

    /// Returns whether the target has a commit with all that it needs, as far as is known.
    fn has_commit(&self, commit: &Checksum) -> Result<bool> {
        Ok(!self.attempted.contains(commit) && self.inventory.has_commit(self.store, commit)?)
    }

    /// Returns the objects to add, in the order of putting, and what need not be sent.
    fn additions(
        &self,
        commits: &[Checksum],
        refs: &[RefUpdate],
        history: &History,
    ) -> Result<(Vec<Addition>, ReliedOn)> {
        let (difference, bases) = self.difference(commits, refs, history)?;
        let wanted = in_order(&difference, self.holes);
        let numbered: Vec<_> = wanted.iter().enumerate().collect();
        let mut looked = in_parallel(self.store, &numbered, |(index, name)| {
            Ok(Some((*index, **name, self.addition(name)?)))
        })?;
        looked.sort_unstable_by_key(|(index, ..)| *index);
        let mut objects = Vec::new();
        let mut additions = Vec::new();
        let mut missing = Vec::new();
        for (_, name, wanted) in looked {
            match wanted {
                Wanted::Reused => objects.push(name),
                Wanted::Added(added) => additions.push(added),
                Wanted::Missing(damage) => missing.push(damage),
            }
        }
        if missing.is_empty() {
            Ok((additions, ReliedOn { bases, objects }))
        } else {
            Err(TransferError::CorruptSource(missing))
        }
    }

    /// Looks for an object that the target may lack on both sides.
    fn addition(&self, name: &ObjectName) -> Result<Wanted> {
        let there = if self.inventory.is_empty {
            None
        } else {
            self.store.look(name)?
        };
        if there.is_some_and(|size| size > 0) && !self.holes.contains(name) {
            return Ok(Wanted::Reused);
        }
        Ok(match size_in(self.source, name)? {
            Some(size) => Wanted::Added(Addition {
                name: *name,
                size,
                replaces_damaged: there.is_some(),
            }),
            None => Wanted::Missing(Damage {
                object: *name,
                reason: "is missing".into(),
            }),
        })
    }

    /// Returns what `commits` need beyond the commits of the target that they follow, and these.
    fn difference(
        &self,
        commits: &[Checksum],
        refs: &[RefUpdate],
        history: &History,
    ) -> Result<(NewObjects, Vec<Checksum>)> {
        let sent: HashSet<_> = commits.iter().copied().collect();
        let replaced: HashMap<_, _> = refs
            .iter()
            .filter_map(|update| update.new.zip(update.old))
            .collect();
        let mut bases = BTreeSet::new();
        for commit in commits {
            let base = self.base_of(commit, &sent, replaced.get(commit), history)?;
            bases.extend(base.filter(|base| !sent.contains(base)));
        }
        let mut held = Vec::new();
        for base in &bases {
            if let Some(list) = self.lists.of_base(base)? {
                held.extend(list.names());
            }
        }
        let mut difference = ClosureDifference::new(self.source, held);
        for commit in commits {
            match self.lists.known(commit) {
                Some(list) => difference.add_list(&list),
                None => difference.add(commit).map_err(missing_dirtree)?,
            }
        }
        Ok((difference.finish(), bases.into_iter().collect()))
    }

    /// Returns the commit whose tree is compared with that of `commit`: its parent, or what the ref names at the
    /// target, whichever the source can read and the target has or is about to have.
    fn base_of(
        &self,
        commit: &Checksum,
        sent: &HashSet<Checksum>,
        replaced: Option<&Checksum>,
        history: &History,
    ) -> Result<Option<Checksum>> {
        let parent = history.parent(commit);
        for candidate in parent.into_iter().chain(replaced.copied()) {
            let there = sent.contains(&candidate) || self.has_commit(&candidate)?;
            if there && history.is_complete(self.source, &candidate)? {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }
}

/// The commits that the target has, and keeps, when the plan is carried out.
pub(crate) struct Published<'a> {
    planner: &'a Planner<'a>,
    sent: HashSet<Checksum>,
    retired: &'a Pending,
}

impl Published<'_> {
    /// Returns whether a commit is among them. Those of the source's history that the target does not keep are not.
    pub(crate) fn has(&self, commit: &Checksum) -> Result<bool> {
        if self.sent.contains(commit) {
            return Ok(true);
        }
        let Planner { store, inventory, .. } = *self.planner;
        if inventory.is_empty || self.retired.is_retired(commit) {
            return Ok(false);
        }
        let name = ObjectName::new(*commit, ObjectType::Commit);
        Ok(store.look(&name)?.is_some())
    }
}

/// Returns whether any of these commits is none that a ref will name.
fn is_beyond_tips(commits: &[Checksum], refs: &[RefUpdate]) -> bool {
    let tips: HashSet<_> = refs.iter().filter_map(|update| update.new).collect();
    commits.iter().any(|commit| !tips.contains(commit))
}

/// Returns the objects of a difference and the holes, each once, each behind those that it refers to.
fn in_order(difference: &NewObjects, holes: &BTreeSet<ObjectName>) -> Vec<ObjectName> {
    let mut names: Vec<_> = difference.child_first().collect();
    if !holes.is_empty() {
        let seen: HashSet<_> = names.iter().copied().collect();
        names.extend(holes.iter().filter(|hole| !seen.contains(hole)));
        // Stable: dirtrees of the difference keep their order; what a hole's parents name is at the target already.
        names.sort_by_key(|name| match name.kind {
            ObjectType::DirMeta => 1,
            ObjectType::DirTree => 2,
            ObjectType::Commit => 3,
            _ => 0,
        });
    }
    names
}

/// Returns the size of an object's file in a repository, or `None` where there is none.
pub(crate) fn size_in(repo: &Repo, name: &ObjectName) -> Result<Option<u64>> {
    match repo.object_size(name) {
        Ok(size) => Ok(Some(size)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A dirtree that the walk through the source did not find is damage of the source.
pub(crate) fn missing_dirtree(error: RepoError) -> TransferError {
    match error {
        RepoError::Incomplete { object, path, .. } => {
            let reason = format!("is missing (directory '{path}')");
            TransferError::CorruptSource(vec![Damage { object, reason }])
        }
        other => other.into(),
    }
}

/// Names what is wrong with metadata objects of the source, which are not hashed before they are sent, ahead of what a walk through
/// the source found: an object that is missing may have been named by a damaged one. An error that is not about damage stays.
pub(crate) fn with_causes(source: &Repo, snapshot: &Snapshot, error: TransferError) -> TransferError {
    let found = match &error {
        TransferError::CorruptSource(found) => found.clone(),
        TransferError::Repo(RepoError::Corrupt { .. } | RepoError::Format { .. }) => Vec::new(),
        _ => return error,
    };
    let mut closure = Closure::new(source);
    closure.tolerate_holes(true);
    let commits = match History::read(source, &snapshot.refs) {
        Ok(history) => history.commits().copied().collect(),
        Err(_) => snapshot.refs.values().copied().collect::<Vec<_>>(),
    };
    // Whatever cannot be walked is among what was found.
    for commit in &commits {
        drop(closure.add_commit(commit));
    }
    let metadata = closure
        .finish()
        .into_iter()
        .filter(|name| name.kind.is_metadata());
    let mut all: Vec<_> = metadata.filter_map(|name| damage_of(source, name)).collect();
    all.extend(found);
    let mut named = HashSet::new();
    all.retain(|damage| named.insert(damage.object));
    if all.is_empty() {
        error
    } else {
        TransferError::CorruptSource(all)
    }
}

fn damage_of(source: &Repo, name: ObjectName) -> Option<Damage> {
    match Damage::wrap(name, source.verify_object(&name).err()?) {
        TransferError::CorruptSource(found) => found.into_iter().next(),
        _ => None,
    }
}
