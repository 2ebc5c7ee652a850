//! Checking a commit out: its tree as files and directories.
//!
//! The calling thread makes the directories, workers put the files in place. Order of effects: a directory is made
//! for its owner alone (0700), then come its contents, and only when all of them are complete its owner, extended
//! attributes, mode and time, so that nobody gets at a half-made tree, and read-only directories can be filled.
//! A file gets content, owner, extended attributes and mode in this order, since changing the owner takes
//! away set-user-id bits and capabilities.
//!
//! Every name is made relative to an open directory. A symbolic link that was there before may stand for a directory
//! of the commit, and is followed as long as it leads to a place in the destination; no other is.

mod cache;
mod directory;
mod existing;
mod file;
mod link;
mod options;
mod walk;
mod whiteout;

pub use options::{CheckoutOptions, CheckoutReporter, CheckoutStats, HardLinks, Overwrite};

use crate::error::{RepoError, Result};
use crate::fs::{Dir, Linked};
use crate::repo::Repo;
use crate::walk::{Descend, PathEntry, WalkEntry};
use cache::Cache;
use crossbeam_channel::Receiver;
use directory::Place;
use file::{Job, Placed, Worker};
use ostler_format::{Checksum, RepoMode};
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// Files that wait for a worker: enough that none is ever idle; and few, since their directories stay open.
const QUEUE: usize = 64;
/// After so many files a reporter is told.
const REPORT_EVERY: u64 = 64;

/// What all threads share.
#[derive(Debug)]
struct Shared<'a> {
    repo: &'a Repo,
    options: &'a CheckoutOptions,
    cache: Option<Cache<'a>>,
    failed: AtomicBool,
    found: AtomicU64,
    done: AtomicU64,
}

impl Repo {
    /// Checks the tree of a commit out into `destination`.
    ///
    /// # Errors
    /// [`RepoError::Io`] if the destination exists and nothing may be overwritten and for a subpath that is not there,
    /// [`RepoError::Refused`] if hard links are required and impossible, what loading objects returns and what the
    /// system answers. What was made until then stays.
    pub fn checkout(
        &self,
        commit: &Checksum,
        destination: &Path,
        options: &CheckoutOptions,
    ) -> Result<CheckoutStats> {
        options.check()?;
        // Owners and attributes are lost there, so there is nothing else to restore.
        let bare_user_only = self.mode() == RepoMode::BareUserOnly;
        let options = &CheckoutOptions {
            user_mode: options.user_mode || bare_user_only,
            bareuseronly_dirs: options.bareuseronly_dirs || bare_user_only,
            ..options.clone()
        };
        let entry = self.lookup_path(commit, options.subpath.as_deref().unwrap_or("/"))?;
        self.check_hard_links(options, &entry, destination)?;
        let shared = Shared {
            repo: self,
            options,
            cache: Cache::of(self, options),
            failed: AtomicBool::new(false),
            found: AtomicU64::new(0),
            done: AtomicU64::new(0),
        };
        let (stats, root) = match entry {
            PathEntry::Directory { .. } if options.skip.contains("/") => return Ok(CheckoutStats::default()),
            PathEntry::Directory { tree, meta } => shared.run(destination, &tree, &meta)?,
            PathEntry::File(checksum) => shared.single(destination, &checksum)?,
        };
        if options.fsync {
            root.syncfs().map_err(RepoError::io("sync", destination))?;
        }
        Ok(stats)
    }

    /// Where hard links are required and this repository has none to give, checks that none is needed.
    fn check_hard_links(
        &self,
        options: &CheckoutOptions,
        entry: &PathEntry,
        destination: &Path,
    ) -> Result<()> {
        if options.hard_links != HardLinks::Require || options.links_fit(self.mode()) {
            return Ok(());
        }
        // As in stock, that it is another file system comes first.
        if let Some(there) = existing_part(destination).and_then(|path| Dir::open(path).ok()) {
            options::check_device(self, &there)?;
        }
        let check = |path: &str, checksum: &Checksum| {
            if options.skip.contains(path) || whiteout::is_obeyed(options, path) {
                return Ok(());
            }
            let reader = self.open_content(checksum)?;
            let header = reader.header();
            let stored_otherwise = header.is_symlink() && self.mode() == RepoMode::BareUser;
            if stored_otherwise || options.always_copied(header, reader.size()) {
                return Ok(());
            }
            Err(options::no_hard_links(self.mode()))
        };
        match entry {
            PathEntry::File(checksum) => check("", checksum),
            PathEntry::Directory { tree, meta } => self.walk_tree(tree, meta, &mut |entry| match entry {
                WalkEntry::File { path, checksum } => check(path, &checksum).map(|()| Descend::Yes),
                WalkEntry::Directory { path, .. } if walk::skips_directory(options, path) => {
                    Ok(Descend::Skip)
                }
                WalkEntry::Directory { .. } => Ok(Descend::Yes),
            }),
        }
    }
}

