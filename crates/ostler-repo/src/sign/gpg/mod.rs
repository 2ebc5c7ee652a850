//! OpenPGP, by `gpg`.

use super::Valid;
use super::trust::{Section, TrustPaths};
use crate::error::{RepoError, Result};
use crate::repo::Repo;
use ostler_format::RemoteName;
use std::path::Path;

/// Where public keys come from.
#[derive(Debug)]
pub struct Keys {}

impl Keys {
    /// Gathers the keys of a remote.
    pub(super) fn of_remote(repo: &Repo, remote: Option<&RemoteName>, _paths: &TrustPaths) -> Result<Self> {
        if let Some(remote) = remote {
            let _paths = Section { repo, remote }.list("gpgkeypath")?;
        }
        Ok(Self {})
    }
}

/// Public keys, ready to check signatures with.
#[derive(Debug)]
pub struct Keyring {}

impl Keyring {
    /// Takes keys.
    pub(super) fn new(_keys: Keys, _paths: &TrustPaths) -> Self {
        Self {}
    }

    /// Checks signatures until one is valid.
    pub(super) fn require_valid(&self, _data: &[u8], _signatures: &[&[u8]]) -> Result<Valid> {
        let Self {} = self;
        Err(RepoError::Unsupported {
            what: "checking signatures of gpg".to_owned(),
        })
    }
}

/// Signs bytes.
pub(super) fn sign(key_id: &str, _homedir: Option<&Path>, _data: &[u8]) -> Result<Vec<u8>> {
    Err(RepoError::Signing {
        with: format!("key {key_id} of gpg"),
        detail: "gpg is not called yet".to_owned(),
    })
}
