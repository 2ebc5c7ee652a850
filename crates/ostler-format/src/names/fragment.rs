//! The grammar that refs and remotes share: a *fragment* is `[\w\d][-._\w\d]*` with Unicode's word characters.
//!
//! libostree matches this with a regular expression whose `\w` is a letter or number of any script, or `_`.
//! Here that is [`char::is_alphanumeric`] or `_`, which beyond letters and numbers also takes those vowel
//! signs and other marks that Unicode calls alphabetic, without which some scripts cannot be written.

use super::MAX_FILE_NAME;

/// Returns the rule that `text` breaks, if it is not a fragment that fits into a file name.
pub(super) fn broken_rule(text: &str) -> Option<&'static str> {
    let mut characters = text.chars();
    let Some(first) = characters.next() else {
        return Some("a part is empty");
    };
    if !is_word(first) {
        return Some("each part begins with a letter, a digit or '_'");
    }
    if !characters.all(|c| is_word(c) || matches!(c, '-' | '.')) {
        return Some("only letters, digits, '-', '.' and '_' are allowed");
    }
    (text.len() > MAX_FILE_NAME).then_some("a part is longer than 255 bytes")
}

fn is_word(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}
