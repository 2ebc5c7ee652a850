//! Finds out what is missing of commits, asks for it, and takes it in.
//!
//! What a commit consists of is read here, tree by tree, in the quarantine and in the repository: nothing is concluded from a commit or a tree
//! being there, so that holes are found and filled as well. What is missing is asked for as soon as it is known, many at
//! once; what comes is hashed before it has its name, and a tree that comes is read in turn. Requests are handed over before we
//! wait for anything, and the pusher takes them while it sends: none waits for the other.
//!
//! Memory: some 100 bytes for each object that the commits consist of, no more than one object in memory, and of content no more
//! than a message; larger content goes into a file without a name.

use crate::channel::{Input, Output, malformed, unexpected};
use crate::error::{Result, TransferError};
use libdeflater::Decompressor;
use ostler_format::wire::{Batch, Encoding, Message};
use ostler_format::{Checksum, Commit, DirTree, MAX_METADATA_SIZE, ObjectName, ObjectType, parse_detached};
use ostler_repo::fs::TempFile;
use ostler_repo::{Receiving, Repo, RepoError, Transaction, Trust};
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::io::{Read, Write};

/// How many objects are asked for in one message, at most.
const ASKED_AT_ONCE: usize = 4096;

const RECEIVING: Receiving = Receiving {
    trust: Trust::Verify,
    bareuseronly: false,
};

/// What is on its way into the quarantine.
pub(super) struct Fill<'a> {
    transaction: &'a Transaction<'a>,
    /// The repository that is pushed to.
    target: &'a Repo,
    seen: HashSet<ObjectName>,
    /// Commits and dirtrees that are here and have to be read.
    unread: Vec<ObjectName>,
    /// What is missing and was not asked for yet: metadata, content.
    unasked: [Vec<ObjectName>; 2],
    /// What was asked for and has not come.
    asked: HashSet<ObjectName>,
    begun: Option<Begun>,
    /// How many bytes of large content there is room for.
    room: Option<u64>,
    decompressor: Decompressor,
}

/// An object of which a part has come.
#[derive(Debug)]
struct Begun {
    name: ObjectName,
    size: u64,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    Memory(Vec<u8>),
    File(TempFile),
}

impl fmt::Debug for Fill<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seen, asked) = (self.seen.len(), self.asked.len());
        f.debug_struct("Fill")
            .field("seen", &seen)
            .field("asked", &asked)
            .finish_non_exhaustive()
    }
}

impl<'a> Fill<'a> {
    pub(super) fn new(transaction: &'a Transaction<'a>, target: &'a Repo) -> Result<Self> {
        Ok(Self {
            transaction,
            target,
            seen: HashSet::new(),
            unread: Vec::new(),
            unasked: Default::default(),
            asked: HashSet::new(),
            begun: None,
            room: target.free_bytes()?,
            decompressor: Decompressor::new(),
        })
    }

