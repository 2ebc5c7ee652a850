//! Runs every test of the workspace; the test runner's summary comes last.

use crate::step;
use anyhow::Result;
use std::process::Command;

/// Runs the examples in the documentation, then all other tests.
pub(crate) fn run() -> Result<()> {
    step::run(
        "examples in the documentation",
        step::cargo().args(["test", "--locked", "--quiet", "--workspace", "--doc"]),
    )?;
    let nextest = step::succeeds(Command::new("cargo").args(["nextest", "--version"]));
    if nextest {
        step::run(
            "tests",
            step::cargo().args(["nextest", "run", "--locked", "--workspace"]),
        )
    } else {
        step::run(
            "tests",
            step::cargo().args([
                "test",
                "--locked",
                "--workspace",
                "--no-fail-fast",
                "--bins",
                "--lib",
                "--tests",
            ]),
        )
    }
}
