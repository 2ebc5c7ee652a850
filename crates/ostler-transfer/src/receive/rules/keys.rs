//! Whose signatures are required: `signatures = {gpg = [...], ed25519 = [...], spki = [...], all = true}`.
//!
//! An entry is the absolute path of a file of keys, and for ed25519 and spki also a key itself. A signature of any of the keys will do; with
//! `all` there must be one of each type that is named. Files are read for each push, so that a key that was taken away counts no more.

use super::file::{Source, Words};
use crate::error::{Result, TransferError};
use ostler_format::gvariant::VarDict;
use ostler_repo::RepoError;
use ostler_repo::sign::gpg::{Keyring, Keys};
use ostler_repo::sign::{Engine, MAX_SIGNATURES, PublicKeys, TrustPaths};
use serde::Deserialize;
use std::fmt;
use std::path::Path;
use toml::Spanned;

/// The keys as they are written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyList {
    gpg: Option<Spanned<Words>>,
    ed25519: Option<Spanned<Words>>,
    spki: Option<Spanned<Words>>,
    #[serde(default)]
    all: bool,
}

/// Keys of one type.
#[derive(Debug, Clone)]
struct Named {
    engine: Engine,
    entries: Vec<String>,
    line: usize,
}

/// Signatures that are required.
#[derive(Debug, Clone)]
pub(crate) struct Signatures {
    file: String,
    keys: Vec<Named>,
    all: bool,
}

/// Keys that were read.
#[derive(Debug)]
enum Loaded {
    Gpg(Box<Keyring>),
    Other(PublicKeys),
}

/// Signatures that are required, with the keys read.
#[derive(Debug)]
pub(crate) struct Verifier {
    keys: Vec<Loaded>,
    all: bool,
}

impl Signatures {
    pub(super) fn read(source: &Source<'_>, list: &Spanned<KeyList>) -> Result<Self> {
        let written = list.get_ref();
        let mut keys = Vec::new();
        for (engine, words) in [
            (Engine::Gpg, &written.gpg),
            (Engine::Ed25519, &written.ed25519),
            (Engine::Spki, &written.spki),
        ] {
            let Some(words) = words else { continue };
            let entries = words.get_ref().list();
            for entry in &entries {
                let is_key = engine != Engine::Gpg && PublicKeys::new(engine).add(entry).is_ok();
                if !is_key && !Path::new(entry).is_absolute() {
                    return Err(source.wrong(words.span(), "an absolute path or a key is expected"));
                }
            }
            if entries.is_empty() {
                return Err(source.wrong(words.span(), "a key is expected"));
            }
            let line = source.line(words.span());
            keys.push(Named {
                engine,
                entries,
                line,
            });
        }
        if keys.is_empty() {
            return Err(source.wrong(list.span(), "keys of gpg, ed25519 or spki are expected"));
        }
        Ok(Self {
            file: source.file.to_owned(),
            keys,
            all: written.all,
        })
    }

    /// Reads the keys.
    ///
    /// # Errors
    /// [`TransferError::Policy`] with the line for keys that cannot be read, or that are none.
    pub(crate) fn load(&self, paths: &TrustPaths) -> Result<Verifier> {
        let load = |named: &Named| {
            named.load(paths).map_err(|error| TransferError::Policy {
                file: self.file.clone(),
                line: named.line,
                detail: TransferError::Repo(error).chain(),
            })
        };
        Ok(Verifier {
            keys: self.keys.iter().map(load).collect::<Result<_>>()?,
            all: self.all,
        })
    }
}

impl fmt::Display for Signatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let between = if self.all { " and " } else { " or " };
        let keys = self
            .keys
            .iter()
            .map(|named| format!("{} ({})", named.engine, named.entries.join(", ")));
        f.write_str(&keys.collect::<Vec<_>>().join(between))
    }
}

impl Named {
    fn load(&self, paths: &TrustPaths) -> Result<Loaded, RepoError> {
        if self.engine == Engine::Gpg {
            let mut keys = Keys::default();
            for entry in &self.entries {
                keys.add_path(Path::new(entry))?;
            }
            return Ok(Loaded::Gpg(Box::new(Keyring::new(keys, paths))));
        }
        let mut keys = PublicKeys::new(self.engine);
        for entry in &self.entries {
            // A key may begin with the sign that begins a path.
            if keys.add(entry).is_err() && keys.add_file(Path::new(entry))? == 0 {
                let detail = format!("no public keys of {} in {entry}", self.engine);
                return Err(RepoError::Signature { detail });
            }
        }
        Ok(Loaded::Other(keys))
    }
}

impl Verifier {
    /// Checks the signatures of a commit. Says why they do not do, or nothing.
    ///
    /// # Errors
    /// What keeps us from looking at them.
    pub(crate) fn problem(&self, commit: &[u8], detached: &VarDict) -> Result<Option<String>> {
        let mut problems = Vec::new();
        for keys in &self.keys {
            match keys.check(commit, detached) {
                Ok(()) if !self.all => return Ok(None),
                Ok(()) => {}
                Err(RepoError::Signature { detail }) => problems.push(detail),
                Err(error @ RepoError::Format { .. }) => problems.push(TransferError::Repo(error).chain()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok((!problems.is_empty()).then(|| problems.join("; ")))
    }
}

impl Loaded {
    fn check(&self, commit: &[u8], detached: &VarDict) -> Result<(), RepoError> {
        let engine = match self {
            Self::Gpg(_) => Engine::Gpg,
            Self::Other(keys) => keys.engine(),
        };
        let mut signatures = ostler_format::signatures(detached, engine.key())
            .map_err(RepoError::format("detached metadata"))?;
        signatures.truncate(MAX_SIGNATURES);
        if signatures.is_empty() {
            let detail = format!("no signature of {engine}");
            return Err(RepoError::Signature { detail });
        }
        let valid = match self {
            Self::Gpg(keyring) => keyring.require_valid(commit, &signatures),
            Self::Other(keys) => keys.check(commit, &signatures),
        };
        valid.map(drop)
    }
}
