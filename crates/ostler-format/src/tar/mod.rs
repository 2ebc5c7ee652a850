//! The headers of archives of files: tar in all its forms, and cpio in the one that is in use.
//!
//! Headers only: what follows them is streamed by whoever has the archive. A tar archive is a row of blocks of
//! [`TAR_BLOCK`] bytes: a header, the bytes of the file, zeros up to the next block, and so on; blocks of zeros are its
//! end. What a header has no room for stands in front of it, in entries of their own: GNU's long names, and the
//! records of pax ([`PaxAttributes`]).

mod cpio;
mod header;
mod number;
mod pax;
mod sparse;

pub use cpio::{CPIO_HEADER, CpioHeader};
pub use header::{GnuSparse, TAR_BLOCK, TarEntry, TarHeader, end_of_archive, is_zero_block};
pub use pax::{PaxAttributes, PaxRecords, PaxSparse, push_pax_record};
pub use sparse::{ExtendedSparse, MAX_SPARSE_ENTRIES, SparseMap, SparseMapText};
