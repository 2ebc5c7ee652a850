//! What the commits must be like that refs are moved to: tables `[[require]]`.
//!
//! All tables that apply to a ref hold for it: every one of their signatures must be there, what one forbids is forbidden, and of
//! two limits the smaller one counts. Looked at are the commit that the ref shall name, and of its history what is new to the repository.

use super::file::{Source, Words};
use super::keys::{KeyList, Signatures};
use super::limits::{LimitKeys, Limits};
use super::size::Size;
use crate::error::Result;
use crate::snapshot::Selection;
use serde::Deserialize;
use std::fmt;
use toml::Spanned;

/// How the refs and the collection that a commit is bound to are looked at, strictest last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bindings {
    /// Not at all.
    Any,
    /// Where there are any, they must name the ref, and the repository's collection.
    #[default]
    Match,
    /// There must be some, and they must match.
    Required,
}

/// A kind of files and directories that a commit may not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Of mode `04000`.
    Setuid,
    /// Of mode `02000`.
    Setgid,
    /// Of mode `0002`, and no symbolic link; of directories those without mode `01000`.
    WorldWritable,
    /// With extended attributes.
    Xattrs,
    /// With the extended attribute `security.capability`.
    Capabilities,
}

/// One table.
#[derive(Debug, Clone)]
pub(super) struct Require {
    who: Option<Vec<String>>,
    refs: Selection,
    signatures: Option<Signatures>,
    newer: bool,
    bindings: Option<Bindings>,
    forbid: Vec<Class>,
    limits: Limits,
}

/// What is required for one ref of one pusher.
#[derive(Debug, Clone, Default)]
pub(crate) struct Required<'a> {
    /// Each must be fulfilled.
    pub(crate) signatures: Vec<&'a Signatures>,
    /// Whether the new commit must be newer than the old one.
    pub(crate) newer: bool,
    pub(crate) bindings: Bindings,
    /// Sorted, each once.
    pub(crate) forbid: Vec<Class>,
    pub(crate) limits: Limits,
}

/// The table as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RequireEntry {
    who: Option<Words>,
    refs: Spanned<Words>,
    signatures: Option<Spanned<KeyList>>,
    #[serde(default)]
    newer: bool,
    bindings: Option<Spanned<String>>,
    forbid: Option<Spanned<Words>>,
    max_object: Option<Spanned<Size>>,
    max_commit: Option<Spanned<Size>>,
    max_push: Option<Spanned<Size>>,
    max_entries: Option<u64>,
    max_depth: Option<u64>,
}

impl RequireEntry {
    pub(super) fn read(&self, source: &Source<'_>) -> Result<Require> {
        let bindings = self.bindings.as_ref().map(|word| {
            Bindings::of(word.get_ref())
                .ok_or_else(|| source.wrong(word.span(), "\"match\", \"required\" or \"any\" is expected"))
        });
        let limits = LimitKeys {
            object: self.max_object.as_ref(),
            commit: self.max_commit.as_ref(),
            push: self.max_push.as_ref(),
            entries: self.max_entries,
            depth: self.max_depth,
        };
        let signatures = self
            .signatures
            .as_ref()
            .map(|keys| Signatures::read(source, keys));
        Ok(Require {
            who: self.who.as_ref().map(Words::list),
            refs: source.selection(&self.refs)?,
            signatures: signatures.transpose()?,
            newer: self.newer,
            bindings: bindings.transpose()?,
            forbid: self.classes(source)?,
            limits: limits.read(source)?,
        })
    }

    fn classes(&self, source: &Source<'_>) -> Result<Vec<Class>> {
        let Some(words) = &self.forbid else {
            return Ok(Vec::new());
        };
        let expected = "\"setuid\", \"setgid\", \"world-writable\", \"xattrs\" and \"capabilities\" are what may be forbidden";
        let class = |word: &String| Class::of(word).ok_or_else(|| source.wrong(words.span(), expected));
        words.get_ref().list().iter().map(class).collect()
    }
}

impl Require {
    fn applies(&self, pusher: &str, name: &str) -> bool {
        let is_meant = |names: &Vec<String>| names.iter().any(|meant| meant == pusher);
        self.who.as_ref().is_none_or(is_meant) && self.refs.matches(name)
    }

    /// Returns the signatures that it asks for.
    pub(super) const fn signatures(&self) -> Option<&Signatures> {
        self.signatures.as_ref()
    }
}

impl<'a> Required<'a> {
    /// Gathers what all tables say.
    pub(super) fn of(tables: &'a [Require], pusher: &str, name: &str, default: Bindings) -> Self {
        let mut all = Required::default();
        let mut bindings = None;
        for table in tables.iter().filter(|table| table.applies(pusher, name)) {
            all.signatures.extend(&table.signatures);
            all.newer |= table.newer;
            bindings = bindings.max(table.bindings);
            all.forbid.extend(&table.forbid);
            all.limits = all.limits.and(&table.limits);
        }
        all.bindings = bindings.unwrap_or(default);
        all.forbid.sort_unstable();
        all.forbid.dedup();
        all
    }
}

impl fmt::Display for Required<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bindings {}", self.bindings.word())?;
        for signatures in &self.signatures {
            write!(f, "; signed by {signatures}")?;
        }
        if self.newer {
            f.write_str("; newer than before")?;
        }
        if !self.forbid.is_empty() {
            let words: Vec<_> = self.forbid.iter().map(|class| class.word()).collect();
            write!(f, "; without {}", words.join(", "))?;
        }
        if self.limits != Limits::default() {
            write!(f, "; {}", self.limits)?;
        }
        Ok(())
    }
}

impl Bindings {
    const ALL: [Self; 3] = [Self::Any, Self::Match, Self::Required];

    const fn word(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Match => "match",
            Self::Required => "required",
        }
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bindings| bindings.word() == word)
    }
}

impl Class {
    const ALL: [Self; 5] = [
        Self::Setuid,
        Self::Setgid,
        Self::WorldWritable,
        Self::Xattrs,
        Self::Capabilities,
    ];

    /// Returns the word for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Setuid => "setuid",
            Self::Setgid => "setgid",
            Self::WorldWritable => "world-writable",
            Self::Xattrs => "xattrs",
            Self::Capabilities => "capabilities",
        }
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.word() == word)
    }
}
