//! Recognising files that are hard links to content objects.
//!
//! A checkout made of hard links shares its inodes with the repository. Committing it again can take the checksum
//! of such a file from its inode number, without reading it: nobody may write to it in place, since that would
//! change the object.

use crate::error::{RepoError, Result};
use crate::repo::Repo;
use ostler_format::{Checksum, ObjectName, ObjectType};
use std::collections::HashMap;

/// What a file that is a hard link to a content object contributes to a commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LinkedFiles {
    /// It is read as any other.
    #[default]
    Read,
    /// Its object, if the rules leave owner, mode and extended attributes as the object has them.
    Reuse,
    /// Its object, whatever the rules say.
    ReuseAlways,
}

/// The content objects of a repository by device and inode.
#[derive(Debug, Default)]
pub(super) struct InodeMap(HashMap<(u64, u64), Checksum>);

impl InodeMap {
    /// Looks at every content object of the repository; those of an archive never show up in a checkout.
    pub(super) fn scan(repo: &Repo) -> Result<Self> {
        let mut map = HashMap::new();
        if repo.mode().is_archive() {
            return Ok(Self(map));
        }
        let objects = repo.objects();
        for prefix in objects.entries().map_err(RepoError::io("list", objects.path()))? {
            let Some(prefix) = prefix.name.to_str().filter(|name| name.len() == 2) else {
                continue;
            };
            let path = objects.path_of(prefix);
            let dir = objects.open_dir(prefix).map_err(RepoError::io("open", &path))?;
            for entry in dir.entries().map_err(RepoError::io("list", &path))? {
                let Some(ObjectName {
                    checksum,
                    kind: ObjectType::File,
                }) = entry
                    .name
                    .to_str()
                    .and_then(|name| ObjectName::from_loose(prefix, name))
                else {
                    continue;
                };
                let stat = dir.stat(&entry.name).map_err(RepoError::io("look at", &path))?;
                if let Some(stat) = stat.filter(|stat| stat.nlink > 1) {
                    map.insert((stat.dev, stat.ino), checksum);
                }
            }
        }
        Ok(Self(map))
    }

    /// Returns the object that an inode is.
    pub(super) fn get(&self, dev: u64, ino: u64) -> Option<&Checksum> {
        self.0.get(&(dev, ino))
    }
}
