//! Files of a checkout: hard links where they fit, else copies.
//!
//! Into a directory that the checkout made, files are written under their names, since nobody sees them before the
//! directory is sealed. Elsewhere a file gets its name when it is complete, and replaces what it may replace in the
//! same instant.

use super::directory::{Place, set_owner, set_times};
use super::{CheckoutOptions, CheckoutStats, HardLinks, Overwrite, links_fit};
use crate::error::{RepoError, Result};
use crate::fs::{Dir, FileKind, FileStat, Linked};
use crate::objects::ContentReader;
use crate::objects::prefixes::file_name;
use crate::repo::Repo;
use crate::xattrs;
use ostler_format::{Checksum, FileHeader, ObjectName, ObjectType, PERMISSION_BITS, RepoMode};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::sync::Arc;

/// The permission bits of a file that is not complete.
const UNFINISHED: u32 = 0o600;
/// Mode bits that a checkout in user mode does not carry over.
const PRIVILEGED_BITS: u32 = 0o6000;
/// A checkout in user mode can be read by its owner.
const OWNER_READS: u32 = 0o400;
/// Group and others may read.
const OTHERS_READ: u32 = 0o044;
/// From this size on the kernel copies between files.
const KERNEL_COPY: u64 = 64 << 10;

/// A file to put in place.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) place: Arc<Place>,
    pub(super) name: Box<str>,
    pub(super) checksum: Checksum,
}

/// Where a file goes, and which.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed<'a> {
    pub(super) dir: &'a Dir,
    /// Whether nothing can be in the way.
    pub(super) fresh: bool,
    pub(super) name: &'a str,
    pub(super) checksum: &'a Checksum,
}

/// Puts files in place, one after the other.
#[derive(Debug)]
pub(super) struct Worker<'a> {
    repo: &'a Repo,
    options: &'a CheckoutOptions,
    stats: CheckoutStats,
    /// How many temporary names were used.
    names: u64,
}

impl<'a> Worker<'a> {
    pub(super) fn new(repo: &'a Repo, options: &'a CheckoutOptions) -> Self {
        Self {
            repo,
            options,
            stats: CheckoutStats::default(),
            names: 0,
        }
    }

    pub(super) fn finish(self) -> CheckoutStats {
        self.stats
    }

    pub(super) fn run(&mut self, job: &Job) -> Result<()> {
        self.place(&Placed {
            dir: &job.place.dir,
            fresh: job.place.fresh,
            name: &job.name,
            checksum: &job.checksum,
        })
    }

    /// Puts a file in place.
    pub(super) fn place(&mut self, file: &Placed<'_>) -> Result<()> {
        if self.options.overwrite == Overwrite::Add && !file.fresh && file.look()?.is_some() {
            self.stats.kept += 1;
            return Ok(());
        }
        if self.options.hard_links != HardLinks::Never && self.link(file)? {
            return Ok(());
        }
        let reader = self.repo.open_content(file.checksum)?;
        if self.options.overwrite == Overwrite::Identical && !file.fresh && self.check_same(file, &reader)? {
            return Ok(());
        }
        self.stats.copied += 1;
        self.stats.copied_bytes += reader.size();
        let header = reader.header().clone();
        if header.is_symlink() {
            self.symlink(file, &header)
                .map_err(file.failed("make symbolic link"))
        } else {
            self.copy(file, &header, reader)
        }
    }

    /// Makes a hard link from the first repository that has the object just as it is wanted.
    fn link(&mut self, file: &Placed<'_>) -> Result<bool> {
        let name = ObjectName::new(*file.checksum, ObjectType::File);
        for repo in std::iter::successors(Some(self.repo), |repo| repo.parent()) {
            if !links_fit(repo.mode(), self.options.user_mode) {
                continue;
            }
            let Some(stat) = repo.stat_own_object(&name)? else {
                continue;
            };
            if stat.kind == FileKind::Regular && self.is_copied(repo, &stat, file.checksum)? {
                return Ok(false);
            }
            let Some(objects) = repo.loose().directory_of(&name)? else {
                continue;
            };
            let object = file_name(&name, repo.mode());
            return match self.link_from(file, objects, object.as_str(), &stat) {
                Err(error) if self.options.hard_links != HardLinks::Require && no_link(&error) => Ok(false),
                placed => placed.map_err(file.failed("make hard link")),
            };
        }
        Ok(false)
    }

