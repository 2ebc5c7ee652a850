//! What the demo says: a few lines for each version, or an object a line with `--json`. Each line is shown at once.

use super::change::Change;
use super::client::Client;
use super::files::Totals;
use super::next::Step;
use super::place::Place;
use super::publisher::{Committed, Published};
use super::reader::Arrived;
use crate::counted::counted;
use crate::sizes::format_size;
use crate::ui::{Ui, printable};
use ostler_repo::FsckReport;
use serde::Serialize;
use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::Path;

/// How many differences are named.
const NAMED: usize = 20;

/// A line of `--json`; `event` comes first.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event<'a> {
    Start {
        directory: String,
        /// The version of stock `ostree`.
        ostree: Option<&'a str>,
        without_ostree: Option<&'a str>,
    },
    /// The tree of the first version.
    Tree {
        version: u8,
        files: u64,
        links: u64,
        directories: u64,
        bytes: u64,
    },
    /// What the second version changed in it.
    Change {
        version: u8,
        changed: Option<String>,
        added: &'a str,
    },
    Committed {
        version: u8,
        commit: String,
        written_objects: u64,
    },
    Published {
        version: u8,
        generation: Option<u64>,
        sent_objects: u64,
        sent_bytes: u64,
        spared_objects: u64,
        spared_bytes: u64,
    },
    /// Pulled over HTTP.
    Arrived {
        version: u8,
        client: String,
        commit: String,
        requests: u64,
        body_bytes: u64,
    },
    Compared {
        version: u8,
        checkout: String,
        same: bool,
        differences: &'a [String],
    },
    Checked {
        commits: u64,
        objects: u64,
        sound: bool,
        findings: Vec<String>,
        also_by_ostree: bool,
    },
    Done {
        directory: String,
        next: &'a [Step],
    },
}

/// Says it.
pub(super) struct Report<'a> {
    ui: &'a Ui,
}

impl<'a> Report<'a> {
    /// Says nothing yet.
    pub(super) const fn new(ui: &'a Ui) -> Self {
        Self { ui }
    }

    fn say(&self, event: &Event<'_>, text: &str) -> anyhow::Result<()> {
        self.ui.either(event, text)?;
        self.ui.flush()
    }

    /// Where it happens, and with whom.
    pub(super) fn start(&self, place: &Place, stock: Result<&str, &'static str>) -> anyhow::Result<()> {
        let directory = place.path().display().to_string();
        let text = match stock {
            Ok(version) => format!(
                "with ostree {} and ostler itself as the clients",
                printable(version)
            ),
            Err(reason) => format!("{reason}: ostler itself is the only client"),
        };
        let text = format!("ostler demo in {}\n{text}", printable(&directory));
        let event = Event::Start {
            directory,
            ostree: stock.ok(),
            without_ostree: stock.err(),
        };
        self.say(&event, &text)
    }

    /// The tree of the first version.
    pub(super) fn first(&self, totals: &Totals) -> anyhow::Result<()> {
        let event = Event::Tree {
            version: 1,
            files: totals.files,
            links: totals.links,
            directories: totals.directories,
            bytes: totals.bytes,
        };
        let text = format!(
            "\nVersion 1: {} and {} in {}, {}",
            counted(totals.files, "file"),
            counted(totals.links, "link"),
            counted(totals.directories, "directory"),
            format_size(totals.bytes)
        );
        self.say(&event, &text)
    }

    /// What the second version changed in it.
    pub(super) fn second(&self, change: &Change) -> anyhow::Result<()> {
        let added = &change.added;
        let changed = change.changed.as_ref().map(|path| path.display().to_string());
        let text = match &changed {
            Some(changed) => format!("\nVersion 2: '{}' changed, '{added}' added", printable(changed)),
            None => format!("\nVersion 2: '{added}' added"),
        };
        let event = Event::Change {
            version: 2,
            changed,
            added,
        };
        self.say(&event, &text)
    }

