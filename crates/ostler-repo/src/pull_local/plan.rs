//! Which commits and objects are to be copied.
//!
//! Commits first, with their parents as deep as asked; then, for each commit that the target lacks, its trees,
//! walked together with those of a commit that the target has: what is equal on both sides is there already.
//! Each tree is visited once, however many commits share it.

use super::PullLocalOptions;
use super::target::{PullTarget, Wanted, resolve};
use crate::bindings::binding_problem;
use crate::error::{RepoError, Result};
use crate::parallel::spread;
use crate::partial::Partial;
use crate::refs::RefKey;
use crate::repo::Repo;
use crate::sign::Trust;
use crate::walk::layers::layers;
use ostler_format::{
    Checksum, CollectionId, Commit, DirTree, MAX_METADATA_SIZE, ObjectName, ObjectType, RefName, Summary,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

/// A commit to be copied.
pub(super) struct PlannedCommit {
    pub(super) checksum: Checksum,
    /// A check found that objects of it are damaged here: what is there has to be looked at.
    pub(super) damaged: bool,
}

/// What is to be copied.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) commits: Vec<PlannedCommit>,
    /// Content and dirmetas that the commits need and the target may lack.
    pub(super) leaves: Vec<ObjectName>,
    /// Dirtrees that the target may lack, in layers: each names only those of layers before its own.
    pub(super) trees: Vec<Vec<ObjectName>>,
    /// Commits whose detached metadata differs from the target's.
    pub(super) detached: Vec<Checksum>,
    pub(super) refs: BTreeMap<RefKey, Checksum>,
}

impl Plan {
    pub(super) fn make(
        repo: &Repo,
        source: &Repo,
        targets: &[PullTarget],
        options: &PullLocalOptions,
        trust: &Trust,
    ) -> Result<Self> {
        let mut planner = Planner::new(repo, source, options, trust)?;
        let wanted = resolve(source, targets, options.refuse_mixed)?;
        if trust.summary_required() {
            check_summary(source, &wanted, trust)?;
        }
        for wanted in &wanted {
            planner.add(wanted)?;
        }
        planner.order_trees()?;
        planner.plan.refs = wanted
            .into_iter()
            .filter_map(|wanted| Some((wanted.key(options.remote.as_ref())?, wanted.commit)))
            .collect();
        Ok(planner.plan)
    }

    /// Returns all objects but commits, each after those that it names.
    pub(super) fn children_first(&self) -> impl Iterator<Item = ObjectName> {
        self.leaves.iter().chain(self.trees.iter().flatten()).copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.commits.is_empty() && self.detached.is_empty()
    }
}

struct Planner<'a> {
    repo: &'a Repo,
    source: &'a Repo,
    options: &'a PullLocalOptions,
    trust: &'a Trust,
    collection: Option<CollectionId>,
    plan: Plan,
    /// How many parents were followed from a commit; `None` is all.
    followed: HashMap<Checksum, Option<u64>>,
    seen: HashSet<ObjectName>,
    /// The commits that refs of the target name, once somebody asks.
    refs: OnceLock<HashSet<Checksum>>,
    /// Dirtrees that were read, in this order, and what each names.
    read: Vec<Checksum>,
    named: HashMap<Checksum, Vec<Checksum>>,
}

/// What a tree has that the one beside it lacks.
struct Compared {
    tree: Checksum,
    content: Vec<Checksum>,
    metas: Vec<Checksum>,
    /// All trees in it, with those beside them.
    below: Vec<(Checksum, Option<Checksum>)>,
}

impl<'a> Planner<'a> {
    fn new(
        repo: &'a Repo,
        source: &'a Repo,
        options: &'a PullLocalOptions,
        trust: &'a Trust,
    ) -> Result<Self> {
        let remote = match &options.remote {
            Some(remote) => repo.config().remote_collection_id(remote)?,
            None => None,
        };
        Ok(Self {
            repo,
            source,
            options,
            trust,
            collection: remote.or_else(|| source.config().collection_id().cloned()),
            plan: Plan::default(),
            followed: HashMap::new(),
            seen: HashSet::new(),
            refs: OnceLock::new(),
            read: Vec::new(),
            named: HashMap::new(),
        })
    }

