//! The objects of a repository: what is there, and what is in it.
//!
//! ```text
//! objects/ab/<62 digits>.file | .filez      content: see `content` (reading) and `store` (writing)
//!                       .dirtree | .dirmeta | .commit          metadata: the same bytes in every mode
//!                       .commitmeta                            detached metadata: replaced as a whole
//!                       .tombstone-commit                      a commit that was deleted
//!                       .file-xattrs | .file-xattrs-link       bare-split-xattrs
//! ```
//!
//! Reading falls back to the parent repositories; [`Repo::has_own_object`], listing and everything that
//! writes look at this repository alone. Objects enter through a [`Transaction`](crate::Transaction) only.

pub(crate) mod archive;
pub(crate) mod content;
pub(crate) mod loose;
pub(crate) mod prefixes;
pub(crate) mod store;
pub(crate) mod verify;

pub use content::ContentReader;

use crate::error::{RepoError, Result};
use crate::fs::FileStat;
use crate::parallel::spread;
use crate::repo::Repo;
use content::Checking;
use loose::LooseStore;
use ostler_format::gvariant::VarDict;
use ostler_format::{Checksum, Commit, DirMeta, DirTree, FormatError, ObjectName, ObjectType};
use std::fs::File;
use std::io;
use std::sync::atomic::AtomicBool;

