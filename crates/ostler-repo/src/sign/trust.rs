//! Which signatures the commits, the summary and the deltas of a remote must carry, and whether they do.
//!
//! A remote's section of the configuration says: `gpg-verify` (true where it is missing), `gpg-verify-summary`, and
//! `sign-verify`, `sign-verify-summary`: false, true (any engine that has keys), or a list of engines, each of which must
//! have keys. Keys of an engine are `verification-ENGINE-key`, `-keys` (a list) and `-file`; where the remote has none, those of the
//! well-known directories. `gpg` and the other engines stand for themselves: what both are asked for, both must find.

use super::gpg::{Keyring, Keys};
use super::public_keys::{PublicKeys, Valid};
use super::{first_signatures, untrusted};
use crate::config::Config;
use crate::error::{RepoError, Result};
use crate::repo::Repo;
use ostler_format::gvariant::VarDict;
use ostler_format::signatures::Engine;
use ostler_format::{Checksum, FormatError, RemoteName, parse_detached};
use std::path::{Path, PathBuf};

/// Where keys lie that no configuration names, and what else the caller knows of its surroundings.
#[derive(Debug, Clone)]
pub struct TrustPaths {
    /// Directories of keyrings of `gpg` for remotes that have none of their own.
    pub gpg_keyrings: Vec<PathBuf>,
    /// Directories with `trusted.ENGINE` and the like.
    pub key_directories: Vec<PathBuf>,
    /// Where files of the moment go.
    pub temporary: PathBuf,
    /// Whether the engine for tests may be used.
    pub dummy: bool,
    /// Shows a time, in seconds since the epoch, for messages.
    pub show_time: fn(i64) -> String,
}

/// What of the sign interface must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignVerify {
    /// Nothing.
    No,
    /// A signature of any engine.
    Any,
    /// A signature of one of these.
    Of(Vec<Engine>),
}

/// What must be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustSettings {
    /// Commits, by `gpg`.
    pub gpg_verify: bool,
    /// The summary, by `gpg`.
    pub gpg_verify_summary: bool,
    /// Commits.
    pub sign_verify: SignVerify,
    /// The summary.
    pub sign_verify_summary: SignVerify,
}

impl TrustSettings {
    /// Nothing must be signed.
    pub const fn none() -> Self {
        Self {
            gpg_verify: false,
            gpg_verify_summary: false,
            sign_verify: SignVerify::No,
            sign_verify_summary: SignVerify::No,
        }
    }

    /// Returns what the configuration says of a remote.
    ///
    /// # Errors
    /// [`RepoError::Invalid`] and [`RepoError::Format`] for settings without meaning.
    pub fn of_remote(repo: &Repo, remote: &RemoteName) -> Result<Self> {
        let section = Section { repo, remote };
        Ok(Self {
            gpg_verify: section.flag("gpg-verify", true)?,
            gpg_verify_summary: section.flag("gpg-verify-summary", false)?,
            sign_verify: section.engines("sign-verify")?,
            sign_verify_summary: section.engines("sign-verify-summary")?,
        })
    }
}

/// What a remote is trusted with.
#[derive(Debug)]
pub struct Trust {
    gpg_commit: bool,
    gpg_summary: bool,
    gpg: Option<Keyring>,
    commit: Option<Vec<PublicKeys>>,
    summary: Option<Vec<PublicKeys>>,
    delta: Option<Vec<PublicKeys>>,
}

impl Trust {
    /// Asks for no signature.
    pub const fn none() -> Self {
        Self {
            gpg_commit: false,
            gpg_summary: false,
            gpg: None,
            commit: None,
            summary: None,
            delta: None,
        }
    }

    /// Asks for what the configuration says of a remote.
    ///
    /// # Errors
    /// [`RepoError::Invalid`] for settings without meaning, [`RepoError::Signature`] for an engine without keys,
    /// [`RepoError::Io`] for keys that cannot be read.
    pub fn of_remote(repo: &Repo, remote: &RemoteName, paths: &TrustPaths) -> Result<Self> {
        let settings = TrustSettings::of_remote(repo, remote)?;
        Self::with_settings(repo, Some(remote), &settings, paths)
    }

    /// Asks for what `settings` say, with the keys of a remote, or those for remotes without keys.
    ///
    /// # Errors
    /// As [`of_remote`](Self::of_remote).
    pub fn with_settings(
        repo: &Repo,
        remote: Option<&RemoteName>,
        settings: &TrustSettings,
        paths: &TrustPaths,
    ) -> Result<Self> {
        let gpg = if settings.gpg_verify || settings.gpg_verify_summary {
            Some(Keyring::new(Keys::of_remote(repo, remote, paths)?, paths))
        } else {
            None
        };
        let keys = |wanted: &SignVerify| verifiers(repo, remote, wanted, paths);
        Ok(Self {
            gpg_commit: settings.gpg_verify,
            gpg_summary: settings.gpg_verify_summary,
            gpg,
            commit: keys(&settings.sign_verify)?,
            summary: keys(&settings.sign_verify_summary)?,
            delta: None,
        })
    }

