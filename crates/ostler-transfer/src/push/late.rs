//! Signatures that commits have got at the source since they were pushed. Of refs that do not move the far end is told digests, and asks
//! for what it lacks: then it gets the signatures, and nothing else of what is detached from the commit.

use super::agenda::Agenda;
use super::{Fate, PushReporter};
use crate::detached::signatures_of;
use crate::error::{Result, TransferError};
use crate::receive::{MAX_COMMITS, MAX_LATE, MAX_TOLD_NAMES, MAX_UPDATES};
use ostler_format::gvariant::VarDict;
use ostler_format::wire::{PIECE, SignedRef, signature_digest};
use ostler_format::{Checksum, append_signature};
use ostler_repo::sign::MAX_SIGNATURES;
use ostler_repo::{Repo, RepoError};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Returns what there is to tell: refs that do not move, with the signatures of their commits. The source is locked. What cannot be read
/// is told to the user; the far end hears by `show_life` that we are at work.
pub(super) fn told(
    source: &Repo,
    agenda: &Agenda,
    reporter: &dyn PushReporter,
    mut show_life: impl FnMut() -> Result<()>,
) -> Result<Vec<SignedRef>> {
    // What is detached from these is asked for in any case.
    let offered: HashSet<_> = agenda.chains.iter().flatten().collect();
    let mut known: BTreeMap<Checksum, Vec<Checksum>> = BTreeMap::new();
    let mut told = Vec::new();
    let mut room = Room {
        refs: MAX_UPDATES.saturating_sub(agenda.updates.len()),
        names: MAX_TOLD_NAMES,
        digests: MAX_COMMITS,
        bytes: MAX_LATE,
    };
    let mut left_out = 0;
    for pushed in agenda.refs() {
        let Some(commit) = pushed
            .new
            .filter(|new| pushed.fate == Fate::UpToDate && !offered.contains(new))
        else {
            continue;
        };
        // Of the others nothing is read.
        if left_out > 0 {
            left_out += 1;
            continue;
        }
        show_life()?;
        let mut bytes = 0;
        let signatures = known
            .entry(commit)
            .or_insert_with(|| match signed(source, &commit) {
                Ok(signed) => {
                    bytes = signed.to_bytes().len();
                    digests_of(&signed)
                }
                Err(error) => {
                    let why = TransferError::Repo(error).chain();
                    reporter.note(&format!("the signatures of {commit} are not compared: {why}"));
                    Vec::new()
                }
            });
        if signatures.is_empty() {
            continue;
        }
        let signed = SignedRef {
            name: pushed.name.clone(),
            commit,
            signatures: signatures.clone(),
        };
        match room.less(&signed, bytes) {
            Some(less) => {
                room = less;
                told.push(signed);
            }
            None => left_out = 1,
        }
    }
    if left_out > 0 {
        reporter.note(&format!(
            "the last {left_out} of the refs that do not move are not compared by signatures, there are too many: push some of them at a time"
        ));
    }
    Ok(told)
}

/// How much more a far end lets itself be told.
struct Room {
    refs: usize,
    names: usize,
    digests: usize,
    /// Of signatures, if it asks for all of them.
    bytes: usize,
}

impl Room {
    fn less(&self, told: &SignedRef, bytes: usize) -> Option<Self> {
        Some(Self {
            refs: self.refs.checked_sub(1)?,
            names: self.names.checked_sub(told.name.as_str().len())?,
            digests: self.digests.checked_sub(told.signatures.len())?,
            bytes: self.bytes.checked_sub(bytes)?,
        })
    }
}

/// Returns the signatures of a commit as they are sent: no more than are looked at, and than fit into a message.
pub(super) fn signed(source: &Repo, commit: &Checksum) -> Result<VarDict, RepoError> {
    let detached = source.load_detached(commit)?.unwrap_or_default();
    let failed = RepoError::format("detached metadata");
    let all = signatures_of(&detached).map_err(failed)?;
    let mut counts = BTreeMap::new();
    let mut left = PIECE / 2;
    let mut signed = VarDict::new();
    for (engine, signature) in all {
        let count: &mut usize = counts.entry(engine).or_default();
        let fits = left
            .checked_sub(signature.len())
            .filter(|_| *count < MAX_SIGNATURES);
        let Some(rest) = fits else { continue };
        left = rest;
        *count += 1;
        append_signature(&mut signed, engine.key(), signature)
            .map_err(RepoError::format("detached metadata"))?;
    }
    Ok(signed)
}

/// Returns the digests of signatures, each once.
fn digests_of(signed: &VarDict) -> Vec<Checksum> {
    let all = signatures_of(signed).unwrap_or_default();
    let digests: BTreeSet<_> = all
        .into_iter()
        .map(|(engine, signature)| signature_digest(engine, signature))
        .collect();
    digests.into_iter().collect()
}
