//! Walking the trees of commits: every entry with its path, the set of all objects, the difference of two sets.
//!
//! A tree comes from outside and may be as deep as its maker likes, so nothing here recurses: a walk keeps its own
//! stack of directories, and refuses more than [`MAX_DEPTH`] of them (no file system could hold more, since a path
//! of that many names exceeds `PATH_MAX`).
//!
//! Nothing is inferred: that a dirtree is present says nothing about what it names. A walk reads every dirtree that
//! it reports as walked; content objects and dirmetas are named, not looked at.

mod closure;
mod difference;
pub(crate) mod layers;
mod list;
mod listed;
mod lookup;

pub use closure::Closure;
pub use difference::{ClosureDifference, NewObjects};
pub use list::{LISTS, ListedObject, ObjectList};
pub use lookup::PathEntry;

use crate::error::{RepoError, Result};
use crate::repo::Repo;
use ostler_format::{Checksum, DirTree, ObjectName, ObjectType, TreeDir, TreeFile};

/// The number of directories that a path may have.
pub const MAX_DEPTH: usize = 2048;

/// What a walk stands on. Paths begin with `/` and do not end with one, except for the root itself.
#[derive(Debug, Clone, Copy)]
pub enum WalkEntry<'a> {
    /// A directory; its entries follow unless the visitor says otherwise.
    Directory {
        /// Where it is.
        path: &'a str,
        /// Its dirtree.
        tree: Checksum,
        /// Its dirmeta.
        meta: Checksum,
    },
    /// A regular file or symbolic link.
    File {
        /// Where it is.
        path: &'a str,
        /// Its content object.
        checksum: Checksum,
    },
}

/// What a visitor wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descend {
    /// Go on, into the directory if the entry was one.
    Yes,
    /// Go on behind the directory. The same as [`Yes`](Self::Yes) after a file.
    Skip,
}

/// Returns the names of the objects of trees that name no others: dirmetas, then content.
pub(crate) fn leaves(metas: Vec<Checksum>, files: Vec<Checksum>) -> Vec<ObjectName> {
    let named = |kind| move |checksum| ObjectName::new(checksum, kind);
    let metas = metas.into_iter().map(named(ObjectType::DirMeta));
    metas
        .chain(files.into_iter().map(named(ObjectType::File)))
        .collect()
}

impl Repo {
    /// Visits every entry of a commit's tree: the root, then of each directory first the files and then the
    /// directories with what is in them, by name. Equal subtrees are visited at each place where they occur.
    ///
    /// # Errors
    /// [`RepoError::Incomplete`] if a dirtree is missing, what loading objects returns, and what `visit` returns.
    pub fn walk_commit(
        &self,
        commit: &Checksum,
        visit: &mut dyn FnMut(WalkEntry<'_>) -> Result<Descend>,
    ) -> Result<()> {
        let loaded = self.load_commit(commit)?;
        self.walk_tree(&loaded.root_tree, &loaded.root_meta, visit)
    }

    /// Visits every entry below a directory as [`walk_commit`](Self::walk_commit) does, with paths relative to it.
    ///
    /// # Errors
    /// As for [`walk_commit`](Self::walk_commit).
    pub fn walk_tree(
        &self,
        tree: &Checksum,
        meta: &Checksum,
        visit: &mut dyn FnMut(WalkEntry<'_>) -> Result<Descend>,
    ) -> Result<()> {
        let root = WalkEntry::Directory {
            path: "/",
            tree: *tree,
            meta: *meta,
        };
        if visit(root)? == Descend::Skip {
            return Ok(());
        }
        let mut stack = TreeStack::default();
        let mut path = String::from("/");
        let contents = load_tree(self, tree, &path)?;
        visit_files(&contents.files, &path, visit)?;
        stack.push(contents.dirs)?;
        while stack.advance() {
            let Some(dir) = stack.current() else { continue };
            let (tree, meta) = (dir.tree, dir.meta);
            stack.write_path(&mut path);
            let entry = WalkEntry::Directory {
                path: &path,
                tree,
                meta,
            };
            if visit(entry)? == Descend::Yes {
                let contents = load_tree(self, &tree, &path)?;
                visit_files(&contents.files, &path, visit)?;
                stack.push(contents.dirs)?;
            }
        }
        Ok(())
    }
}

fn visit_files(
    files: &[TreeFile],
    directory: &str,
    visit: &mut dyn FnMut(WalkEntry<'_>) -> Result<Descend>,
) -> Result<()> {
    let mut path = String::from(directory);
    for file in files {
        path.truncate(directory.len());
        push_name(&mut path, &file.name);
        // A file has nothing below it, so either answer goes on.
        let (Descend::Yes | Descend::Skip) = visit(WalkEntry::File {
            path: &path,
            checksum: file.checksum,
        })?;
    }
    Ok(())
}

/// Appends a name to a path that may be the root.
pub(crate) fn push_name(path: &mut String, name: &str) {
    if !path.ends_with('/') {
        path.push('/');
    }
    path.push_str(name);
}

/// Loads a dirtree of a commit that is being walked; says where it belongs if it is not there.
pub(crate) fn load_tree(repo: &Repo, tree: &Checksum, path: &str) -> Result<DirTree> {
    repo.load_dirtree(tree).map_err(|error| {
        if error.is_not_found() {
            RepoError::Incomplete {
                object: ObjectName::new(*tree, ObjectType::DirTree),
                path: path.to_owned(),
            }
        } else {
            error
        }
    })
}

/// The directories between the root and the place of a walk.
#[derive(Default)]
struct TreeStack {
    frames: Vec<Frame>,
}

/// The sub-directories of one directory, and how many of them were entered.
struct Frame {
    dirs: Vec<TreeDir>,
    entered: usize,
}

impl TreeStack {
    /// Enters a directory.
    fn push(&mut self, dirs: Vec<TreeDir>) -> Result<()> {
        if self.frames.len() >= MAX_DEPTH {
            return Err(too_deep());
        }
        self.frames.push(Frame { dirs, entered: 0 });
        Ok(())
    }

    /// Moves to the next directory in the order of a walk, leaving those that are done; false at the end.
    fn advance(&mut self) -> bool {
        while let Some(frame) = self.frames.last_mut() {
            if frame.entered < frame.dirs.len() {
                frame.entered += 1;
                return true;
            }
            self.frames.pop();
        }
        false
    }

    /// Returns the directory that the walk stands on.
    fn current(&self) -> Option<&TreeDir> {
        self.frames.last().and_then(Frame::current)
    }

    /// Writes the path of the directory that the walk stands on.
    fn write_path(&self, path: &mut String) {
        path.clear();
        path.push('/');
        for dir in self.frames.iter().filter_map(Frame::current) {
            push_name(path, &dir.name);
        }
    }

    /// Returns the path of the directory that the walk stands on.
    fn path(&self) -> String {
        let mut path = String::new();
        self.write_path(&mut path);
        path
    }
}

impl Frame {
    fn current(&self) -> Option<&TreeDir> {
        self.entered.checked_sub(1).and_then(|index| self.dirs.get(index))
    }
}

/// Returns the error for a tree deeper than [`MAX_DEPTH`].
pub(crate) fn too_deep() -> RepoError {
    RepoError::Unsupported {
        what: format!("a tree of more than {MAX_DEPTH} directories in one another"),
    }
}
