//! Putting a summary in place.
//!
//! Order: delta indexes, which the summary promises; the new files, complete and on disk, without a name; then
//! `summary` by a rename; then `summary.sig` by a rename, or its removal, since the old one would not fit; then
//! the directory is synced. A reader sees the old pair, for an instant the new summary with the old signature
//! (clients that hold the old summary go on with that), then the new pair. A crash between the two leaves that
//! middle state until the next update.
//!
//! The modification times of the new files are later by at least a second than those of the files that they
//! replace: there are clients that compare them by the second.

use super::{SummaryOptions, build};
use crate::error::{RepoError, Result};
use crate::fs::{FileStat, TempFile};
use crate::lock::LockKind;
use crate::repo::{FILE_MODE, Repo};
use std::io::{self, Write as _};
use std::time::{Duration, SystemTime};

const SUMMARY: &str = "summary";
const SIGNATURE: &str = "summary.sig";

/// Makes the summary anew, and the delta indexes with it, under the exclusive lock: no other writer of
/// summaries and no prune comes between. What this call makes is unsigned.
///
/// # Errors
/// As [`build_summary`](super::build_summary) and [`write_summary`]; [`RepoError::Locked`].
pub fn update_summary(repo: &Repo, options: &SummaryOptions) -> Result<()> {
    repo.require_writable()?;
    let lock = repo.lock(LockKind::Exclusive)?;
    let deltas = repo.delta_digests()?;
    repo.write_delta_indexes(&deltas, None)?;
    if !repo.config().indexed_deltas() {
        // Clients that skip the summary learn from the configuration that there are indexes.
        repo.edit_config(|config| {
            config
                .set("core", "indexed-deltas", "true")
                .map_err(RepoError::format("config"))
        })?;
    }
    let summary = build(repo, options, &deltas)?;
    write_summary(repo, &summary, None)?;
    lock.release()
}

/// Makes the summary anew if the configuration asks for that whenever refs change. Returns whether it did.
///
/// Keys that OSTree does not know are kept. To be called without the shared lock: two holders of that who
/// both want the exclusive one would wait for each other.
///
/// # Errors
/// As [`update_summary`].
pub fn update_if_configured(repo: &Repo) -> Result<bool> {
    let wanted = repo.config().auto_update_summary();
    if wanted {
        let now = repo
            .present()
            .map_err(RepoError::io("make a file in", repo.root().path_of("tmp")))?;
        let options = SummaryOptions {
            now,
            keep_unknown: true,
            ..SummaryOptions::default()
        };
        update_summary(repo, &options)?;
    }
    Ok(wanted)
}

/// Puts a summary and its signature in place; without one, what was there is removed. The caller holds the
/// exclusive lock.
///
/// # Errors
/// [`RepoError::ReadOnly`], [`RepoError::Io`].
pub fn write_summary(repo: &Repo, summary: &[u8], signature: Option<&[u8]>) -> Result<()> {
    let root = repo.root();
    let path = root.path_of(SUMMARY);
    let earliest = earliest_time(repo).map_err(RepoError::io("look at", &path))?;
    let summary = prepare(repo, summary, earliest)?;
    let signature = signature
        .map(|signature| prepare(repo, signature, earliest))
        .transpose()?;
    root.replace_with_temp(summary, SUMMARY)
        .map_err(RepoError::io("write", path))?;
    let signature_path = root.path_of(SIGNATURE);
    match signature {
        Some(signature) => {
            let written = root.replace_with_temp(signature, SIGNATURE);
            if written.is_err() {
                // No signature is better than one that does not fit; the error to report is the first one.
                drop(root.unlink(SIGNATURE));
            }
            written.map_err(RepoError::io("write", signature_path))?;
        }
        None => drop(
            root.unlink(SIGNATURE)
                .map_err(RepoError::io("remove", signature_path))?,
        ),
    }
    if repo.config().fsync() {
        root.fsync().map_err(RepoError::io("sync", root.path()))?;
    }
    Ok(())
}

/// Writes a file without a name, with a modification time that is not before `earliest` seconds.
fn prepare(repo: &Repo, bytes: &[u8], earliest: u64) -> Result<TempFile> {
    let tmp = repo.tmp()?;
    let write = || -> io::Result<TempFile> {
        let mut temp = tmp.temp_file(FILE_MODE)?;
        temp.write_all(bytes)?;
        temp.set_mode(FILE_MODE)?;
        let (seconds, _) = FileStat::of(&temp)?.mtime;
        if seconds < i64::try_from(earliest).unwrap_or(i64::MAX) {
            temp.file()
                .set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(earliest))?;
        }
        if repo.config().fsync() {
            temp.sync()?;
        }
        Ok(temp)
    };
    write().map_err(RepoError::io("write a summary in", tmp.path()))
}

/// Returns the first second after the times of the files at hand.
fn earliest_time(repo: &Repo) -> io::Result<u64> {
    let mut earliest = 0;
    for name in [SUMMARY, SIGNATURE] {
        if let Some(stat) = repo.root().stat(name)? {
            let seconds = u64::try_from(stat.mtime.0).unwrap_or_default();
            earliest = earliest.max(seconds.saturating_add(1));
        }
    }
    Ok(earliest)
}
