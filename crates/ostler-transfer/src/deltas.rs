//! Static deltas of what is published: made in the source before the run looks at anything, so that they travel with the
//! commits, and appear with the flip whose summary names them. Neither lease nor lock of the target is held meanwhile.
//!
//! They lead to the commit that a ref is about to name at the target, from what it named there in the last generations, or
//! from nothing. One that is in the source already is not made again. A commit that the source has no more, or not all of,
//! gets none: clients fetch objects then.

use crate::error::{Result, TransferError};
use crate::generation::{self, Generation};
use crate::past::present_refs;
use crate::publish::PublishOptions;
use crate::snapshot::{Selection, Snapshot};
use crate::store::Store;
use ostler_format::{Checksum, CollectionRef, DeltaName, ObjectName, ObjectType};
use ostler_repo::Repo;
use ostler_repo::deltas::DeltaOptions;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

/// From where deltas to a new commit of a ref lead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeltaOrigins {
    /// What the ref named in so many generations of the target, the present one first.
    pub generations: u64,
    /// Nothing.
    pub nothing: bool,
}

/// Deltas for the refs that it matches.
#[derive(Debug, Clone)]
pub struct DeltaRule {
    /// The refs.
    pub refs: Selection,
    /// From where.
    pub origins: DeltaOrigins,
}

impl DeltaOrigins {
    /// Returns what either asks for.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            generations: self.generations.max(other.generations),
            nothing: self.nothing || other.nothing,
        }
    }

    const fn is_none(self) -> bool {
        self.generations == 0 && !self.nothing
    }
}

/// Makes the deltas that the policy asks for and the source has not.
pub(crate) fn make(source: &Repo, store: &dyn Store, options: &PublishOptions<'_>, now: u64) -> Result<()> {
    if !options.policy.asks_for_deltas() {
        return Ok(());
    }
    let there: BTreeSet<DeltaName> = source.list_deltas()?.into_iter().collect();
    let wanted = wanted(source, store, options, now)?;
    for name in wanted.difference(&there) {
        if options.interrupted.load(Ordering::Relaxed) {
            return Err(TransferError::Interrupted);
        }
        make_one(source, name, options, now)?;
    }
    // Clients look for deltas in the index of the commit, not in the summary.
    let digests = source.delta_digests()?;
    let targets: BTreeSet<Checksum> = wanted.iter().map(|name| name.to).collect();
    for target in &targets {
        source.write_delta_indexes(&digests, Some(target))?;
    }
    Ok(())
}

/// Returns the deltas that a run would make.
pub(crate) fn would_make(
    source: &Repo,
    store: &dyn Store,
    options: &PublishOptions<'_>,
    now: u64,
) -> Result<Vec<DeltaName>> {
    if !options.policy.asks_for_deltas() {
        return Ok(Vec::new());
    }
    let mut wanted = wanted(source, store, options, now)?;
    for name in source.list_deltas()? {
        wanted.remove(&name);
    }
    let mut made = Vec::with_capacity(wanted.len());
    for name in wanted {
        if lacking(source, &name)?.is_none() {
            made.push(name);
        }
    }
    Ok(made)
}

/// Returns the deltas that the policy asks for.
fn wanted(
    source: &Repo,
    store: &dyn Store,
    options: &PublishOptions<'_>,
    now: u64,
) -> Result<BTreeSet<DeltaName>> {
    let policy = options.policy;
    let snapshot = Snapshot::take(source, &policy.selection)?;
    let mut wanted = BTreeSet::new();
    let mut past = None;
    for (name, to) in &snapshot.refs {
        let origins = policy.delta_origins(name.name.as_str());
        if origins.is_none() || policy.retention.is_over(name.name.as_str(), now) {
            continue;
        }
        if origins.nothing {
            wanted.insert(DeltaName { from: None, to: *to });
        }
        if origins.generations > 0 {
            let past = match &past {
                Some(past) => past,
                None => &*past.insert(Past::read(store)?),
            };
            for from in past.commits_of(name, origins.generations, to) {
                let from = Some(from);
                wanted.insert(DeltaName { from, to: *to });
            }
        }
    }
    Ok(wanted)
}

/// Returns the commit of a delta that the source has not, or not all of.
fn lacking(source: &Repo, name: &DeltaName) -> Result<Option<Checksum>> {
    for commit in name.from.iter().chain([&name.to]) {
        let object = ObjectName::new(*commit, ObjectType::Commit);
        if !source.has_object(&object)? || source.is_partial(commit)?.is_some() {
            return Ok(Some(*commit));
        }
    }
    Ok(None)
}

fn make_one(source: &Repo, name: &DeltaName, options: &PublishOptions<'_>, now: u64) -> Result<()> {
    let delta_options = DeltaOptions {
        timestamp: now,
        threads: options.jobs.get(),
        ..DeltaOptions::default()
    };
    if let Some(commit) = lacking(source, name)? {
        let text = format!("no delta {name} is made: the source has not all of {commit}");
        options.reporter.note(&text);
        return Ok(());
    }
    source.generate_delta(name.from.as_ref(), &name.to, &delta_options, &())?;
    Ok(())
}

/// What refs of the target named, the present first, then generation by generation backwards.
struct Past(Vec<std::collections::BTreeMap<String, String>>);

impl Past {
    /// The most generations that are looked at.
    const MOST: u64 = 64;

    fn read(store: &dyn Store) -> Result<Self> {
        let mut refs = vec![present_refs(store)?];
        let latest = generation::latest_number(store)?.unwrap_or(0);
        for number in (latest.saturating_sub(Self::MOST)..=latest).rev() {
            if let Some(record) = Generation::read(store, number)? {
                refs.push(record.refs);
            }
        }
        Ok(Self(refs))
    }

    /// Returns what a ref named in the last generations, but for what it will name.
    fn commits_of(&self, name: &CollectionRef, generations: u64, to: &Checksum) -> BTreeSet<Checksum> {
        let name = name.to_string();
        let most = usize::try_from(generations).unwrap_or(usize::MAX);
        // The present refs are mostly those of the last generation.
        let (present, records) = self.0.split_at(self.0.len().min(1));
        let named = present.iter().chain(records.iter().take(most));
        let commits = named.filter_map(|refs| Checksum::from_hex(refs.get(&name)?).ok());
        commits.filter(|commit| commit != to).collect()
    }
}
