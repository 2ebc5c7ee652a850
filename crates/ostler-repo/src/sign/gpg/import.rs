//! Bringing keys into the keyring of a remote, and listing them.
//!
//! Order: the keys of the keyring and the new ones are merged in a home of the moment; what comes out replaces the keyring in
//! one step, after a look that all keys of before are in it. Keys in it are only ever added to: a revocation arrives, none goes. Two imports at once do it one after the
//! other.

use super::failed;
use super::home::Home;
use super::keyring::Keyring;
use super::keys::{Keys, keyring_name, keyring_of};
use super::secret::export_from_user;
use crate::error::{RepoError, Result};
use crate::lock::FileLock;
use crate::repo::{FILE_MODE, Repo};
use crate::sign::trust::TrustPaths;
use ostler_format::RemoteName;
use ostler_format::signatures::{GpgKey, parse_gpg_listing};
use std::collections::BTreeSet;
use std::path::Path;

/// The lock among those who change keyrings, below `tmp/`.
const LOCK: &str = "ostler-keyring-lock";

/// Where keys to be imported come from.
#[derive(Debug, Clone)]
pub enum GpgSource {
    /// Keys that were read from anywhere.
    Keys(Keys),
    /// The home of the user.
    User,
}

impl Repo {
    /// Imports keys into the keyring of a remote: all, or those that `names` stand for. Returns how many of them were not
    /// in it.
    ///
    /// # Errors
    /// [`RepoError::Gpg`] when there is no key, or none of a name; [`RepoError::NotFound`] without the remote;
    /// [`RepoError::Locked`], [`RepoError::Io`].
    pub fn import_gpg_keys(
        &self,
        remote: &RemoteName,
        source: &GpgSource,
        names: &[String],
        temporary: &Path,
    ) -> Result<u64> {
        let tmp = self.tmp()?;
        let known = std::iter::successors(Some(self), |repo| repo.parent())
            .any(|repo| repo.config().remotes().contains(remote));
        if !known {
            return Err(failed(format!("Remote \"{remote}\" not found")));
        }
        let given = Home::new(temporary)?;
        match source {
            GpgSource::Keys(keys) => drop(keys.import_into(&given)?),
            GpgSource::User => {
                let packets = export_from_user(names)?;
                if !packets.is_empty() {
                    given.import(&packets)?;
                }
            }
        }
        for name in names {
            if parse_gpg_listing(&given.list(std::slice::from_ref(name))?).is_empty() {
                return Err(failed(format!("Unable to find key \"{}\"", name.escape_debug())));
            }
        }
        let packets = given.export(names)?;
        if packets.is_empty() {
            return Err(failed("Unable to export keys: there are none"));
        }
        let observer = self.observer();
        let _serial = FileLock::acquire(tmp, LOCK, self.config().lock_timeout(), observer.as_deref())?;
        let name = keyring_name(remote);
        let merged = Home::new(temporary)?;
        if let Some(there) = keyring_of(self, remote)?.filter(|there| !there.is_empty()) {
            let mut keys = Keys::default();
            if keys.add_if_keys(&there)? {
                keys.import_into(&merged)?;
            }
            if fingerprints(&merged)?.is_empty() {
                return Err(failed(format!(
                    "no public keys in {name}: nothing is added to it"
                )));
            }
        }
        let old = fingerprints(&merged)?;
        let (new, _) = merged.import(&packets)?;
        let keyring = merged.export(&[])?;
        require_all(&old, &keyring, temporary)?;
        self.root()
            .replace_via(tmp, &name, &keyring, FILE_MODE, self.config().fsync())
            .map_err(RepoError::io("write", self.root().path_of(&name)))?;
        Ok(new)
    }

    /// Returns the keys in the keyring of a remote; without one, the global keys.
    ///
    /// # Errors
    /// [`RepoError::NotFound`] without the remote, [`RepoError::Gpg`] when `gpg` cannot be run, [`RepoError::Io`].
    pub fn gpg_keys(&self, remote: Option<&RemoteName>, paths: &TrustPaths) -> Result<Vec<GpgKey>> {
        let mut keys = Keys::default();
        match remote {
            None => keys = Keys::global(paths)?,
            Some(remote) => {
                let known = std::iter::successors(Some(self), |repo| repo.parent())
                    .any(|repo| repo.config().remotes().contains(remote));
                if !known {
                    return Err(RepoError::not_found(format!("Remote \"{remote}\"")));
                }
                if let Some(bytes) = keyring_of(self, remote)? {
                    keys.add(&bytes)?;
                }
            }
        }
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        Ok(Keyring::new(keys, paths).list()?.to_vec())
    }
}

/// Returns the fingerprints of all keys in a home, with those of sub-keys.
fn fingerprints(home: &Home) -> Result<BTreeSet<String>> {
    let keys = parse_gpg_listing(&home.list(&[])?);
    let parts = keys.into_iter().flat_map(|key| key.parts);
    Ok(parts.map(|part| part.fingerprint).collect())
}

/// Refuses a keyring that lacks one of the keys.
fn require_all(old: &BTreeSet<String>, keyring: &[u8], temporary: &Path) -> Result<()> {
    let home = Home::new(temporary)?;
    home.import(keyring)?;
    match old.difference(&fingerprints(&home)?).next() {
        None => Ok(()),
        Some(lost) => Err(failed(format!("key {lost} would be lost from the keyring"))),
    }
}