impl Repo {
    /// Returns how to read this repository's own objects.
    pub(crate) fn loose(&self) -> LooseStore<'_> {
        LooseStore {
            dirs: self.object_dirs(),
            mode: self.mode(),
            reads_xattrs: !self.config().disable_xattrs(),
        }
    }

    /// Returns this repository and its parents, nearest first.
    fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |repo| repo.parent())
    }

    fn find<T>(&self, mut look: impl FnMut(&Self) -> Result<Option<T>>) -> Result<Option<T>> {
        for repo in self.chain() {
            if let Some(found) = look(repo)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Returns this repository or the nearest parent that holds the object itself.
    pub(crate) fn owner_of(&self, name: &ObjectName) -> Result<&Self> {
        for repo in self.chain() {
            if repo.has_own_object(name)? {
                return Ok(repo);
            }
        }
        Err(missing(name))
    }

    /// Returns whether the object is in this repository or in one of its parents.
    ///
    /// # Errors
    /// [`RepoError::Io`] when the file system does not tell.
    pub fn has_object(&self, name: &ObjectName) -> Result<bool> {
        Ok(self.find(|repo| repo.loose().stat(name))?.is_some())
    }

    /// Returns whether the object is in this repository itself.
    ///
    /// # Errors
    /// As [`has_object`](Self::has_object).
    pub fn has_own_object(&self, name: &ObjectName) -> Result<bool> {
        Ok(self.loose().stat(name)?.is_some())
    }

    /// Returns the size in bytes of the object as it is stored.
    ///
    /// # Errors
    /// [`RepoError::NotFound`], [`RepoError::Io`].
    pub fn object_size(&self, name: &ObjectName) -> Result<u64> {
        let found = self.find(|repo| repo.loose().stat(name))?;
        found.map(|stat| stat.size).ok_or_else(|| missing(name))
    }

    /// Returns what the file system says of an object of this repository itself.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn stat_own_object(&self, name: &ObjectName) -> Result<Option<FileStat>> {
        self.loose().stat(name)
    }

    /// Returns the bytes of a metadata object.
    ///
    /// # Errors
    /// [`RepoError::NotFound`]; [`RepoError::Format`] beyond the size limit; [`RepoError::Io`].
    pub fn load_metadata(&self, name: &ObjectName) -> Result<Vec<u8>> {
        self.find(|repo| repo.loose().read_metadata(name))?
            .ok_or_else(|| missing(name))
    }

    fn load<T>(
        &self,
        checksum: &Checksum,
        kind: ObjectType,
        parse: impl FnOnce(&[u8]) -> Result<T, FormatError>,
    ) -> Result<T> {
        let name = ObjectName::new(*checksum, kind);
        let bytes = self.load_metadata(&name)?;
        parse(&bytes).map_err(RepoError::format(format!("object {name}")))
    }

    /// Returns a commit.
    ///
    /// # Errors
    /// As [`load_metadata`](Self::load_metadata); [`RepoError::Format`] when its bytes are not those of a commit.
    pub fn load_commit(&self, checksum: &Checksum) -> Result<Commit> {
        self.load(checksum, ObjectType::Commit, Commit::parse)
    }

    /// Returns a dirtree.
    ///
    /// # Errors
    /// As [`load_commit`](Self::load_commit).
    pub fn load_dirtree(&self, checksum: &Checksum) -> Result<DirTree> {
        self.load(checksum, ObjectType::DirTree, DirTree::parse)
    }

    /// Returns a dirmeta.
    ///
    /// # Errors
    /// As [`load_commit`](Self::load_commit).
    pub fn load_dirmeta(&self, checksum: &Checksum) -> Result<DirMeta> {
        self.load(checksum, ObjectType::DirMeta, DirMeta::parse)
    }

    /// Returns the detached metadata of a commit, if it has any; that of the child before that of a parent.
    ///
    /// # Errors
    /// As [`load_commit`](Self::load_commit), except for a missing one.
    pub fn load_detached(&self, commit: &Checksum) -> Result<Option<VarDict>> {
        let name = ObjectName::new(*commit, ObjectType::CommitMeta);
        self.find(|repo| repo.loose().read_metadata(&name))?
            .map(|bytes| {
                ostler_format::parse_detached(&bytes).map_err(RepoError::format(format!("object {name}")))
            })
            .transpose()
    }

    /// Opens a content object for reading.
    ///
    /// # Errors
    /// [`RepoError::NotFound`]; [`RepoError::Corrupt`] and [`RepoError::Format`] when its header cannot be
    /// read; [`RepoError::Io`].
    pub fn open_content(&self, checksum: &Checksum) -> Result<ContentReader> {
        self.find(|repo| repo.loose().content(checksum, Checking::Quick))?
            .ok_or_else(|| missing(&ObjectName::new(*checksum, ObjectType::File)))
    }

    /// Opens the file of an object as it is stored, for sending it as it is; with its size.
    /// In bare modes that is no more than the payload.
    ///
    /// # Errors
    /// [`RepoError::NotFound`]; [`RepoError::Corrupt`] for a symbolic link; [`RepoError::Io`].
    pub fn open_stored(&self, name: &ObjectName) -> Result<(File, u64)> {
        self.find(|repo| repo.loose().open_file(name))?
            .map(|(file, stat)| (file, stat.size))
            .ok_or_else(|| missing(name))
    }

    /// Calls `visit` for every object of this repository itself: content, dirtrees, dirmetas, commits, and
    /// payload links. Detached metadata, tombstones and the parts of bare-split-xattrs belong to other objects
    /// and are passed only with `all`. What else lies in the directories is passed over.
    ///
    /// # Errors
    /// [`RepoError::Io`], and whatever `visit` returns.
    pub fn for_each_object(&self, all: bool, mut visit: impl FnMut(ObjectName) -> Result<()>) -> Result<()> {
        for prefix in 0..=u8::MAX {
            self.for_each_object_in(prefix, all, &mut visit)?;
        }
        Ok(())
    }

    /// As [`for_each_object`](Self::for_each_object), for the checksums that begin with `prefix`; for several
    /// threads to share the work.
    ///
    /// # Errors
    /// As [`for_each_object`](Self::for_each_object).
    pub fn for_each_object_in(
        &self,
        prefix: u8,
        all: bool,
        mut visit: impl FnMut(ObjectName) -> Result<()>,
    ) -> Result<()> {
        let listed = match self.object_dirs().get(prefix) {
            Ok(None) => return Ok(()),
            Ok(Some(dir)) => dir.for_each_name(|file| match prefixes::object_of(prefix, file, self.mode()) {
                Some(name) if all || is_primary(name.kind) => visit(name).map_err(Stop::Visitor),
                _ => Ok(()),
            }),
            Err(error) => Err(Stop::Listing(error)),
        };
        listed.map_err(|stop| match stop {
            Stop::Visitor(error) => error,
            Stop::Listing(error) => {
                let directory = prefixes::directory_name(prefix);
                RepoError::io("list", self.objects().path_of(directory.as_str()))(error)
            }
        })
    }

    /// Returns the commits of this repository itself, sorted.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn list_commits(&self, threads: usize) -> Result<Vec<Checksum>> {
        let prefixes: Vec<u8> = (0..=u8::MAX).collect();
        let list = |commits: &mut Vec<Checksum>, prefix: &u8| {
            self.for_each_object_in(*prefix, false, |name| {
                commits.extend((name.kind == ObjectType::Commit).then_some(name.checksum));
                Ok(())
            })
        };
        let states = spread(
            &prefixes,
            threads,
            &AtomicBool::new(false),
            Vec::new,
            list,
            |_| {},
        )?;
        let mut commits = states.concat();
        commits.sort_unstable();
        Ok(commits)
    }

    /// Returns the names of all objects as [`for_each_object`](Self::for_each_object) visits them, sorted.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn list_objects(&self, all: bool) -> Result<Vec<ObjectName>> {
        let mut names = Vec::new();
        self.for_each_object(all, |name| {
            names.push(name);
            Ok(())
        })?;
        names.sort_unstable();
        Ok(names)
    }
}

/// Why a listing ended early.
enum Stop {
    /// The directory could not be read.
    Listing(io::Error),
    /// Whoever is shown the objects wants no more.
    Visitor(RepoError),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Listing(error)
    }
}

/// Returns whether objects of the type stand for themselves.
fn is_primary(kind: ObjectType) -> bool {
    matches!(
        kind,
        ObjectType::File
            | ObjectType::DirTree
            | ObjectType::DirMeta
            | ObjectType::Commit
            | ObjectType::PayloadLink
    )
}

pub(crate) fn missing(name: &ObjectName) -> RepoError {
    RepoError::Missing { object: *name }
}
