//! The sizes that content had when it was listed, for a check that does not read it.
//!
//! Where commits have been listed (see [`crate::walk`]) the sizes of their files are recorded. A record says nothing for
//! certain: it only tells where to look closer, which is also where two records disagree.

use crate::repo::Repo;
use ostler_format::{Checksum, Commit, ObjectType};

/// The size of what records disagree on: no file has it.
const DISPUTED: u64 = u64::MAX;

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
        sizes.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 = DISPUTED;
            }
            same
        });
        Self(sizes)
    }

    /// Returns the size that a content object had; one that no file has, where records disagree.
    pub(super) fn of(&self, checksum: &Checksum) -> Option<u64> {
        let index = self.0.binary_search_by_key(&checksum, |(found, _)| found).ok()?;
        self.0.get(index).map(|(_, size)| *size)
    }
}
