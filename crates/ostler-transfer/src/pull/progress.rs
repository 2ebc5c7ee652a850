//! What a pull counts while it runs, and whom it tells.

use super::options::PullStats;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where a pull is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PullProgress {
    /// Objects and parts that are known to be needed from the network.
    pub wanted: u64,
    /// Those of them that have arrived and are written.
    pub done: u64,
    /// Bytes that came over the network.
    pub transferred_bytes: u64,
}

/// Receives what happens during a pull. All methods have empty defaults; they are called from several threads.
pub trait PullReporter: Send + Sync {
    /// More is known to be needed, or has arrived.
    fn progress(&self, _progress: &PullProgress) {}

    /// Something worth knowing that does not stop the pull.
    fn note(&self, _text: &str) {}

    /// Returns whether the user wants no more.
    fn interrupted(&self) -> bool {
        false
    }
}

/// A reporter that says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct SilentPull;

impl PullReporter for SilentPull {}

/// Counters that all threads of a pull share.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) metadata: AtomicU64,
    pub(super) content: AtomicU64,
    pub(super) local_metadata: AtomicU64,
    pub(super) local_content: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) parts: AtomicU64,
    pub(super) all_parts: AtomicU64,
    pub(super) delta_compressed: AtomicU64,
    pub(super) delta_uncompressed: AtomicU64,
    pub(super) wanted: AtomicU64,
    pub(super) done: AtomicU64,
}

/// Adds to a counter.
pub(super) fn count(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

impl Counters {
    /// Returns where the pull is.
    pub(super) fn progress(&self) -> PullProgress {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PullProgress {
            wanted: read(&self.wanted),
            done: read(&self.done),
            transferred_bytes: read(&self.bytes),
        }
    }

    /// Writes what was counted into `stats`.
    pub(super) fn put(&self, stats: &mut PullStats) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        stats.metadata_objects = read(&self.metadata);
        stats.content_objects = read(&self.content);
        stats.local_metadata_objects = read(&self.local_metadata);
        stats.local_content_objects = read(&self.local_content);
        stats.transferred_bytes += read(&self.bytes);
        stats.deltas.fetched_parts = read(&self.parts);
        stats.deltas.parts = read(&self.all_parts);
        stats.deltas.compressed_bytes = read(&self.delta_compressed);
        stats.deltas.uncompressed_bytes = read(&self.delta_uncompressed);
    }
}
