//! Work on single large items by several threads: results in the order of the items, whoever was first.

use crate::error::Result;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Applies `work` to the items in `order` (their numbers) on `threads` threads, and returns the results by number. `tick` is
/// called after each with how many are done.
///
/// # Errors
/// The first error of `work`, which ends it.
pub(super) fn in_order<T: Sync, R: Send>(
    items: &[T],
    order: &[usize],
    threads: usize,
    work: impl Fn(&T) -> Result<R> + Sync,
    tick: impl Fn(usize) + Sync,
) -> Result<Vec<R>> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failed = AtomicBool::new(false);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    let run = || -> Result<()> {
        while !failed.load(Ordering::Relaxed) {
            let Some(number) = order.get(next.fetch_add(1, Ordering::Relaxed)) else {
                break;
            };
            let Some(item) = items.get(*number) else { continue };
            let result = work(item).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
            results
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((*number, result));
            tick(done.fetch_add(1, Ordering::Relaxed) + 1);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(items.len())).map(|_| scope.spawn(run)).collect();
        let mut outcome = run();
        for other in others {
            match other.join() {
                Ok(ended) => outcome = outcome.and(ended),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        outcome
    })?;
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(number, _)| *number);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}
