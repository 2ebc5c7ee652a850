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
//!
//! [hooks]                            # absolute paths, with arguments; no shell
//! pre-receive = ["/usr/local/bin/check", "--strict"]
//! update = "/usr/local/bin/one-ref"
//! post-receive = "/usr/local/bin/purge-cdn"
//! timeout = "10m"
//!
//! [[sign]]
//! refs = "os/**"                     # commits of these refs
//! summary = true                     # and summaries
//! gpg = "KEY-ID"                     # or ed25519, spki: files of secret keys; or command: programs
//!
//! [[require]]                        # what commits must be like: see `rules/require.rs`
//! refs = "os/**"
//! signatures = {gpg = "/etc/ostler/release.gpg"}
//! max-push = "20G"
//!
//! [quarantine]                       # what may wait: see `rules/room.rs`
//! min-free = "10G"
//!
//! audit and sweep, above the first table: where pushes are written down, and how long what was retired stays
//! ```
//! What no rule allows is refused; what one rule allows no other takes away. What is required is required whoever allowed it. Unknown keys, patterns that are none and words that
//! are none are errors with the number of their line.

mod file;
mod hooks;
mod keys;
mod limits;
mod require;
mod room;
mod sign;
mod size;

pub(super) use hooks::{HookProgram, Hooks};
pub(super) use sign::SignRule;

use crate::error::Result;
use crate::policy::SummaryPolicy;
use crate::snapshot::Selection;
use file::Source;
pub(crate) use keys::{Signatures, Verifier};
pub(crate) use limits::{Measure, PushLimits};
use ostler_repo::sign::TrustPaths;
use require::Require;
pub(crate) use require::{Bindings, Class, Required};
pub(crate) use room::Room;
use std::path::{Path, PathBuf};

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
    hooks: Hooks,
    sign: Vec<SignRule>,
    audit: Option<PathBuf>,
    sweep: Option<u64>,
    require: Vec<Require>,
    /// What holds of bindings where no table says anything.
    bindings: Bindings,
    room: Room,
}

#[derive(Debug, Clone)]
struct Allow {
    /// `None` is everybody.
    who: Option<Vec<String>>,
    refs: Selection,
    rights: Rights,
}

impl Rights {
    /// Returns the words for all of them.
    pub fn words(self) -> Vec<&'static str> {
        let words = [
            (self.create, "create"),
            (self.fast_forward, "fast-forward"),
            (self.force, "force"),
            (self.delete, "delete"),
        ];
        words
            .into_iter()
            .filter_map(|(may, word)| may.then_some(word))
            .collect()
    }

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

    /// Returns rules that give everybody the same rights to all refs, and require nothing.
    pub fn everywhere(rights: Rights) -> Self {
        let allow = Allow {
            who: None,
            refs: Selection::default(),
            rights,
        };
        Self {
            allow: vec![allow],
            bindings: Bindings::Any,
            ..Self::default()
        }
    }

    /// Reads the bytes of a file of rules, which messages call `file`.
    ///
    /// # Errors
    /// [`TransferError::Policy`](crate::TransferError::Policy) with the line of what is wrong.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self> {
        let source = Source { bytes, file };
        let parsed = source.read()?;
        let root = parsed.root.as_ref().map(|root| source.absolute(root));
        let summary = match parsed
            .summary
            .as_ref()
            .map(|word| (word, word.get_ref().as_str()))
        {
            None | Some((_, "auto")) => SummaryPolicy::Auto,
            Some((_, "generate")) => SummaryPolicy::Generate,
            Some((_, "none")) => SummaryPolicy::None,
            Some((word, _)) => {
                let expected = "\"auto\", \"generate\" or \"none\" is expected";
                return Err(source.wrong(word.span(), expected));
            }
        };
        let allow = parsed.allow.iter().map(|entry| entry.read(&source));
        let hooks = parsed.hooks.as_ref().map(|hooks| hooks.read(&source));
        let sign = parsed
            .sign
            .iter()
            .map(|entry| entry.get_ref().read(&source, entry.span()));
        let audit = parsed.audit.as_ref().map(|path| source.absolute(path));
        let sweep = parsed.sweep.as_ref().map(|text| source.span(text));
        let require = parsed.require.iter().map(|entry| entry.read(&source));
        Ok(Self {
            root: root.transpose()?,
            summary,
            allow: allow.collect::<Result<_>>()?,
            hooks: hooks.transpose()?.unwrap_or_default(),
            sign: sign.collect::<Result<_>>()?,
            audit: audit.transpose()?,
            sweep: sweep.transpose()?,
            require: require.collect::<Result<_>>()?,
            bindings: Bindings::default(),
            room: parsed.quarantine.read(&source)?,
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

    /// Returns where pushes are written down.
    pub fn audit(&self) -> Option<&Path> {
        self.audit.as_deref()
    }

    /// Returns after how many seconds what was retired is swept; `None`: not by us.
    pub const fn sweep(&self) -> Option<u64> {
        self.sweep
    }

    /// Returns the programs that judge pushes, or hear of them.
    pub(super) const fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// Returns who signs what.
    pub(super) fn sign(&self) -> &[SignRule] {
        &self.sign
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

    /// Returns what must hold of the commit that somebody moves a ref to.
    pub(crate) fn required(&self, pusher: &str, name: &str) -> Required<'_> {
        Required::of(&self.require, pusher, name, self.bindings)
    }

    /// Returns what must hold of the commit that somebody moves a ref to, in words.
    pub fn requirements(&self, pusher: &str, name: &str) -> String {
        self.required(pusher, name).to_string()
    }

    /// Returns how much may wait in quarantine.
    pub(crate) const fn room(&self) -> &Room {
        &self.room
    }

    /// Reads all keys whose signatures are required anywhere, and returns what is wrong with them.
    pub(super) fn key_problems(&self, paths: &TrustPaths) -> Vec<String> {
        let loaded = self
            .require
            .iter()
            .filter_map(Require::signatures)
            .map(|keys| keys.load(paths));
        loaded
            .filter_map(Result::err)
            .map(|error| error.chain())
            .collect()
    }
}

#[cfg(test)]
mod tests;
