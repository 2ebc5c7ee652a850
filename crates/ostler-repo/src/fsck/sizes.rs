//! The sizes that content had when it was listed, for a check that does not read it.
//!
//! Where commits have been listed (see [`crate::walk`]) the sizes of their files are recorded. A record says nothing for
//! certain: it only tells where to look closer.

use crate::repo::Repo;
use ostler_format::{Checksum, Commit, ObjectType};

/// Sizes of content objects, by checksum; 40 bytes each.
pub(super) struct Sizes(Vec<(Checksum, u64)>);

impl Sizes {
    /// Reads what is recorded of these commits.
    pub(super) fn recorded(repo: &Repo, commits: &[(Checksum, &Commit)]) -> Self {
        let mut sizes = Vec::new();
        for list in commits
            .iter()
            .filter_map(|(commit, _)| repo.recorded_list(commit))
        {
            let files = list
                .entries()
                .filter(|listed| listed.name.kind == ObjectType::File);
            sizes.extend(files.filter_map(|listed| Some((listed.name.checksum, listed.size?.get()))));
            sizes.sort_unstable();
            sizes.dedup();
        }
        // What two lists disagree on is not known.
        sizes.dedup_by_key(|(checksum, _)| *checksum);
        Self(sizes)
    }

    /// Returns the size that a content object had.
    pub(super) fn of(&self, checksum: &Checksum) -> Option<u64> {
        let index = self.0.binary_search_by_key(&checksum, |(found, _)| found).ok()?;
        self.0.get(index).map(|(_, size)| *size)
    }
}
