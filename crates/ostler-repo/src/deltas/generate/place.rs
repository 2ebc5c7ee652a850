//! Putting a delta where it belongs.
//!
//! In a repository all files are written into a directory of their own in `tmp/`, parts first and the superblock last, and
//! synced. Then the directory gets the delta's name in one step: by a rename where nothing has that name, else by an
//! exchange of the two directories, after which the old one is removed. Who reads sees the old delta or the new one, never
//! the superblock of one with the parts of the other. What a process that died left in `tmp/` the next one removes.
//!
//! In a file of the user's choice the superblock is that file, and parts lie beside it: all are written without a name,
//! and get theirs one by one, the superblock last.

use crate::error::{RepoError, Result};
use crate::fs::{Dir, Linked, TempFile};
use crate::repo::{DIR_MODE, FILE_MODE, Repo};
use ostler_format::DeltaName;
use std::io::{self, Write as _};
use std::path::Path;

/// How directories in `tmp/` begin.
pub(crate) const PREFIX: &str = "ostler-delta-";

/// Where a delta is being written.
pub(in crate::deltas) enum Place<'r> {
    Repository {
        repo: &'r Repo,
        name: DeltaName,
        /// The directory in `tmp/`.
        beside: String,
        dir: Dir,
    },
    File {
        dir: Dir,
        superblock: String,
        durable: bool,
    },
}

impl<'r> Place<'r> {
    /// Prepares for writing into the repository.
    pub(in crate::deltas) fn in_repository(repo: &'r Repo, name: DeltaName) -> Result<Self> {
        let tmp = repo.tmp()?;
        let failed = || RepoError::io("write a static delta in", tmp.path());
        tmp.remove_abandoned_dirs(PREFIX).map_err(failed())?;
        let (beside, dir) = tmp.make_held_dir(PREFIX, DIR_MODE).map_err(failed())?;
        Ok(Self::Repository {
            repo,
            name,
            beside,
            dir,
        })
    }

    /// Prepares for writing to a file outside, with parts beside it.
    pub(super) fn in_file(repo: &Repo, path: &Path) -> Result<Self> {
        let superblock = path.file_name().and_then(|name| name.to_str());
        let superblock = superblock.ok_or_else(|| {
            RepoError::invalid(
                "path of a static delta",
                format!("'{}' names no file", path.display()),
            )
        })?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        Ok(Self::File {
            dir: Dir::open(parent).map_err(RepoError::io("open", parent))?,
            superblock: superblock.to_owned(),
            durable: repo.config().fsync(),
        })
    }

    const fn dir(&self) -> &Dir {
        match self {
            Self::Repository { dir, .. } | Self::File { dir, .. } => dir,
        }
    }

    fn durable(&self) -> bool {
        match self {
            Self::Repository { repo, .. } => repo.config().fsync(),
            Self::File { durable, .. } => *durable,
        }
    }

    fn failed(&self) -> impl FnOnce(io::Error) -> RepoError + use<> {
        RepoError::io("write a static delta in", self.dir().path().to_path_buf())
    }

    /// Returns a file for a part.
    pub(in crate::deltas) fn part(&self) -> Result<TempFile> {
        self.dir().temp_file(FILE_MODE).map_err(self.failed())
    }

    /// Gives a part that is complete its name.
    pub(in crate::deltas) fn name_part(&self, index: usize, temp: TempFile) -> Result<()> {
        self.name_file(temp, &index.to_string())
    }

    fn name_file(&self, temp: TempFile, name: &str) -> Result<()> {
        let make = || {
            temp.set_mode(FILE_MODE)?;
            if self.durable() {
                temp.sync()?;
            }
            self.dir().replace_with_temp(temp, name)
        };
        make().map_err(self.failed())
    }

    /// Writes the superblock, behind all parts. In a repository the delta is not seen yet.
    pub(in crate::deltas) fn write(&self, superblock: &[u8]) -> Result<()> {
        let mut temp = self.part()?;
        temp.write_all(superblock).map_err(self.failed())?;
        let name = match self {
            Self::Repository { .. } => "superblock",
            Self::File { superblock, .. } => superblock,
        };
        if self.durable() {
            // Names of parts are on disk before that of the superblock is made.
            self.dir().fsync().map_err(self.failed())?;
        }
        self.name_file(temp, name)?;
        if self.durable() {
            self.dir().fsync().map_err(self.failed())?;
        }
        Ok(())
    }

    /// Lets a delta be seen of which all is written.
    pub(in crate::deltas) fn show(&self) -> Result<()> {
        match self {
            Self::Repository {
                repo, name, beside, ..
            } => show(repo, name, beside),
            Self::File { .. } => Ok(()),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Self::Repository { repo, beside, .. } = self
            && let Ok(tmp) = repo.tmp()
        {
            // What cannot be removed now the next delta removes.
            drop(tmp.remove_tree(beside.as_str()));
        }
    }
}

/// Gives the directory in `tmp/` the name of the delta. What had the name is then in `tmp/`.
fn show(repo: &Repo, name: &DeltaName, beside: &str) -> Result<()> {
    let root = repo.root();
    let path = name.path();
    let failed = || RepoError::io("put in place", root.path_of(&path));
    let holder = path.rsplit_once('/').map_or("deltas", |(holder, _)| holder);
    root.ensure_dir(holder, DIR_MODE).map_err(failed())?;
    let tmp = repo.tmp()?;
    let renamed = Dir::rename_new(tmp, beside, root, &path).map_err(failed())?;
    if renamed == Linked::Exists {
        replace(root, tmp, beside, &path).map_err(failed())?;
    }
    if repo.config().fsync() {
        root.sync_parents(&path).map_err(failed())?;
    }
    Ok(())
}

fn replace(root: &Dir, tmp: &Dir, beside: &str, path: &str) -> io::Result<()> {
    match root.exchange(format!("tmp/{beside}"), path) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            // File systems that exchange nothing: for a moment there is no delta, and clients fetch objects.
            root.unlink(format!("{path}/superblock"))?;
            root.remove_tree(path)?;
            match Dir::rename_new(tmp, beside, root, path)? {
                Linked::New => Ok(()),
                Linked::Exists => Err(io::ErrorKind::AlreadyExists.into()),
            }
        }
        exchanged => exchanged,
    }
}
