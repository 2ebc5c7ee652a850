//! Public keys, ready to check signatures with.
//!
//! The home that `gpg` needs is made at the first signature. Each element of a list of signatures is checked for itself: `gpg`
//! gives up at the first bad one, so that in a row a signature that nobody knows could hide one that is good.

use super::home::Home;
use super::keys::Keys;
use super::signature::GpgSignature;
use super::{LIMIT, run};
use crate::error::{RepoError, Result};
use crate::sign::trust::TrustPaths;
use crate::sign::{Valid, untrusted};
use ostler_format::signatures::{Engine, GpgKey, parse_gpg_listing, parse_gpg_status};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Public keys of OpenPGP. Threads may share it.
#[derive(Debug)]
pub struct Keyring {
    keys: Keys,
    temporary: PathBuf,
    show_time: fn(i64) -> String,
    home: OnceLock<Home>,
    making: Mutex<()>,
    listed: OnceLock<Vec<GpgKey>>,
    signatures: AtomicU64,
}

impl Keyring {
    /// Takes keys.
    pub fn new(keys: Keys, paths: &TrustPaths) -> Self {
        Self {
            keys,
            temporary: paths.temporary.clone(),
            show_time: paths.show_time,
            home: OnceLock::new(),
            making: Mutex::new(()),
            listed: OnceLock::new(),
            signatures: AtomicU64::new(0),
        }
    }

    fn home(&self) -> Result<&Home> {
        if let Some(home) = self.home.get() {
            return Ok(home);
        }
        let _one_at_a_time = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(home) = self.home.get() {
            return Ok(home);
        }
        let home = Home::new(&self.temporary)?;
        self.keys.import_into(&home)?;
        Ok(self.home.get_or_init(|| home))
    }

    /// Returns the keys.
    ///
    /// # Errors
    /// [`RepoError::Gpg`] when `gpg` cannot be run.
    pub fn list(&self) -> Result<&[GpgKey]> {
        if self.listed.get().is_none() {
            let listed = parse_gpg_listing(&self.home()?.list(&[])?);
            return Ok(self.listed.get_or_init(|| listed));
        }
        Ok(self.listed.get().map_or(&[], Vec::as_slice))
    }

    /// Checks an element of a list of signatures, which holds one signature as a rule.
    ///
    /// # Errors
    /// [`RepoError::Gpg`] when `gpg` cannot be run, [`RepoError::Io`].
    pub fn check(&self, data: &[u8], signature: &[u8]) -> Result<Vec<GpgSignature>> {
        let home = self.home()?;
        let number = self.signatures.fetch_add(1, Ordering::Relaxed);
        let path = home.path().join(format!("signature-{number}"));
        fs::write(&path, signature).map_err(RepoError::io("write", &path))?;
        let now = time_of(&path);
        let mut command = home.gpg();
        command
            .args(["--status-fd=1", "--verify", "--"])
            .arg(&path)
            .arg("-");
        let done = run(&mut command, data, LIMIT);
        fs::remove_file(&path).map_err(RepoError::io("remove", &path))?;
        let found = parse_gpg_status(&done?.output);
        if found.is_empty() {
            return Ok(vec![GpgSignature::unreadable()]);
        }
        let keys = self.list()?;
        Ok(found
            .into_iter()
            .map(|status| GpgSignature::of(status, keys, now))
            .collect())
    }

    /// Checks signatures until one is valid.
    ///
    /// # Errors
    /// [`RepoError::Signature`] with what is wrong with each when none is; as [`check`](Self::check).
    pub fn require_valid(&self, data: &[u8], signatures: &[&[u8]]) -> Result<Valid> {
        let mut lines = Vec::new();
        for signature in signatures {
            for found in self.check(data, signature)? {
                let text = found.describe(self.show_time);
                if found.is_valid() {
                    return Ok(Valid {
                        engine: Engine::Gpg,
                        key: found.fingerprint().unwrap_or_default().to_owned(),
                        message: text.join("; "),
                    });
                }
                lines.extend(text);
            }
        }
        Err(untrusted(lines.join("; ")))
    }
}

/// Returns when a file was written, in seconds since the epoch: the present, as far as the file system knows it.
fn time_of(path: &Path) -> i64 {
    fs::metadata(path).map_or(0, |found| found.mtime())
}
