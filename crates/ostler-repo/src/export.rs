//! Writing a commit's tree as a tar archive, in the form of pax.
//!
//! The order is that of libostree: a directory, its files by name, then its directories. Content is streamed. The time of everything is that of
//! the commit. Paths are the prefix and what is below the exported directory, put together without anything between
//! them; the exported directory itself is the prefix, or `./`.

use crate::buffers;
use crate::compress::read_some;
use crate::error::{RepoError, Result};
use crate::repo::Repo;
use crate::walk::{Descend, PathEntry, WalkEntry};
use ostler_format::tar::{TAR_BLOCK, TarEntry, end_of_archive};
use ostler_format::{Checksum, PERMISSION_BITS};
use std::io::{self, Write};

/// Archives are filled up to records of this many bytes, as tapes once needed.
const RECORD: u64 = 20 * TAR_BLOCK as u64;

/// What of a commit is exported, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// The directory to export; the root if it is empty.
    pub subpath: String,
    /// What every path begins with.
    pub prefix: String,
    /// Whether extended attributes are left out.
    pub no_xattrs: bool,
}

/// An archive that is being written.
struct Archive<'a> {
    out: &'a mut dyn Write,
    written: u64,
    mtime: u64,
    options: &'a ExportOptions,
    header: Vec<u8>,
}

impl Repo {
    /// Writes the tree of a commit, or a directory of it, as a tar archive.
    ///
    /// # Errors
    /// [`RepoError::NotFound`] and [`RepoError::Invalid`] if there is no such directory, what loading objects returns,
    /// and [`RepoError::Io`] with what `out` answers.
    pub fn export(&self, commit: &Checksum, options: &ExportOptions, out: &mut dyn Write) -> Result<()> {
        let mtime = self.load_commit(commit)?.timestamp;
        let PathEntry::Directory { tree, meta } = self.lookup_path(commit, &options.subpath)? else {
            let what = format!("path '{}'", options.subpath);
            return Err(RepoError::invalid(
                what,
                "it is a file, and only directories are exported",
            ));
        };
        let mut archive = Archive {
            out,
            written: 0,
            mtime,
            options,
            header: Vec::new(),
        };
        self.walk_tree(&tree, &meta, &mut |entry| {
            match entry {
                WalkEntry::Directory { path, meta, .. } => archive.directory(self, path, &meta)?,
                WalkEntry::File { path, checksum } => archive.file(self, path, &checksum)?,
            }
            Ok(Descend::Yes)
        })?;
        archive.finish()
    }
}

impl Archive<'_> {
    fn directory(&mut self, repo: &Repo, path: &str, meta: &Checksum) -> Result<()> {
        let meta = repo.load_dirmeta(meta)?;
        let mut name = self.name_of(path);
        if name.is_empty() {
            name.push('.');
        }
        if !name.ends_with('/') {
            name.push('/');
        }
        let entry = TarEntry {
            kind: b'5',
            path: name.as_bytes(),
            link: b"",
            mode: meta.mode & PERMISSION_BITS,
            uid: meta.uid,
            gid: meta.gid,
            size: 0,
            mtime: self.mtime,
        };
        self.entry(&entry, meta.xattrs.iter())
    }

    fn file(&mut self, repo: &Repo, path: &str, checksum: &Checksum) -> Result<()> {
        let mut content = repo.open_content(checksum)?;
        let header = content.header().clone();
        let name = self.name_of(path);
        let size = content.size();
        let entry = TarEntry {
            kind: if header.is_symlink() { b'2' } else { b'0' },
            path: name.as_bytes(),
            link: header.symlink_target.as_bytes(),
            mode: header.mode & PERMISSION_BITS,
            uid: header.uid,
            gid: header.gid,
            size,
            mtime: self.mtime,
        };
        self.entry(&entry, header.xattrs.iter())?;
        let mut buffer = buffers::stream();
        let mut left = size;
        loop {
            let count = read_some(&mut content, &mut buffer).map_err(|error| content.read_error(error))?;
            let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            left = left
                .checked_sub(count as u64)
                .ok_or_else(|| wrong_size(checksum, size))?;
            self.write(bytes)?;
        }
        if left > 0 {
            return Err(wrong_size(checksum, size));
        }
        self.fill(TAR_BLOCK as u64)
    }

    fn name_of(&self, path: &str) -> String {
        let below = path.strip_prefix('/').unwrap_or(path);
        format!("{}{below}", self.options.prefix)
    }

    fn entry<'x>(
        &mut self,
        entry: &TarEntry<'_>,
        xattrs: impl Iterator<Item = (&'x [u8], &'x [u8])>,
    ) -> Result<()> {
        let mut header = std::mem::take(&mut self.header);
        header.clear();
        entry.write(xattrs.filter(|_| !self.options.no_xattrs), &mut header);
        self.write(&header)?;
        self.header = header;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(failed)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Writes zeros up to a multiple of `unit`.
    fn fill(&mut self, unit: u64) -> Result<()> {
        let zeros = end_of_archive();
        loop {
            let missing = self.written.next_multiple_of(unit) - self.written;
            let length = usize::try_from(missing).unwrap_or(usize::MAX);
            match zeros.get(..length.min(zeros.len())) {
                Some(piece) if !piece.is_empty() => self.write(piece)?,
                _ => return Ok(()),
            }
        }
    }

    fn finish(mut self) -> Result<()> {
        self.write(&end_of_archive())?;
        self.fill(RECORD)?;
        self.out.flush().map_err(failed)
    }
}

fn failed(error: io::Error) -> RepoError {
    RepoError::io("write", "the archive")(error)
}

fn wrong_size(checksum: &Checksum, size: u64) -> RepoError {
    RepoError::corrupt(
        format!("object {checksum}.file"),
        format!("its content is not {size} bytes long"),
    )
}
