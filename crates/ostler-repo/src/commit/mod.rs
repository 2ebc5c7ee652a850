//! Making commits from directories, archives and other commits.
//!
//! The calling thread walks the sources and puts the tree together; workers read, hash and, where something is new,
//! write content objects. Between them is a queue of `QUEUE` batches of files, so memory grows with the tree's names and
//! checksums and with nothing else. Order of effects: content objects and dirmetas as they are met, dirtrees from
//! the bottom up when all content is there, the commit last; nothing is visible before the transaction is committed.

mod bootable;
mod consume;
mod devino;
mod ingest;
mod rules;
mod scan;
mod sizes;
mod tarball;
mod tree;

pub(crate) use ingest::{not_committable, usable_xattrs};
pub(crate) use scan::{open_child, utf8_name};

pub use consume::Consumed;
pub use devino::LinkedFiles;
pub use rules::{ModeChange, StatOverrides, TreeRules, parse_skip_list};
pub use tarball::{ArchiveSource, PathnameFilter};

use crate::error::{RepoError, Result};
use crate::repo::Repo;
use crate::transaction::Transaction;
use crossbeam_channel::Receiver;
use devino::InodeMap;
use ingest::{Ingest, Ingested, Job, Worker};
use ostler_format::gvariant::VarDict;
use ostler_format::{Checksum, Commit, ObjectSizes, ObjectType, RepoMode};
use rules::PathRules;
use scan::Scan;
use std::borrow::Cow;
use std::collections::HashMap;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tree::{MutableTree, WrittenTree};

/// How many files a worker takes from the queue at once: taking them one by one would cost more than reading some.
pub(super) const BATCH: usize = 8;

/// How many bytes that were read already a batch may have, about: with the batches that wait and those that the
/// workers have, what bounds the memory of a commit from an archive.
pub(super) const BATCH_BYTES: usize = 1 << 20;

/// Batches of files that wait for a worker: enough that none is ever idle; and few, since the directories that they
/// lie in stay open, beside the 512 of the repository and of staging, where a process may often have but 1,024.
const QUEUE: usize = 8;

/// Where the tree of a commit comes from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum TreeSource {
    /// A directory on disk.
    Directory(PathBuf),
    /// The tree of a commit.
    Commit(Checksum),
    /// An archive of files.
    Archive(ArchiveSource),
}

/// A commit to be made.
#[derive(Debug, Clone)]
pub struct CommitBuilder {
    /// The commit that the tree starts from, with none of the rules applied.
    pub base: Option<Checksum>,
    /// What is laid over it, one after the other: the later wins, but a directory never takes the place of a file,
    /// nor a file that of a directory.
    pub sources: Vec<TreeSource>,
    /// What is changed on the way from the sources.
    pub rules: TreeRules,
    /// What is done with files that are hard links to objects of the repository.
    pub linked_files: LinkedFiles,
    /// The parent.
    pub parent: Option<Checksum>,
    /// Whether no commit is made when root and owner, mode and attributes of the root are those of the parent.
    pub skip_if_unchanged: bool,
    /// One line on what it is.
    pub subject: String,
    /// The description.
    pub body: String,
    /// The time, in seconds since the epoch.
    pub timestamp: u64,
    /// The metadata, in the order that becomes part of the id.
    pub metadata: VarDict,
    /// Whether the metadata say which kernel the tree has. It must have one.
    pub bootable: bool,
    /// Whether the metadata say how large each object is. Only archives know.
    pub sizes: bool,
    /// How many threads read and write content; as many as there are processors by default.
    pub threads: Option<NonZero<usize>>,
}

/// What [`CommitBuilder::build`] made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitOutcome {
    /// The new commit; the parent if nothing changed and that was to be skipped.
    pub checksum: Checksum,
    /// Whether there is a new commit.
    pub is_new: bool,
    /// The dirtree of the root.
    pub root_tree: Checksum,
    /// The dirmeta of the root.
    pub root_meta: Checksum,
    /// What it took.
    pub stats: CommitStats,
}

/// Counters of one commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommitStats {
    /// Metadata objects of the commit: a dirtree and a dirmeta for each directory, and the commit.
    pub metadata_total: u64,
    /// Those that were not there before.
    pub metadata_written: u64,
    /// Content objects that were read.
    pub content_total: u64,
    /// Those that were not there before.
    pub content_written: u64,
    /// Files recognised by their inode and not read.
    pub content_cache_hits: u64,
    /// The size of the content that was not there before, uncompressed.
    pub content_written_bytes: u64,
}

