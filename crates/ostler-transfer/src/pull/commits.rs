//! Commits: what has to be known of one before it is written, and what it leads to.
//!
//! Detached metadata is asked for at every pull, also for a commit that is here: a signature may have been added. It is here before
//! the commit is looked at, and a commit is written only when signatures, bindings and time are as required. Before it is written it
//! is marked as partial; the mark goes when the pull is through.

use super::crew::{Crew, Job, Need, lock};
use super::deltas::DeltaTask;
use super::options::DeltaUse;
use super::subpath::Part;
use super::trees::TreeTask;
use crate::error::{Result, TransferError};
use jiff::Timestamp;
use ostler_format::gvariant::VarDict;
use ostler_format::{Checksum, CollectionId, Commit, ObjectName, ObjectType, RefName};
use ostler_repo::{Partial, Repo, RepoError, binding_problem};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

/// A commit that is pulled.
#[derive(Debug)]
pub(super) struct CommitTask {
    pub(super) checksum: Checksum,
    /// The refs that it is pulled for, each with the collection that it must be bound to.
    pub(super) references: Vec<(RefName, Option<CollectionId>)>,
    /// What parents, and commits without a ref, must be bound to.
    pub(super) collection: Option<CollectionId>,
    /// How many parents to pull as well; `None` for all.
    pub(super) depth: Option<u64>,
    /// How many bytes the remote says that the commit has at most.
    pub(super) size_limit: Option<u64>,
    /// Whether it was asked for, and not reached as a parent.
    pub(super) is_target: bool,
    /// What the refs have here.
    pub(super) old: Vec<Checksum>,
    pub(super) arrived: Mutex<Arrived>,
}

/// What has come of a commit.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    detached: Detached,
    bytes: Option<Vec<u8>>,
    delta: Option<Arc<DeltaTask>>,
}

/// The remote's detached metadata of a commit.
#[derive(Debug, Default)]
enum Detached {
    #[default]
    Awaited,
    Absent,
    Here(VarDict),
}

/// How much of a commit is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Here {
    Not,
    Partly { damaged: bool },
    Whole,
}

