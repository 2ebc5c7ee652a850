//! What can be wrong with bytes or names.

/// The result of reading a format.
pub type Result<T, E = FormatError> = std::result::Result<T, E>;

/// Why bytes or a name were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The bytes are not what `what` looks like.
    #[error("invalid {what}: {rule}")]
    Invalid {
        /// What was read: "dirtree", "commit", "checksum", …
        what: &'static str,
        /// The rule that is broken, with the offending value where it is short.
        rule: String,
    },
    /// A limit of the format or of ours is exceeded.
    #[error("{what} too large: {found} exceeds the limit of {limit}")]
    TooLarge {
        /// What was read.
        what: &'static str,
        /// The size found or claimed, in bytes unless `what` says otherwise.
        found: u64,
        /// The limit, in the same unit.
        limit: u64,
    },
    /// A name in a dirtree has a part of a path in it.
    #[error("Invalid / in filename {0}")]
    SlashInFileName(String),
    /// A name (ref, remote, collection, …) breaks its grammar.
    #[error("invalid {kind} name '{name}': {rule}")]
    Name {
        /// "ref", "remote", "collection", "file".
        kind: &'static str,
        /// The name, with control characters escaped.
        name: String,
        /// The rule that is broken.
        rule: &'static str,
    },
}

impl FormatError {
    /// Returns the error for `what` breaking `rule`.
    pub fn invalid(what: &'static str, rule: impl Into<String>) -> Self {
        Self::Invalid {
            what,
            rule: rule.into(),
        }
    }
}
