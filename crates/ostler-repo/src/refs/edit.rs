//! Changing refs, each by compare and swap.
//!
//! The shared lock of the repository keeps the commits in place that the refs will name; a lock of our own
//! (`tmp/ostler-refs-lock`) makes all ostlers change refs one after the other, so that what was compared is what
//! is swapped. Stock tools take no lock for refs: a ref that one of them writes between our look and our rename
//! is overwritten.
//!
//! First everything is checked: expectations, and names of which one would be the directory of another. Then
//! the new files are written and synced, then put in place one by one in the order given, then the directories
//! are synced. Several refs change by a [flip](crate::flip): after a crash and the next command they are all old or
//! all new. (Only changes of aliases, which are links, are made one by one.)

use super::change::{Change, New};
use super::list::names_below;
use super::{Place, RefEdit, Space, Value, read_value};
use crate::error::{RepoError, Result};
use crate::flip::Edit;
use crate::fs::{Dir, FileKind};
use crate::lock::{FileLock, LockGuard, LockKind};
use crate::repo::Repo;
use crate::summary::update_if_configured;
use ostler_format::RefName;
use std::collections::BTreeMap;

/// The file below `tmp/` that is locked while refs change.
const REFS_LOCK: &str = "ostler-refs-lock";

/// The right to change refs: whoever holds it is alone among ostlers, and the shared lock of the repository is
/// held as well.
#[derive(Debug)]
#[must_use = "the turn ends when it is dropped"]
pub struct RefsTurn<'a> {
    // Let go of in this order.
    _refs: FileLock,
    _repository: LockGuard<'a>,
}

/// What is at a name, with the changes before this one applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Planned {
    Present,
    Removed,
}

impl Repo {
    /// Changes refs as [`change_refs`](Self::change_refs) does, then makes the summary anew if the configuration
    /// asks for that.
    ///
    /// # Errors
    /// As [`change_refs`](Self::change_refs); as [`update_if_configured`](crate::update_if_configured) when
    /// the refs have changed already.
    pub fn edit_refs(&self, edits: &[RefEdit]) -> Result<()> {
        self.change_refs(edits)?;
        if !edits.is_empty() {
            update_if_configured(self)?;
        }
        Ok(())
    }

    /// Changes refs. All edits are checked before the first is made; they are then made in order, and are
    /// durable on return (unless `core.fsync` is off). Removing a ref removes the directories that it leaves
    /// empty. The repository's own modification time becomes that of the change.
    ///
    /// Names of hexadecimal digits only are not refused here, though stock tools cannot tell them from
    /// abbreviated commits; see [`RefName::is_all_hex`].
    ///
    /// # Errors
    /// [`RepoError::Conflict`] when a ref is not as expected, [`RepoError::DamagedRef`] when it is damaged instead, [`RepoError::NameConflict`] when one name would
    /// be the directory of another, [`RepoError::Invalid`] for two edits of one ref: nothing is changed then.
    /// [`RepoError::Locked`], [`RepoError::ReadOnly`], [`RepoError::Io`].
    pub fn change_refs(&self, edits: &[RefEdit]) -> Result<()> {
        self.change_refs_and_files(edits, &[])
    }

    /// Changes refs as [`change_refs`](Self::change_refs) does, and other files of the repository with them: all or none, also
    /// after a crash, unless a ref is or becomes an alias.
    ///
    /// # Errors
    /// As [`change_refs`](Self::change_refs) and [`flip`](Self::flip).
    pub fn change_refs_and_files(&self, edits: &[RefEdit], files: &[Edit]) -> Result<()> {
        if edits.is_empty() && files.is_empty() {
            return Ok(());
        }
        let changes: Vec<Change> = edits
            .iter()
            .map(|edit| Change {
                place: Place::of(&edit.name, self.config()),
                expected: edit.expected,
                value: edit.new.map_or(New::Nothing, New::Commit),
            })
            .collect();
        let _turn = self.lock_refs()?;
        self.apply_changes(&changes, files)
    }

    /// Waits until no other ostler changes refs, and keeps others from it: for those who change the files of refs
    /// themselves. Taken by [`change_refs`](Self::change_refs), so not to be held by its caller.
    ///
    /// # Errors
    /// [`RepoError::Locked`], [`RepoError::ReadOnly`], [`RepoError::Io`].
    pub fn lock_refs(&self) -> Result<RefsTurn<'_>> {
        let tmp = self.tmp()?;
        let repository = self.lock(LockKind::Shared)?;
        let observer = self.observer();
        let limit = self.config().lock_timeout();
        Ok(RefsTurn {
            _refs: FileLock::acquire(tmp, REFS_LOCK, limit, observer.as_deref())?,
            _repository: repository,
        })
    }

    /// Checks and makes changes, after completing a flip that a crash cut short; the caller holds the [`RefsTurn`].
    pub(super) fn apply_changes(&self, changes: &[Change], files: &[Edit]) -> Result<()> {
        self.recover_flip()?;
        let mut check = Check {
            repo: self,
            spaces: BTreeMap::new(),
            planned: BTreeMap::new(),
        };
        for change in changes {
            check.change(change)?;
        }
        if changes.len() + files.len() > 1
            && let Some(mut edits) = self.as_flip(changes)?
        {
            edits.extend_from_slice(files);
            return self.flip(&edits);
        }
        if !changes.is_empty() {
            self.make_changes(changes)?;
        }
        if files.is_empty() {
            Ok(())
        } else {
            self.flip(files)
        }
    }

    /// Returns changes in the form of a flip; `None` where an alias is written or replaced.
    fn as_flip(&self, changes: &[Change]) -> Result<Option<Vec<Edit>>> {
        let mut edits = Vec::with_capacity(changes.len());
        for change in changes {
            let path = change.place.path();
            let stat = self.root().stat(&path);
            let stat = stat.map_err(RepoError::io("look at", self.root().path_of(&path)))?;
            let is_link = stat.is_some_and(|stat| stat.kind == FileKind::Symlink);
            let (Some(path), Some(edit), false) = (path.to_str(), change.as_edit(), is_link) else {
                return Ok(None);
            };
            edits.push(Edit {
                path: path.to_owned(),
                ..edit
            });
        }
        Ok(Some(edits))
    }
}

