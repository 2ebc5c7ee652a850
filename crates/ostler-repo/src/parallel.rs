//! Spreading work over a few threads, the calling one included.
//!
//! Items are taken in blocks, in order, so that neighbours (objects of one directory) are handled together.
//! The first error ends the work, as does a flag of the caller's.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How many items a thread takes at once: enough that taking costs nothing, few enough that nobody waits long.
const BLOCK: usize = 32;

/// How many threads read many small files: that is bound by the kernel, and more would only wait for each other.
pub const READERS: usize = 2;

/// How many threads there may be, and how many items each takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crew {
    threads: usize,
    block: usize,
}

impl Crew {
    /// Threads that take one item after the other, also where there are few: each waits for another machine.
    pub fn of_waiting(threads: usize) -> Self {
        Self { threads, block: 1 }
    }
}

impl From<usize> for Crew {
    /// So many threads, for items that cost little; for few of them one does.
    fn from(threads: usize) -> Self {
        Self {
            threads,
            block: BLOCK,
        }
    }
}

/// Applies `work` to each of `items` on up to `threads` threads. Each thread gathers its results in a state of
/// its own, which `start` makes; all states are returned. `tick` is told, on the calling thread, how many items
/// are taken so far.
///
/// # Errors
/// The first error of `work`.
pub fn spread<T: Sync, S: Send, E: Send>(
    items: &[T],
    threads: impl Into<Crew>,
    stop: &AtomicBool,
    start: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &T) -> Result<(), E> + Sync,
    tick: impl FnMut(usize),
) -> Result<Vec<S>, E> {
    spread_beside(|| Ok(()), items, threads, stop, start, work, tick)
}

/// As [`spread`], with something else for the calling thread to do `first`, while the others begin with the items.
///
/// # Errors
/// The error of `first`, else the first error of `work`.
pub fn spread_beside<T: Sync, S: Send, E: Send>(
    first: impl FnOnce() -> Result<(), E>,
    items: &[T],
    threads: impl Into<Crew>,
    stop: &AtomicBool,
    start: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &T) -> Result<(), E> + Sync,
    mut tick: impl FnMut(usize),
) -> Result<Vec<S>, E> {
    let Crew { threads, block } = threads.into();
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let run = |tick: &mut dyn FnMut(usize)| -> Result<S, E> {
        let mut state = start();
        loop {
            let from = next.fetch_add(block, Ordering::Relaxed);
            let Some(rest) = items.get(from..).filter(|rest| !rest.is_empty()) else {
                return Ok(state);
            };
            for item in rest.iter().take(block) {
                if stop.load(Ordering::Relaxed) || failed.load(Ordering::Relaxed) {
                    return Ok(state);
                }
                work(&mut state, item).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
            }
            tick(from.saturating_add(block).min(items.len()));
        }
    };
    let helpers = threads.min(items.len().div_ceil(block)).saturating_sub(1);
    let mut told = 0;
    let mut tell = |taken: usize| {
        told = taken;
        tick(taken);
    };
    let states: Result<Vec<S>, E> = std::thread::scope(|scope| {
        let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(|| run(&mut |_| {}))).collect();
        let begun = first().inspect_err(|_| failed.store(true, Ordering::Relaxed));
        let mut states = vec![begun.and_then(|()| run(&mut tell))];
        for helper in helpers {
            match helper.join() {
                Ok(state) => states.push(state),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        states.into_iter().collect()
    });
    // The last items may have been another thread's.
    if states.is_ok() && told < items.len() && !stop.load(Ordering::Relaxed) {
        tick(items.len());
    }
    states
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_handled_once() {
        let items: Vec<usize> = (0..1000).collect();
        for threads in [0, 1, 2, 7] {
            let mut last = 0;
            let states = spread(
                &items,
                threads,
                &AtomicBool::new(false),
                Vec::new,
                |state, item| {
                    state.push(*item);
                    Ok::<_, ()>(())
                },
                |taken| last = taken.max(last),
            );
            let mut all = states.expect("no error").concat();
            all.sort_unstable();
            assert_eq!(all, items);
            assert_eq!(last, items.len());
        }
    }

    #[test]
    fn what_is_done_first_is_done_and_its_error_ends_the_work() {
        let items: Vec<usize> = (0..1000).collect();
        for threads in [1, 2] {
            let stop = AtomicBool::new(false);
            let done = AtomicBool::new(false);
            let first = |result: Result<(), &'static str>| {
                let done = &done;
                move || {
                    done.store(true, Ordering::Relaxed);
                    result
                }
            };
            let keep = |state: &mut Vec<usize>, item: &usize| {
                state.push(*item);
                Ok(())
            };
            let states = spread_beside(first(Ok(())), &items, threads, &stop, Vec::new, keep, |_| {});
            assert_eq!(states.expect("no error").concat().len(), items.len());
            assert!(done.load(Ordering::Relaxed));
            let failed = spread_beside(first(Err("no")), &items, threads, &stop, Vec::new, keep, |_| {});
            assert_eq!(failed, Err("no"));
        }
    }

    #[test]
    fn an_error_ends_the_work() {
        let items = vec![(); 10_000];
        let handled = AtomicUsize::new(0);
        let work = |(): &mut (), (): &()| {
            let before = handled.fetch_add(1, Ordering::Relaxed);
            if before == 5 { Err("enough") } else { Ok(()) }
        };
        let result = spread(&items, 3, &AtomicBool::new(false), || (), work, |_| {});
        assert_eq!(result, Err("enough"));
        assert!(handled.load(Ordering::Relaxed) < items.len());
    }
}
