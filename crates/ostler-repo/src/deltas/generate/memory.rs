//! The memory that making a delta may take at once.
//!
//! Comparing two files and compressing a part each take much memory for a short time. Who is about to do either says how
//! much, and waits until the others have left so much. One that needs more than there is altogether gets it when it is alone.

use std::sync::{Condvar, Mutex, PoisonError};

/// Shares out an amount of memory.
#[derive(Debug)]
pub(super) struct Memory {
    limit: u64,
    used: Mutex<u64>,
    returned: Condvar,
}

/// Memory that somebody has; dropping it gives it back.
#[derive(Debug)]
#[must_use = "it is given back when dropped"]
pub(super) struct Share<'a> {
    memory: &'a Memory,
    bytes: u64,
}

impl Memory {
    pub(super) const fn new(limit: u64) -> Self {
        Self {
            limit,
            used: Mutex::new(0),
            returned: Condvar::new(),
        }
    }

    /// Returns how much there is altogether.
    pub(super) const fn limit(&self) -> u64 {
        self.limit
    }

    /// Waits until so many bytes are to be had.
    pub(super) fn take(&self, bytes: u64) -> Share<'_> {
        let bytes = bytes.min(self.limit);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        while *used + bytes > self.limit {
            used = self.returned.wait(used).unwrap_or_else(PoisonError::into_inner);
        }
        *used += bytes;
        Share { memory: self, bytes }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        *self.memory.used.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes;
        self.memory.returned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn never_more_than_the_limit_is_shared_out() {
        let memory = Memory::new(10);
        let (now, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for bytes in [4, 7, 3, 10, 99, 1, 5, 6] {
                let (memory, now, most) = (&memory, &now, &most);
                scope.spawn(move || {
                    let share = memory.take(bytes);
                    let used = now.fetch_add(share.bytes, Ordering::SeqCst) + share.bytes;
                    most.fetch_max(used, Ordering::SeqCst);
                    std::thread::yield_now();
                    now.fetch_sub(share.bytes, Ordering::SeqCst);
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 10);
        assert_eq!(*memory.used.lock().unwrap(), 0);
    }
}
