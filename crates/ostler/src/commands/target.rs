//! The directory that a command publishes to, sweeps or rolls back: of this machine, or mounted from another one.

use crate::context::Context;
use crate::exit;
use crate::real_path::real_path;
use anyhow::Context as _;
use ostler_repo::{Repo, RepoError};
use ostler_transfer::{DirStore, MountedStore, Store, TransferError};
use rustix::io::Errno;
use std::error::Error;
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

/// Says what to do when the other end of a mount is gone: of what failed at the target, not of failures of the source.
pub(crate) fn explain(error: anyhow::Error, path: &Path) -> anyhow::Error {
    let place = error.chain().find_map(place_of);
    if place.is_some_and(|place| !place.starts_with(path)) {
        return error;
    }
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

/// Refuses a target that lies inside of the repository that is published, or around it: what sweeps and prunes there would find what is not
/// theirs. Nothing need be at `path` yet.
pub(crate) fn refuse_nested(path: &Path, source: &Repo) -> anyhow::Result<()> {
    let resolve =
        |path: &Path| real_path(path).with_context(|| format!("cannot tell where {} lies", path.display()));
    let (target, source) = (resolve(path)?, resolve(source.path())?);
    let how = match (target.starts_with(&source), source.starts_with(&target)) {
        (true, false) => "inside of",
        (false, true) => "around",
        (true, true) | (false, false) => return Ok(()),
    };
    Err(exit::usage(format!(
        "{} lies {how} {}, the repository that is published: name a directory beside it",
        path.display(),
        source.display()
    )))
}

/// Returns the file that a call of the system failed at.
fn place_of<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a Path> {
    let fault = match cause.downcast_ref() {
        Some(TransferError::Repo(fault)) => fault,
        _ => cause.downcast_ref()?,
    };
    match fault {
        RepoError::Io { path, .. } => Some(path),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_of_the_source_is_not_told_of_the_target() {
        let failed = |path: &str| {
            let fault = io::Error::from(Errno::IO);
            TransferError::Repo(RepoError::io("read", path)(fault))
        };
        let told = |path: &str| format!("{:#}", explain(failed(path).into(), Path::new("mount/repo")));
        let advice = "mount it again";
        assert!(told("mount/repo/objects/ab").contains(advice));
        assert!(!told("source/objects/ab").contains(advice));
        let bare = anyhow::Error::new(io::Error::from(Errno::NOTCONN)).context("cannot look into it");
        assert!(format!("{:#}", explain(bare, Path::new("mount/repo"))).contains(advice));
        let other = anyhow::anyhow!("refused");
        assert_eq!(
            format!("{:#}", explain(other, Path::new("mount/repo"))),
            "refused"
        );
    }
}
