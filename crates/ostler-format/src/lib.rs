//! The bytes of OSTree, and nothing else: checksums, GVariant, objects, names, summaries.
//!
//! Nothing here touches a file system, a network, a clock or a thread. Bytes (or an `impl Read`) go in,
//! values come out, and the other way round, byte-identical to what libostree writes.
//!
//! Reading is strict, because the bytes come from outside: anything that libostree would not have written
//! (or that a current libostree refuses) is an error with the rule that it breaks, never a panic, and
//! nothing is allocated on the word of a length field alone.
#![warn(clippy::indexing_slicing)]

mod checksum;
mod error;
mod mode;
mod object;

pub use checksum::{Checksum, Hasher, HexChecksum};
pub use error::{FormatError, Result};
pub use mode::RepoMode;
pub use object::{LoosePath, ObjectName, ObjectType};
