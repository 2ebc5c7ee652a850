//! The flip: several files of a repository replaced or removed as one change.
//!
//! ```text
//! extensions/ostler/flip/0, 1, …   the new files, written and synced
//! extensions/ostler/flip/intent    which file goes where, and what is there before
//! ```
//!
//! Order of effects, and what a reader of the repository sees after each:
//! 1. All expectations are checked; the new files are written beside the old ones and synced: nothing.
//! 2. The intent record appears, synced: nothing. From here on the change will happen, whatever crashes.
//! 3. Each file is renamed into place, or removed, in the order given: file by file the new state.
//! 4. The directories are synced: nothing more. The change survives a power cut.
//! 5. The intent record is removed.
//!
//! After a crash before 2 nothing has changed, and what lies in `flip/` is removed by the next flip. After a
//! crash from 2 on, [`Repo::recover_flip`] does what was not done yet: a new file that is gone from `flip/` is in
//! place already. The removal of the record is not synced: a record that comes back finds nothing left to do.
//!
//! The modification time of a replaced file rises by at least a second, since some clients cache by the second.

use crate::error::{RepoError, Result};
use crate::fs::{Dir, FileKind};
use crate::repo::Repo;
use ostler_format::Checksum;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;

/// Where new files and the intent record lie, relative to the repository.
const FLIP_DIR: &str = "extensions/ostler/flip";
const INTENT: &str = "intent";
/// The largest file that is compared or replaced, in bytes: the limit that clients have for metadata files.
const FILE_LIMIT: u64 = 128 << 20;
/// Up to this many files are synced one by one; more are cheaper with one `syncfs`.
const SINGLE_SYNCS: usize = 4;

/// What a file must be before it is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Anything, or nothing.
    Any,
    /// Not there.
    Absent,
    /// There, with bytes of this checksum.
    Bytes(Checksum),
    /// There, and a ref that names this commit, whatever white space follows.
    Ref(Checksum),
}

/// One file to be replaced or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The path, relative to the repository.
    pub path: String,
    /// What must be there.
    pub expect: Expect,
    /// The new bytes; `None` removes the file.
    pub new: Option<Vec<u8>>,
}

/// What the intent record says of one edit. The index of an entry is the name of its new file.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    path: String,
    /// SHA-256 of what is there before; absent where nothing is.
    old: Option<String>,
    /// SHA-256 of what will be there; absent where the file is removed.
    new: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Intent {
    edits: Vec<Entry>,
}

impl Expect {
    /// Returns whether what is found is as expected.
    pub fn allows(&self, found: Option<&[u8]>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => found.is_none(),
            Self::Bytes(expected) => found.map(Checksum::of) == Some(*expected),
            Self::Ref(commit) => {
                let text = found.map(<[u8]>::trim_ascii_end);
                text == Some(commit.to_hex().as_str().as_bytes())
            }
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("anything"),
            Self::Absent => f.write_str("no file"),
            Self::Bytes(digest) => write!(f, "a file of checksum {digest}"),
            Self::Ref(commit) => write!(f, "a ref to commit {commit}"),
        }
    }
}

impl Repo {
    /// Carries out the edits as one change. The caller keeps others out: it holds the flip lock and the exclusive
    /// repository lock. A flip that a crash cut short is completed first.
    ///
    /// # Errors
    /// [`RepoError::Changed`] if a file is not what its edit expects: nothing has changed then. Any failure of
    /// the file system; what was not done is done by [`recover_flip`](Self::recover_flip).
    pub fn flip(&self, edits: &[Edit]) -> Result<()> {
        self.recover_flip()?;
        let olds = self.check_expectations(edits)?;
        let flip = self.flip_dir()?;
        let entries = edits.iter().zip(&olds).map(|(edit, old)| Entry {
            path: edit.path.clone(),
            old: old.map(|digest| digest.to_string()),
            new: edit.new.as_deref().map(|bytes| Checksum::of(bytes).to_string()),
        });
        let intent = Intent {
            edits: entries.collect(),
        };
        self.write_new_files(&flip, edits)?;
        let record = serde_json::to_vec(&intent)
            .map_err(|fault| RepoError::invalid("intent record", fault.to_string()))?;
        (flip.replace(INTENT, &record, 0o644, self.config().fsync()))
            .map_err(RepoError::io("write", flip.path_of(INTENT)))?;
        self.carry_out(&flip, &intent)
    }

