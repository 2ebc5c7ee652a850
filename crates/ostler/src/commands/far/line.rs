//! The program that leads to the far end: ssh, or a process of our own on this machine.

use super::{Destination, Way};
use crate::context::Context;
use crate::patience::{PatientRead, PatientWrite};
use anyhow::Context as _;
use std::ffi::OsString;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

/// A far end on this machine lets whoever may write to the repository do all.
pub(crate) const ALL: &str = "--allow=create,fast-forward,force,delete";

/// A child and its pipes.
#[derive(Debug)]
pub(crate) struct Line {
    child: Mutex<Child>,
    program: String,
}

impl Line {
    /// Starts the program. Its messages go where ours go.
    pub(crate) fn open(
        context: &Context,
        destination: &Destination,
        way: &Way,
    ) -> anyhow::Result<(Self, PatientRead, PatientWrite)> {
        let command = match destination {
            Destination::Directory(path) => {
                let program = match &way.command {
                    Some(program) => program.clone(),
                    None => context.environment().executable()?.into_os_string(),
                };
                let mut command = Command::new(program);
                command.args(["receive", ALL, "--repo"]).arg(path);
                command
            }
            Destination::Ssh { host, port, .. } => {
                // The path of the repository is not in it: it travels in the greeting, past every shell.
                let mut far = way
                    .command
                    .as_ref()
                    .map_or_else(|| OsString::from("ostler"), quoted);
                far.push(" receive");
                let mut command = way.ssh(*port);
                command.arg("--").arg(host).arg(far);
                command
            }
        };
        Self::start(command, way)
    }

    /// Starts a program that speaks for the far end.
    pub(crate) fn start(
        mut command: Command,
        way: &Way,
    ) -> anyhow::Result<(Self, PatientRead, PatientWrite)> {
        let program = command.get_program().display().to_string();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let (Some(input), Some(output)) = (child.stdout.take(), child.stdin.take()) else {
            anyhow::bail!("{program} has no pipes");
        };
        let limit = way.patience();
        let line = Self {
            child: Mutex::new(child),
            program,
        };
        Ok((
            line,
            PatientRead::new(input, limit),
            PatientWrite::new(output, limit),
        ))
    }

    /// Ends the program at once.
    pub(crate) fn hang_up(&self) {
        // One that is gone need not be ended.
        drop(self.child.lock().unwrap_or_else(PoisonError::into_inner).kill());
    }

    /// Waits for the program, and returns how it ended.
    pub(crate) fn close(&self) -> anyhow::Result<ExitStatus> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child
            .wait()
            .with_context(|| format!("cannot wait for {}", self.program))
    }

    /// Returns the name of the program.
    pub(crate) fn program(&self) -> &str {
        &self.program
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.hang_up();
        drop(self.close());
    }
}

/// Returns a word that a shell takes as it is.
pub(crate) fn quoted(word: &OsString) -> OsString {
    let mut quoted = OsString::from("'");
    let text = word.to_string_lossy().replace('\'', "'\\''");
    quoted.push(text);
    quoted.push("'");
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_shell_finds_anything_in_a_quoted_word() {
        for (word, text) in [
            ("/opt/o", "'/opt/o'"),
            ("$(x);", "'$(x);'"),
            ("it's", "'it'\\''s'"),
        ] {
            assert_eq!(quoted(&OsString::from(word)), OsString::from(text));
        }
    }
}
