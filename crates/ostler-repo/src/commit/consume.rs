//! Removing what was committed from where it came from.
//!
//! Nothing is removed while the commit is made: a commit that fails leaves its sources as they are. What was read is
//! remembered as it was then; afterwards, when the caller knows that the commit is in place, each file goes that is still the same, then
//! each directory that is empty. What came or changed meanwhile stays.

use crate::error::{RepoError, Result};
use crate::fs::{Dir, FileKind, FileStat};
use crate::xattrs;
use ostler_format::PERMISSION_BITS;
use rustix::fs::{Gid, Uid};
use std::collections::HashSet;
use std::io;
use std::path::PathBuf;

/// What a file was when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    dev: u64,
    ino: u64,
    size: u64,
    mtime: (i64, u32),
}

impl Identity {
    pub(super) fn of(stat: &FileStat) -> Self {
        Self {
            dev: stat.dev,
            ino: stat.ino,
            size: stat.size,
            mtime: stat.mtime,
        }
    }
}

/// What is to be done about something in a source.
#[derive(Debug)]
enum Entry {
    /// A file, which goes if it is the same as it was; `None` until it is read.
    File(String, Option<Identity>),
    /// A directory, which goes if it is empty.
    Directory(String),
    /// Something that was left out of the commit, and goes whatever it is.
    Skipped(String),
}

/// What a commit was made of, to be removed when it is in place.
#[derive(Debug, Default)]
#[must_use = "the files are still there"]
pub struct Consumed {
    sources: Vec<Source>,
    /// Device and inode of files that became objects themselves.
    adopted: HashSet<(u64, u64)>,
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    root: Dir,
    /// Directories before what is in them.
    entries: Vec<Entry>,
}

/// Where a file stands in the list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    source: usize,
    entry: usize,
}

impl Consumed {
    /// Begins with another source.
    pub(super) fn begin(&mut self, path: PathBuf, root: Dir) {
        let entries = Vec::new();
        self.sources.push(Source { path, root, entries });
    }

    fn push(&mut self, entry: Entry) -> Place {
        let source = self.sources.len().saturating_sub(1);
        let entries = self.sources.last_mut().map(|source| &mut source.entries);
        let count = entries.map_or(0, |entries| {
            entries.push(entry);
            entries.len()
        });
        Place {
            source,
            entry: count.saturating_sub(1),
        }
    }

    /// Notes a file. Paths begin with `/` at the source.
    pub(super) fn file(&mut self, path: &str) -> Place {
        self.push(Entry::File(relative(path), None))
    }

    /// Notes a directory.
    pub(super) fn directory(&mut self, path: &str) {
        self.push(Entry::Directory(relative(path)));
    }

    /// Notes what is left out.
    pub(super) fn skipped(&mut self, path: &str) {
        self.push(Entry::Skipped(relative(path)));
    }

    /// Says what a file was when it was read.
    pub(super) fn read(&mut self, place: Place, identity: Identity) {
        let source = self.sources.get_mut(place.source);
        if let Some(Entry::File(_, slot)) = source.and_then(|source| source.entries.get_mut(place.entry)) {
            *slot = Some(identity);
        }
    }

    /// Says which files became objects themselves.
    pub(super) fn set_adopted(&mut self, adopted: HashSet<(u64, u64)>) {
        self.adopted = adopted;
    }

    /// Leaves everything where it is, since the commit did not come about. Files that became objects are replaced
    /// by copies: who has them may write to them.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn give_back(self) -> Result<()> {
        if self.adopted.is_empty() {
            return Ok(());
        }
        for source in &self.sources {
            for entry in &source.entries {
                if let Entry::File(path, _) = entry {
                    let failed = RepoError::io("make a copy of", source.root.path_of(path));
                    source.give_back(path, &self.adopted).map_err(failed)?;
                }
            }
        }
        Ok(())
    }

    /// Removes everything that is as it was read. Returns the paths of files that are not, which stay.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn remove(self) -> Result<Vec<PathBuf>> {
        let mut changed = Vec::new();
        for source in self.sources {
            for entry in source.entries.iter().rev() {
                source.remove(entry, &mut changed)?;
            }
            remove_root(&source.path)?;
        }
        Ok(changed)
    }
}

impl Source {
    fn give_back(&self, path: &str, adopted: &HashSet<(u64, u64)>) -> io::Result<()> {
        let Some(stat) = self.root.stat(path)? else {
            return Ok(());
        };
        if stat.kind != FileKind::Regular || !adopted.contains(&(stat.dev, stat.ino)) {
            return Ok(());
        }
        let mut file = self.root.open_file(path)?;
        let copy = self.root.temp_file(0o600)?;
        io::copy(&mut file, &mut copy.file())?;
        let owner = (Some(Uid::from_raw(stat.uid)), Some(Gid::from_raw(stat.gid)));
        rustix::fs::fchown(&copy, owner.0, owner.1)?;
        let attributes = xattrs::read_file(&file)?;
        let attributes = attributes
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()));
        xattrs::write_file(&copy, attributes)?;
        copy.set_mode(stat.mode & PERMISSION_BITS)?;
        self.root.replace_with_temp(copy, path)
    }

    fn remove(&self, entry: &Entry, changed: &mut Vec<PathBuf>) -> Result<()> {
        let failed = |path: &str| RepoError::io("remove", self.root.path_of(path));
        match entry {
            Entry::File(path, read) => {
                let now = self.root.stat(path).map_err(failed(path))?;
                match (now, read) {
                    (None, _) => {}
                    (Some(now), Some(read)) if Identity::of(&now) == *read => {
                        self.root.unlink(path).map(drop).map_err(failed(path))?;
                    }
                    (Some(_), _) => changed.push(self.root.path_of(path)),
                }
            }
            Entry::Directory(path) if path.is_empty() => {}
            Entry::Directory(path) => match self.root.remove_dir(path) {
                Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => {
                    return Err(failed(path)(error));
                }
                _ => {}
            },
            Entry::Skipped(path) => self.root.remove_tree(path).map_err(failed(path))?,
        }
        Ok(())
    }
}

/// Removes the directory that a source was, if it is empty and can be: the current directory, say, cannot.
fn remove_root(path: &std::path::Path) -> Result<()> {
    match std::fs::remove_dir(path) {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::DirectoryNotEmpty
                    | io::ErrorKind::InvalidInput
                    | io::ErrorKind::NotADirectory
                    | io::ErrorKind::ResourceBusy
            ) =>
        {
            Err(RepoError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

fn relative(path: &str) -> String {
    path.trim_start_matches('/').to_owned()
}
