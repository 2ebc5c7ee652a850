//! What is there before a flip, compared with what its edits expect.

use super::{Edit, FILE_LIMIT};
use crate::error::{RepoError, Result};
use crate::fs::FileKind;
use crate::repo::Repo;
use ostler_format::{Checksum, RefName};
use std::io;

impl Repo {
    /// Returns the checksums of what is there now.
    pub(super) fn check_expectations(&self, edits: &[Edit]) -> Result<Vec<Option<Checksum>>> {
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

    /// Returns the checksum of a file, in the form of the intent record.
    pub(super) fn digest(&self, path: &str) -> Result<Option<String>> {
        let found = self.bytes_of(path)?;
        Ok(found.as_deref().map(|bytes| Checksum::of(bytes).to_string()))
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

    /// Returns whether the path of an edit is a directory that will still hold a ref when its turn comes.
    fn is_occupied(&self, path: &str, edits: &[Edit]) -> Result<bool> {
        let failed = || RepoError::io("look at", self.root().path_of(path));
        match self.root().stat(path).map_err(failed())? {
            Some(stat) if stat.kind == FileKind::Directory => {
                let files = self.refs_below(path).map_err(failed())?;
                let removed =
                    |file: &String| edits.iter().any(|edit| edit.path == *file && edit.new.is_none());
                Ok(!files.iter().all(removed))
            }
            _ => Ok(false),
        }
    }

    /// Returns the files below a directory that have names of refs. Others are in nobody's way: copying tools leave
    /// them, and no tool reads them.
    pub(super) fn refs_below(&self, path: &str) -> io::Result<Vec<String>> {
        let mut dirs = vec![path.to_owned()];
        let mut files = Vec::new();
        while let Some(dir) = dirs.pop() {
            for entry in self.root().open_dir(&dir)?.entries()? {
                let below = format!("{dir}/{}", entry.name.to_string_lossy());
                match entry.kind {
                    FileKind::Directory => dirs.push(below),
                    _ if RefName::new(&below).is_ok() => files.push(below),
                    _ => {}
                }
            }
        }
        Ok(files)
    }
}
