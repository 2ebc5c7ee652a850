//! The summary that is published: carried with its signature where it fits, made anew where it does not.
//!
//! A summary fits if it lists exactly the refs that the target will have, at the commits that they will name, and says
//! that it describes an archive repository. A signature is never dropped silently: clients that require one would stop.
//!
//! In a flip the files come last, after the refs: Flatpak's index, then `summary`, then `summary.sig`. (A client that has
//! a cached pair goes on with the old state between the two; the other order fails for everyone.)

use crate::carry;
use crate::error::{Result, TransferError};
use crate::inventory::SUMMARY_LIMIT;
use crate::plan::SummaryPlan;
use crate::planner::Planner;
use crate::policy::SummaryPolicy;
use crate::store::{Edit, Expect, Store, object_path};
use crate::summaries;
use ostler_format::gvariant::VarDict;
use ostler_format::{
    Checksum, CollectionRef, CommitEntry, DeltaList, ObjectName, ObjectType, Summary, SummaryHeader,
};
use ostler_repo::{Config, Repo, RepoError};
use std::collections::BTreeMap;
use std::collections::hash_map::Entry;

pub(crate) const SUMMARY: &str = "summary";
pub(crate) const SIGNATURE: &str = "summary.sig";
/// Flatpak's index and its signature; the files that they name are carried beside the objects.
pub(crate) const INDEX: [&str; 2] = [summaries::INDEX, "summary.idx.sig"];

/// The refs of a target, after the run.
type Refs = BTreeMap<CollectionRef, Checksum>;

/// Decides what becomes of the summary; `moved` says whether any ref changes.
pub(crate) fn plan(planner: &Planner<'_>, refs_after: &Refs, moved: bool) -> Result<SummaryPlan> {
    let policy = planner.policy.summary;
    if policy == SummaryPolicy::None {
        return Ok(SummaryPlan::Keep);
    }
    let there = planner.store.get(SUMMARY, SUMMARY_LIMIT)?;
    let signed_there = planner.store.get(SIGNATURE, SUMMARY_LIMIT)?;
    if policy != SummaryPolicy::Generate {
        let root = planner.source.root();
        let own = carry::read(root, SUMMARY)?;
        let signature = carry::read(root, SIGNATURE)?;
        let fits = own.as_deref().is_some_and(|bytes| describes(bytes, refs_after));
        if let (Some(own), true) = (own, fits && (signature.is_some() || signed_there.is_none())) {
            return copy(planner, own, signature, there.as_ref(), signed_there.as_ref());
        }
        if policy == SummaryPolicy::Copy {
            return Err(TransferError::Summary(unfit(fits)));
        }
    }
    let stale = || there.as_deref().is_none_or(|bytes| !describes(bytes, refs_after));
    if policy == SummaryPolicy::Auto && signed_there.is_some() {
        return if moved {
            Err(TransferError::Summary(
            "the target's is signed, and the source has no signed one that lists the refs of this publish; sign one \
             there first, or let the signature go with --summary=generate, or leave it with --summary=none"
                .into(),
        ))
        } else {
            Ok(SummaryPlan::Keep)
        };
    }
    Ok(if moved || stale() {
        SummaryPlan::Generate
    } else {
        SummaryPlan::Keep
    })
}

fn unfit(fits: bool) -> String {
    if fits {
        "the target's is signed and the source's is not".into()
    } else {
        "the source's does not list exactly the refs that the target will have".into()
    }
}

fn copy(
    planner: &Planner<'_>,
    summary: Vec<u8>,
    signature: Option<Vec<u8>>,
    there: Option<&Vec<u8>>,
    signed_there: Option<&Vec<u8>>,
) -> Result<SummaryPlan> {
    let mut index = Vec::new();
    for name in INDEX {
        let own = carry::read(planner.source.root(), name)?;
        if own.is_some() && planner.store.get(name, SUMMARY_LIMIT)? != own {
            index.extend(own.map(|bytes| (name, bytes)));
        }
    }
    let same = there == Some(&summary) && signed_there == signature.as_ref() && index.is_empty();
    Ok(if same {
        SummaryPlan::Keep
    } else {
        SummaryPlan::Copy {
            index,
            summary,
            signature,
        }
    })
}

