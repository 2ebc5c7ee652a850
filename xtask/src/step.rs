//! Named steps: what runs is printed before it runs, and what failed is named.

use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::{Command, Stdio};

/// Makes the root of the workspace the current directory, whatever directory `cargo xtask` was started in.
pub(crate) fn enter_workspace() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask lies in the workspace")?;
    std::env::set_current_dir(root).with_context(|| format!("cannot enter {}", root.display()))
}

/// Announces a step.
pub(crate) fn announce(name: &str) {
    println!("\n== {name}");
}

/// Runs `command` as the step `name`; its output goes where ours goes.
pub(crate) fn run(name: &str, command: &mut Command) -> Result<()> {
    announce(name);
    let status = command
        .status()
        .with_context(|| format!("{name}: cannot start {}", command.get_program().display()))?;
    if !status.success() {
        bail!(
            "{name} failed: {} ended with {status}",
            command.get_program().display()
        );
    }
    Ok(())
}

/// Runs `command` and returns what it prints.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("{} ended with {}", command.get_program().display(), output.status);
    }
    String::from_utf8(output.stdout).context("output is not UTF-8")
}

/// Returns whether `command` starts and succeeds; what it prints is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Returns the cargo that runs us.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
