//! What a push may have to send, kept in place while it is under way: a prune of the source waits for no network.
//!
//! What the offered commits consist of is known here, and nothing else is given: not to know the name of an object is no protection for
//! what the source has beside.

use super::agenda::Agenda;
use super::late;
use super::shelf::Piece;
use crate::error::{Damage, Result, TransferError};
use crate::lists::Lists;
use crate::planner::missing_dirtree;
use ostler_format::{Checksum, MAX_METADATA_SIZE, ObjectName, ObjectType};
use ostler_repo::pin::is_link_refusal;
use ostler_repo::{ClosureDifference, LockGuard, PinDir, Repo, RepoError};
use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::sync::OnceLock;

/// Objects of the source, and what keeps them.
#[derive(Debug)]
pub(super) struct Cargo<'r> {
    source: &'r Repo,
    pinned: Option<PinDir<'r>>,
    /// Where links are not to be had.
    _held: Option<LockGuard<'r>>,
    /// The commits of the chains.
    commits: HashSet<Checksum>,
    /// Commits of which the far end may ask for signatures, and for nothing else.
    beside: HashSet<Checksum>,
    /// What they need beyond commits that the far end has, sorted.
    lacking: Vec<ObjectName>,
    /// All that they need, sorted: walked when something else is asked for, since the far end may have lost anything.
    whole: OnceLock<Vec<ObjectName>>,
    /// The number of objects of which the commits consist, or somewhat more.
    most: usize,
}

/// What the chains need.
#[derive(Default)]
struct Need {
    lacking: Vec<ObjectName>,
    most: usize,
}

impl<'r> Cargo<'r> {
    /// Pins what the far end may ask for, if it is to ask. `guard` is the shared lock under which the agenda was made.
    pub(super) fn pin(source: &'r Repo, agenda: &Agenda, asks: bool, guard: LockGuard<'r>) -> Result<Self> {
        let is_needed = asks && !agenda.chains.is_empty();
        let Need { lacking, most } = if is_needed {
            need(source, agenda)?
        } else {
            Need::default()
        };
        let (pinned, held) = if !is_needed {
            (None, None)
        } else if !source.is_writable() {
            (None, Some(guard))
        } else {
            match PinDir::make(source, lacking.iter().copied(), []) {
                Ok(pinned) => (Some(pinned), None),
                Err(RepoError::Io { source: fault, .. }) if is_link_refusal(&fault) => (None, Some(guard)),
                Err(RepoError::Missing { object }) => return Err(missing(object)),
                Err(error) => return Err(error.into()),
            }
        };
        let commits: HashSet<_> = agenda.chains.iter().flatten().copied().collect();
        Ok(Self {
            source,
            pinned,
            _held: held,
            // Each commit, and what is detached from it.
            most: most + 2 * commits.len() + agenda.beside.len(),
            commits,
            beside: agenda.beside.iter().map(|told| told.commit).collect(),
            lacking,
            whole: OnceLock::new(),
        })
    }

    /// Returns whether an object is part of what was offered.
    pub(super) fn is_offered(&self, name: &ObjectName) -> Result<bool> {
        if name.kind == ObjectType::CommitMeta && self.beside.contains(&name.checksum) {
            return Ok(true);
        }
        if matches!(name.kind, ObjectType::Commit | ObjectType::CommitMeta) {
            return Ok(self.commits.contains(&name.checksum));
        }
        if self.lacking.binary_search(name).is_ok() {
            return Ok(true);
        }
        let whole = if let Some(whole) = self.whole.get() {
            whole
        } else {
            let walked = self.walk()?;
            self.whole.get_or_init(|| walked)
        };
        Ok(whole.binary_search(name).is_ok())
    }

    /// Returns how many objects there are to ask for, at most.
    pub(super) const fn most(&self) -> usize {
        self.most
    }

    fn walk(&self) -> Result<Vec<ObjectName>> {
        let mut all = ClosureDifference::new(self.source, Vec::new());
        for commit in &self.commits {
            all.add(commit).map_err(missing_dirtree)?;
        }
        let mut names: Vec<_> = all.finish().child_first().collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Opens an object as an archive stores it.
    pub(super) fn open(&self, name: &ObjectName) -> Result<Box<dyn Read + '_>> {
        let opened = if name.kind == ObjectType::File && !self.source.mode().is_archive() {
            self.compressed(&name.checksum)
        } else {
            self.stored(name).map(|file| Box::new(file) as Box<dyn Read>)
        };
        opened.map_err(|fault| Damage::wrap(*name, fault))
    }

