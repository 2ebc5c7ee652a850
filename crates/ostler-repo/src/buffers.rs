//! Buffers that a thread uses again and again, so that objects by the thousand cost no allocation each.
//!
//! A [`Buffer`] is filled by appending; a [`Room`] has a size from the start and is written over, whatever its last use left
//! in it, so that nothing is cleared in vain. Either goes back to a pool of its thread when it is dropped. Taking one while another
//! is in use is fine: the pool then makes a second.

use crate::compress::{STREAM_BUFFER, WHOLE_LIMIT};
use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::thread::LocalKey;

/// Buffers of each kind kept by a thread: payload and compressed form of the object being written, and one to stream.
const KEPT: usize = 4;

/// Larger buffers than a whole payload with its header needs are given back to the system.
const KEPT_CAPACITY: u64 = 2 * WHOLE_LIMIT;

type Pool = RefCell<Vec<Vec<u8>>>;

thread_local! {
    static BUFFERS: Pool = const { RefCell::new(Vec::new()) };
    static ROOMS: Pool = const { RefCell::new(Vec::new()) };
}

/// A byte vector on loan from the thread's pool.
#[derive(Debug)]
pub(crate) struct Buffer(Vec<u8>);

/// Returns an empty buffer.
pub(crate) fn empty() -> Buffer {
    let mut bytes = BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default();
    bytes.clear();
    Buffer(bytes)
}

/// Bytes on loan from the thread's pool, of no particular value to begin with.
#[derive(Debug)]
pub(crate) struct Room {
    /// At least `size`; all that was ever cleared stays within its length.
    bytes: Vec<u8>,
    size: usize,
}

/// Returns a room of so many bytes.
pub(crate) fn room(size: usize) -> Room {
    let mut bytes = ROOMS.with_borrow_mut(Vec::pop).unwrap_or_default();
    if bytes.len() < size {
        // Made anew, since enlarging would copy what nobody wants; twice as large as needed at most, lest it be made often.
        bytes = vec![0; size.next_power_of_two()];
    }
    Room { bytes, size }
}

/// Returns a room of [`STREAM_BUFFER`] bytes.
pub(crate) fn stream() -> Room {
    room(STREAM_BUFFER)
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

impl Deref for Room {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.size).unwrap_or_default()
    }
}

impl DerefMut for Room {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.size).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Room {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        give_back(&BUFFERS, std::mem::take(&mut self.0));
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        give_back(&ROOMS, std::mem::take(&mut self.bytes));
    }
}

fn give_back(pool: &'static LocalKey<Pool>, bytes: Vec<u8>) {
    if bytes.capacity() as u64 > KEPT_CAPACITY {
        return;
    }
    // At the end of a thread its pool may be gone already; then the memory is simply freed.
    pool.try_with(|pool| {
        if let Ok(mut pool) = pool.try_borrow_mut()
            && pool.len() < KEPT
        {
            pool.push(bytes);
        }
    })
    .unwrap_or_default();
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
    }

    #[test]
    fn a_room_has_the_size_that_was_asked_for_and_keeps_what_it_held() {
        let mut first = room(5000);
        assert_eq!(first.len(), 5000);
        first.fill(1);
        drop(first);
        let second = room(100);
        assert_eq!(second.len(), 100);
        assert_eq!(*second, [1; 100], "it is the same, and was not cleared");
        assert_eq!(room(9000).len(), 9000);
        assert_eq!(stream().len(), STREAM_BUFFER);
    }
}
