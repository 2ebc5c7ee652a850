//! What a publisher brings, until it is settled: objects and files below `tmp/`, out of everybody's sight.
//!
//! ```text
//! tmp/ostler-incoming-<boot id>-<random>/      objects, without prefix directories; other files under `files/`
//! tmp/ostler-incoming-<boot id>-<random>-lock    held by the publisher; whoever can take it may go on with both
//! ```
//! It is a [staging directory](crate::staging) under a name of its own: what was linked from a source is not hashed yet,
//! and libostree would take whatever it finds in one of its own for whole. A directory whose publisher has died is
//! taken over by the next one of the same boot, which hashes again what it needs. Whoever is about to flip removes it,
//! and others that nobody uses, before the refs change: a publish that is through leaves none.
//!
//! Order of effects when settling: the file system is synced; objects are renamed into place in the order given; then
//! files, in the order given, replacing what is there; then the directories are synced. A crash leaves objects that
//! nothing refers to, and never an object without what it refers to.

use crate::error::{RepoError, Result};
use crate::free_space::SpaceBudget;
use crate::fs::{Dir, Linked};
use crate::objects::store::ObjectFiles;
use crate::pin::is_link_refusal;
use crate::repo::Repo;
use crate::settle::SettleStats;
use crate::staging::{Staging, remove_abandoned_incoming};
use ostler_format::ObjectName;
use std::collections::HashSet;
use std::io::{self, Read};
use std::path::Path;

const FILES: &str = "files";

/// Objects and files on their way into an archive repository.
#[derive(Debug)]
pub struct Incoming {
    staging: Option<Staging>,
    files: ObjectFiles,
}

impl Repo {
    /// Returns how many bytes may be written before the free space that the configuration reserves would be used;
    /// `None` where nothing is reserved.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn free_bytes(&self) -> Result<Option<u64>> {
        Ok(SpaceBudget::new(self)?.left_bytes())
    }
}

impl Incoming {
    /// Takes over what a dead publisher left, or begins anew.
    ///
    /// # Errors
    /// [`RepoError::ReadOnly`], [`RepoError::Io`].
    pub fn open(repo: &Repo) -> Result<Self> {
        let staging = Staging::acquire_incoming(repo)?;
        let files = ObjectFiles::new(staging.dir().clone(), repo.mode(), repo.config().zlib_level())?;
        Ok(Self {
            staging: Some(staging),
            files,
        })
    }

    fn staging(&self) -> &Staging {
        self.staging
            .as_ref()
            .expect("the staging directory is there until the drop")
    }

    /// Links a file as an object; returns `false` where links are not to be had. Not hashed: see
    /// [`verify`](Self::verify).
    ///
    /// # Errors
    /// [`RepoError::NotFound`] if the file is gone; [`RepoError::Io`].
    pub fn link(&self, name: &ObjectName, from: &Dir, path: &str) -> Result<bool> {
        let failed = || RepoError::io("link", from.path_of(path));
        let staging = self.staging();
        match staging.link_from(name, from, path) {
            Ok(Linked::New) => Ok(true),
            Ok(Linked::Exists) if self.verify(name).is_ok() => Ok(true),
            // What a dead publisher left was not whole, and is gone now.
            Ok(Linked::Exists) => staging
                .link_from(name, from, path)
                .map(|_| true)
                .map_err(failed()),
            Err(fault) if is_link_refusal(&fault) => Ok(false),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Err(crate::objects::missing(name)),
            Err(fault) => Err(failed()(fault)),
        }
    }

    /// Returns whether a publisher that died has left the object here whole: it is hashed. What is not whole is removed.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn holds(&self, name: &ObjectName) -> Result<bool> {
        if !self.staging().resumed() || !self.staging().contains(name)? {
            return Ok(false);
        }
        match self.verify(name) {
            Ok(()) => Ok(true),
            Err(
                RepoError::Corrupt { .. }
                | RepoError::Format { .. }
                | RepoError::NotFound { .. }
                | RepoError::Missing { .. },
            ) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Copies a file as an object, by the kernel where it can. Not hashed: see [`verify`](Self::verify).
    ///
    /// # Errors
    /// [`RepoError::NotFound`] if the file is gone; [`RepoError::Io`].
    pub fn copy(&self, name: &ObjectName, from: &Dir, path: &str) -> Result<()> {
        let mut source = match from.open_file(path) {
            Ok(file) => file,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                return Err(crate::objects::missing(name));
            }
            Err(fault) => return Err(RepoError::io("open", from.path_of(path))(fault)),
        };
        self.write(name, &mut source)
    }