    /// Plans a commit and its parents.
    fn add(&mut self, wanted: &Wanted) -> Result<()> {
        let old = self.old_tip(wanted)?;
        if self.options.require_deltas && !self.options.commit_metadata_only {
            self.require_delta(wanted)?;
        }
        let mut next = Some(wanted.commit);
        let mut left = self.options.depth;
        let mut reference = wanted.reference.as_ref();
        let collection = wanted.collection.as_ref().or(self.collection.as_ref()).cloned();
        while let Some(checksum) = next.take() {
            let commit = match self.source.load_commit(&checksum) {
                Ok(commit) => commit,
                // History ends where the source's does.
                Err(error) if error.is_not_found() && checksum != wanted.commit => break,
                Err(error) => return Err(error),
            };
            self.check_bindings(&checksum, &commit, reference.take(), collection.as_ref())?;
            let before = self.followed.get(&checksum).copied();
            if before.is_none() {
                self.check_signatures(&checksum)?;
                self.add_commit(&checksum, &commit, old.as_ref())?;
            }
            if before.is_some_and(|before| reaches(before, left)) {
                break;
            }
            self.followed.insert(checksum, left);
            if left != Some(0) {
                left = left.map(|left| left - 1);
                next = commit.parent;
            }
        }
        Ok(())
    }

    /// Fails, in stock's words, where stock would find no static delta to bring a commit by.
    fn require_delta(&self, wanted: &Wanted) -> Result<()> {
        let refused = |detail| Err(RepoError::Refused { detail });
        if self.repo.mode().is_archive() {
            return refused("Can't use static deltas in an archive repo".to_owned());
        }
        if self.is_whole(&wanted.commit)? {
            return Ok(());
        }
        for delta in self.source.announced_deltas(&wanted.commit)? {
            let fits = match delta.from {
                None => true,
                Some(from) => self.is_whole(&from)?,
            };
            if fits {
                return Ok(());
            }
        }
        let commit = wanted.commit;
        let name = wanted
            .reference
            .as_ref()
            .map_or_else(|| commit.to_string(), RefName::to_string);
        refused(format!(
            "Static deltas required, but none found for {name} to {commit}"
        ))
    }

    /// Returns whether the target has a commit that is not marked as partial.
    fn is_whole(&self, commit: &Checksum) -> Result<bool> {
        let name = ObjectName::new(*commit, ObjectType::Commit);
        if self.repo.is_partial(commit)?.is_some() {
            return Ok(false);
        }
        // The mark of a commit that a parent repository has is there.
        let mut next = Some(self.repo);
        while let Some(repo) = next {
            if repo.has_own_object(&name)? {
                return Ok(repo.is_partial(commit)?.is_none());
            }
            next = repo.parent();
        }
        Ok(false)
    }

    /// Returns whether a commit that is not marked as partial is whole: refs keep their commits so, but of others a prune
    /// that was cut short may have left a part.
    fn is_relied_on(&self, commit: &Checksum, old: Option<&Checksum>) -> Result<bool> {
        if old == Some(commit) {
            return Ok(true);
        }
        if let Some(named) = self.refs.get() {
            return Ok(named.contains(commit));
        }
        let mut named = HashSet::new();
        let mut next = Some(self.repo);
        while let Some(repo) = next {
            // Those that name a commit keep it, whatever becomes of one that is damaged.
            named.extend(repo.survey_all_refs()?.refs.into_values());
            next = repo.parent();
        }
        Ok(self.refs.get_or_init(|| named).contains(commit))
    }

