//! Changing detached metadata, signatures above all, so that nobody's change is lost.
//!
//! Order: the lock of the repository, shared, so that no prune takes the commit; a lock among ostlers who change detached
//! metadata; then read, change, write beside, sync, and exchange the two files in one instant. Stock tools take no lock at
//! all: what the exchange brings out is compared with what was read, and signatures that another program added in between
//! are put back. A program that read before and writes after takes ours away; a look a moment later finds that, and
//! adds them again.

use super::{Signer, add_signature};
use crate::error::{RepoError, Result};
use crate::lock::{FileLock, LockKind};
use crate::objects::missing;
use crate::objects::prefixes::{file_name, prefix_of};
use crate::repo::{FILE_MODE, Repo};
use crate::settle::sync_directories;
use ostler_format::gvariant::{Value, VarDict};
use ostler_format::{
    Checksum, MAX_METADATA_SIZE, ObjectName, ObjectType, parse_detached, set_signatures, signatures,
};
use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::thread;
use std::time::Duration;

/// The lock among those who change detached metadata, below `tmp/`.
const LOCK: &str = "ostler-detached-lock";

/// How often a change is made again because others change the same file.
const ATTEMPTS: u32 = 100;

/// How long other programs may take from reading to writing before they can take a change away unnoticed.
const PAUSE: Duration = Duration::from_millis(100);

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DetachedChange {
    /// The metadata is another one now.
    Made,
    /// There was nothing to change.
    Needless,
}

impl Repo {
    /// Signs a commit, and adds the signatures to its detached metadata.
    ///
    /// # Errors
    /// [`RepoError::NotFound`], those of [`Signer::sign`] and of [`change_detached`](Self::change_detached).
    pub fn sign_commit(&self, commit: &Checksum, signers: &[Signer]) -> Result<()> {
        self.require_writable()?;
        let bytes = self.load_metadata(&ObjectName::new(*commit, ObjectType::Commit))?;
        let made = signers
            .iter()
            .map(|signer| Ok((signer.engine(), signer.sign(&bytes)?)))
            .collect::<Result<Vec<_>>>()?;
        self.change_detached(commit, |detached| {
            for (engine, signature) in &made {
                let there = signatures(detached, engine.key())
                    .map_err(RepoError::format("detached metadata"))?
                    .contains(&signature.as_slice());
                if !there {
                    add_signature(detached, *engine, signature)?;
                }
            }
            Ok(())
        })
        .map(drop)
    }

    /// Removes signatures under a key of the detached metadata, and the key with the last of them. Returns how many were
    /// removed.
    ///
    /// # Errors
    /// Those of [`change_detached`](Self::change_detached).
    pub fn remove_signatures(&self, commit: &Checksum, key: &str, doomed: &[Vec<u8>]) -> Result<usize> {
        let mut removed = BTreeSet::new();
        self.change_detached(commit, |detached| {
            let all = signatures(detached, key).map_err(RepoError::format("detached metadata"))?;
            let (gone, kept): (Vec<_>, Vec<_>) = all
                .into_iter()
                .map(<[u8]>::to_vec)
                .partition(|signature| doomed.contains(signature));
            if kept.is_empty() {
                detached.remove(key);
            } else if !gone.is_empty() {
                set_signatures(detached, key, &kept);
            }
            removed.extend(gone);
            Ok(())
        })?;
        Ok(removed.len())
    }

    /// Changes the detached metadata of a commit; where it becomes empty, an empty file stays. `edit` is given what is there, perhaps more than once, and must not
    /// change what it has changed already.
    ///
    /// # Errors
    /// [`RepoError::NotFound`] without the commit, [`RepoError::ReadOnly`], [`RepoError::Locked`], [`RepoError::Format`]
    /// for metadata that cannot be read, [`RepoError::Io`], and what `edit` returns.
    pub fn change_detached(
        &self,
        commit: &Checksum,
        mut edit: impl FnMut(&mut VarDict) -> Result<()>,
    ) -> Result<DetachedChange> {
        let tmp = self.tmp()?;
        let shared = self.lock(LockKind::Shared)?;
        let name = ObjectName::new(*commit, ObjectType::Commit);
        if !self.has_object(&name)? {
            return Err(missing(&name));
        }
        let observer = self.observer();
        let _serial = FileLock::acquire(tmp, LOCK, self.config().lock_timeout(), observer.as_deref())?;
        let mut lost = VarDict::new();
        let mut outcome = DetachedChange::Needless;
        for attempt in 0..ATTEMPTS {
            let before = self.own_detached(commit)?;
            let old = match &before {
                Some(bytes) => parse(commit, bytes)?,
                None => self.load_detached(commit)?.unwrap_or_default(),
            };
            let mut new = old.clone();
            put_back(&mut new, &lost)?;
            edit(&mut new)?;
            if new == old {
                if attempt == 0 || outcome == DetachedChange::Needless {
                    break;
                }
                shared.release()?;
                return Ok(outcome);
            }
            let displaced = self.write_detached_now(commit, &new)?;
            outcome = DetachedChange::Made;
            if displaced != before {
                lost = added(&old, &parse(commit, displaced.as_deref().unwrap_or_default())?)?;
                continue;
            }
            thread::sleep(PAUSE);
        }
        shared.release()?;
        Ok(outcome)
    }

