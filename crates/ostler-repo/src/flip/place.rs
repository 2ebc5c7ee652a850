//! The effects of a flip: new files written beside the old ones, and put in their place.

use super::{Edit, Entry, INTENT, Intent, clear};
use crate::error::{RepoError, Result};
use crate::fs::{Dir, FileKind};
use crate::repo::Repo;
use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Up to this many files are synced one by one; more are cheaper with one `syncfs`.
const SINGLE_SYNCS: usize = 4;

/// What became of one edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placed {
    /// It is done, now or before a crash.
    Done,
    /// Someone else changed the file since: it is left alone.
    LeftAlone,
}

impl Repo {
    /// Writes and syncs the new files. What an earlier flip left there without an intent goes away.
    pub(super) fn write_new_files(&self, flip: &Dir, edits: &[Edit]) -> Result<()> {
        let failed = |name: &str| RepoError::io("write", flip.path_of(name));
        clear(flip)?;
        let fsync = self.config().fsync();
        // Of a file system of another machine, `syncfs` reaches only this end.
        let single =
            edits.len() <= SINGLE_SYNCS || flip.is_remote().map_err(RepoError::io("look at", flip.path()))?;
        for (index, edit) in edits.iter().enumerate() {
            let Some(bytes) = &edit.new else { continue };
            let name = index.to_string();
            let mut temp = flip.temp_file(0o644).map_err(failed(&name))?;
            temp.write_all(bytes).map_err(failed(&name))?;
            temp.set_mode(0o644).map_err(failed(&name))?;
            if fsync && single {
                temp.sync().map_err(failed(&name))?;
            }
            flip.replace_with_temp(temp, &name).map_err(failed(&name))?;
            self.raise_mtime(flip, &name, &edit.path)?;
        }
        if fsync && !single {
            flip.syncfs()
                .map_err(RepoError::io("sync the file system of", flip.path()))?;
        }
        Ok(())
    }

    /// Gives a new file a modification time at least a second behind that of the file it replaces.
    fn raise_mtime(&self, flip: &Dir, name: &str, path: &str) -> Result<()> {
        let failed = || RepoError::io("set the time of", flip.path_of(name));
        let (Some(old), Some(new)) = (
            self.root().stat(path).map_err(failed())?,
            flip.stat(name).map_err(failed())?,
        ) else {
            return Ok(());
        };
        if old.kind == FileKind::Regular && new.mtime.0 <= old.mtime.0 {
            flip.set_mtime(name, old.mtime.0 + 1, 0).map_err(failed())?;
        }
        Ok(())
    }

    /// Does what the record says and was not done yet, then removes the record. Returns the paths of files that were
    /// left alone, since somebody else has changed them: a value that the flip has not seen must not be lost.
    pub(super) fn carry_out(&self, flip: &Dir, intent: &Intent) -> Result<Vec<String>> {
        let mut touched = BTreeSet::new();
        let mut left_alone = Vec::new();
        for (index, entry) in intent.edits.iter().enumerate() {
            let placed = match &entry.new {
                Some(_) => self.put_in_place(flip, &index.to_string(), entry)?,
                None => self.remove_old(entry)?,
            };
            if placed == Placed::LeftAlone {
                left_alone.push(entry.path.clone());
                continue;
            }
            let holder = Path::new(&entry.path).parent().unwrap_or(Path::new(""));
            touched.extend(holder.ancestors().map(Path::to_path_buf));
            if entry.new.is_none() && entry.path.starts_with("refs/") {
                self.remove_empty_parents(&entry.path)
                    .map_err(RepoError::io("flip", self.root().path_of(&entry.path)))?;
            }
        }
        if self.config().fsync() {
            self.sync_dirs(&touched)?;
        }
        self.root()
            .touch()
            .map_err(RepoError::io("touch", self.root().path()))?;
        flip.unlink(INTENT)
            .map_err(RepoError::io("remove", flip.path_of(INTENT)))?;
        Ok(left_alone)
    }

    /// Renames a new file into place, unless that is done or someone else has changed the file since.
    fn put_in_place(&self, flip: &Dir, name: &str, entry: &Entry) -> Result<Placed> {
        let failed = || RepoError::io("put in place", self.root().path_of(&entry.path));
        if flip.stat(name).map_err(failed())?.is_none() {
            return Ok(Placed::Done);
        }
        let found = self.digest(&entry.path)?;
        if found != entry.old && found != entry.new {
            flip.unlink(name).map_err(failed())?;
            return Ok(Placed::LeftAlone);
        }
        if let Some(holder) = Path::new(&entry.path)
            .parent()
            .filter(|holder| !holder.as_os_str().is_empty())
        {
            self.root().ensure_dir(holder, 0o777).map_err(failed())?;
        }
        let stat = self.root().stat(&entry.path).map_err(failed())?;
        if stat.is_some_and(|stat| stat.kind == FileKind::Directory) {
            self.remove_empty_tree(&entry.path).map_err(failed())?;
        }
        Dir::rename_over(flip, name, self.root(), &entry.path).map_err(failed())?;
        Ok(Placed::Done)
    }

    fn remove_old(&self, entry: &Entry) -> Result<Placed> {
        let found = self.digest(&entry.path)?;
        if found.is_some() && found != entry.old {
            return Ok(Placed::LeftAlone);
        }
        self.root()
            .unlink(&entry.path)
            .map_err(RepoError::io("remove", self.root().path_of(&entry.path)))?;
        Ok(Placed::Done)
    }

    /// Removes the directories that a removed ref leaves empty, up to `refs/heads`, or that of its remote or collection.
    fn remove_empty_parents(&self, path: &str) -> io::Result<()> {
        let kept = if path.starts_with("refs/heads/") { 2 } else { 3 };
        for parent in Path::new(path)
            .ancestors()
            .skip(1)
            .take_while(|dir| dir.components().count() > kept)
        {
            match self.root().remove_dir(parent) {
                Ok(_) => {}
                Err(fault) if fault.kind() == io::ErrorKind::DirectoryNotEmpty => break,
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// Removes a directory that holds no ref; refuses where there is one.
    fn remove_empty_tree(&self, path: &str) -> io::Result<()> {
        if self.refs_below(path)?.is_empty() {
            self.root().remove_tree(path)
        } else {
            Err(io::ErrorKind::DirectoryNotEmpty.into())
        }
    }

    /// Syncs directories; those that a removal has taken away need none, their parents are among the others.
    fn sync_dirs(&self, dirs: &BTreeSet<PathBuf>) -> Result<()> {
        if dirs.len() > SINGLE_SYNCS * 4 {
            return self
                .root()
                .syncfs()
                .map_err(RepoError::io("sync the file system of", self.root().path()));
        }
        for dir in dirs {
            let failed = || RepoError::io("sync", self.root().path_of(dir));
            if dir.as_os_str().is_empty() {
                self.root().fsync().map_err(failed())?;
            } else if let Some(dir) = self.root().open_dir_if_exists(dir).map_err(failed())? {
                dir.fsync().map_err(failed())?;
            }
        }
        Ok(())
    }
}
