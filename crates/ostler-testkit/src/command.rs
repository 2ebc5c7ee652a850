//! Programs in an environment of our own making, so that nobody's settings change what a test sees.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

/// Where programs are looked for, whatever PATH the tests were started with.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Returns `program` with no environment but a fixed locale, time zone, PATH and no home directory, and with
/// nothing to read on its standard input.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().stdin(Stdio::null()).envs([
        ("PATH", PATH),
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "UTC"),
        ("HOME", "/nonexistent"),
    ]);
    command
}

/// Runs `command` and returns how it ended and what it printed, whichever way it ended.
#[track_caller]
pub fn attempt(command: &mut Command) -> Output {
    match command.output() {
        Ok(output) => output,
        Err(error) => panic!(
            "cannot start {}: {error}; `cargo xtask test --only-install` installs what the tests need",
            command.get_program().display()
        ),
    }
}

/// Runs `command`, which must succeed, and returns its standard output.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = attempt(command);
    assert!(output.status.success(), "{}", describe(command, &output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs `command`, which must fail by itself (not by a signal), and returns its standard error.
#[track_caller]
pub fn fail(command: &mut Command) -> String {
    let output = attempt(command);
    assert!(
        output.status.code().is_some_and(|code| code != 0),
        "expected to fail: {}",
        describe(command, &output)
    );
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns the command line, the status and everything printed, for messages of failed tests.
pub fn describe(command: &Command, output: &Output) -> String {
    format!(
        "{command:?} ended with {}\nstdout: {}\nstderr: {}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
