//! Refs: names for commits.
//!
//! ```text
//! refs/heads/<ref>                 of this repository (its own collection); may be an alias, a symbolic link
//! refs/remotes/<remote>/<ref>      what a remote had
//! refs/mirrors/<collection>/<ref>  refs of other collections
//! ```
//!
//! A ref is a file with 64 hexadecimal digits and a line feed. Reading looks at this repository only; names are
//! resolved through parents by [`Repo::resolve_rev`](crate::Repo::resolve_rev). An alias is followed as long as
//! it stays below its directory.
//!
//! A file that names no commit (a power cut leaves empty ones behind stock tools) is a damaged ref. Whoever asks for it, or
//! for all refs, gets an error; [`survey`](Repo::survey_refs) tells it from the others, so that these can be used and it
//! can be removed or written anew.

mod alias;
mod change;
mod edit;
mod list;
mod plant;
mod point;
mod survey;

pub use edit::RefsTurn;
pub use list::RefScope;
pub use survey::{DamagedRef, Survey};

use crate::config::Config;
use crate::error::{RepoError, Result};
use crate::fs::Dir;
use crate::repo::Repo;
use ostler_format::{Checksum, CollectionId, CollectionRef, RefName, Refspec, RemoteName};
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// The most bytes that are read of a ref; one with more is corrupt.
const MAX_REF_SIZE: u64 = 1024;

/// The name of a ref, of whichever kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefKey {
    /// A ref of the repository itself or of a remote.
    Refspec(Refspec),
    /// A ref of a collection; of none or the repository's own, it is a ref of the repository itself.
    Collection(CollectionRef),
}

/// What a ref must be for an edit to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Whatever it is.
    Any,
    /// There must be no such ref.
    Absent,
    /// There must be one, whatever it names.
    Exists,
    /// It must not name a commit: there is none, or it is damaged.
    NoCommit,
    /// It must name this commit.
    Is(Checksum),
}

/// A change of one ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefEdit {
    /// The ref.
    pub name: RefKey,
    /// What it must be before.
    pub expected: Expected,
    /// The commit it shall name, or `None` to remove it.
    pub new: Option<Checksum>,
}

impl RefEdit {
    /// Returns the edit that sets a ref.
    pub fn set(name: impl Into<RefKey>, expected: Expected, new: Checksum) -> Self {
        Self {
            name: name.into(),
            expected,
            new: Some(new),
        }
    }

    /// Returns the edit that removes a ref.
    pub fn remove(name: impl Into<RefKey>, expected: Expected) -> Self {
        Self {
            name: name.into(),
            expected,
            new: None,
        }
    }
}

impl From<Refspec> for RefKey {
    fn from(refspec: Refspec) -> Self {
        Self::Refspec(refspec)
    }
}

impl From<RefName> for RefKey {
    fn from(name: RefName) -> Self {
        Self::Refspec(name.into())
    }
}

impl From<CollectionRef> for RefKey {
    fn from(name: CollectionRef) -> Self {
        Self::Collection(name)
    }
}

impl fmt::Display for RefKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refspec(refspec) => refspec.fmt(f),
            Self::Collection(name) => name.fmt(f),
        }
    }
}

impl Expected {
    fn accepts(self, found: Option<&Value>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => found.is_none(),
            Self::Exists => found.is_some(),
            Self::NoCommit => !matches!(found, Some(Value::Commit(_))),
            Self::Is(expected) => matches!(found, Some(Value::Commit(found)) if *found == expected),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("anything"),
            Self::Absent => f.write_str("no ref"),
            Self::Exists => f.write_str("any commit"),
            Self::NoCommit => f.write_str("no commit"),
            Self::Is(checksum) => checksum.fmt(f),
        }
    }
}

/// The directory that a kind of refs lies in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Space {
    Heads,
    Remote(RemoteName),
    Mirror(CollectionId),
}

impl Space {
    /// Its path in the repository.
    fn path(&self) -> PathBuf {
        match self {
            Self::Heads => PathBuf::from("refs/heads"),
            Self::Remote(remote) => PathBuf::from(format!("refs/remotes/{remote}")),
            Self::Mirror(collection) => PathBuf::from(format!("refs/mirrors/{collection}")),
        }
    }

    /// A ref in it, for messages.
    fn describe(&self, name: &RefName) -> String {
        match self {
            Self::Heads => name.to_string(),
            Self::Remote(prefix) => format!("{prefix}:{name}"),
            Self::Mirror(prefix) => format!("{prefix}:{name}"),
        }
    }
}