impl CommitBuilder {
    /// Starts with no sources, for a commit of a time in seconds since the epoch.
    pub fn new(timestamp: u64) -> Self {
        Self {
            base: None,
            sources: Vec::new(),
            rules: TreeRules::default(),
            linked_files: LinkedFiles::default(),
            parent: None,
            skip_if_unchanged: false,
            subject: String::new(),
            body: String::new(),
            timestamp,
            metadata: VarDict::new(),
            bootable: false,
            sizes: false,
            threads: None,
        }
    }

    /// Writes the tree and the commit into a transaction. Refs, signatures and detached metadata are the caller's.
    ///
    /// # Errors
    /// [`RepoError::Refused`] for what a commit cannot hold and for sources that do not fit over one another, and
    /// what reading the sources and writing objects returns. Objects written so far stay in the transaction.
    pub fn build(&self, transaction: &Transaction<'_>) -> Result<CommitOutcome> {
        self.make(transaction, &mut None)
    }

    /// Does as [`build`](Self::build), and returns what is to be removed of the directories when the transaction
    /// is committed, or [given back](Consumed::give_back) if that fails. A bare repository may take a file over as it
    /// is; it then is an object from the moment when it was read.
    ///
    /// # Errors
    /// As for [`build`](Self::build).
    pub fn build_to_consume(&self, transaction: &Transaction<'_>) -> Result<(CommitOutcome, Consumed)> {
        let mut consumed = Some(Consumed::default());
        let made = self.make(transaction, &mut consumed);
        let mut consumed = consumed.unwrap_or_default();
        consumed.set_adopted(transaction.adopted());
        match made {
            Ok(outcome) => Ok((outcome, consumed)),
            // That a file is still an object at the same time is worse than why.
            Err(error) => consumed.give_back().and(Err(error)),
        }
    }

    /// Writes the commit of a tree that an [outcome](CommitOutcome) brought into the repository once more, with the parent
    /// that the builder has now. `None` where nothing changed since the parent and that is to be skipped.
    ///
    /// # Errors
    /// What reading and writing objects returns.
    pub fn build_again(
        &self,
        transaction: &Transaction<'_>,
        outcome: &CommitOutcome,
    ) -> Result<Option<Checksum>> {
        let tree = WrittenTree {
            tree: outcome.root_tree,
            meta: outcome.root_meta,
            dirtrees: 0,
        };
        if self.skip_if_unchanged && self.parent_has(transaction.repo(), &tree)? {
            return Ok(None);
        }
        let bytes = self.commit_of(transaction, &tree)?.to_bytes();
        transaction.write_metadata(ObjectType::Commit, &bytes).map(Some)
    }

    fn make(&self, transaction: &Transaction<'_>, consumed: &mut Option<Consumed>) -> Result<CommitOutcome> {
        let repo = transaction.repo();
        let before = transaction.stats();
        let mut stats = CommitStats::default();
        let tree = self.write_tree(transaction, consumed, &mut stats)?;
        let unchanged = self.skip_if_unchanged && self.parent_has(repo, &tree)?;
        let checksum = if let Some(parent) = self.parent.filter(|_| unchanged) {
            parent
        } else {
            stats.metadata_total += 1;
            let bytes = self.commit_of(transaction, &tree)?.to_bytes();
            transaction.write_metadata(ObjectType::Commit, &bytes)?
        };
        let after = transaction.stats();
        stats.metadata_written = after.metadata_written_objects - before.metadata_written_objects;
        stats.content_total = after.content_objects - before.content_objects;
        stats.content_written = after.content_written_objects - before.content_written_objects;
        stats.content_written_bytes = after.content_written_bytes - before.content_written_bytes;
        Ok(CommitOutcome {
            checksum,
            is_new: !unchanged,
            root_tree: tree.tree,
            root_meta: tree.meta,
            stats,
        })
    }

    fn commit_of(&self, transaction: &Transaction<'_>, tree: &WrittenTree) -> Result<Commit> {
        let mut metadata = if self.bootable {
            bootable::with_kernel(transaction, &tree.tree, &self.metadata)?
        } else {
            self.metadata.clone()
        };
        if self.sizes && transaction.repo().mode().is_archive() {
            let sizes = sizes::of_tree(transaction, tree.tree, tree.meta)?;
            metadata.append(ObjectSizes::KEY, sizes.to_value());
        }
        Ok(Commit {
            metadata,
            parent: self.parent,
            related: Vec::new(),
            subject: self.subject.clone(),
            body: self.body.clone(),
            timestamp: self.timestamp,
            root_tree: tree.tree,
            root_meta: tree.meta,
        })
    }

