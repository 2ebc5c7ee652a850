//! Signatures that commits have got since they were pushed: for refs that do not move, those that the pusher has and the repository
//! lacks.
//!
//! The pusher tells digests; what is lacking is asked for before anything happens, and kept in memory. It is added when all else of the
//! push is done, or nothing is if the push is refused:
//! 1. it is written down that signatures are about to be added (`receive/audit.rs`);
//! 2. commit by commit, by [`Repo::change_detached`]: the lists are united, on disk, behind what is there. A reader finds the file
//!    as it was or as it is to be. Nothing is ever taken away, and nothing but signatures is added, which are looked at behind those
//!    that were there: a commit that was signed as rules require is so afterwards;
//! 3. the end is written down, and the pusher is told how many each commit has got.
//!
//! What cannot be added hinders nothing else of the push: the pusher is told why.

use super::ReceiveOptions;
use super::audit::Audit;
use super::fill::inflated;
use super::offered::Offered;
use super::rules::{Measure, PushLimits, Rights};
use crate::channel::{Input, Output, malformed, unexpected};
use crate::detached::signatures_of;
use crate::error::{Result, TransferError};
use crate::execute::lock;
use crate::push::pages;
use libdeflater::Decompressor;
use ostler_format::gvariant::VarDict;
use ostler_format::signatures::{ED25519_SIGNATURE, Engine, are_signature_packets};
use ostler_format::wire::{Batch, Joined, Message, SignedRef, signature_digest};
use ostler_format::{Checksum, ObjectName, ObjectType, RefName, parse_detached};
use ostler_repo::sign::{MAX_SIGNATURES, add_signature};
use ostler_repo::{Repo, RepoError};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::sync::Mutex;
use std::sync::atomic::Ordering;

/// How many are asked for in one message, at most.
const ASKED_AT_ONCE: usize = 4096;

/// The most bytes of a signature: more than a packet of OpenPGP has room for.
const MAX_SIGNATURE: usize = 64 << 10;

/// The most bytes of all signatures of a push, which are kept in memory.
pub(crate) const MAX_LATE: usize = 64 << 20;

/// The signatures that are added to what does not move.
pub(super) struct Late<'a> {
    options: &'a ReceiveOptions<'a>,
    repo: &'a Repo,
    lacking: BTreeMap<Checksum, Lacking>,
    results: Vec<Joined>,
}

/// What a commit lacks.
#[derive(Debug)]
struct Lacking {
    /// The ref by which the pusher may add it.
    name: RefName,
    /// All refs that name the commit.
    refs: Vec<RefName>,
    /// Of the signatures that have not come.
    digests: BTreeSet<Checksum>,
    brought: Vec<(Engine, Vec<u8>)>,
}

impl<'a> Late<'a> {
    /// Begins with nothing.
    pub(super) const fn new(options: &'a ReceiveOptions<'a>, repo: &'a Repo) -> Self {
        Self {
            options,
            repo,
            lacking: BTreeMap::new(),
            results: Vec::new(),
        }
    }

    /// Finds out what is lacking, and takes it; or only says what would be added, where that is asked.
    pub(super) fn gather<W: Write>(
        &mut self,
        refs: &BTreeMap<RefName, Checksum>,
        offered: &Offered,
        input: &mut Input<impl Read>,
        output: &Mutex<Output<W>>,
    ) -> Result<()> {
        self.compare(refs, offered, output)?;
        if !offered.dry_run {
            return self.fetch(input, &mut lock(output));
        }
        for (commit, lacking) in std::mem::take(&mut self.lacking) {
            self.results.push(lacking.joined(commit, lacking.digests.len()));
        }
        Ok(())
    }

    fn compare<W: Write>(
        &mut self,
        refs: &BTreeMap<RefName, Checksum>,
        offered: &Offered,
        output: &Mutex<Output<W>>,
    ) -> Result<()> {
        let mut names: BTreeSet<_> = offered.updates.iter().map(|update| &update.name).collect();
        let mut refused = Vec::new();
        for told in &offered.beside {
            if !names.insert(&told.name) {
                let text = format!("it tells of '{}' twice", told.name);
                return Err(TransferError::Protocol(text));
            }
            lock(output).show_life()?;
            match self.lacking_of(refs.get(&told.name), told) {
                Ok(digests) if digests.is_empty() => {}
                Ok(digests) => {
                    let lacking = self.lacking.entry(told.commit).or_insert_with(|| Lacking {
                        name: told.name.clone(),
                        refs: Vec::new(),
                        digests: BTreeSet::new(),
                        brought: Vec::new(),
                    });
                    lacking.digests.extend(digests);
                }
                Err(reason) => refused.push(Joined {
                    name: told.name.clone(),
                    commit: told.commit,
                    added: 0,
                    reason,
                }),
            }
        }
        // Where one ref of a commit will not do, another may.
        refused.retain(|joined| !self.lacking.contains_key(&joined.commit));
        self.results = refused;
        if !self.lacking.is_empty() {
            for (name, commit) in refs {
                if let Some(lacking) = self.lacking.get_mut(commit) {
                    lacking.refs.push(name.clone());
                }
            }
        }
        Ok(())
    }

