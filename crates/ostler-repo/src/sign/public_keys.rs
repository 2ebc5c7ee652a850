//! Public keys of one engine of libostree's sign interface, and whether a signature fits one of them.
//!
//! Directories of keys hold `trusted.ENGINE` and `revoked.ENGINE`, and directories `trusted.ENGINE.d` and
//! `revoked.ENGINE.d` of such files. A key that is both trusted and revoked is revoked, wherever it was found.

use super::key_files::read_public_keys;
use super::{spki, untrusted};
use crate::error::{RepoError, Result};
use ostler_format::signatures::{
    ED25519_SIGNATURE, Ed25519PublicKey, Engine, SubjectPublicKeyInfo, decode_base64, pem_blocks,
};
use ring::signature::{ED25519, UnparsedPublicKey};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How many keys an error names; of more it tells the number.
const NAMED_KEYS: usize = 3;

/// A signature that fits a key that is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Valid {
    /// What kind of signature it is.
    pub engine: Engine,
    /// The key: its fingerprint for `gpg`, hexadecimal for the others.
    pub key: String,
    /// A sentence for people, in the words of libostree.
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Ed25519(Ed25519PublicKey),
    Spki(SubjectPublicKeyInfo),
    Dummy(Vec<u8>),
}

impl Key {
    fn fits(&self, data: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key.as_bytes())
                .verify(data, signature)
                .is_ok(),
            Self::Spki(key) => spki::fits(key, data, signature),
            Self::Dummy(key) => key == signature,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ed25519(key) => fmt::Display::fmt(key, f),
            Self::Spki(key) => key.der().iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Self::Dummy(key) => f.write_str(&String::from_utf8_lossy(key)),
        }
    }
}

/// The keys of an engine.
#[derive(Debug, Clone)]
pub struct PublicKeys {
    engine: Engine,
    trusted: Vec<Key>,
    revoked: Vec<Key>,
}

impl PublicKeys {
    /// Starts without a key.
    pub const fn new(engine: Engine) -> Self {
        Self {
            engine,
            trusted: Vec::new(),
            revoked: Vec::new(),
        }
    }

    /// Returns the engine.
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// Returns whether no key is trusted.
    pub fn is_empty(&self) -> bool {
        self.trusted.iter().all(|key| self.revoked.contains(key))
    }

    /// Trusts a key: base64, or for spki also PEM or DER.
    ///
    /// # Errors
    /// [`RepoError::Format`] for what is no such key.
    pub fn add(&mut self, text: impl AsRef<[u8]>) -> Result<()> {
        let key = self.parse(text.as_ref())?;
        if !self.trusted.contains(&key) {
            self.trusted.push(key);
        }
        Ok(())
    }

    /// Trusts the keys of a file. Returns how many it holds.
    ///
    /// # Errors
    /// [`RepoError::Io`], [`RepoError::Format`].
    pub fn add_file(&mut self, path: &Path) -> Result<usize> {
        let keys = read_public_keys(self.engine, path)?;
        keys.iter().try_for_each(|key| self.add(key))?;
        Ok(keys.len())
    }

    /// Trusts and revokes the keys of a directory. What is not there is as good as empty.
    ///
    /// # Errors
    /// As [`add_file`](Self::add_file).
    pub fn add_directory(&mut self, directory: &Path) -> Result<()> {
        for path in files_of(directory, "trusted", self.engine)? {
            self.add_file(&path)?;
        }
        self.add_revoked(directory)
    }

    /// Revokes the keys that a directory revokes.
    ///
    /// # Errors
    /// As [`add_file`](Self::add_file).
    pub fn add_revoked(&mut self, directory: &Path) -> Result<()> {
        for path in files_of(directory, "revoked", self.engine)? {
            for text in read_public_keys(self.engine, &path)? {
                let key = self.parse(&text)?;
                self.revoked.push(key);
            }
        }
        Ok(())
    }

    fn parse(&self, text: &[u8]) -> Result<Key> {
        let failed = || RepoError::format(format!("public key of {}", self.engine));
        Ok(match self.engine {
            Engine::Ed25519 => {
                let bytes = decode_base64(text).map_err(failed())?;
                Key::Ed25519(Ed25519PublicKey::from_bytes(&bytes).map_err(failed())?)
            }
            Engine::Spki => {
                let der = if text.starts_with(b"-----") {
                    let blocks = pem_blocks(text).map_err(failed())?;
                    blocks
                        .into_iter()
                        .next()
                        .map_or_else(Vec::new, |block| block.bytes)
                } else if text.first() == Some(&0x30) {
                    text.to_vec()
                } else {
                    decode_base64(text).map_err(failed())?
                };
                Key::Spki(SubjectPublicKeyInfo::from_der(&der).map_err(failed())?)
            }
            Engine::Dummy => Key::Dummy(text.to_vec()),
            Engine::Gpg => return Err(RepoError::invalid("public key", "keys of gpg lie in keyrings")),
        })
    }

    /// Checks signatures until one fits a key.
    ///
    /// # Errors
    /// [`RepoError::Signature`] when none fits, when there is none or no key, and for a signature of ed25519 of another
    /// length than they have, as with libostree.
    pub fn check(&self, data: &[u8], signatures: &[&[u8]]) -> Result<Valid> {
        let engine = self.engine;
        let mut tried = Vec::new();
        for signature in signatures {
            if engine == Engine::Ed25519 && signature.len() != ED25519_SIGNATURE {
                return Err(untrusted(format!(
                    "{engine}: Invalid signature length of {} bytes, expected {ED25519_SIGNATURE}",
                    signature.len()
                )));
            }
            for key in self.trusted.iter().filter(|key| !self.revoked.contains(key)) {
                if key.fits(data, signature) {
                    return Ok(self.valid(key));
                }
                if !tried.contains(&key) {
                    tried.push(key);
                }
            }
        }
        Err(untrusted(match tried.len() {
            _ if engine == Engine::Dummy && !signatures.is_empty() => {
                format!(
                    "signature: {engine}: incorrect signatures found: {}",
                    signatures.len()
                )
            }
            0 if signatures.is_empty() => format!("{engine}: commit have no signatures of my type"),
            0 => format!("{engine}: no public keys to check signatures with"),
            count if count > NAMED_KEYS => {
                format!("{engine}: Signature couldn't be verified; tried {count} keys")
            }
            _ => {
                let keys: Vec<_> = tried.iter().map(|key| format!("key '{key}'")).collect();
                format!(
                    "{engine}: Signature couldn't be verified with: {}",
                    keys.join(" ")
                )
            }
        }))
    }

    fn valid(&self, key: &Key) -> Valid {
        let engine = self.engine;
        Valid {
            engine,
            key: key.to_string(),
            message: match key {
                Key::Dummy(_) => format!("{engine}: Signature verified"),
                _ => format!("{engine}: Signature verified successfully with key '{key}'"),
            },
        }
    }
}

/// Returns the files `WHAT.ENGINE` and `WHAT.ENGINE.d/*` of a directory, as far as they are there, in order.
fn files_of(directory: &Path, what: &str, engine: Engine) -> Result<Vec<PathBuf>> {
    let single = directory.join(format!("{what}.{engine}"));
    let several = directory.join(format!("{what}.{engine}.d"));
    let mut files: Vec<PathBuf> = single.is_file().then_some(single).into_iter().collect();
    let entries = match fs::read_dir(&several) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        Err(error) => return Err(RepoError::io("list keys in", several)(error)),
    };
    let mut below = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(RepoError::io("list keys in", several))?;
    below.retain(|path| path.is_file());
    below.sort_unstable();
    files.append(&mut below);
    Ok(files)
}
