//! Making the files of content objects, in every mode of a repository.
//!
//! What comes out is a file without a name that is complete: content first, then owner, then extended
//! attributes, then permission bits, then the modification time. A set-user-id bit so never sits on a file
//! that is still being written or belongs to somebody else, and attributes go before the bits because those
//! may take away our right to write them. Naming the file is the caller's, and the last step.
//!
//! | mode | file | permission bits | mtime |
//! |---|---|---|---|
//! | archive | header and raw deflate | 0644 | left |
//! | bare, bare-split-xattrs | payload | as in the header | 0 |
//! | bare-user | payload, or a link's target and a NUL | `mode & 0775 \| 0400`; 0644 for links | 0 |
//! | bare-user-only | payload | as in the header, nothing beyond 0775 | 0 |

use super::content::OSTREEMETA;
use crate::buffers;
use crate::compress::{deflate_whole, read_some};
use crate::error::{RepoError, Result};
use crate::fs::{Dir, FileStat, TempFile, set_time_to_epoch};
use crate::xattrs;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use ostler_format::{Checksum, FileHeader, Hasher, PERMISSION_BITS, RepoMode};
use rustix::fs::{AtFlags, Gid, Uid};
use rustix::io::Errno;
use std::io::{self, Read, Write};

/// Permission bits of metadata and of everything in archive repositories.
const PLAIN_MODE: u32 = 0o644;

/// Permission bits of a file that is being written.
const PRIVATE_MODE: u32 = 0o600;

/// The bits that bare-user-only can keep.
pub(crate) const BARE_USER_ONLY_BITS: u32 = 0o775;
/// The permission bit that every file of a bare-user repository has, so that its owner can read it.
pub(crate) const OWNER_READS: u32 = 0o400;

/// What a file looks like right after it was made, which saves setting what is right already.
#[derive(Debug, Clone, Copy)]
struct Newborn {
    uid: u32,
    gid: u32,
    /// Whether asking for [`PLAIN_MODE`] gives just that (umask, default ACLs).
    plain: bool,
}

/// Makes files for objects in one directory of one repository.
#[derive(Debug)]
pub(crate) struct ObjectFiles {
    dir: Dir,
    mode: RepoMode,
    level: u32,
    newborn: Newborn,
}

impl ObjectFiles {
    /// Makes files on the file system of `dir`, compressing at `level` (1 to 9).
    pub(crate) fn new(dir: Dir, mode: RepoMode, level: u32) -> Result<Self> {
        let probe = dir
            .temp_file(PLAIN_MODE)
            .and_then(|temp| FileStat::of(&temp))
            .map_err(RepoError::io("make a temporary file in", dir.path()))?;
        let newborn = Newborn {
            uid: probe.uid,
            gid: probe.gid,
            plain: probe.mode & 0o7777 == PLAIN_MODE,
        };
        Ok(Self {
            dir,
            mode,
            level,
            newborn,
        })
    }

    /// Makes the file of a metadata object, or of anything else stored as it is.
    pub(crate) fn plain(&self, bytes: &[u8]) -> Result<TempFile> {
        self.plain_file(bytes).map_err(self.failed("write an object in"))
    }

    /// Makes the file of a regular file whose payload is in memory.
    pub(crate) fn regular(&self, header: &FileHeader, payload: &[u8]) -> Result<TempFile> {
        let written = if self.mode.is_archive() {
            let mut bytes = buffers::empty();
            bytes.extend_from_slice(&header.to_archive(payload.len() as u64));
            deflate_whole(self.level, payload, &mut bytes).and_then(|()| self.plain_file(&bytes))
        } else {
            self.private_file(payload)
        };
        let temp = written.map_err(self.failed("write an object in"))?;
        self.dress(&temp, header)?;
        Ok(temp)
    }

    /// Makes the file of a regular file whose payload of `size` bytes streams by; returns it with the
    /// checksum of what was written.
    pub(crate) fn regular_from(
        &self,
        header: &FileHeader,
        size: u64,
        payload: &mut dyn Read,
    ) -> Result<(TempFile, Checksum)> {
        let mode = if self.mode.is_archive() {
            PLAIN_MODE
        } else {
            PRIVATE_MODE
        };
        let mut temp = self.temp_file(mode)?;
        let mut hasher = Hasher::new();
        hasher.update(&header.to_hash_prefix());
        if self.mode.is_archive() {
            temp.write_all(&header.to_archive(size))
                .map_err(self.failed("write an object in"))?;
            let mut deflater = DeflateEncoder::new(&mut temp, Compression::new(self.level));
            self.copy(payload, size, &mut hasher, &mut deflater)?;
            deflater
                .finish()
                .map(drop)
                .map_err(self.failed("write an object in"))?;
        } else {
            self.copy(payload, size, &mut hasher, &mut temp)?;
        }
        self.dress(&temp, header)?;
        Ok((temp, hasher.finish()))
    }