    fn parent_has(&self, repo: &Repo, tree: &WrittenTree) -> Result<bool> {
        let Some(parent) = &self.parent else {
            return Ok(false);
        };
        let parent = repo.load_commit(parent)?;
        Ok((parent.root_tree, parent.root_meta) == (tree.tree, tree.meta))
    }

    fn write_tree(
        &self,
        transaction: &Transaction<'_>,
        consumed: &mut Option<Consumed>,
        stats: &mut CommitStats,
    ) -> Result<WrittenTree> {
        let repo = transaction.repo();
        let mut rules = Cow::Borrowed(&self.rules);
        if repo.mode() == RepoMode::BareUserOnly {
            rules.to_mut().canonical_permissions = true;
        }
        let inodes = match self.linked_files {
            LinkedFiles::Read => InodeMap::default(),
            LinkedFiles::Reuse | LinkedFiles::ReuseAlways => InodeMap::scan(repo)?,
        };
        let mut tree = MutableTree::new(repo);
        if let Some(base) = &self.base {
            let base = repo.load_commit(base)?;
            tree.overlay(MutableTree::ROOT, base.root_tree, base.root_meta)?;
        }
        let shared = Ingest {
            repo,
            transaction,
            rules: &rules,
            linked: self.linked_files,
            inodes: &inodes,
            adopts: consumed.is_some() && matches!(repo.mode(), RepoMode::Bare | RepoMode::BareUserOnly),
        };
        self.read_sources(&shared, &mut tree, consumed, stats)?;
        if !tree.has_root() {
            return Err(RepoError::Refused {
                detail: "Can't commit an empty tree".to_owned(),
            });
        }
        let written = tree.write(transaction)?;
        stats.metadata_total += written.dirtrees;
        Ok(written)
    }

    /// Runs the workers while this thread walks the sources.
    fn read_sources(
        &self,
        shared: &Ingest<'_>,
        tree: &mut MutableTree<'_>,
        consumed: &mut Option<Consumed>,
        stats: &mut CommitStats,
    ) -> Result<()> {
        let failed = AtomicBool::new(false);
        let (jobs, queue) = crossbeam_channel::bounded::<Vec<Job>>(QUEUE);
        let work = |queue: Receiver<Vec<Job>>| -> Result<Ingested> {
            let mut worker = Worker::new(shared);
            for job in queue.into_iter().flatten() {
                // After a failure the others only take the rest off the queue, lest the walk wait for ever.
                if !failed.load(Ordering::Relaxed) {
                    worker
                        .run(&job)
                        .inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
                }
            }
            Ok(worker.finish())
        };
        let threads = self.threads.or_else(|| thread::available_parallelism().ok());
        let (walked, worked) = thread::scope(|scope| {
            let workers: Vec<_> = (0..threads.map_or(1, NonZero::get))
                .map(|_| (queue.clone(), &work))
                .map(|(queue, work)| scope.spawn(move || work(queue)))
                .collect();
            // With the last worker's end the queue closes.
            drop(queue);
            let mut scan = Scan {
                shared,
                tree,
                paths: PathRules::new(shared.rules),
                jobs,
                batch: Vec::with_capacity(BATCH),
                batch_bytes: 0,
                metas: HashMap::new(),
                dirmetas: 0,
                consumed: consumed.take(),
                failed: &failed,
            };
            let walked = self.walk_sources(&mut scan).and_then(|()| scan.submit_rest());
            stats.metadata_total += scan.dirmetas;
            // The queue ends with the sender.
            let Scan {
                paths,
                jobs,
                consumed: noted,
                ..
            } = scan;
            drop(jobs);
            *consumed = noted;
            let walked = walked.and_then(|()| paths.finish());
            if walked.is_err() {
                failed.store(true, Ordering::Relaxed);
            }
            let worked: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).collect();
            (walked, worked)
        });
        for worker in worked {
            let done = worker.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            stats.content_cache_hits += done.cache_hits;
            for (slot, checksum) in done.files {
                tree.set_file(slot, checksum);
            }
            if let Some(consumed) = consumed {
                for (place, identity) in done.read {
                    consumed.read(place, identity);
                }
            }
        }
        walked
    }

    fn walk_sources(&self, scan: &mut Scan<'_, '_>) -> Result<()> {
        for source in &self.sources {
            match source {
                TreeSource::Directory(path) => scan.directory(path)?,
                TreeSource::Commit(checksum) => {
                    let commit = scan.shared.repo.load_commit(checksum)?;
                    scan.commit(commit.root_tree, commit.root_meta)?;
                }
                TreeSource::Archive(archive) => scan.archive(archive)?,
            }
        }
        Ok(())
    }
}
