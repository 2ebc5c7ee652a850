//! The exit statuses: one table, and how an error turns into one of them.
//!
//! | status | meaning |
//! | --- | --- |
//! | 0 | done |
//! | 1 | failed |
//! | 2 | bad usage (as `ostree`: 1, as the stock command) |
//! | 126 | a program that was to run cannot be run |
//! | 127 | a program that was to run is not there |
//! | 130 | interrupted |
//! | 141 | whoever read standard output went away; nothing is printed |

use crate::hints;
use crate::program::Program;
use crate::ui::{ClosedOutput, Ui};
use ostler_repo::RepoError;
use ostler_transfer::TransferError;
use std::ffi::{OsStr, OsString};
use std::io;
use std::process::ExitCode;

/// An exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Status {
    /// Everything asked for is done.
    Done = 0,
    /// It is not; the error says what.
    Failed = 1,
    /// The arguments make no sense.
    Usage = 2,
    /// A program that was to run cannot be run.
    NotExecutable = 126,
    /// A program that was to run is not there.
    NotFound = 127,
    /// SIGINT or SIGTERM.
    Interrupted = 130,
    /// Standard output is a pipe that nobody reads any more.
    ClosedOutput = 141,
}

/// The arguments make no sense together; found after clap had its look.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// A signal asked the command to stop, and it stopped at a safe place.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Interrupted;

/// It failed, and whoever should hear of it has heard.
#[derive(Debug, thiserror::Error)]
#[error("told at the other end")]
pub(crate) struct Told;

/// A program that was to take our place could not.
#[derive(Debug, thiserror::Error)]
#[error("cannot run {}", program.display())]
pub(crate) struct Unstarted {
    program: OsString,
    #[source]
    source: io::Error,
}

impl Unstarted {
    /// Names the program and what the system answered.
    pub(crate) fn new(program: &OsStr, source: io::Error) -> Self {
        Self {
            program: program.to_owned(),
            source,
        }
    }
}

/// Returns whether an argument that should be a pattern of refs is none.
fn is_bad_pattern(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(TransferError::BadPattern { .. }))
}

/// Returns a usage error with `text`.
pub(crate) fn usage(text: impl Into<String>) -> anyhow::Error {
    UsageError(text.into()).into()
}

impl Status {
    /// Returns the status that `error` stands for.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        if error.is::<ClosedOutput>() {
            Self::ClosedOutput
        } else if is_interruption(error) {
            Self::Interrupted
        } else if error.is::<UsageError>() || is_bad_pattern(error) {
            Self::Usage
        } else if let Some(unstarted) = error.downcast_ref::<Unstarted>() {
            match unstarted.source.kind() {
                io::ErrorKind::NotFound => Self::NotFound,
                _ => Self::NotExecutable,
            }
        } else {
            Self::Failed
        }
    }

    /// Returns the number for the shell.
    pub(crate) fn code(self, program: Program) -> ExitCode {
        match (program, self) {
            (Program::Ostree, Self::Usage) => ExitCode::from(Self::Failed as u8),
            _ => ExitCode::from(self as u8),
        }
    }
}

/// Returns whether somebody asked for the end, by the word of whichever part noticed.
fn is_interruption(error: &anyhow::Error) -> bool {
    error.is::<Interrupted>()
        || matches!(error.downcast_ref(), Some(RepoError::Interrupted))
        || matches!(error.downcast_ref(), Some(TransferError::Interrupted))
}

/// Prints the error of `result`, if it is one, with its causes and hints, and returns the status.
pub(crate) fn conclude(program: Program, ui: &Ui, result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else {
        return Status::Done.code(program);
    };
    let status = Status::of(&error);
    if status != Status::ClosedOutput && !error.is::<Told>() {
        ui.error(&error);
        for hint in hints::of(&error, program) {
            ui.hint(&hint);
        }
    }
    status.code(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_usage_is_2_for_us_and_1_for_scripts_written_for_ostree() {
        let error = usage("no such thing").context("while reading");
        assert_eq!(Status::of(&error), Status::Usage);
        let code = |status: Status, program| format!("{:?}", status.code(program));
        assert_eq!(
            code(Status::Usage, Program::Ostler),
            format!("{:?}", ExitCode::from(2))
        );
        assert_eq!(
            code(Status::Usage, Program::Ostree),
            format!("{:?}", ExitCode::from(1))
        );
    }
}
