//! Gathering checksums without holding each as often as it occurs.

use ostler_format::Checksum;

/// How many checksums are gathered before duplicates are dropped for the first time.
const FIRST_COMPACTION: usize = 1 << 16;

/// Checksums with duplicates, which are dropped whenever the list has doubled.
#[derive(Default)]
pub(crate) struct Gathered {
    list: Vec<Checksum>,
    compact_at: usize,
}

impl Gathered {
    pub(crate) fn extend(&mut self, checksums: impl IntoIterator<Item = Checksum>) {
        self.list.extend(checksums);
        if self.list.len() > self.compact_at {
            self.compact();
            self.compact_at = self.list.len().saturating_mul(2).max(FIRST_COMPACTION);
        }
    }

    fn compact(&mut self) {
        self.list.sort_unstable();
        self.list.dedup();
    }

    /// Returns the checksums, sorted, each once.
    pub(crate) fn finish(mut self) -> Vec<Checksum> {
        self.compact();
        self.list
    }
}
