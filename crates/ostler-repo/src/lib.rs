//! One OSTree repository on a local file system: modes, configuration, locks, transactions, refs, commit,
//! checkout, prune, fsck, summary.
//!
//! No network, no terminal, no environment, no clock: what varies comes in as an argument, and what is worth
//! telling goes to an observer. Everything blocks.

pub mod error;
pub mod fs;
pub mod lock;

pub use error::{RepoError, Result};