impl Crew<'_> {
    /// Asks for what has to be known of a commit.
    pub(super) fn begin_commit(&self, task: &Arc<CommitTask>) -> Result<()> {
        lock(&self.followed).insert(task.checksum, task.depth);
        self.obtain_detached(task);
        let name = ObjectName::new(task.checksum, ObjectType::Commit);
        if self.here(&task.checksum)? != Here::Not {
            let bytes = self.scene.repo.load_metadata(&name)?;
            let whole = self.here(&task.checksum)? == Here::Whole;
            if whole || !self.looks_for_deltas(task) {
                return self.commit_arrived(task, bytes);
            }
        }
        if self.looks_for_deltas(task) {
            self.look_for_delta(task)
        } else {
            self.obtain(Need::Commit(Arc::clone(task)));
            Ok(())
        }
    }

    fn obtain_detached(&self, task: &Arc<CommitTask>) {
        if self.scene.source.is_some() {
            self.start(Job::Import(Need::Detached(Arc::clone(task))));
        } else {
            self.fetch(Need::Detached(Arc::clone(task)));
        }
    }

    fn looks_for_deltas(&self, task: &CommitTask) -> bool {
        let options = self.scene.options;
        let used = match options.deltas {
            DeltaUse::Disabled => false,
            DeltaUse::Required => true,
            DeltaUse::Allowed => self.scene.source.is_none() && options.subpaths.is_empty(),
        };
        used && task.is_target && !options.commit_metadata_only && !self.scene.repo.mode().is_archive()
    }

    /// Goes on without a delta.
    ///
    /// # Errors
    /// Where one is required.
    pub(super) fn no_delta(&self, task: &Arc<CommitTask>) -> Result<()> {
        if self.scene.options.deltas == DeltaUse::Required {
            let commit = task.checksum;
            let name = task
                .references
                .first()
                .map_or_else(|| commit.to_string(), |(name, _)| name.to_string());
            let detail = format!("Static deltas required, but none found for {name} to {commit}");
            return Err(RepoError::Refused { detail }.into());
        }
        let name = ObjectName::new(task.checksum, ObjectType::Commit);
        if self.here(&task.checksum)? == Here::Not {
            self.obtain(Need::Commit(Arc::clone(task)));
            return Ok(());
        }
        self.commit_arrived(task, self.scene.repo.load_metadata(&name)?)
    }

    /// Checks the bytes of a commit before they are kept.
    pub(super) fn check_commit_bytes(&self, need: &Need, name: &ObjectName, bytes: &[u8]) -> Result<()> {
        ostler_repo::verify_archived(name, bytes).map_err(|error| self.judge(need, error))
    }

    /// Takes detached metadata, or learns that there is none.
    pub(super) fn detached_arrived(&self, task: &Arc<CommitTask>, metadata: Option<VarDict>) -> Result<()> {
        let ready = {
            let mut arrived = lock(&task.arrived);
            arrived.detached = metadata.map_or(Detached::Absent, Detached::Here);
            arrived.take_if_ready()
        };
        self.commit_ready(task, ready)
    }

    /// Takes detached metadata that cannot be read for none, where no signature is required.
    ///
    /// # Errors
    /// Where one is.
    pub(super) fn detached_unreadable(&self, task: &Arc<CommitTask>, error: TransferError) -> Result<()> {
        if self.scene.trust.commit_required() {
            return Err(error);
        }
        self.reporter.note(&format!(
            "the detached metadata of {} cannot be used: {}",
            task.checksum,
            error.chain()
        ));
        self.detached_arrived(task, None)
    }

    /// Returns the detached metadata that is here. What cannot be read is none, where no signature is required.
    fn stored_detached(&self, commit: &Checksum) -> Result<Option<VarDict>> {
        match self.scene.repo.load_detached(commit) {
            Err(RepoError::Format { .. }) if !self.scene.trust.commit_required() => Ok(None),
            loaded => Ok(loaded?),
        }
    }

    /// Takes the bytes of a commit, which are those that its name says.
    pub(super) fn commit_arrived(&self, task: &Arc<CommitTask>, bytes: Vec<u8>) -> Result<()> {
        self.commit_with_delta(task, bytes, None)
    }

    /// Takes the bytes of a commit, and the delta that brings the rest.
    pub(super) fn commit_with_delta(
        &self,
        task: &Arc<CommitTask>,
        bytes: Vec<u8>,
        delta: Option<Arc<DeltaTask>>,
    ) -> Result<()> {
        let ready = {
            let mut arrived = lock(&task.arrived);
            arrived.bytes = Some(bytes);
            arrived.delta = delta;
            arrived.take_if_ready()
        };
        self.commit_ready(task, ready)
    }

    fn commit_ready(&self, task: &Arc<CommitTask>, ready: Option<Ready>) -> Result<()> {
        let Some(ready) = ready else { return Ok(()) };
        let scene = &self.scene;
        let subject = || format!("object {}", ObjectName::new(task.checksum, ObjectType::Commit));
        // Over the network it would not have come; from this machine, or in a delta, it has.
        if task
            .size_limit
            .is_some_and(|most| ready.bytes.len() as u64 > most)
        {
            return Err(RepoError::invalid(subject(), "it has more bytes than the summary says").into());
        }
        let commit = Commit::parse(&ready.bytes).map_err(TransferError::format(subject()))?;
        let stored = self.stored_detached(&task.checksum)?;
        let beside = ready.delta.as_deref().and_then(Self::detached_of);
        let new = ready.detached.or(beside);
        let detached = new.as_ref().or(stored.as_ref());
        scene.trust.check_commit(&task.checksum, &ready.bytes, detached)?;
        self.check_bindings(task, &commit)?;
        if task.is_target {
            self.check_time(task, &commit)?;
        }
        if scene.options.dry_run {
            return Ok(());
        }
        if let Some(new) = new.filter(|new| stored.as_ref() != Some(new)) {
            scene.transaction.write_detached(&task.checksum, &new)?;
        }
        self.write_commit(task, &commit, &ready.bytes, ready.delta)?;
        self.follow_parent(task, &commit);
        Ok(())
    }

    /// Writes a commit, and sees to it that what it holds will be here.
    fn write_commit(
        &self,
        task: &Arc<CommitTask>,
        commit: &Commit,
        bytes: &[u8],
        delta: Option<Arc<DeltaTask>>,
    ) -> Result<()> {
        let scene = &self.scene;
        let here = self.here(&task.checksum)?;
        if here == Here::Whole {
            if self.is_relied_on(task, &task.checksum)? {
                return Ok(());
            }
            // Before a ref names it. Of what no ref will name nothing is claimed.
            if !task.references.is_empty() {
                scene.repo.set_partial(&task.checksum, Partial::Incomplete)?;
            }
        }
        if here == Here::Not {
            scene.repo.set_partial(&task.checksum, Partial::Incomplete)?;
            let name = ObjectName::new(task.checksum, ObjectType::Commit);
            scene.transaction.write_named_metadata(&name, bytes)?;
        }
        if scene.options.commit_metadata_only {
            return Ok(());
        }
        let part = Part::of_paths(&scene.options.subpaths);
        if part.is_all() {
            lock(&self.completed).insert(task.checksum);
        }
        let root = self.root(task, commit, part, here == Here::Partly { damaged: true })?;
        match delta {
            Some(delta) => self.begin_delta(&delta, root),
            None => self.want_root(commit.root_meta, root),
        }
    }

    /// Sees to it that the root of a commit will be here.
    pub(super) fn want_root(&self, meta: Checksum, root: TreeTask) -> Result<()> {
        self.want_leaf(ObjectName::new(meta, ObjectType::DirMeta), root.heals)?;
        self.want_tree(root)
    }

    fn root(&self, task: &CommitTask, commit: &Commit, part: Part, heals: bool) -> Result<TreeTask> {
        let mut base = None;
        // What is damaged may be damaged in any commit that is here.
        let candidates = task.old.iter().chain(commit.parent.as_ref());
        for candidate in candidates.filter(|_| !heals) {
            if self.here(candidate)? == Here::Whole && self.is_relied_on(task, candidate)? {
                base = Some(self.scene.repo.load_commit(candidate)?.root_tree);
                break;
            }
        }
        Ok(TreeTask {
            tree: commit.root_tree,
            base,
            part,
            heals,
            depth: 0,
        })
    }

    fn follow_parent(&self, task: &CommitTask, commit: &Commit) {
        let Some(parent) = commit.parent.filter(|_| task.depth != Some(0)) else {
            return;
        };
        let depth = task.depth.map(|depth| depth - 1);
        {
            let mut followed = lock(&self.followed);
            if followed
                .get(&parent)
                .is_some_and(|before| reaches(*before, depth))
            {
                return;
            }
            followed.insert(parent, depth);
        }
        self.start(Job::Begin(Arc::new(CommitTask {
            checksum: parent,
            references: Vec::new(),
            collection: task.collection.clone(),
            depth,
            size_limit: None,
            is_target: false,
            old: Vec::new(),
            arrived: Mutex::default(),
        })));
    }

    fn check_bindings(&self, task: &CommitTask, commit: &Commit) -> Result<()> {
        if !self.scene.options.verify_bindings {
            return Ok(());
        }
        let refused = |problem| {
            let what = format!("commit {}", task.checksum);
            TransferError::Repo(RepoError::invalid(what, problem))
        };
        for (reference, collection) in &task.references {
            if let Some(problem) = binding_problem(commit, Some(reference), collection.as_ref()) {
                return Err(refused(problem));
            }
        }
        match binding_problem(commit, None, task.collection.as_ref()) {
            Some(problem) if task.references.is_empty() => Err(refused(problem)),
            _ => Ok(()),
        }
    }

    /// Refuses a commit that is older than what it would replace.
    fn check_time(&self, task: &CommitTask, commit: &Commit) -> Result<()> {
        let options = self.scene.options;
        let named = options.timestamp_check_from.map(|from| (from, "-from-rev"));
        let replaced = task.old.iter().filter(|_| options.timestamp_check);
        for (old, how) in replaced.map(|old| (*old, "")).chain(named) {
            if old == task.checksum {
                continue;
            }
            // Whoever asks for the check does not get a commit that could not be checked.
            let current = found(self.scene.repo.load_commit(&old))?.ok_or_else(|| RepoError::Refused {
                detail: format!(
                    "Reading {old} for timestamp-check{how}: No such metadata object {old}.commit"
                ),
            })?;
            if commit.timestamp < current.timestamp {
                let detail = format!(
                    "Upgrade target revision '{}' with timestamp '{}' is chronologically older than current revision '{old}' with timestamp '{}'",
                    task.checksum,
                    date(commit.timestamp),
                    date(current.timestamp)
                );
                return Err(RepoError::Refused { detail }.into());
            }
        }
        Ok(())
    }

    /// Returns whether a commit that is not marked as partial is whole: refs keep their commits so, but of others a prune that
    /// was cut short may have left a part.
    fn is_relied_on(&self, task: &CommitTask, commit: &Checksum) -> Result<bool> {
        if task.old.contains(commit) {
            return Ok(true);
        }
        if let Some(named) = self.named.get() {
            return Ok(named.contains(commit));
        }
        let mut named = HashSet::new();
        let mut next = Some(self.scene.repo);
        while let Some(repo) = next {
            // Those that name a commit keep it, whatever becomes of one that is damaged.
            named.extend(repo.survey_all_refs()?.refs.into_values());
            next = repo.parent();
        }
        Ok(self.named.get_or_init(|| named).contains(commit))
    }

    fn here(&self, commit: &Checksum) -> Result<Here> {
        how_much(self.scene.repo, commit)
    }

    /// Returns whether a commit is here with all that it needs.
    pub(super) fn is_whole(&self, commit: &Checksum) -> Result<bool> {
        Ok(self.here(commit)? == Here::Whole)
    }
}

