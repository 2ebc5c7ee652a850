//! What a push did, or would do, in words or as JSON.

use crate::counted::counted;
use crate::sizes::format_size;
use crate::ui::{Ui, printable};
use ostler_format::Checksum;
use ostler_transfer::push::{Fate, Pushed, PushedRef, PushedSignatures};
use serde::Serialize;

/// The last line of a push, as JSON.
#[derive(Debug, Serialize)]
struct Record<'a> {
    event: &'static str,
    destination: &'a str,
    generation: Option<u64>,
    refs: Vec<RefRecord<'a>>,
    signatures: Vec<SignaturesRecord<'a>>,
    sent_objects: u64,
    sent_bytes: u64,
}

#[derive(Debug, Serialize)]
struct RefRecord<'a> {
    name: String,
    old: Option<String>,
    new: Option<String>,
    /// `accepted`, `up-to-date`, `refused`, `not-tried`.
    result: &'static str,
    reason: Option<&'a str>,
}

/// Signatures that a commit has got which was there already.
#[derive(Debug, Serialize)]
struct SignaturesRecord<'a> {
    name: String,
    commit: String,
    added: usize,
    /// Why none was added.
    reason: Option<&'a str>,
}

/// Prints it.
pub(super) fn outcome(ui: &Ui, destination: &str, pushed: &Pushed, dry_run: bool) -> anyhow::Result<()> {
    if ui.json() {
        return ui.object(&Record {
            event: if dry_run { "plan" } else { "done" },
            destination,
            generation: pushed.generation,
            refs: pushed.refs.iter().map(record).collect(),
            signatures: pushed.signatures.iter().map(signatures_record).collect(),
            sent_objects: pushed.objects,
            sent_bytes: pushed.bytes,
        });
    }
    for moved in &pushed.refs {
        if moved.fate != Fate::UpToDate {
            ui.line(sentence(moved, dry_run))?;
        }
    }
    for signatures in &pushed.signatures {
        ui.line(sentence_of_signatures(signatures, dry_run))?;
    }
    let is_moved = |moved: &&PushedRef| moved.fate == Fate::Accepted;
    let count = pushed.refs.iter().filter(is_moved).count();
    if dry_run || pushed.is_refused() {
        return Ok(());
    }
    let added = pushed.signatures.iter().map(|pushed| pushed.added).sum::<usize>();
    if count == 0 && added > 0 {
        return ui.line(format!("pushed {} to {destination}", counted(added, "signature")));
    }
    if count == 0 && pushed.lacks_signatures() {
        return Ok(());
    }
    if count == 0 {
        return ui.line(format!("{destination} is up to date"));
    }
    let generation = pushed
        .generation
        .map_or_else(String::new, |number| format!(", generation {number}"));
    ui.line(format!(
        "pushed {} to {destination}: {} sent ({}){generation}",
        counted(count, "ref"),
        counted(pushed.objects, "object"),
        format_size(pushed.bytes),
    ))
}

fn record(pushed: &PushedRef) -> RefRecord<'_> {
    let (result, reason) = match &pushed.fate {
        Fate::Accepted => ("accepted", None),
        Fate::UpToDate => ("up-to-date", None),
        Fate::Refused(reason) => ("refused", Some(reason.as_str())),
        Fate::NotTried => ("not-tried", None),
    };
    let text = |commit: Option<Checksum>| commit.map(|commit| commit.to_string());
    RefRecord {
        name: pushed.name.to_string(),
        old: text(pushed.old),
        new: text(pushed.new),
        result,
        reason,
    }
}

fn signatures_record(pushed: &PushedSignatures) -> SignaturesRecord<'_> {
    SignaturesRecord {
        name: pushed.name.to_string(),
        commit: pushed.commit.to_string(),
        added: pushed.added,
        reason: pushed.refused.as_deref(),
    }
}

fn sentence_of_signatures(pushed: &PushedSignatures, dry_run: bool) -> String {
    let PushedSignatures { name, commit, .. } = pushed;
    if let Some(reason) = &pushed.refused {
        return format!("'{name}': no signatures for {commit}: {}", printable(reason));
    }
    let would = if dry_run { "would be " } else { "" };
    let count = counted(pushed.added, "signature");
    format!("'{name}': {count} {would}added to {commit}")
}

fn sentence(pushed: &PushedRef, dry_run: bool) -> String {
    let name = &pushed.name;
    let would = if dry_run { "would be " } else { "" };
    match &pushed.fate {
        Fate::Refused(reason) => format!("'{name}' refused: it {}", printable(reason)),
        Fate::NotTried => format!("'{name}' not tried"),
        Fate::UpToDate => format!("'{name}' is up to date"),
        Fate::Accepted => match (pushed.old, pushed.new) {
            (Some(old), Some(new)) => format!("'{name}' {would}moved from {old} to {new}"),
            (None, Some(new)) => format!("'{name}' {would}created at {new}"),
            (old, None) => format!(
                "'{name}' {would}deleted, was {}",
                old.map_or_else(|| "gone".to_owned(), |old| old.to_string())
            ),
        },
    }
}
