//! From a file on disk to a content object: what the workers of a commit do.
//!
//! A file costs one open, one look, one list of its extended attributes and one read; then its checksum is known,
//! and only if the object is not there is anything compressed or written. Files of more than [`WHOLE_LIMIT`] bytes
//! never lie in memory: the transaction clones them, or reads them once to hash and, if they are new, once more.
//!
//! A file may change while it is read. What is written always fits its name, since the transaction hashes the very
//! bytes that it writes; and if size or time show that they are half of the old file and half of the new one, the
//! file is read again, a few times.

use super::consume::{Identity, Place};
use super::devino::{InodeMap, LinkedFiles};
use super::rules::{ModeChange, TreeRules};
use super::tree::Slot;
use crate::checksum_path::link_target;
use crate::compress::WHOLE_LIMIT;
use crate::error::{RepoError, Result};
use crate::fs::{Dir, FileKind, FileStat};
use crate::repo::Repo;
use crate::transaction::{Adopted, Transaction};
use crate::xattrs;
use ostler_format::{Checksum, FileHeader, RepoMode, Xattrs};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, Read as _};

/// How often a file is read anew that changed while it was read.
const READ_TRIES: u32 = 3;

/// Something to make a content object of.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) source: Source,
    /// Where the checksum goes.
    pub(super) slot: Slot,
    /// What the rules for single paths say.
    pub(super) change: Option<ModeChange>,
    /// Where it is noted, if it is to be removed afterwards.
    pub(super) place: Option<Place>,
}

/// Where a content object comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// A regular file.
    Regular(Dir, String),
    /// A symbolic link.
    Symlink(Dir, String),
    /// A content object whose header is to be changed.
    Object(Checksum),
    /// A file that was read already.
    Payload(FileHeader, Vec<u8>),
}

/// What one worker did.
#[derive(Debug, Default)]
pub(super) struct Ingested {
    pub(super) files: Vec<(Slot, Checksum)>,
    /// Files recognised by their inode.
    pub(super) cache_hits: u64,
    /// What files were when they were read.
    pub(super) read: Vec<(Place, Identity)>,
}

/// What all workers share.
#[derive(Debug)]
pub(super) struct Ingest<'a> {
    pub(super) repo: &'a Repo,
    pub(super) transaction: &'a Transaction<'a>,
    pub(super) rules: &'a TreeRules,
    pub(super) linked: LinkedFiles,
    pub(super) inodes: &'a InodeMap,
    /// Whether files may become objects themselves, since they are removed afterwards.
    pub(super) adopts: bool,
}

/// A worker: reads files one after the other into the same buffer.
#[derive(Debug)]
pub(super) struct Worker<'a> {
    shared: &'a Ingest<'a>,
    buffer: Vec<u8>,
    done: Ingested,
}

impl<'a> Worker<'a> {
    pub(super) fn new(shared: &'a Ingest<'a>) -> Self {
        Self {
            shared,
            buffer: vec![0; buffer_size()],
            done: Ingested::default(),
        }
    }

    /// Returns what was done.
    pub(super) fn finish(self) -> Ingested {
        self.done
    }

    /// Makes an object of one source.
    pub(super) fn run(&mut self, job: &Job) -> Result<()> {
        let checksum = match &job.source {
            Source::Regular(dir, name) => {
                let (checksum, stat) = self.regular(dir, name, job.change)?;
                self.was_read(job, &stat);
                checksum
            }
            Source::Symlink(dir, name) => {
                let (checksum, stat) = self.symlink(dir, name, job.change)?;
                self.was_read(job, &stat);
                checksum
            }
            Source::Object(checksum) => self.object(checksum, job.change)?,
            Source::Payload(header, payload) => self.payload(header, payload, job.change)?,
        };
        self.done.files.push((job.slot, checksum));
        Ok(())
    }

    fn was_read(&mut self, job: &Job, stat: &FileStat) {
        if let Some(place) = job.place {
            self.done.read.push((place, Identity::of(stat)));
        }
    }

