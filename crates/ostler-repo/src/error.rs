//! What can go wrong with a repository, by what a caller can do about it.
//!
//! Every variant names its subject. `Display` leaves the source out; who prints an error prints the chain once.

use crate::lock::LockKind;
use ostler_format::{Checksum, FormatError, ObjectName, ObjectType};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The result of an operation on a repository.
pub type Result<T, E = RepoError> = std::result::Result<T, E>;

/// Why an operation on a repository failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepoError {
    /// Something that was asked for is not there.
    #[error("{what} not found")]
    NotFound {
        /// "commit 3f2a…", "Refspec 'x'", …
        what: String,
    },
    /// An object is not there. In the words of libostree, which scripts look for.
    #[error("{}", Missing(object))]
    Missing {
        /// The object.
        object: ObjectName,
    },
    /// A commit is the first of its history. In the words of libostree.
    #[error("Commit {commit} has no parent")]
    NoParent {
        /// The commit.
        commit: Checksum,
    },
    /// A tree has nothing at a path. In the words of libostree.
    #[error("No such file or directory: {path}")]
    NoSuchPath {
        /// The path, as it was asked for.
        path: String,
    },
    /// What was given can be no name of this kind. In the words of libostree.
    #[error("Invalid {what}")]
    InvalidName {
        /// "refspec x y", …
        what: String,
        /// The rule that is broken.
        #[source]
        source: FormatError,
    },
    /// Something that was to be made is there already.
    #[error("{what} already exists")]
    AlreadyExists {
        /// What is there.
        what: String,
    },
    /// Another program holds a lock, and the time to wait for it is over.
    #[error("cannot take the {kind} lock on {} after {}{holder}", path.display(), Waited(*.waited))]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// What was asked for.
        kind: LockKind,
        /// Who holds it, as far as the kernel tells: empty, or "; held by …", with a hint where there is one.
        holder: String,
        /// How long was waited.
        waited: Duration,
    },
    /// Bytes in the repository are not what they must be.
    #[error("{what} is corrupt: {detail}")]
    Corrupt {
        /// The object, ref or file.
        what: String,
        /// What is wrong with it: expected and found.
        detail: String,
    },
    /// The file of a ref names no commit, as after a power cut. What it named is not known.
    #[error("ref {reference} is corrupt: {detail}")]
    DamagedRef {
        /// The ref.
        reference: String,
        /// What is wrong with it.
        detail: String,
        /// Whether it is one of a mirrored collection.
        mirrored: bool,
    },
    /// An object that a tree names is not there.
    #[error("object {object}, the directory {path} of the tree, is missing")]
    Incomplete {
        /// The object.
        object: ObjectName,
        /// Where it belongs, from the root of the tree.
        path: String,
    },
    /// A commit that has to stay is not whole, so that nobody knows what else has to.
    #[error("No such metadata object {object}, the directory {path} of commit {commit}; nothing was removed")]
    Hole {
        /// The object that is missing.
        object: ObjectName,
        /// Where it belongs, from the root of the tree.
        path: String,
        /// The commit.
        commit: Checksum,
    },
    /// Files are not such as can be committed, or not such as can be laid over others; commits are not such as can be
    /// deleted. In the words of libostree.
    #[error("{detail}")]
    Refused {
        /// What is wrong with what.
        detail: String,
    },
    /// An entry of an archive cannot be committed.
    #[error("cannot take entry '{entry}' of archive {}", archive.display())]
    Entry {
        /// The archive.
        archive: PathBuf,
        /// The path of the entry, as it stands there.
        entry: String,
        /// What is wrong with it.
        #[source]
        source: Box<Self>,
    },
    /// A feature of the format that is recognised and not supported.
    #[error("unsupported: {what}")]
    Unsupported {
        /// What was met.
        what: String,
    },
    /// The free space that the configuration reserves would be used.
    #[error("not enough free space: {detail}")]
    NoSpace {
        /// The rule and the numbers.
        detail: String,
    },
    /// An argument or a setting has no meaning here.
    #[error("invalid {what}: {detail}")]
    Invalid {
        /// What was given.
        what: String,
        /// Why it is refused.
        detail: String,
    },
    /// Bytes or a name break the format.
    #[error("cannot read {subject}")]
    Format {
        /// What was read.
        subject: String,
        /// The rule that is broken.
        #[source]
        source: FormatError,
    },
    /// What was found in the repository does not make a summary.
    #[error("cannot make a summary")]
    Compose(#[from] FormatError),
    /// A system call failed.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// A verb, with what else matters: "open", "rename to objects", …
        doing: String,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A ref is not at the value that the caller computed with.
    #[error("ref {reference} is not as expected: expected {expected}, found {}", Found(.found.as_ref()))]
    Conflict {
        /// The ref.
        reference: String,
        /// What it should have been: "no ref", "any commit", or a checksum.
        expected: String,
        /// What it is.
        found: Option<Checksum>,
    },
    /// A file is not what the caller computed with.
    #[error("{} is not as expected: {expected} expected", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What it should have been: "no file", "a ref to commit …".
        expected: String,
    },
    /// A tool that takes no locks changed one of several files while they were being changed together.
    #[error("{} was changed by another program just now, and left as that made it; the rest is done", path.display())]
    Overtaken {
        /// The file.
        path: PathBuf,
    },
    /// Several files were to change together, and some have not yet: the next program of ours completes that.
    #[error("the refs of {} are changed in part; the next ostler command on it does the rest", path.display())]
    CutShort {
        /// The repository.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: Box<Self>,
    },
    /// A signature is missing, wrong, or not to be trusted. In the words of libostree.
    #[error("{detail}")]
    Signature {
        /// What is wrong with it.
        detail: String,
    },
    /// The program `gpg`, or what it was given, did not serve.
    #[error("GPG: {detail}")]
    Gpg {
        /// What went wrong.
        detail: String,
    },
    /// The end was asked for while something waited.
    #[error("interrupted")]
    Interrupted,
    /// A key or a command did not sign. Never tells of a secret.
    #[error("cannot sign with {with}: {detail}")]
    Signing {
        /// The key, if it is public, or the command.
        with: String,
        /// Why not.
        detail: String,
    },
    /// Two names cannot be refs at once, since one would be a directory holding the other.
    #[error("ref {reference} cannot exist beside ref {existing}: one is a directory of the other")]
    NameConflict {
        /// The ref to be written.
        reference: String,
        /// The ref in its way.
        existing: String,
    },
    /// Several things fit where one was asked for.
    #[error("{what} not unique")]
    Ambiguous {
        /// What was asked for.
        what: String,
    },
    /// The process may not write to the repository.
    #[error("Cannot write to repository: {reason} ({})", path.display())]
    ReadOnly {
        /// The repository.
        path: PathBuf,
        /// What the system says, in the words of libostree.
        reason: &'static str,
    },
}

