//! Digest-named summaries: the files in `summaries/` that Flatpak's `summary.idx` names.
//!
//! A name holds checksums in hexadecimal: `<digest>.gz`, `<from>-<to>.delta`, `<digest of the index>.idx.sig`. The index
//! holds the same checksums as bytes. So whether a file is needed is told without knowing more of the index: its last
//! checksum occurs there, or is that of the index itself.

use crate::error::Result;
use crate::store::Store;
use ostler_format::Checksum;
use ostler_repo::Retired;
use std::collections::HashSet;

/// The directory.
pub(crate) const DIR: &str = "summaries";
/// The index.
pub(crate) const INDEX: &str = "summary.idx";

/// What an index names.
#[derive(Debug)]
pub(crate) struct Named<'a> {
    index: &'a [u8],
    own: Checksum,
}

impl<'a> Named<'a> {
    /// Takes the bytes of an index.
    pub(crate) fn by(index: &'a [u8]) -> Self {
        Self {
            index,
            own: Checksum::of(index),
        }
    }

    /// Returns which of the files in `summaries/` the index needs. Files whose names hold no checksum are passed over.
    pub(crate) fn among(&self, names: impl Iterator<Item = String>) -> Vec<(String, bool)> {
        let wanted: Vec<_> = names
            .filter_map(|name| Some((last_checksum(&name)?, name)))
            .collect();
        let asked: HashSet<Checksum> = wanted.iter().map(|(digest, _)| *digest).collect();
        let mut found = HashSet::from([self.own]);
        // Checksums are bytestrings: they begin anywhere.
        for window in self.index.windows(32) {
            if let Ok(bytes) = window.try_into() {
                let digest = Checksum::from_bytes(bytes);
                if asked.contains(&digest) {
                    found.insert(digest);
                }
            }
        }
        wanted
            .into_iter()
            .map(|(digest, name)| (name, found.contains(&digest)))
            .collect()
    }
}

/// Puts the files of a store that an index does not name on the list, and takes those that it names off it.
pub(crate) fn retire(store: &dyn Store, index: &[u8], now: u64, list: &mut Retired) -> Result<()> {
    let entries = store.list(DIR)?.into_iter().filter(|entry| !entry.is_dir);
    for (name, needed) in Named::by(index).among(entries.map(|entry| entry.name)) {
        let path = format!("{DIR}/{name}");
        if needed {
            list.revive_file(&path);
        } else {
            list.retire_file(&path, now);
        }
    }
    Ok(())
}

fn last_checksum(name: &str) -> Option<Checksum> {
    let stem = name.split('.').next()?;
    Checksum::from_hex(stem.rsplit('-').next()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_needed_if_the_index_holds_its_last_checksum_or_has_it() {
        let digest = |text: &str| Checksum::of(text.as_bytes());
        let mut index = b"abc".to_vec();
        index.extend_from_slice(digest("current").as_bytes());
        index.extend_from_slice(b"de");
        let own = Checksum::of(&index);
        let names = [
            (format!("{}.gz", digest("current")), Some(true)),
            (format!("{}.gz", digest("old")), Some(false)),
            (
                format!("{}-{}.delta", digest("old"), digest("current")),
                Some(true),
            ),
            (
                format!("{}-{}.delta", digest("current"), digest("old")),
                Some(false),
            ),
            (format!("{own}.idx.sig"), Some(true)),
            (format!("{}.idx.sig", digest("other index")), Some(false)),
            ("README".to_owned(), None),
        ];
        let found = Named::by(&index).among(names.iter().map(|(name, _)| name.clone()));
        for (name, needed) in names {
            let told = found.iter().find(|(other, _)| *other == name);
            assert_eq!(told.map(|(_, needed)| *needed), needed, "{name}");
        }
    }
}
