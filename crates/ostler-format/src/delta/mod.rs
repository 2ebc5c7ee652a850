//! Static deltas: what turns one commit into another, cut into parts.
//!
//! ```text
//! deltas/XX/REST[-TO]/superblock   `Superblock`: the commit, the list of parts and of what to fetch as objects
//! deltas/XX/REST[-TO]/0, 1, …      parts: a byte that tells the compression, then a `PartLayout` of four members,
//!                                  the last of which is a row of `Operation`s over the third
//! delta-indexes/XX/REST.index      `DeltaList`: all deltas to one commit
//! ```
//!
//! Everything is read strictly and within limits; the bytes of a part are never needed in memory as a whole.

mod byte_order;
mod index;
mod operation;
mod part;
mod part_header;
mod patch;
mod path;
mod signed;
mod superblock;

pub use byte_order::ByteOrder;
pub use index::DeltaList;
pub use operation::{Operation, Operations, push_operation};
pub use part::{
    Compression, PartLayout, PartMode, parse_part_modes, parse_part_xattrs, part_tail, write_part_frame,
};
pub use part_header::{Fallback, PartHeader};
pub use patch::{PATCH_CONTROL, PatchControl};
pub use path::{DeltaName, delta_index_path, delta_path, parse_delta_index_path};
pub use signed::SignedSuperblock;
pub use superblock::{InlinePart, Superblock};
