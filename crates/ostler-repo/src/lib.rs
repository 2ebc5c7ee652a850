//! One OSTree repository on a local file system: modes, configuration, locks, transactions, refs, commit,
//! checkout, prune, fsck, summary.
//!
//! No network, no terminal, no environment, no clock: what varies comes in as an argument, and what is worth
//! telling goes to an [`Observer`]. Everything blocks.

mod bindings;
mod buffers;
pub mod checkout;
mod checksum_path;
pub mod commit;
mod compress;
pub mod config;
pub mod deltas;
pub mod diff;
mod ending;
pub mod error;
mod export;
pub mod finder;
pub mod flip;
mod free_space;
pub mod fs;
pub mod fsck;
pub mod in_place;
mod incoming;
pub mod keyfile;
pub mod lock;
mod objects;
pub mod parallel;
mod partial;
pub mod pin;
pub mod prune;
pub mod pull_local;
pub mod refs;
mod remote_files;
mod remotes;
mod removal;
pub mod repair;
mod repo;
mod retired;
mod rev;
mod settle;
pub mod sign;
pub mod snapshot;
pub mod staging;
pub mod summary;
mod transaction;
pub mod usb;
pub mod walk;
mod xattrs;

pub use bindings::{COLLECTION_BINDING, REF_BINDING, binding_problem};
pub use checkout::{CheckoutOptions, CheckoutReporter, CheckoutStats, HardLinks, Overwrite};
pub use checksum_path::checksum_path;
pub use commit::{
    ArchiveSource, CommitBuilder, CommitOutcome, CommitStats, Consumed, LinkedFiles, ModeChange,
    PathnameFilter, StatOverrides, TreeRules, TreeSource, parse_skip_list,
};
pub use config::{Config, MinFreeSpace, remote_group};
pub use diff::{DiffOptions, DiffSide, DiffStats, TreeDiff};
pub use ending::wait_for;
pub use error::{RepoError, Result};
pub use export::ExportOptions;
pub use flip::{FlipLease, Recovery};
pub use fsck::{FsckFinding, FsckOptions, FsckPhase, FsckReport, FsckReporter};
pub use incoming::Incoming;
pub use keyfile::KeyFile;
pub use lock::{FileLock, Holder, LockGuard, LockKind, LockUser, LockUsers, LockWait, Observer, Waiter};
pub use objects::ContentReader;
pub use objects::archive::{ArchiveStream, verify_archived, verify_archived_file};
pub use objects::store::check_bare_user_only;
pub use partial::Partial;
pub use pin::PinDir;
pub use prune::{
    Deletion, Depth, Grace, Matching, PruneOptions, PruneReport, PruneStats, RefRetention, Retention, prune,
    refs_of_record,
};
pub use pull_local::{PullLocalOptions, PullLocalStats, PullTarget, pull_local, pull_local_with};
pub use refs::{DamagedRef, Expected, RefEdit, RefKey, RefScope, RefsTurn, Survey};
pub use remote_files::RemotesDir;
pub use remotes::{Existing, RemoteSection, RemoteValue};
pub use repair::{RepairOptions, RepairReport, RestoredRef, repair};
pub use repo::{OpenOptions, Repo};
pub use retired::Retired;
pub use settle::SettleStats;
pub use snapshot::{SnapshotOptions, SnapshotStats};
pub use staging::Staging;
pub use summary::{SummaryOptions, build_summary, commit_metadata, update_if_configured, update_summary};
pub use transaction::{
    Receiving, Transaction, TransactionOptions, TransactionStats, Trust, Written, hash_content,
};
pub use walk::{
    Closure, ClosureDifference, Descend, ListedObject, NewObjects, ObjectList, PathEntry, WalkEntry,
};