/// Where a ref lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    space: Space,
    name: RefName,
}

impl Place {
    fn of(key: &RefKey, config: &Config) -> Self {
        let (space, name) = match key {
            RefKey::Refspec(Refspec { remote: None, name }) => (Space::Heads, name),
            RefKey::Refspec(Refspec {
                remote: Some(remote),
                name,
            }) => (Space::Remote(remote.clone()), name),
            RefKey::Collection(CollectionRef { collection, name }) => match collection {
                Some(id) if config.collection_id() != Some(id) => (Space::Mirror(id.clone()), name),
                _ => (Space::Heads, name),
            },
        };
        Self {
            space,
            name: name.clone(),
        }
    }

    /// The path in the repository.
    fn path(&self) -> PathBuf {
        self.space.path().join(self.name.as_str())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.space.describe(&self.name))
    }
}

impl Repo {
    /// Returns the commit that a ref of this repository (not of its parents) names, if there is such a ref.
    ///
    /// # Errors
    /// [`RepoError::DamagedRef`] for a file that is no ref or an alias that leads out of its directory;
    /// [`RepoError::Io`].
    pub fn read_ref(&self, refspec: &Refspec) -> Result<Option<Checksum>> {
        self.read_key(&refspec.clone().into())
    }

    /// Returns the commit that a ref of whichever kind names, if there is such a ref.
    ///
    /// # Errors
    /// As [`read_ref`](Self::read_ref).
    pub fn read_key(&self, key: &RefKey) -> Result<Option<Checksum>> {
        match self.read_place(&Place::of(key, self.config()))? {
            None => Ok(None),
            Some(Value::Commit(commit)) => Ok(Some(commit)),
            Some(Value::Damaged(damaged)) => Err(damaged.into()),
        }
    }

    /// As [`read_key`](Self::read_key), for whoever is about to set the ref: a damaged one names no commit. What is set then
    /// must expect [`Expected::NoCommit`].
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn read_commit_of(&self, key: &RefKey) -> Result<Option<Checksum>> {
        Ok(match self.read_place(&Place::of(key, self.config()))? {
            Some(Value::Commit(commit)) => Some(commit),
            None | Some(Value::Damaged(_)) => None,
        })
    }

    fn read_place(&self, place: &Place) -> Result<Option<Value>> {
        match self.open_space(&place.space)? {
            None => Ok(None),
            Some(dir) => read_value(&dir, &place.space, &place.name),
        }
    }

    fn open_space(&self, space: &Space) -> Result<Option<Dir>> {
        let path = space.path();
        self.root()
            .open_dir_if_exists(&path)
            .map_err(RepoError::io("open", self.root().path_of(path)))
    }
}

/// What the file of a ref says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Commit(Checksum),
    Damaged(DamagedRef),
}

/// Reads one ref of a space. What is no file, among it an alias to nothing, is no ref.
fn read_value(dir: &Dir, space: &Space, name: &RefName) -> Result<Option<Value>> {
    let damaged = |detail: String| {
        Ok(Some(Value::Damaged(DamagedRef {
            reference: space.describe(name),
            detail,
            mirrored: matches!(space, Space::Mirror(_)),
        })))
    };
    let bytes = match dir.read_following(name.as_str(), MAX_REF_SIZE) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        Err(error) => {
            return match error.kind() {
                io::ErrorKind::IsADirectory => Ok(None),
                io::ErrorKind::CrossesDevices => {
                    damaged("an alias that leads out of its directory".to_owned())
                }
                _ if Errno::from_io_error(&error) == Some(Errno::LOOP) => {
                    damaged("an alias of itself".to_owned())
                }
                io::ErrorKind::FileTooLarge | io::ErrorKind::InvalidInput => damaged(error.to_string()),
                _ => Err(RepoError::io("read ref", dir.path_of(name.as_str()))(error)),
            };
        }
    };
    let text = bytes.trim_ascii_end();
    let parsed = std::str::from_utf8(text)
        .ok()
        .and_then(|text| Checksum::from_hex(text).ok());
    match parsed {
        Some(checksum) => Ok(Some(Value::Commit(checksum))),
        None => damaged(format!(
            "expected 64 hexadecimal digits, found '{}'",
            text.get(..80).unwrap_or(text).escape_ascii()
        )),
    }
}
