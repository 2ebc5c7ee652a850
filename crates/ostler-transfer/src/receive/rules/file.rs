//! The form of a file of rules, and where in it something is wrong.

use super::hooks::HooksTable;
use super::require::RequireEntry;
use super::room::RoomTable;
use super::sign::SignEntry;
use super::{Allow, Rights};
use crate::error::{Result, TransferError};
use crate::retention::{line_at, parse_span};
use crate::snapshot::Selection;
use serde::Deserialize;
use std::ops::Range;
use std::path::PathBuf;
use toml::Spanned;

/// The bytes of a file, for messages that say in which line something is wrong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) file: &'a str,
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) root: Option<Spanned<PathBuf>>,
    pub(super) summary: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) allow: Vec<AllowEntry>,
    pub(super) hooks: Option<HooksTable>,
    #[serde(default)]
    pub(super) sign: Vec<Spanned<SignEntry>>,
    pub(super) audit: Option<Spanned<PathBuf>>,
    pub(super) sweep: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) require: Vec<RequireEntry>,
    #[serde(default)]
    pub(super) quarantine: RoomTable,
}

/// One table `[[allow]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AllowEntry {
    who: Option<Words>,
    refs: Spanned<Words>,
    may: Spanned<Words>,
}

/// A word or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Words {
    One(String),
    Many(Vec<String>),
}

impl Words {
    pub(super) fn list(&self) -> Vec<String> {
        match self {
            Self::One(word) => vec![word.clone()],
            Self::Many(words) => words.clone(),
        }
    }
}

impl Source<'_> {
    /// Reads the form of the file.
    pub(super) fn read(&self) -> Result<File> {
        let text = std::str::from_utf8(self.bytes)
            .map_err(|fault| self.wrong_at(fault.valid_up_to(), "is not UTF-8"))?;
        toml::from_str(text)
            .map_err(|error| self.wrong_at(error.span().unwrap_or_default().start, error.message()))
    }

    /// Returns the error for what is wrong somewhere.
    pub(super) fn wrong(&self, span: Range<usize>, detail: &str) -> TransferError {
        self.wrong_at(span.start, detail)
    }

    /// Returns the number of the line in which something stands.
    pub(super) fn line(&self, span: Range<usize>) -> usize {
        line_at(self.bytes, span.start)
    }

    fn wrong_at(&self, at: usize, detail: &str) -> TransferError {
        TransferError::Policy {
            file: self.file.to_owned(),
            line: line_at(self.bytes, at),
            detail: detail.trim_end().replace('\n', "; "),
        }
    }

    /// Returns an absolute path.
    pub(super) fn absolute(&self, path: &Spanned<PathBuf>) -> Result<PathBuf> {
        if path.get_ref().is_absolute() {
            Ok(path.get_ref().clone())
        } else {
            Err(self.wrong(path.span(), "an absolute path is expected"))
        }
    }

    /// Returns a time in seconds.
    pub(super) fn span(&self, text: &Spanned<String>) -> Result<u64> {
        let expected = "a time is expected: numbers with w, d, h, m or s, or 0";
        parse_span(text.get_ref()).ok_or_else(|| self.wrong(text.span(), expected))
    }

    /// Returns the refs that patterns mean.
    pub(super) fn selection(&self, patterns: &Spanned<Words>) -> Result<Selection> {
        let list = patterns.get_ref().list();
        if list.is_empty() {
            return Err(self.wrong(patterns.span(), "a rule needs a pattern of refs"));
        }
        Selection::new(&list).map_err(|_bad| self.wrong(patterns.span(), "this is no pattern of refs"))
    }
}

impl AllowEntry {
    pub(super) fn read(&self, source: &Source<'_>) -> Result<Allow> {
        let words = self.may.get_ref().list();
        let rights = words
            .iter()
            .try_fold(Rights::default(), |rights, word| rights.with(word));
        let expected = "\"create\", \"fast-forward\", \"force\" and \"delete\" are what may be allowed";
        Ok(Allow {
            who: self.who.as_ref().map(Words::list),
            refs: source.selection(&self.refs)?,
            rights: rights.ok_or_else(|| source.wrong(self.may.span(), expected))?,
        })
    }
}
