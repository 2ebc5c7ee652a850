//! Writing content objects.
//!
//! A payload of at most [`WHOLE_LIMIT`] bytes is read whole, hashed, looked for, and only then compressed and written. A larger
//! one streams: it is hashed as it is written, and dropped if that shows it to be there already. Who knows the
//! checksum beforehand spares us that; it is nevertheless computed from what is written, and a difference is
//! an error, so that a source that changes meanwhile does no harm.

use super::{Transaction, Written};
use crate::buffers;
use crate::compress::WHOLE_LIMIT;
use crate::error::{RepoError, Result};
use crate::fs::{Linked, TempFile};
use crate::objects::content::check_digest;
use crate::objects::store::{for_each_piece, read_failed, read_whole};
use ostler_format::{Checksum, FileHeader, Hasher, ObjectName, ObjectType, RepoMode};
use std::fs::File;
use std::io::{Read, Seek as _};
use std::sync::atomic::Ordering;

/// What is said of content before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    None,
    /// It has this checksum, or is refused.
    Checked(Checksum),
    /// It is to have this name, whatever its checksum is.
    Believed(Checksum),
}

impl Claim {
    /// Returns the checksum, as far as it is known before the content is read.
    const fn checksum(&self) -> Option<&Checksum> {
        match self {
            Self::None => None,
            Self::Checked(checksum) | Self::Believed(checksum) => Some(checksum),
        }
    }
}