/// Goes through changes before any is made.
struct Check<'a> {
    repo: &'a Repo,
    spaces: BTreeMap<Space, Option<Dir>>,
    planned: BTreeMap<Place, Planned>,
}

impl Check<'_> {
    fn change(&mut self, change: &Change) -> Result<()> {
        let place = &change.place;
        if self.planned.contains_key(place) {
            return Err(RepoError::invalid(
                format!("ref edit of {place}"),
                "the ref is edited twice",
            ));
        }
        let found = self.value(place)?;
        if !change.expected.accepts(found.as_ref()) {
            let found = match found {
                Some(Value::Damaged(damaged)) => return Err(damaged.into()),
                Some(Value::Commit(commit)) => Some(commit),
                None => None,
            };
            return Err(RepoError::Conflict {
                reference: place.to_string(),
                expected: change.expected.to_string(),
                found,
            });
        }
        if change.value == New::Nothing {
            self.planned.insert(place.clone(), Planned::Removed);
            return Ok(());
        }
        let in_the_way = match self.above(place)? {
            None => self.below(place)?,
            above => above,
        };
        if let Some(name) = in_the_way {
            return Err(RepoError::NameConflict {
                reference: place.to_string(),
                existing: place.space.describe(&name),
            });
        }
        self.planned.insert(place.clone(), Planned::Present);
        Ok(())
    }

    fn value(&mut self, place: &Place) -> Result<Option<Value>> {
        match self.space(&place.space)? {
            None => Ok(None),
            Some(dir) => read_value(dir, &place.space, &place.name),
        }
    }

    fn space(&mut self, space: &Space) -> Result<Option<&Dir>> {
        if !self.spaces.contains_key(space) {
            let opened = self.repo.open_space(space)?;
            self.spaces.insert(space.clone(), opened);
        }
        Ok(self.spaces.get(space).and_then(Option::as_ref))
    }

    fn planned(&self, space: &Space, name: &RefName) -> Option<Planned> {
        let place = Place {
            space: space.clone(),
            name: name.clone(),
        };
        self.planned.get(&place).copied()
    }

    /// A ref whose name would have to be a directory for `place` to exist.
    fn above(&mut self, place: &Place) -> Result<Option<RefName>> {
        let text = place.name.as_str();
        for (index, _) in text.match_indices('/') {
            let Some(Ok(name)) = text.get(..index).map(RefName::new) else {
                continue;
            };
            let present = match self.planned(&place.space, &name) {
                Some(planned) => planned == Planned::Present,
                None => self.is_file(&place.space, &name)?,
            };
            if present {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    fn is_file(&mut self, space: &Space, name: &RefName) -> Result<bool> {
        let Some(dir) = self.space(space)? else {
            return Ok(false);
        };
        let stat = dir
            .stat(name.as_str())
            .map_err(RepoError::io("look at", dir.path_of(name.as_str())))?;
        Ok(stat.is_some_and(|stat| stat.kind != FileKind::Directory))
    }

    /// A ref for which the name of `place` would have to stay a directory.
    fn below(&mut self, place: &Place) -> Result<Option<RefName>> {
        let inside = |name: &RefName| {
            name.as_str()
                .strip_prefix(place.name.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        };
        let planned = self.planned.iter().find(|(other, planned)| {
            **planned == Planned::Present && other.space == place.space && inside(&other.name)
        });
        if let Some((other, _)) = planned {
            return Ok(Some(other.name.clone()));
        }
        let names = match self.space(&place.space)? {
            None => Vec::new(),
            Some(dir) => names_in_directory(dir, &place.name)?,
        };
        let stays = |name: &RefName| self.planned(&place.space, name) != Some(Planned::Removed);
        Ok(names.into_iter().find(stays))
    }
}

/// Returns the refs below a name that is a directory.
pub(super) fn names_in_directory(dir: &Dir, name: &RefName) -> Result<Vec<RefName>> {
    let stat = dir
        .stat(name.as_str())
        .map_err(RepoError::io("look at", dir.path_of(name.as_str())))?;
    if stat.is_none_or(|stat| stat.kind != FileKind::Directory) {
        return Ok(Vec::new());
    }
    let below = names_below(dir, name.as_str())?;
    Ok(below.into_iter().map(|(name, _)| name).collect())
}
