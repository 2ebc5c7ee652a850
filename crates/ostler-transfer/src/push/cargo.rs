//! What a push may have to send, kept in place while it is under way: a prune of the source waits for no network.

use super::agenda::Agenda;
use crate::error::{Damage, Result, TransferError};
use crate::lists::Lists;
use crate::planner::missing_dirtree;
use ostler_format::{Checksum, MAX_METADATA_SIZE, ObjectName, ObjectType};
use ostler_repo::pin::is_link_refusal;
use ostler_repo::{ClosureDifference, LockGuard, PinDir, Repo, RepoError};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};

/// Objects of the source, and what keeps them.
#[derive(Debug)]
pub(super) struct Cargo<'r> {
    source: &'r Repo,
    pinned: Option<PinDir<'r>>,
    /// Where links are not to be had.
    _held: Option<LockGuard<'r>>,
}

impl<'r> Cargo<'r> {
    /// Pins what the far end may ask for, if it is to ask. `guard` is the shared lock under which the agenda was made.
    pub(super) fn pin(source: &'r Repo, agenda: &Agenda, asks: bool, guard: LockGuard<'r>) -> Result<Self> {
        let kept = |pinned, held| Self {
            source,
            pinned,
            _held: held,
        };
        if !asks || agenda.chains.is_empty() {
            return Ok(kept(None, None));
        }
        let names = names(source, agenda)?;
        if !source.is_writable() {
            return Ok(kept(None, Some(guard)));
        }
        match PinDir::make(source, names, []) {
            Ok(pinned) => Ok(kept(Some(pinned), None)),
            Err(RepoError::Io { source: fault, .. }) if is_link_refusal(&fault) => {
                Ok(kept(None, Some(guard)))
            }
            Err(RepoError::Missing { object }) => Err(missing(object)),
            Err(error) => Err(error.into()),
        }
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

    /// Returns the bytes of a metadata object; of detached metadata that is not there, none.
    pub(super) fn metadata(&self, name: &ObjectName) -> Result<Vec<u8>> {
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
fn names(source: &Repo, agenda: &Agenda) -> Result<Vec<ObjectName>> {
    let lists = Lists::new(source);
    let sent: BTreeSet<_> = agenda.chains.iter().flatten().copied().collect();
    let mut bases = BTreeSet::new();
    for chain in &agenda.chains {
        bases.extend(chain.last().and_then(|oldest| agenda.history.parent(oldest)));
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
            difference.add_list(&*lists.of(tip)?);
        }
        for commit in newest_first {
            difference.add(commit).map_err(missing_dirtree)?;
        }
    }
    lists.record(agenda.updates.len());
    Ok(difference.finish().child_first().collect())
}

fn missing(object: ObjectName) -> TransferError {
    TransferError::CorruptSource(vec![Damage {
        object,
        reason: "is missing".into(),
    }])
}
