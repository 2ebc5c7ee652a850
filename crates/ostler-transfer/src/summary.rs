//! The summary that is published: carried with its signature where it fits, made anew where it does not.
//!
//! A summary fits if it lists exactly the refs that the target will have, at the commits that they will name, and says
//! that it describes an archive repository. A signature is never dropped silently: clients that require one would stop.
//!
//! In a flip the files come last, after the refs: Flatpak's index, then `summary`, then `summary.sig`. (A client that has
//! a cached pair goes on with the old state between the two; the other order fails for everyone.) Where the old and the new
//! summary have signatures that can overlap, a flip of `summary.sig` alone goes before, and clients get time: see
//! [`ostler_repo::summary::overlap`].

use crate::carry;
use crate::error::{Result, TransferError};
use crate::inventory::SUMMARY_LIMIT;
use crate::kept;
use crate::plan::SummaryPlan;
use crate::planner::Planner;
use crate::policy::{Signing, SummaryPolicy};
use crate::report::Reporter;
use crate::store::{Edit, Expect, Store, object_path};
use crate::summaries;
use ostler_format::gvariant::VarDict;
use ostler_format::{
    Checksum, CollectionRef, CommitEntry, DeltaList, ObjectName, ObjectType, Summary, SummaryHeader,
    parse_detached,
};
use ostler_repo::sign::{Signer, add_signature};
use ostler_repo::summary::overlap::{Overlap, covers, is_signed_by};
use ostler_repo::summary::size_note;
use ostler_repo::{Config, Repo, RepoError};
use std::collections::BTreeMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const SUMMARY: &str = "summary";
pub(crate) const SIGNATURE: &str = "summary.sig";
/// Flatpak's index and its signature; the files that they name are carried beside the objects.
pub(crate) const INDEX: [&str; 2] = [summaries::INDEX, "summary.idx.sig"];

/// The refs of a target, after the run.
type Refs = BTreeMap<CollectionRef, Checksum>;

/// What changes of all that a summary lists.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Changes {
    /// A ref moves.
    pub(crate) refs: bool,
    /// A delta is new, or another one, or not listed yet.
    pub(crate) deltas: bool,
}

/// Decides what becomes of the summary.
pub(crate) fn plan(planner: &Planner<'_>, refs_after: &Refs, changes: Changes) -> Result<SummaryPlan> {
    let policy = planner.policy.summary;
    if policy == SummaryPolicy::None {
        return Ok(SummaryPlan::Keep);
    }
    let there = planner.store.get(SUMMARY, SUMMARY_LIMIT)?;
    let signed_there = planner.store.get(SIGNATURE, SUMMARY_LIMIT)?;
    let stale = || there.as_deref().is_none_or(|bytes| !describes(bytes, refs_after));
    if !planner.policy.signing.signers.is_empty() && policy != SummaryPolicy::Copy {
        let there = (there.as_ref(), signed_there.as_deref());
        return plan_signed(planner, refs_after, changes, there);
    }
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
    if policy == SummaryPolicy::Auto && signed_there.is_some() {
        return if changes.refs {
            Err(TransferError::Summary(
            "the target's is signed, and the source has no signed one that lists the refs of this publish; sign one \
             there first, or sign the new one with --gpg-sign or --sign, or let the signature go with --summary=generate, or \
             leave it with --summary=none"
                .into(),
        ))
        } else {
            Ok(SummaryPlan::Keep)
        };
    }
    Ok(if changes.refs || changes.deltas || stale() {
        SummaryPlan::Generate
    } else {
        SummaryPlan::Keep
    })
}

