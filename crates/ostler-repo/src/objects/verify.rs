//! Deciding whether an object is sound: its bytes have the checksum that names it, and the structure of its
//! type. Detached metadata, tombstones and payload links have no checksum; of those only the structure counts.

use super::content::{Checking, check_digest};
use super::loose::LooseStore;
use super::missing;
use crate::error::{RepoError, Result};
use crate::repo::Repo;
use ostler_format::gvariant::VarDict;
use ostler_format::{Checksum, Commit, DirMeta, DirTreeView, FormatError, ObjectName, ObjectType, Xattrs};

impl Repo {
    /// Reads an object to its end, of this repository or of a parent, and checks that it is sound.
    ///
    /// # Errors
    /// [`RepoError::NotFound`]; [`RepoError::Corrupt`] and [`RepoError::Format`] when it is not sound;
    /// [`RepoError::Io`] when it cannot be read.
    pub fn verify_object(&self, name: &ObjectName) -> Result<()> {
        self.find(|repo| repo.loose().verify(name))?
            .ok_or_else(|| missing(name))
    }

    /// As [`verify_object`](Self::verify_object), and faster: bytes behind the deflate stream of a small content object,
    /// which no reader takes, are not looked for.
    ///
    /// # Errors
    /// As [`verify_object`](Self::verify_object).
    pub fn verify_object_quickly(&self, name: &ObjectName) -> Result<()> {
        self.find(|repo| repo.loose().verify_quickly(name))?
            .ok_or_else(|| missing(name))
    }
}

impl LooseStore<'_> {
    /// Checks an object as [`verify`](Self::verify) does, and faster: bytes behind the deflate stream of a small
    /// content object, which no reader takes, are not looked for.
    pub(crate) fn verify_quickly(&self, name: &ObjectName) -> Result<Option<()>> {
        match name.kind {
            ObjectType::File => self
                .content(&name.checksum, Checking::Quick)?
                .map(super::ContentReader::verify)
                .transpose(),
            _ => self.verify(name),
        }
    }

    /// Checks an object; `None` where it is not in this directory.
    pub(crate) fn verify(&self, name: &ObjectName) -> Result<Option<()>> {
        match name.kind {
            ObjectType::File => self
                .content(&name.checksum, Checking::Strict)?
                .map(super::ContentReader::verify)
                .transpose(),
            // A link to a content object by the checksum of its payload: nothing of ours reads through it.
            ObjectType::PayloadLink => Ok(self.stat(name)?.map(drop)),
            _ => self
                .read_metadata(name)?
                .map(|bytes| check_metadata(name, &bytes))
                .transpose(),
        }
    }
}

/// Checks the bytes of an object that is stored as it is.
pub(crate) fn check_metadata(name: &ObjectName, bytes: &[u8]) -> Result<()> {
    if is_named_by_its_bytes(name.kind) {
        check_digest(name, Checksum::of(bytes))?;
    }
    check_structure(name.kind, bytes).map_err(RepoError::format(format!("object {name}")))
}

/// Returns whether the checksum in an object's name is that of its bytes.
fn is_named_by_its_bytes(kind: ObjectType) -> bool {
    matches!(
        kind,
        ObjectType::DirTree | ObjectType::DirMeta | ObjectType::Commit | ObjectType::FileXattrs
    )
}

/// Checks that bytes have the structure of their type.
pub(crate) fn check_structure(kind: ObjectType, bytes: &[u8]) -> Result<(), FormatError> {
    match kind {
        ObjectType::DirTree => DirTreeView::parse(bytes).map(drop),
        ObjectType::DirMeta => DirMeta::parse(bytes).map(drop),
        ObjectType::Commit => Commit::parse(bytes).map(drop),
        ObjectType::FileXattrs | ObjectType::FileXattrsLink => Xattrs::from_bytes(bytes).map(drop),
        ObjectType::TombstoneCommit => VarDict::from_bytes(bytes).map(drop),
        ObjectType::CommitMeta => ostler_format::parse_detached(bytes).map(drop),
        ObjectType::File | ObjectType::PayloadLink => Ok(()),
    }
}
