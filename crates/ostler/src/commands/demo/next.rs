//! What to try next: command lines that work as they are, in any directory.

use super::BRANCH;
use super::change::Change;
use super::place::Place;
use super::reader::Reader;
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
pub(super) fn steps(ostler: &Path, place: &Place, change: &Change, reader: &Reader<'_>) -> Vec<Step> {
    let ostler = quoted(ostler);
    let [build, public, client, tree] =
        [place.build(), place.public(), place.client(), place.tree()].map(|path| quoted(&path).into_owned());
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
    if let Reader::Stock { .. } = reader {
        steps.push(Step {
            about: "the client gets it",
            commands: vec![
                format!("ostree --repo={client} pull origin {BRANCH}"),
                format!("ostree --repo={client} cat origin:{BRANCH} /{}", change.added),
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
