//! What belongs to commits and remotes that are no more.
//!
//! Marks of partial commits: those of commits that were just removed, and those that a run which was cut short left.
//! A mark without a commit may also be that of a pull which was, and whose objects wait in `tmp/` for the next: as
//! long as any do, only the first go.
//!
//! Cached summaries: `tmp/cache/summaries/<remote>` and `<remote>.sig`, which stock keeps for each remote that it
//! pulls from. Those of remotes that are not configured any more go.

use crate::error::{RepoError, Result};
use crate::repo::Repo;
use crate::staging::is_anything_staged;
use ostler_format::{Checksum, ObjectName, ObjectType, RemoteName};
use std::collections::HashSet;

/// Where they lie.
const CACHE: &str = "tmp/cache/summaries";

/// Removes the marks of commits that are not there.
pub(super) fn remove_marks(repo: &Repo, removed: &[Checksum]) -> Result<()> {
    for commit in removed {
        repo.clear_partial(commit)?;
    }
    for commit in stale_marks(repo)? {
        repo.clear_partial(&commit)?;
    }
    Ok(())
}

/// Returns whether there are marks of commits that are not there, and of no pull that may go on.
pub(super) fn has_stale_marks(repo: &Repo) -> Result<bool> {
    Ok(!stale_marks(repo)?.is_empty())
}

fn stale_marks(repo: &Repo) -> Result<Vec<Checksum>> {
    let marked = repo.partial_commits()?;
    if marked.is_empty() || is_anything_staged(repo)? {
        return Ok(Vec::new());
    }
    let mut stale = Vec::new();
    for commit in marked {
        if !repo.has_object(&ObjectName::new(commit, ObjectType::Commit))? {
            stale.push(commit);
        }
    }
    Ok(stale)
}

/// Removes the summaries of remotes that neither this repository nor a parent knows.
pub(super) fn remove_cached_summaries(repo: &Repo) -> Result<()> {
    let failed = || RepoError::io("list", repo.root().path_of(CACHE));
    let Some(cache) = repo.root().open_dir_if_exists(CACHE).map_err(failed())? else {
        return Ok(());
    };
    let chain = std::iter::successors(Some(repo), |repo| repo.parent());
    let known: HashSet<RemoteName> = chain.flat_map(|repo| repo.config().remotes()).collect();
    for entry in cache.entries().map_err(failed())? {
        let remote = entry
            .name
            .to_str()
            .map(|name| name.strip_suffix(".sig").unwrap_or(name));
        let remote = remote.and_then(|name| RemoteName::new(name).ok());
        if remote.is_none_or(|remote| !known.contains(&remote)) {
            cache
                .unlink(&entry.name)
                .map_err(RepoError::io("remove", cache.path_of(&entry.name)))?;
        }
    }
    Ok(())
}
