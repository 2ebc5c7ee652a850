//! Many operations under way at once, on stores where each waits for another machine.

use crate::execute::lock;
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Applies a function to all items, one at a time on each of `jobs` threads; the order of the results is not defined.
///
/// # Errors
/// The first error of the function; items that nobody has begun with are left then.
pub(crate) fn in_flight<T: Sync, R: Send, E: Send>(
    jobs: NonZero<usize>,
    items: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let done = Mutex::new((Vec::with_capacity(items.len()), None));
    let run = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            if failed.load(Ordering::Relaxed) {
                return;
            }
            let result = work(item);
            let mut done = lock(&done);
            match result {
                Ok(result) => done.0.push(result),
                Err(error) => {
                    done.1.get_or_insert(error);
                    failed.store(true, Ordering::Relaxed);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..jobs.get().min(items.len()) {
            scope.spawn(run);
        }
        run();
    });
    let mut done = lock(&done);
    match done.1.take() {
        Some(error) => Err(error),
        None => Ok(std::mem::take(&mut done.0)),
    }
}