    /// Returns the commit that the target has for the ref.
    fn old_tip(&self, wanted: &Wanted) -> Result<Option<Checksum>> {
        match wanted.key(self.options.remote.as_ref()) {
            Some(key) => self.repo.read_commit_of(&key),
            None => Ok(None),
        }
    }

    /// Checks the signatures of a commit at the source, also of one that the target has.
    fn check_signatures(&self, checksum: &Checksum) -> Result<()> {
        if !self.trust.commit_required() {
            return Ok(());
        }
        let bytes = self
            .source
            .load_metadata(&ObjectName::new(*checksum, ObjectType::Commit))?;
        let detached = self.source.load_detached(checksum)?;
        self.trust
            .check_commit(checksum, &bytes, detached.as_ref())
            .map(drop)
    }

    fn check_bindings(
        &self,
        checksum: &Checksum,
        commit: &Commit,
        reference: Option<&RefName>,
        collection: Option<&CollectionId>,
    ) -> Result<()> {
        if !self.options.verify_bindings {
            return Ok(());
        }
        match binding_problem(commit, reference, collection) {
            None => Ok(()),
            Some(problem) => Err(RepoError::invalid(format!("commit {checksum}"), problem)),
        }
    }

    fn add_commit(&mut self, checksum: &Checksum, commit: &Commit, old: Option<&Checksum>) -> Result<()> {
        self.add_detached(checksum)?;
        let name = ObjectName::new(*checksum, ObjectType::Commit);
        let whole = self.is_whole(checksum)?;
        if whole && (self.options.commit_metadata_only || self.is_relied_on(checksum, old)?) {
            return Ok(());
        }
        if self.options.commit_metadata_only && self.repo.has_own_object(&name)? {
            return Ok(());
        }
        let damaged = self.repo.is_partial(checksum)? == Some(Partial::Damaged);
        if !self.options.commit_metadata_only {
            // What is damaged may be damaged in any commit that the target has.
            let base = if damaged { None } else { self.base(commit, old)? };
            self.note(ObjectName::new(commit.root_meta, ObjectType::DirMeta))?;
            self.walk(commit.root_tree, base)?;
        }
        self.plan.commits.push(PlannedCommit {
            checksum: *checksum,
            damaged,
        });
        Ok(())
    }

    /// Plans the source's detached metadata where the target's differs.
    fn add_detached(&mut self, checksum: &Checksum) -> Result<()> {
        let name = ObjectName::new(*checksum, ObjectType::CommitMeta);
        let Some(theirs) = found(self.source.load_metadata(&name))? else {
            return Ok(());
        };
        if found(self.repo.load_metadata(&name))?.as_ref() != Some(&theirs) {
            self.plan.detached.push(*checksum);
        }
        Ok(())
    }

    /// Returns the root of a commit that the target has completely and that is likely to be similar.
    fn base(&self, commit: &Commit, old: Option<&Checksum>) -> Result<Option<Checksum>> {
        for candidate in [old, commit.parent.as_ref()].into_iter().flatten() {
            if self.is_whole(candidate)?
                && self.is_relied_on(candidate, old)?
                && let Some(commit) = found(self.repo.load_commit(candidate))?
            {
                return Ok(Some(commit.root_tree));
            }
        }
        Ok(None)
    }

    /// Notes content or a dirmeta, unless it was.
    fn note(&mut self, name: ObjectName) -> Result<()> {
        if self.seen.insert(name) && !self.is_inherited(&name)? {
            self.plan.leaves.push(name);
        }
        Ok(())
    }

    /// Returns whether the target has an object from its parent repository, which need not be copied then.
    fn is_inherited(&self, name: &ObjectName) -> Result<bool> {
        self.repo
            .parent()
            .map_or(Ok(false), |parent| parent.has_object(name))
    }

