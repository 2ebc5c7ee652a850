//! Options of stock that sign what a command makes. They are refused: what was asked to be signed must not be made without.

use anyhow::bail;
use std::path::PathBuf;

/// What would sign it.
#[derive(Debug, clap::Args)]
pub(crate) struct Signing {
    /// Not possible yet: sign it afterwards
    #[arg(long, value_name = "KEY-ID")]
    gpg_sign: Vec<String>,
    #[arg(long, value_name = "DIRECTORY", hide = true)]
    gpg_homedir: Option<PathBuf>,
    /// Not possible yet: sign it afterwards
    #[arg(long, value_name = "KEY")]
    sign: Vec<String>,
    #[arg(long, value_name = "TYPE", hide = true)]
    sign_type: Option<String>,
}

impl Signing {
    /// Refuses what was asked for; `instead` says what can be done.
    pub(crate) fn refuse(&self, instead: &str) -> anyhow::Result<()> {
        for (option, keys) in [("--gpg-sign", &self.gpg_sign), ("--sign", &self.sign)] {
            if !keys.is_empty() {
                bail!("{option}: signing is not supported; {instead}");
            }
        }
        Ok(())
    }
}
