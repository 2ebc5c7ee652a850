//! When to give up waiting, and how long to wait before trying again.

use super::fault::Fault;
use super::options::LowSpeed;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Watches that a transfer is not slower than is allowed, over windows of time that follow one another.
#[derive(Debug)]
pub(crate) struct Pace {
    limit: LowSpeed,
    since: Instant,
    bytes: u64,
}

impl Pace {
    /// Starts the first window.
    pub(crate) fn start(limit: LowSpeed) -> Self {
        Self {
            limit,
            since: Instant::now(),
            bytes: 0,
        }
    }

    /// Counts bytes that came.
    pub(crate) const fn count(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// Starts a new window after a time that was not the server's fault.
    pub(crate) fn resume(&mut self) {
        *self = Self::start(self.limit);
    }

    /// Waits for `future` as long as the pace is kept.
    ///
    /// # Errors
    /// [`Fault::TooSlow`].
    pub(crate) async fn wait<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Fault> {
        let mut future = pin!(future);
        if self.limit.bytes == 0 || self.limit.seconds == 0 {
            return Ok(future.await);
        }
        loop {
            let end = self.since + Duration::from_secs(self.limit.seconds);
            if let Ok(done) = timeout_at(end, &mut future).await {
                return Ok(done);
            }
            if self.bytes < self.limit.bytes.saturating_mul(self.limit.seconds) {
                return Err(Fault::TooSlow {
                    bytes: self.limit.bytes,
                    seconds: self.limit.seconds,
                });
            }
            self.resume();
        }
    }
}

/// How long to wait before each retry.
#[derive(Debug)]
pub(crate) struct Pauses {
    unit: Duration,
    random: AtomicU64,
}

impl Pauses {
    /// Takes the first pause, and where the variation comes from.
    pub(crate) const fn new(unit: Duration, seed: u64) -> Self {
        Self {
            unit,
            random: AtomicU64::new(seed),
        }
    }

    /// Returns the pause before retry `number`, counted from 0: twice as long each time, half as long to half as long again.
    pub(crate) fn before(&self, number: u32) -> Duration {
        let doubled = self.unit.saturating_mul(1 << number.min(16));
        let percent = 50 + u32::try_from(self.next() % 101).unwrap_or(50);
        (doubled.saturating_mul(percent) / 100).min(LONGEST_PAUSE)
    }

    /// The next number of splitmix64.
    fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.random.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_vary_and_end() {
        let pauses = Pauses::new(Duration::from_millis(100), 7);
        for number in 0..40 {
            let pause = pauses.before(number);
            let doubled = Duration::from_millis(100 << number.min(16));
            assert!(pause >= (doubled / 2).min(LONGEST_PAUSE) && pause <= LONGEST_PAUSE.min(doubled * 3 / 2));
        }
        assert_ne!(pauses.before(3), pauses.before(3));
        assert_eq!(Pauses::new(Duration::ZERO, 7).before(9), Duration::ZERO);
    }
}