impl Shared<'_> {
    /// Checks a directory out.
    fn run(&self, destination: &Path, tree: &Checksum, meta: &Checksum) -> Result<(CheckoutStats, Dir)> {
        let (jobs, queue) = crossbeam_channel::bounded::<Job>(QUEUE);
        let threads = self
            .options
            .threads
            .or_else(|| thread::available_parallelism().ok());
        let (walked, worked) = thread::scope(|scope| {
            let workers: Vec<_> = (0..threads.map_or(1, NonZero::get))
                .map(|_| queue.clone())
                .map(|queue| scope.spawn(move || self.work(&queue)))
                .collect();
            // With the last worker's end the queue closes.
            drop(queue);
            let walked = self.walk(destination, tree, meta, &jobs);
            drop(jobs);
            if walked.is_err() {
                self.failed.store(true, Ordering::Relaxed);
            }
            let worked: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).collect();
            (walked, worked)
        });
        let mut stats = CheckoutStats::default();
        for worker in worked {
            stats.add(&worker.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        let (directories, root) = walked?;
        stats.directories = directories;
        Ok((stats, root))
    }

    fn worker(&self) -> Worker<'_> {
        Worker::new(self.repo, self.options, self.cache.as_ref())
    }

    /// Counts a file that is done, and says so now and then.
    fn report(&self) {
        let Some(reporter) = &self.options.reporter else {
            return;
        };
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if done.is_multiple_of(REPORT_EVERY) {
            reporter.progress(done, self.found.load(Ordering::Relaxed));
        }
    }

    fn work(&self, queue: &Receiver<Job>) -> Result<CheckoutStats> {
        let mut worker = self.worker();
        for job in queue {
            // After a failure the others only take the rest off the queue, lest the walk wait for ever.
            if self.failed.load(Ordering::Relaxed) {
                continue;
            }
            let done = worker
                .run(&job)
                .and_then(|()| Place::leave(job.place, self.options));
            done.inspect_err(|_| self.failed.store(true, Ordering::Relaxed))?;
            self.report();
        }
        Ok(worker.finish())
    }

    /// Makes the destination, with nothing in it if the commit is `opaque`, or opens it, if that may be. Returns
    /// whether it was made.
    fn make_destination(&self, destination: &Path, opaque: bool) -> Result<(Dir, bool)> {
        let failed = || RepoError::io("check out to", destination);
        if opaque {
            let (parent, name) = parent_and_name(destination).map_err(failed())?;
            parent.remove_tree(name).map_err(failed())?;
        }
        match make_directory(destination) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if self.options.overwrite == Overwrite::Never {
                    let text = "mkdirat: File exists";
                    return Err(failed()(io::Error::new(io::ErrorKind::AlreadyExists, text)));
                }
                Ok((Dir::open(destination).map_err(failed())?, false))
            }
            made => Ok((made.map_err(failed())?, true)),
        }
    }

    /// Checks one file out, into a directory that may exist.
    fn single(&self, destination: &Path, checksum: &Checksum) -> Result<(CheckoutStats, Dir)> {
        let failed = || RepoError::io("check out to", destination);
        let root = match make_directory(destination) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Dir::open(destination),
            made => made,
        };
        let root = root.map_err(failed())?;
        let subpath = self.options.subpath.as_deref().unwrap_or_default();
        let name = subpath
            .rsplit('/')
            .find(|name| !name.is_empty())
            .unwrap_or_default();
        let mut worker = self.worker();
        if self.white_out(&root, name, checksum)? {
            return Ok((worker.finish(), root));
        }
        worker.place(&Placed {
            dir: &root,
            fresh: false,
            name,
            checksum,
        })?;
        Ok((worker.finish(), root))
    }
}

/// Returns as much of a path as is a directory.
fn existing_part(path: &Path) -> Option<&Path> {
    let here = Path::new(".");
    let named = |above: &&Path| !above.as_os_str().is_empty();
    let found = path.ancestors().filter(named).find(|above| above.is_dir());
    found.or_else(|| path.is_relative().then_some(here))
}

/// Makes a directory of the caller's choice for its owner alone.
fn make_directory(path: &Path) -> io::Result<Dir> {
    let (parent, name) = parent_and_name(path)?;
    match directory::make(&parent, &name)? {
        Linked::New => directory::open(&parent, &name),
        Linked::Exists => Err(io::ErrorKind::AlreadyExists.into()),
    }
}

/// Opens the directory that a path of the caller's choice lies in. Paths that end in `..` or are the root lead to
/// something that is there.
fn parent_and_name(path: &Path) -> io::Result<(Dir, PathBuf)> {
    let name = path.file_name().ok_or(io::ErrorKind::AlreadyExists)?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => Dir::open(parent)?,
        _ => Dir::open(Path::new("."))?,
    };
    Ok((parent, PathBuf::from(name)))
}
