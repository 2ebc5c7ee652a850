//! Refs of this repository or of a remote.

use super::{RefName, RemoteName};
use crate::error::{FormatError, Result};
use std::fmt;
use std::str::FromStr;

/// A ref with the remote that it tracks, if any. As text: `[remote:]ref`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Refspec {
    /// The remote; none for refs of the repository itself.
    pub remote: Option<RemoteName>,
    /// The ref.
    pub name: RefName,
}

impl Refspec {
    /// Returns the refspec of a ref of the repository itself.
    pub const fn local(name: RefName) -> Self {
        Self { remote: None, name }
    }
}

impl From<RefName> for Refspec {
    fn from(name: RefName) -> Self {
        Self::local(name)
    }
}

impl fmt::Display for Refspec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.remote {
            Some(remote) => write!(f, "{remote}:{}", self.name),
            None => self.name.fmt(f),
        }
    }
}

impl FromStr for Refspec {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self> {
        let (remote, name) = match text.split_once(':') {
            Some((remote, name)) => (Some(RemoteName::new(remote)?), name),
            None => (None, text),
        };
        let name = RefName::new(name)?;
        Ok(Self { remote, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refspecs_read_back_as_they_are_written() {
        for good in ["a/b", "origin:a/b"] {
            assert_eq!(good.parse::<Refspec>().unwrap().to_string(), good);
        }
        for bad in ["", ":", ":a", "origin:", "o/r:a", "a:b:c", "origin:-x"] {
            assert!(bad.parse::<Refspec>().is_err(), "{bad:?}");
        }
    }
}