    /// Notes all of a tree that a tree of the target's lacks. Level by level, since several threads may read a level.
    fn walk(&mut self, root: Checksum, base: Option<Checksum>) -> Result<()> {
        let mut level = vec![(root, base)];
        while !level.is_empty() {
            level.retain(|(tree, base)| {
                *base != Some(*tree) && self.seen.insert(ObjectName::new(*tree, ObjectType::DirTree))
            });
            let compare = |compared: &mut Vec<Compared>, pair: &(Checksum, Option<Checksum>)| {
                compared.push(self.compare(pair.0, pair.1)?);
                Ok::<_, RepoError>(())
            };
            let never = AtomicBool::new(false);
            let compared = spread(&level, self.options.threads, &never, Vec::new, compare, |_| {})?;
            level.clear();
            for found in compared.into_iter().flatten() {
                for file in found.content {
                    self.note(ObjectName::new(file, ObjectType::File))?;
                }
                for meta in found.metas {
                    self.note(ObjectName::new(meta, ObjectType::DirMeta))?;
                }
                self.read.push(found.tree);
                self.named
                    .insert(found.tree, found.below.iter().map(|(tree, _)| *tree).collect());
                level.extend(found.below);
            }
        }
        Ok(())
    }

    /// Reads a tree and the one beside it.
    fn compare(&self, checksum: Checksum, base: Option<Checksum>) -> Result<Compared> {
        let tree = self.source.load_dirtree(&checksum)?;
        let old = match base {
            // A hole in what should be complete: all of the new tree is copied then.
            Some(base) => found(self.repo.load_dirtree(&base))?.unwrap_or_default(),
            None => DirTree::default(),
        };
        let mut compared = Compared {
            tree: checksum,
            content: Vec::new(),
            metas: Vec::new(),
            below: Vec::with_capacity(tree.dirs.len()),
        };
        for file in &tree.files {
            let old = old.file(&file.name);
            if old.is_none_or(|old| old.checksum != file.checksum) {
                compared.content.push(file.checksum);
            }
        }
        for dir in &tree.dirs {
            let old = old.dir(&dir.name);
            if old.is_none_or(|old| old.meta != dir.meta) {
                compared.metas.push(dir.meta);
            }
            compared.below.push((dir.tree, old.map(|old| old.tree)));
        }
        Ok(compared)
    }

    /// Puts the trees that were read into the plan.
    fn order_trees(&mut self) -> Result<()> {
        for layer in layers(&self.read, &self.named) {
            let mut trees = Vec::with_capacity(layer.len());
            for tree in layer {
                let name = ObjectName::new(tree, ObjectType::DirTree);
                if !self.is_inherited(&name)? {
                    trees.push(name);
                }
            }
            self.plan.trees.push(trees);
        }
        Ok(())
    }
}

/// Checks the signatures of the source's summary, and that it says of refs what the source says.
fn check_summary(source: &Repo, wanted: &[Wanted], trust: &Trust) -> Result<()> {
    let read = |name: &str| {
        let read = source.root().read_if_exists(name, MAX_METADATA_SIZE);
        read.map_err(RepoError::io("read", source.root().path_of(name)))
    };
    let Some(bytes) = read("summary")? else {
        return trust.missing_summary().map_or(Ok(()), Err);
    };
    trust.check_summary(&bytes, read("summary.sig")?.as_deref())?;
    let summary = Summary::parse(&bytes).map_err(RepoError::format("summary"))?;
    for wanted in wanted {
        let Some(reference) = &wanted.reference else {
            continue;
        };
        let collections = summary.collection_map().map_err(RepoError::format("summary"))?;
        let others = collections.iter().flat_map(|(_, entries)| entries.iter());
        let signed = summary
            .refs
            .iter()
            .chain(others)
            .any(|entry| entry.name == *reference && entry.checksum == wanted.commit);
        if !signed {
            return Err(RepoError::Signature {
                detail: format!(
                    "the signed summary does not say that {reference} is at commit {}; update it",
                    wanted.commit
                ),
            });
        }
    }
    Ok(())
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
fn found<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
