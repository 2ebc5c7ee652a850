//! What can go wrong between two repositories.

use crate::http::Fault;
use ostler_format::{Checksum, CollectionRef, FormatError, ObjectName};
use ostler_repo::RepoError;
use std::fmt;
use std::path::PathBuf;

/// The result of an operation between repositories.
pub type Result<T, E = TransferError> = std::result::Result<T, E>;

/// Why nothing, or not everything, was published. Unless a variant says otherwise, no ref has moved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// A repository on this machine failed.
    #[error(transparent)]
    Repo(RepoError),
    /// Objects of the source are missing or are not what their names say.
    #[error("the source has {} that cannot be published: {}", counted(.0.len(), "object"), list(.0))]
    CorruptSource(Vec<Damage>),
    /// A commit of the source is marked as incomplete.
    #[error("commit {commit} (ref '{reference}') is partial in the source")]
    PartialSource {
        /// The ref that names it.
        reference: String,
        /// The commit.
        commit: Checksum,
    },
    /// The policy refuses one or more ref updates.
    #[error("refused to update {}: {}", counted(.0.len(), "ref"), list(.0))]
    Refused(Vec<Refusal>),
    /// Nothing of the source matches what was asked for.
    #[error("no ref of the source matches '{0}'")]
    NoSuchRef(String),
    /// The file of a ref of the target names no commit, as after a power cut.
    #[error("ref '{reference}' of {target} is damaged: it names no commit")]
    DamagedRef {
        /// The target as the user named it.
        target: String,
        /// The ref.
        reference: CollectionRef,
    },
    /// What should be a pattern of refs is none.
    #[error("'{pattern}' is not a pattern of refs: {reason}")]
    BadPattern {
        /// What was given.
        pattern: String,
        /// The rule that is broken.
        reason: String,
    },
    /// The target is not a repository that can be published to.
    #[error("cannot publish to {target}: {reason}")]
    UnfitTarget {
        /// The target as the user named it.
        target: String,
        /// What it is instead.
        reason: String,
    },
    /// The target and the source have no commit in common.
    #[error("{target} has no commit of this repository: it is not a target of it")]
    Unrelated {
        /// The target.
        target: String,
    },
    /// There is no record of a generation.
    #[error("{target} has no record of generation {number}")]
    NoGeneration {
        /// The target.
        target: String,
        /// The number that was asked for.
        number: u64,
    },
    /// The highest number that there is is taken.
    #[error(
        "{target} has no number left for a generation: look at the names in its extensions/ostler/generations"
    )]
    NoNumber {
        /// The target.
        target: String,
    },
    /// No generation before the present one had other refs.
    #[error("{target} has no record of an earlier generation with other refs")]
    NothingEarlier {
        /// The target.
        target: String,
    },
    /// Something that makes no records has changed refs since the last generation.
    #[error("{target} was changed since its last generation, which is no publish: {}", list(.refs))]
    ChangedSince {
        /// The target.
        target: String,
        /// Refs that are not as the last generation left them.
        refs: Vec<String>,
    },
    /// Objects of a generation are gone.
    #[error("generation {number} of {target} cannot be brought back, objects of it are gone: {}", list(.missing))]
    Swept {
        /// The target.
        target: String,
        /// The generation.
        number: u64,
        /// Some of the objects.
        missing: Vec<ObjectName>,
    },
    /// There is not enough room at the target.
    #[error("{target} has room for {available} more bytes, {needed} are needed")]
    NoSpace {
        /// The target.
        target: String,
        /// Bytes that the plan adds.
        needed: u64,
        /// Bytes that may still be written.
        available: u64,
    },
    /// The summary cannot be carried or made without losing something.
    #[error("cannot publish the summary: {0}")]
    Summary(String),
    /// Other publishers changed the target again and again.
    #[error("gave up after {}: {target} changed while each was being computed", counted(*.attempts as usize, "attempt"))]
    Contended {
        /// The target.
        target: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// The target lacks objects again right after they were put there.
    #[error("{target} lost objects while they were being published: {}", list(.missing))]
    Unstable {
        /// The target.
        target: String,
        /// Some of the objects.
        missing: Vec<ObjectName>,
    },
    /// A commit that is to stay is not whole, so that nobody can tell what it needs.
    #[error("{target} lacks {object}, which a commit that stays needs: nothing is swept")]
    Hole {
        /// The target.
        target: String,
        /// What is missing.
        object: ObjectName,
    },
    /// A policy file, or a list that it names, is not what it must be.
    #[error("{file}, line {line}: {detail}")]
    Policy {
        /// The file.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        detail: String,
    },
    /// Another publisher has taken the lease file of a mounted directory from this run.
    #[error(
        "another publisher has taken over {target}, since this run showed no sign of life there: run it again"
    )]
    LeaseLost {
        /// The target.
        target: String,
    },
    /// The user interrupted the run.
    #[error("interrupted")]
    Interrupted,
    /// The record of a pinned generation cannot be read: nobody knows what it keeps.
    #[error("cannot read the record of generation {number}, which is pinned: nobody knows what it keeps")]
    PinnedRecord {
        /// The generation.
        number: u64,
        /// The fault.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A record cannot be written in its format.
    #[error("cannot write {path}")]
    Record {
        /// Its path.
        path: PathBuf,
        /// The fault.
        #[source]
        source: serde_json::Error,
    },
    /// A summary cannot be put together.
    #[error(transparent)]
    Compose(#[from] FormatError),
    /// Bytes or names of the target or the source are malformed.
    #[error("cannot read {subject}")]
    Format {
        /// What was read, and where.
        subject: String,
        /// The rule that is broken.
        #[source]
        source: FormatError,
    },
    /// A file of a remote was not fetched.
    #[error("While fetching {url}")]
    Fetch {
        /// Its URL, without secrets.
        url: String,
        /// The fault.
        #[source]
        fault: Fault,
    },
    /// What a remote has at a URL is not what it must be, also past all caches.
    #[error("cannot use what is at {url}")]
    BadBody {
        /// The URL, without secrets.
        url: String,
        /// What is wrong with it.
        #[source]
        source: RepoError,
    },
    /// A summary and its signatures do not fit, however often they are fetched.
    #[error(
        "{url} does not fit its signatures, fetched {tries} times (SHA-256 of the last: summary {summary}, summary.sig {signatures})"
    )]
    SummaryPair {
        /// The URL of the summary.
        url: String,
        /// The digest of the summary that came last.
        summary: String,
        /// That of its signatures.
        signatures: String,
        /// How often both were fetched.
        tries: u32,
        /// What the last check said.
        #[source]
        source: Box<TransferError>,
    },
    /// What should be the URL of a repository is none.
    #[error("{reason} in {url}")]
    Url {
        /// What is there instead, without secrets.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// What the configuration says of a remote cannot be.
    #[error("{0}")]
    Remote(String),
    /// The other end of a push says why it gives up.
    #[error("the other end gave up: {0}")]
    Peer(String),
    /// The other end of a push is not there any more, or does not answer.
    #[error("the connection to the other end broke")]
    Cut(#[source] std::io::Error),
    /// What the other end of a push sends is not what it may send.
    #[error("the other end does not keep to the protocol: {0}")]
    Protocol(String),
    /// What a pusher asks for is not allowed, or not to be had here.
    #[error("{0}")]
    Denied(String),
    /// What is pushed is more than the rules of the receiver let in.
    #[error("{what} has more than {limit}: {rule}")]
    TooMuch {
        /// What has so much.
        what: String,
        /// How much it may have.
        limit: String,
        /// What says so, and for which refs.
        rule: String,
    },
    /// Stopped by a test at a chosen step.
    #[error("stopped at step {0}")]
    Stopped(u64),
}

impl From<RepoError> for TransferError {
    fn from(error: RepoError) -> Self {
        match error {
            RepoError::Interrupted => Self::Interrupted,
            error => Self::Repo(error),
        }
    }
}

/// An object of the source that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The object.
    pub object: ObjectName,
    /// "is missing", "has another checksum: …".
    pub reason: String,
}

