//! Dirtree objects: the files and directories of one directory.
//!
//! Shape `(a(say)a(sayay))`: files as name and checksum of the content object, then directories as name, checksum of
//! the dirtree and checksum of the dirmeta. Both lists are strictly sorted by the bytes of the name, and no name is
//! in both. Names follow [`check_file_name`](crate::check_file_name). The empty directory is one zero byte.
//!
//! libostree checks neither the order on reading nor that a name is in one list only; here both are required, since
//! look-ups and deltas rely on the former, and nothing could check out a tree without the latter.
//!
//! [`DirTreeView`] reads in place; [`DirTree`] owns its names.

mod view;

pub use view::{DirTreeView, TreeDirRef, TreeFileRef};

use crate::checksum::Checksum;
use crate::error::Result;
use crate::gvariant::framing::TupleWriter;
use crate::names::{check_file_name, refused};

/// A file in a directory: a regular file or symbolic link.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TreeFile {
    /// Its name.
    pub name: Box<str>,
    /// Its content object.
    pub checksum: Checksum,
}

/// A directory in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TreeDir {
    /// Its name.
    pub name: Box<str>,
    /// Its dirtree.
    pub tree: Checksum,
    /// Its dirmeta.
    pub meta: Checksum,
}

/// A directory. Whoever changes the lists by hand keeps them sorted, or lets [`new`](Self::new) sort them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct DirTree {
    /// Files, strictly sorted by name.
    pub files: Vec<TreeFile>,
    /// Directories, strictly sorted by name.
    pub dirs: Vec<TreeDir>,
}

impl DirTree {
    /// Sorts both lists.
    ///
    /// # Errors
    /// [`FormatError::Name`](crate::FormatError::Name) for a name that occurs twice or that no file may have.
    pub fn new(mut files: Vec<TreeFile>, mut dirs: Vec<TreeDir>) -> Result<Self> {
        files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        dirs.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let tree = Self { files, dirs };
        let mut order = Order::default();
        for name in tree.file_names() {
            order.check(check_file_name(name.as_bytes())?)?;
        }
        let mut order = Order::default();
        for name in tree.dir_names() {
            order.check(check_file_name(name.as_bytes())?)?;
        }
        check_disjoint(tree.file_names(), tree.dir_names())?;
        Ok(tree)
    }

    /// Reads the bytes of a dirtree object.
    ///
    /// # Errors
    /// [`FormatError`](crate::FormatError) for what is not in normal form or breaks a rule of the module.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let (files, dirs) = view::split(bytes)?;
        let mut tree = Self {
            files: Vec::with_capacity(files.len()),
            dirs: Vec::with_capacity(dirs.len()),
        };
        view::scan(files, |file: TreeFileRef<'_>| tree.files.push(file.to_owned()))?;
        view::scan(dirs, |dir: TreeDirRef<'_>| tree.dirs.push(dir.to_owned()))?;
        check_disjoint(tree.file_names(), tree.dir_names())?;
        Ok(tree)
    }

    /// Returns the bytes of the object. Both lists must be sorted.
    pub fn to_bytes(&self) -> Vec<u8> {
        debug_assert!(self.file_names().is_sorted_by(|a, b| a < b), "files are sorted");
        debug_assert!(
            self.dir_names().is_sorted_by(|a, b| a < b),
            "directories are sorted"
        );
        TupleWriter::encode(|tuple| {
            tuple.array(1, |files| {
                for file in &self.files {
                    files.tuple(|entry| {
                        entry.string(&file.name);
                        entry.bytes(file.checksum.as_bytes());
                    });
                }
            });
            tuple.array(1, |dirs| {
                for dir in &self.dirs {
                    dirs.tuple(|entry| {
                        entry.string(&dir.name);
                        entry.bytes(dir.tree.as_bytes());
                        entry.bytes(dir.meta.as_bytes());
                    });
                }
            });
        })
    }

    /// Returns the file of this name.
    pub fn file(&self, name: &str) -> Option<&TreeFile> {
        let at = self.files.binary_search_by(|file| (*file.name).cmp(name)).ok()?;
        self.files.get(at)
    }

    /// Returns the directory of this name.
    pub fn dir(&self, name: &str) -> Option<&TreeDir> {
        let at = self.dirs.binary_search_by(|dir| (*dir.name).cmp(name)).ok()?;
        self.dirs.get(at)
    }

    fn file_names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| &*file.name)
    }

    fn dir_names(&self) -> impl Iterator<Item = &str> {
        self.dirs.iter().map(|dir| &*dir.name)
    }
}

/// Checks that names come strictly sorted.
#[derive(Default)]
struct Order<'a>(&'a str);

impl<'a> Order<'a> {
    fn check(&mut self, name: &'a str) -> Result<()> {
        // No name is empty, so that the first is always above the initial value.
        if self.0 >= name {
            return Err(refused("file", name, "out of order, or twice in a directory"));
        }
        self.0 = name;
        Ok(())
    }
}

/// Checks that no name is in both of two sorted lists.
fn check_disjoint<'a>(
    mut files: impl Iterator<Item = &'a str>,
    mut dirs: impl Iterator<Item = &'a str>,
) -> Result<()> {
    let (mut file, mut dir) = (files.next(), dirs.next());
    while let (Some(a), Some(b)) = (file, dir) {
        match a.cmp(b) {
            std::cmp::Ordering::Less => file = files.next(),
            std::cmp::Ordering::Greater => dir = dirs.next(),
            std::cmp::Ordering::Equal => {
                return Err(refused("file", a, "both a file and a directory"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
