//! How those who wait for a program that signs are told to give it up.
//!
//! A library knows no signals. Whoever does sets the flag, and a program that runs is killed soon afterwards with all that it has
//! started. In between, who has nothing else to look at the flag may leave a signal to do what it always does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Two flags that signers and those who know of signals share. By default nobody ever asks.
#[derive(Debug, Clone)]
pub struct Interruption {
    asked: Arc<AtomicBool>,
    idle: Arc<AtomicBool>,
}

impl Default for Interruption {
    fn default() -> Self {
        Self::by(Arc::default())
    }
}

impl Interruption {
    /// Returns what is asked for by setting this flag.
    pub fn by(asked: Arc<AtomicBool>) -> Self {
        Self {
            asked,
            idle: Arc::new(AtomicBool::new(true)),
        }
    }

    /// Returns the flag that asks programs to end: they end soon, and no other is started.
    pub fn asked(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.asked)
    }

    /// Returns the flag that is set but while a program runs. Programs of several threads at once make it unreliable.
    pub fn idle(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.idle)
    }

    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Does work during which the flag is looked at. Who asks for the end before it, or during it, finds that it was.
    pub(super) fn attend<T>(&self, work: impl FnOnce() -> T) -> T {
        self.idle.store(false, Ordering::SeqCst);
        let done = work();
        self.idle.store(true, Ordering::SeqCst);
        done
    }
}
