//! Signatures that the receiver adds: to commits while they are in quarantine, so that nobody finds them unsigned, and to summaries.
//!
//! A commit keeps its id, since signatures lie beside it. Signed are the commits that come with a push and that a ref gets which the
//! rules name, and what such a ref shall name, wherever that comes from. Keys are read before anything is sent.

use super::ReceiveOptions;
use crate::error::{Result, TransferError};
use crate::policy::Signing;
use ostler_format::wire::Update;
use ostler_format::{Checksum, ObjectName, ObjectType};
use ostler_repo::Repo;
use ostler_repo::sign::{Signer, add_signature};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

/// Those who sign what a push brings.
#[derive(Debug, Default)]
pub(super) struct Seals {
    /// For each rule of the file, where it concerns the push.
    rules: Vec<(Vec<Signer>, Vec<Checksum>)>,
    summary: Signing,
}

impl Seals {
    /// Reads the keys that are needed.
    pub(super) fn gather(options: &ReceiveOptions<'_>, updates: &[Update]) -> Result<Self> {
        let mut seals = Self::default();
        for rule in options.rules.sign() {
            let is_meant = |update: &&Update| {
                (rule.refs.as_ref()).is_some_and(|refs| refs.matches(update.name.as_str()))
            };
            let moves = |update: &Update| update.new.filter(|_| update.new != update.old);
            let tips: Vec<_> = updates.iter().filter(is_meant).filter_map(moves).collect();
            if tips.is_empty() && !rule.summary {
                continue;
            }
            let signers = rule.signers(&options.around.interruption)?;
            if rule.summary {
                seals.summary.signers.extend(signers.iter().cloned());
                seals.summary.settle = seals.summary.settle.max(rule.settle);
            }
            seals.rules.push((signers, tips));
        }
        Ok(seals)
    }

    /// Returns who signs the summary.
    pub(super) fn of_summary(&self) -> Signing {
        self.summary.clone()
    }

    /// Signs what is in quarantine.
    pub(super) fn put(&self, quarantine: &Repo, options: &ReceiveOptions<'_>) -> Result<()> {
        let mut wanted: BTreeMap<Checksum, Vec<&Signer>> = BTreeMap::new();
        for (signers, tips) in &self.rules {
            for commit in commits(quarantine, tips)? {
                wanted.entry(commit).or_default().extend(signers);
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let transaction = quarantine.begin()?;
        for (commit, signers) in wanted {
            let bytes = quarantine.load_metadata(&ObjectName::new(commit, ObjectType::Commit))?;
            let mut detached = quarantine.load_detached(&commit)?.unwrap_or_default();
            for signer in signers {
                if options.interrupted.load(Ordering::Relaxed) {
                    return Err(TransferError::Interrupted);
                }
                let (engine, signature) = (signer.engine(), signer.sign(&bytes)?);
                let there = ostler_format::signatures(&detached, engine.key());
                let is_there = there
                    .map_err(TransferError::format("detached metadata"))?
                    .contains(&signature.as_slice());
                if !is_there {
                    add_signature(&mut detached, engine, &signature)?;
                }
            }
            transaction.write_detached(&commit, &detached)?;
        }
        transaction.commit()?;
        Ok(())
    }
}

/// Returns the tips, and their ancestors as far as they came with the push.
fn commits(quarantine: &Repo, tips: &[Checksum]) -> Result<BTreeSet<Checksum>> {
    let mut commits = BTreeSet::new();
    for tip in tips {
        let mut next = Some(*tip);
        while let Some(commit) = next {
            let name = ObjectName::new(commit, ObjectType::Commit);
            let came = quarantine.stat_own_object(&name)?.is_some();
            if !(came || commit == *tip) || !commits.insert(commit) {
                break;
            }
            next = quarantine.load_commit(&commit)?.parent;
        }
    }
    Ok(commits)
}
