//! Builds the fuzz targets and runs each once over its corpus.
//!
//! cargo-fuzz wants options of the nightly compiler. Where no nightly toolchain is installed, the stable
//! one is told to accept them: the targets never leave this machine.

use crate::{step, tools};
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where cargo-fuzz goes when the machine has none: below the build directory, out of nobody's way.
const TOOLS_DIRECTORY: &str = "target/tools";

/// Builds every fuzz target and runs it over the files of `fuzz/corpus/<target>`.
pub(crate) fn build_and_replay() -> Result<()> {
    let cargo_fuzz = ensure_cargo_fuzz()?;
    let mut build = toolchain(&cargo_fuzz);
    step::run("build the fuzz targets", build.args(["fuzz", "build"]))?;
    let listed = step::output_of(toolchain(&cargo_fuzz).args(["fuzz", "list"]))?;
    let directory = built_directory()?;
    for target in listed.lines().map(str::trim).filter(|line| !line.is_empty()) {
        replay(&directory, target)?;
    }
    Ok(())
}

/// Runs one target over its corpus, without looking for new inputs.
fn replay(directory: &Path, target: &str) -> Result<()> {
    let corpus = Path::new("fuzz/corpus").join(target);
    if !corpus.is_dir() {
        bail!("fuzz target {target} has no corpus, run fuzz/make-corpus");
    }
    let log = Path::new("target/tools").join(format!("{target}.log"));
    std::fs::create_dir_all("target/tools")?;
    let stderr = std::fs::File::create(&log)?;
    let status = Command::new(directory.join(target))
        .arg("-runs=0")
        .arg(&corpus)
        .stderr(stderr)
        .status()
        .with_context(|| format!("cannot run fuzz target {target}"))?;
    if !status.success() {
        print!("{}", std::fs::read_to_string(&log).unwrap_or_default());
        bail!("fuzz target {target} failed on its corpus");
    }
    println!("{target}: corpus holds");
    Ok(())
}

fn built_directory() -> Result<PathBuf> {
    let host = step::output_of(Command::new("rustc").arg("-vV"))?;
    let triple = host
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc names no host")?;
    Ok(Path::new("fuzz/target").join(triple).join("release"))
}

/// Returns the directory to add to PATH for `cargo fuzz`, if it is not there by itself.
fn ensure_cargo_fuzz() -> Result<PathBuf> {
    if let Some(found) = tools::find("cargo-fuzz") {
        return Ok(found.parent().map(Path::to_owned).unwrap_or_default());
    }
    let bin = std::path::absolute(TOOLS_DIRECTORY)?.join("bin");
    if !bin.join("cargo-fuzz").is_file() {
        step::run(
            "install cargo-fuzz",
            step::cargo().args([
                "install",
                "--locked",
                "--quiet",
                "--root",
                TOOLS_DIRECTORY,
                "cargo-fuzz",
            ]),
        )?;
    }
    Ok(bin)
}

/// Returns a `cargo` that takes nightly options, with `cargo-fuzz` of `directory` in its PATH.
fn toolchain(directory: &Path) -> Command {
    let nightly = step::succeeds(
        Command::new("rustup")
            .args(["run", "nightly", "rustc", "-V"])
            .env("RUSTUP_AUTO_INSTALL", "0"),
    );
    let mut command;
    if nightly {
        command = Command::new("rustup");
        command.args(["run", "nightly", "cargo"]);
    } else {
        command = Command::new("cargo");
        command.env("RUSTC_BOOTSTRAP", "1");
    }
    let mut path = directory.as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    command
        .env("PATH", path)
        .env_remove("CARGO")
        .env_remove("RUSTUP_TOOLCHAIN");
    command
}
