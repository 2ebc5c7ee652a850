//! Writing metadata objects: the same bytes in every mode.

use super::Transaction;
use crate::error::{RepoError, Result};
use crate::objects::content::check_digest;
use crate::objects::verify::check_structure;
use ostler_format::gvariant::VarDict;
use ostler_format::{Checksum, DirTreeView, ObjectName, ObjectType};

impl Transaction<'_> {
    /// Writes a dirtree, dirmeta or commit, and returns its checksum.
    ///
    /// # Errors
    /// [`RepoError::Format`] for bytes without the structure of the type; [`RepoError::Invalid`] for a type
    /// that is not named by its bytes; [`RepoError::Io`].
    pub fn write_metadata(&self, kind: ObjectType, bytes: &[u8]) -> Result<Checksum> {
        let name = ObjectName::new(Checksum::of(bytes), kind);
        self.write_checked_metadata(&name, bytes)?;
        Ok(name.checksum)
    }

    /// Writes a dirtree, dirmeta or commit that came from outside under a name; returns whether it was not
    /// there before.
    ///
    /// # Errors
    /// As [`write_metadata`](Self::write_metadata); [`RepoError::Corrupt`] when the bytes do not have the
    /// checksum.
    pub fn write_named_metadata(&self, name: &ObjectName, bytes: &[u8]) -> Result<bool> {
        check_digest(name, Checksum::of(bytes))?;
        self.write_checked_metadata(name, bytes)
    }

    fn write_checked_metadata(&self, name: &ObjectName, bytes: &[u8]) -> Result<bool> {
        let failed = || RepoError::format(format!("object {name}"));
        let view = match name.kind {
            ObjectType::DirTree => Some(DirTreeView::parse(bytes).map_err(failed())?),
            ObjectType::DirMeta | ObjectType::Commit => {
                check_structure(name.kind, bytes).map_err(failed())?;
                None
            }
            kind => {
                let detail = format!("{kind} is not written by its bytes");
                return Err(RepoError::invalid("object type", detail));
            }
        };
        let new = !self.has(name)? && self.stage(self.files.plain(bytes)?, name)?;
        if let Some(view) = view.filter(|_| new) {
            self.staged.insert_subtrees(name.checksum, &view);
        }
        self.count_metadata(new);
        Ok(new)
    }

    /// Writes the detached metadata of a commit in place of what it had, when the transaction commits.
    ///
    /// # Errors
    /// [`RepoError::Io`].
    pub fn write_detached(&self, commit: &Checksum, metadata: &VarDict) -> Result<()> {
        let name = ObjectName::new(*commit, ObjectType::CommitMeta);
        let temp = self.files.plain(&metadata.to_bytes())?;
        self.staging.replace_with_temp(temp, &name)?;
        self.staged.insert(name);
        self.count_metadata(true);
        Ok(())
    }
}
