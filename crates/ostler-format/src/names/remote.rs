//! Names of remotes.

use super::fragment::broken_rule;
use super::{checked_text, refused};
use crate::error::Result;

/// The name of a remote: one fragment of the grammar of [`RefName`](super::RefName), hence no `/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemoteName(Box<str>);

checked_text!(RemoteName);

impl RemoteName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`FormatError::Name`](crate::FormatError::Name) with the rule that it breaks.
    pub fn new(text: &str) -> Result<Self> {
        match broken_rule(text) {
            Some(rule) => Err(refused("remote", text, rule)),
            None => Ok(Self(text.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_is_one_fragment() {
        assert!(RemoteName::new("flathub-beta.1").is_ok());
        for bad in ["", "a/b", ".a", "-a", "a:b", "..", "a b"] {
            assert!(RemoteName::new(bad).is_err(), "{bad:?}");
        }
    }
}