    fn regular(&mut self, dir: &Dir, name: &str, change: Option<ModeChange>) -> Result<(Checksum, FileStat)> {
        for _ in 0..READ_TRIES {
            if let Some(found) = self.try_regular(dir, name, change)? {
                return Ok(found);
            }
        }
        let path = dir.path_of(name);
        Err(RepoError::Refused {
            detail: format!("{} changes while it is read", path.display()),
        })
    }

    /// Makes an object of a regular file, and says what the file was; `None` if it changed meanwhile.
    fn try_regular(
        &mut self,
        dir: &Dir,
        name: &str,
        change: Option<ModeChange>,
    ) -> Result<Option<(Checksum, FileStat)>> {
        let failed = |doing: &'static str| RepoError::io(doing, dir.path_of(name));
        // A hard link to an object that may stay what it is need not even be opened.
        if self.shared.linked != LinkedFiles::Read
            && let Some(stat) = dir.stat(name).map_err(failed("look at"))?
            && stat.kind == FileKind::Regular
            && let Linked::Same(checksum) = self.linked_object(dir, name, &stat, change)?
        {
            self.done.cache_hits += 1;
            return Ok(Some((checksum, stat)));
        }
        // Without `NONBLOCK` a pipe put in place of the file would hold us for ever.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(dir, name, flags, Mode::empty()).map_err(io::Error::from);
        let mut file = File::from(opened.map_err(failed("open"))?);
        let stat = FileStat::of(&file).map_err(failed("look at"))?;
        if stat.kind != FileKind::Regular {
            return Err(not_committable(name));
        }
        let header = match self.linked_object(dir, name, &stat, change)? {
            Linked::Same(checksum) => {
                self.done.cache_hits += 1;
                return Ok(Some((checksum, stat)));
            }
            Linked::Changed(header) => header,
            Linked::No => {
                let xattrs = || xattrs::read_file(&file).map_err(failed("read the extended attributes of"));
                self.header(&stat, String::new(), change, xattrs)?
            }
        };
        if self
            .shared
            .may_become(&header, &stat, &file)
            .map_err(failed("look at"))?
        {
            let transaction = self.shared.transaction;
            match transaction.adopt_file(&header, &stat, &mut file, dir, name)? {
                Adopted::Taken(checksum) => {
                    let mtime = (0, 0);
                    return Ok(Some((checksum, FileStat { mtime, ..stat })));
                }
                Adopted::Known(checksum) => return Ok(Some((checksum, stat))),
                Adopted::Changed => return Ok(None),
                Adopted::Impossible => {}
            }
        }
        if stat.size > WHOLE_LIMIT {
            let written = self.large(dir, name, &header, &mut file, &stat)?;
            return Ok(written.map(|checksum| (checksum, stat)));
        }
        let Some(payload) = read_exactly(&mut file, stat.size, &mut self.buffer).map_err(failed("read"))?
        else {
            return Ok(None);
        };
        let written = self
            .shared
            .transaction
            .write_content(&header, stat.size, &mut &*payload, None)?;
        Ok(Some((written.checksum, stat)))
    }

    /// Makes an object of a large file; `None` if the file changed meanwhile.
    fn large(
        &self,
        dir: &Dir,
        name: &str,
        header: &FileHeader,
        file: &mut File,
        before: &FileStat,
    ) -> Result<Option<Checksum>> {
        let written = self.shared.transaction.write_file(header, before.size, file);
        let after = FileStat::of(file).map_err(RepoError::io("look at", dir.path_of(name)))?;
        if (after.size, after.mtime) != (before.size, before.mtime) {
            return Ok(None);
        }
        Ok(Some(written?.checksum))
    }

