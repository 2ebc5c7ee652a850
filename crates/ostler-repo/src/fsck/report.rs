//! What a check found, and who is told while it runs.

use super::FsckOptions;
use ostler_format::{Checksum, ObjectName, ObjectType};
use std::collections::BTreeSet;
use std::fmt;

/// The steps of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FsckPhase {
    /// The commits that refs name.
    Refs,
    /// The refs of collections.
    CollectionRefs,
    /// All commits of the repository.
    Commits,
    /// What the commits need.
    Content {
        /// How many commits are not partial.
        commits: u64,
    },
}

impl fmt::Display for FsckPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refs => f.write_str("Validating refs..."),
            Self::CollectionRefs => f.write_str("Validating refs in collections..."),
            Self::Commits => f.write_str("Enumerating commits..."),
            Self::Content { commits } => {
                write!(f, "Verifying content integrity of {commits} commit objects...")
            }
        }
    }
}

/// What is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// It is not there.
    Missing,
    /// Its bytes have another checksum.
    Checksum {
        /// The one they have.
        actual: Checksum,
    },
    /// Its bytes are not such an object at all, or cannot be inflated.
    Malformed(String),
}

impl Damage {
    /// Returns whether a check with these options ends at such an object.
    pub(super) fn ends(&self, options: &FsckOptions) -> bool {
        !options.all && !options.delete && *self != Self::Missing
    }
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FsckFinding {
    /// A ref does not lead to a commit that can be read.
    Ref {
        /// The ref.
        reference: String,
        /// What is wrong.
        detail: String,
    },
    /// An object is missing or corrupt.
    Object {
        /// The object.
        object: ObjectName,
        /// What is wrong with it.
        damage: Damage,
        /// The commits that need it; empty where a ref led to it.
        commits: BTreeSet<Checksum>,
        /// The refs whose histories have one of those commits. Known when the check is over.
        refs: BTreeSet<String>,
        /// Where it is in the first of those commits, if it has a path.
        path: Option<String>,
        /// Where it is in those commits, as far as they differ: some of the places, if there are many.
        places: BTreeSet<String>,
    },
    /// A commit is not bound to what names it, or a ref it is bound to does not name it.
    Binding {
        /// The commit.
        commit: Checksum,
        /// What is wrong, with the commit in it.
        detail: String,
    },
}

impl FsckFinding {
    /// Returns whether a check with these options ends here. A missing object ends none, nor does any object
    /// where those that are corrupt get deleted.
    pub fn ends(&self, options: &FsckOptions) -> bool {
        match self {
            Self::Object { damage, .. } => damage.ends(options),
            _ => !options.all,
        }
    }
}

impl FsckFinding {
    /// Returns one line, in stock's words and with nothing else.
    pub fn in_stock_words(&self) -> String {
        match self {
            Self::Object {
                object,
                damage,
                commits,
                ..
            } => object_line(object, damage, commits),
            _ => self.to_string(),
        }
    }
}

/// One line, in stock's words, with the place of an object behind them.
impl fmt::Display for FsckFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ref { reference, detail } => write!(f, "Loading commit for ref {reference}: {detail}"),
            Self::Binding { detail, .. } => f.write_str(detail),
            Self::Object {
                object,
                damage,
                commits,
                path,
                ..
            } => {
                f.write_str(&object_line(object, damage, commits))?;
                path.as_ref()
                    .map_or(Ok(()), |path| write!(f, " ({})", path.escape_debug()))
            }
        }
    }
}

fn object_line(object: &ObjectName, damage: &Damage, commits: &BTreeSet<Checksum>) -> String {
    let commits: Vec<String> = commits.iter().map(Checksum::to_string).collect();
    let commits = commits.join(", ");
    if *damage == Damage::Missing {
        return match commits.as_str() {
            "" => format!("Object missing: {object}"),
            commits => format!("Object missing in commits {commits}: {object}"),
        };
    }
    let needed = match commits.as_str() {
        "" => String::new(),
        commits => format!("In commits {commits}: "),
    };
    let subject = match object.kind {
        ObjectType::File => format!("content object {}", object.checksum),
        _ => object.to_string(),
    };
    let detail = match damage {
        Damage::Malformed(detail) => detail.clone(),
        Damage::Checksum { actual } => format!(
            "Corrupted {} object; checksum expected='{}' actual='{actual}'",
            object.kind, object.checksum
        ),
        Damage::Missing => String::new(),
    };
    format!("{needed}fsck {subject}: {detail}")
}

/// The result of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FsckReport {
    /// How many commits were checked with all that they need.
    pub commits: u64,
    /// How many objects were read.
    pub objects: u64,
    /// The commits that were left out because they are partial, or became so by this check.
    pub partial: BTreeSet<Checksum>,
    /// Those of them that an fsck, this or an earlier one, found to be damaged.
    pub partial_by_fsck: BTreeSet<Checksum>,
    /// What is wrong.
    pub findings: Vec<FsckFinding>,
    /// Missing parents that got a tombstone.
    pub tombstones: Vec<Checksum>,
}

impl FsckReport {
    /// Returns whether the repository is sound: nothing found, and nothing left from an earlier check.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty() && self.partial_by_fsck.is_empty()
    }
}

/// Who is told how a check proceeds. All calls are optional to answer, and come from the calling thread.
pub trait FsckReporter {
    /// A step begins.
    fn phase(&self, phase: FsckPhase) {
        let _ = phase;
    }
    /// So many of so many objects are checked.
    fn progress(&self, done: u64, total: u64) {
        let _ = (done, total);
    }
    /// Something is wrong.
    fn finding(&self, finding: &FsckFinding) {
        let _ = finding;
    }
    /// A commit was marked partial.
    fn marked_partial(&self, commit: &Checksum) {
        let _ = commit;
    }
    /// A corrupt object was deleted.
    fn deleted(&self, object: &ObjectName) {
        let _ = object;
    }
    /// A missing commit got a tombstone.
    fn added_tombstone(&self, commit: &Checksum) {
        let _ = commit;
    }
}

/// Nobody is told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl FsckReporter for Silent {}