/// Decides for somebody who signs: the source's summary, if it fits, since there may be more in it than we know (Flatpak's
/// caches, for example); else a new one. Either is signed in the flip.
fn plan_signed(
    planner: &Planner<'_>,
    refs_after: &Refs,
    changes: Changes,
    (there, signed_there): (Option<&Vec<u8>>, Option<&[u8]>),
) -> Result<SummaryPlan> {
    let signers = &planner.policy.signing.signers;
    let signed = match there.zip(signed_there) {
        Some((summary, signatures)) => {
            is_signed_by(signatures, signers.iter().map(Signer::engine))
                && is_kept(planner.store, summary, signatures)?
        }
        None => false,
    };
    let root = planner.source.root();
    let own = match planner.policy.summary {
        SummaryPolicy::Generate => None,
        _ => carry::read(root, SUMMARY)?.filter(|bytes| describes(bytes, refs_after)),
    };
    if let Some(summary) = own {
        let index = changed_index(planner)?;
        return Ok(if signed && there == Some(&summary) && index.is_empty() {
            SummaryPlan::Keep
        } else {
            let signature = carry::read(root, SIGNATURE)?;
            SummaryPlan::Copy {
                index,
                summary,
                signature,
            }
        });
    }
    let fits = there.is_some_and(|bytes| describes(bytes, refs_after));
    Ok(if changes.refs || changes.deltas || !signed || !fits {
        SummaryPlan::Generate
    } else {
        SummaryPlan::Keep
    })
}

