//! Finding what lies at a path of a commit.

use super::{load_tree, push_name};
use crate::error::{RepoError, Result};
use crate::repo::Repo;
use ostler_format::Checksum;
use rustix::io::Errno;

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathEntry {
    /// A directory.
    Directory {
        /// Its dirtree.
        tree: Checksum,
        /// Its dirmeta.
        meta: Checksum,
    },
    /// The content object of a regular file or symbolic link.
    File(Checksum),
}

impl Repo {
    /// Returns what lies at `path` in the tree of `commit`. Symbolic links are not followed; slashes at the
    /// beginning, at the end and repeated ones mean nothing; `.` and `..` are no names that a tree can hold.
    ///
    /// # Errors
    /// [`RepoError::NoSuchPath`] if there is nothing, [`RepoError::Io`], as for files on disk, if a name is not that of a
    /// directory, [`RepoError::Incomplete`] if a dirtree on the way is missing, and what loading objects returns.
    pub fn lookup_path(&self, commit: &Checksum, path: &str) -> Result<PathEntry> {
        let loaded = self.load_commit(commit)?;
        let root = PathEntry::Directory {
            tree: loaded.root_tree,
            meta: loaded.root_meta,
        };
        self.lookup_below(root, path)
    }

    /// Returns what lies at `path` below an entry, as [`lookup_path`](Self::lookup_path) does.
    ///
    /// # Errors
    /// As for [`lookup_path`](Self::lookup_path).
    pub fn lookup_below(&self, start: PathEntry, path: &str) -> Result<PathEntry> {
        let mut entry = start;
        let mut walked = String::from("/");
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let PathEntry::Directory { tree, .. } = entry else {
                return Err(RepoError::io("find", path)(Errno::NOTDIR.into()));
            };
            let contents = load_tree(self, &tree, &walked)?;
            let file = contents.files.binary_search_by(|file| (*file.name).cmp(name));
            let dir = contents.dirs.binary_search_by(|dir| (*dir.name).cmp(name));
            let file = file.ok().and_then(|index| contents.files.get(index));
            let dir = dir.ok().and_then(|index| contents.dirs.get(index));
            entry = match (file, dir) {
                (Some(file), _) => PathEntry::File(file.checksum),
                (None, Some(dir)) => PathEntry::Directory {
                    tree: dir.tree,
                    meta: dir.meta,
                },
                (None, None) => {
                    let path = path.to_owned();
                    return Err(RepoError::NoSuchPath { path });
                }
            };
            push_name(&mut walked, name);
        }
        Ok(entry)
    }
}
