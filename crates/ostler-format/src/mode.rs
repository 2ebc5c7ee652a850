//! The storage modes of a repository.

use crate::error::{FormatError, Result};
use std::fmt;

/// How a repository stores content objects; `core.mode` of its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RepoMode {
    /// Header and compressed content in one file; what is served over HTTP.
    Archive,
    /// Files as they are, with owner, mode and extended attributes.
    Bare,
    /// Content in plain files; owner, mode and extended attributes in one attribute, `user.ostreemeta`.
    BareUser,
    /// Content and permission bits only; owner and extended attributes are lost.
    BareUserOnly,
    /// As [`Bare`](Self::Bare), with the extended attributes in objects of their own.
    BareSplitXattrs,
}

impl RepoMode {
    /// Returns the name that libostree writes into `config`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Archive => "archive-z2",
            Self::Bare => "bare",
            Self::BareUser => "bare-user",
            Self::BareUserOnly => "bare-user-only",
            Self::BareSplitXattrs => "bare-split-xattrs",
        }
    }

    /// Returns whether content objects are stored compressed behind a header (`.filez`).
    pub const fn is_archive(self) -> bool {
        matches!(self, Self::Archive)
    }
}

impl fmt::Display for RepoMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for RepoMode {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "archive-z2" | "archive" => Self::Archive,
            "bare" => Self::Bare,
            "bare-user" => Self::BareUser,
            "bare-user-only" => Self::BareUserOnly,
            "bare-split-xattrs" => Self::BareSplitXattrs,
            _ => {
                return Err(FormatError::invalid(
                    "repository mode",
                    format!("'{}'", text.escape_debug()),
                ));
            }
        })
    }
}
