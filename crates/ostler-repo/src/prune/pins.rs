//! The refs of generations that are pinned.
//!
//! ```text
//! extensions/ostler/generations/00000042.json   the record of a publish; `refs` in it: name -> checksum
//! extensions/ostler/generations/00000042.pin    it can be rolled back to for as long as this is there
//! ```
//! A pin without a record pins nothing. A record that cannot be read is an error: what it keeps must not go.

use crate::error::{RepoError, Result};
use crate::repo::Repo;
use ostler_format::Checksum;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::error::Error;

const DIR: &str = "extensions/ostler/generations";

/// The largest record that is read: some 100 bytes a ref.
const RECORD_LIMIT: u64 = 128 << 20;

/// A ref as it was at a pinned generation.
pub(super) struct Pinned {
    pub(super) generation: u64,
    pub(super) name: String,
    pub(super) commit: Checksum,
}

/// What matters of a record.
#[derive(Deserialize)]
struct Record {
    refs: BTreeMap<String, String>,
}

/// Returns the refs of all pinned generations.
pub(super) fn refs(repo: &Repo) -> Result<Vec<Pinned>> {
    let failed = || RepoError::io("list", repo.root().path_of(DIR));
    let Some(dir) = repo.root().open_dir_if_exists(DIR).map_err(failed())? else {
        return Ok(Vec::new());
    };
    let mut pinned = Vec::new();
    for entry in dir.entries().map_err(failed())? {
        let number = entry.name.to_str().and_then(|name| name.strip_suffix(".pin"));
        let Some(generation) = number.and_then(|number| number.parse::<u64>().ok()) else {
            continue;
        };
        let path = format!("{DIR}/{generation:08}.json");
        let bytes = repo
            .root()
            .read_if_exists(&path, RECORD_LIMIT)
            .map_err(RepoError::io("read", repo.root().path_of(&path)))?;
        let refs = bytes.map_or_else(|| Ok(BTreeMap::new()), |bytes| refs_of_record(&bytes));
        for (name, commit) in refs.map_err(|fault| {
            let detail = format!(
                "{fault}; it is pinned, and nobody knows what it keeps: 'history --unpin={generation}' lets go of it"
            );
            RepoError::corrupt(path, detail)
        })? {
            pinned.push(Pinned {
                generation,
                name,
                commit,
            });
        }
    }
    Ok(pinned)
}

/// Returns the refs that the record of a generation names.
///
/// # Errors
/// What is no such record.
pub fn refs_of_record(
    bytes: &[u8],
) -> std::result::Result<BTreeMap<String, Checksum>, Box<dyn Error + Send + Sync>> {
    let record: Record = serde_json::from_slice(bytes)?;
    let commits = record.refs.into_iter();
    commits
        .map(|(name, hex)| Ok((name, Checksum::from_hex(&hex)?)))
        .collect()
}
