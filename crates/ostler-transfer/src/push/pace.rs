//! A stream that takes no more than so many bytes in a second.

use std::io::{self, Write};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Into so many parts a second is split: each is followed by a pause if it was used up early.
const PARTS: u64 = 10;

/// The stream.
pub(super) struct Paced<'a, W> {
    writer: W,
    /// Bytes for each part of a second; without it nothing is held back.
    share: Option<usize>,
    /// The part that is under way: when it began, and what it has left.
    part: (Instant, usize),
    interrupted: &'a AtomicBool,
}

impl<'a, W: Write> Paced<'a, W> {
    /// Holds back what goes beyond `rate`, as long as `interrupted` is not set.
    pub(super) fn new(writer: W, rate: Option<NonZero<u64>>, interrupted: &'a AtomicBool) -> Self {
        let share = rate.map(|rate| usize::try_from((rate.get() / PARTS).max(1)).unwrap_or(usize::MAX));
        Self {
            writer,
            share,
            part: (Instant::now(), share.unwrap_or_default()),
            interrupted,
        }
    }
}

impl<W: Write> Write for Paced<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(share) = self.share else {
            return self.writer.write(bytes);
        };
        let whole = Duration::from_secs(1) / u32::try_from(PARTS).unwrap_or(1);
        if self.part.1 == 0 {
            if !self.interrupted.load(Ordering::Relaxed) {
                thread::sleep(whole.saturating_sub(self.part.0.elapsed()));
            }
            self.part = (Instant::now(), share);
        }
        let some = bytes.get(..self.part.1).unwrap_or(bytes);
        let written = self.writer.write(some)?;
        self.part.1 = self.part.1.saturating_sub(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_goes_than_the_rate_lets_through() {
        let quiet = AtomicBool::new(false);
        let begin = Instant::now();
        let mut paced = Paced::new(Vec::new(), NonZero::new(1000), &quiet);
        paced.write_all(&[7; 350]).unwrap();
        assert_eq!(paced.writer, [7; 350]);
        assert!(
            begin.elapsed() >= Duration::from_millis(300),
            "{:?}",
            begin.elapsed()
        );
    }

    #[test]
    fn whoever_is_asked_to_stop_holds_nothing_back() {
        let asked = AtomicBool::new(true);
        let begin = Instant::now();
        let mut paced = Paced::new(Vec::new(), NonZero::new(1), &asked);
        paced.write_all(&[7; 1000]).unwrap();
        assert!(begin.elapsed() < Duration::from_secs(60));
    }
}