impl Damage {
    /// Turns the failure to read an object of the source into damage of it; other failures stay what they are.
    pub(crate) fn wrap(object: ObjectName, fault: RepoError) -> TransferError {
        let damaged =
            matches!(fault, RepoError::Corrupt { .. } | RepoError::Format { .. }) || fault.is_not_found();
        if damaged {
            TransferError::CorruptSource(vec![Self {
                object,
                reason: reason(&fault),
            }])
        } else {
            TransferError::Repo(fault)
        }
    }
}

/// Returns an error with its causes, without the name of the object that it repeats.
fn reason(fault: &RepoError) -> String {
    format!("cannot be used: {}", with_causes(fault))
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.object, self.reason)
    }
}

/// A ref update that the policy refuses, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The ref.
    pub reference: String,
    /// The reason, as a clause.
    pub reason: String,
    /// Whether [`Policy::force`](crate::Policy::force) would let it pass.
    pub yields_to_force: bool,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' {}", self.reference, self.reason)
    }
}

impl TransferError {
    /// Returns whether some of the refs have moved, in spite of the error.
    pub fn is_partly_done(&self) -> bool {
        matches!(self, Self::Repo(error) if error.is_partly_done())
    }

    /// Returns whether what came is not what it must be, so that another copy may do.
    pub(crate) fn is_bad_body(&self) -> bool {
        matches!(self, Self::BadBody { .. })
    }

    /// Returns whether more came than may.
    pub(crate) fn is_too_large(&self) -> bool {
        matches!(
            self,
            Self::Fetch {
                fault: Fault::TooLarge { .. },
                ..
            }
        )
    }

    /// Returns whether the fault is the remote's, or that of the way there.
    pub(crate) fn is_about_remote(&self) -> bool {
        matches!(self, Self::BadBody { .. } | Self::Fetch { .. })
    }

    /// Returns the error with its causes, in one line.
    pub(crate) fn chain(&self) -> String {
        with_causes(self)
    }

    /// Returns a closure that wraps a [`FormatError`] with its subject.
    pub(crate) fn format(subject: impl fmt::Display) -> impl FnOnce(FormatError) -> Self {
        move |source| Self::Format {
            subject: subject.to_string(),
            source,
        }
    }
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Names the first few; a full list belongs into the report, not into one line.
fn list<T: fmt::Display>(items: &[T]) -> String {
    const SHOWN: usize = 5;
    let mut text = items
        .iter()
        .take(SHOWN)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    if items.len() > SHOWN {
        text = format!("{text} and {} more", items.len() - SHOWN);
    }
    text
}