/// Returns whether a summary lists exactly these refs, for an archive repository. Bytes that cannot be read do not.
pub(crate) fn describes(bytes: &[u8], refs: &Refs) -> bool {
    let Ok(summary) = Summary::parse(bytes) else {
        return false;
    };
    let mode_fits = summary
        .metadata
        .get_str("ostree.summary.mode")
        .is_none_or(|mode| matches!(mode, "archive-z2" | "archive"));
    mode_fits && summary.all_refs().is_ok_and(|listed| listed == *refs)
}

/// Returns the edits of the flip and the checksum of the summary that the target will have.
/// Commits that the target has not got yet are read from the source.
pub(crate) fn edits(
    source: Option<&Repo>,
    store: &dyn Store,
    plan: &SummaryPlan,
    refs_after: &Refs,
    now: u64,
) -> Result<(Vec<Edit>, Option<Checksum>)> {
    let any = |path: &str, new: Option<Vec<u8>>| Edit {
        path: path.to_owned(),
        expect: Expect::Any,
        new,
    };
    let (index, summary, signature) = match plan {
        SummaryPlan::Keep => {
            let there = store.get(SUMMARY, SUMMARY_LIMIT)?;
            return Ok((Vec::new(), there.as_deref().map(Checksum::of)));
        }
        SummaryPlan::Copy {
            index,
            summary,
            signature,
        } => (index.clone(), summary.clone(), signature.clone()),
        SummaryPlan::Generate => (Vec::new(), generate(source, store, refs_after, now)?, None),
    };
    let digest = Checksum::of(&summary);
    let mut edits: Vec<_> = index
        .into_iter()
        .map(|(path, bytes)| any(path, Some(bytes)))
        .collect();
    edits.push(any(SUMMARY, Some(summary)));
    if signature.is_some() || store.get(SIGNATURE, SUMMARY_LIMIT)?.is_some() {
        edits.push(any(SIGNATURE, signature));
    }
    Ok((edits, Some(digest)))
}

/// Makes a summary of the target with these refs; keys that OSTree does not know are kept.
fn generate(source: Option<&Repo>, store: &dyn Store, refs: &Refs, now: u64) -> Result<Vec<u8>> {
    let old = store
        .get(SUMMARY, SUMMARY_LIMIT)?
        .and_then(|bytes| Summary::parse(&bytes).ok())
        .unwrap_or_default();
    let config = Config::parse(&store.get("config", SUMMARY_LIMIT)?.unwrap_or_default())?;
    let mut known = old.known_commits();
    let deltas = if config.no_deltas_in_summary() {
        DeltaList::default()
    } else {
        carry::digests(store)?
    };
    let header = SummaryHeader {
        now,
        mode: config.mode(),
        tombstone_commits: config.tombstone_commits(),
        collection: config.collection_id(),
        deltas: &deltas,
        metadata: &VarDict::new(),
        kept: Some(&old),
    };
    let summary = Summary::compose(&header, refs.clone(), |name, commit| -> Result<_> {
        let entry = match known.entry(commit) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(describe(source, store, &commit)?),
        };
        Ok(entry.named(name, commit))
    })?;
    Ok(summary.to_bytes())
}

/// Reads a commit where it is: at the target, or still only in the source.
fn describe(source: Option<&Repo>, store: &dyn Store, commit: &Checksum) -> Result<CommitEntry> {
    let name = ObjectName::new(*commit, ObjectType::Commit);
    let bytes = match store.get(&object_path(name), SUMMARY_LIMIT)? {
        Some(bytes) => bytes,
        None => source
            .ok_or_else(|| RepoError::not_found(format!("object {name}")))?
            .load_metadata(&name)?,
    };
    CommitEntry::of_commit(&bytes).map_err(TransferError::format(name))
}