    /// Asks commits, summaries and deltas for a signature that fits one of these keys.
    pub fn of_keys(keys: Vec<PublicKeys>) -> Self {
        Self {
            commit: Some(keys.clone()),
            summary: Some(keys.clone()),
            delta: Some(keys),
            ..Self::none()
        }
    }

    /// Returns whether commits must be signed.
    pub const fn commit_required(&self) -> bool {
        self.gpg_commit || self.commit.is_some()
    }

    /// Returns whether the summary must be signed.
    pub const fn summary_required(&self) -> bool {
        self.gpg_summary || self.summary.is_some()
    }

    /// Returns whether deltas must be signed.
    pub const fn delta_required(&self) -> bool {
        self.delta.is_some()
    }

    /// Checks the signatures of a commit; returns those that are valid, one of each kind that was asked for.
    ///
    /// # Errors
    /// [`RepoError::Signature`]; [`RepoError::Signing`] when `gpg` cannot be run.
    pub fn check_commit(
        &self,
        commit: &Checksum,
        bytes: &[u8],
        detached: Option<&VarDict>,
    ) -> Result<Vec<Valid>> {
        let mut valid = Vec::new();
        let none = VarDict::new();
        if let Some(keyring) = self.gpg.as_ref().filter(|_| self.gpg_commit) {
            let signatures = first_signatures(detached.unwrap_or(&none), Engine::Gpg)?;
            if signatures.is_empty() {
                return Err(untrusted(format!(
                    "Commit {commit}: GPG verification enabled, but no signatures found (use gpg-verify=false in remote \
                     config to disable)"
                )));
            }
            let checked = keyring.require_valid(bytes, &signatures);
            valid.push(checked.map_err(prefixed(&format!("Commit {commit}")))?);
        }
        if let Some(verifiers) = &self.commit {
            let detached =
                detached.ok_or_else(|| untrusted("Can't verify commit without detached metadata"))?;
            let checked = check_any(verifiers, bytes, detached);
            valid.push(checked.map_err(prefixed("Can't verify commit"))?);
        }
        Ok(valid)
    }

    /// Checks the signatures of a summary.
    ///
    /// # Errors
    /// As [`check_commit`](Self::check_commit); also for a file of signatures that cannot be read.
    pub fn check_summary(&self, bytes: &[u8], signature_file: Option<&[u8]>) -> Result<Vec<Valid>> {
        let mut valid = Vec::new();
        if !self.summary_required() {
            return Ok(valid);
        }
        let Some(file) = signature_file else {
            return Err(untrusted(if self.gpg_summary {
                "GPG verification enabled, but no summary.sig found (use gpg-verify-summary=false in remote config to \
                 disable)"
            } else {
                "Signatures verification enabled, but no summary.sig found (use sign-verify-summary=false in remote config \
                 to disable)"
            }));
        };
        let dict = parse_detached(file).map_err(|error| {
            untrusted(format!(
                "{} in summary.sig, which cannot be read: {error}",
                if self.gpg_summary {
                    "GPG verification enabled, but no signatures found"
                } else {
                    "Can't verify summary: No signatures found"
                }
            ))
        })?;
        if let Some(keyring) = self.gpg.as_ref().filter(|_| self.gpg_summary) {
            let signatures = first_signatures(&dict, Engine::Gpg)?;
            if signatures.is_empty() {
                return Err(untrusted(
                    "GPG verification enabled, but no summary signatures found (use gpg-verify-summary=false in remote \
                     config to disable)",
                ));
            }
            valid.push(keyring.require_valid(bytes, &signatures)?);
        }
        if let Some(verifiers) = &self.summary {
            valid.push(check_any(verifiers, bytes, &dict).map_err(prefixed("Can't verify summary"))?);
        }
        Ok(valid)
    }

    /// Returns the error for a summary that must be signed and is not there at all; `None` where it need not be.
    pub fn missing_summary(&self) -> Option<RepoError> {
        if self.gpg_summary {
            Some(untrusted(
                "GPG verification enabled, but no summary found (check that the configured URL in remote config is correct)",
            ))
        } else if self.summary.is_some() {
            Some(untrusted(
                "Signature verification enabled, but no summary found (check that the configured URL in remote config is \
                 correct)",
            ))
        } else {
            None
        }
    }

    /// Checks the signatures that the wrapper of a delta's superblock carries.
    ///
    /// # Errors
    /// [`RepoError::Signature`].
    pub fn check_delta(&self, superblock: &[u8], signatures: Option<&VarDict>) -> Result<Vec<Valid>> {
        let Some(verifiers) = &self.delta else {
            return Ok(Vec::new());
        };
        let signatures = signatures.ok_or_else(|| untrusted("no signatures in static-delta"))?;
        Ok(vec![check_any(verifiers, superblock, signatures)?])
    }
}