    /// Completes a flip that a crash cut short; returns whether there was one. The caller holds the flip lock.
    ///
    /// A file that is neither what the flip found nor what it was to write was changed by someone else since:
    /// it is left alone, since a value that the flip has not seen must not be lost.
    ///
    /// # Errors
    /// If the record is unreadable, or any failure of the file system.
    pub fn recover_flip(&self) -> Result<bool> {
        let record = format!("{FLIP_DIR}/{INTENT}");
        let found = self.root().read_if_exists(&record, FILE_LIMIT);
        let Some(bytes) = found.map_err(RepoError::io("read", self.root().path_of(&record)))? else {
            return Ok(false);
        };
        let intent: Intent = serde_json::from_slice(&bytes)
            .map_err(|fault| RepoError::corrupt(format!("intent record {record}"), fault.to_string()))?;
        self.carry_out(&self.flip_dir()?, &intent)?;
        Ok(true)
    }

    /// Returns whether a flip was cut short. Costs one look; takes no lock.
    ///
    /// # Errors
    /// Any failure of the file system.
    pub fn flip_pending(&self) -> Result<bool> {
        let record = format!("{FLIP_DIR}/{INTENT}");
        let found = self
            .root()
            .stat(&record)
            .map_err(RepoError::io("look at", self.root().path_of(&record)))?;
        Ok(found.is_some())
    }

    fn flip_dir(&self) -> Result<Dir> {
        let failed = || RepoError::io("open", self.root().path_of(FLIP_DIR));
        self.root().ensure_dir(FLIP_DIR, 0o755).map_err(failed())?;
        self.root().open_dir(FLIP_DIR).map_err(failed())
    }

    /// Returns the checksums of what is there now.
    fn check_expectations(&self, edits: &[Edit]) -> Result<Vec<Option<Checksum>>> {
        let mut olds = Vec::with_capacity(edits.len());
        for edit in edits {
            let found = self.bytes_of(&edit.path)?;
            if !edit.expect.allows(found.as_deref()) || self.is_occupied(&edit.path, edits)? {
                return Err(RepoError::Changed {
                    path: self.root().path_of(&edit.path),
                    expected: edit.expect.to_string(),
                });
            }
            olds.push(found.as_deref().map(Checksum::of));
        }
        Ok(olds)
    }

    fn digest(&self, path: &str) -> Result<Option<Checksum>> {
        Ok(self.bytes_of(path)?.as_deref().map(Checksum::of))
    }

    /// Returns the bytes of a file; `None` where there is none, or a directory (refs may take the place of an
    /// empty one).
    fn bytes_of(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let failed = || RepoError::io("read", self.root().path_of(path));
        match self.root().stat(path).map_err(failed())? {
            None => Ok(None),
            Some(stat) if stat.kind == FileKind::Directory => Ok(None),
            Some(_) => self.root().read_if_exists(path, FILE_LIMIT).map_err(failed()),
        }
    }

