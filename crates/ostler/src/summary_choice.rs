//! The option that says what becomes of the summary of a target whose refs change.

use crate::commands::{Settle, Signing as Keys};
use crate::context::Context;
use crate::exit;
use crate::interrupt::Interrupt;
use ostler_transfer::{Signing, SummaryPolicy};

/// What becomes of the summary.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub(crate) enum SummaryChoice {
    /// That of the source, or of the generation, with its signature if it fits DEST's refs, else a new one without; never
    /// drops a signature. With a key, it is signed
    #[default]
    Auto,
    /// That of the source, or of the generation; fails if there is none that fits
    Copy,
    /// A new one, unsigned without a key
    Generate,
    /// Left alone
    None,
}

impl SummaryChoice {
    /// Puts together who signs the summary that is chosen; a command that watches for signals says by what.
    ///
    /// # Errors
    /// For keys where nothing new is made; what is wrong with a key.
    pub(crate) fn signing(
        self,
        context: &Context,
        signing: &Keys,
        settle: &Settle,
        interrupt: Option<&Interrupt>,
    ) -> anyhow::Result<Signing> {
        let signers = signing.signers(context, interrupt)?;
        if !signers.is_empty() && matches!(self, Self::Copy | Self::None) {
            return Err(exit::usage(
                "a key signs the summary of --summary=auto or generate; copy and none leave it as it is",
            ));
        }
        Ok(Signing {
            signers,
            settle: settle.time(),
        })
    }
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
