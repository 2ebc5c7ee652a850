//! The summary that goes with a rollback: the one that the generation had, with its signatures, if it was kept and what it
//! names is still there; else a new one, by the rules of a publish.

use super::RollbackOptions;
use crate::carry;
use crate::error::{Result, TransferError};
use crate::generation::Generation;
use crate::inventory::SUMMARY_LIMIT;
use crate::kept::{self, Kept};
use crate::plan::SummaryPlan;
use crate::policy::SummaryPolicy;
use crate::store::Store;
use crate::summary::{SIGNATURE, SUMMARY, describes};
use ostler_format::{Checksum, CollectionRef, DeltaList, Summary};
use std::collections::BTreeMap;

/// Decides what becomes of the summary.
pub(super) fn plan(
    store: &dyn Store,
    options: &RollbackOptions<'_>,
    record: &Generation,
    refs_after: &BTreeMap<CollectionRef, Checksum>,
) -> Result<SummaryPlan> {
    let policy = options.summary;
    let there = store.get(SUMMARY, SUMMARY_LIMIT)?;
    let signed_there = store.get(SIGNATURE, SUMMARY_LIMIT)?.is_some();
    if policy == SummaryPolicy::None || (there.is_none() && record.summary.is_none()) {
        return Ok(SummaryPlan::Keep);
    }
    let fits = there.as_deref().is_some_and(|bytes| describes(bytes, refs_after));
    if policy != SummaryPolicy::Generate {
        if let Some(kept) = restored(store, record, refs_after, signed_there)? {
            let is_there =
                matches!(&kept, SummaryPlan::Copy { summary, .. } if there.as_ref() == Some(summary));
            return Ok(if is_there { SummaryPlan::Keep } else { kept });
        }
        let unsigned = signed_there && options.signing.signers.is_empty();
        if policy == SummaryPolicy::Copy || (unsigned && !fits) {
            return Err(TransferError::Summary(
                "that of the generation was not kept with a signature, or names deltas that are gone; sign a new one with \
                 --gpg-sign or --sign, or let the signature go with --summary=generate, or leave the summary as it is with --summary=none"
                    .into(),
            ));
        }
    }
    Ok(if fits {
        SummaryPlan::Keep
    } else {
        SummaryPlan::Generate
    })
}

/// Returns the summary that was kept for the generation, if it can be brought back without losing a signature.
fn restored(
    store: &dyn Store,
    record: &Generation,
    refs_after: &BTreeMap<CollectionRef, Checksum>,
    signed_there: bool,
) -> Result<Option<SummaryPlan>> {
    let Some(digest) = &record.summary else {
        return Ok(None);
    };
    let Some(Kept { summary, signature }) = kept::read(store, digest)? else {
        return Ok(None);
    };
    let loses_signature = signed_there && signature.is_none();
    if loses_signature || !describes(&summary, refs_after) || !names_deltas_there(store, &summary)? {
        return Ok(None);
    }
    Ok(Some(SummaryPlan::Copy {
        index: Vec::new(),
        summary,
        signature,
    }))
}

/// Returns whether the deltas that a summary announces are there, with the superblocks that it means: clients fail where they are not.
fn names_deltas_there(store: &dyn Store, summary: &[u8]) -> Result<bool> {
    let summary = Summary::parse(summary).map_err(TransferError::format("a kept summary"))?;
    let Some(value) = summary.metadata.get(DeltaList::KEY) else {
        return Ok(true);
    };
    let deltas = DeltaList::from_value(value).map_err(TransferError::format("a kept summary"))?;
    for (name, digest) in &deltas.0 {
        let superblock = store.get(&format!("{}/superblock", name.path()), carry::LIMIT)?;
        if superblock.is_none_or(|bytes| Checksum::of(&bytes) != *digest) {
            return Ok(false);
        }
    }
    Ok(true)
}
