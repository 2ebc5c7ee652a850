//! A program that we have started: waited for until it ends or a signal comes to us, and ended when nobody waits any more.

use crate::interrupt::Interrupt;
use ostler_repo::wait_for;
use std::io;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// How often we look whether a signal has come.
const LOOK: Duration = Duration::from_millis(100);

/// A running program; killed when dropped.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already needs neither.
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

impl Running {
    /// Waits for the end. With a signal to us that end comes at once.
    pub(crate) fn wait(&mut self, interrupt: &Interrupt) -> io::Result<ExitStatus> {
        loop {
            if interrupt.is_set() {
                self.0.kill()?;
                return self.0.wait();
            }
            if let Some(status) = wait_for(&mut self.0, LOOK)? {
                return Ok(status);
            }
        }
    }

    /// Gives it so much time to end by itself, unless `is_hurried` says that there is none.
    pub(crate) fn give(&mut self, time: Duration, is_hurried: impl Fn() -> bool) {
        let asked = Instant::now();
        while !is_hurried() {
            let left = time.saturating_sub(asked.elapsed());
            // One that cannot be waited for is killed.
            if left.is_zero() || !matches!(wait_for(&mut self.0, left.min(LOOK)), Ok(None)) {
                return;
            }
        }
    }
}