    /// Writes and syncs the new files. What an earlier flip left there without an intent goes away.
    fn write_new_files(&self, flip: &Dir, edits: &[Edit]) -> Result<()> {
        let failed = |name: &str| RepoError::io("write", flip.path_of(name));
        for entry in flip.entries().map_err(RepoError::io("list", flip.path()))? {
            flip.unlink(&entry.name).map_err(failed("old files"))?;
        }
        let fsync = self.config().fsync();
        let single = edits.len() <= SINGLE_SYNCS;
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

    fn carry_out(&self, flip: &Dir, intent: &Intent) -> Result<()> {
        let mut touched = BTreeSet::new();
        for (index, entry) in intent.edits.iter().enumerate() {
            let failed = || RepoError::io("flip", self.root().path_of(&entry.path));
            let changed = match &entry.new {
                Some(_) => self.put_in_place(flip, &index.to_string(), entry)?,
                None => self.remove_old(entry)?,
            };
            if changed {
                let holder = Path::new(&entry.path).parent().unwrap_or(Path::new(""));
                touched.extend(holder.ancestors().map(Path::to_path_buf));
            }
            if changed && entry.new.is_none() && entry.path.starts_with("refs/") {
                self.remove_empty_parents(&entry.path).map_err(failed())?;
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
        Ok(())
    }

    /// Renames a new file into place, unless that is done or someone else has changed the file since.
    fn put_in_place(&self, flip: &Dir, name: &str, entry: &Entry) -> Result<bool> {
        let failed = || RepoError::io("put in place", self.root().path_of(&entry.path));
        if flip.stat(name).map_err(failed())?.is_none() {
            return Ok(true);
        }
        let found = self.digest(&entry.path)?.map(|digest| digest.to_string());
        if found != entry.old && found != entry.new {
            flip.unlink(name).map_err(failed())?;
            return Ok(false);
        }
        if let Some(holder) = Path::new(&entry.path)
            .parent()
            .filter(|holder| !holder.as_os_str().is_empty())
        {
            self.root().ensure_dir(holder, 0o777).map_err(failed())?;
        }
        if self
            .root()
            .stat(&entry.path)
            .map_err(failed())?
            .is_some_and(|stat| stat.kind == FileKind::Directory)
        {
            self.remove_empty_tree(&entry.path).map_err(failed())?;
        }
        Dir::rename_over(flip, name, self.root(), &entry.path).map_err(failed())?;
        Ok(true)
    }

    fn remove_old(&self, entry: &Entry) -> Result<bool> {
        let found = self.digest(&entry.path)?.map(|digest| digest.to_string());
        if found.is_none() || found != entry.old {
            return Ok(found.is_none());
        }
        self.root()
            .unlink(&entry.path)
            .map_err(RepoError::io("remove", self.root().path_of(&entry.path)))
    }

    /// Removes the directories that a removed ref leaves empty, up to `refs/heads` and its like.
    fn remove_empty_parents(&self, path: &str) -> io::Result<()> {
        for parent in Path::new(path)
            .ancestors()
            .skip(1)
            .take_while(|dir| dir.components().count() > 2)
        {
            match self.root().remove_dir(parent) {
                Ok(_) => {}
                Err(fault) if fault.kind() == io::ErrorKind::DirectoryNotEmpty => break,
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// Removes a directory that holds nothing but directories; refuses where there is a file.
    fn remove_empty_tree(&self, path: &str) -> io::Result<()> {
        let (dirs, files) = self.tree_below(path)?;
        if !files.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        for dir in dirs.iter().rev() {
            self.root().remove_dir(dir)?;
        }
        Ok(())
    }

    /// Returns whether the path of an edit is a directory that will still hold a file when its turn comes.
    fn is_occupied(&self, path: &str, edits: &[Edit]) -> Result<bool> {
        let failed = || RepoError::io("look at", self.root().path_of(path));
        match self.root().stat(path).map_err(failed())? {
            Some(stat) if stat.kind == FileKind::Directory => {
                let (_, files) = self.tree_below(path).map_err(failed())?;
                let removed =
                    |file: &String| edits.iter().any(|edit| edit.path == *file && edit.new.is_none());
                Ok(!files.iter().all(removed))
            }
            _ => Ok(false),
        }
    }

    /// Returns a directory and those below it, and the files in them.
    fn tree_below(&self, path: &str) -> io::Result<(Vec<String>, Vec<String>)> {
        let mut dirs = vec![path.to_owned()];
        let mut files = Vec::new();
        let mut next = 0;
        while let Some(dir) = dirs.get(next).cloned() {
            next += 1;
            for entry in self.root().open_dir(&dir)?.entries()? {
                let below = format!("{dir}/{}", entry.name.to_string_lossy());
                match entry.kind {
                    FileKind::Directory => dirs.push(below),
                    _ => files.push(below),
                }
            }
        }
        Ok((dirs, files))
    }

    /// Syncs directories; those that a removal has taken away need none, their parents are among the others.
    fn sync_dirs(&self, dirs: &BTreeSet<std::path::PathBuf>) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_format::RepoMode;

    fn repo() -> (tempfile::TempDir, Repo) {
        let dir = tempfile::tempdir().unwrap();
        let repo = Repo::create(dir.path(), RepoMode::Archive, None).unwrap();
        (dir, repo)
    }

    fn edit(path: &str, expect: Expect, new: Option<&str>) -> Edit {
        Edit {
            path: path.into(),
            expect,
            new: new.map(|text| text.as_bytes().to_vec()),
        }
    }

    fn read(repo: &Repo, path: &str) -> Option<String> {
        std::fs::read_to_string(repo.path().join(path)).ok()
    }

    /// Leaves the repository as a crash right after the intent was recorded would.
    fn crash_after_intent(repo: &Repo, edits: &[Edit]) {
        let olds = repo.check_expectations(edits).unwrap();
        let flip = repo.flip_dir().unwrap();
        repo.write_new_files(&flip, edits).unwrap();
        let entries = edits.iter().zip(olds).map(|(edit, old)| Entry {
            path: edit.path.clone(),
            old: old.map(|digest| digest.to_string()),
            new: edit.new.as_deref().map(|bytes| Checksum::of(bytes).to_string()),
        });
        let record = serde_json::to_vec(&Intent {
            edits: entries.collect(),
        })
        .unwrap();
        flip.replace(INTENT, &record, 0o644, false).unwrap();
    }

    #[test]
    fn files_are_replaced_made_and_removed_and_nothing_is_left_behind() {
        let (_dir, repo) = repo();
        repo.flip(&[
            edit("refs/heads/a/b", Expect::Absent, Some("1")),
            edit("summary", Expect::Any, Some("s")),
        ])
        .unwrap();
        let old = Expect::Bytes(Checksum::of(b"1"));
        repo.flip(&[
            edit("refs/heads/a/b", old, None),
            edit("refs/heads/a", Expect::Absent, Some("2")),
            edit("summary.sig", Expect::Any, None),
        ])
        .unwrap();
        assert_eq!(read(&repo, "refs/heads/a").as_deref(), Some("2"));
        assert_eq!(read(&repo, "summary").as_deref(), Some("s"));
        assert_eq!(repo.flip_dir().unwrap().entries().unwrap(), []);
    }

    #[test]
    fn one_unmet_expectation_changes_nothing_at_all() {
        let (_dir, repo) = repo();
        let edits = [
            edit("refs/heads/a", Expect::Absent, Some("1")),
            edit("refs/heads/b", Expect::Ref(Checksum::of(b"x")), Some("2")),
        ];
        assert!(matches!(repo.flip(&edits), Err(RepoError::Changed { .. })));
        assert_eq!(read(&repo, "refs/heads/a"), None);
        assert!(!repo.flip_pending().unwrap());
    }

    #[test]
    fn a_flip_cut_short_anywhere_behind_its_intent_is_completed() {
        let edits = [
            edit("refs/heads/a", Expect::Any, Some("1")),
            edit("refs/heads/old", Expect::Any, None),
            edit("summary", Expect::Any, Some("s")),
        ];
        for done in 0..=edits.len() {
            let (_dir, repo) = repo();
            std::fs::write(repo.path().join("refs/heads/old"), "0").unwrap();
            crash_after_intent(&repo, &edits);
            let flip = repo.flip_dir().unwrap();
            for (index, edit) in edits.iter().enumerate().take(done) {
                match edit.new {
                    Some(_) => Dir::rename_over(&flip, index.to_string(), repo.root(), &edit.path).unwrap(),
                    None => assert!(repo.root().unlink(&edit.path).unwrap()),
                }
            }
            assert!(repo.flip_pending().unwrap());
            assert!(repo.recover_flip().unwrap(), "{done} done before");
            assert_eq!(
                read(&repo, "refs/heads/a").as_deref(),
                Some("1"),
                "{done} done before"
            );
            assert_eq!(read(&repo, "refs/heads/old"), None);
            assert_eq!(read(&repo, "summary").as_deref(), Some("s"));
            assert!(!repo.recover_flip().unwrap());
        }
    }

    #[test]
    fn recovery_never_overwrites_a_value_that_the_flip_has_not_seen() {
        let (_dir, repo) = repo();
        std::fs::write(repo.path().join("refs/heads/a"), "old").unwrap();
        crash_after_intent(&repo, &[edit("refs/heads/a", Expect::Any, Some("new"))]);
        std::fs::write(repo.path().join("refs/heads/a"), "someone else's").unwrap();
        assert!(repo.recover_flip().unwrap());
        assert_eq!(read(&repo, "refs/heads/a").as_deref(), Some("someone else's"));
        assert_eq!(repo.flip_dir().unwrap().entries().unwrap(), []);
    }

    #[test]
    fn modification_times_rise_by_a_second_with_every_flip() {
        let (_dir, repo) = repo();
        let mut last = 0;
        for text in ["1", "2", "3"] {
            repo.flip(&[edit("summary", Expect::Any, Some(text))]).unwrap();
            let mtime = repo.root().stat("summary").unwrap().unwrap().mtime.0;
            assert!(mtime > last);
            last = mtime;
        }
    }

    #[test]
    fn a_directory_that_holds_a_ref_is_not_replaced() {
        let (_dir, repo) = repo();
        std::fs::create_dir_all(repo.path().join("refs/heads/a/empty")).unwrap();
        repo.flip(&[edit("refs/heads/a", Expect::Absent, Some("1"))])
            .unwrap();
        assert_eq!(read(&repo, "refs/heads/a").as_deref(), Some("1"));
        std::fs::create_dir_all(repo.path().join("refs/heads/b")).unwrap();
        std::fs::write(repo.path().join("refs/heads/b/c"), "1").unwrap();
        assert!(
            repo.flip(&[edit("refs/heads/b", Expect::Absent, Some("2"))])
                .is_err()
        );
        assert_eq!(read(&repo, "refs/heads/b/c").as_deref(), Some("1"));
        assert!(!repo.flip_pending().unwrap());
    }
}
