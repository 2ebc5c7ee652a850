//! `[[sign]]`: signatures that the receiver adds, to commits before their refs move and to summaries.

use super::file::{Source, Words};
use crate::error::Result;
use crate::snapshot::Selection;
use ostler_repo::RepoError;
use ostler_repo::sign::{Engine, Interruption, Signer, read_secret_keys};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;

/// How long clients get between two summaries where the file does not say.
const SETTLE: Duration = Duration::from_secs(2);

/// The longest time that they get: nobody else can publish meanwhile.
const MAX_SETTLE: u64 = 600;

/// One table as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SignEntry {
    refs: Option<Spanned<Words>>,
    #[serde(default)]
    summary: bool,
    gpg: Option<Words>,
    gpg_homedir: Option<Spanned<PathBuf>>,
    ed25519: Option<Spanned<Paths>>,
    spki: Option<Spanned<Paths>>,
    command: Option<Spanned<BTreeMap<String, Words>>>,
    settle: Option<Spanned<String>>,
}

/// A path or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Paths {
    One(PathBuf),
    Many(Vec<PathBuf>),
}

/// Who signs what.
#[derive(Debug, Clone)]
pub(crate) struct SignRule {
    /// Whose commits; of no ref without.
    pub(crate) refs: Option<Selection>,
    /// Whether summaries are signed as well.
    pub(crate) summary: bool,
    /// How long clients get between two summaries.
    pub(crate) settle: Duration,
    gpg: Vec<String>,
    gpg_homedir: Option<PathBuf>,
    files: Vec<(Engine, PathBuf)>,
    commands: Vec<(Engine, Vec<OsString>)>,
}

impl SignRule {
    /// Reads the keys, and returns those who sign.
    ///
    /// # Errors
    /// What is wrong with a file of keys; never shows a key.
    pub(crate) fn signers(&self, interruption: &Interruption) -> Result<Vec<Signer>> {
        let gpg = self.gpg.iter().map(|key_id| Signer::Gpg {
            key_id: key_id.clone(),
            homedir: self.gpg_homedir.clone(),
            interruption: interruption.clone(),
        });
        let mut signers: Vec<_> = gpg.collect();
        for (engine, path) in &self.files {
            let file = File::open(path).map_err(RepoError::io("read keys from", path))?;
            signers.extend(read_secret_keys(*engine, path, file)?);
        }
        signers.extend(self.commands.iter().map(|(engine, command)| Signer::External {
            engine: *engine,
            command: command.clone(),
            interruption: interruption.clone(),
        }));
        Ok(signers)
    }
}

impl SignEntry {
    pub(super) fn read(&self, source: &Source<'_>, place: Range<usize>) -> Result<SignRule> {
        if self.refs.is_none() && !self.summary {
            return Err(source.wrong(place, "refs or summary = true is expected: what is signed"));
        }
        let settle = match &self.settle {
            None => SETTLE,
            Some(text) => match source.span(text)? {
                seconds if seconds <= MAX_SETTLE => Duration::from_secs(seconds),
                _ => return Err(source.wrong(text.span(), "clients get at most ten minutes")),
            },
        };
        let mut files = Vec::new();
        for (engine, paths) in [(Engine::Ed25519, &self.ed25519), (Engine::Spki, &self.spki)] {
            for path in paths.iter().flat_map(|paths| paths.get_ref().list()) {
                if !path.is_absolute() {
                    let span = paths.as_ref().map(Spanned::span).unwrap_or_default();
                    return Err(source.wrong(span, "the absolute path of a file of secret keys is expected"));
                }
                files.push((engine, path.clone()));
            }
        }
        let homedir = self.gpg_homedir.as_ref().map(|path| source.absolute(path));
        let rule = SignRule {
            refs: self
                .refs
                .as_ref()
                .map(|refs| source.selection(refs))
                .transpose()?,
            summary: self.summary,
            settle,
            gpg: self.gpg.as_ref().map(Words::list).unwrap_or_default(),
            gpg_homedir: homedir.transpose()?,
            files,
            commands: self.commands(source)?,
        };
        if rule.gpg.is_empty() && rule.files.is_empty() && rule.commands.is_empty() {
            return Err(source.wrong(place, "gpg, ed25519, spki or command is expected: who signs"));
        }
        Ok(rule)
    }

    /// Returns the programs that sign: tables `command = { ed25519 = ["/path", "argument"] }`.
    fn commands(&self, source: &Source<'_>) -> Result<Vec<(Engine, Vec<OsString>)>> {
        let Some(table) = &self.command else {
            return Ok(Vec::new());
        };
        let command = |(name, words): (&String, &Words)| {
            let engine = match name.parse() {
                Ok(Engine::Dummy) | Err(_) => {
                    return Err(source.wrong(
                        table.span(),
                        "\"gpg\", \"ed25519\" and \"spki\" are kinds of signatures",
                    ));
                }
                Ok(engine) => engine,
            };
            let words: Vec<OsString> = words.list().into_iter().map(OsString::from).collect();
            let is_absolute = words
                .first()
                .is_some_and(|path| PathBuf::from(path).is_absolute());
            if !is_absolute {
                return Err(source.wrong(table.span(), "the absolute path of a program is expected"));
            }
            Ok((engine, words))
        };
        table.get_ref().iter().map(command).collect()
    }
}

impl Paths {
    fn list(&self) -> &[PathBuf] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Many(paths) => paths,
        }
    }
}
