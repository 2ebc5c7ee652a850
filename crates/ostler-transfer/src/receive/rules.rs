//! Who may do what to which refs, as the owner of the repositories writes it (`receive.toml`).
//!
//! ```toml
//! root = "/srv/repos"                # repositories lie below it, and no path leads out
//! summary = "auto"                   # or "generate", or "none": what becomes of summaries
//!
//! [[allow]]
//! who = ["ci-x86", "release"]        # or one name; without: everybody
//! refs = "os/x86_64/**"              # or several patterns
//! may = ["create", "fast-forward"]   # also "force" and "delete"
//! ```
//! What no rule allows is refused; what one rule allows no other takes away. Unknown keys, patterns that are none and words that
//! are none are errors with the number of their line.

use crate::error::{Result, TransferError};
use crate::policy::SummaryPolicy;
use crate::retention::line_at;
use crate::snapshot::Selection;
use serde::Deserialize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// What may be done to a ref; nothing by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a right of its own")]
pub struct Rights {
    /// Make it.
    pub create: bool,
    /// Move it to a descendant of what it names.
    pub fast_forward: bool,
    /// Move it anywhere.
    pub force: bool,
    /// Remove it.
    pub delete: bool,
}

/// Rules of a receiver.
#[derive(Debug, Clone, Default)]
pub struct ReceiveRules {
    root: Option<PathBuf>,
    summary: SummaryPolicy,
    allow: Vec<Allow>,
}

#[derive(Debug, Clone)]
struct Allow {
    /// `None` is everybody.
    who: Option<Vec<String>>,
    refs: Selection,
    rights: Rights,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    root: Option<Spanned<PathBuf>>,
    summary: Option<Spanned<String>>,
    #[serde(default)]
    allow: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    who: Option<Words>,
    refs: Spanned<Words>,
    may: Spanned<Words>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Many(Vec<String>),
}

impl Words {
    fn list(&self) -> Vec<String> {
        match self {
            Self::One(word) => vec![word.clone()],
            Self::Many(words) => words.clone(),
        }
    }
}

impl Rights {
    /// Adds a right by the word for it; `None` for a word that is none.
    pub fn with(mut self, word: &str) -> Option<Self> {
        match word {
            "create" => self.create = true,
            "fast-forward" => self.fast_forward = true,
            "force" => self.force = true,
            "delete" => self.delete = true,
            _ => return None,
        }
        Some(self)
    }

    const fn and(self, other: Self) -> Self {
        Self {
            create: self.create || other.create,
            fast_forward: self.fast_forward || other.fast_forward,
            force: self.force || other.force,
            delete: self.delete || other.delete,
        }
    }
}

impl ReceiveRules {
    /// The largest file of rules, in bytes.
    pub const LIMIT: u64 = 1 << 20;

    /// Returns rules that give everybody the same rights to all refs.
    pub fn everywhere(rights: Rights) -> Self {
        let allow = Allow {
            who: None,
            refs: Selection::default(),
            rights,
        };
        Self {
            allow: vec![allow],
            ..Self::default()
        }
    }

    /// Reads the bytes of a file of rules, which messages call `file`.
    ///
    /// # Errors
    /// [`TransferError::Policy`] with the line of what is wrong.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self> {
        let wrong = |at: usize, detail: &str| TransferError::Policy {
            file: file.to_owned(),
            line: line_at(bytes, at),
            detail: detail.trim_end().replace('\n', "; "),
        };
        let text = std::str::from_utf8(bytes).map_err(|fault| wrong(fault.valid_up_to(), "is not UTF-8"))?;
        let parsed: File = toml::from_str(text)
            .map_err(|error| wrong(error.span().unwrap_or_default().start, error.message()))?;
        let wrong = |at: Range<usize>, detail: &str| wrong(at.start, detail);
        let root = match &parsed.root {
            Some(root) if !root.get_ref().is_absolute() => {
                return Err(wrong(root.span(), "an absolute path is expected"));
            }
            root => root.as_ref().map(|root| root.get_ref().clone()),
        };
        let summary = match parsed
            .summary
            .as_ref()
            .map(|word| (word, word.get_ref().as_str()))
        {
            None | Some((_, "auto")) => SummaryPolicy::Auto,
            Some((_, "generate")) => SummaryPolicy::Generate,
            Some((_, "none")) => SummaryPolicy::None,
            Some((word, _)) => {
                return Err(wrong(
                    word.span(),
                    "\"auto\", \"generate\" or \"none\" is expected",
                ));
            }
        };
        let allow = parsed.allow.iter().map(|entry| entry.read(&wrong));
        Ok(Self {
            root,
            summary,
            allow: allow.collect::<Result<_>>()?,
        })
    }

    /// Returns the directory below which repositories lie.
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// Returns what becomes of summaries.
    pub const fn summary(&self) -> SummaryPolicy {
        self.summary
    }

    /// Returns the number of rules.
    pub fn len(&self) -> usize {
        self.allow.len()
    }

    /// Returns whether there is none, so that nobody may do anything.
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty()
    }

    /// Returns what somebody may do to a ref.
    pub fn rights(&self, pusher: &str, name: &str) -> Rights {
        let applies = |allow: &&Allow| {
            let is_meant = |names: &Vec<String>| names.iter().any(|meant| meant == pusher);
            allow.who.as_ref().is_none_or(is_meant) && allow.refs.matches(name)
        };
        let rights = self.allow.iter().filter(applies).map(|allow| allow.rights);
        rights.fold(Rights::default(), Rights::and)
    }
}

