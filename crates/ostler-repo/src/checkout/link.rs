//! Hard links of a checkout: to objects that are stored just as they are wanted, or to their uncompressed copies.

use super::existing::{is_object, is_shown_alike};
use super::file::{Placed, Worker};
use super::options::{HardLinks, OWNER_READS, Overwrite};
use crate::error::Result;
use crate::fs::{Dir, FileKind, FileStat, Linked};
use crate::objects::prefixes::file_name;
use crate::repo::Repo;
use ostler_format::{Checksum, ObjectName, ObjectType, PERMISSION_BITS, RepoMode};
use rustix::io::Errno;
use std::io;

/// Group and others may read.
const OTHERS_READ: u32 = 0o044;

/// The file that a link is to lead to.
struct Source<'a> {
    dir: &'a Dir,
    path: &'a str,
    stat: FileStat,
}

impl Worker<'_> {
    /// Makes a hard link from the first repository that has the object just as it is wanted. Returns whether the
    /// file is in its place now.
    pub(super) fn link(&mut self, file: &Placed<'_>) -> Result<bool> {
        let name = ObjectName::new(*file.checksum, ObjectType::File);
        for repo in std::iter::successors(Some(self.repo), |repo| repo.parent()) {
            if !self.options.links_fit(repo.mode()) {
                continue;
            }
            let Some(stat) = repo.stat_own_object(&name)? else {
                continue;
            };
            if self.is_copied(repo, &stat, file.checksum)? {
                return Ok(false);
            }
            let Some(dir) = repo.loose().directory_of(&name)? else {
                continue;
            };
            let object = file_name(&name, repo.mode());
            let path = object.as_str();
            return self.link_or_copy(file, &Source { dir, path, stat });
        }
        self.link_cached(file)
    }

    /// Makes a hard link to the uncompressed copy of a file, if there is to be one.
    fn link_cached(&mut self, file: &Placed<'_>) -> Result<bool> {
        let Some(cache) = self.cache else {
            return Ok(false);
        };
        let reader = self.repo.open_content(file.checksum)?;
        if reader.header().is_symlink() || self.options.always_copied(reader.header(), reader.size()) {
            return Ok(false);
        }
        let (dir, name) = cache.place_of(file.checksum)?;
        let path = name.as_str();
        let Some(stat) = cache.provide(file, (dir, path), reader)? else {
            return Ok(false);
        };
        let linked = self.link_or_copy(file, &Source { dir, path, stat })?;
        if !linked {
            // On another file system no other link will succeed, and copies of copies help nobody.
            self.cache = None;
        }
        Ok(linked)
    }

    /// Makes a hard link; false if there has to be a copy.
    fn link_or_copy(&mut self, file: &Placed<'_>, source: &Source<'_>) -> Result<bool> {
        match file.dir.link_from(file.name, source.dir, source.path) {
            Ok(Linked::New) => {
                self.stats.linked += 1;
                Ok(true)
            }
            Ok(Linked::Exists) => self.link_over(file, source),
            Err(error) if self.options.hard_links != HardLinks::Require && no_link(&error) => Ok(false),
            Err(error) => Err(file.failed("make hard link")(error)),
        }
    }

    /// Decides about what is in the way of a link.
    fn link_over(&mut self, file: &Placed<'_>, source: &Source<'_>) -> Result<bool> {
        let failed = || file.failed("make hard link");
        let Some(found) = file.look()? else {
            return Err(failed()(Errno::EXIST.into()));
        };
        let same = (found.dev, found.ino) == (source.stat.dev, source.stat.ino);
        let kept = match self.options.overwrite {
            Overwrite::Never => return Err(failed()(Errno::EXIST.into())),
            Overwrite::Add => true,
            Overwrite::Files => same || is_object(self.repo, file, &found, Some(&source.stat))?,
            Overwrite::Identical => {
                if !(same
                    || is_object(self.repo, file, &found, Some(&source.stat))?
                    || self.is_shown(file, &found)?)
                {
                    return Err(file.other_there());
                }
                true
            }
        };
        if kept {
            self.stats.kept += 1;
            return Ok(true);
        }
        self.clear_for(file, &found)?;
        let temporary = self
            .temporary_name(file.dir, |name| file.dir.link_from(name, source.dir, source.path))
            .map_err(failed())?;
        move_over(file, &temporary).map_err(failed())?;
        self.stats.linked += 1;
        Ok(true)
    }

    /// Returns whether what is in the way is what a checkout in user mode shows of the object.
    fn is_shown(&self, file: &Placed<'_>, found: &FileStat) -> Result<bool> {
        if !self.options.user_mode {
            return Ok(false);
        }
        let reader = self.repo.open_content(file.checksum)?;
        is_shown_alike(self.options, file, found, reader.header(), reader.size())
    }

    /// Returns whether a file is made anew although links fit the mode. In bare-user repositories that goes for
    /// symbolic links, which are files there, and libostree makes no difference in bare-user-only ones.
    fn is_copied(&self, repo: &Repo, stat: &FileStat, checksum: &Checksum) -> Result<bool> {
        if stat.kind != FileKind::Regular {
            return Ok(repo.mode() == RepoMode::BareUserOnly);
        }
        let unreadable = |mode| self.options.user_mode && mode & OWNER_READS == 0;
        if stat.size == 0 || unreadable(stat.mode) {
            return Ok(true);
        }
        // A bare-user repository lets its owner read all files. Of those that anybody may read that is no news.
        if repo.mode() == RepoMode::BareUser && stat.mode & OTHERS_READ == 0 {
            return Ok(unreadable(repo.open_content(checksum)?.header().mode));
        }
        is_stored_symlink(repo, stat, checksum)
    }

    /// Calls `make` with names until one is free.
    pub(super) fn temporary_name(
        &mut self,
        dir: &Dir,
        make: impl Fn(&str) -> io::Result<Linked>,
    ) -> io::Result<String> {
        loop {
            self.names += 1;
            let thread = rustix::thread::gettid().as_raw_nonzero();
            let name = format!(".ostler-checkout-{thread}-{}", self.names);
            match make(&name)? {
                Linked::New => return Ok(name),
                // Left behind by one of the same number that was killed.
                Linked::Exists => drop(dir.unlink(&name)?),
            }
        }
    }
}

/// Returns whether a file in a repository stands for a symbolic link.
fn is_stored_symlink(repo: &Repo, stat: &FileStat, checksum: &Checksum) -> Result<bool> {
    /// The mode of all that stand for symbolic links.
    const STORED: u32 = 0o644;
    /// The longest target, with the NUL that ends it.
    const LONGEST: u64 = 4096;
    if repo.mode() != RepoMode::BareUser || stat.mode & PERMISSION_BITS != STORED || stat.size > LONGEST {
        return Ok(false);
    }
    Ok(repo.open_content(checksum)?.header().is_symlink())
}

/// Returns whether a hard link is impossible where a copy is not.
fn no_link(error: &io::Error) -> bool {
    let refused = [Errno::XDEV, Errno::MLINK, Errno::PERM];
    refused
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Moves a complete file from its temporary name over what is in the way.
pub(super) fn move_over(file: &Placed<'_>, temporary: &str) -> io::Result<()> {
    let moved = Dir::rename_over(file.dir, temporary, file.dir, file.name);
    // A rename between two names of the same file does nothing, and leaves both.
    drop(file.dir.unlink(temporary));
    moved
}
