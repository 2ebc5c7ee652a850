//! Finds out what is missing of commits, asks for it, and takes it in.
//!
//! What a commit consists of is read here, tree by tree, in the quarantine and in the repository: nothing is concluded from a commit or a tree
//! being there, so that holes are found and filled as well. What is missing is asked for as soon as it is known, many at
//! once; what comes is hashed before it has its name, and a tree that comes is read in turn. Requests are handed over before we
//! wait for anything, and the pusher takes them while it sends: none waits for the other.
//!
//! Memory: some 100 bytes for each object that the commits consist of, no more than one object in memory, and of content no more
//! than a message; larger content goes into a file without a name.

use super::meter::Meter;
use crate::channel::{Input, Output, malformed, unexpected};
use crate::error::{Result, TransferError};
use libdeflater::Decompressor;
use ostler_format::wire::{Batch, Encoding, Message};
use ostler_format::{Checksum, Commit, DirTree, MAX_METADATA_SIZE, ObjectName, ObjectType, parse_detached};
use ostler_repo::fs::TempFile;
use ostler_repo::{Receiving, Repo, RepoError, Transaction, Trust};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt as _;

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
    /// Commits and dirtrees that are here and have to be read, with how many directories they lie in.
    unread: Vec<(ObjectName, u32)>,
    /// What is missing and was not asked for yet: metadata, content.
    unasked: [Vec<(ObjectName, u32)>; 2],
    /// What was asked for and has not come, with how many directories it lies in.
    asked: HashMap<ObjectName, u32>,
    begun: Option<Begun>,
    /// How many bytes of large content there is room for.
    room: Option<u64>,
    meter: Meter<'a>,
    decompressor: Decompressor,
}

/// What leads on to other objects.
enum Children {
    Commit(Box<Commit>),
    Tree(DirTree),
}

/// An object of which a part has come.
#[derive(Debug)]
struct Begun {
    name: ObjectName,
    depth: u32,
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
    pub(super) fn new(transaction: &'a Transaction<'a>, target: &'a Repo, meter: Meter<'a>) -> Result<Self> {
        Ok(Self {
            transaction,
            target,
            seen: HashSet::new(),
            unread: Vec::new(),
            unasked: Default::default(),
            asked: HashMap::new(),
            begun: None,
            room: target.free_bytes()?,
            meter,
            decompressor: Decompressor::new(),
        })
    }

