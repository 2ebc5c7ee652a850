//! The option that says what becomes of the summary of a target whose refs change.

use ostler_transfer::SummaryPolicy;

/// What becomes of the summary.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub(crate) enum SummaryChoice {
    /// That of the source, or of the generation, with its signature if it fits DEST's refs, else a new one without; never
    /// drops a signature
    #[default]
    Auto,
    /// That of the source, or of the generation; fails if there is none that fits
    Copy,
    /// A new one, unsigned
    Generate,
    /// Left alone
    None,
}

impl From<SummaryChoice> for SummaryPolicy {
    fn from(choice: SummaryChoice) -> Self {
        match choice {
            SummaryChoice::Auto => Self::Auto,
            SummaryChoice::Copy => Self::Copy,
            SummaryChoice::Generate => Self::Generate,
            SummaryChoice::None => Self::None,
        }
    }
}