    /// Returns the digests of what a commit lacks, or why the pusher may not add it.
    fn lacking_of(&self, there: Option<&Checksum>, told: &SignedRef) -> Result<BTreeSet<Checksum>, String> {
        let pusher = self.options.pusher;
        let rights = self.options.rules.rights(pusher, told.name.as_str());
        let forbidden = || format!("its ref may not be changed by '{pusher}'");
        if rights == Rights::default() {
            return Err(forbidden());
        }
        if there != Some(&told.commit) {
            return Err("its ref was moved meanwhile: push again".to_owned());
        }
        let unreadable = |error: RepoError| TransferError::Repo(error).chain();
        let detached = self.repo.load_detached(&told.commit).map_err(unreadable)?;
        let detached = detached.unwrap_or_default();
        let known = signatures_of(&detached).map_err(RepoError::format("what is there beside it"));
        let known: BTreeSet<_> = known
            .map_err(unreadable)?
            .into_iter()
            .map(|(engine, signature)| signature_digest(engine, signature))
            .collect();
        let lacking: BTreeSet<_> = told.signatures.iter().copied().collect();
        let lacking: BTreeSet<_> = lacking.difference(&known).copied().collect();
        let may = rights.create || rights.fast_forward || rights.force;
        if !lacking.is_empty() && !may {
            return Err(forbidden());
        }
        Ok(lacking)
    }

    /// Asks for what is lacking, and takes it.
    fn fetch(&mut self, input: &mut Input<impl Read>, output: &mut Output<impl Write>) -> Result<()> {
        let mut asked: BTreeSet<_> = self.lacking.keys().copied().collect();
        let beside = |commit: &Checksum| ObjectName::new(*commit, ObjectType::CommitMeta);
        let names: Vec<_> = asked.iter().map(beside).collect();
        for some in names.chunks(ASKED_AT_ONCE) {
            output.send(&Message::Want(some.to_vec()))?;
        }
        output.flush()?;
        let limits = self.limits();
        let mut decompressor = Decompressor::new();
        let (mut received, mut kept) = (0, 0);
        while !asked.is_empty() {
            let batch = match input.next()? {
                Message::Batch(batch) => inflated(batch, &mut decompressor)?,
                other => return Err(unexpected(&other)),
            };
            for entry in Batch::entries(&batch).map_err(malformed)? {
                if entry.name.kind != ObjectType::CommitMeta || !asked.remove(&entry.name.checksum) {
                    let text = format!("it sends {}, which nobody asked for", entry.name);
                    return Err(TransferError::Protocol(text));
                }
                received += entry.bytes.len() as u64;
                limits.check(Measure::Push, received, &"this push")?;
                kept += self.take(&entry.name, entry.bytes)?;
                if kept > MAX_LATE {
                    let text = format!("it sends signatures of more than {MAX_LATE} bytes");
                    return Err(TransferError::Protocol(text));
                }
            }
        }
        Ok(())
    }

    fn limits(&self) -> PushLimits {
        let mut limits = PushLimits::default();
        for name in self.lacking.values().flat_map(|lacking| &lacking.refs) {
            let required = self.options.rules.required(self.options.pusher, name.as_str());
            limits.add(name, &required.limits);
        }
        limits
    }

    /// Keeps those that were told and are lacking; returns how many bytes they have.
    fn take(&mut self, name: &ObjectName, bytes: &[u8]) -> Result<usize> {
        let detached = parse_detached(bytes).map_err(TransferError::format(name))?;
        let brought = signatures_of(&detached).map_err(TransferError::format(name))?;
        let Some(lacking) = self.lacking.get_mut(&name.checksum) else {
            return Ok(0);
        };
        let mut kept = 0;
        for (engine, signature) in brought {
            if !lacking.digests.remove(&signature_digest(engine, signature)) {
                continue;
            }
            if let Some(reason) = flaw(engine, signature) {
                let refused = lacking.refused(name.checksum, reason);
                self.results.push(refused);
                self.lacking.remove(&name.checksum);
                return Ok(0);
            }
            kept += signature.len();
            lacking.brought.push((engine, signature.to_vec()));
        }
        Ok(kept)
    }

