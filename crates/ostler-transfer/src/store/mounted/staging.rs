//! What a run puts into a mounted directory, until it is settled: `tmp/ostler-mounted/`, one file each.
//!
//! Whoever holds the lease file owns it. What a run that died left there is read back and hashed before it is used: how
//! far its last bytes came nobody knows.

use crate::error::{Damage, Result};
use crate::execute::lock;
use crate::flight::in_flight;
use crate::store::{Body, Item, Overwrite};
use ostler_format::{Checksum, DirTreeView, ObjectName, ObjectType};
use ostler_repo::fs::{Dir, FileStat, Linked, sync_file};
use ostler_repo::{Repo, RepoError, verify_archived, verify_archived_file};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::num::NonZero;
use std::sync::{Arc, Mutex};

const DIR: &str = "tmp/ostler-mounted";
/// The permission bits of what is published.
const MODE: u32 = 0o644;
/// Up to so many bytes are hashed and written as one piece.
const WHOLE: u64 = 1 << 20;
/// The largest metadata object, in bytes.
const METADATA_LIMIT: u64 = 128 << 20;
/// So many bytes are written at once.
const PIECE: usize = 256 << 10;

/// What one run stages.
#[derive(Debug, Default)]
pub(super) struct Staging {
    opened: Mutex<Option<Arc<Opened>>>,
}

#[derive(Debug)]
struct Opened {
    dir: Dir,
    /// What an earlier run left, and this one has not looked at yet.
    left: Mutex<HashSet<String>>,
    /// What is there whole.
    done: Mutex<HashSet<String>>,
    /// The dirtrees that those which were put name.
    below: Mutex<HashMap<Checksum, Vec<Checksum>>>,
}

/// Returns whether an earlier run left something.
pub(super) fn is_left(repo: &Repo) -> Result<bool, RepoError> {
    let found = repo.root().stat(DIR);
    Ok(found
        .map_err(RepoError::io("look at", repo.root().path_of(DIR)))?
        .is_some())
}

/// Removes what an earlier run left.
pub(super) fn remove_left(repo: &Repo, jobs: NonZero<usize>) -> Result<(), RepoError> {
    let failed = || RepoError::io("remove", repo.root().path_of(DIR));
    let Some(dir) = repo.root().open_dir_if_exists(DIR).map_err(failed())? else {
        return Ok(());
    };
    let names: Vec<_> = dir.entries().map_err(failed())?;
    in_flight(jobs, &names, |entry| dir.unlink(&entry.name).map(drop)).map_err(failed())?;
    repo.root().remove_dir(DIR).map(drop).map_err(failed())
}

impl Staging {
    /// Returns whether nothing was put, or all of it is settled.
    pub(super) fn is_closed(&self) -> bool {
        lock(&self.opened).is_none()
    }

    fn open(&self, repo: &Repo) -> Result<Arc<Opened>, RepoError> {
        let mut opened = lock(&self.opened);
        if let Some(opened) = &*opened {
            return Ok(Arc::clone(opened));
        }
        let made = Opened::new(repo.root()).map_err(RepoError::io("open", repo.root().path_of(DIR)))?;
        Ok(Arc::clone(opened.insert(Arc::new(made))))
    }

    /// Stores an object or a file, hashed on the way.
    pub(super) fn put(&self, repo: &Repo, item: &Item, body: Body<'_>) -> Result<()> {
        let opened = self.open(repo)?;
        let name = name_of(item);
        if lock(&opened.done).contains(&name) {
            return Ok(());
        }
        let was_left = lock(&opened.left).remove(&name);
        if was_left {
            if let Item::Object(object) = item
                && opened.is_whole(object, &name)?
            {
                lock(&opened.done).insert(name);
                return Ok(());
            }
            opened.unlink(&name)?;
        }
        let stored = match item {
            Item::Object(object) => opened.put_object(object, &name, body),
            Item::File(path) => opened.put_file(path, &name, body),
        };
        if stored.is_ok() {
            lock(&opened.done).insert(name);
        } else {
            // What is not whole is of no use, and gone with the rest if it cannot be removed now.
            drop(opened.dir.unlink(&name));
        }
        stored
    }