    fn symlink(&mut self, dir: &Dir, name: &str, change: Option<ModeChange>) -> Result<(Checksum, FileStat)> {
        let failed = |doing: &'static str| RepoError::io(doing, dir.path_of(name));
        let gone = || RepoError::not_found(format!("{}", dir.path_of(name).display()));
        let stat = dir.stat(name).map_err(failed("look at"))?.ok_or_else(gone)?;
        if stat.kind != FileKind::Symlink {
            return Err(not_committable(name));
        }
        if let Linked::Same(checksum) = self.linked_object(dir, name, &stat, change)? {
            self.done.cache_hits += 1;
            return Ok((checksum, stat));
        }
        let target = link_target(dir, name)?;
        let xattrs = || xattrs::read_link(dir, name).map_err(failed("read the extended attributes of"));
        let header = self.header(&stat, target, change, xattrs)?;
        let written = self
            .shared
            .transaction
            .write_content(&header, 0, &mut io::empty(), None)?;
        Ok((written.checksum, stat))
    }

    /// Makes an object of another one, whose header the rules may change.
    fn object(&mut self, checksum: &Checksum, change: Option<ModeChange>) -> Result<Checksum> {
        let mut reader = self.shared.repo.open_content(checksum)?;
        let header = self.shared.changed(reader.header().clone(), change);
        // Where nothing changes, an object that is there need not be read.
        let expected = (&header == reader.header()).then_some(*checksum);
        let size = reader.size();
        let transaction = self.shared.transaction;
        let written = transaction.write_content(&header, size, &mut reader, expected)?;
        Ok(written.checksum)
    }

    /// Makes an object of a file that was read already.
    fn payload(&self, header: &FileHeader, payload: &[u8], change: Option<ModeChange>) -> Result<Checksum> {
        let header = self.shared.ruled(header.clone(), change);
        let size = payload.len() as u64;
        let transaction = self.shared.transaction;
        let written = transaction.write_content(&header, size, &mut &*payload, None)?;
        Ok(written.checksum)
    }

    /// Puts the header of a file together.
    fn header(
        &self,
        stat: &FileStat,
        symlink_target: String,
        change: Option<ModeChange>,
        read_xattrs: impl FnOnce() -> Result<Vec<(Vec<u8>, Vec<u8>)>>,
    ) -> Result<FileHeader> {
        let xattrs = if self.shared.drops_xattrs() {
            Xattrs::default()
        } else {
            usable_xattrs(read_xattrs()?)?
        };
        let header = FileHeader {
            uid: stat.uid,
            gid: stat.gid,
            mode: stat.mode,
            symlink_target,
            xattrs,
        };
        Ok(self.shared.changed(header, change))
    }

    /// Finds out whether a file is a hard link to a content object, and whether it may stay that object.
    fn linked_object(
        &self,
        dir: &Dir,
        name: &str,
        stat: &FileStat,
        change: Option<ModeChange>,
    ) -> Result<Linked> {
        let shared = self.shared;
        if shared.linked == LinkedFiles::Read || stat.nlink < 2 {
            return Ok(Linked::No);
        }
        let Some(checksum) = shared.inodes.get(stat.dev, stat.ino) else {
            return Ok(Linked::No);
        };
        let always = shared.linked == LinkedFiles::ReuseAlways;
        let unchanged = always || (shared.rules.is_identity() && !shared.drops_xattrs());
        if unchanged && change.is_none() {
            return Ok(Linked::Same(*checksum));
        }
        if always {
            let path = dir.path_of(name);
            let detail =
                "it is committed as the object that it is a hard link to, so its mode cannot be changed";
            return Err(RepoError::invalid(format!("rule for {}", path.display()), detail));
        }
        // In a bare-user repository the file does not show what the object is.
        let object = shared.repo.open_content(checksum)?.header().clone();
        let header = shared.changed(object.clone(), change);
        if header == object {
            return Ok(Linked::Same(*checksum));
        }
        match shared.repo.mode() {
            RepoMode::BareUser => Ok(Linked::Changed(header)),
            _ => Ok(Linked::No),
        }
    }
}

