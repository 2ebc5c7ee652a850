//! The files beside the objects that a sweep removes: static deltas to commits that go, with their indexes, and summaries
//! that were retired by their paths.

use super::due::Due;
use crate::error::Result;
use crate::store::{Item, Store};
use crate::summaries::{self, Named};
use ostler_format::{Checksum, DeltaName, delta_index_path};
use std::collections::{BTreeSet, HashSet};

/// The largest index that is read, in bytes.
const INDEX_LIMIT: u64 = 128 << 20;

/// Files that go, in the order of their going.
#[derive(Debug, Default)]
pub(super) struct Going {
    /// Indexes of deltas: they name superblocks.
    indexes: BTreeSet<String>,
    /// Superblocks: they name parts.
    superblocks: BTreeSet<String>,
    /// Parts of deltas, and all other files.
    others: BTreeSet<String>,
    /// What leaves the list: paths that were retired and are gone, or are needed again.
    pub(super) settled: Vec<String>,
}

impl Going {
    /// Returns all paths.
    pub(super) fn into_paths(self) -> Vec<String> {
        let Self {
            indexes,
            superblocks,
            others,
            ..
        } = self;
        indexes.into_iter().chain(superblocks).chain(others).collect()
    }

    /// Returns what goes before the commits, step by step, and what goes last.
    pub(super) fn steps(&self) -> [Vec<Item>; 3] {
        [&self.indexes, &self.superblocks, &self.others]
            .map(|paths| paths.iter().cloned().map(Item::File).collect())
    }

    /// Adds a file by where it lies.
    fn add(&mut self, path: String) {
        if path.starts_with("delta-indexes/") {
            self.indexes.insert(path);
        } else if path.starts_with("deltas/") && path.ends_with("/superblock") {
            self.superblocks.insert(path);
        } else {
            self.others.insert(path);
        }
    }

    fn add_delta(&mut self, store: &dyn Store, delta: &DeltaName) -> Result<()> {
        self.add_index(store, &delta.to)?;
        let dir = delta.path();
        for entry in store.list(&dir)? {
            self.add(format!("{dir}/{}", entry.name));
        }
        Ok(())
    }

    fn add_index(&mut self, store: &dyn Store, commit: &Checksum) -> Result<()> {
        let index = delta_index_path(commit);
        if store.get(&index, INDEX_LIMIT)?.is_some() {
            self.indexes.insert(index);
        }
        Ok(())
    }
}

/// Returns what goes with these commits, and what has expired by itself and is not needed.
pub(super) fn going(store: &dyn Store, due: &Due, commits: &[Checksum]) -> Result<Going> {
    let mut going = Going::default();
    let commits: HashSet<_> = commits.iter().collect();
    let retired: HashSet<_> = due.files_over().collect();
    for first in store.list("deltas")? {
        for second in store.list(&format!("deltas/{}", first.name))? {
            let Some(delta) = DeltaName::from_path(&first.name, &second.name) else {
                continue;
            };
            if commits.contains(&delta.to) {
                going.add_delta(store, &delta)?;
            }
        }
    }
    for commit in &commits {
        going.add_index(store, commit)?;
    }
    let needed = needed_summaries(store, &retired)?;
    for path in retired {
        if !needed.contains(path) {
            going.add(path.to_owned());
        }
        going.settled.push(path.to_owned());
    }
    for path in due.left.iter().flat_map(|left| &left.files) {
        // Needed again if somebody brought it anew: then it is as new as what names it.
        if !needed_anew(store, due, path)? {
            going.add(path.clone());
        }
    }
    Ok(going)
}

/// Returns which of the retired files the index of the target names.
fn needed_summaries(store: &dyn Store, retired: &HashSet<&str>) -> Result<HashSet<String>> {
    let prefix = format!("{}/", summaries::DIR);
    let names: Vec<_> = retired
        .iter()
        .filter_map(|path| path.strip_prefix(&prefix))
        .collect();
    if names.is_empty() {
        return Ok(HashSet::new());
    }
    let Some(index) = store.get(summaries::INDEX, INDEX_LIMIT)? else {
        return Ok(HashSet::new());
    };
    let among = Named::by(&index).among(names.into_iter().map(str::to_owned));
    let needed = among.into_iter().filter(|(_, needed)| *needed);
    Ok(needed.map(|(name, _)| format!("{prefix}{name}")).collect())
}

/// Returns whether a file that a sweep was about to remove belongs to something that is there: a delta to a commit, or a
/// summary that the index names.
fn needed_anew(store: &dyn Store, due: &Due, path: &str) -> Result<bool> {
    let parts: Vec<_> = path.split('/').collect();
    if let ["deltas", first, second, _] = parts.as_slice() {
        let delta = DeltaName::from_path(first, second);
        return Ok(
            delta.is_none_or(|delta| due.commits.contains(&delta.to) && !due.expired.contains(&delta.to))
        );
    }
    if parts.first() == Some(&"delta-indexes") {
        let there = due.commits.iter().filter(|commit| !due.expired.contains(commit));
        return Ok(there.into_iter().any(|commit| delta_index_path(commit) == path));
    }
    let only = HashSet::from([path]);
    Ok(needed_summaries(store, &only)?.contains(path))
}
