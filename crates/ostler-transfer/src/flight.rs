//! Many operations under way at once.

use ostler_repo::parallel::{Crew, spread};
use std::num::NonZero;
use std::sync::atomic::AtomicBool;

/// Applies a function that waits for another machine to all items, one at a time on each of up to `jobs` threads; the order of the
/// results is not defined.
///
/// # Errors
/// The first error of the function; items that nobody has begun with are left then.
pub(crate) fn in_flight<T: Sync, R: Send, E: Send>(
    jobs: NonZero<usize>,
    items: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    gathered(Crew::of_waiting(jobs.get()), items, work)
}

/// As [`in_flight`], by a crew that suits the function.
pub(crate) fn gathered<T: Sync, R: Send, E: Send>(
    crew: Crew,
    items: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let never = AtomicBool::new(false);
    let gather = |done: &mut Vec<R>, item: &T| {
        done.push(work(item)?);
        Ok(())
    };
    let states = spread(items, crew, &never, Vec::new, gather, |_| {})?;
    Ok(states.into_iter().flatten().collect())
}
