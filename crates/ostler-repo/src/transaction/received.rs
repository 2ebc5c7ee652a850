//! Content objects as another machine's archive sends them: the bytes of a `.filez`, in memory or in a file of ours.
//!
//! They are inflated and hashed, whatever the mode of the repository; an archive then keeps the bytes as they came, and
//! anything else what was inflated. Only an archive may be told to believe the sender.

use super::{Transaction, Trust, Written};
use crate::error::{RepoError, Result};
use crate::fs::TempFile;
use crate::objects::ContentReader;
use crate::objects::content::Checking;
use crate::objects::store::check_bare_user_only;
use ostler_format::{Checksum, ObjectName, ObjectType};
use std::io::Seek as _;

/// How received content is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receiving {
    /// Whether an archive believes the sender that the bytes are what the name says.
    pub trust: Trust,
    /// Refuse modes that a bare-user-only repository cannot hold.
    pub bareuseronly: bool,
}

impl Transaction<'_> {
    /// Returns an empty file without a name on the file system of the repository: for a body that is too large for memory.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn temp_file(&self) -> Result<TempFile> {
        self.files.plain(&[])
    }

    /// Writes a content object from the bytes of its `.filez`.
    ///
    /// # Errors
    /// As [`write_content`](Self::write_content).
    pub fn write_received(
        &self,
        checksum: &Checksum,
        stored: Vec<u8>,
        receiving: Receiving,
    ) -> Result<Written> {
        let name = ObjectName::new(*checksum, ObjectType::File);
        if !self.repo.mode().is_archive() {
            let content = ContentReader::of_whole_archive(name, stored.into(), Checking::Quick)?;
            return self.write_inflated(content, receiving);
        }
        if self.has(&name)? {
            return Ok(self.known(checksum));
        }
        let content = ContentReader::of_archive_bytes(name, stored.clone())?;
        self.keep(content, receiving, || self.files.plain(&stored))
    }

    /// Writes a content object from its `.filez` of `size` bytes in a file that [`temp_file`](Self::temp_file) made; an
    /// archive keeps the file itself.
    ///
    /// # Errors
    /// As [`write_content`](Self::write_content).
    pub fn write_received_file(
        &self,
        checksum: &Checksum,
        stored: TempFile,
        size: u64,
        receiving: Receiving,
    ) -> Result<Written> {
        let name = ObjectName::new(*checksum, ObjectType::File);
        if self.has(&name)? {
            return Ok(self.known(checksum));
        }
        let open = || {
            let mut file = stored.file().try_clone()?;
            file.rewind()?;
            Ok(file)
        };
        let file = open().map_err(RepoError::io("read", self.staging.dir().path()))?;
        let content = ContentReader::of_archive(name, file, size, Checking::Strict)?;
        if self.repo.mode().is_archive() {
            self.keep(content, receiving, || Ok(stored))
        } else {
            self.write_inflated(content, receiving)
        }
    }

    /// Writes what a `.filez` inflates to.
    fn write_inflated(&self, mut content: ContentReader, receiving: Receiving) -> Result<Written> {
        let checksum = content.name().checksum;
        let header = content.header().clone();
        if receiving.bareuseronly {
            check_bare_user_only(&checksum, &header)?;
        }
        let size = content.size();
        self.write_content(&header, size, &mut content, Some(checksum))
    }

    /// Checks the content of a `.filez`, and stages the `.filez` that `make` returns.
    fn keep(
        &self,
        content: ContentReader,
        receiving: Receiving,
        make: impl FnOnce() -> Result<TempFile>,
    ) -> Result<Written> {
        let name = *content.name();
        if receiving.bareuseronly {
            check_bare_user_only(&name.checksum, content.header())?;
        }
        let size = content.size();
        if receiving.trust == Trust::Verify {
            content.verify()?;
        }
        self.budget.charge(size)?;
        let new = self.stage(make()?, &name)?;
        if !new {
            self.budget.credit(size);
        }
        self.count_content(new, size);
        Ok(Written {
            checksum: name.checksum,
            new,
        })
    }

    /// Counts an object that is there already.
    fn known(&self, checksum: &Checksum) -> Written {
        self.count_content(false, 0);
        Written {
            checksum: *checksum,
            new: false,
        }
    }
}
