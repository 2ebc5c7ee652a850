//! What becomes of a body that came over the network: objects are checked and staged, everything else is read.
//!
//! Large bodies go to files without names in the staging directory of the transaction. Each request that may bring one is lent
//! such a file; those that are not used serve again, so that there are no more than requests in flight.

use super::crew::{Crew, Need, lock};
use super::progress::count;
use crate::error::{Result, TransferError};
use crate::http::{Answer, Body};
use ostler_format::gvariant::VarDict;
use ostler_format::{Checksum, ObjectName, ObjectType, parse_detached};
use ostler_repo::fs::TempFile;
use ostler_repo::{Receiving, RepoError, Transaction, Trust};
use std::collections::HashMap;
use std::fs::File;
use std::io::Seek as _;
use std::sync::Mutex;

/// Files for large bodies: those that are lent out, by the request, and those that are free.
#[derive(Debug, Default)]
pub(super) struct SpareFiles {
    lent: Mutex<HashMap<u64, TempFile>>,
    free: Mutex<Vec<TempFile>>,
}

impl SpareFiles {
    /// Lends an empty file to a request.
    pub(super) fn lend(&self, transaction: &Transaction<'_>, id: u64) -> Result<File> {
        let free = lock(&self.free).pop();
        let temp = free.map_or_else(|| transaction.temp_file(), Ok)?;
        let file = temp.file().try_clone();
        let file = file.map_err(RepoError::io("share", "a temporary file"))?;
        lock(&self.lent).insert(id, temp);
        Ok(file)
    }

    /// Takes back what a request was lent.
    pub(super) fn take_back(&self, id: u64) -> Option<TempFile> {
        lock(&self.lent).remove(&id)
    }

    /// Keeps a file that was not needed, empty: a try that broke off may have written to it.
    fn keep(&self, temp: Option<TempFile>) {
        let emptied = |temp: &TempFile| temp.file().set_len(0).is_ok() && temp.file().rewind().is_ok();
        lock(&self.free).extend(temp.filter(emptied));
    }
}

/// A body, wherever it is.
pub(super) enum Came {
    Memory(Body),
    File(TempFile, u64),
}

impl Crew<'_> {
    /// Takes what came for a need.
    pub(super) fn take(&self, need: &Need, answer: Answer, lent: Option<TempFile>) -> Result<()> {
        if !need.may_be_large() {
            // As stock counts: answers, also those that there is no such file.
            count(&self.counters.metadata, 1);
        }
        let came = match (answer, lent) {
            (Answer::NotFound(missing), lent) => {
                self.spare.keep(lent);
                return self.take_absence(need, missing.into());
            }
            (Answer::Memory(body), lent) => {
                self.spare.keep(lent);
                Came::Memory(body)
            }
            (Answer::File(_, size), Some(temp)) => Came::File(temp, size),
            (Answer::File(file, size), None) => {
                // The client decided for a file by itself: it has none of ours.
                return Err(self.bad_body(
                    need,
                    RepoError::invalid("body", format!("{file:?} of {size} bytes")),
                ));
            }
        };
        if let Need::DeltaPart(task, index) = need {
            return self.take_part(need, task, *index, came);
        }
        if let Need::Leaf(name) = need
            && name.kind == ObjectType::File
        {
            return self.take_content(need, &name.checksum, came);
        }
        let Came::Memory(body) = came else {
            return Err(self.bad_body(need, RepoError::invalid("body", "metadata in a file")));
        };
        self.take_metadata(need, body)
    }

    fn take_metadata(&self, need: &Need, body: Body) -> Result<()> {
        match need {
            Need::Leaf(name) => {
                self.write_metadata(need, name, &body)?;
                Ok(())
            }
            Need::Tree(task) => {
                let name = ObjectName::new(task.tree, ObjectType::DirTree);
                self.write_metadata(need, &name, &body)?;
                self.scan(task, &body)
            }
            Need::Detached(task) => {
                let metadata = self.read_detached(need, &body)?;
                self.detached_arrived(task, Some(metadata))
            }
            Need::Commit(task) => {
                let name = ObjectName::new(task.checksum, ObjectType::Commit);
                self.check_commit_bytes(need, &name, &body)?;
                self.commit_arrived(task, body.into_vec())
            }
            Need::Tombstone(commit) => {
                self.scene.repo.write_tombstone(commit)?;
                Ok(())
            }
            Need::DeltaIndex(task) => self.take_delta_index(need, task, &body),
            Need::Superblock(task, name, digest) => self.take_superblock(need, task, *name, *digest, &body),
            Need::DeltaPart(..) => Ok(()),
        }
    }

    /// Deals with what the remote has not.
    fn take_absence(&self, need: &Need, missing: TransferError) -> Result<()> {
        match need {
            Need::Detached(task) => self.detached_arrived(task, None),
            Need::DeltaIndex(task) | Need::Superblock(task, ..) => self.no_delta(task),
            Need::Tombstone(_) => Ok(()),
            Need::DeltaPart(delta, _) => self.part_failed(delta, missing),
            // History ends where the remote's does.
            Need::Commit(task) if !task.is_target => {
                if self.scene.upstream.tombstones {
                    self.fetch(Need::Tombstone(task.checksum));
                }
                Ok(())
            }
            _ => Err(missing),
        }
    }

    fn take_content(&self, need: &Need, checksum: &Checksum, came: Came) -> Result<()> {
        let transaction = self.scene.transaction;
        let receiving = self.receiving();
        let written = match came {
            Came::Memory(body) => transaction.write_received(checksum, body.into_vec(), receiving),
            Came::File(temp, size) => transaction.write_received_file(checksum, temp, size, receiving),
        };
        written.map_err(|error| self.judge(need, error))?;
        count(&self.counters.content, 1);
        Ok(())
    }

    fn receiving(&self) -> Receiving {
        let options = self.scene.options;
        let believed = options.http_trusted
            && options.mirror
            && self.scene.repo.mode().is_archive()
            && !options.bareuseronly_files;
        Receiving {
            trust: if believed { Trust::Trusted } else { Trust::Verify },
            bareuseronly: options.bareuseronly_files,
        }
    }

    pub(super) fn write_metadata(&self, need: &Need, name: &ObjectName, bytes: &[u8]) -> Result<()> {
        let written = self.scene.transaction.write_named_metadata(name, bytes);
        written.map(drop).map_err(|error| self.judge(need, error))
    }

    pub(super) fn read_detached(&self, need: &Need, bytes: &[u8]) -> Result<VarDict> {
        parse_detached(bytes).map_err(|error| {
            let subject = need
                .object()
                .map_or_else(String::new, |name| format!("object {name}"));
            self.bad_body(need, RepoError::format(subject)(error))
        })
    }

    /// Tells bytes that are not what they should be from what keeps us from writing them.
    pub(super) fn judge(&self, need: &Need, error: RepoError) -> TransferError {
        match error {
            RepoError::Corrupt { .. } | RepoError::Format { .. } => self.bad_body(need, error),
            other => other.into(),
        }
    }
}