    /// Returns whether a file is made anew although links fit the mode: empty files are in so many places that they
    /// would exhaust the links of a file, and tempt programs that write to what they take for a fresh one; what
    /// its owner cannot read gets another mode; symbolic links are files in bare-user repositories.
    fn is_copied(&self, repo: &Repo, stat: &FileStat, checksum: &Checksum) -> Result<bool> {
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

    /// Makes a hard link; false if the contents have to decide about what is in the way.
    fn link_from(
        &mut self,
        file: &Placed<'_>,
        objects: &Dir,
        object: &str,
        stat: &FileStat,
    ) -> io::Result<bool> {
        if file.dir.link_from(file.name, objects, object)? == Linked::New {
            self.stats.linked += 1;
            return Ok(true);
        }
        let same = |there: FileStat| (there.dev, there.ino) == (stat.dev, stat.ino);
        if file.dir.stat(file.name)?.is_some_and(same) && self.options.overwrite != Overwrite::Never {
            self.stats.kept += 1;
            return Ok(true);
        }
        match self.options.overwrite {
            Overwrite::Never => Err(Errno::EXIST.into()),
            Overwrite::Add => {
                self.stats.kept += 1;
                Ok(true)
            }
            Overwrite::Identical => Ok(false),
            Overwrite::Files => {
                let temporary =
                    self.temporary_name(file.dir, |name| file.dir.link_from(name, objects, object))?;
                self.stats.linked += 1;
                move_over(file, &temporary).map(|()| true)
            }
        }
    }

    /// Calls `make` with names until one is free.
    fn temporary_name(&mut self, dir: &Dir, make: impl Fn(&str) -> io::Result<Linked>) -> io::Result<String> {
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

    fn symlink(&mut self, file: &Placed<'_>, header: &FileHeader) -> io::Result<()> {
        let target = header.symlink_target.as_str();
        match file.dir.symlink(target, file.name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.replaces(file) => {
                file.dir.replace_symlink(target, file.name, file.dir)?;
            }
            made => made?,
        }
        if !self.options.user_mode {
            let (uid, gid) = (Uid::from_raw(header.uid), Gid::from_raw(header.gid));
            rustix::fs::chownat(
                file.dir,
                file.name,
                Some(uid),
                Some(gid),
                AtFlags::SYMLINK_NOFOLLOW,
            )?;
            xattrs::write_link(file.dir, file.name, header.xattrs.iter())?;
        }
        Ok(())
    }

    fn replaces(&self, file: &Placed<'_>) -> bool {
        self.options.overwrite == Overwrite::Files && !file.fresh
    }

    fn copy(&mut self, file: &Placed<'_>, header: &FileHeader, mut reader: ContentReader) -> Result<()> {
        if file.fresh {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mode = Mode::from_raw_mode(UNFINISHED);
            let made = rustix::fs::openat(file.dir, file.name, flags, mode).map_err(io::Error::from);
            let out = File::from(made.map_err(file.failed("make"))?);
            fill(file, &out, &mut reader)?;
            return self
                .finish_file(&out, header)
                .map_err(file.failed("set the attributes of"));
        }
        let temp = file.dir.temp_file(UNFINISHED).map_err(file.failed("make"))?;
        fill(file, temp.file(), &mut reader)?;
        self.finish_file(temp.file(), header)
            .map_err(file.failed("set the attributes of"))?;
        if self.replaces(file) {
            return file
                .dir
                .replace_with_temp(temp, file.name)
                .map_err(file.failed("replace"));
        }
        match file.dir.link_temp(temp, file.name).map_err(file.failed("make"))? {
            Linked::New => Ok(()),
            Linked::Exists => Err(file.failed("make")(Errno::EXIST.into())),
        }
    }

    /// Gives a file whose content is complete its attributes.
    fn finish_file(&self, out: &File, header: &FileHeader) -> io::Result<()> {
        let mut mode = header.mode & PERMISSION_BITS;
        if self.options.user_mode {
            mode = (mode & !PRIVILEGED_BITS) | OWNER_READS;
        } else {
            set_owner(out, header.uid, header.gid)?;
            xattrs::write_file(out, header.xattrs.iter())?;
        }
        rustix::fs::fchmod(out, Mode::from_raw_mode(mode))?;
        set_times(out)
    }

    /// Checks that what is in the way, if anything, is the same file. Returns whether there is something.
    fn check_same(&mut self, file: &Placed<'_>, reader: &ContentReader) -> Result<bool> {
        let Some(stat) = file.look()? else {
            return Ok(false);
        };
        let differs = || RepoError::AlreadyExists {
            what: format!("another file {}", file.dir.path_of(file.name).display()),
        };
        let failed = file.failed("compare with");
        let header = reader.header();
        let same_kind = (stat.kind == FileKind::Symlink) == header.is_symlink();
        let checksum = match stat.kind {
            FileKind::Regular | FileKind::Symlink if same_kind => {
                existing(file, &stat, header, self.options.user_mode).map_err(failed)?
            }
            _ => return Err(differs()),
        };
        if checksum != *file.checksum {
            return Err(differs());
        }
        self.stats.kept += 1;
        Ok(true)
    }
}

impl Placed<'_> {
    /// Looks at what has the name.
    fn look(&self) -> Result<Option<FileStat>> {
        self.dir.stat(self.name).map_err(self.failed("look at"))
    }

    /// Returns a function that says what failed.
    fn failed(&self, doing: &'static str) -> impl FnOnce(io::Error) -> RepoError {
        RepoError::io(doing, self.dir.path_of(self.name))
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
fn move_over(file: &Placed<'_>, temporary: &str) -> io::Result<()> {
    let moved = Dir::rename_over(file.dir, temporary, file.dir, file.name);
    // A rename between two names of the same file does nothing, and leaves both.
    drop(file.dir.unlink(temporary));
    moved
}

/// Writes the content of an object.
fn fill(file: &Placed<'_>, mut out: &File, reader: &mut ContentReader) -> Result<()> {
    if reader.size() >= KERNEL_COPY
        && let Some(input) = reader.as_file()
        && kernel_copy(input, out, reader.size()).map_err(file.failed("write"))?
    {
        return Ok(());
    }
    let mut buffer = crate::buffers::stream();
    loop {
        let count = match reader.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(reader.read_error(error)),
            Ok(0) => return Ok(()),
            Ok(count) => count,
        };
        out.write_all(buffer.get(..count).unwrap_or_default())
            .map_err(file.failed("write"))?;
    }
}

/// Lets the kernel copy (or share) the content; false if it cannot.
fn kernel_copy(input: &File, out: &File, size: u64) -> io::Result<bool> {
    let (mut from, mut to) = (0, 0);
    while from < size {
        let left = usize::try_from(size - from).unwrap_or(usize::MAX);
        match rustix::fs::copy_file_range(input, Some(&mut from), out.as_fd(), Some(&mut to), left) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP | Errno::PERM) if from == 0 => {
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// Returns the checksum that a file on disk would have, with those parts of the header taken from the object that
/// a checkout in user mode does not show.
fn existing(
    file: &Placed<'_>,
    stat: &FileStat,
    object: &FileHeader,
    user_mode: bool,
) -> io::Result<Checksum> {
    let mut header = object.clone();
    if !user_mode {
        let found = match stat.kind {
            FileKind::Symlink => xattrs::read_link(file.dir, file.name)?,
            _ => xattrs::read_file(&file.dir.open_file(file.name)?)?,
        };
        header.xattrs = ostler_format::Xattrs::new(found).map_err(io::Error::other)?;
        (header.uid, header.gid, header.mode) = (stat.uid, stat.gid, stat.mode);
    }
    let mut hasher = ostler_format::Hasher::new();
    if stat.kind == FileKind::Symlink {
        let target = file.dir.read_link(file.name)?.into_os_string();
        header.symlink_target = target
            .into_string()
            .map_err(|_target| io::ErrorKind::InvalidData)?;
        hasher.update(&header.to_hash_prefix());
        return Ok(hasher.finish());
    }
    hasher.update(&header.to_hash_prefix());
    let mut content = file.dir.open_file(file.name)?;
    let mut buffer = crate::buffers::stream();
    loop {
        let count = crate::compress::read_some(&mut content, &mut buffer)?;
        if count == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(buffer.get(..count).unwrap_or_default());
    }
}
