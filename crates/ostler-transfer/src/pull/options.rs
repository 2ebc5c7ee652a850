//! What is asked of a pull, and what it did.

use crate::http::SummaryCache;
use ostler_format::{Checksum, RemoteName};
use ostler_repo::Repo;
use std::fmt;

/// Whether static deltas are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeltaUse {
    /// Where there is one; objects where there is none.
    #[default]
    Allowed,
    /// Never.
    Disabled,
    /// A commit without one is refused.
    Required,
}

/// What to pull, and how.
#[derive(Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of the command of its own"
)]
pub struct PullOptions<'a> {
    /// The remote whose refs are set; `None` sets the repository's own, as a mirror does.
    pub tracking: Option<RemoteName>,
    /// Set the repository's own refs, and without targets pull all refs and the summary.
    pub mirror: bool,
    /// How many parents to pull with each commit; `None` for all that there are.
    pub depth: Option<u64>,
    /// Pull only these paths of each tree; the commits stay partial.
    pub subpaths: Vec<String>,
    /// Pull commits without what they hold; they stay partial.
    pub commit_metadata_only: bool,
    /// Do not hash content that a mirror stores as it comes.
    pub http_trusted: bool,
    /// Hash objects of a repository on this machine as well.
    pub untrusted: bool,
    /// Refuse content whose mode a bare-user-only repository cannot hold.
    pub bareuseronly_files: bool,
    /// Whether static deltas are used.
    pub deltas: DeltaUse,
    /// Only tell what the deltas would transfer.
    pub dry_run: bool,
    /// Check that commits are bound to the refs, and to the collection, that they are pulled from.
    pub verify_bindings: bool,
    /// Refuse a commit that is older than the one that the ref has.
    pub timestamp_check: bool,
    /// Refuse a commit that is older than this one.
    pub timestamp_check_from: Option<Checksum>,
    /// Repositories on this machine to take objects from before the network is asked.
    pub local_caches: &'a [Repo],
    /// Remove refs of a mirror that the remote has no more.
    pub delete_refs: bool,
    /// Let [`delete_refs`](Self::delete_refs) remove all refs.
    pub allow_empty: bool,
    /// Where the summary is kept between pulls.
    pub summary_cache: Option<&'a SummaryCache>,
    /// Waits before a summary that does not fit its signatures is fetched for the 1st, 2nd, … time again.
    pub pause: &'a (dyn Fn(u32) + Sync),
    /// Carry the deltas to all that is mirrored, and their indexes.
    pub carry_deltas: bool,
    /// Write to bare-split-xattrs repositories, which libostree does only for experiments.
    pub allow_split_xattrs: bool,
    /// How many threads inflate, hash and write.
    pub threads: usize,
}

impl fmt::Debug for PullOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullOptions")
            .field("tracking", &self.tracking)
            .field("mirror", &self.mirror)
            .field("depth", &self.depth)
            .field("deltas", &self.deltas)
            .finish_non_exhaustive()
    }
}

impl Default for PullOptions<'_> {
    fn default() -> Self {
        Self {
            tracking: None,
            mirror: false,
            depth: Some(0),
            subpaths: Vec::new(),
            commit_metadata_only: false,
            http_trusted: false,
            untrusted: false,
            bareuseronly_files: false,
            deltas: DeltaUse::Allowed,
            dry_run: false,
            verify_bindings: true,
            timestamp_check: false,
            timestamp_check_from: None,
            local_caches: &[],
            delete_refs: false,
            allow_empty: false,
            summary_cache: None,
            carry_deltas: false,
            allow_split_xattrs: false,
            pause: &|_| {},
            threads: 2,
        }
    }
}

/// What static deltas would transfer, and what they did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeltaStats {
    /// Parts that were fetched.
    pub fetched_parts: u64,
    /// Parts of all deltas that are used.
    pub parts: u64,
    /// Bytes of parts and fallbacks, compressed.
    pub compressed_bytes: u64,
    /// Bytes of their objects, before compression.
    pub uncompressed_bytes: u64,
}

/// What a pull did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PullStats {
    /// Answers about metadata that came over the network: objects, detached metadata, heads of deltas; also that there is none.
    pub metadata_objects: u64,
    /// Content objects that came over the network.
    pub content_objects: u64,
    /// Metadata objects that came from repositories on this machine.
    pub local_metadata_objects: u64,
    /// Content objects that came from repositories on this machine.
    pub local_content_objects: u64,
    /// Bytes of all bodies that came over the network.
    pub transferred_bytes: u64,
    /// Bytes of content that were written, before compression.
    pub content_written_bytes: u64,
    /// What static deltas did, or would do.
    pub deltas: DeltaStats,
    /// Refs that moved.
    pub refs: u64,
    /// Refs that were removed.
    pub deleted_refs: u64,
    /// Whether the remote is a repository on this machine.
    pub is_local: bool,
}
