//! Names that people give and that become paths: refs, remotes, collections, files in a dirtree.
//!
//! Each is checked once, where it enters, and carried in a type of its own from then on. What passes here
//! is safe as a relative path: no empty part, no `.` or `..`, no NUL, no part beyond what a file system takes.

mod collection;
mod collection_ref;
mod file_name;
mod fragment;
mod refname;
mod refspec;
mod remote;

pub use collection::CollectionId;
pub use collection_ref::CollectionRef;
pub use file_name::check_file_name;
pub use refname::RefName;
pub use refspec::Refspec;
pub use remote::RemoteName;

use crate::error::FormatError;

/// The most bytes that one file name may have on any file system we know.
pub const MAX_FILE_NAME: usize = 255;

/// Returns the error for a name, shortened and with its control characters escaped.
pub(crate) fn refused(kind: &'static str, name: &str, rule: &'static str) -> FormatError {
    FormatError::Name {
        kind,
        name: shown(name),
        rule,
    }
}

/// Returns a name for a message: control characters escaped, and not without end.
pub(crate) fn shown(name: &str) -> String {
    const SHOWN: usize = 80;
    let mut shown: String = name.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if name.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// Gives a checked text type what every name has: `as_str`, `Display`, `Debug`, `FromStr`, `TryFrom<String>`.
macro_rules! checked_text {
    ($name:ident) => {
        impl $name {
            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::error::FormatError;

            fn from_str(text: &str) -> crate::error::Result<Self> {
                Self::new(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}
use checked_text;
