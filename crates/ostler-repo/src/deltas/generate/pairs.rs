//! What is new in a commit, and which file of the other each new file is held against: the one at the same path, else the
//! one of the same name whose size is nearest.
//!
//! Paths and names are kept as hashes: a memory of some fifty bytes for each file. Two that collide cost a comparison
//! that finds nothing.

use crate::error::Result;
use crate::repo::Repo;
use crate::walk::{ClosureDifference, Descend, NewObjects, WalkEntry};
use ostler_format::Checksum;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// How many files of the same name are looked at.
const NAMESAKES: usize = 16;

/// A content object that is new, and what it may resemble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewFile {
    pub(super) checksum: Checksum,
    /// What it is sorted by: extension, name, path, so that files which compress well together are together.
    pub(super) order: (String, String, String),
    /// What is at the same path in the other commit.
    pub(super) same_path: Option<Checksum>,
    /// What has the same name there.
    pub(super) namesakes: Vec<Checksum>,
}

/// What is new in a commit.
#[derive(Debug)]
pub(super) struct Changes {
    pub(super) new: NewObjects,
    /// The new content, sorted as it goes into parts.
    pub(super) files: Vec<NewFile>,
}

/// Compares two commits; without `from`, all is new.
pub(super) fn find(repo: &Repo, from: Option<&Checksum>, to: &Checksum) -> Result<Changes> {
    let held = match from {
        Some(from) => repo.closure(&[*from])?,
        None => Vec::new(),
    };
    let mut difference = ClosureDifference::new(repo, held);
    difference.add(to)?;
    let new = difference.finish();
    let old = match from {
        Some(from) => OldFiles::of(repo, from)?,
        None => OldFiles::default(),
    };
    let mut wanted: HashSet<Checksum> = new.content.iter().copied().collect();
    let mut files = Vec::with_capacity(wanted.len());
    repo.walk_commit(to, &mut |entry| {
        if let WalkEntry::File { path, checksum } = entry
            && wanted.remove(&checksum)
        {
            files.push(old.pair(path, checksum));
        }
        Ok(Descend::Yes)
    })?;
    files.sort_by(|a, b| a.order.cmp(&b.order));
    Ok(Changes { new, files })
}

/// The files of the commit from which a delta leads.
#[derive(Debug, Default)]
struct OldFiles {
    by_path: HashMap<u64, Checksum>,
    by_name: HashMap<u64, Vec<Checksum>>,
}

impl OldFiles {
    fn of(repo: &Repo, commit: &Checksum) -> Result<Self> {
        let mut old = Self::default();
        repo.walk_commit(commit, &mut |entry| {
            if let WalkEntry::File { path, checksum } = entry {
                old.by_path.insert(hash_of(path), checksum);
                let namesakes = old.by_name.entry(hash_of(name_of(path))).or_default();
                if namesakes.len() < NAMESAKES && !namesakes.contains(&checksum) {
                    namesakes.push(checksum);
                }
            }
            Ok(Descend::Yes)
        })?;
        Ok(old)
    }

    fn pair(&self, path: &str, checksum: Checksum) -> NewFile {
        let name = name_of(path);
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        NewFile {
            checksum,
            order: (extension.to_owned(), name.to_owned(), path.to_owned()),
            same_path: self.by_path.get(&hash_of(path)).copied(),
            namesakes: self.by_name.get(&hash_of(name)).cloned().unwrap_or_default(),
        }
    }
}

fn name_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn hash_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
