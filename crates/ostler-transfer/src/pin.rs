//! How what a plan names is kept while it is sent, so that a prune of the source never waits for a slow target.
//!
//! Taken under the source's shared lock, which is let go right after. A store on the same file system takes over the
//! objects by links of its own ([`Store::adopt`]): then the pin and the transfer are one. Otherwise a
//! [`PinDir`] in the source keeps them. Where no link can be made (another owner's files, a source that cannot be
//! written), the shared lock is held for the whole transfer instead; and where so little is to be linked that pinning
//! would take as long as the rest.

use crate::error::{Damage, Result};
use crate::plan::Plan;
use crate::store::{Item, Store};
use ostler_format::{Checksum, ObjectName};
use ostler_repo::fs::Dir;
use ostler_repo::pin::is_link_refusal;
use ostler_repo::{ArchiveStream, LockGuard, PinDir, Repo, RepoError};

/// How what the plan names is kept.
#[derive(Debug)]
pub(crate) enum Pin<'r> {
    /// The objects are in the target already; files beside them have links of their own.
    Adopted(Option<PinDir<'r>>),
    /// Everything has a link of its own.
    Linked(PinDir<'r>),
    /// The lock keeps it.
    Locked(#[expect(dead_code, reason = "held for its effect")] LockGuard<'r>),
}

impl<'r> Pin<'r> {
    /// Keeps what the plan names; `guard` is the shared lock under which the plan was made.
    /// It stays if the target can link everything, and that is no more than `held_bytes`.
    pub(crate) fn take(
        source: &'r Repo,
        store: &dyn Store,
        plan: &Plan,
        held_bytes: u64,
        guard: LockGuard<'r>,
    ) -> Result<Self> {
        if plan.bytes() <= held_bytes && store.shares_files_with(source) {
            return Ok(Self::Locked(guard));
        }
        let files = || plan.files.iter().map(|file| file.path.as_str());
        let pinned = if adopt_all(source, store, plan)? {
            if plan.files.is_empty() {
                return Ok(Self::Adopted(None));
            }
            // Files beside the objects are mutable under their names: the target must not share them.
            PinDir::make(source, [], files()).map(|pinned| Self::Adopted(Some(pinned)))
        } else if source.is_writable() {
            PinDir::make(source, plan.objects.iter().map(|added| added.name), files()).map(Self::Linked)
        } else {
            return Ok(Self::Locked(guard));
        };
        match pinned {
            Err(RepoError::Io { source: fault, .. }) if is_link_refusal(&fault) => Ok(Self::Locked(guard)),
            Err(error) => Err(error.into()),
            Ok(pinned) => Ok(pinned),
        }
    }

    /// Returns whether the target has taken over the objects.
    pub(crate) fn is_adopted(&self) -> bool {
        matches!(self, Self::Adopted(_))
    }

    /// Returns whether the source stays locked as long as this is kept.
    pub(crate) fn holds_lock(&self) -> bool {
        matches!(self, Self::Locked(_))
    }

    /// Returns where an object lies: a directory and a name in it.
    pub(crate) fn place_of(&self, source: &Repo, name: &ObjectName) -> Result<(Dir, String)> {
        let place = match self {
            Self::Linked(pinned) => pinned.place_of(name),
            Self::Adopted(_) | Self::Locked(..) => source.place_of(name),
        };
        place.map_err(|fault| Damage::wrap(*name, fault))
    }

    /// Returns where a file beside the objects lies: a directory and a path in it.
    pub(crate) fn place_of_file(&self, source: &Repo, path: &str) -> (Dir, String) {
        match self {
            Self::Linked(pinned) | Self::Adopted(Some(pinned)) => pinned.place_of_file(path),
            Self::Adopted(None) | Self::Locked(..) => (source.root().clone(), path.to_owned()),
        }
    }

    /// Opens a content object of a source that is not an archive, compressed on the way.
    pub(crate) fn archive_stream(
        &self,
        source: &Repo,
        checksum: &Checksum,
    ) -> Result<ArchiveStream, RepoError> {
        match self {
            Self::Linked(pinned) => pinned.archive_stream(checksum),
            Self::Adopted(_) | Self::Locked(..) => source.archive_stream(checksum),
        }
    }
}

/// Lets the target take over all objects, if it can take over the first.
fn adopt_all(source: &Repo, store: &dyn Store, plan: &Plan) -> Result<bool> {
    if !store.shares_files_with(source) {
        return Ok(false);
    }
    for added in &plan.objects {
        let (dir, path) = source
            .place_of(&added.name)
            .map_err(|fault| Damage::wrap(added.name, fault))?;
        if !store.adopt(&Item::Object(added.name), &dir, &path)? {
            return Ok(false);
        }
    }
    Ok(true)
}