    /// Returns an object as an archive stores it, for somebody who takes files; detached metadata that is not there is none.
    pub(super) fn piece(&self, name: &ObjectName) -> Result<Option<Piece<'_>>> {
        if name.kind == ObjectType::CommitMeta {
            let bytes = self.metadata(name)?;
            return Ok((!bytes.is_empty()).then_some(Piece::Bytes(bytes)));
        }
        let found = if name.kind == ObjectType::File && !self.source.mode().is_archive() {
            self.compressed(&name.checksum).map(Piece::Stream)
        } else {
            self.stored(name).map(Piece::File)
        };
        found.map(Some).map_err(|fault| Damage::wrap(*name, fault))
    }

    /// Returns the bytes of a metadata object; of detached metadata that is not there, none.
    pub(super) fn metadata(&self, name: &ObjectName) -> Result<Vec<u8>> {
        if name.kind == ObjectType::CommitMeta && !self.commits.contains(&name.checksum) {
            return Ok(late::signed(self.source, &name.checksum)?.to_bytes());
        }
        if name.kind == ObjectType::CommitMeta {
            return match self.source.load_metadata(name) {
                Err(error) if error.is_not_found() => Ok(Vec::new()),
                loaded => Ok(loaded?),
            };
        }
        let mut bytes = Vec::new();
        let mut limited = self.open(name)?.take(MAX_METADATA_SIZE + 1);
        let read = limited.read_to_end(&mut bytes);
        read.map_err(RepoError::io(
            "read",
            self.source.root().path_of(name.to_string()),
        ))?;
        if bytes.len() as u64 > MAX_METADATA_SIZE {
            let reason = "is larger than any metadata object".to_owned();
            return Err(TransferError::CorruptSource(vec![Damage {
                object: *name,
                reason,
            }]));
        }
        Ok(bytes)
    }

    fn compressed(&self, checksum: &Checksum) -> Result<Box<dyn Read + '_>, RepoError> {
        let stream = match self.pinned.as_ref().map(|pinned| pinned.archive_stream(checksum)) {
            Some(Ok(stream)) => stream,
            // Nothing that the far end should lack, and it does.
            None | Some(Err(_)) => self.source.archive_stream(checksum)?,
        };
        Ok(Box::new(stream))
    }

    fn stored(&self, name: &ObjectName) -> Result<File, RepoError> {
        if let Some(pinned) = &self.pinned
            && let Ok((dir, path)) = pinned.place_of(name)
            && let Ok(file) = dir.open_file(&path)
        {
            return Ok(file);
        }
        let (dir, path) = self.source.place_of(name)?;
        dir.open_file(&path).map_err(|fault| match fault.kind() {
            io::ErrorKind::NotFound => RepoError::Missing { object: *name },
            _ => RepoError::io("open", dir.path_of(&path))(fault),
        })
    }
}

/// Lists what the chains need beyond the commits that they follow.
fn need(source: &Repo, agenda: &Agenda) -> Result<Need> {
    let lists = Lists::new(source);
    let mut most = 0;
    let sent: BTreeSet<_> = agenda.chains.iter().flatten().copied().collect();
    let mut bases = BTreeSet::new();
    for chain in &agenda.chains {
        let oldest = chain.last().filter(|oldest| !agenda.cut.contains(*oldest));
        bases.extend(oldest.and_then(|oldest| agenda.history.parent(oldest)));
    }
    bases.extend(agenda.updates.iter().filter_map(|update| update.old));
    let mut held = Vec::new();
    for base in bases.difference(&sent) {
        if agenda.history.is_complete(source, base)?
            && let Some(list) = lists.of_base(base)?
        {
            held.extend(list.names());
        }
    }
    let mut difference = ClosureDifference::new(source, held);
    for chain in &agenda.chains {
        let mut newest_first = chain.iter();
        if let Some(tip) = newest_first.next() {
            let list = lists.of(tip)?;
            most += list.len();
            difference.add_list(&list);
        }
        for commit in newest_first {
            difference.add(commit).map_err(missing_dirtree)?;
        }
    }
    lists.record(agenda.updates.len());
    let mut lacking: Vec<_> = difference.finish().child_first().collect();
    lacking.sort_unstable();
    most += lacking.len();
    Ok(Need { lacking, most })
}

fn missing(object: ObjectName) -> TransferError {
    TransferError::CorruptSource(vec![Damage {
        object,
        reason: "is missing".into(),
    }])
}
