//! The option that says how long clients get between two summaries.

use std::time::Duration;

/// How long clients get.
#[derive(Debug, clap::Args)]
pub(crate) struct Settle {
    /// Where the old and the new summary have signatures of ed25519 or spki: leave so many seconds in which both fit to clients
    /// that have fetched the old signatures
    #[arg(long = "settle", value_name = "SECONDS", default_value_t = 2)]
    seconds: u16,
}

impl Settle {
    /// Returns the time.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}