    /// Notes which commits are needed: of each chain the first, and the others up to one that the repository has. What is
    /// known to be damaged there is asked for, whatever is there.
    pub(super) fn begin(&mut self, chains: &[Vec<Checksum>], damaged: &BTreeSet<ObjectName>) -> Result<()> {
        let commits: usize = chains.iter().map(Vec::len).sum();
        self.meter.expect_commits(commits as u64);
        for name in damaged {
            if !self.transaction.has(name)? && self.seen.insert(*name) {
                self.ask(*name, 0);
            }
        }
        for chain in chains {
            for (place, commit) in chain.iter().enumerate() {
                let name = ObjectName::new(*commit, ObjectType::Commit);
                let is_whole = self.is_at_target(&name)? && self.target.is_partial(commit)?.is_none();
                if is_whole && place > 0 {
                    break;
                }
                self.need(name, 0)?;
                let detached = ObjectName::new(*commit, ObjectType::CommitMeta);
                if self.seen.insert(detached) {
                    self.ask(detached, 0);
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
            while let Some((name, depth)) = self.unread.pop() {
                self.read(&name, depth)?;
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
                let some = some.iter().map(|(name, _)| *name);
                output.send(&Message::Want(some.collect()))?;
            }
            self.asked.extend(names);
        }
        Ok(())
    }

    fn is_at_target(&self, name: &ObjectName) -> Result<bool> {
        let found = self.target.stat_own_object(name)?;
        Ok(found.is_some_and(|stat| stat.size > 0))
    }

    fn ask(&mut self, name: ObjectName, depth: u32) {
        let [metadata, content] = &mut self.unasked;
        match name.kind {
            ObjectType::File => content.push((name, depth)),
            _ => metadata.push((name, depth)),
        }
    }

    /// Notes that an object is needed.
    fn need(&mut self, name: ObjectName, depth: u32) -> Result<()> {
        if !self.seen.insert(name) {
            return Ok(());
        }
        self.meter.seen(self.seen.len())?;
        if !self.transaction.has(&name)? && !self.is_at_target(&name)? {
            self.ask(name, depth);
        } else if matches!(name.kind, ObjectType::Commit | ObjectType::DirTree) {
            self.unread.push((name, depth));
        }
        Ok(())
    }

    /// Reads a commit or a dirtree that is here. One of the repository that cannot be read is damaged, and asked for.
    fn read(&mut self, name: &ObjectName, depth: u32) -> Result<()> {
        match self.children(name) {
            Ok(Children::Commit(commit)) => {
                self.need(ObjectName::new(commit.root_tree, ObjectType::DirTree), 0)?;
                self.need(ObjectName::new(commit.root_meta, ObjectType::DirMeta), 0)
            }
            Ok(Children::Tree(tree)) => {
                self.meter.tree(name, &tree, depth)?;
                for file in &tree.files {
                    self.need(ObjectName::new(file.checksum, ObjectType::File), depth)?;
                }
                tree.dirs.iter().try_for_each(|dir| {
                    self.need(ObjectName::new(dir.tree, ObjectType::DirTree), depth + 1)?;
                    self.need(ObjectName::new(dir.meta, ObjectType::DirMeta), depth + 1)
                })
            }
            Err(RepoError::Corrupt { .. } | RepoError::Format { .. } | RepoError::Missing { .. })
                if !self.transaction.has(name)? =>
            {
                self.ask(*name, depth);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn children(&self, name: &ObjectName) -> Result<Children, RepoError> {
        let bytes = self.transaction.load_metadata(name)?;
        let failed = || RepoError::format(format!("object {name}"));
        if name.kind == ObjectType::Commit {
            return Commit::parse(&bytes)
                .map(|commit| Children::Commit(Box::new(commit)))
                .map_err(failed());
        }
        DirTree::parse(&bytes).map(Children::Tree).map_err(failed())
    }

    fn take(&mut self, message: Message) -> Result<()> {
        match (message, self.begun.take()) {
            (Message::Batch(batch), None) => self.take_batch(batch),
            (Message::Content { checksum, bytes }, None) => {
                let name = ObjectName::new(checksum, ObjectType::File);
                self.expect(&name)?;
                self.meter.take(bytes.len() as u64, 0)?;
                self.meter.content(&name, bytes.len() as u64)?;
                self.meter.content(&name, declared_size(&bytes))?;
                self.transaction.write_received(&checksum, bytes, RECEIVING)?;
                Ok(())
            }
            (Message::Begin(name), None) => {
                let depth = self.expect(&name)?;
                let bytes = match name.kind {
                    ObjectType::File => Bytes::File(self.transaction.temp_file()?),
                    _ => Bytes::Memory(Vec::new()),
                };
                self.begun = Some(Begun {
                    name,
                    depth,
                    size: 0,
                    bytes,
                });
                Ok(())
            }
            (Message::Data(data), Some(mut begun)) => {
                self.append(&mut begun, &data)?;
                self.begun = Some(begun);
                Ok(())
            }
            (Message::End, Some(begun)) => match begun.bytes {
                Bytes::Memory(bytes) => self.take_metadata(&begun.name, begun.depth, &bytes),
                Bytes::File(file) => {
                    let (checksum, size) = (begun.name.checksum, begun.size);
                    let mut head = [0; DECLARED_SIZE_END];
                    let read = file.file().read_at(&mut head, 0);
                    let read = read.map_err(RepoError::io("read", self.transaction.repo().path()))?;
                    let head = head.get(..read).unwrap_or_default();
                    self.meter.content(&begun.name, declared_size(head))?;
                    self.transaction
                        .write_received_file(&checksum, file, size, RECEIVING)?;
                    Ok(())
                }
            },
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// Takes an object off what is expected.
    fn expect(&mut self, name: &ObjectName) -> Result<u32> {
        let asked = self.asked.remove(name);
        asked.ok_or_else(|| TransferError::Protocol(format!("it sends {name}, which nobody asked for")))
    }

    fn append(&mut self, begun: &mut Begun, data: &[u8]) -> Result<()> {
        self.meter.take(data.len() as u64, begun.size)?;
        begun.size += data.len() as u64;
        if begun.name.kind == ObjectType::File {
            self.meter.content(&begun.name, begun.size)?;
        }
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
        let plain = inflated(batch, &mut self.decompressor)?;
        for entry in Batch::entries(&plain).map_err(malformed)? {
            let depth = self.expect(&entry.name)?;
            self.meter.take(entry.bytes.len() as u64, 0)?;
            self.take_metadata(&entry.name, depth, entry.bytes)?;
        }
        Ok(())
    }

    fn take_metadata(&mut self, name: &ObjectName, depth: u32, bytes: &[u8]) -> Result<()> {
        if name.kind == ObjectType::CommitMeta {
            if bytes.is_empty() {
                return Ok(());
            }
            let metadata = parse_detached(bytes).map_err(TransferError::format(name))?;
            return Ok(self.transaction.write_detached(&name.checksum, &metadata)?);
        }
        self.transaction.write_named_metadata(name, bytes)?;
        if matches!(name.kind, ObjectType::Commit | ObjectType::DirTree) {
            self.unread.push((*name, depth));
        }
        Ok(())
    }
}

/// Returns the entries of a batch as they are.
pub(super) fn inflated(batch: Batch, decompressor: &mut Decompressor) -> Result<Vec<u8>> {
    if batch.encoding == Encoding::Plain {
        return Ok(batch.body);
    }
    let mut plain = vec![0; batch.length];
    let inflated = decompressor.deflate_decompress(&batch.body, &mut plain);
    if inflated.ok() != Some(batch.length) {
        return Err(TransferError::Protocol(
            "a batch does not inflate to its length".into(),
        ));
    }
    Ok(plain)
}

/// Where in a `.filez` the size ends that its content has when inflated.
const DECLARED_SIZE_END: usize = 16;

/// Returns the size that the beginning of a `.filez` declares, behind the length of its header; 0 of one that has none and is refused
/// for that.
fn declared_size(beginning: &[u8]) -> u64 {
    let size = beginning.get(8..DECLARED_SIZE_END).and_then(<[u8]>::first_chunk);
    size.copied().map_or(0, u64::from_be_bytes)
}
