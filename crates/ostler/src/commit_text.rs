//! A commit as `show` and `log` print it.

use crate::dates;
use crate::ui::{Ui, printable};
use ostler_format::{Checksum, Commit};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The metadata key of the version that people know a commit by.
pub(crate) const VERSION: &str = "version";

#[derive(Serialize)]
struct Record<'a> {
    commit: String,
    parent: Option<String>,
    content_checksum: String,
    timestamp: u64,
    version: Option<&'a str>,
    subject: &'a str,
    body: &'a str,
    /// Each value in the text form of GVariant.
    metadata: BTreeMap<&'a str, String>,
}

/// Prints `commit`; the line that names it is its heading and the caller's.
pub(crate) fn print(ui: &Ui, checksum: &Checksum, commit: &Commit) -> anyhow::Result<()> {
    ui.either(&record(checksum, commit), text(commit))
}

fn record<'a>(checksum: &Checksum, commit: &'a Commit) -> Record<'a> {
    Record {
        commit: checksum.to_string(),
        parent: commit.parent.as_ref().map(ToString::to_string),
        content_checksum: commit.content_checksum().to_string(),
        timestamp: commit.timestamp,
        version: commit.metadata.get_str(VERSION),
        subject: &commit.subject,
        body: &commit.body,
        metadata: commit
            .metadata
            .iter()
            .map(|(key, value)| (key, value.print(true)))
            .collect(),
    }
}

/// Returns the lines, an empty one last, without the newline of the last.
fn text(commit: &Commit) -> String {
    let mut text = String::new();
    let mut field = |name: &str, value: &str| {
        let _written = writeln!(text, "{name}:  {}", printable(value));
    };
    if let Some(parent) = &commit.parent {
        field("Parent", parent.to_hex().as_str());
    }
    field("ContentChecksum", commit.content_checksum().to_hex().as_str());
    field("Date", &dates::commit_date(commit.timestamp));
    if let Some(version) = commit.metadata.get_str(VERSION) {
        let _written = writeln!(text, "Version: {}", printable(version));
    }
    if commit.subject.is_empty() {
        text.push_str("(no subject)\n");
    } else {
        indented(&mut text, &commit.subject);
    }
    if !commit.body.is_empty() {
        indented(&mut text, &commit.body);
    }
    text
}

/// Adds an empty line and the lines of `paragraph`, each moved in.
fn indented(text: &mut String, paragraph: &str) {
    text.push('\n');
    for line in paragraph.strip_suffix('\n').unwrap_or(paragraph).split('\n') {
        let _written = writeln!(text, "    {}", printable(line));
    }
}
