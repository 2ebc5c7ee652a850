//! Uncompressed copies of the files of an archive repository, to make hard links to in checkouts in user mode.
//!
//! ```text
//! uncompressed-objects-cache/XX/….file    the payload; permission bits of the file without set-user-id bits
//! ```
//!
//! The layout is libostree's, and both use what the other left. A copy gets its name when it is complete and, where
//! the repository syncs anything, on disk. Whoever writes to a file of a checkout writes to the copy as well: one
//! whose size or permission bits are not those of the object is not used. As with libostree, nobody looks at the
//! content again, and what is in the cache stays until somebody removes the directory.

use super::file::{Placed, fill};
use super::options::PRIVILEGED_BITS;
use super::{CheckoutOptions, HardLinks};
use crate::error::{RepoError, Result};
use crate::fs::{Dir, FileKind, FileStat, Linked};
use crate::objects::ContentReader;
use crate::objects::prefixes::{LooseName, PrefixDirs, directory_name, file_name, prefix_of};
use crate::repo::{DIR_MODE, Repo};
use ostler_format::{Checksum, FileHeader, ObjectName, ObjectType, PERMISSION_BITS, RepoMode};
use std::sync::OnceLock;

/// Where the copies are.
const DIRECTORY: &str = "uncompressed-objects-cache";
/// The permission bits of a copy that is not complete.
const UNFINISHED: u32 = 0o600;

/// The cache of a repository.
#[derive(Debug)]
pub(super) struct Cache<'a> {
    repo: &'a Repo,
    tmp: &'a Dir,
    dirs: OnceLock<PrefixDirs>,
}

impl<'a> Cache<'a> {
    /// Returns the cache of a repository, if this checkout is to use one and may write to it.
    pub(super) fn of(repo: &'a Repo, options: &CheckoutOptions) -> Option<Self> {
        let wanted = options.uncompressed_cache
            && options.hard_links != HardLinks::Never
            && options.user_mode
            && repo.mode() == RepoMode::Archive
            && repo.config().enable_uncompressed_cache();
        let tmp = repo.tmp().ok().filter(|_| wanted)?;
        let dirs = OnceLock::new();
        Some(Self { repo, tmp, dirs })
    }

    /// Returns the directory of a file's copy and its name there. Directories are made when first asked for.
    pub(super) fn place_of(&self, checksum: &Checksum) -> Result<(&Dir, LooseName)> {
        let prefix = prefix_of(checksum);
        let dirs = self.dirs()?;
        let dir = dirs.ensure(prefix).map_err(|error| {
            let path = dirs.root().path_of(directory_name(prefix).as_str());
            RepoError::io("make", path)(error)
        })?;
        let name = ObjectName::new(*checksum, ObjectType::File);
        Ok((dir, file_name(&name, RepoMode::Bare)))
    }

    fn dirs(&self) -> Result<&PrefixDirs> {
        if let Some(dirs) = self.dirs.get() {
            return Ok(dirs);
        }
        let failed = || RepoError::io("open", self.repo.root().path_of(DIRECTORY));
        let _made = self
            .repo
            .root()
            .ensure_dir(DIRECTORY, DIR_MODE)
            .map_err(failed())?;
        let root = self.repo.root().open_dir(DIRECTORY).map_err(failed())?;
        Ok(self.dirs.get_or_init(|| PrefixDirs::new(root)))
    }

    /// Looks at a file's copy in the [place](Self::place_of) for it, and makes it where it is missing. Returns nothing where
    /// there is one that is not like the object.
    pub(super) fn provide(
        &self,
        file: &Placed<'_>,
        (dir, path): (&Dir, &str),
        mut reader: ContentReader,
    ) -> Result<Option<FileStat>> {
        let failed = |doing: &'static str| RepoError::io(doing, dir.path_of(path));
        let header = reader.header().clone();
        let size = reader.size();
        if let Some(found) = dir.stat(path).map_err(failed("look at"))? {
            return Ok(fits(&found, &header, size).then_some(found));
        }
        let temp = self.tmp.temp_file(UNFINISHED).map_err(failed("make"))?;
        fill(file, temp.file(), &mut reader)?;
        temp.set_mode(bits_of(&header)).map_err(failed("make"))?;
        if self.repo.config().fsync() {
            temp.sync().map_err(failed("sync"))?;
        }
        let made = FileStat::of(temp.file()).map_err(failed("look at"))?;
        match dir.link_temp(temp, path).map_err(failed("make"))? {
            Linked::New => Ok(Some(made)),
            // Another checkout was faster.
            Linked::Exists => {
                let found = dir.stat(path).map_err(failed("look at"))?;
                Ok(found.filter(|found| fits(found, &header, size)))
            }
        }
    }
}

/// Returns the permission bits of the copy of a file.
fn bits_of(header: &FileHeader) -> u32 {
    header.mode & PERMISSION_BITS & !PRIVILEGED_BITS
}

/// Returns whether a copy can be that of an object.
fn fits(found: &FileStat, header: &FileHeader, size: u64) -> bool {
    found.kind == FileKind::Regular && found.size == size && found.mode & PERMISSION_BITS == bits_of(header)
}
