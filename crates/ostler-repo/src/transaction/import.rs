//! Taking objects over from other repositories, and as they are stored in an archive.
//!
//! Between repositories of one mode on one file system an object is hard-linked, and so is a file of a bare-user
//! repository that a bare-user-only one can hold; elsewhere it is copied as it
//! is where both store it alike, and written anew where they do not. Archive objects are never compressed
//! again. Whatever is hashed is hashed where it lies afterwards, or as it passes.

use super::content::Claim;
use super::{Transaction, Written};
use crate::buffers;
use crate::compress::WHOLE_LIMIT;
use crate::error::{RepoError, Result};
use crate::fs::{Linked, TempFile};
use crate::objects::content::Checking;
use crate::objects::prefixes::file_name;
use crate::objects::store::{BARE_USER_ONLY_BITS, OWNER_READS, read_whole};
use crate::objects::{ContentReader, missing};
use crate::pin::is_link_refusal;
use crate::repo::Repo;
use ostler_format::{Checksum, ObjectName, ObjectType, PERMISSION_BITS, RepoMode};
use std::io::{self, Read, Seek as _};

/// Whether the objects of another repository are believed to be what their names say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// They are taken as they are. What has to be written anew is hashed all the same.
    Trusted,
    /// They are taken as they are, also where they have to be written anew: content that is damaged stays so, under its name,
    /// and the observer hears of it.
    AsTheyAre,
    /// Each is hashed and its structure checked.
    Verify,
}