/// Returns whether a flip of ours left this pair: the signatures of another tool may be those of another summary.
fn is_kept(store: &dyn Store, summary: &[u8], signatures: &[u8]) -> Result<bool> {
    let kept = kept::read(store, &Checksum::of(summary).to_string())?;
    let own = kept.and_then(|kept| kept.signature);
    Ok(own.is_some_and(|own| covers(signatures, &own)))
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
    let index = changed_index(planner)?;
    let signed = match (signed_there, &signature) {
        (Some(there), Some(own)) => covers(there, own),
        (there, own) => there == own.as_ref(),
    };
    let same = there == Some(&summary) && signed && index.is_empty();
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

/// Returns the files of Flatpak's index that the target has not got like that.
fn changed_index(planner: &Planner<'_>) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let mut index = Vec::new();
    for name in INDEX {
        let own = carry::read(planner.source.root(), name)?;
        if own.is_some() && planner.store.get(name, SUMMARY_LIMIT)? != own {
            index.extend(own.map(|bytes| (name, bytes)));
        }
    }
    Ok(index)
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

/// Returns whether the summary of a target is to list deltas, and lacks one of these with its digest.
pub(crate) fn lacks(store: &dyn Store, deltas: &DeltaList) -> Result<bool> {
    if deltas.0.is_empty() {
        return Ok(false);
    }
    let Some(bytes) = store.get(SUMMARY, SUMMARY_LIMIT)? else {
        return Ok(false);
    };
    let listed: BTreeMap<_, _> = Summary::parse(&bytes)
        .ok()
        .and_then(|summary| DeltaList::from_value(summary.metadata.get(DeltaList::KEY)?).ok())
        .map(|list| list.0.into_iter().collect())
        .unwrap_or_default();
    if (deltas.0.iter()).all(|(name, digest)| listed.get(name) == Some(digest)) {
        return Ok(false);
    }
    let config = Config::parse(&store.get("config", SUMMARY_LIMIT)?.unwrap_or_default())?;
    Ok(!config.no_deltas_in_summary())
}

/// What a flip does to the summary.
#[derive(Debug, Default)]
pub(crate) struct SummaryEdits {
    /// Of the flip before, after which clients get time.
    pub(crate) before: Option<Edit>,
    /// Of the flip.
    pub(crate) edits: Vec<Edit>,
    /// The checksum of the summary that the target will have.
    pub(crate) digest: Option<Checksum>,
}

/// Returns what the flip does. Commits that the target has not got yet are read from the source.
pub(crate) fn edits(
    source: Option<&Repo>,
    store: &dyn Store,
    plan: &SummaryPlan,
    (refs_after, signing): (&Refs, &Signing),
    now: u64,
) -> Result<SummaryEdits> {
    let any = |path: &str, new: Option<Vec<u8>>| Edit {
        path: path.to_owned(),
        expect: Expect::Any,
        new,
    };
    let (index, summary, signature) = match plan {
        SummaryPlan::Keep => {
            let there = store.get(SUMMARY, SUMMARY_LIMIT)?;
            return Ok(SummaryEdits {
                digest: there.as_deref().map(Checksum::of),
                ..SummaryEdits::default()
            });
        }
        SummaryPlan::Copy {
            index,
            summary,
            signature,
        } => (index.clone(), summary.clone(), signature.clone()),
        SummaryPlan::Generate => (Vec::new(), generate(source, store, refs_after, now)?, None),
    };
    let signature = sign(&summary, signature, &signing.signers)?;
    let there = store.get(SIGNATURE, SUMMARY_LIMIT)?;
    // What cannot be read as signatures is carried as it is.
    let overlap = signature
        .as_deref()
        .and_then(|new| Overlap::between(there.as_deref(), new).ok());
    let (meanwhile, signature) = match overlap {
        Some(Overlap {
            meanwhile,
            afterwards,
        }) => (meanwhile, Some(afterwards)),
        None => (None, signature),
    };
    let digest = Checksum::of(&summary);
    let mut edits: Vec<_> = index
        .into_iter()
        .map(|(path, bytes)| any(path, Some(bytes)))
        .collect();
    edits.push(any(SUMMARY, Some(summary)));
    if signature.is_some() || there.is_some() {
        edits.push(any(SIGNATURE, signature));
    }
    Ok(SummaryEdits {
        before: meanwhile.map(|bytes| any(SIGNATURE, Some(bytes))),
        edits,
        digest: Some(digest),
    })
}

/// Says what is to be said of a new summary: that it is large, or that Flatpak's index is of another one.
pub(crate) fn note(store: &dyn Store, edits: &[Edit], reporter: &dyn Reporter) -> Result<()> {
    let changes = |path: &str| edits.iter().any(|edit| edit.path == path);
    let [index, _] = INDEX;
    if changes(SUMMARY) && !changes(index) && store.get(index, SUMMARY_LIMIT)?.is_some() {
        reporter.note("summary.idx, which Flatpak's clients read first, is not of this summary: flatpak build-update-repo makes it");
    }
    let new = edits.iter().find(|edit| edit.path == SUMMARY);
    let size = new.and_then(|edit| edit.new.as_ref()).map_or(0, Vec::len);
    if let Some(note) = size_note(size as u64) {
        reporter.note(&note);
    }
    Ok(())
}

/// How often we look whether the user wants the run to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Lets signatures overlap before the flip: from then on both summaries fit. The caller holds the lease.
pub(crate) fn overlap(
    store: &dyn Store,
    before: Option<Edit>,
    settle: Duration,
    interrupted: Option<&AtomicBool>,
) -> Result<()> {
    let Some(before) = before else {
        return Ok(());
    };
    store.flip(&[before])?;
    let started = Instant::now();
    while let Some(rest) = settle
        .checked_sub(started.elapsed())
        .filter(|rest| !rest.is_zero())
    {
        if interrupted.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            return Err(TransferError::Interrupted);
        }
        thread::sleep(rest.min(LOOK));
    }
    Ok(())
}

/// Adds signatures to those that a summary has.
fn sign(summary: &[u8], has: Option<Vec<u8>>, signers: &[Signer]) -> Result<Option<Vec<u8>>> {
    if signers.is_empty() {
        return Ok(has);
    }
    // What cannot be read is no signature of anything.
    let mut signatures = has.and_then(|has| parse_detached(&has).ok()).unwrap_or_default();
    for signer in signers {
        let (engine, made) = (signer.engine(), signer.sign(summary)?);
        let there = ostler_format::signatures(&signatures, engine.key());
        if !there.is_ok_and(|there| there.contains(&made.as_slice())) {
            add_signature(&mut signatures, engine, &made)?;
        }
    }
    Ok(Some(signatures.to_bytes()))
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