    /// Drops what has come: the push is refused.
    pub(super) fn forget(&mut self) {
        self.lacking.clear();
        self.results.clear();
    }

    /// Adds what has come, and writes down what becomes of it.
    pub(super) fn put(&mut self, audit: &Audit<'_>) {
        let mut waiting = std::mem::take(&mut self.lacking);
        // The source may have lost what it told of.
        waiting.retain(|_, lacking| !lacking.brought.is_empty());
        if !waiting.is_empty() {
            let planned = waiting.iter();
            let planned = planned.map(|(commit, lacking)| lacking.joined(*commit, lacking.brought.len()));
            let written = audit.adding(planned.collect());
            let unwritten = written.err().map(|error| error.chain());
            for (commit, lacking) in waiting {
                let added = match &unwritten {
                    Some(reason) => Err(reason.clone()),
                    None => self.add(&commit, &lacking).map_err(|error| error.chain()),
                };
                match added {
                    // Somebody else was faster.
                    Ok(0) => {}
                    Ok(count) => self.results.push(lacking.joined(commit, count)),
                    Err(reason) => self.results.push(lacking.refused(commit, reason)),
                }
            }
        }
        audit.note_joined(&self.results);
    }

    fn add(&self, commit: &Checksum, lacking: &Lacking) -> Result<usize> {
        if self.options.interrupted.load(Ordering::Relaxed) {
            return Err(TransferError::Interrupted);
        }
        self.check(commit, lacking)?;
        let mut added = BTreeSet::new();
        self.repo.change_detached(commit, |detached| {
            for (engine, signature) in &lacking.brought {
                if unite(detached, *engine, signature)? == Place::Taken {
                    added.insert(signature_digest(*engine, signature));
                }
            }
            Ok(())
        })?;
        Ok(added.len())
    }

    /// Fails if there are more signatures than are looked at.
    fn check(&self, commit: &Checksum, lacking: &Lacking) -> Result<()> {
        let mut united = self.repo.load_detached(commit)?.unwrap_or_default();
        for (engine, signature) in &lacking.brought {
            if unite(&mut united, *engine, signature)? == Place::Full {
                return Err(TransferError::Denied(format!(
                    "it would have more than {MAX_SIGNATURES} signatures of {engine}, and no more are looked at"
                )));
            }
        }
        Ok(())
    }

    /// Returns whether any commit has got a signature.
    pub(super) fn has_added(&self) -> bool {
        self.results.iter().any(|joined| joined.added > 0)
    }

    /// Tells the pusher.
    pub(super) fn tell(&self, output: &mut Output<impl Write>) -> Result<()> {
        let size = |joined: &Joined| joined.name.as_str().len() + joined.reason.len() + 37;
        for (page, _) in pages(&self.results, size) {
            output.send(&Message::Joined(page.to_vec()))?;
        }
        Ok(())
    }
}

impl Lacking {
    fn joined(&self, commit: Checksum, added: usize) -> Joined {
        Joined {
            name: self.name.clone(),
            commit,
            added: u8::try_from(added).unwrap_or(u8::MAX),
            reason: String::new(),
        }
    }

    fn refused(&self, commit: Checksum, reason: String) -> Joined {
        Joined {
            reason,
            ..self.joined(commit, 0)
        }
    }
}

/// What became of a signature that was to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Taken,
    There,
    Full,
}

/// Adds a signature behind those of its engine, if it is not among them and there are not as many as are looked at.
fn unite(detached: &mut VarDict, engine: Engine, signature: &[u8]) -> Result<Place, RepoError> {
    let there = ostler_format::signatures(detached, engine.key());
    let there = there.map_err(RepoError::format("detached metadata"))?;
    if there.contains(&signature) {
        return Ok(Place::There);
    }
    if there.len() >= MAX_SIGNATURES {
        return Ok(Place::Full);
    }
    add_signature(detached, engine, signature)?;
    Ok(Place::Taken)
}

/// Says why bytes cannot be a signature of an engine: clients give up at one that is none, though another be valid.
fn flaw(engine: Engine, signature: &[u8]) -> Option<String> {
    let is_one = match engine {
        Engine::Gpg => are_signature_packets(signature),
        Engine::Ed25519 => signature.len() == ED25519_SIGNATURE,
        Engine::Spki => !signature.is_empty(),
        Engine::Dummy => false,
    };
    let length = signature.len();
    (!is_one || length > MAX_SIGNATURE)
        .then(|| format!("what comes as a signature of {engine} is none ({length} bytes)"))
}
