//! The framing of GVariant containers, without a tree of values.
//!
//! Shape: members and elements are padded with zero bytes to their own alignment. A container of
//! variable-size parts ends in a table of framing offsets, each the end of one part counted from the start
//! of the container, little endian, of [`offset_size`] bytes. In an array the table has one offset for each
//! element, in order; in a tuple (and a dictionary entry) one for each variable-size member except a last
//! one, in reverse. Containers of fixed-size parts have no table; such a tuple is padded at its end to its
//! own alignment, and the tuple without members is one zero byte.
//!
//! The readers accept the one canonical encoding only: wider offsets than needed, padding that is not zero,
//! offsets that go backwards or past the end, and bytes that belong to nothing are refused. They borrow and
//! never allocate (except to report an error).

mod read;
mod write;

pub use read::{ArrayReader, TupleReader, fixed_elements, string};
pub use write::{ArrayWriter, TupleWriter};
pub(super) use write::{Sink, Size};

/// Returns the width in bytes of the framing offsets of a container of `total_len` bytes, offsets included:
/// 0, 1, 2, 4 or 8.
#[inline]
pub fn offset_size(total_len: usize) -> usize {
    match total_len as u64 {
        0 => 0,
        1..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    }
}

/// Returns the width of the offsets of a container with `body_len` bytes of parts and `count` offsets: the
/// smallest with which the container's end can still be said.
#[inline]
fn offset_size_for(body_len: usize, count: usize) -> usize {
    let fits = |width: usize| {
        count
            .checked_mul(width)
            .and_then(|table| table.checked_add(body_len))
            .is_some_and(|total| offset_size(total) <= width)
    };
    [1, 2, 4].into_iter().find(|width| fits(*width)).unwrap_or(8)
}
