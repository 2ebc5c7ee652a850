//! The directory that a command publishes to, sweeps or rolls back: of this machine, or mounted from another one.

use crate::context::Context;
use anyhow::Context as _;
use ostler_repo::Repo;
use ostler_transfer::{DirStore, MountedStore, Store};
use rustix::io::Errno;
use std::io;
use std::num::NonZero;
use std::path::Path;

/// What calls answer when the other end of a mount is gone.
const GONE: &[Errno] = &[
    Errno::NOTCONN,
    Errno::STALE,
    Errno::IO,
    Errno::CONNABORTED,
    Errno::CONNRESET,
    Errno::HOSTDOWN,
    Errno::HOSTUNREACH,
    Errno::TIMEDOUT,
];

/// Opens the repository at a path as a store.
pub(crate) fn open(context: &Context, path: &Path) -> anyhow::Result<Box<dyn Store>> {
    let opened = context.open_at(path).and_then(|repo| {
        Ok(if is_mounted(&repo)? {
            mounted(context, repo, None)
        } else {
            Box::new(DirStore::new(repo)) as Box<dyn Store>
        })
    });
    opened.map_err(|error| explain(error, path))
}

/// Wraps a repository that another machine may be behind.
pub(crate) fn mounted(context: &Context, repo: Repo, jobs: Option<NonZero<usize>>) -> Box<dyn Store> {
    let store = MountedStore::new(repo, &context.environment().who());
    Box::new(match jobs {
        Some(jobs) => store.with_jobs(jobs),
        None => store,
    })
}

/// Returns whether a repository lies on a file system that another machine may be behind.
pub(crate) fn is_mounted(repo: &Repo) -> anyhow::Result<bool> {
    let path = repo.path().display();
    (repo.root().is_remote()).with_context(|| format!("cannot tell on what file system {path} lies"))
}

/// Says what to do when the other end of a mount is gone.
pub(crate) fn explain(error: anyhow::Error, path: &Path) -> anyhow::Error {
    let mut faults = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>());
    if !faults.any(|fault| Errno::from_io_error(fault).is_some_and(|code| GONE.contains(&code))) {
        return error;
    }
    let path = path.display();
    error.context(format!(
        "the file system of {path} does not answer as it should: if it is mounted from another machine, mount it again, and run the same \
         command, which goes on from there"
    ))
}