    /// Moves all of it into place: each object when what it names is there. What is left over is removed.
    pub(super) fn settle(
        &self,
        repo: &Repo,
        jobs: NonZero<usize>,
        order: &[(Item, Overwrite)],
    ) -> Result<()> {
        let opened = self.open(repo)?;
        let mut waves: BTreeMap<usize, Vec<(ObjectName, Overwrite)>> = BTreeMap::new();
        let mut heights = HashMap::new();
        let mut files = Vec::new();
        for (item, overwrite) in order {
            match item {
                Item::Object(name) => {
                    let wave = opened.wave_of(name, &mut heights);
                    waves.entry(wave).or_default().push((*name, *overwrite));
                }
                Item::File(path) => files.push(path),
            }
        }
        for wave in waves.values() {
            in_flight(jobs, wave, |(name, overwrite)| {
                opened.place(repo, name, *overwrite)
            })?;
        }
        for path in files {
            opened.place_file(repo, path)?;
        }
        if repo.config().fsync() {
            let objects = repo.objects();
            objects.syncfs().map_err(RepoError::io("sync", objects.path()))?;
        }
        self.discard(repo, jobs)
    }

    /// Removes all that is there.
    pub(super) fn discard(&self, repo: &Repo, jobs: NonZero<usize>) -> Result<()> {
        remove_left(repo, jobs)?;
        *lock(&self.opened) = None;
        Ok(())
    }
}

impl Opened {
    fn new(root: &Dir) -> io::Result<Self> {
        let made = root.make_dir(DIR, 0o755)?;
        let dir = root.open_dir(DIR)?;
        let mut left = HashSet::new();
        if made == Linked::Exists {
            let names = dir.entries()?.into_iter().map(|entry| entry.name.into_string());
            left.extend(names.filter_map(std::result::Result::ok));
        }
        Ok(Self {
            dir,
            left: Mutex::new(left),
            done: Mutex::default(),
            below: Mutex::default(),
        })
    }

    fn unlink(&self, name: &str) -> Result<(), RepoError> {
        let failed = RepoError::io("remove", self.dir.path_of(name));
        self.dir.unlink(name).map(drop).map_err(failed)
    }

