//! The manual pages of all commands, made by the binary of what it knows about itself.

use crate::step;
use anyhow::Result;
use std::path::Path;

/// Builds the binary and lets it write its manual pages into `directory`.
pub(crate) fn write(directory: &Path) -> Result<()> {
    step::run(
        "manual pages",
        step::cargo()
            .args(["run", "--locked", "--quiet", "--package=ostler", "--", "man"])
            .arg(directory),
    )?;
    println!("manual pages are in {}", directory.display());
    Ok(())
}
