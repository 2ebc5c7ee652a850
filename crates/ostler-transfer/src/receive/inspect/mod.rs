//! Whether commits that were pushed are what the rules require of the refs that are to name them.
//!
//! Looked at is the commit that each ref shall name, and of its history what is new to the repository, as it lies in quarantine: not what the
//! pusher said of it. It happens once all of it has come, and before anything of it is published; nothing is written.

mod contents;

use super::rules::{Bindings, PushLimits, ReceiveRules, Required, Signatures, Verifier};
use crate::detached::united;
use crate::error::{Refusal, Result, TransferError};
use contents::Contents;
use ostler_format::gvariant::VarDict;
use ostler_format::wire::Update;
use ostler_format::{Checksum, Commit, ObjectName, ObjectType, RefName};
use ostler_repo::sign::TrustPaths;
use ostler_repo::{REF_BINDING, Repo, binding_problem};

/// What is required of each ref that gets a commit, with the keys read.
#[derive(Debug)]
pub(super) struct Inspection<'a> {
    moves: Vec<Move<'a>>,
    verifiers: Vec<(&'a Signatures, Verifier)>,
    limits: PushLimits,
}

#[derive(Debug)]
struct Move<'a> {
    name: &'a RefName,
    old: Option<Checksum>,
    new: Checksum,
    required: Required<'a>,
}

/// A commit that is looked at.
#[derive(Debug)]
struct Pushed {
    id: Checksum,
    bytes: Vec<u8>,
    commit: Commit,
}

impl<'a> Inspection<'a> {
    /// Gathers what the rules require.
    ///
    /// # Errors
    /// [`TransferError::Policy`] for keys that cannot be read.
    pub(super) fn new(
        rules: &'a ReceiveRules,
        pusher: &str,
        paths: &TrustPaths,
        updates: &'a [Update],
    ) -> Result<Self> {
        let mut inspection = Self {
            moves: Vec::new(),
            verifiers: Vec::new(),
            limits: PushLimits::default(),
        };
        for update in updates {
            let Some(new) = update.new else { continue };
            let required = rules.required(pusher, update.name.as_str());
            inspection.limits.add(&update.name, &required.limits);
            for signatures in &required.signatures {
                if inspection.verifier(signatures).is_none() {
                    inspection.verifiers.push((signatures, signatures.load(paths)?));
                }
            }
            inspection.moves.push(Move {
                name: &update.name,
                old: update.old,
                new,
                required,
            });
        }
        Ok(inspection)
    }

    /// Returns how much may come.
    pub(super) const fn limits(&self) -> &PushLimits {
        &self.limits
    }

    fn verifier(&self, signatures: &Signatures) -> Option<&Verifier> {
        let known = self
            .verifiers
            .iter()
            .find(|(known, _)| std::ptr::eq(*known, signatures));
        known.map(|(_, verifier)| verifier)
    }

    /// Looks at what has come.
    ///
    /// # Errors
    /// [`TransferError::Refused`] with each ref that may not name its commit, [`TransferError::TooMuch`].
    pub(super) fn run(&self, quarantine: &Repo, target: &Repo) -> Result<()> {
        let mut refusals = Vec::new();
        let mut contents = Contents::new(quarantine, target, &self.limits);
        for wanted in &self.moves {
            let reason = self.look(wanted, (quarantine, target), &mut contents)?;
            refusals.extend(reason.map(|reason| Refusal {
                reference: wanted.name.to_string(),
                reason,
                yields_to_force: false,
            }));
        }
        if refusals.is_empty() {
            Ok(())
        } else {
            Err(TransferError::Refused(refusals))
        }
    }

    /// Returns why a ref may not name its commit, if it may not.
    fn look(
        &self,
        wanted: &Move<'_>,
        repos: (&Repo, &Repo),
        contents: &mut Contents<'_>,
    ) -> Result<Option<String>> {
        let (quarantine, target) = repos;
        contents.begin(wanted.old, &wanted.required.forbid);
        let mut next = Some(wanted.new);
        while let Some(id) = next {
            let is_tip = id == wanted.new;
            if !is_tip && (is_whole(target, &id)? || !is_there(quarantine, &id)?) {
                break;
            }
            let pushed = Pushed::load(quarantine, id)?;
            if is_tip && let Some(reason) = not_newer(wanted, &pushed, target)? {
                return Ok(Some(reason));
            }
            if let Some(reason) = misbound(wanted, &pushed, target) {
                return Ok(Some(reason));
            }
            if let Some(reason) = self.unsigned(&wanted.required, &pushed, repos)? {
                return Ok(Some(reason));
            }
            if let Some(reason) = contents.look(&id, &pushed.commit)? {
                return Ok(Some(reason));
            }
            next = pushed.commit.parent;
        }
        Ok(None)
    }

    fn unsigned(
        &self,
        required: &Required<'_>,
        pushed: &Pushed,
        (quarantine, target): (&Repo, &Repo),
    ) -> Result<Option<String>> {
        if required.signatures.is_empty() {
            return Ok(None);
        }
        let brought = quarantine.load_detached(&pushed.id)?.unwrap_or_else(VarDict::new);
        let detached = match target.load_detached(&pushed.id)? {
            Some(there) => united(brought, &there),
            None => brought,
        };
        for signatures in &required.signatures {
            let verifier = self.verifier(signatures).expect("its keys were read");
            if let Some(problem) = verifier.problem(&pushed.bytes, &detached)? {
                return Ok(Some(format!(
                    "must be signed, and commit {} is not as required: {problem}",
                    pushed.id
                )));
            }
        }
        Ok(None)
    }
}

impl Pushed {
    fn load(quarantine: &Repo, id: Checksum) -> Result<Self> {
        let name = ObjectName::new(id, ObjectType::Commit);
        let bytes = quarantine.load_metadata(&name)?;
        let commit = Commit::parse(&bytes).map_err(TransferError::format(name))?;
        Ok(Self { id, bytes, commit })
    }
}

fn is_there(repo: &Repo, commit: &Checksum) -> Result<bool> {
    let found = repo.stat_own_object(&ObjectName::new(*commit, ObjectType::Commit))?;
    Ok(found.is_some_and(|stat| stat.size > 0))
}

fn is_whole(repo: &Repo, commit: &Checksum) -> Result<bool> {
    Ok(is_there(repo, commit)? && repo.is_partial(commit)?.is_none())
}

fn not_newer(wanted: &Move<'_>, pushed: &Pushed, target: &Repo) -> Result<Option<String>> {
    let Some(old) = wanted.old.filter(|_| wanted.required.newer) else {
        return Ok(None);
    };
    let old_time = target.load_commit(&old)?.timestamp;
    let new_time = pushed.commit.timestamp;
    Ok((new_time <= old_time).then(|| {
        format!(
            "must get newer: {} is of {new_time} (seconds since 1970), and {old}, which it names, of {old_time}",
            pushed.id
        )
    }))
}

fn misbound(wanted: &Move<'_>, pushed: &Pushed, target: &Repo) -> Option<String> {
    let bindings = wanted.required.bindings;
    if bindings == Bindings::Any {
        return None;
    }
    let unbound = || {
        let is_bound = pushed.commit.metadata.get(REF_BINDING).is_some();
        (bindings == Bindings::Required && !is_bound)
            .then(|| "it has no ref binding, and one is required".to_owned())
    };
    let collection = target.config().collection_id();
    let problem = binding_problem(&pushed.commit, Some(wanted.name), collection).or_else(unbound)?;
    Some(format!(
        "cannot name {}: {problem} ('ostler promote' makes a commit for this ref)",
        pushed.id
    ))
}