    /// Makes the file of a regular file as a clone of `source`, sharing its blocks; `None` where the file
    /// system cannot or the mode stores something else. The caller hashes the clone.
    pub(crate) fn clone_of(&self, header: &FileHeader, source: &std::fs::File) -> Result<Option<TempFile>> {
        if self.mode.is_archive() {
            return Ok(None);
        }
        let temp = self.temp_file(PRIVATE_MODE)?;
        if rustix::fs::ioctl_ficlone(&temp, source).is_err() {
            return Ok(None);
        }
        self.dress(&temp, header)?;
        Ok(Some(temp))
    }

    /// Makes a file of exactly `size` bytes from `source`, as they are.
    pub(crate) fn copy_of(&self, size: u64, source: &mut dyn Read) -> Result<TempFile> {
        let mut temp = self.temp_file(PLAIN_MODE)?;
        for_each_piece(source, size, |bytes| {
            temp.write_all(bytes).map_err(self.failed("write an object in"))
        })?;
        self.settle_plain_mode(&temp)
            .map_err(self.failed("set the mode of an object in"))?;
        Ok(temp)
    }

    /// Makes a file from all that `source` has, as it is; the kernel copies where it can.
    pub(crate) fn all_of(&self, source: &mut (impl Read + ?Sized)) -> Result<TempFile> {
        let temp = self.temp_file(PLAIN_MODE)?;
        io::copy(source, &mut temp.file()).map_err(|error| {
            if is_about_writing(&error) {
                self.failed("write an object in")(error)
            } else {
                read_failed(error)
            }
        })?;
        self.settle_plain_mode(&temp)
            .map_err(self.failed("set the mode of an object in"))?;
        Ok(temp)
    }

    /// Returns whether the mode keeps symbolic links in regular files.
    pub(crate) fn keeps_links_in_files(&self) -> bool {
        matches!(self.mode, RepoMode::Archive | RepoMode::BareUser)
    }

    /// Makes the file of a symbolic link, for modes that [keep them so](Self::keeps_links_in_files).
    pub(crate) fn link_in_file(&self, header: &FileHeader) -> Result<TempFile> {
        let written = if self.mode.is_archive() {
            self.plain_file(&header.to_archive(0))
        } else {
            let mut bytes = header.symlink_target.clone().into_bytes();
            bytes.push(0);
            self.private_file(&bytes)
        };
        let temp = written.map_err(self.failed("write an object in"))?;
        self.dress(&temp, header)?;
        Ok(temp)
    }

    /// Makes a real symbolic link under the temporary `name`, with owner and attributes.
    pub(crate) fn link(&self, header: &FileHeader, name: &str) -> Result<()> {
        self.dir
            .symlink(&header.symlink_target, name)
            .map_err(self.failed("make a symbolic link in"))?;
        if self.mode == RepoMode::BareUserOnly {
            return Ok(());
        }
        if let Some((uid, gid)) = self.new_owner(header) {
            rustix::fs::chownat(&self.dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| self.owner_error(header, error))?;
        }
        if self.mode == RepoMode::Bare {
            xattrs::write_link(&self.dir, name, header.xattrs.iter())
                .map_err(self.failed("set extended attributes of a symbolic link in"))?;
        }
        Ok(())
    }

    /// Refuses what the mode cannot store, and says of which object that is where its name is known.
    pub(crate) fn check(&self, header: &FileHeader, checksum: Option<&Checksum>) -> Result<()> {
        header.check().map_err(RepoError::format("file header"))?;
        let beyond = header.mode & 0o7777 & !BARE_USER_ONLY_BITS;
        if self.mode == RepoMode::BareUserOnly && header.is_regular() && beyond != 0 {
            // In the words of libostree.
            let object = checksum.map_or_else(
                || "for a bare-user-only repository".to_owned(),
                Checksum::to_string,
            );
            let detail = format!(
                "Content object {object}: invalid mode 0{:04o} with bits 0{beyond:04o}",
                header.mode
            );
            return Err(RepoError::Refused { detail });
        }
        Ok(())
    }

    fn temp_file(&self, mode: u32) -> Result<TempFile> {
        self.dir
            .temp_file(mode)
            .map_err(self.failed("make a temporary file in"))
    }

    fn plain_file(&self, bytes: &[u8]) -> io::Result<TempFile> {
        let mut temp = self.dir.temp_file(PLAIN_MODE)?;
        temp.write_all(bytes)?;
        self.settle_plain_mode(&temp)?;
        Ok(temp)
    }

    fn private_file(&self, bytes: &[u8]) -> io::Result<TempFile> {
        let mut temp = self.dir.temp_file(PRIVATE_MODE)?;
        temp.write_all(bytes)?;
        Ok(temp)
    }

    fn settle_plain_mode(&self, temp: &TempFile) -> io::Result<()> {
        if self.newborn.plain {
            Ok(())
        } else {
            temp.set_mode(PLAIN_MODE)
        }
    }

    /// Copies exactly `size` bytes, hashing them.
    fn copy(
        &self,
        payload: &mut dyn Read,
        size: u64,
        hasher: &mut Hasher,
        sink: &mut dyn Write,
    ) -> Result<()> {
        for_each_piece(payload, size, |bytes| {
            hasher.update(bytes);
            sink.write_all(bytes).map_err(self.failed("write an object in"))
        })
    }

