//! Making a file itself an object, where it is just what a bare repository stores.
//!
//! The file is hashed, then it gets the name of the object as a hard link, and at last the time that objects have. Whoever
//! hands it in gives it up: its own name is removed when the object is in place. If that does not come to pass, the
//! next transaction does not rely on what lies in staging under two names.

use super::{Transaction, hash_content};
use crate::error::{RepoError, Result};
use crate::fs::set_time_to_epoch;
use crate::fs::{Dir, FileStat, Linked};
use crate::pin::is_link_refusal;
use ostler_format::{Checksum, FileHeader, ObjectName, ObjectType};
use std::collections::HashSet;
use std::fs::File;
use std::io::Seek as _;

/// What became of a file that was to be an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Adopted {
    /// It is the object.
    Taken(Checksum),
    /// There was such an object already.
    Known(Checksum),
    /// It changed while it was looked at.
    Changed,
    /// It cannot have another name, or not there.
    Impossible,
}

impl Transaction<'_> {
    /// Makes an open file, which is found under `name` in `dir`, an object. Owner, mode and extended attributes are
    /// those of `header` already, and `before` is what the file was when it was opened.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub(crate) fn adopt_file(
        &self,
        header: &FileHeader,
        before: &FileStat,
        file: &mut File,
        dir: &Dir,
        name: &str,
    ) -> Result<Adopted> {
        self.files.check(header, None)?;
        let staging = self.staging.dir();
        let here = staging
            .stat_self()
            .map_err(RepoError::io("look at", staging.path()))?;
        if here.dev != before.dev {
            return Ok(Adopted::Impossible);
        }
        let failed = |doing: &'static str| RepoError::io(doing, dir.path_of(name));
        let hashed = hash_content(header, before.size, file);
        file.rewind().map_err(failed("read"))?;
        let after = FileStat::of(file).map_err(failed("look at"))?;
        if (after.size, after.mtime) != (before.size, before.mtime) {
            return Ok(Adopted::Changed);
        }
        let checksum = hashed?;
        let object = ObjectName::new(checksum, ObjectType::File);
        if self.has(&object)? {
            self.count_content(false, before.size);
            return Ok(Adopted::Known(checksum));
        }
        let linked = match self.staging.link_from(&object, dir, name) {
            Err(error) if is_link_refusal(&error) => {
                return Ok(Adopted::Impossible);
            }
            linked => linked.map_err(failed("link"))?,
        };
        if linked == Linked::New {
            super::lock(&self.adopted).insert((before.dev, before.ino));
            // Somebody may have put another file under the name.
            let named = self.staging.loose(false).stat(&object)?;
            if named.is_none_or(|named| (named.dev, named.ino) != (before.dev, before.ino)) {
                self.staging.remove(&object)?;
                return Ok(Adopted::Changed);
            }
            set_time_to_epoch(&*file).map_err(failed("set the time of"))?;
        }
        let new = self.note(linked, &object)?;
        self.count_content(new, before.size);
        Ok(if new {
            Adopted::Taken(checksum)
        } else {
            Adopted::Known(checksum)
        })
    }

    /// Returns device and inode of the files that became objects themselves.
    pub(crate) fn adopted(&self) -> HashSet<(u64, u64)> {
        super::lock(&self.adopted).clone()
    }
}
