//! What lies below a directory, without following symbolic links.

use anyhow::Context as _;
use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

/// Everything below a directory by relative path, directories before what is in them; the directory itself, under the
/// empty path, comes first.
pub(super) type Listing = BTreeMap<PathBuf, Metadata>;

/// Lists a directory and all below it.
pub(super) fn listing(root: &Path) -> anyhow::Result<Listing> {
    let metadata = fs::metadata(root).with_context(|| format!("cannot read {}", root.display()))?;
    let mut found = Listing::from([(PathBuf::new(), metadata)]);
    let mut pending = vec![PathBuf::new()];
    while let Some(directory) = pending.pop() {
        let failed = || format!("cannot read {}", root.join(&directory).display());
        for entry in fs::read_dir(root.join(&directory)).with_context(failed)? {
            let entry = entry.with_context(failed)?;
            let metadata = entry.metadata().with_context(failed)?;
            let path = directory.join(entry.file_name());
            if metadata.is_dir() {
                pending.push(path.clone());
            }
            found.insert(path, metadata);
        }
    }
    Ok(found)
}

/// How much a listing holds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) files: u64,
    pub(super) links: u64,
    pub(super) directories: u64,
    pub(super) bytes: u64,
}

impl Totals {
    /// Counts.
    pub(super) fn of(listing: &Listing) -> Self {
        let mut totals = Self::default();
        for metadata in listing.values() {
            if metadata.is_dir() {
                totals.directories += 1;
            } else if metadata.is_symlink() {
                totals.links += 1;
            } else {
                totals.files += 1;
                totals.bytes += metadata.len();
            }
        }
        totals
    }
}
