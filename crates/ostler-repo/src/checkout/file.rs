//! Files of a checkout: hard links where they fit, else copies.
//!
//! Into a directory that the checkout made, files are written under their names, since nobody sees them before the
//! directory is sealed. Elsewhere a file gets its name when it is complete, and replaces what it may replace in the
//! same instant. Where the file system can, copies of files that are stored as they are share their blocks with them.

use super::cache::Cache;
use super::directory::{Place, set_owner};
use super::existing::{is_object, is_shown_alike};
use super::{CheckoutOptions, CheckoutStats, HardLinks, Overwrite};
use crate::error::{RepoError, Result};
use crate::fs::{Dir, FileStat, Linked};
use crate::objects::ContentReader;
use crate::repo::Repo;
use crate::xattrs;
use ostler_format::{Checksum, FileHeader};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::sync::Arc;

/// The permission bits of a file that is not complete.
const UNFINISHED: u32 = 0o600;
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
    pub(super) repo: &'a Repo,
    pub(super) options: &'a CheckoutOptions,
    pub(super) cache: Option<&'a Cache<'a>>,
    pub(super) stats: CheckoutStats,
    /// How many temporary names were used.
    pub(super) names: u64,
}

impl<'a> Worker<'a> {
    pub(super) fn new(repo: &'a Repo, options: &'a CheckoutOptions, cache: Option<&'a Cache<'a>>) -> Self {
        Self {
            repo,
            options,
            cache,
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
        if self.make_device(file)? {
            return Ok(());
        }
        if self.options.overwrite == Overwrite::Add && !file.fresh && file.look()?.is_some() {
            self.stats.kept += 1;
            return Ok(());
        }
        if self.options.hard_links != HardLinks::Never && self.link(file)? {
            return Ok(());
        }
        let reader = self.repo.open_content(file.checksum)?;
        if !file.fresh && self.prepare(file, &reader)? {
            self.stats.kept += 1;
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

    /// Looks at what is in the way of a copy, if anything. Returns whether it can stay.
    fn prepare(&self, file: &Placed<'_>, reader: &ContentReader) -> Result<bool> {
        let overwrite = self.options.overwrite;
        if !(overwrite == Overwrite::Identical || self.options.whiteouts) {
            return Ok(false);
        }
        let Some(found) = file.look()? else {
            return Ok(false);
        };
        if overwrite == Overwrite::Files {
            self.clear_for(file, &found)?;
        }
        if overwrite != Overwrite::Identical {
            return Ok(false);
        }
        let header = reader.header();
        // Of symbolic links that are not linked themselves, no more is compared than where they lead.
        let shown = self.options.user_mode || header.is_symlink();
        if shown && is_shown_alike(self.options, file, &found, header, reader.size())?
            || is_object(self.repo, file, &found, None)?
        {
            return Ok(true);
        }
        Err(file.other_there())
    }

    fn symlink(&self, file: &Placed<'_>, header: &FileHeader) -> io::Result<()> {
        let target = header.symlink_target.as_str();
        match file.dir.symlink(target, file.name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && self.replaces(file) => {
                file.dir.replace_symlink(target, file.name, file.dir)?;
            }
            made => made?,
        }
        if !self.options.user_mode {
            file.dir.set_owner(file.name, header.uid, header.gid)?;
            xattrs::write_link(file.dir, file.name, header.xattrs.iter())?;
        }
        Ok(())
    }

    fn replaces(&self, file: &Placed<'_>) -> bool {
        self.options.overwrite == Overwrite::Files && !file.fresh
    }

    fn copy(&self, file: &Placed<'_>, header: &FileHeader, mut reader: ContentReader) -> Result<()> {
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

    /// Gives a file whose content is complete its attributes. It keeps the time of the checkout.
    fn finish_file(&self, out: &File, header: &FileHeader) -> io::Result<()> {
        if !self.options.user_mode {
            set_owner(out, header.uid, header.gid)?;
            xattrs::write_file(out, header.xattrs.iter())?;
        }
        let bits = self.options.file_bits(header.mode);
        Ok(rustix::fs::fchmod(out, Mode::from_raw_mode(bits))?)
    }
}

impl Placed<'_> {
    /// Looks at what has the name.
    pub(super) fn look(&self) -> Result<Option<FileStat>> {
        self.dir.stat(self.name).map_err(self.failed("look at"))
    }

    /// Returns a function that says what failed.
    pub(super) fn failed(&self, doing: &'static str) -> impl FnOnce(io::Error) -> RepoError {
        RepoError::io(doing, self.dir.path_of(self.name))
    }

    /// The refusal to replace another file.
    pub(super) fn other_there(&self) -> RepoError {
        RepoError::io("replace", self.dir.path_of(self.name))(Errno::EXIST.into())
    }
}

/// Writes the content of an object.
pub(super) fn fill(file: &Placed<'_>, mut out: &File, reader: &mut ContentReader) -> Result<()> {
    if reader.size() >= KERNEL_COPY
        && let Some(input) = reader.as_file()
        && (share(input, out) || kernel_copy(input, out, reader.size()).map_err(file.failed("write"))?)
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

/// Lets a new file share the blocks of another, all of them; false where the file system cannot.
fn share(input: &File, out: &File) -> bool {
    rustix::fs::ioctl_ficlone(out, input).is_ok()
}

/// Lets the kernel copy the content; false if it cannot.
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
