//! The types of objects, their names and where they lie.

use crate::checksum::Checksum;
use crate::error::{FormatError, Result};
use crate::mode::RepoMode;
use std::fmt;

/// The type of an object; the discriminant is the number used in static deltas and sizes metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ObjectType {
    /// A regular file or symbolic link: the content object.
    File = 1,
    /// A list of files and directories.
    DirTree = 2,
    /// Owner, mode and extended attributes of a directory.
    DirMeta = 3,
    /// A commit.
    Commit = 4,
    /// The mark that a commit was deleted.
    TombstoneCommit = 5,
    /// Detached metadata of a commit: mutable, not covered by any checksum.
    CommitMeta = 6,
    /// A symbolic link from the checksum of a payload to a content object.
    PayloadLink = 7,
    /// Extended attributes of content objects in bare-split-xattrs repositories.
    FileXattrs = 8,
    /// A hard link to a [`FileXattrs`](Self::FileXattrs) object, named after the content object.
    FileXattrsLink = 9,
}

impl ObjectType {
    /// All types, by number.
    pub const ALL: [Self; 9] = [
        Self::File,
        Self::DirTree,
        Self::DirMeta,
        Self::Commit,
        Self::TombstoneCommit,
        Self::CommitMeta,
        Self::PayloadLink,
        Self::FileXattrs,
        Self::FileXattrsLink,
    ];

    /// Returns the suffix of loose files, without the `z` of compressed content.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::DirTree => "dirtree",
            Self::DirMeta => "dirmeta",
            Self::Commit => "commit",
            Self::TombstoneCommit => "tombstone-commit",
            Self::CommitMeta => "commitmeta",
            Self::PayloadLink => "payload-link",
            Self::FileXattrs => "file-xattrs",
            Self::FileXattrsLink => "file-xattrs-link",
        }
    }

    /// Returns the type for a number.
    ///
    /// # Errors
    /// [`FormatError::Invalid`] for a number that no type has.
    pub fn from_number(number: u8) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| *kind as u8 == number)
            .ok_or_else(|| FormatError::invalid("object type", number.to_string()))
    }

    /// Returns the type for a suffix as in [`as_str`](Self::as_str); `filez` is a file as well.
    pub fn from_suffix(suffix: &str) -> Option<Self> {
        let suffix = if suffix == "filez" { "file" } else { suffix };
        Self::ALL.into_iter().find(|kind| kind.as_str() == suffix)
    }

    /// Returns whether the object is metadata: stored as the same bytes in every mode.
    pub const fn is_metadata(self) -> bool {
        matches!(
            self,
            Self::DirTree | Self::DirMeta | Self::Commit | Self::TombstoneCommit | Self::CommitMeta
        )
    }
}

impl fmt::Display for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An object: its checksum and type. Displayed as `<checksum>.<type>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// The checksum that names it.
    pub checksum: Checksum,
    /// Its type.
    pub kind: ObjectType,
}

impl ObjectName {
    /// Pairs a checksum with a type.
    pub const fn new(checksum: Checksum, kind: ObjectType) -> Self {
        Self { checksum, kind }
    }

    /// Returns the path of the loose file below `objects/` in a repository of `mode`.
    pub fn loose_path(self, mode: RepoMode) -> LoosePath {
        let suffix = match self.kind {
            ObjectType::File if mode.is_archive() => "filez",
            kind => kind.as_str(),
        };
        let hex = self.checksum.to_hex();
        let (directory, rest) = hex.split();
        LoosePath {
            text: format!("{directory}/{rest}.{suffix}"),
        }
    }

    /// Reads the two parts of a loose path: the directory of two digits, and the file's name in it.
    /// Returns `None` for what is not the name of an object (temporary files and the like).
    pub fn from_loose(directory: &str, file: &str) -> Option<Self> {
        let (rest, suffix) = file.split_once('.')?;
        let checksum = Checksum::from_hex(&format!("{directory}{rest}")).ok()?;
        (directory.len() == 2).then_some(Self::new(checksum, ObjectType::from_suffix(suffix)?))
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.checksum, self.kind)
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where an object lies below `objects/` or a staging directory: `ab/<62 digits>.<suffix>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LoosePath {
    text: String,
}

impl LoosePath {
    /// Returns the whole path.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the two digits of the directory.
    pub fn directory(&self) -> &str {
        self.text.split_once('/').map_or("", |(directory, _)| directory)
    }

    /// Returns the name within the directory.
    pub fn file(&self) -> &str {
        self.text.split_once('/').map_or("", |(_, file)| file)
    }
}

impl AsRef<std::path::Path> for LoosePath {
    fn as_ref(&self) -> &std::path::Path {
        self.text.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loose_paths_follow_the_mode_and_read_back() {
        let name = ObjectName::new(Checksum::of(b"x"), ObjectType::File);
        let archive = name.loose_path(RepoMode::Archive);
        assert!(archive.as_str().ends_with("4881.filez"), "{archive:?}");
        assert!(name.loose_path(RepoMode::Bare).as_str().ends_with("4881.file"));
        for kind in ObjectType::ALL {
            let name = ObjectName::new(Checksum::of(b"y"), kind);
            let path = name.loose_path(RepoMode::Archive);
            assert_eq!(ObjectName::from_loose(path.directory(), path.file()), Some(name));
            assert_eq!(ObjectType::from_number(kind as u8), Ok(kind));
        }
        assert_eq!(ObjectName::from_loose("ab", ".~tmp~"), None);
        assert_eq!(ObjectName::from_loose("abc", archive.file().split_at(1).1), None);
    }
}