    /// Notes which commits are needed: of each chain the first, and the others up to one that the repository has. What is
    /// known to be damaged there is asked for, whatever is there.
    pub(super) fn begin(&mut self, chains: &[Vec<Checksum>], damaged: &BTreeSet<ObjectName>) -> Result<()> {
        for name in damaged {
            if !self.transaction.has(name)? && self.seen.insert(*name) {
                self.ask(*name);
            }
        }
        for chain in chains {
            for (place, commit) in chain.iter().enumerate() {
                let name = ObjectName::new(*commit, ObjectType::Commit);
                let is_whole = self.is_at_target(&name)? && self.target.is_partial(commit)?.is_none();
                if is_whole && place > 0 {
                    break;
                }
                self.need(name)?;
                let detached = ObjectName::new(*commit, ObjectType::CommitMeta);
                if self.seen.insert(detached) {
                    self.ask(detached);
                }
                if is_whole {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Asks and takes until nothing is missing.
    pub(super) fn run(
        &mut self,
        input: &mut Input<impl Read>,
        output: &mut Output<impl Write>,
    ) -> Result<()> {
        loop {
            while let Some(name) = self.unread.pop() {
                self.read(&name)?;
                if self.unasked.iter().map(Vec::len).sum::<usize>() >= ASKED_AT_ONCE {
                    self.send_requests(output)?;
                    output.flush()?;
                }
                output.show_life()?;
            }
            let is_all_asked = self.unasked.iter().all(Vec::is_empty);
            if is_all_asked && self.asked.is_empty() && self.begun.is_none() {
                return Ok(());
            }
            // Whoever is about to wait for the other end has told it everything.
            if !is_all_asked && input.is_drained() {
                self.send_requests(output)?;
                output.flush()?;
            }
            output.show_life()?;
            let message = input.next()?;
            self.take(message)?;
        }
    }

    fn send_requests(&mut self, output: &mut Output<impl Write>) -> Result<()> {
        for names in self.unasked.each_mut().map(std::mem::take) {
            for some in names.chunks(ASKED_AT_ONCE) {
                output.send(&Message::Want(some.to_vec()))?;
            }
            self.asked.extend(names);
        }
        Ok(())
    }

    fn is_at_target(&self, name: &ObjectName) -> Result<bool> {
        let found = self.target.stat_own_object(name)?;
        Ok(found.is_some_and(|stat| stat.size > 0))
    }

    fn ask(&mut self, name: ObjectName) {
        let [metadata, content] = &mut self.unasked;
        match name.kind {
            ObjectType::File => content.push(name),
            _ => metadata.push(name),
        }
    }

    /// Notes that an object is needed.
    fn need(&mut self, name: ObjectName) -> Result<()> {
        if !self.seen.insert(name) {
            return Ok(());
        }
        if !self.transaction.has(&name)? && !self.is_at_target(&name)? {
            self.ask(name);
        } else if matches!(name.kind, ObjectType::Commit | ObjectType::DirTree) {
            self.unread.push(name);
        }
        Ok(())
    }

    /// Reads a commit or a dirtree that is here. One of the repository that cannot be read is damaged, and asked for.
    fn read(&mut self, name: &ObjectName) -> Result<()> {
        match self.children(name) {
            Ok(children) => children.into_iter().try_for_each(|child| self.need(child)),
            Err(RepoError::Corrupt { .. } | RepoError::Format { .. } | RepoError::Missing { .. })
                if !self.transaction.has(name)? =>
            {
                self.ask(*name);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn children(&self, name: &ObjectName) -> Result<Vec<ObjectName>, RepoError> {
        let bytes = self.transaction.load_metadata(name)?;
        let failed = || RepoError::format(format!("object {name}"));
        if name.kind == ObjectType::Commit {
            let commit = Commit::parse(&bytes).map_err(failed())?;
            return Ok(vec![
                ObjectName::new(commit.root_tree, ObjectType::DirTree),
                ObjectName::new(commit.root_meta, ObjectType::DirMeta),
            ]);
        }
        let tree = DirTree::parse(&bytes).map_err(failed())?;
        let files = tree.files.iter().map(|file| (file.checksum, ObjectType::File));
        let dirs = tree
            .dirs
            .iter()
            .flat_map(|dir| [(dir.tree, ObjectType::DirTree), (dir.meta, ObjectType::DirMeta)]);
        let names = files.chain(dirs);
        Ok(names
            .map(|(checksum, kind)| ObjectName::new(checksum, kind))
            .collect())
    }

    fn take(&mut self, message: Message) -> Result<()> {
        match (message, self.begun.take()) {
            (Message::Batch(batch), None) => self.take_batch(batch),
            (Message::Content { checksum, bytes }, None) => {
                let name = ObjectName::new(checksum, ObjectType::File);
                self.expect(&name)?;
                self.transaction.write_received(&checksum, bytes, RECEIVING)?;
                Ok(())
            }
            (Message::Begin(name), None) => {
                self.expect(&name)?;
                let bytes = match name.kind {
                    ObjectType::File => Bytes::File(self.transaction.temp_file()?),
                    _ => Bytes::Memory(Vec::new()),
                };
                self.begun = Some(Begun { name, size: 0, bytes });
                Ok(())
            }
            (Message::Data(data), Some(mut begun)) => {
                self.append(&mut begun, &data)?;
                self.begun = Some(begun);
                Ok(())
            }
            (Message::End, Some(begun)) => match begun.bytes {
                Bytes::Memory(bytes) => self.take_metadata(&begun.name, &bytes),
                Bytes::File(file) => {
                    let (checksum, size) = (begun.name.checksum, begun.size);
                    self.transaction
                        .write_received_file(&checksum, file, size, RECEIVING)?;
                    Ok(())
                }
            },
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// Takes an object off what is expected.
    fn expect(&mut self, name: &ObjectName) -> Result<()> {
        if self.asked.remove(name) {
            Ok(())
        } else {
            Err(TransferError::Protocol(format!(
                "it sends {name}, which nobody asked for"
            )))
        }
    }

    fn append(&self, begun: &mut Begun, data: &[u8]) -> Result<()> {
        begun.size += data.len() as u64;
        match &mut begun.bytes {
            Bytes::Memory(bytes) if begun.size > MAX_METADATA_SIZE => {
                bytes.clear();
                let text = format!("{} has more bytes than any metadata object", begun.name);
                Err(TransferError::Protocol(text))
            }
            Bytes::Memory(bytes) => {
                bytes.extend_from_slice(data);
                Ok(())
            }
            Bytes::File(file) => {
                if let Some(room) = self.room.filter(|room| begun.size > *room) {
                    return Err(TransferError::NoSpace {
                        target: self.target.path().display().to_string(),
                        needed: begun.size,
                        available: room,
                    });
                }
                let written = file.file().write_all(data);
                Ok(written.map_err(RepoError::io("write", self.transaction.repo().path()))?)
            }
        }
    }

    fn take_batch(&mut self, batch: Batch) -> Result<()> {
        let plain = match batch.encoding {
            Encoding::Plain => batch.body,
            Encoding::Deflate => {
                let mut plain = vec![0; batch.length];
                let inflated = self.decompressor.deflate_decompress(&batch.body, &mut plain);
                if inflated.ok() != Some(batch.length) {
                    return Err(TransferError::Protocol(
                        "a batch does not inflate to its length".into(),
                    ));
                }
                plain
            }
        };
        for entry in Batch::entries(&plain).map_err(malformed)? {
            self.expect(&entry.name)?;
            self.take_metadata(&entry.name, entry.bytes)?;
        }
        Ok(())
    }

    fn take_metadata(&mut self, name: &ObjectName, bytes: &[u8]) -> Result<()> {
        if name.kind == ObjectType::CommitMeta {
            if bytes.is_empty() {
                return Ok(());
            }
            let metadata = parse_detached(bytes).map_err(TransferError::format(name))?;
            return Ok(self.transaction.write_detached(&name.checksum, &metadata)?);
        }
        self.transaction.write_named_metadata(name, bytes)?;
        if matches!(name.kind, ObjectType::Commit | ObjectType::DirTree) {
            self.unread.push(*name);
        }
        Ok(())
    }
}
