//! The destination of a publish: a repository that is there, or one that is made for the run.
//!
//! Order of effects: it is made when the refs that are published are known to be there. Where the run is refused after
//! that, what was made is removed again, under the lease and only if it is still empty: the lock, then `objects`, without which it is
//! no repository, then the rest.

use super::{Args, nothing_published};
use crate::commands::target;
use crate::context::Context;
use crate::exit;
use anyhow::Context as _;
use ostler_format::RepoMode;
use ostler_repo::Repo;
use ostler_repo::fs::Dir;
use ostler_transfer::{DirStore, MemoryStore, Selection, Snapshot, Store, TransferError};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where is published to.
pub(super) struct Destination {
    store: Box<dyn Store>,
    made: Option<Made>,
}

/// A repository that this run made.
struct Made {
    path: PathBuf,
    /// Whether its directory was there before, empty.
    had_directory: bool,
}

impl Destination {
    /// Opens the target, or makes it where there is nothing yet, or only what a making that was cut short left. A dry run
    /// makes nothing and compares with an empty target. The source is no target of its own: what is not published would be
    /// retired and swept there, from the only place where it is.
    pub(super) fn open(
        context: &Context,
        args: &Args,
        source: &Repo,
        selection: &Selection,
    ) -> anyhow::Result<Self> {
        let path = &args.destination;
        target::refuse_nested(path, source)?;
        let mut made = None;
        if is_unmade(path)? {
            Snapshot::take(source, selection).with_context(|| nothing_published(args))?;
            if args.dry_run {
                return Ok(Self {
                    store: Box::new(MemoryStore::default()),
                    made,
                });
            }
            let had_directory = path.exists();
            let was_empty =
                !had_directory || fs::read_dir(path).is_ok_and(|mut found| found.next().is_none());
            make_target(path, source)?;
            made = was_empty.then(|| Made {
                path: path.clone(),
                had_directory,
            });
        } else {
            refuse_other(path)?;
        }
        let repo = context.open_at(path)?;
        if source.root().is_same(repo.root())? {
            let (target, source) = (path.display(), source.root().path().display());
            return Err(exit::usage(format!(
                "{target} is {source}, the repository that is published itself"
            )));
        }
        let is_mounted = args.remote_fs || (!args.local_fs && target::is_mounted(&repo)?);
        let store: Box<dyn Store> = if is_mounted {
            target::mounted(context, repo, args.jobs)
        } else {
            Box::new(DirStore::new(repo).sharing_files(!args.copy))
        };
        Ok(Self { store, made })
    }

    /// Returns the target.
    pub(super) fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Removes what was made for a run that failed, unless anything has come there since. What has arrived and is of use to another
    /// run stays.
    pub(super) fn undo(&self, error: &TransferError) {
        let Some(made) = &self.made else { return };
        let refused = matches!(
            error,
            TransferError::Refused(_)
                | TransferError::Summary(_)
                | TransferError::CorruptSource(_)
                | TransferError::PartialSource { .. }
                | TransferError::NoSuchRef(_)
        );
        // The refusal is what matters: a repository that cannot be removed is an empty one.
        if refused && self.store.forget().is_err() {
            return;
        }
        if let Ok(Some(lease)) = self.store.try_lease() {
            drop(made.remove());
            drop(lease);
        }
    }
}

impl Made {
    fn remove(&self) -> io::Result<()> {
        let Some(directories) = directories_if_empty(&self.path)? else {
            return Ok(());
        };
        let objects = self.path.join("objects");
        let (first, rest): (Vec<_>, Vec<_>) =
            (directories.into_iter().rev()).partition(|path| path.starts_with(&objects));
        remove_if_there(&self.path.join(LOCK))?;
        first.iter().try_for_each(fs::remove_dir)?;
        remove_if_there(&self.path.join(FLIP_LOCK))?;
        remove_if_there(&self.path.join(LEASE))?;
        rest.iter().try_for_each(fs::remove_dir)?;
        remove_if_there(&self.path.join(CONFIG))?;
        if self.had_directory {
            return Ok(());
        }
        fs::remove_dir(&self.path)
    }
}

/// The files of a repository that nothing was published to.
const CONFIG: &str = "config";
const LOCK: &str = ".lock";
const FLIP_LOCK: &str = "extensions/ostler/lock";
const LEASE: &str = "extensions/ostler/lease";

/// Returns the directories of a repository, each before those in it; `None` if there is any file in them but for those of a new
/// repository.
fn directories_if_empty(path: &Path) -> io::Result<Option<Vec<PathBuf>>> {
    let mut found = vec![path.to_owned()];
    let mut next = 0;
    while let Some(directory) = found.get(next).cloned() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let known = [CONFIG, LOCK, FLIP_LOCK, LEASE].map(|file| path.join(file));
            if entry.file_type()?.is_dir() {
                found.push(entry.path());
            } else if !known.contains(&entry.path()) {
                return Ok(None);
            }
        }
        next += 1;
    }
    found.remove(0);
    Ok(Some(found))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Makes a repository of the source's collection, so that summaries list its refs as those of the source do.
fn make_target(path: &Path, source: &Repo) -> anyhow::Result<()> {
    let made = Repo::create(path, RepoMode::Archive, source.config().collection_id());
    made.with_context(|| format!("cannot make a repository at {}", path.display()))?;
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    // The new name has to last as well.
    let synced = Dir::open(parent).and_then(|parent| parent.fsync());
    synced.with_context(|| {
        format!(
            "cannot sync {}, the directory of {}",
            parent.display(),
            path.display()
        )
    })
}

/// Refuses a directory that holds other things and no repository: nothing is put among what somebody else keeps there.
fn refuse_other(path: &Path) -> anyhow::Result<()> {
    let found = fs::metadata(path.join("objects"));
    if !found.is_err_and(|fault| fault.kind() == io::ErrorKind::NotFound) {
        return Ok(());
    }
    Err(exit::usage(format!(
        "{} is not empty and no repository: name a repository, or a directory that is empty or not there",
        path.display()
    )))
}

/// What making a repository makes before `objects`, which makes it one.
const HALF_MADE: [&str; 5] = ["config", "tmp", "extensions", "state", "refs"];

/// Returns whether there is no repository at `path` and one may be made there.
fn is_unmade(path: &Path) -> anyhow::Result<bool> {
    let names = match fs::read_dir(path) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<Result<Vec<_>, _>>(),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(fault) => Err(fault),
    };
    let names = names.with_context(|| format!("cannot look into {}", path.display()))?;
    Ok(names.iter().all(|name| HALF_MADE.iter().any(|half| name == half)))
}