    /// Reads back what an earlier run left.
    fn is_whole(&self, object: &ObjectName, name: &str) -> Result<bool> {
        let failed = || RepoError::io("read", self.dir.path_of(name));
        let verified = if object.kind.is_metadata() {
            let bytes = self.dir.read(name, METADATA_LIMIT).map_err(failed())?;
            self.check_metadata(object, &bytes)
        } else {
            let file = self.dir.open_file(name).map_err(failed())?;
            let size = FileStat::of(&file).map_err(failed())?.size;
            verify_archived_file(object, file, size)
        };
        match verified {
            Ok(()) => Ok(true),
            Err(RepoError::Corrupt { .. } | RepoError::Format { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Checks a metadata object, and notes which dirtrees it names if it is one.
    fn check_metadata(&self, object: &ObjectName, bytes: &[u8]) -> Result<(), RepoError> {
        verify_archived(object, bytes)?;
        if object.kind == ObjectType::DirTree {
            let tree = DirTreeView::parse(bytes).map_err(RepoError::format(object.to_string()))?;
            let below = tree.dirs().map(|dir| dir.tree).collect();
            lock(&self.below).insert(object.checksum, below);
        }
        Ok(())
    }

    fn put_object(&self, object: &ObjectName, name: &str, body: Body<'_>) -> Result<()> {
        let wrap = |fault| Damage::wrap(*object, fault);
        let check = |bytes: &[u8]| {
            if object.kind.is_metadata() {
                self.check_metadata(object, bytes)
            } else {
                verify_archived(object, bytes)
            }
        };
        match body {
            Body::Bytes(bytes) => {
                check(bytes).map_err(wrap)?;
                Ok(self.write(name, &mut &bytes[..], object)?)
            }
            Body::File { dir, path, size } if object.kind.is_metadata() || size <= WHOLE => {
                let read = dir.read(path, METADATA_LIMIT);
                let bytes = read.map_err(|fault| wrap(missing_or(object, dir, path, fault)))?;
                check(&bytes).map_err(wrap)?;
                Ok(self.write(name, &mut &bytes[..], object)?)
            }
            Body::File { dir, path, size } => {
                // Pinned, so that what is hashed is what is sent.
                let opened = dir.open_file(path);
                let mut file = opened.map_err(|fault| wrap(missing_or(object, dir, path, fault)))?;
                let failed = || RepoError::io("read", dir.path_of(path));
                let hashed = file.try_clone().map_err(failed())?;
                verify_archived_file(object, hashed, size).map_err(wrap)?;
                file.rewind().map_err(failed())?;
                Ok(self.write(name, &mut file, object)?)
            }
            Body::Stream(stream) => self.write(name, stream, object).map_err(wrap),
            Body::Adopted => Err(RepoError::not_found(format!("{object}, taken over before")).into()),
        }
    }

    fn put_file(&self, path: &str, name: &str, body: Body<'_>) -> Result<()> {
        match body {
            Body::Bytes(mut bytes) => Ok(self.write(name, &mut bytes, path)?),
            Body::Stream(stream) => Ok(self.write(name, stream, path)?),
            Body::File { dir, path: from, .. } => {
                let failed = RepoError::io("open", dir.path_of(from));
                Ok(self.write(name, &mut dir.open_file(from).map_err(failed)?, path)?)
            }
            Body::Adopted => Err(RepoError::not_found(format!("{path}, taken over before")).into()),
        }
    }

    /// Writes a file and brings it to disk: what went wrong on the way comes to light there at the latest.
    fn write(
        &self,
        name: &str,
        bytes: &mut (impl Read + ?Sized),
        what: &(impl ToString + ?Sized),
    ) -> Result<(), RepoError> {
        let failed = || RepoError::io("write", self.dir.path_of(name));
        let made = self.dir.create_new(name, MODE).map_err(failed())?;
        let mut file = made.ok_or_else(|| failed()(io::ErrorKind::AlreadyExists.into()))?;
        let mut piece = vec![0; PIECE];
        loop {
            let count = match bytes.read(&mut piece) {
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => continue,
                read => read.map_err(|fault| of_reader(what, fault))?,
            };
            match piece.get(..count) {
                Some(read) if count > 0 => file.write_all(read).map_err(failed())?,
                _ => break,
            }
        }
        self.finish(name, &file).map_err(failed())
    }

    fn finish(&self, name: &str, file: &File) -> io::Result<()> {
        if FileStat::of(file)?.mode & 0o7777 != MODE {
            self.dir.set_mode(name, MODE)?;
        }
        sync_file(file)
    }

    /// Returns when an object may get its place: after all of lower waves. `heights` are those of the dirtrees before it.
    fn wave_of(&self, name: &ObjectName, heights: &mut HashMap<Checksum, usize>) -> usize {
        match name.kind {
            ObjectType::DirTree => {
                let below = lock(&self.below);
                let below = below.get(&name.checksum).into_iter().flatten();
                let height = below
                    .filter_map(|tree| heights.get(tree))
                    .max()
                    .map_or(1, |max| max + 1);
                heights.insert(name.checksum, height);
                height
            }
            ObjectType::Commit => usize::MAX,
            _ => 0,
        }
    }

    /// Renames an object into place. One that is there by now stays, unless it is known to be damaged.
    fn place(&self, repo: &Repo, object: &ObjectName, overwrite: Overwrite) -> Result<()> {
        let item = Item::Object(*object);
        let (name, path) = (name_of(&item), item.path());
        let there = match overwrite {
            Overwrite::Never => repo.stat_own_object(object)?,
            Overwrite::Replace => None,
        };
        if there.is_some_and(|stat| stat.size > 0) {
            return Ok(());
        }
        let rename = || Dir::rename_over(&self.dir, &name, repo.root(), &path);
        let moved = match rename() {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                make_holder(repo, &path).and_then(|()| rename())
            }
            moved => moved,
        };
        Ok(moved.map_err(RepoError::io("move into place", repo.root().path_of(&path)))?)
    }

    fn place_file(&self, repo: &Repo, path: &str) -> Result<()> {
        let name = name_of(&Item::File(path.to_owned()));
        let moved =
            make_holder(repo, path).and_then(|()| Dir::rename_over(&self.dir, name, repo.root(), path));
        Ok(moved.map_err(RepoError::io("move into place", repo.root().path_of(path)))?)
    }
}

fn make_holder(repo: &Repo, path: &str) -> io::Result<()> {
    match path.rsplit_once('/') {
        Some((holder, _)) => repo.root().ensure_dir(holder, 0o777).map(drop),
        None => Ok(()),
    }
}

/// Returns the name under which something is staged.
fn name_of(item: &Item) -> String {
    match item {
        Item::Object(name) => name.to_string(),
        Item::File(path) => format!("file-{}", Checksum::of(path.as_bytes())),
    }
}

/// Turns the failure to open a file of the source into an error.
fn missing_or(object: &ObjectName, dir: &Dir, path: &str, fault: io::Error) -> RepoError {
    if fault.kind() == io::ErrorKind::NotFound {
        return RepoError::not_found(object.to_string());
    }
    RepoError::io("read", dir.path_of(path))(fault)
}

/// Turns the failure of a reader into an error: one that hashes says itself what is wrong.
fn of_reader(what: &(impl ToString + ?Sized), fault: io::Error) -> RepoError {
    match fault.downcast::<RepoError>() {
        Ok(error) => error,
        Err(fault) => RepoError::io("read", what.to_string())(fault),
    }
}
