//! Dirtrees read in place, without a copy of their names.

use super::{Order, TreeDir, TreeFile, check_disjoint};
use crate::checksum::Checksum;
use crate::error::{FormatError, Result};
use crate::gvariant::framing::{ArrayReader, TupleReader};
use crate::limits::check_metadata_size;
use crate::names::check_file_name;

const WHAT: &str = "dirtree";

/// A file in a [`DirTreeView`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeFileRef<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its content object.
    pub checksum: Checksum,
}

/// A directory in a [`DirTreeView`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeDirRef<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its dirtree.
    pub tree: Checksum,
    /// Its dirmeta.
    pub meta: Checksum,
}

/// The bytes of a dirtree object, checked as [`DirTree::parse`](super::DirTree::parse) checks them.
#[derive(Debug, Clone)]
pub struct DirTreeView<'a> {
    files: ArrayReader<'a>,
    dirs: ArrayReader<'a>,
}

impl<'a> DirTreeView<'a> {
    /// Reads the bytes of a dirtree object.
    ///
    /// # Errors
    /// As [`DirTree::parse`](super::DirTree::parse).
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let (files, dirs) = split(bytes)?;
        scan(files.clone(), |_: TreeFileRef<'_>| ())?;
        scan(dirs.clone(), |_: TreeDirRef<'_>| ())?;
        let view = Self { files, dirs };
        check_disjoint(
            view.files().map(|file| file.name),
            view.dirs().map(|dir| dir.name),
        )?;
        Ok(view)
    }

    /// Iterates over the files, sorted by name.
    pub fn files(&self) -> impl Iterator<Item = TreeFileRef<'a>> + use<'a> {
        entries(&self.files)
    }

    /// Iterates over the directories, sorted by name.
    pub fn dirs(&self) -> impl Iterator<Item = TreeDirRef<'a>> + use<'a> {
        entries(&self.dirs)
    }

    /// Returns the number of files.
    pub fn file_count(&self) -> usize {
        self.files.len()
    }

    /// Returns the number of directories.
    pub fn dir_count(&self) -> usize {
        self.dirs.len()
    }
}

impl TreeFileRef<'_> {
    /// Returns the same with a name of its own.
    pub fn to_owned(&self) -> TreeFile {
        TreeFile {
            name: self.name.into(),
            checksum: self.checksum,
        }
    }
}

impl TreeDirRef<'_> {
    /// Returns the same with a name of its own.
    pub fn to_owned(&self) -> TreeDir {
        TreeDir {
            name: self.name.into(),
            tree: self.tree,
            meta: self.meta,
        }
    }
}

/// What both lists consist of.
pub(super) trait Entry<'a>: Sized {
    /// Reads the tuple of one entry.
    fn decode(bytes: &'a [u8]) -> Result<Self>;
    fn name(&self) -> &'a str;
}

impl<'a> Entry<'a> for TreeFileRef<'a> {
    #[inline]
    fn decode(bytes: &'a [u8]) -> Result<Self> {
        let mut tuple = TupleReader::new(WHAT, bytes);
        Ok(Self {
            name: file_name(tuple.variable(1)?)?,
            checksum: Checksum::from_slice(tuple.last(1)?)?,
        })
    }

    fn name(&self) -> &'a str {
        self.name
    }
}

impl<'a> Entry<'a> for TreeDirRef<'a> {
    #[inline]
    fn decode(bytes: &'a [u8]) -> Result<Self> {
        let mut tuple = TupleReader::new(WHAT, bytes);
        Ok(Self {
            name: file_name(tuple.variable(1)?)?,
            tree: Checksum::from_slice(tuple.variable(1)?)?,
            meta: Checksum::from_slice(tuple.last(1)?)?,
        })
    }

    fn name(&self) -> &'a str {
        self.name
    }
}

/// Reads a name with its NUL.
#[inline]
fn file_name(bytes: &[u8]) -> Result<&str> {
    match bytes.split_last() {
        Some((0, name)) => check_file_name(name),
        _ => Err(FormatError::invalid(WHAT, "a name does not end in NUL")),
    }
}

/// Returns the two lists, their entries not yet read.
pub(super) fn split(bytes: &[u8]) -> Result<(ArrayReader<'_>, ArrayReader<'_>)> {
    check_metadata_size(WHAT, bytes)?;
    let mut tuple = TupleReader::new(WHAT, bytes);
    let files = ArrayReader::new(WHAT, tuple.variable(1)?, 1)?;
    let dirs = ArrayReader::new(WHAT, tuple.last(1)?, 1)?;
    Ok((files, dirs))
}

/// Checks all entries of a list and their order, and passes each on.
pub(super) fn scan<'a, E: Entry<'a>>(list: ArrayReader<'a>, mut each: impl FnMut(E)) -> Result<()> {
    let mut order = Order::default();
    for bytes in list {
        let entry = E::decode(bytes?)?;
        order.check(entry.name())?;
        each(entry);
    }
    Ok(())
}

/// Reads the entries of a list that [`scan`] has been through.
fn entries<'a, E: Entry<'a>>(list: &ArrayReader<'a>) -> impl Iterator<Item = E> + use<'a, E> {
    list.clone().map(|bytes| {
        bytes
            .and_then(E::decode)
            .expect("the entry was checked when the view was made")
    })
}
