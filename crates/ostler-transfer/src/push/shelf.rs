//! What a push offers, as an archive that somebody can pull from who speaks no protocol of ours: paths lead to files.
//!
//! ```text
//! config                   says that it is an archive
//! summary                  the refs that are pushed, by their names at the far end
//! refs/heads/<ref>         each of them
//! objects/<2>/<62>.<type>  what their commits consist of, and those of their history that are offered; nothing else of the source
//! ```
//! It lies nowhere: objects are those of the pin (`push/cargo.rs`), made into what an archive stores when they are asked for.

use super::agenda::{Agenda, Wanted};
use super::cargo::Cargo;
use super::{Fate, PushedRef};
use crate::error::Result;
use ostler_format::gvariant::VarDict;
use ostler_format::{Checksum, CommitEntry, ObjectName, ObjectType, RefName, RepoMode, Summary, SummaryRef};
use ostler_repo::{LockKind, Repo};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;

const CONFIG: &[u8] = b"[core]\nrepo_version=1\nmode=archive-z2\n";

/// The archive.
#[derive(Debug)]
pub struct Shelf<'r> {
    agenda: Agenda,
    cargo: Cargo<'r>,
    /// Refs of the far end that get a commit.
    refs: BTreeMap<RefName, Checksum>,
    summary: Vec<u8>,
}

/// A file of it.
pub enum Piece<'a> {
    /// One of the source.
    File(File),
    /// One that is made of these.
    Bytes(Vec<u8>),
    /// One that is made as it is read.
    Stream(Box<dyn Read + 'a>),
}

impl fmt::Debug for Piece<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File(_) => "File",
            Self::Bytes(_) => "Bytes",
            Self::Stream(_) => "Stream",
        })
    }
}

impl<'r> Shelf<'r> {
    /// Takes what is wanted, by the refs that the far end has; the commits that these name need not be pinned. The source is locked
    /// meanwhile, and no longer.
    ///
    /// # Errors
    /// See [`TransferError`](crate::TransferError). A ref that may not move is none: see [`refs`](Self::refs).
    pub fn stock(
        source: &'r Repo,
        advertised: &BTreeMap<RefName, Checksum>,
        wanted: &Wanted<'_>,
    ) -> Result<Self> {
        let guard = source.lock(LockKind::Shared)?;
        let agenda = Agenda::of(source, advertised, wanted)?;
        let moves = agenda.updates.iter();
        let refs: BTreeMap<_, _> = moves
            .filter_map(|update| Some((update.name.clone(), update.new?)))
            .collect();
        let asks = !agenda.is_refused();
        let summary = if asks {
            summary_of(source, &refs)?
        } else {
            Vec::new()
        };
        let cargo = Cargo::pin(source, &agenda, asks, guard)?;
        Ok(Self {
            agenda,
            cargo,
            refs,
            summary,
        })
    }

    /// Returns what is known of each ref that was wanted: those that may move are not tried yet.
    pub fn refs(&self) -> impl Iterator<Item = &PushedRef> {
        self.agenda.refs()
    }

    /// Returns whether a ref may not move, so that there is nothing to take.
    pub fn is_refused(&self) -> bool {
        self.agenda.is_refused()
    }

    /// Returns whether nothing is to be done.
    pub fn is_idle(&self) -> bool {
        self.refs().all(|pushed| pushed.fate == Fate::UpToDate)
    }

    /// Returns what a path leads to, given by its names from the root down.
    ///
    /// # Errors
    /// See [`TransferError`](crate::TransferError): what the source cannot read.
    pub fn find(&self, path: &[impl AsRef<str>]) -> Result<Option<Piece<'_>>> {
        let names: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
        match names.as_slice() {
            ["config"] => Ok(Some(Piece::Bytes(CONFIG.to_vec()))),
            ["summary"] => Ok(Some(Piece::Bytes(self.summary.clone()))),
            ["refs", "heads", rest @ ..] => {
                let commit = rest
                    .join("/")
                    .parse()
                    .ok()
                    .and_then(|name: RefName| self.refs.get(&name));
                Ok(commit.map(|commit| Piece::Bytes(format!("{commit}\n").into_bytes())))
            }
            ["objects", directory, file] => {
                let name = ObjectName::from_loose(directory, file)
                    .filter(|name| name.loose_path(RepoMode::Archive).file() == *file);
                match name {
                    Some(name) if self.cargo.is_offered(&name)? => self.cargo.piece(&name),
                    _ => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }
}

/// Returns a summary that lists exactly these refs.
fn summary_of(source: &Repo, refs: &BTreeMap<RefName, Checksum>) -> Result<Vec<u8>> {
    let mut entries: Vec<SummaryRef> = Vec::with_capacity(refs.len());
    for (name, commit) in refs {
        let object = ObjectName::new(*commit, ObjectType::Commit);
        let bytes = source.load_metadata(&object)?;
        let entry = CommitEntry::of_commit(&bytes).map_err(crate::TransferError::format(object))?;
        entries.push(entry.named(name.clone(), *commit));
    }
    let summary = Summary::new(entries, VarDict::new()).map_err(crate::TransferError::format("a summary"))?;
    Ok(summary.to_bytes())
}