    /// Gives a complete file its owner, attributes, permission bits and time.
    fn dress(&self, temp: &TempFile, header: &FileHeader) -> Result<()> {
        if self.mode.is_archive() {
            return self
                .settle_plain_mode(temp)
                .map_err(self.failed("set the mode of an object in"));
        }
        let bits = match self.mode {
            RepoMode::BareUser => {
                let meta = header.to_ostreemeta();
                xattrs::write_file(temp, [(OSTREEMETA.as_bytes(), meta.as_slice())])
                    .map_err(self.failed("set user.ostreemeta of an object in"))?;
                if header.is_symlink() {
                    PLAIN_MODE
                } else {
                    header.mode & BARE_USER_ONLY_BITS | OWNER_READS
                }
            }
            RepoMode::BareUserOnly => header.mode & BARE_USER_ONLY_BITS,
            _ => {
                self.dress_bare(temp, header)?;
                header.mode & 0o7777
            }
        };
        temp.set_mode(bits)
            .map_err(self.failed("set the mode of an object in"))?;
        set_time_to_epoch(temp).map_err(self.failed("set the time of an object in"))
    }

    fn dress_bare(&self, temp: &TempFile, header: &FileHeader) -> Result<()> {
        if let Some((uid, gid)) = self.new_owner(header) {
            rustix::fs::fchown(temp, uid, gid).map_err(|error| self.owner_error(header, error))?;
        }
        if self.mode == RepoMode::Bare {
            xattrs::write_file(temp, header.xattrs.iter())
                .map_err(self.failed("set extended attributes of an object in"))?;
        }
        Ok(())
    }

    /// Returns what `chown` is to set, or `None` where the owner is right already.
    fn new_owner(&self, header: &FileHeader) -> Option<(Option<Uid>, Option<Gid>)> {
        let uid = (header.uid != self.newborn.uid).then(|| Uid::from_raw(header.uid));
        let gid = (header.gid != self.newborn.gid).then(|| Gid::from_raw(header.gid));
        (uid.is_some() || gid.is_some()).then_some((uid, gid))
    }

    fn owner_error(&self, header: &FileHeader, error: Errno) -> RepoError {
        let doing = format!(
            "give a file to {}:{} (a {} repository keeps owners, which takes root) in",
            header.uid, header.gid, self.mode
        );
        self.failed(&doing)(error.into())
    }

    fn failed(&self, doing: &str) -> impl FnOnce(io::Error) -> RepoError {
        RepoError::io(doing, self.dir.path())
    }
}

/// Refuses content whose permission bits a bare-user-only repository would lose.
///
/// # Errors
/// [`RepoError::Refused`].
pub fn check_bare_user_only(checksum: &Checksum, header: &FileHeader) -> Result<()> {
    let beyond = header.mode & PERMISSION_BITS & !BARE_USER_ONLY_BITS;
    if beyond == 0 || header.is_symlink() {
        return Ok(());
    }
    // In the words of libostree.
    let detail = format!(
        "Content object {checksum}: invalid mode 0{:04o} with bits 0{beyond:04o}, which bare-user-only repositories cannot hold",
        header.mode
    );
    Err(RepoError::Refused { detail })
}

/// Reads exactly `size` bytes into `buffer`; the source must have no more.
pub(crate) fn read_whole(payload: &mut dyn Read, size: u64, buffer: &mut Vec<u8>) -> Result<()> {
    // Room for a byte too many tells a source that grew; the rest spares the last read a reallocation.
    buffer.reserve(usize::try_from(size).unwrap_or_default().saturating_add(64));
    let count = payload.take(size + 1).read_to_end(buffer).map_err(read_failed)?;
    match (count as u64).cmp(&size) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(wrong_size(size, "fewer")),
        std::cmp::Ordering::Greater => Err(wrong_size(size, "more")),
    }
}

/// Passes exactly `size` bytes of `payload` to `take_in`, piece by piece.
pub(crate) fn for_each_piece(
    payload: &mut dyn Read,
    size: u64,
    mut take_in: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut buffer = buffers::stream();
    let mut left = size;
    loop {
        let count = read_some(payload, &mut buffer).map_err(read_failed)?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        left = left
            .checked_sub(count as u64)
            .ok_or_else(|| wrong_size(size, "more"))?;
        take_in(bytes)?;
    }
    if left == 0 {
        Ok(())
    } else {
        Err(wrong_size(size, "fewer"))
    }
}

fn wrong_size(size: u64, how: &str) -> RepoError {
    RepoError::invalid("content", format!("{how} bytes than the declared {size}"))
}

/// Returns whether an error of copying is one that only writing can give.
fn is_about_writing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge
            | io::ErrorKind::ReadOnlyFilesystem
    )
}

/// Turns the failure of a source into an error; one of ours inside it comes out as it was.
pub(crate) fn read_failed(error: io::Error) -> RepoError {
    match error.downcast::<RepoError>() {
        Ok(error) => error,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            RepoError::corrupt("content", error.to_string())
        }
        Err(source) => RepoError::Io {
            doing: "read".to_owned(),
            path: "the content to be stored".into(),
            source,
        },
    }
}
