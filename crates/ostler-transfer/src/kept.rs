//! Summaries that are kept, so that a generation can be brought back with the summary that it had, signed.
//!
//! ```text
//! extensions/ostler/summaries/<SHA-256 of a summary>        its bytes
//! extensions/ostler/summaries/<SHA-256 of a summary>.sig    those of its signatures, if it has any
//! ```
//! Edits of the flip that brings a summary, and of the one that replaces it, since signatures may be made in between. They
//! go with the last record that names the summary.

use crate::error::Result;
use crate::generation::Generation;
use crate::inventory::SUMMARY_LIMIT;
use crate::store::{Edit, Expect, Store};
use crate::summary::{SIGNATURE, SUMMARY};
use ostler_format::Checksum;
use std::collections::HashSet;

const DIR: &str = "extensions/ostler/summaries";

/// Returns the paths of a kept summary: its bytes, its signatures.
pub(crate) fn paths(digest: &str) -> [String; 2] {
    [format!("{DIR}/{digest}"), format!("{DIR}/{digest}.sig")]
}

/// A summary that was kept.
pub(crate) struct Kept {
    pub(crate) summary: Vec<u8>,
    pub(crate) signature: Option<Vec<u8>>,
}

/// Reads a kept summary with its signatures; `None` where there is none, or one that is damaged.
pub(crate) fn read(store: &dyn Store, digest: &str) -> Result<Option<Kept>> {
    let [summary, signature] = paths(digest);
    let Some(bytes) = store.get(&summary, SUMMARY_LIMIT)? else {
        return Ok(None);
    };
    if Checksum::of(&bytes).to_string() != digest {
        return Ok(None);
    }
    Ok(Some(Kept {
        summary: bytes,
        signature: store.get(&signature, SUMMARY_LIMIT)?,
    }))
}

/// Returns the edits that keep the summary which a flip brings, or leaves, and the one that it replaces, if a record names
/// it.
pub(crate) fn edits(store: &dyn Store, summary_edits: &[Edit]) -> Result<Vec<Edit>> {
    let new = |path: &str| summary_edits.iter().find(|edit| edit.path == path);
    let there = store.get(SUMMARY, SUMMARY_LIMIT)?;
    let signed = store.get(SIGNATURE, SUMMARY_LIMIT)?;
    let listed = store.list(DIR)?;
    let mut keeping = Keeping {
        store,
        listed: listed.into_iter().map(|entry| entry.name).collect(),
        edits: Vec::new(),
    };
    let Some(edit) = new(SUMMARY) else {
        if let Some(there) = there {
            keeping.keep(there, signed)?;
        }
        return Ok(keeping.edits);
    };
    if let Some(there) = there {
        let named = Generation::latest(store)?.and_then(|record| record.summary);
        if named == Some(Checksum::of(&there).to_string()) {
            keeping.keep(there, signed)?;
        }
    }
    if let Some(bytes) = &edit.new {
        let signature = new(SIGNATURE).and_then(|edit| edit.new.clone());
        keeping.keep(bytes.clone(), signature)?;
    }
    Ok(keeping.edits)
}

struct Keeping<'a> {
    store: &'a dyn Store,
    listed: HashSet<String>,
    edits: Vec<Edit>,
}

impl Keeping<'_> {
    fn keep(&mut self, bytes: Vec<u8>, signature: Option<Vec<u8>>) -> Result<()> {
        let digest = Checksum::of(&bytes).to_string();
        let [summary, signatures] = paths(&digest);
        if self.listed.insert(digest) {
            self.push(summary, bytes);
        }
        if let Some(signature) = signature
            && self.store.get(&signatures, SUMMARY_LIMIT)?.as_ref() != Some(&signature)
            && self.edits.iter().all(|edit| edit.path != signatures)
        {
            self.push(signatures, signature);
        }
        Ok(())
    }

    fn push(&mut self, path: String, bytes: Vec<u8>) {
        self.edits.push(Edit {
            path,
            expect: Expect::Any,
            new: Some(bytes),
        });
    }
}