/// What is known when both parts of a commit are there.
struct Ready {
    detached: Option<VarDict>,
    bytes: Vec<u8>,
    delta: Option<Arc<DeltaTask>>,
}

impl Arrived {
    /// Returns what has come once both are there.
    fn take_if_ready(&mut self) -> Option<Ready> {
        if matches!(self.detached, Detached::Awaited) {
            return None;
        }
        Some(Ready {
            bytes: self.bytes.take()?,
            detached: match std::mem::take(&mut self.detached) {
                Detached::Here(metadata) => Some(metadata),
                Detached::Awaited | Detached::Absent => None,
            },
            delta: self.delta.take(),
        })
    }
}

/// A commit that a parent repository has in part only is as good as not here: its mark would not be ours to remove.
fn how_much(repo: &Repo, commit: &Checksum) -> Result<Here> {
    let name = ObjectName::new(*commit, ObjectType::Commit);
    if !repo.has_own_object(&name)? {
        let mut next = repo.parent();
        loop {
            let Some(parent) = next else {
                return Ok(Here::Not);
            };
            if parent.has_own_object(&name)? {
                if parent.is_partial(commit)?.is_some() {
                    return Ok(Here::Not);
                }
                break;
            }
            next = parent.parent();
        }
    }
    Ok(match repo.is_partial(commit)? {
        None => Here::Whole,
        Some(why) => Here::Partly {
            damaged: why == Partial::Damaged,
        },
    })
}

/// Returns whether following `before` parents reached as far as following `now` would.
fn reaches(before: Option<u64>, now: Option<u64>) -> bool {
    match (before, now) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(before), Some(now)) => before >= now,
    }
}

/// Turns "not found" into `None`.
fn found<T>(result: ostler_repo::Result<T>) -> ostler_repo::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

fn date(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}