impl Transaction<'_> {
    /// Takes an object over from another repository (or one of its parents). Returns whether it was not here
    /// before.
    ///
    /// # Errors
    /// [`RepoError::NotFound`]; [`RepoError::Corrupt`] and [`RepoError::Format`] when it is not what its name
    /// says; [`RepoError::NoSpace`]; [`RepoError::Io`].
    pub fn import_object(&self, name: &ObjectName, from: &Repo, trust: Trust) -> Result<bool> {
        match name.kind {
            ObjectType::File => self.import_content(name, from, trust),
            ObjectType::CommitMeta => {
                let metadata = from.load_detached(&name.checksum)?.ok_or_else(|| missing(name))?;
                self.write_detached(&name.checksum, &metadata).map(|()| true)
            }
            _ => self.import_metadata(name, from, trust),
        }
    }

    fn import_metadata(&self, name: &ObjectName, from: &Repo, trust: Trust) -> Result<bool> {
        if self.has(name)? {
            self.count_metadata(false);
            return Ok(false);
        }
        if trust == Trust::Verify {
            // Read once, then written: what was hashed is what is stored.
            return self.write_named_metadata(name, &from.load_metadata(name)?);
        }
        let new = match self.link_object(name, from.owner_of(name)?)? {
            Some(new) => new,
            None => self.stage(self.files.plain(&from.load_metadata(name)?)?, name)?,
        };
        self.count_metadata(new);
        Ok(new)
    }

    fn import_content(&self, name: &ObjectName, from: &Repo, trust: Trust) -> Result<bool> {
        if self.has(name)? {
            self.count_content(false, 0);
            return Ok(false);
        }
        let owner = from.owner_of(name)?;
        let same_mode = owner.mode() == self.repo.mode() && owner.mode() != RepoMode::BareSplitXattrs;
        if same_mode || self.fits_bare_user_only(name, owner)? {
            if trust == Trust::Verify {
                owner.verify_object(name)?;
            }
            if let Some(new) = self.link_object(name, owner)? {
                self.count_content(new, 0);
                return Ok(new);
            }
        }
        if same_mode && owner.mode().is_archive() {
            let (mut file, size) = owner.open_stored(name)?;
            // Hashed where it lies afterwards, if it is to be: the file system it comes from is another.
            return self.copy_archived(name, size, &mut file, trust);
        }
        let mut content = owner.open_content(&name.checksum)?;
        let header = content.header().clone();
        let size = content.size();
        let claim = match trust {
            Trust::AsTheyAre => Claim::Believed(name.checksum),
            Trust::Trusted | Trust::Verify => Claim::Checked(name.checksum),
        };
        self.write_claimed(&header, size, &mut content, claim)
            .map(|written| written.new)
    }

    /// Returns whether an object of a bare-user repository is just the file that our bare-user-only repository would
    /// hold: the attribute with the rest of the header is ignored there.
    fn fits_bare_user_only(&self, name: &ObjectName, owner: &Repo) -> Result<bool> {
        if (owner.mode(), self.repo.mode()) != (RepoMode::BareUser, RepoMode::BareUserOnly) {
            return Ok(false);
        }
        let content = owner.open_content(&name.checksum)?;
        let header = content.header();
        // The file of what its owner may not read has another mode.
        let kept =
            header.mode & PERMISSION_BITS & !BARE_USER_ONLY_BITS == 0 && header.mode & OWNER_READS != 0;
        Ok(header.is_regular() && kept)
    }

    /// Writes a content object from the bytes of its `.filez` in some archive; they are inflated and hashed.
    /// An archive keeps them as they are.
    ///
    /// # Errors
    /// As [`write_content`](Self::write_content).
    pub fn write_archived(&self, checksum: &Checksum, size: u64, stored: &mut dyn Read) -> Result<Written> {
        let name = ObjectName::new(*checksum, ObjectType::File);
        let written = |new| Written {
            checksum: *checksum,
            new,
        };
        if self.has(&name)? {
            self.count_content(false, 0);
            return Ok(written(false));
        }
        if self.repo.mode().is_archive() {
            return self
                .copy_archived(&name, size, stored, Trust::Verify)
                .map(written);
        }
        let mut content = if size <= WHOLE_LIMIT {
            let mut bytes = Vec::new();
            read_whole(stored, size, &mut bytes)?;
            ContentReader::of_archive_bytes(name, bytes)?
        } else {
            // The open file outlives its name, which it never had.
            self.spooled(&name, size, stored)?.0
        };
        let header = content.header().clone();
        let content_size = content.size();
        self.write_content(&header, content_size, &mut content, Some(*checksum))
    }

    /// Stores the bytes of a `.filez` as they are.
    fn copy_archived(
        &self,
        name: &ObjectName,
        size: u64,
        stored: &mut dyn Read,
        trust: Trust,
    ) -> Result<bool> {
        let (content, temp, bytes) = if size <= WHOLE_LIMIT {
            let mut bytes = buffers::empty();
            read_whole(stored, size, &mut bytes)?;
            (
                ContentReader::of_archive_bytes(*name, bytes.to_vec())?,
                None,
                bytes,
            )
        } else {
            let (content, temp) = self.spooled(name, size, stored)?;
            (content, Some(temp), buffers::empty())
        };
        let content_size = content.size();
        if trust == Trust::Verify {
            content.verify()?;
        }
        self.budget.charge(content_size)?;
        let temp = temp.map_or_else(|| self.files.plain(&bytes), Ok)?;
        let new = self.stage(temp, name)?;
        if !new {
            self.budget.credit(content_size);
        }
        self.count_content(new, content_size);
        Ok(new)
    }

    /// Brings a large `.filez` into an unnamed file, charged for while it is only that, and opens it there.
    fn spooled(
        &self,
        name: &ObjectName,
        size: u64,
        stored: &mut dyn Read,
    ) -> Result<(ContentReader, TempFile)> {
        self.budget.charge(size)?;
        let temp = self.spool(size, stored)?;
        self.budget.credit(size);
        let file = temp.file().try_clone().map_err(self.failed("read"))?;
        let content = ContentReader::of_archive(*name, file, size, Checking::Strict)?;
        Ok((content, temp))
    }

    /// Brings `size` bytes into an unnamed file, positioned at its start.
    fn spool(&self, size: u64, stored: &mut dyn Read) -> Result<TempFile> {
        let temp = self.files.copy_of(size, stored)?;
        temp.file().rewind().map_err(self.failed("read"))?;
        Ok(temp)
    }

    /// Hard-links an object from another repository that stores it alike; `None` where that is not to be had.
    fn link_object(&self, name: &ObjectName, owner: &Repo) -> Result<Option<bool>> {
        let store = owner.loose();
        let Some(dir) = store.directory_of(name)? else {
            return Err(missing(name));
        };
        match self
            .staging
            .link_from(name, dir, file_name(name, owner.mode()).as_str())
        {
            Ok(linked) => {
                let new = self.note(linked, name)?;
                Ok(Some(new && linked == Linked::New))
            }
            // Another file system, too many links, files of others under `protected_hardlinks`, or a file
            // system without links.
            Err(error) if is_link_refusal(&error) => Ok(None),
            Err(error) => Err(RepoError::io("link", store.path_of(name))(error)),
        }
    }

    fn failed(&self, doing: &str) -> impl FnOnce(io::Error) -> RepoError {
        RepoError::io(doing, self.staging.dir().path())
    }
}