/// Checks the signatures of each engine until one is valid.
fn check_any(verifiers: &[PublicKeys], bytes: &[u8], signatures: &VarDict) -> Result<Valid> {
    let mut failed: Vec<RepoError> = Vec::new();
    for keys in verifiers {
        let own = first_signatures(signatures, keys.engine())?;
        if own.is_empty() {
            continue;
        }
        match keys.check(bytes, &own) {
            Ok(valid) => return Ok(valid),
            Err(error) => failed.push(error),
        }
    }
    let others = failed.len().saturating_sub(1);
    let Some(last) = failed.pop() else {
        return Err(untrusted("No signatures found"));
    };
    if others == 0 {
        Err(last)
    } else {
        Err(untrusted(format!("({others} other invalid signatures): {last}")))
    }
}

/// Returns a function that says of what a signature is.
fn prefixed(what: &str) -> impl FnOnce(RepoError) -> RepoError {
    move |error| match error {
        RepoError::Signature { detail } => untrusted(format!("{what}: {detail}")),
        other => other,
    }
}

/// Gathers the keys of the engines that are wanted; `None` where nothing is.
fn verifiers(
    repo: &Repo,
    remote: Option<&RemoteName>,
    wanted: &SignVerify,
    paths: &TrustPaths,
) -> Result<Option<Vec<PublicKeys>>> {
    let (engines, required) = match wanted {
        SignVerify::No => return Ok(None),
        SignVerify::Any => (Engine::OF_SIGN_INTERFACE.to_vec(), false),
        SignVerify::Of(engines) => (engines.clone(), true),
    };
    let mut verifiers = Vec::new();
    for engine in engines {
        if engine == Engine::Dummy && !paths.dummy {
            if required {
                return Err(untrusted("dummy signature type is only for ostree testing"));
            }
            continue;
        }
        let keys = keys_of(repo, remote, engine, paths)?;
        if !keys.is_empty() {
            verifiers.push(keys);
        } else if required {
            return Err(untrusted(format!(
                "No keys found for required signapi type {engine}"
            )));
        }
    }
    if verifiers.is_empty() {
        return Err(untrusted("No keys found for any signature type"));
    }
    Ok(Some(verifiers))
}

/// Returns the keys of an engine: those of the remote, or else those of the well-known directories.
fn keys_of(
    repo: &Repo,
    remote: Option<&RemoteName>,
    engine: Engine,
    paths: &TrustPaths,
) -> Result<PublicKeys> {
    let mut keys = PublicKeys::new(engine);
    let mut configured = false;
    if let Some(remote) = remote {
        let section = Section { repo, remote };
        if let Some(file) = section.text(&format!("verification-{engine}-file"))? {
            keys.add_file(Path::new(&file))?;
            configured = true;
        }
        if let Some(key) = section.text(&format!("verification-{engine}-key"))? {
            keys.add(&key)?;
            configured = true;
        }
        for key in section
            .list(&format!("verification-{engine}-keys"))?
            .unwrap_or_default()
        {
            keys.add(&key)?;
            configured = true;
        }
    }
    for directory in &paths.key_directories {
        if configured {
            keys.add_revoked(directory)?;
        } else {
            keys.add_directory(directory)?;
        }
    }
    Ok(keys)
}

/// The settings of a remote: the repository's own, else those of the nearest parent that has any.
pub(super) struct Section<'a> {
    pub(super) repo: &'a Repo,
    pub(super) remote: &'a RemoteName,
}

impl Section<'_> {
    fn config(&self) -> &Config {
        let has = |repo: &&Repo| repo.config().remotes().contains(self.remote);
        std::iter::successors(Some(self.repo), |repo| repo.parent())
            .find(has)
            .unwrap_or(self.repo)
            .config()
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>> {
        self.config().remote_option(self.remote, key)
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.text(key)?.as_deref().map(str::trim) {
            None => Ok(default),
            Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(_) => Err(self.invalid(key, "true or false expected")),
        }
    }

    /// Reads a list whose elements end with `;` or `,`, never both.
    pub(super) fn list(&self, key: &str) -> Result<Option<Vec<String>>> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        if text.contains(';') && text.contains(',') {
            return Err(self.invalid(key, "key value list contains more than one separator"));
        }
        let mut elements: Vec<_> = text.split([';', ',']).map(str::to_owned).collect();
        if elements.last().is_some_and(String::is_empty) {
            elements.pop();
        }
        Ok(Some(elements))
    }

    fn engines(&self, key: &str) -> Result<SignVerify> {
        match self.text(key)?.as_deref().map(str::trim) {
            None | Some("" | "false" | "0") => return Ok(SignVerify::No),
            Some("true" | "1") => return Ok(SignVerify::Any),
            Some(_) => {}
        }
        let named = |name: &String| match name.trim().parse() {
            Ok(Engine::Gpg) | Err(FormatError::Invalid { .. }) => Err(untrusted(format!(
                "Requested signature type is not implemented: '{}'",
                name.escape_debug()
            ))),
            Ok(engine) => Ok(engine),
            Err(error) => Err(RepoError::format("config")(error)),
        };
        let engines = self.list(key)?.unwrap_or_default();
        Ok(SignVerify::Of(engines.iter().map(named).collect::<Result<_>>()?))
    }

    fn invalid(&self, key: &str, detail: &str) -> RepoError {
        RepoError::invalid(format!("{key} of remote {} in config", self.remote), detail)
    }
}
