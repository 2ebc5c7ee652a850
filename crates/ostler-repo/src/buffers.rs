//! Buffers that a thread uses again and again, so that objects by the thousand cost no allocation each.
//!
//! A buffer goes back to its thread's pool when it is dropped. Taking one while another is in use is fine:
//! the pool then makes a second.

use crate::compress::{STREAM_BUFFER, WHOLE_LIMIT};
use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// Buffers kept by a thread: payload and compressed form of the object being written, and one to stream.
const KEPT: usize = 4;

/// Larger buffers than a whole payload with its header needs are given back to the system.
const KEPT_CAPACITY: u64 = 2 * WHOLE_LIMIT;

thread_local! {
    static POOL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A byte vector on loan from the thread's pool.
#[derive(Debug)]
pub(crate) struct Buffer(Vec<u8>);

/// Returns an empty buffer.
pub(crate) fn empty() -> Buffer {
    let mut bytes = POOL.with_borrow_mut(Vec::pop).unwrap_or_default();
    bytes.clear();
    Buffer(bytes)
}

/// Returns a buffer of [`STREAM_BUFFER`] bytes of no particular value.
pub(crate) fn stream() -> Buffer {
    let mut buffer = Buffer(POOL.with_borrow_mut(Vec::pop).unwrap_or_default());
    buffer.resize(STREAM_BUFFER, 0);
    buffer
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.0);
        if bytes.capacity() as u64 <= KEPT_CAPACITY {
            // At the end of a thread its pool may be gone already; then the memory is simply freed.
            POOL.try_with(|pool| {
                if let Ok(mut pool) = pool.try_borrow_mut()
                    && pool.len() < KEPT
                {
                    pool.push(bytes);
                }
            })
            .unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_and_with_its_room() {
        let mut first = empty();
        first.extend_from_slice(&[1; 5000]);
        drop(first);
        let second = empty();
        assert!(second.is_empty() && second.capacity() >= 5000);
        assert_eq!(stream().len(), STREAM_BUFFER);
    }
}