    /// Stores bytes as an object. Not hashed: see [`verify`](Self::verify).
    ///
    /// # Errors
    /// The error of the reader, or [`RepoError::Io`].
    pub fn write(&self, name: &ObjectName, bytes: &mut (impl Read + ?Sized)) -> Result<()> {
        let temp = self.files.all_of(bytes)?;
        self.staging().replace_with_temp(temp, name)
    }

    /// Stores bytes as a file beside the objects.
    ///
    /// # Errors
    /// The error of the reader, or [`RepoError::Io`].
    pub fn write_file(&self, path: &str, bytes: &mut (impl Read + ?Sized)) -> Result<()> {
        let temp = self.files.all_of(bytes)?;
        let dir = self.staging().dir();
        let here = format!("{FILES}/{path}");
        let holder = here.rsplit_once('/').map_or(FILES, |(holder, _)| holder);
        (dir.ensure_dir(holder, 0o700)
            .and_then(|_| dir.replace_with_temp(temp, &here)))
        .map_err(RepoError::io("stage", dir.path_of(&here)))
    }

    /// Hashes an object where it lies, and checks its structure. What is not whole is removed.
    ///
    /// # Errors
    /// [`RepoError::Corrupt`], [`RepoError::Format`], [`RepoError::NotFound`]; [`RepoError::Io`].
    pub fn verify(&self, name: &ObjectName) -> Result<()> {
        match self.staging().loose(false).verify_quickly(name) {
            Ok(Some(())) => Ok(()),
            Ok(None) => Err(crate::objects::missing(name)),
            Err(error) => {
                self.staging().remove(name)?;
                Err(error)
            }
        }
    }

    /// Moves objects, then files, into place; see the module for the order of effects. Those in `damaged` replace
    /// what is in place.
    ///
    /// # Errors
    /// [`RepoError::Io`]; what was not moved stays.
    pub fn settle(
        &self,
        repo: &Repo,
        objects: &[ObjectName],
        damaged: &HashSet<ObjectName>,
        files: &[&str],
    ) -> Result<SettleStats> {
        let durable = repo.config().fsync();
        let stats = self.staging().settle(repo, objects, damaged, durable)?;
        let dir = self.staging().dir();
        for path in files {
            let failed = || RepoError::io("move into place", repo.root().path_of(path));
            if let Some(holder) = Path::new(path).parent() {
                repo.root().ensure_dir(holder, 0o777).map_err(failed())?;
            }
            Dir::rename_over(dir, format!("{FILES}/{path}"), repo.root(), path).map_err(failed())?;
        }
        if durable && !files.is_empty() {
            repo.root()
                .syncfs()
                .map_err(RepoError::io("sync", repo.root().path()))?;
        }
        Ok(stats)
    }

    /// Removes the directory: everything in it is in place, or not wanted.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn discard(mut self) -> Result<()> {
        self.staging.take().map_or(Ok(()), Staging::discard)
    }

    /// Removes all such directories that no publisher uses.
    ///
    /// # Errors
    /// [`RepoError::ReadOnly`], [`RepoError::Io`].
    pub fn remove_abandoned(repo: &Repo) -> Result<()> {
        remove_abandoned_incoming(repo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_format::{Checksum, ObjectType, RepoMode};

    /// Fails as a copy to a full disk does: which of the two ends it was only the kind of the error tells.
    struct Full;

    impl Read for Full {
        fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
    }

    #[test]
    fn a_full_disk_is_told_with_where_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let repo = Repo::create(dir.path(), RepoMode::Archive, None).unwrap();
        let incoming = Incoming::open(&repo).unwrap();
        let name = ObjectName::new(Checksum::of(b"x"), ObjectType::DirMeta);

        let error = incoming.write(&name, &mut Full).unwrap_err().to_string();

        assert!(error.starts_with("cannot write an object in "), "{error}");
    }
}
