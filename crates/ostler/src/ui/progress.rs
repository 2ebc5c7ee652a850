//! Progress of a long job: a bar on a terminal, nothing in a pipe.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// The bar of a transfer: what is done, how fast, and how long it will take.
const TRANSFER: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";

/// How often counters are shown anew.
const TICK: Duration = Duration::from_millis(100);

/// Does `work` while another thread shows what `shown` returns.
pub(super) fn while_counting<T>(shown: &(dyn Fn() -> String + Sync), work: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        // Its end closes the channel, be it by a panic.
        let (_working, done) = mpsc::channel::<()>();
        scope.spawn(move || {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            while done.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                bar.set_message(shown());
            }
            bar.finish_and_clear();
        });
        work()
    })
}

/// A running progress display; it vanishes when dropped.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new(label: &'static str, shown: bool) -> Self {
        let target = if shown {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target).with_message(label);
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Starts showing a transfer of so many objects and bytes.
    pub(super) fn of_transfer(objects: u64, bytes: u64, shown: bool) -> Self {
        let progress = Self::new("publishing", shown);
        if let Ok(style) = ProgressStyle::with_template(TRANSFER) {
            progress.0.set_style(style);
        }
        progress.0.set_message(format!("publishing {objects} objects"));
        progress.0.set_length(bytes);
        progress
    }

    /// Shows that so many more bytes have arrived.
    pub(crate) fn stored(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// Shows that `done` of `total` are done.
    pub(crate) fn update(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