impl RepoError {
    /// Returns a function for `map_err` that says what was being done to which file.
    pub fn io(doing: impl Into<String>, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            doing: doing.into(),
            path: path.as_ref().to_path_buf(),
            source,
        }
    }

    /// Returns a function for `map_err` that says what was being read.
    pub fn format(subject: impl Into<String>) -> impl FnOnce(FormatError) -> Self {
        move |source| Self::Format {
            subject: subject.into(),
            source,
        }
    }

    /// Returns [`RepoError::NotFound`].
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound { what: what.into() }
    }

    /// Returns [`RepoError::Corrupt`].
    pub fn corrupt(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Corrupt {
            what: what.into(),
            detail: detail.into(),
        }
    }

    /// Returns [`RepoError::Invalid`].
    pub fn invalid(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid {
            what: what.into(),
            detail: detail.into(),
        }
    }

    /// Returns whether some of several files that were to change together have changed, in spite of the error.
    pub fn is_partly_done(&self) -> bool {
        matches!(self, Self::Overtaken { .. } | Self::CutShort { .. })
    }

    /// Returns whether the error says that something is missing.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NotFound { .. }
            | Self::NoParent { .. }
            | Self::NoSuchPath { .. }
            | Self::Missing { .. }
            | Self::Incomplete { .. } => true,
            Self::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }
}

impl RepoError {
    /// Returns whether the error tells of something that is missing or damaged, and not of what kept us from looking.
    pub fn is_damage(&self) -> bool {
        self.is_not_found()
            || matches!(
                self,
                Self::Corrupt { .. } | Self::DamagedRef { .. } | Self::Format { .. }
            )
    }
}

/// An object that is missing.
struct Missing<'a>(&'a ObjectName);

impl fmt::Display for Missing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind {
            ObjectType::File => write!(f, "Couldn't find file object '{}'", self.0.checksum),
            _ => write!(f, "No such metadata object {}", self.0),
        }
    }
}

/// A waiting time for people: "one try" or seconds.
struct Waited(Duration);

impl fmt::Display for Waited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() {
            f.write_str("one try")
        } else {
            write!(f, "{:.1} s", self.0.as_secs_f64())
        }
    }
}

/// The value of a ref, or its absence.
struct Found<'a>(Option<&'a Checksum>);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(checksum) => fmt::Display::fmt(checksum, f),
            None => f.write_str("no ref"),
        }
    }
}
