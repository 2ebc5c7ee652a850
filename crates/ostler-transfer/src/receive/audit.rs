//! Writing down who pushed what: a line of JSON for each thing that happens, at the end of a file that is never changed otherwise.
//!
//! Order: before anything is sent it is looked whether the file can be written; `moving` is on disk before a ref moves; `accepted` before the
//! pusher is told, as is every other end. So a ref that has moved stands there, whatever stops us when; and a log that cannot be
//! written lets nothing move.
//!
//! | event | means |
//! | --- | --- |
//! | `moving` | the refs are about to move, or to be refused after all |
//! | `accepted` | they have moved |
//! | `refused` | a ref was refused, and none has moved |
//! | `adding` | signatures are about to be added to commits that refs name already |
//! | `added` | nothing else was to do, and they have been added |
//! | `asked`, `nothing` | it was only a question; there was nothing to do |
//! | `failed` | the push broke off, with the reason; after `accepted`: the pusher may not know |
//! | `swept`, `sweep-failed` | what was retired is gone, or not |

use super::ReceiveOptions;
use crate::error::{Result, TransferError};
use jiff::Timestamp;
use ostler_format::wire::{Finished, Joined, Ruling, Update, Verdict};
use ostler_format::{Checksum, RefName};
use ostler_repo::fs::Dir;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// For its owner and group.
const MODE: u32 = 0o640;

/// The log of one push.
pub(super) struct Audit<'a> {
    options: &'a ReceiveOptions<'a>,
    /// How many bytes have come.
    taken: &'a AtomicU64,
    known: Mutex<Known>,
}

/// What is known by now.
#[derive(Default)]
struct Known {
    repository: Option<String>,
    updates: Vec<Update>,
    /// What becomes of signatures of what does not move.
    joined: Vec<Joined>,
}

/// What became of each ref.
type Judged<'a> = BTreeMap<&'a RefName, &'a Verdict>;

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    event: &'a str,
    pusher: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    /// Lines of one push have the same.
    process: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    repository: Option<&'a str>,
    refs: Vec<Row<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    signatures: Vec<SignedRow<'a>>,
    received_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Row<'a> {
    r#ref: &'a str,
    old: Option<String>,
    new: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    force: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'static str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
}

/// Signatures that a commit has got from the pusher, or why it has got none.
#[derive(Serialize)]
struct SignedRow<'a> {
    r#ref: &'a str,
    commit: String,
    added: u8,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks in this form")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl<'a> Audit<'a> {
    pub(super) fn new(options: &'a ReceiveOptions<'a>, taken: &'a AtomicU64) -> Self {
        Self {
            options,
            taken,
            known: Mutex::default(),
        }
    }

    /// Notes which repository it is about.
    pub(super) fn note_repository(&self, path: &Path) {
        self.known().repository = Some(path.display().to_string());
    }

    /// Notes what is wanted.
    pub(super) fn note_updates(&self, updates: &[Update]) {
        self.known().updates = updates.to_vec();
    }

    /// Writes down that refs are about to move.
    pub(super) fn moving(&self) -> Result<()> {
        self.write("moving", &[], None, None)
    }

    /// Writes down that signatures are about to be added.
    pub(super) fn adding(&self, planned: Vec<Joined>) -> Result<()> {
        self.known().joined = planned;
        let written = self.write("adding", &[], None, None);
        self.known().joined.clear();
        written
    }

    /// Notes what became of them.
    pub(super) fn note_joined(&self, joined: &[Joined]) {
        self.known().joined = joined.to_vec();
    }

    /// Writes down how it ended.
    pub(super) fn end(&self, event: &'static str, verdicts: &[Verdict], finished: &Finished) -> Result<()> {
        self.write(event, verdicts, Some(finished), None)
    }

    /// Writes down that it broke off.
    pub(super) fn failed(&self, error: &TransferError) -> Result<()> {
        self.write("failed", &[], None, Some(error.chain()))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(
        &self,
        event: &'static str,
        verdicts: &[Verdict],
        finished: Option<&Finished>,
        error: Option<String>,
    ) -> Result<()> {
        let Some(path) = self.options.rules.audit() else {
            return Ok(());
        };
        let known = self.known();
        let judged: Judged<'_> = verdicts.iter().map(|verdict| (&verdict.name, verdict)).collect();
        let made = finished.filter(|finished| finished.generation.is_some());
        let line = Line {
            time: time((self.options.clock)()),
            event,
            pusher: self.options.pusher,
            from: self.options.around.address.as_deref(),
            process: std::process::id(),
            repository: known.repository.as_deref(),
            refs: known.updates.iter().map(|update| row(update, &judged)).collect(),
            signatures: known.joined.iter().map(signed_row).collect(),
            received_bytes: self.taken.load(Ordering::Relaxed),
            objects: made.map(|finished| finished.objects),
            bytes: made.map(|finished| finished.bytes),
            generation: made.and_then(|finished| finished.generation),
            error,
        };
        append(path, &line)
    }
}

/// Checks that the log can be written.
pub(super) fn check(path: &Path) -> Result<()> {
    let opened = place(path).and_then(|(dir, name)| dir.open_to_append(name, MODE));
    opened.map(drop).map_err(|error| unwritable(path, &error))
}

/// Adds a line.
pub(super) fn append(path: &Path, line: &impl Serialize) -> Result<()> {
    let bytes = serde_json::to_vec(line).map_err(|source| TransferError::Record {
        path: path.to_owned(),
        source,
    })?;
    let appended = place(path).and_then(|(dir, name)| dir.append_line(name, &bytes, MODE));
    appended.map_err(|error| unwritable(path, &error))
}

/// Returns a time as it stands in the log.
pub(super) fn time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok();
    let time = time.and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| format!("@{seconds}"), |time| time.to_string())
}

fn place(path: &Path) -> io::Result<(Dir, &Path)> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok((Dir::open(parent)?, Path::new(name))),
        _ => Err(io::ErrorKind::IsADirectory.into()),
    }
}

fn unwritable(path: &Path, error: &io::Error) -> TransferError {
    TransferError::Denied(format!(
        "the audit log {} cannot be written: {error}",
        path.display()
    ))
}

fn signed_row(joined: &Joined) -> SignedRow<'_> {
    SignedRow {
        r#ref: joined.name.as_str(),
        commit: joined.commit.to_string(),
        added: joined.added,
        reason: &joined.reason,
    }
}

fn row<'a>(update: &'a Update, judged: &Judged<'a>) -> Row<'a> {
    let verdict = judged.get(&update.name);
    let commit = |commit: Option<Checksum>| commit.map(|commit| commit.to_string());
    Row {
        r#ref: update.name.as_str(),
        old: commit(update.old),
        new: commit(update.new),
        force: update.force,
        result: verdict.map(|verdict| match verdict.ruling {
            Ruling::Accepted => "accepted",
            Ruling::Refused => "refused",
            Ruling::NotTried => "not-tried",
        }),
        reason: verdict.map_or("", |verdict| &verdict.reason),
    }
}
