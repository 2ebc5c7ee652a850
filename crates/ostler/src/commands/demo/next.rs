//! What to try next: command lines that work as they are, in any directory.

use super::BRANCH;
use super::change::Change;
use super::place::{Place, Who};
use super::reader::Readers;
use serde::Serialize;
use std::borrow::Cow;
use std::path::Path;

/// Something to try.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    /// What it is about.
    pub(super) about: &'static str,
    /// Lines for a shell.
    pub(super) commands: Vec<String>,
}

/// Returns the next steps, in an order in which they make sense.
pub(super) fn steps(ostler: &Path, place: &Place, change: &Change, readers: &Readers<'_>) -> Vec<Step> {
    let ostler = quoted(ostler);
    let [build, public, tree] =
        [place.build(), place.public(), place.tree()].map(|path| quoted(&path).into_owned());
    let added = quoted(&place.tree().join(&change.added)).into_owned();
    let mut steps = vec![
        Step {
            about: "what is published, and what the second version changed",
            commands: vec![
                format!("{ostler} --repo={public} log {BRANCH}"),
                format!("{ostler} --repo={public} diff {BRANCH}"),
            ],
        },
        Step {
            about: "a third version",
            commands: vec![
                format!("echo 'And me.' >> {added}"),
                format!(
                    "{ostler} --repo={build} commit --branch={BRANCH} --subject='Version 3' \
                     --owner-uid=0 --owner-gid=0 --no-xattrs {tree}"
                ),
                format!("{ostler} --repo={build} publish {public}"),
            ],
        },
    ];
    for client in readers.clients() {
        let (about, program) = match client.who() {
            Who::Stock => ("the stock client gets it", "ostree"),
            Who::Own => ("and so does our own", &*ostler),
        };
        let repo = quoted(client.repo());
        steps.push(Step {
            about,
            commands: vec![
                format!("{program} --repo={repo} pull origin {BRANCH}"),
                format!("{program} --repo={repo} cat origin:{BRANCH} /{}", change.added),
            ],
        });
    }
    steps.push(Step {
        about: "damage a file of the public repository, and this finds it",
        commands: vec![format!("{ostler} --repo={public} fsck")],
    });
    steps
}

/// Returns a path as a word for a shell.
fn quoted(path: &Path) -> Cow<'_, str> {
    let text = path.to_string_lossy();
    let plain = |character: char| character.is_ascii_alphanumeric() || "/._-+@%:,=".contains(character);
    if !text.is_empty() && text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_one_word_for_a_shell() {
        for (path, word) in [
            ("/srv/demo-1", "/srv/demo-1"),
            ("/a b", "'/a b'"),
            ("/it's", r"'/it'\''s'"),
            ("/$HOME", "'/$HOME'"),
            ("/~", "'/~'"),
        ] {
            assert_eq!(quoted(Path::new(path)), word);
        }
    }
}
