//! Putting a summary in place.
//!
//! Order: the new summary is made and signed, without a lock, since a key may have to be asked for; under the lock it is
//! made again, and if others have changed something meanwhile, signed again; then the delta indexes, which it promises;
//! then the pair. Where there is a signature, or was one, the pair changes in one flip, which any
//! command completes after a crash, with the signatures overlapping as far as their kinds allow (see [`Overlap`]). A
//! summary that never was signed is one file, and one rename.
//!
//! The modification times of the new files are later by at least a second than those of the files that they
//! replace: there are clients that compare them by the second.

use super::overlap::Overlap;
use super::{SummaryOptions, build};
use crate::error::{RepoError, Result};
use crate::flip::{Edit, Expect};
use crate::fs::{FileStat, TempFile};
use crate::repo::{FILE_MODE, Repo};
use crate::sign::sign_all;
use ostler_format::{DeltaList, MAX_METADATA_SIZE};
use std::io::{self, Write as _};
use std::thread;
use std::time::{Duration, SystemTime};

const SUMMARY: &str = "summary";
const SIGNATURE: &str = "summary.sig";

/// How often a summary is signed without the lock, before it is signed under it.
const UNLOCKED_TRIES: u32 = 3;

/// Makes the summary anew, and the delta indexes with it: no other writer of summaries and no prune comes between.
/// Without signers the new one is unsigned, and the signature of the old one goes. Returns its size in bytes.
///
/// # Errors
/// As [`build_summary`](super::build_summary); [`RepoError::Locked`], [`RepoError::ReadOnly`], [`RepoError::Io`]; what
/// a signer says. Nothing has changed then, or what is there fits.
pub fn update_summary(repo: &Repo, options: &SummaryOptions) -> Result<u64> {
    repo.require_writable()?;
    if options.signers.is_empty() && !is_signed(repo)? {
        let lease = repo.lease_flip()?;
        // Refs may be in the middle of moving, …
        let _completed = repo.recover_flip()?;
        // … and somebody may have signed it before we had the lock.
        if !is_signed(repo)? {
            let summary = build(repo, options, &write_indexes(repo)?)?;
            write_unsigned(repo, &summary)?;
            drop(lease);
            return Ok(summary.len() as u64);
        }
        drop(lease);
    }
    for _ in 0..UNLOCKED_TRIES {
        let draft = build(repo, options, &repo.delta_digests()?)?;
        let signature = sign(&draft, options)?;
        if let Some(size) = try_replace(repo, options, Some((draft, signature)))? {
            return Ok(size);
        }
    }
    let size = try_replace(repo, options, None)?;
    Ok(size.expect("what is signed under the lock is what is there"))
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

/// Puts a pair in place under the lock; `None` if the summary is not what was signed any more. Without a draft, it is signed
/// under the lock.
fn try_replace(
    repo: &Repo,
    options: &SummaryOptions,
    draft: Option<(Vec<u8>, Option<Vec<u8>>)>,
) -> Result<Option<u64>> {
    let lease = repo.lease_flip()?;
    // Refs may be in the middle of moving.
    let _completed = repo.recover_flip()?;
    let summary = build(repo, options, &repo.delta_digests()?)?;
    let signature = match draft {
        Some((draft, _)) if draft != summary => return Ok(None),
        Some((_, signature)) => signature,
        None => sign(&summary, options)?,
    };
    write_indexes(repo)?;
    let size = summary.len() as u64;
    replace_pair(repo, summary, signature, options.settle)?;
    drop(lease);
    Ok(Some(size))
}

fn sign(summary: &[u8], options: &SummaryOptions) -> Result<Option<Vec<u8>>> {
    if options.signers.is_empty() {
        return Ok(None);
    }
    Ok(Some(sign_all(summary, &options.signers)?.to_bytes()))
}

/// Brings the delta indexes up to date, and has the configuration say so: clients that skip the summary learn it there.
fn write_indexes(repo: &Repo) -> Result<DeltaList> {
    let deltas = repo.delta_digests()?;
    repo.write_delta_indexes(&deltas, None)?;
    if !repo.config().indexed_deltas() {
        repo.edit_config(|config| {
            config
                .set("core", "indexed-deltas", "true")
                .map_err(RepoError::format("config"))
        })?;
    }
    Ok(deltas)
}

/// Replaces the pair, in the steps that the signatures allow. The caller holds the lease.
fn replace_pair(repo: &Repo, summary: Vec<u8>, signature: Option<Vec<u8>>, settle: Duration) -> Result<()> {
    let edit = |path: &str, new| Edit {
        path: path.to_owned(),
        expect: Expect::Any,
        new,
    };
    let signature = match signature {
        None => None,
        Some(signature) => {
            let overlap = Overlap::between(signature_there(repo)?.as_deref(), &signature)?;
            if let Some(meanwhile) = overlap.meanwhile {
                repo.flip(&[edit(SIGNATURE, Some(meanwhile))])?;
                thread::sleep(settle);
            }
            Some(overlap.afterwards)
        }
    };
    repo.flip(&[edit(SUMMARY, Some(summary)), edit(SIGNATURE, signature)])
}

fn is_signed(repo: &Repo) -> Result<bool> {
    let stat = repo.root().stat(SIGNATURE);
    let found = stat.map_err(RepoError::io("look at", repo.root().path_of(SIGNATURE)))?;
    Ok(found.is_some())
}

fn signature_there(repo: &Repo) -> Result<Option<Vec<u8>>> {
    repo.root()
        .read_if_exists(SIGNATURE, MAX_METADATA_SIZE)
        .map_err(RepoError::io("read", repo.root().path_of(SIGNATURE)))
}

/// Puts a summary in place that has no signature beside it. The caller holds the exclusive lock.
fn write_unsigned(repo: &Repo, summary: &[u8]) -> Result<()> {
    let root = repo.root();
    let path = root.path_of(SUMMARY);
    let summary = prepare(repo, summary, earliest_time(repo)?)?;
    root.replace_with_temp(summary, SUMMARY)
        .map_err(RepoError::io("write", path))?;
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

/// Returns the first second after the time of the summary at hand.
fn earliest_time(repo: &Repo) -> Result<u64> {
    let stat = repo.root().stat(SUMMARY);
    let stat = stat.map_err(RepoError::io("look at", repo.root().path_of(SUMMARY)))?;
    let seconds = stat.map_or(0, |stat| u64::try_from(stat.mtime.0).unwrap_or_default());
    Ok(seconds.saturating_add(1))
}
