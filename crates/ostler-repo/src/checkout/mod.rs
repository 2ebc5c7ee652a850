//! Checking a commit out: its tree as files and directories.
//!
//! The calling thread makes the directories, workers put the files in place. Order of effects: a directory is made
//! for its owner alone (0700), then come its contents, and only when all of them are complete its owner, extended
//! attributes, mode and time, so that nobody gets at a half-made tree, and read-only directories can be filled.
//! A file gets content, owner, extended attributes, mode and time in this order, since changing the owner takes
//! away set-user-id bits and capabilities.
//!
//! Every name is made relative to an open directory and no symbolic link is followed below the destination, not
//! even one that was there before.

mod directory;
mod file;

use crate::error::{RepoError, Result};
use crate::fs::{Dir, Linked};
use crate::repo::Repo;
use crate::walk::{MAX_DEPTH, PathEntry, load_tree, push_name, too_deep};
use crossbeam_channel::{Receiver, Sender};
use directory::Place;
use file::{Job, Placed, Worker};
use ostler_format::{Checksum, DirMeta, RepoMode, TreeDir};
use std::collections::HashMap;
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Files that wait for a worker: enough that none is ever idle; and few, since their directories stay open.
const QUEUE: usize = 64;

/// What happens where something is in the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// The destination must not exist.
    #[default]
    Never,
    /// Directories are merged, files are replaced.
    Files,
    /// Directories are merged, files are kept.
    Add,
    /// Directories are merged, files must be the same.
    Identical,
}

/// Whether files become hard links to objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HardLinks {
    /// Where the repository stores them just so: in a bare repository for full checkouts, in a bare-user repository
    /// for those in user mode, in a bare-user-only repository for both. Symbolic links of bare-user repositories
    /// and empty files are always made anew.
    #[default]
    WherePossible,
    /// As above, and where it is not possible that is an error.
    Require,
    /// Never.
    Never,
}

/// How to check out.
#[derive(Debug, Clone, Default)]
pub struct CheckoutOptions {
    /// Leave owners and extended attributes as they come, and set-user-id bits away; else all is as in the commit,
    /// which takes privileges. From a bare-user-only repository there is no other way.
    pub user_mode: bool,
    /// What happens where something is in the way.
    pub overwrite: Overwrite,
    /// Whether files become hard links.
    pub hard_links: HardLinks,
    /// Make directories with those permission bits only that bare-user-only repositories keep of files; always so
    /// for what comes from such a repository.
    pub bareuseronly_dirs: bool,
    /// Only what is at this path; of a directory its contents, of a file the file itself, in the destination.
    pub subpath: Option<String>,
    /// Whether everything is on disk on return.
    pub fsync: bool,
    /// How many threads write files; as many as there are processors by default.
    pub threads: Option<NonZero<usize>>,
}

/// What a checkout did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckoutStats {
    /// Directories made or merged.
    pub directories: u64,
    /// Files that are hard links.
    pub linked: u64,
    /// Files and symbolic links that were written.
    pub copied: u64,
    /// Files that were there and stayed.
    pub kept: u64,
    /// Bytes of content that were written.
    pub copied_bytes: u64,
}

/// What all threads share.
#[derive(Debug)]
struct Shared<'a> {
    repo: &'a Repo,
    options: &'a CheckoutOptions,
    failed: AtomicBool,
}

impl Repo {
    /// Checks the tree of a commit out into `destination`.
    ///
    /// # Errors
    /// [`RepoError::Io`] if the destination exists and nothing may be overwritten, [`RepoError::Invalid`] if hard
    /// links are required and impossible, [`RepoError::NotFound`] for a subpath that is not there, what loading
    /// objects returns and what the system answers. What was made until then stays.
    pub fn checkout(
        &self,
        commit: &Checksum,
        destination: &Path,
        options: &CheckoutOptions,
    ) -> Result<CheckoutStats> {
        let mut options = options.clone();
        // Owners and attributes are lost there, so there is nothing else to restore.
        options.user_mode |= self.mode() == RepoMode::BareUserOnly;
        let options = &options;
        self.check_hard_links(options)?;
        let options = &CheckoutOptions {
            bareuseronly_dirs: options.bareuseronly_dirs || self.mode() == RepoMode::BareUserOnly,
            ..options.clone()
        };
        let entry = self.lookup_path(commit, options.subpath.as_deref().unwrap_or("/"))?;
        let shared = Shared {
            repo: self,
            options,
            failed: AtomicBool::new(false),
        };
        let (stats, root) = match entry {
            PathEntry::Directory { tree, meta } => shared.run(destination, &tree, &meta)?,
            PathEntry::File(checksum) => shared.single(destination, &checksum)?,
        };
        if options.fsync {
            root.syncfs().map_err(RepoError::io("sync", destination))?;
        }
        Ok(stats)
    }

    fn check_hard_links(&self, options: &CheckoutOptions) -> Result<()> {
        if options.hard_links == HardLinks::Require && !links_fit(self.mode(), options.user_mode) {
            let detail = match (self.mode(), options.user_mode) {
                (RepoMode::BareUser, _) => "a bare-user repository has them only in user mode",
                (RepoMode::Archive, _) => "an archive repository has none to give",
                _ => "a bare repository has them only without user mode",
            };
            return Err(RepoError::invalid("requirement of hard links", detail));
        }
        if options.overwrite == Overwrite::Identical && options.hard_links != HardLinks::Require {
            let detail = "--union-identical requires --require-hardlinks";
            return Err(RepoError::invalid("checkout mode", detail));
        }
        Ok(())
    }
}

