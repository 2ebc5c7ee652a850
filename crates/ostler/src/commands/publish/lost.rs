//! What `publish --verify` found missing or damaged at the destination, and nobody could heal: named, with what needs it.

use crate::commands::Damaged;
use crate::counted::counted;
use ostler_format::ObjectType;
use ostler_transfer::{Item, Lost};
use serde::Serialize;
use std::path::Path;

/// So many are named in the error; the rest is told as a number, and all by JSON.
const SHOWN: usize = 20;

/// One of them as JSON.
#[derive(Debug, Serialize)]
pub(super) struct Record {
    item: String,
    missing: bool,
    commits: Vec<String>,
    needed_by: Vec<String>,
}

/// Returns all of them for JSON.
pub(super) fn records(all: &[Lost]) -> Vec<Record> {
    let record = |lost: &Lost| Record {
        item: lost.item.to_string(),
        missing: lost.missing,
        commits: lost.commits.iter().map(ToString::to_string).collect(),
        needed_by: lost.needed_by.clone(),
    };
    all.iter().map(record).collect()
}

/// Fails if there are any.
pub(super) fn conclude(destination: &Path, all: &[Lost]) -> anyhow::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    let mut named: Vec<_> = all.iter().take(SHOWN).map(sentence).collect();
    if all.len() > SHOWN {
        named.push(format!("{} more", all.len() - SHOWN));
    }
    let message = format!(
        "{} is damaged, and the source does not have {} of it: {}",
        destination.display(),
        counted(all.len(), "file"),
        named.join("; "),
    );
    Err(Damaged::new(message, ways_out(destination, all)).into())
}

fn sentence(lost: &Lost) -> String {
    let state = if lost.missing { "is missing" } else { "is damaged" };
    let commits: Vec<_> = lost.commits.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = match lost.commits.len() - commits.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let by = if lost.needed_by.is_empty() {
        String::new()
    } else {
        format!(" ({})", lost.needed_by.join(", "))
    };
    let noun = if lost.commits.len() == 1 {
        "commit"
    } else {
        "commits"
    };
    format!(
        "{} {state}, needed by {noun} {}{more}{by}",
        lost.item,
        commits.join(", ")
    )
}

fn ways_out(destination: &Path, all: &[Lost]) -> Vec<String> {
    let destination = destination.display();
    let is_metadata =
        |lost: &Lost| matches!(lost.item, Item::Object(name) if name.kind == ObjectType::CommitMeta);
    let is_object = |lost: &Lost| matches!(lost.item, Item::Object(_)) && !is_metadata(lost);
    let is_file = |lost: &Lost| matches!(lost.item, Item::File(_));
    let mut hints = Vec::new();
    if all.iter().any(is_object) {
        hints.push(format!(
            "'ostler --repo={destination} repair --from=REPO' takes what is missing or damaged from a repository that has it"
        ));
    }
    if all.iter().any(is_metadata) {
        hints.push(format!(
            "detached metadata holds signatures: remove its file from the objects of {destination}, and publish the commit from \
             a repository that has it, or sign it again"
        ));
    }
    if all.iter().any(is_file) {
        hints.push(format!(
            "'ostler --repo={destination} static-delta delete' removes a delta that lacks a part: clients fetch objects instead"
        ));
    }
    hints
}
