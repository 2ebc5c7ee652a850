//! Whether what is offered may be, by the rules and by what refs name at that moment. Whether an update is a fast-forward is only
//! known when its commits are here, and is then judged by the [policy](crate::Policy).

use super::ReceiveOptions;
use crate::error::{Refusal, Result, TransferError};
use ostler_format::wire::{Ruling, Update, Verdict};
use ostler_format::{Checksum, RefName};
use std::collections::{BTreeMap, BTreeSet};

/// Judges each update. If one is refused, the others are not tried.
pub(super) fn verdicts(
    options: &ReceiveOptions<'_>,
    refs: &BTreeMap<RefName, Checksum>,
    updates: &[Update],
) -> Result<Vec<Verdict>> {
    let names: BTreeSet<_> = updates.iter().map(|update| &update.name).collect();
    if names.len() != updates.len() {
        return Err(TransferError::Protocol("it offers a ref twice".into()));
    }
    let reasons: Vec<_> = updates
        .iter()
        .map(|update| reason(options, refs, update))
        .collect();
    let all_pass = reasons.iter().all(Option::is_none);
    let verdict = |(update, reason): (&Update, Option<String>)| Verdict {
        name: update.name.clone(),
        ruling: match &reason {
            Some(_) => Ruling::Refused,
            None if all_pass => Ruling::Accepted,
            None => Ruling::NotTried,
        },
        reason: reason.unwrap_or_default(),
    };
    Ok(updates.iter().zip(reasons).map(verdict).collect())
}

fn reason(
    options: &ReceiveOptions<'_>,
    refs: &BTreeMap<RefName, Checksum>,
    update: &Update,
) -> Option<String> {
    let pusher = options.pusher;
    let rights = options.rules.rights(pusher, update.name.as_str());
    let allowed = |may: bool, what: &str| (!may).then(|| format!("may not be {what} by '{pusher}'"));
    let forbidden = match (update.old, update.new) {
        (None, _) => allowed(rights.create, "created"),
        (Some(_), None) => allowed(rights.delete, "deleted"),
        (Some(_), Some(_)) if update.force && rights.force => None,
        (Some(_), Some(_)) => allowed(rights.fast_forward || rights.force, "changed"),
    };
    if forbidden.is_some() {
        return forbidden;
    }
    if update.old.is_none() && update.name.is_all_hex() {
        return Some("is a name that other tools take for the beginning of a checksum".into());
    }
    let there = refs.get(&update.name).copied();
    // Somebody else may have done the same meanwhile.
    (there != update.old && there != update.new)
        .then(|| "was moved meanwhile: look at it, and push again".to_owned())
}

/// Returns verdicts in which those refs are refused that a publish refused, and no other is accepted.
pub(super) fn refused(verdicts: &[Verdict], refusals: &[Refusal]) -> Vec<Verdict> {
    let is_about = |verdict: &Verdict, refusal: &&Refusal| refusal.reference == verdict.name.as_str();
    let is_known = |refusal: &&Refusal| verdicts.iter().any(|verdict| is_about(verdict, refusal));
    let elsewhere = refusals.iter().find(|refusal| !is_known(refusal)).cloned();
    let judged = |verdict: &Verdict| {
        let refusal = refusals.iter().find(|refusal| is_about(verdict, refusal));
        // What concerns a ref that was not offered lets none of those pass that were.
        let reason = match (refusal, &elsewhere) {
            (Some(refusal), _) => Some(refusal.reason.clone()),
            (None, Some(other)) => Some(format!("cannot move: '{}' {}", other.reference, other.reason)),
            (None, None) => None,
        };
        Verdict {
            ruling: match reason {
                Some(_) => Ruling::Refused,
                None => Ruling::NotTried,
            },
            reason: reason.unwrap_or_default(),
            name: verdict.name.clone(),
        }
    };
    verdicts.iter().map(judged).collect()
}
