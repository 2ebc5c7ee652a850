//! SIGINT and SIGTERM as a flag that long jobs look at.
//!
//! Until a command asks for the flag, both signals end the process at once, which every write path survives. From then
//! on the first sets the flag, and the second ends the process with status 130.
//!
//! A command that asks for nothing but lets programs sign has to see to it that these end with it: while one runs a signal is a flag,
//! else it ends the process at once.

use crate::exit::{Interrupted, Status};
use anyhow::Context as _;
use ostler_repo::sign::Interruption;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The flag.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Takes the two signals over.
    ///
    /// # Errors
    /// The system refuses the handlers.
    pub(crate) fn watch() -> anyhow::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            let status = i32::from(Status::Interrupted as u8);
            signal_hook::flag::register_conditional_shutdown(signal, status, Arc::clone(&flag))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&flag)))
                .context("cannot watch for signals")?;
        }
        Ok(Self(flag))
    }

    /// Returns what ends programs that sign once a signal has come.
    pub(crate) fn of_signers(&self) -> Interruption {
        Interruption::by(Arc::clone(&self.0))
    }

    /// Takes the two signals over for as long as programs sign, and no longer.
    ///
    /// # Errors
    /// The system refuses the handlers.
    pub(crate) fn while_signing() -> anyhow::Result<Interruption> {
        let interruption = Interruption::default();
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_conditional_default(signal, interruption.idle())
                .and_then(|_| signal_hook::flag::register(signal, interruption.asked()))
                .context("cannot watch for signals")?;
        }
        Ok(interruption)
    }

    /// Returns the flag itself, for libraries that look at it.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.0
    }

    /// Returns whether a signal has come.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Fails with [`Interrupted`] once a signal has come.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.is_set() {
            Err(Interrupted.into())
        } else {
            Ok(())
        }
    }
}