    /// A commit.
    pub(super) fn committed(&self, version: u8, committed: &Committed) -> anyhow::Result<()> {
        let event = Event::Committed {
            version,
            commit: committed.checksum.to_string(),
            written_objects: committed.written_objects,
        };
        let objects = objects(committed.written_objects);
        self.say(
            &event,
            &format!("  commit   {objects} new in 'build', the private repository"),
        )
    }

    /// A publish.
    pub(super) fn published(&self, version: u8, published: &Published) -> anyhow::Result<()> {
        let event = Event::Published {
            version,
            generation: published.generation,
            sent_objects: published.sent_objects,
            sent_bytes: published.sent_bytes,
            spared_objects: published.spared_objects,
            spared_bytes: published.spared_bytes,
        };
        let sent = format!(
            "  publish  {} ({}) sent to 'public', the public repository",
            objects(published.sent_objects),
            format_size(published.sent_bytes)
        );
        let spared = format!(
            "           there already, and not sent again: {} ({})",
            objects(published.spared_objects),
            format_size(published.spared_bytes)
        );
        let text = match published.spared_objects {
            0 => sent,
            _ => format!("{sent}\n{spared}"),
        };
        self.say(&event, &text)
    }

    /// A pull.
    pub(super) fn arrived(&self, version: u8, client: &Client<'_>, arrived: &Arrived) -> anyhow::Result<()> {
        let text = format!(
            "  pull     {} ({}) over HTTP by '{}', which checks it out",
            counted(arrived.requests, "request"),
            format_size(arrived.body_bytes),
            name(client.repo())
        );
        let event = Event::Arrived {
            version,
            client: client.repo().display().to_string(),
            commit: arrived.commit.to_string(),
            requests: arrived.requests,
            body_bytes: arrived.body_bytes,
        };
        self.say(&event, &text)
    }

    /// A comparison.
    pub(super) fn compared(
        &self,
        version: u8,
        checkout: &Path,
        differences: &[String],
    ) -> anyhow::Result<()> {
        for difference in differences.iter().take(NAMED) {
            self.ui.note(difference);
        }
        let event = Event::Compared {
            version,
            checkout: checkout.display().to_string(),
            same: differences.is_empty(),
            differences,
        };
        let place = name(checkout);
        let text = if differences.is_empty() {
            format!("  compare  '{place}' is the tree, byte for byte, with all modes and links")
        } else {
            format!("  compare  '{place}' is NOT the tree")
        };
        self.say(&event, &text)
    }

    /// The check of the public repository.
    pub(super) fn checked(&self, found: &FsckReport, also_by_ostree: bool) -> anyhow::Result<()> {
        let findings: Vec<String> = found.findings.iter().map(ToString::to_string).collect();
        for finding in &findings {
            self.ui.note(finding);
        }
        let text = if found.is_sound() {
            format!(
                "\n'public' is sound: {} of {} read and hashed{}",
                objects(found.objects),
                counted(found.commits, "commit"),
                if also_by_ostree {
                    "; ostree fsck agrees"
                } else {
                    ""
                }
            )
        } else {
            "\n'public' is damaged".to_owned()
        };
        let event = Event::Checked {
            commits: found.commits,
            objects: found.objects,
            sound: found.is_sound(),
            findings,
            also_by_ostree,
        };
        self.say(&event, &text)
    }

    /// What is left behind, and what to do with it.
    pub(super) fn done(&self, place: &Place, next: &[Step]) -> anyhow::Result<()> {
        let directory = place.path().display().to_string();
        let mut lines = vec!["\nAll of it stays, to go on with:".to_owned()];
        for step in next {
            lines.push(format!("\n  # {}", step.about));
            lines.extend(step.commands.iter().map(|command| format!("  {command}")));
        }
        self.say(&Event::Done { directory, next }, &lines.join("\n"))
    }
}

/// Returns what a directory of the demo is called in it.
fn name(path: &Path) -> Cow<'_, str> {
    path.file_name()
        .map_or_else(|| path.to_string_lossy(), OsStr::to_string_lossy)
}

fn objects(count: u64) -> String {
    counted(count, "object")
}
