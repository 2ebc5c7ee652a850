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
mod commit;
mod content;
pub mod delta;
mod detached;
mod dirmeta;
mod dirtree;
mod error;
pub mod gvariant;
mod limits;
mod mode;
mod names;
mod object;
mod object_list;
mod posix_mode;
pub mod signatures;
mod sizes;
mod summary;
pub mod tar;
mod varint;
pub mod wire;
mod xattrs;

pub use checksum::{Checksum, Hasher, HexChecksum};
pub use commit::Commit;
pub use content::FileHeader;
pub use delta::{DeltaList, DeltaName, delta_index_path, delta_path, parse_delta_index_path};
pub use detached::{
    ED25519_SIGNATURES, GPG_SIGNATURES, SPKI_SIGNATURES, append_signature, parse_detached, set_signatures,
    signatures, tombstone,
};
pub use dirmeta::DirMeta;
pub use dirtree::{DirTree, DirTreeView, TreeDir, TreeDirRef, TreeFile, TreeFileRef};
pub use error::{FormatError, Result};
pub use limits::{MAX_FILE_HEADER_SIZE, MAX_METADATA_SIZE};
pub use mode::RepoMode;
pub use names::{CollectionId, CollectionRef, MAX_FILE_NAME, RefName, Refspec, RemoteName, check_file_name};
pub use object::{LoosePath, ObjectName, ObjectType};
pub use object_list::{LIST_ENTRY, list_entries, list_entry, push_list_entry};
pub use posix_mode::{PERMISSION_BITS, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG};
pub use sizes::{ObjectSizes, SizeEntry};
pub use summary::{CollectionMap, CommitEntry, Subset, Summary, SummaryHeader, SummaryIndex, SummaryRef};
pub use varint::{read_varint, write_varint};
pub use xattrs::Xattrs;