/// What a file is to the repository.
enum Linked {
    /// Nothing, or nothing that helps.
    No,
    /// This object.
    Same(Checksum),
    /// The payload of an object that gets this header.
    Changed(FileHeader),
}

impl Ingest<'_> {
    /// Returns whether extended attributes are left out.
    pub(super) fn drops_xattrs(&self) -> bool {
        self.rules.drops_xattrs() || self.repo.config().disable_xattrs()
    }

    /// Returns whether an open file is just what the repository would store, so that it can become the object.
    fn may_become(&self, header: &FileHeader, stat: &FileStat, file: &File) -> io::Result<bool> {
        if !self.adopts || stat.mode != header.mode {
            return Ok(false);
        }
        if self.repo.mode() == RepoMode::BareUserOnly {
            return Ok(true);
        }
        let same_owner = (stat.uid, stat.gid) == (header.uid, header.gid);
        let mut real = xattrs::read_file(file)?;
        real.sort_unstable();
        let real = real
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()));
        Ok(same_owner && real.eq(header.xattrs.iter()))
    }

    /// Returns whether extended attributes in archives are left out. Canonical permissions leave them there, as in
    /// libostree, unless the repository could not keep them.
    pub(super) fn drops_archived_xattrs(&self) -> bool {
        self.rules.no_xattrs
            || self.repo.mode() == RepoMode::BareUserOnly
            || self.repo.config().disable_xattrs()
    }

    /// Applies the rules about owner and mode to a header.
    pub(super) fn ruled(&self, mut header: FileHeader, change: Option<ModeChange>) -> FileHeader {
        let FileHeader { uid, gid, mode, .. } = &mut header;
        self.rules.apply(uid, gid, mode, change);
        header
    }

    /// Applies all rules to a header.
    fn changed(&self, header: FileHeader, change: Option<ModeChange>) -> FileHeader {
        let mut header = self.ruled(header, change);
        if self.drops_xattrs() {
            header.xattrs = Xattrs::default();
        }
        header
    }
}

/// Returns the extended attributes that count: libostree does not see those without a value.
pub(crate) fn usable_xattrs(mut found: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Xattrs> {
    found.retain(|(_, value)| !value.is_empty());
    Xattrs::new(found).map_err(RepoError::format("extended attributes"))
}

/// Returns libostree's error for what is neither file, directory nor symbolic link.
pub(crate) fn not_committable(name: &str) -> RepoError {
    RepoError::Refused {
        detail: format!("Not a regular file or symlink: {}", name.escape_debug()),
    }
}

/// A whole small file, and a byte more, which shows that a file has grown.
fn buffer_size() -> usize {
    usize::try_from(WHOLE_LIMIT).unwrap_or(usize::MAX - 1) + 1
}

/// Reads a file that should have `size` bytes, with one call if it has. `None` if it has not.
fn read_exactly<'b>(file: &mut File, size: u64, buffer: &'b mut [u8]) -> io::Result<Option<&'b [u8]>> {
    let size = usize::try_from(size).map_err(io::Error::other)?;
    let mut filled = 0;
    loop {
        let room = buffer.get_mut(filled..=size).unwrap_or_default();
        match file.read(room) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(count) => {
                filled += count;
                // A file gives less than was asked for at its end only.
                if count == 0 || filled >= size {
                    return Ok(buffer.get(..size).filter(|_| filled == size));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_size_than_expected_is_not_read() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("file");
        for (content, size, whole) in [
            (&b""[..], 0, true),
            (b"", 1, false),
            (b"12345", 5, true),
            (b"12345", 4, false),
            (b"12345", 6, false),
            (b"12345", 0, false),
        ] {
            std::fs::write(&path, content).unwrap();
            let mut buffer = vec![0; 16];
            let read = read_exactly(&mut File::open(&path).unwrap(), size, &mut buffer).unwrap();
            assert_eq!(read, whole.then_some(content), "{content:?} {size}");
        }
    }
}
