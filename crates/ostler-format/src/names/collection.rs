//! Identifiers of collections.

use super::{MAX_FILE_NAME, checked_text, refused};
use crate::error::Result;

/// The identifier of a collection, with the syntax of a D-Bus interface name: two or more elements separated by
/// dots, each `[A-Za-z_][A-Za-z0-9_]*`, at most 255 bytes in all.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectionId(Box<str>);

checked_text!(CollectionId);

impl CollectionId {
    /// Checks an identifier.
    ///
    /// # Errors
    /// [`FormatError::Name`](crate::FormatError::Name) with the rule that it breaks.
    pub fn new(text: &str) -> Result<Self> {
        let rule = if text.len() > MAX_FILE_NAME {
            "longer than 255 bytes"
        } else if !text.contains('.') {
            "at least two elements separated by a dot are expected"
        } else if !text.split('.').all(is_element) {
            "each element consists of ASCII letters, digits and '_', and does not begin with a digit"
        } else {
            return Ok(Self(text.into()));
        };
        Err(refused("collection", text, rule))
    }
}

fn is_element(text: &str) -> bool {
    let word = |b: u8| b == b'_' || b.is_ascii_alphanumeric();
    text.bytes().all(word) && text.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_follow_the_syntax_of_interface_names() {
        for good in ["org.example", "_a.B0", "org.fedoraproject.Stable"] {
            assert!(CollectionId::new(good).is_ok(), "{good}");
        }
        let long = "a.".repeat(128) + "b";
        for bad in [
            "", "org", ".a", "a.", "a..b", "a.0b", "a.b-c", "a.é", "a/b.c", "a.b\0", &long,
        ] {
            assert!(CollectionId::new(bad).is_err(), "{bad:?}");
        }
    }
}