impl Entry {
    fn read(&self, wrong: &impl Fn(Range<usize>, &str) -> TransferError) -> Result<Allow> {
        let patterns = self.refs.get_ref().list();
        if patterns.is_empty() {
            return Err(wrong(self.refs.span(), "a rule needs a pattern of refs"));
        }
        let refs = Selection::new(&patterns)
            .map_err(|_bad| wrong(self.refs.span(), "this is no pattern of refs"))?;
        let words = self.may.get_ref().list();
        let rights = words
            .iter()
            .try_fold(Rights::default(), |rights, word| rights.with(word));
        let expected = "\"create\", \"fast-forward\", \"force\" and \"delete\" are what may be allowed";
        Ok(Allow {
            who: self.who.as_ref().map(Words::list),
            refs,
            rights: rights.ok_or_else(|| wrong(self.may.span(), expected))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> ReceiveRules {
        ReceiveRules::parse(text.as_bytes(), "receive.toml").unwrap()
    }

    #[test]
    fn nothing_is_allowed_that_no_rule_names() {
        assert_eq!(parse("").rights("ci", "os/a"), Rights::default());
        let rules = parse(
            "root = '/srv'\n[[allow]]\nwho = 'ci'\nrefs = 'os/*/stable'\nmay = ['create', 'fast-forward']\n\
             [[allow]]\nrefs = ['test/**']\nmay = 'delete'\n",
        );
        assert_eq!(rules.root(), Some(Path::new("/srv")));
        let nothing = Rights::default();
        for (who, name, rights) in [
            (
                "ci",
                "os/x/stable",
                nothing.with("create").unwrap().with("fast-forward").unwrap(),
            ),
            ("ci", "os/x/y/stable", nothing),
            ("other", "os/x/stable", nothing),
            ("", "os/x/stable", nothing),
            ("other", "test/a/b", nothing.with("delete").unwrap()),
        ] {
            assert_eq!(rules.rights(who, name), rights, "{who}, {name}");
        }
    }

    #[test]
    fn what_several_rules_allow_adds_up() {
        let rules = parse("[[allow]]\nrefs = 'a'\nmay = 'create'\n[[allow]]\nrefs = '**'\nmay = 'force'\n");
        let both = Rights::default().with("create").unwrap().with("force").unwrap();
        assert_eq!(rules.rights("x", "a"), both);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, line) in [
            ("root = 'relative'\n", 1),
            ("\nrott = '/srv'\n", 2),
            ("summary = 'perhaps'\n", 1),
            ("[[allow]]\nmay = 'create'\n", 1),
            ("[[allow]]\nrefs = []\nmay = 'create'\n", 2),
            ("[[allow]]\nrefs = 'a['\nmay = 'create'\n", 2),
            ("[[allow]]\nrefs = 'a'\nmay = ['create', 'everything']\n", 3),
            ("[[allow]]\nrefs = 'a'\nmay = 'create'\nkey = 'ci'\n", 4),
        ] {
            match ReceiveRules::parse(text.as_bytes(), "receive.toml") {
                Err(TransferError::Policy { line: told, .. }) => assert_eq!(told, line, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