/// Returns whether a repository of `mode` stores files as a checkout wants them.
const fn links_fit(mode: RepoMode, user_mode: bool) -> bool {
    match mode {
        RepoMode::Bare | RepoMode::BareSplitXattrs => !user_mode,
        RepoMode::BareUser => user_mode,
        RepoMode::BareUserOnly => true,
        RepoMode::Archive => false,
    }
}

/// A directory that is being gone through.
struct Frame {
    place: Arc<Place>,
    below: std::vec::IntoIter<TreeDir>,
    /// The length of the path of the directory above.
    above: usize,
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

    fn work(&self, queue: &Receiver<Job>) -> Result<CheckoutStats> {
        let mut worker = Worker::new(self.repo, self.options);
        for job in queue {
            // After a failure the others only take the rest off the queue, lest the walk wait for ever.
            if self.failed.load(Ordering::Relaxed) {
                continue;
            }
            let done = worker
                .run(&job)
                .and_then(|()| Place::leave(job.place, self.options));
            done.inspect_err(|_| self.failed.store(true, Ordering::Relaxed))?;
        }
        Ok(worker.finish())
    }

    /// Makes the directories and hands the files out. Returns how many directories there are, and the top one.
    fn walk(
        &self,
        destination: &Path,
        tree: &Checksum,
        meta: &Checksum,
        jobs: &Sender<Job>,
    ) -> Result<(u64, Dir)> {
        let mut path = String::from("/");
        let mut directories = 1;
        let (root, fresh) = self.make_destination(destination)?;
        // There are few that differ.
        let mut metas: HashMap<Checksum, Arc<DirMeta>> = HashMap::new();
        let mut load_meta = |checksum: &Checksum| -> Result<Arc<DirMeta>> {
            if let Some(meta) = metas.get(checksum) {
                return Ok(Arc::clone(meta));
            }
            let meta = Arc::new(self.repo.load_dirmeta(checksum)?);
            metas.insert(*checksum, Arc::clone(&meta));
            Ok(meta)
        };
        let place = Place::new(root.clone(), fresh, load_meta(meta)?, None);
        let mut stack = vec![self.enter(place, tree, &path, 0, jobs)?];
        while let Some(frame) = stack.last_mut() {
            let Some(dir) = frame.below.next() else {
                path.truncate(frame.above);
                if let Some(frame) = stack.pop() {
                    Place::leave(frame.place, self.options)?;
                }
                continue;
            };
            if stack.len() >= MAX_DEPTH {
                return Err(too_deep());
            }
            let Some(frame) = stack.last() else { continue };
            let above = path.len();
            push_name(&mut path, &dir.name);
            let meta = load_meta(&dir.meta)?;
            let merge = self.options.overwrite != Overwrite::Never;
            let place = Place::below(&frame.place, &dir.name, meta, merge)?;
            directories += 1;
            stack.push(self.enter(place, &dir.tree, &path, above, jobs)?);
        }
        Ok((directories, root))
    }

    /// Hands the files of a directory out.
    fn enter(
        &self,
        place: Arc<Place>,
        tree: &Checksum,
        path: &str,
        above: usize,
        jobs: &Sender<Job>,
    ) -> Result<Frame> {
        let contents = load_tree(self.repo, tree, path)?;
        for file in contents.files {
            let job = Job {
                place: Arc::clone(&place),
                name: file.name,
                checksum: file.checksum,
            };
            if self.failed.load(Ordering::Relaxed) || jobs.send(job).is_err() {
                // What failed was a worker, and its failure is what will be reported.
                return Err(RepoError::Refused {
                    detail: "the checkout was given up".to_owned(),
                });
            }
        }
        Ok(Frame {
            place,
            below: contents.dirs.into_iter(),
            above,
        })
    }

    /// Makes the destination or, if that may be, opens it. Returns whether it was made.
    fn make_destination(&self, destination: &Path) -> Result<(Dir, bool)> {
        let failed = || RepoError::io("check out to", destination);
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
        let mut worker = Worker::new(self.repo, self.options);
        worker.place(&Placed {
            dir: &root,
            fresh: false,
            name,
            checksum,
        })?;
        Ok((worker.finish(), root))
    }
}

/// Makes a directory of the caller's choice for its owner alone.
fn make_directory(path: &Path) -> io::Result<Dir> {
    let exists = || io::Error::from(io::ErrorKind::AlreadyExists);
    // Paths that end in `..` or are the root lead to something that is there.
    let name = PathBuf::from(path.file_name().ok_or_else(exists)?);
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => Dir::open(parent)?,
        _ => Dir::open(Path::new("."))?,
    };
    match directory::make(&parent, &name)? {
        Linked::New => directory::open(&parent, &name),
        Linked::Exists => Err(exists()),
    }
}

impl CheckoutStats {
    fn add(&mut self, other: &Self) {
        self.linked += other.linked;
        self.copied += other.copied;
        self.kept += other.kept;
        self.copied_bytes += other.copied_bytes;
    }
}
