//! Pointing a ref at a commit that is here.
//!
//! The commit is looked for and the ref is written under one hold of the shared lock: no prune takes the commit away
//! in between. Stock takes no lock for that, nor does it look whether there is such a commit.

use super::{Expected, RefEdit, RefKey};
use crate::error::Result;
use crate::lock::LockKind;
use crate::objects::missing;
use crate::repo::Repo;
use crate::summary::update_if_configured;
use ostler_format::{Checksum, ObjectName, ObjectType};

impl Repo {
    /// Sets a ref to the commit that a REV means, which must be here or in a parent repository, then makes the summary
    /// anew if the configuration asks for that. Returns the commit.
    ///
    /// # Errors
    /// As [`resolve_rev`](Self::resolve_rev) and [`edit_refs`](Self::edit_refs);
    /// [`RepoError::NotFound`](crate::RepoError::NotFound) for a commit that is not there.
    pub fn point_ref(&self, name: RefKey, expected: Expected, rev: &str) -> Result<Checksum> {
        let lock = self.lock(LockKind::Shared)?;
        let commit = self.resolve_rev(rev)?;
        let object = ObjectName::new(commit, ObjectType::Commit);
        if !self.has_object(&object)? {
            return Err(missing(&object));
        }
        self.change_refs(&[RefEdit::set(name, expected, commit)])?;
        // Whoever makes the summary takes the exclusive lock.
        lock.release()?;
        update_if_configured(self)?;
        Ok(commit)
    }
}
