//! The list of a commit's objects, and the record of it, which saves the walk the next time.
//!
//! ```text
//! extensions/ostler/closures/<commit>    "ostler-closure 1\n", the entries, SHA-256 of all before it
//! ```
//! Entries are those of [`ostler_format::push_list_entry`], each object behind all that it names; sizes are those of the
//! files here. What a commit consists of never changes, so a record is never out of date; one that is damaged, or for
//! which there was no room, costs the walk. It says nothing of what is *there*: nobody concludes from it that an object
//! may be removed, or need not be looked for.

use super::ClosureDifference;
use crate::error::{RepoError, Result};
use crate::fs::{Dir, Linked};
use crate::parallel::{READERS, spread};
use crate::repo::Repo;
use ostler_format::{Checksum, LIST_ENTRY, ObjectName, ObjectType, list_entries, push_list_entry};
use std::io::{self, Write as _};
use std::num::NonZero;
use std::sync::atomic::AtomicBool;

/// Where the lists are, below the repository.
pub const LISTS: &str = "extensions/ostler/closures";

const MAGIC: &[u8] = b"ostler-closure 1\n";
const DIGEST: usize = 32;

/// The largest record that is read or written: some three million objects.
const RECORD_LIMIT: u64 = 128 << 20;

/// How many records are kept beyond two for each ref: what a ref named before, and what it names now.
const SPARE_RECORDS: usize = 64;

/// An object of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedObject {
    /// The object.
    pub name: ObjectName,
    /// The bytes of its file in the repository of the list, where they are known.
    pub size: Option<NonZero<u64>>,
}

/// The objects of a commit, each once and behind all that it names, the commit last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectList {
    /// As in the record, without its digest.
    bytes: Vec<u8>,
}

impl ObjectList {
    /// Returns the objects.
    pub fn entries(&self) -> impl Iterator<Item = ListedObject> {
        let listed = |(name, size)| ListedObject {
            name,
            size: NonZero::new(size),
        };
        list_entries(self.bytes.get(MAGIC.len()..).unwrap_or_default()).map(listed)
    }

    /// Returns the objects as they are recorded, for several threads to [read](ostler_format::list_entry).
    pub fn recorded(&self) -> &[[u8; LIST_ENTRY]] {
        let (entries, _) = self.bytes.get(MAGIC.len()..).unwrap_or_default().as_chunks();
        entries
    }

    /// Returns the names of the objects.
    pub fn names(&self) -> impl Iterator<Item = ObjectName> {
        self.entries().map(|listed| listed.name)
    }

    /// Returns the number of objects.
    pub fn len(&self) -> usize {
        self.bytes.len().saturating_sub(MAGIC.len()) / LIST_ENTRY
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn parse(mut bytes: Vec<u8>, commit: &Checksum) -> Option<Self> {
        let (all, digest) = bytes.split_last_chunk::<DIGEST>()?;
        let list = all.strip_prefix(MAGIC)?;
        let last = list.len().checked_sub(LIST_ENTRY)?;
        let (last, _) = list_entries(list.get(last..)?).next()?;
        let whole = Checksum::of(all).as_bytes() == digest && list.len().is_multiple_of(LIST_ENTRY);
        if !whole || last != ObjectName::new(*commit, ObjectType::Commit) {
            return None;
        }
        bytes.truncate(bytes.len() - DIGEST);
        Some(Self { bytes })
    }
}

impl Repo {
    /// Returns the recorded list of a commit; `None` where there is none, or none that can be used.
    pub fn recorded_list(&self, commit: &Checksum) -> Option<ObjectList> {
        let bytes = self
            .root()
            .read_if_exists(format!("{LISTS}/{commit}"), RECORD_LIMIT);
        ObjectList::parse(bytes.ok()??, commit)
    }

    /// Walks a commit and looks at the files of its objects. Content that is missing has no size; a dirtree that is
    /// missing is an error.
    ///
    /// # Errors
    /// [`RepoError::Incomplete`] if a dirtree is missing, and what loading objects returns.
    pub fn walk_list(&self, commit: &Checksum) -> Result<ObjectList> {
        let mut walk = ClosureDifference::new(self, Vec::new());
        walk.add(commit)?;
        let names: Vec<_> = walk.finish().child_first().collect();
        let sizes = self.sizes_of(&names)?;
        let mut bytes = Vec::with_capacity(MAGIC.len() + names.len() * LIST_ENTRY);
        bytes.extend_from_slice(MAGIC);
        for (name, size) in names.iter().zip(sizes) {
            push_list_entry(&mut bytes, name, size);
        }
        Ok(ObjectList { bytes })
    }

    /// Returns the bytes of the files of objects, in the order of the names; 0 where there is none.
    fn sizes_of(&self, names: &[ObjectName]) -> Result<Vec<u64>> {
        let numbered: Vec<_> = names.iter().enumerate().collect();
        let look = |found: &mut Vec<_>, (index, name): &(usize, &ObjectName)| {
            match self.object_size(name) {
                Ok(size) => found.push((*index, size)),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
            Ok::<_, RepoError>(())
        };
        let states = spread(
            &numbered,
            READERS,
            &AtomicBool::new(false),
            Vec::new,
            look,
            |_| {},
        )?;
        let mut sizes = vec![0; names.len()];
        for (index, size) in states.into_iter().flatten() {
            if let Some(slot) = sizes.get_mut(index) {
                *slot = size;
            }
        }
        Ok(sizes)
    }

    /// Records the list of a commit, and removes the oldest records where there are more than worth their room in a
    /// repository with so many `refs`. Not synced: a record that a power cut tears is passed over.
    ///
    /// # Errors
    /// What the system answers. Nobody needs the record, so that a caller may pass over it.
    pub fn record_list(&self, commit: &Checksum, list: &ObjectList, refs: usize) -> io::Result<()> {
        let length = (list.bytes.len() + DIGEST) as u64;
        let Some(tmp) = self.tmp().ok().filter(|_| length <= RECORD_LIMIT) else {
            return Ok(());
        };
        self.root().ensure_dir(LISTS, 0o777)?;
        let mut temp = tmp.temp_file(0o666)?;
        temp.write_all(&list.bytes)?;
        temp.write_all(Checksum::of(&list.bytes).as_bytes())?;
        let records = self.root().open_dir(LISTS)?;
        let name = commit.to_string();
        records.unlink(&name)?;
        // Another process may record the same list at the same time.
        let (Linked::New | Linked::Exists) = records.link_temp(temp, &name)?;
        keep_newest(&records, SPARE_RECORDS + 2 * refs)
    }
}

/// Removes the oldest files of a directory beyond `count`.
fn keep_newest(dir: &Dir, count: usize) -> io::Result<()> {
    let entries = dir.entries()?;
    if entries.len() <= count {
        return Ok(());
    }
    let mut dated = Vec::new();
    for entry in entries {
        if let Some(stat) = dir.stat(&entry.name)? {
            dated.push((stat.mtime, entry.name));
        }
    }
    dated.sort_unstable();
    let excess = dated.len().saturating_sub(count);
    for (_, name) in dated.into_iter().take(excess) {
        dir.unlink(&name)?;
    }
    Ok(())
}