impl Transaction<'_> {
    /// Writes a content object: a regular file whose payload has `size` bytes, or a symbolic link, which has
    /// none. With `expected` and an object that is there already, nothing is read from `payload`.
    ///
    /// # Errors
    /// [`RepoError::Corrupt`] when header and payload do not have the checksum `expected`;
    /// [`RepoError::Invalid`] for what the mode cannot store and when `payload` is not `size` bytes long;
    /// [`RepoError::NoSpace`]; [`RepoError::Io`].
    pub fn write_content(
        &self,
        header: &FileHeader,
        size: u64,
        payload: &mut dyn Read,
        expected: Option<Checksum>,
    ) -> Result<Written> {
        let claim = expected.map_or(Claim::None, Claim::Checked);
        self.write_claimed(header, size, payload, claim)
    }

    /// Writes a content object of which something is claimed.
    ///
    /// # Errors
    /// As [`write_content`](Self::write_content).
    pub(super) fn write_claimed(
        &self,
        header: &FileHeader,
        size: u64,
        payload: &mut dyn Read,
        claim: Claim,
    ) -> Result<Written> {
        self.files.check(header, claim.checksum())?;
        if let Claim::Checked(checksum) | Claim::Believed(checksum) = claim
            && self.has(&content_name(checksum))?
        {
            self.count_content(false, size);
            return Ok(Written { checksum, new: false });
        }
        if header.is_symlink() {
            return self.write_link(header, size, claim);
        }
        if size > WHOLE_LIMIT {
            return self.write_stream(header, size, payload, claim);
        }
        let mut bytes = buffers::empty();
        read_whole(payload, size, &mut bytes)?;
        let name = self.settle_name(claim, header.checksum_of(&bytes))?;
        self.put(name, header, size, || self.files.regular(header, &bytes))
    }

    /// Writes a regular file from an open file. A large one is cloned where the file system can do that;
    /// else it is hashed first and read again only if the object is not there yet.
    ///
    /// # Errors
    /// As [`write_content`](Self::write_content).
    pub fn write_file(&self, header: &FileHeader, size: u64, file: &mut File) -> Result<Written> {
        if size <= WHOLE_LIMIT || !header.is_regular() {
            return self.write_content(header, size, file, None);
        }
        self.files.check(header, None)?;
        if let Some(written) = self.write_clone(header, size, file)? {
            return Ok(written);
        }
        let checksum = hash_content(header, size, file)?;
        file.rewind().map_err(read_failed)?;
        self.write_content(header, size, file, Some(checksum))
    }

    fn write_clone(&self, header: &FileHeader, size: u64, file: &File) -> Result<Option<Written>> {
        if !self.clones.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let Some(temp) = self.files.clone_of(header, file)? else {
            self.clones.store(false, Ordering::Relaxed);
            return Ok(None);
        };
        let checksum = hash_content(header, size, &mut temp.file())?;
        self.put(content_name(checksum), header, size, || Ok(temp))
            .map(Some)
    }

    fn write_link(&self, header: &FileHeader, size: u64, claim: Claim) -> Result<Written> {
        if size != 0 {
            return Err(RepoError::invalid("content", "a symbolic link has none"));
        }
        let name = self.settle_name(claim, header.checksum_of(b""))?;
        if self.files.keeps_links_in_files() {
            return self.put(name, header, 0, || self.files.link_in_file(header));
        }
        if self.has(&name)? {
            self.count_content(false, 0);
            return Ok(written(&name, false));
        }
        self.stage_xattrs(&name, header)?;
        let temporary = self.staging.temporary_name()?;
        if let Err(error) = self.files.link(header, &temporary) {
            self.staging.drop_temporary(&temporary);
            return Err(error);
        }
        let linked = self.staging.name_temporary(&temporary, &name)?;
        let new = self.note(linked, &name)?;
        self.count_content(new, 0);
        Ok(written(&name, new))
    }

    fn write_stream(
        &self,
        header: &FileHeader,
        size: u64,
        payload: &mut dyn Read,
        claim: Claim,
    ) -> Result<Written> {
        self.budget.charge(size)?;
        let (temp, checksum) = self.files.regular_from(header, size, payload)?;
        let name = self.settle_name(claim, checksum)?;
        // `put` charges again if the object is new.
        self.budget.credit(size);
        self.put(name, header, size, || Ok(temp))
    }

    /// Returns the name of content with the checksum `found`.
    fn settle_name(&self, claim: Claim, found: Checksum) -> Result<ObjectName> {
        let (Claim::Checked(claimed) | Claim::Believed(claimed)) = claim else {
            return Ok(content_name(found));
        };
        let name = content_name(claimed);
        match check_digest(&name, found) {
            Err(RepoError::Corrupt { .. }) if claim == Claim::Believed(claimed) => {
                if let Some(observer) = self.repo.observer() {
                    observer.took_damaged(&name);
                }
                Ok(name)
            }
            checked => checked.map(|()| name),
        }
    }

    /// Stages what `make` makes, unless the object is there.
    pub(super) fn put(
        &self,
        name: ObjectName,
        header: &FileHeader,
        size: u64,
        make: impl FnOnce() -> Result<TempFile>,
    ) -> Result<Written> {
        let new = !self.has(&name)? && {
            self.budget.charge(size)?;
            self.stage_xattrs(&name, header)?;
            let new = self.stage(make()?, &name)?;
            if !new {
                self.budget.credit(size);
            }
            new
        };
        self.count_content(new, size);
        Ok(written(&name, new))
    }

    /// Stages the extended attributes of a content object where the mode keeps them apart: an object of their
    /// own, and a hard link to it that is named after the content object. Both go before the object itself.
    pub(super) fn stage_xattrs(&self, content: &ObjectName, header: &FileHeader) -> Result<()> {
        if self.repo.mode() != RepoMode::BareSplitXattrs {
            return Ok(());
        }
        let bytes = header.xattrs.to_bytes();
        let xattrs = ObjectName::new(Checksum::of(&bytes), ObjectType::FileXattrs);
        if !self.has(&xattrs)? {
            self.stage(self.files.plain(&bytes)?, &xattrs)?;
        }
        let link = ObjectName::new(content.checksum, ObjectType::FileXattrsLink);
        if self.has(&link)? {
            return Ok(());
        }
        let store = if self.staged.contains(&xattrs) {
            self.staging.loose(false)
        } else {
            self.repo.loose()
        };
        let linked = match store.directory_of(&xattrs)? {
            Some(dir) => self
                .staging
                .link_from(&link, dir, xattrs.loose_path(self.repo.mode()).file()),
            None => Err(std::io::ErrorKind::NotFound.into()),
        };
        match linked {
            Ok(Linked::New | Linked::Exists) => {
                self.staged.insert(link);
                Ok(())
            }
            // The system's limit of links to one file: a copy reads the same.
            Err(error) if error.kind() == std::io::ErrorKind::TooManyLinks => {
                self.stage(self.files.plain(&bytes)?, &link).map(drop)
            }
            Err(error) => Err(RepoError::io("link", store.path_of(&xattrs))(error)),
        }
    }
}

/// Returns the checksum of a content object with this header and a payload of exactly `size` bytes.
///
/// # Errors
/// [`RepoError::Invalid`] when the payload is longer or shorter; [`RepoError::Io`] when it cannot be read.
pub fn hash_content(header: &FileHeader, size: u64, payload: &mut dyn Read) -> Result<Checksum> {
    let mut hasher = Hasher::new();
    hasher.update(&header.to_hash_prefix());
    let take_in = |bytes: &[u8]| {
        hasher.update(bytes);
        Ok(())
    };
    for_each_piece(payload, size, take_in)?;
    Ok(hasher.finish())
}

fn content_name(checksum: Checksum) -> ObjectName {
    ObjectName::new(checksum, ObjectType::File)
}

fn written(name: &ObjectName, new: bool) -> Written {
    Written {
        checksum: name.checksum,
        new,
    }
}