    fn own_detached(&self, commit: &Checksum) -> Result<Option<Vec<u8>>> {
        self.loose()
            .read_metadata(&ObjectName::new(*commit, ObjectType::CommitMeta))
    }

    /// Puts a file in place at once, and returns the bytes of the one that was there.
    fn write_detached_now(&self, commit: &Checksum, metadata: &VarDict) -> Result<Option<Vec<u8>>> {
        let name = ObjectName::new(*commit, ObjectType::CommitMeta);
        let prefix = prefix_of(commit);
        let tmp = self.tmp()?;
        let write = || -> io::Result<Option<Vec<u8>>> {
            let mut temp = tmp.temp_file(FILE_MODE)?;
            temp.write_all(&metadata.to_bytes())?;
            temp.set_mode(FILE_MODE)?;
            if self.config().fsync() {
                temp.sync()?;
            }
            let directory = self.object_dirs().ensure(prefix)?;
            directory.exchange_with_temp(temp, file_name(&name, self.mode()).as_str(), MAX_METADATA_SIZE)
        };
        let displaced = write().map_err(RepoError::io("write", self.loose().path_of(&name)))?;
        if self.config().fsync() {
            sync_directories(self, &BTreeSet::from([prefix]))?;
        }
        Ok(displaced)
    }
}

fn parse(commit: &Checksum, bytes: &[u8]) -> Result<VarDict> {
    let name = ObjectName::new(*commit, ObjectType::CommitMeta);
    parse_detached(bytes).map_err(RepoError::format(format!("object {name}")))
}

/// Returns what another program added to `old`: keys, and elements of lists of bytes.
fn added(old: &VarDict, other: &VarDict) -> Result<VarDict> {
    let mut added = VarDict::new();
    for (key, value) in other.iter() {
        match old.get(key) {
            Some(there) if there == value => {}
            Some(Value::Array(..)) if is_list(value) => {
                let there = signatures(old, key).map_err(RepoError::format("detached metadata"))?;
                let new: Vec<_> = signatures(other, key)
                    .map_err(RepoError::format("detached metadata"))?
                    .into_iter()
                    .filter(|signature| !there.contains(signature))
                    .collect();
                if !new.is_empty() {
                    set_signatures(&mut added, key, &new);
                }
            }
            _ => drop(added.insert(key, value.clone())),
        }
    }
    Ok(added)
}

/// Adds what was lost, as far as it is not there again.
fn put_back(metadata: &mut VarDict, lost: &VarDict) -> Result<()> {
    for (key, value) in lost.iter() {
        if metadata.get(key).is_some_and(is_list) && is_list(value) {
            for signature in signatures(lost, key).map_err(RepoError::format("detached metadata"))? {
                let there = signatures(metadata, key).map_err(RepoError::format("detached metadata"))?;
                if !there.contains(&signature) {
                    ostler_format::append_signature(metadata, key, signature)
                        .map_err(RepoError::format("detached metadata"))?;
                }
            }
        } else if metadata.get(key) != Some(value) {
            metadata.insert(key, value.clone());
        }
    }
    Ok(())
}

/// Returns whether a value is a list of byte strings, as signatures are.
fn is_list(value: &Value) -> bool {
    matches!(value, Value::Array(element, _) if *element == ostler_format::gvariant::Type::bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(all: &[&[u8]]) -> VarDict {
        let mut dict = VarDict::new();
        set_signatures(&mut dict, "k", all);
        dict
    }

    #[test]
    fn what_another_program_added_is_found_and_put_back_once() {
        let old = list(&[b"old"]);
        let mut other = list(&[b"old", b"theirs"]);
        other.insert("note", Value::Str("x".into()));
        let lost = added(&old, &other).unwrap();
        let mut ours = list(&[b"old", b"ours"]);
        put_back(&mut ours, &lost).unwrap();
        put_back(&mut ours, &lost).unwrap();
        assert_eq!(signatures(&ours, "k"), Ok(vec![&b"old"[..], b"ours", b"theirs"]));
        assert_eq!(ours.get_str("note"), Some("x"));
        assert!(added(&old, &old).unwrap().is_empty());
    }
}
