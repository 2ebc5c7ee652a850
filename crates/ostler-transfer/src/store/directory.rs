//! A store that is a directory on this machine: an archive repository that any web server serves.
//!
//! What is put lies in an [`Incoming`] directory below `tmp/`, where no reader and no stock tool looks, until it is
//! settled. Every object is hashed there, whether it was written or linked; a few that can be linked, while the source is
//! locked, are hashed at the source and linked into place without that detour. The lease is the flip lock, then the
//! exclusive repository lock: stock writers and prunes wait for the short time between the last look and the flip,
//! and never for the transfer. Who publishes here through a mount of another machine is not seen by locks, and is waited for by its
//! lease file, before the locks and again under them; one that comes while they are held is not kept out.

use super::{Body, Edit, Entry, Item, Lease, Overwrite, Removed, Stamp, Store};
use crate::error::{Damage, Result, TransferError};
use crate::execute::lock;
use ostler_format::{Checksum, ObjectName};
use ostler_repo::flip::{LeaseOwner, wait_for_leaseholder};
use ostler_repo::fs::{Dir, FileKind};
use ostler_repo::parallel::READERS;
use ostler_repo::{FlipLease, Incoming, Recovery, Repo, RepoError};
use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex};

/// A directory as a store.
#[derive(Debug)]
pub struct DirStore {
    repo: Repo,
    incoming: Mutex<Option<Arc<Incoming>>>,
    shares_files: bool,
}

impl Lease for FlipLease<'_> {}

impl DirStore {
    /// Wraps a repository.
    pub fn new(repo: Repo) -> Self {
        Self {
            repo,
            incoming: Mutex::new(None),
            shares_files: true,
        }
    }

    /// Sets whether files of a source on the same file system are linked rather than copied.
    #[must_use]
    pub fn sharing_files(mut self, shares: bool) -> Self {
        self.shares_files = shares;
        self
    }

    /// Returns the repository.
    pub fn repo(&self) -> &Repo {
        &self.repo
    }

    fn incoming(&self) -> Result<Arc<Incoming>> {
        let mut incoming = lock(&self.incoming);
        if let Some(incoming) = &*incoming {
            return Ok(Arc::clone(incoming));
        }
        let made = Arc::new(Incoming::open(&self.repo)?);
        Ok(Arc::clone(incoming.insert(made)))
    }

    fn put_object(&self, name: &ObjectName, body: Body<'_>) -> Result<()> {
        let incoming = self.incoming()?;
        if !matches!(body, Body::Adopted) && incoming.holds(name)? {
            return Ok(());
        }
        match body {
            Body::Adopted => {}
            Body::File { dir, path, .. } => {
                if !(self.shares_files && incoming.link(name, dir, path)?) {
                    incoming.copy(name, dir, path)?;
                }
            }
            Body::Bytes(mut bytes) => incoming.write(name, &mut bytes)?,
            Body::Stream(stream) => incoming.write(name, stream)?,
        }
        incoming.verify(name).map_err(|fault| Damage::wrap(*name, fault))
    }

    fn put_file(&self, path: &str, body: Body<'_>) -> Result<()> {
        let incoming = self.incoming()?;
        match body {
            Body::Bytes(mut bytes) => incoming.write_file(path, &mut bytes)?,
            Body::Stream(stream) => incoming.write_file(path, stream)?,
            Body::File { dir, path: from, .. } => {
                let mut file = dir
                    .open_file(from)
                    .map_err(RepoError::io("open", dir.path_of(from)))?;
                incoming.write_file(path, &mut file)?;
            }
            Body::Adopted => return Err(RepoError::not_found(format!("{path}, taken over before")).into()),
        }
        Ok(())
    }
}

impl Store for DirStore {
    fn describe(&self) -> String {
        self.repo.path().display().to_string()
    }

    fn stages(&self) -> bool {
        true
    }

    fn get(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let failed = RepoError::io("read", self.repo.root().path_of(path));
        Ok(self.repo.root().read_following(path, limit).map_err(failed)?)
    }

    fn look(&self, object: &ObjectName) -> Result<Option<u64>> {
        Ok(self.repo.stat_own_object(object)?.map(|stat| stat.size))
    }

    fn stamps(&self) -> Result<Vec<Option<Stamp>>> {
        Ok(self.repo.object_stamps()?)
    }

