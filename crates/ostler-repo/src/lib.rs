//! One OSTree repository on a local file system: modes, configuration, locks, transactions, refs, commit,
//! checkout, prune, fsck, summary.
//!
//! No network, no terminal, no environment, no clock: what varies comes in as an argument, and what is worth
//! telling goes to an [`Observer`]. Everything blocks.

pub mod config;
pub mod error;
pub mod flip;
pub mod fs;
pub mod keyfile;
pub mod lock;
pub mod refs;
mod repo;

pub use config::{Config, MinFreeSpace, remote_group};
pub use error::{RepoError, Result};
pub use keyfile::KeyFile;
pub use lock::{FileLock, Holder, LockGuard, LockKind, LockWait, Observer};
pub use refs::{Expected, RefEdit, RefKey, RefScope, RefsTurn};
pub use repo::{OpenOptions, Repo};
