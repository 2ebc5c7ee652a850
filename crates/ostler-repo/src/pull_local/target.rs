//! What is asked for: a ref, a commit, or a ref at a commit.

use crate::error::{RepoError, Result};
use crate::refs::{RefKey, RefScope};
use crate::repo::Repo;
use ostler_format::{Checksum, CollectionId, CollectionRef, FormatError, RefName, Refspec, RemoteName};
use std::fmt;
use std::str::FromStr;

/// A ref of the source, a commit, or both: the ref is then set to the commit, wherever the source's points.
/// As text: `REF`, 64 hexadecimal digits, `REF@COMMIT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullTarget {
    /// A ref, at the commit that the source has for it.
    Ref(RefName),
    /// A commit; no ref is set.
    Commit(Checksum),
    /// A ref, at this commit.
    RefAt(RefName, Checksum),
    /// A ref of a collection, of whichever kind the source has it, at the commit that the source has for it or at this
    /// one. It becomes a ref of the remote, where one is named, else of the collection.
    Collection(CollectionRef, Option<Checksum>),
}

impl FromStr for PullTarget {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        if let Ok(commit) = Checksum::from_hex(text) {
            return Ok(Self::Commit(commit));
        }
        Ok(match text.split_once('@') {
            Some((name, commit)) => Self::RefAt(RefName::new(name)?, Checksum::from_hex(commit)?),
            None => Self::Ref(RefName::new(text)?),
        })
    }
}

impl fmt::Display for PullTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ref(name) => fmt::Display::fmt(name, f),
            Self::Commit(commit) => fmt::Display::fmt(commit, f),
            Self::RefAt(name, commit) => write!(f, "{name}@{commit}"),
            Self::Collection(name, _) => fmt::Display::fmt(name, f),
        }
    }
}

/// A commit to copy, and the ref that it is copied for.
pub(super) struct Wanted {
    pub(super) reference: Option<RefName>,
    /// The collection to which the ref belongs, where it was asked for as one of a collection.
    pub(super) collection: Option<CollectionId>,
    pub(super) commit: Checksum,
}

impl Wanted {
    fn new(reference: Option<RefName>, commit: Checksum) -> Self {
        Self {
            reference,
            collection: None,
            commit,
        }
    }

    /// Returns the ref that is to be set in the target.
    pub(super) fn key(&self, remote: Option<&RemoteName>) -> Option<RefKey> {
        let name = self.reference.clone()?;
        Some(match (remote, &self.collection) {
            (None, Some(collection)) => {
                let collection = Some(collection.clone());
                CollectionRef { collection, name }.into()
            }
            (remote, _) => {
                let remote = remote.cloned();
                Refspec { remote, name }.into()
            }
        })
    }
}

/// Finds the commits of the targets; without any, of all refs of the source's own. What the source tracks of
/// other repositories, and mirrors, are copied only by name of their commits. With `refuse_mixed` there must be none of remotes.
pub(super) fn resolve(source: &Repo, targets: &[PullTarget], refuse_mixed: bool) -> Result<Vec<Wanted>> {
    if targets.is_empty() {
        if refuse_mixed {
            let all = source.list_refs(RefScope::All)?;
            if let Some(other) = all.keys().find(|name| name.remote.is_some()) {
                // In the words of libostree.
                let detail = format!("Invalid ref name {other}");
                return Err(RepoError::Refused { detail });
            }
        }
        let refs = source.list_refs(RefScope::Local)?.into_iter();
        return Ok(refs
            .map(|(refspec, commit)| Wanted::new(Some(refspec.name), commit))
            .collect());
    }
    targets.iter().map(|target| resolve_one(source, target)).collect()
}

fn resolve_one(source: &Repo, target: &PullTarget) -> Result<Wanted> {
    Ok(match target {
        PullTarget::Commit(commit) => Wanted::new(None, *commit),
        PullTarget::RefAt(name, commit) => Wanted::new(Some(name.clone()), *commit),
        PullTarget::Collection(name, commit) => Wanted {
            reference: Some(name.name.clone()),
            collection: name.collection.clone(),
            commit: match commit {
                Some(commit) => *commit,
                None => source.find_collection_ref(name)?,
            },
        },
        PullTarget::Ref(name) => {
            let found = source.read_ref(&Refspec::local(name.clone()))?;
            let missing = || RepoError::not_found(format!("Refspec '{name}'"));
            Wanted::new(Some(name.clone()), found.ok_or_else(missing)?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_read_as_they_are_written() {
        let commit = Checksum::of(b"x");
        for text in ["os/stable", &commit.to_string(), &format!("os/stable@{commit}")] {
            assert_eq!(text.parse::<PullTarget>().unwrap().to_string(), text);
        }
        for bad in ["", "a@", "a@b", "origin:a", "a@b@c", "../a"] {
            assert!(bad.parse::<PullTarget>().is_err(), "{bad}");
        }
    }
}