    fn verify(&self, object: &ObjectName) -> Result<bool> {
        match self.repo.verify_object(object) {
            Ok(()) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(RepoError::Corrupt { .. } | RepoError::Format { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn list(&self, dir: &str) -> Result<Vec<Entry>> {
        let failed = || RepoError::io("list", self.repo.root().path_of(dir));
        let Some(opened) = self.repo.root().open_dir_if_exists(dir).map_err(failed())? else {
            return Ok(Vec::new());
        };
        let mut entries = Vec::new();
        for entry in opened.entries().map_err(failed())? {
            let Ok(name) = entry.name.into_string() else {
                continue;
            };
            let link = match entry.kind {
                FileKind::Symlink => opened
                    .read_link(&name)
                    .map_err(failed())?
                    .into_os_string()
                    .into_string()
                    .ok(),
                _ => None,
            };
            entries.push(Entry {
                name,
                is_dir: entry.kind == FileKind::Directory,
                link,
            });
        }
        Ok(entries)
    }

    fn shares_files_with(&self, source: &Repo) -> bool {
        let device = |repo: &Repo| repo.objects().stat_self().map(|stat| stat.dev).ok();
        self.shares_files
            && source.mode().is_archive()
            && device(source).is_some_and(|dev| device(&self.repo) == Some(dev))
    }

    fn adopt(&self, item: &Item, dir: &Dir, path: &str) -> Result<bool> {
        match item {
            Item::Object(name) if self.shares_files => match self.incoming()?.link(name, dir, path) {
                Err(RepoError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    let reason = "is missing".to_owned();
                    Err(TransferError::CorruptSource(vec![Damage {
                        object: *name,
                        reason,
                    }]))
                }
                linked => Ok(linked?),
            },
            _ => Ok(false),
        }
    }

    fn put(&self, item: &Item, body: Body<'_>, _overwrite: Overwrite) -> Result<()> {
        match item {
            Item::Object(name) => self.put_object(name, body),
            Item::File(path) => self.put_file(path, body),
        }
    }

    fn settle(&self, order: &[(Item, Overwrite)]) -> Result<()> {
        let mut objects = Vec::new();
        let mut damaged = HashSet::new();
        let mut files = Vec::new();
        for (item, overwrite) in order {
            match item {
                Item::Object(name) => {
                    objects.push(*name);
                    if *overwrite == Overwrite::Replace {
                        damaged.insert(*name);
                    }
                }
                Item::File(path) => files.push(path.as_str()),
            }
        }
        if !order.is_empty() {
            self.incoming()?.settle(&self.repo, &objects, &damaged, &files)?;
        } else if self.repo.config().fsync() {
            // What is in place already was put there by who knows whom, who may have died before it was on disk.
            let objects = self.repo.objects();
            objects.syncfs().map_err(RepoError::io("sync", objects.path()))?;
        }
        self.forget()?;
        Ok(Incoming::remove_abandoned(&self.repo)?)
    }

    fn forget(&self) -> Result<()> {
        match lock(&self.incoming).take().map(Arc::into_inner) {
            Some(Some(incoming)) => Ok(incoming.discard()?),
            _ => Ok(()),
        }
    }

    fn flip(&self, edits: &[Edit]) -> Result<()> {
        Ok(self.repo.flip(edits)?)
    }

    fn pending(&self) -> Result<bool> {
        Ok(self.repo.flip_pending()?)
    }

    fn recover(&self) -> Result<Option<Recovery>> {
        Ok(self.repo.recover_flip()?)
    }

    fn lease(&self) -> Result<Box<dyn Lease + '_>> {
        let (limit, observer) = (self.repo.config().lock_timeout(), self.repo.observer());
        let path = self.repo.root().path_of(LeaseOwner::PATH);
        let mut lease = None;
        wait_for_leaseholder(&path, limit, observer.as_deref(), || {
            if let Some(holder) = self.repo.leaseholder()? {
                return Ok(Some(holder));
            }
            lease = Some(self.repo.lease_flip()?);
            let came = self.repo.leaseholder()?;
            if came.is_some() {
                lease = None;
            }
            Ok(came)
        })?;
        Ok(Box::new(lease.expect("nobody is in the way")))
    }

    fn try_lease(&self) -> Result<Option<Box<dyn Lease + '_>>> {
        let Some(lease) = self.repo.try_lease_flip()? else {
            return Ok(None);
        };
        let is_free = self.repo.leaseholder()?.is_none();
        Ok(is_free.then(|| Box::new(lease) as Box<dyn Lease>))
    }

    fn settle_links(&self, source: &Repo, objects: &[ObjectName]) -> Result<bool> {
        if !self.shares_files || !self.repo.link_in(source, objects)? {
            return Ok(false);
        }
        self.forget()?;
        Incoming::remove_abandoned(&self.repo)?;
        Ok(true)
    }

    fn list_commits(&self) -> Result<Vec<Checksum>> {
        Ok(self.repo.list_commits(READERS)?)
    }

    fn remove(&self, items: &[Item]) -> Result<Removed> {
        let mut objects = Vec::new();
        let mut files = Vec::new();
        for item in items {
            match item {
                Item::Object(name) => objects.push(*name),
                Item::File(path) => files.push(path.as_str()),
            }
        }
        let mut removed = Removed::default();
        for tally in [
            self.repo.remove_objects(&objects, READERS)?,
            self.repo.remove_files(&files)?,
        ] {
            removed.count += tally.objects;
            removed.bytes += tally.bytes;
        }
        Ok(removed)
    }

    fn free_bytes(&self) -> Result<Option<u64>> {
        Ok(self.repo.free_bytes()?)
    }
}
