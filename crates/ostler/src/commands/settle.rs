//! The option that says how long clients get between two summaries.

use std::time::Duration;

/// How long clients get.
#[derive(Debug, clap::Args)]
pub(crate) struct Settle {
    /// Where the old and the new summary have signatures of ed25519 or spki: leave so many seconds in which both fit to clients
    /// that have fetched the old signatures
    #[arg(long = "settle", value_name = "SECONDS", default_value_t = USUAL)]
    seconds: u16,
}

/// Several round trips to anywhere.
const USUAL: u16 = 2;

impl Settle {
    /// Returns whether nothing else was said.
    pub(crate) const fn is_default(&self) -> bool {
        self.seconds == USUAL
    }

    /// Returns the time.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}
