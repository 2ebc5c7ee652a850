//! Everything that a user sees: data on standard output; errors, hints, notes and progress on standard error.
//!
//! Lines of data are buffered; whatever goes to standard error flushes them first, so that the two keep their order on a
//! terminal. Text that may come from a repository passes through [`printable`] on its way. Nothing else in the crate
//! writes to either stream.

mod escape;
mod progress;

pub(crate) use escape::printable;
pub(crate) use progress::Progress;

use serde::Serialize;
use std::fmt::{Display, Write as _};
use std::io::{self, BufWriter, ErrorKind, IsTerminal as _, Stdout, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Standard output is a pipe that nobody reads any more.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(crate) struct ClosedOutput;

/// The two streams and how to write to them.
#[derive(Debug)]
pub(crate) struct Ui {
    json: bool,
    color: bool,
    terminal: bool,
    out: Mutex<BufWriter<Stdout>>,
}

/// Standard output, held for a stream of bytes.
struct Stream<'a>(MutexGuard<'a, BufWriter<Stdout>>);

impl io::Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

const RED: &str = "\u{1b}[1;31m";
const CYAN: &str = "\u{1b}[36m";
const RESET: &str = "\u{1b}[0m";

impl Ui {
    /// Returns the user interface of this process.
    pub(crate) fn new(json: bool, no_color: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        Self {
            json,
            color: terminal && !no_color,
            terminal,
            out: Mutex::new(BufWriter::with_capacity(1 << 16, io::stdout())),
        }
    }

    /// Returns whether data is asked for as JSON, one object a line.
    pub(crate) const fn json(&self) -> bool {
        self.json
    }

    fn out(&self) -> MutexGuard<'_, BufWriter<Stdout>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes one line of data.
    pub(crate) fn line(&self, text: impl Display) -> anyhow::Result<()> {
        written(writeln!(self.out(), "{text}"))
    }

    /// Writes a line that only people read: JSON says the same in a field.
    pub(crate) fn heading(&self, text: impl Display) -> anyhow::Result<()> {
        if self.json { Ok(()) } else { self.line(text) }
    }

    /// Writes bytes of data as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> anyhow::Result<()> {
        written(self.out().write_all(bytes))
    }

    /// Returns standard output for a stream of bytes.
    pub(crate) fn stream(&self) -> impl io::Write {
        Stream(self.out())
    }

    /// Returns whether standard output is a terminal.
    #[expect(clippy::unused_self, reason = "the streams are behind this type")]
    pub(crate) fn prints_to_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Writes one JSON object on a line of its own.
    pub(crate) fn object(&self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string(value)?;
        self.line(text)
    }

    /// Writes `value` as JSON where that is asked for, else `text`.
    pub(crate) fn either(&self, value: &impl Serialize, text: impl Display) -> anyhow::Result<()> {
        if self.json {
            self.object(value)
        } else {
            self.line(text)
        }
    }

    /// Writes out what is buffered.
    pub(crate) fn flush(&self) -> anyhow::Result<()> {
        written(self.out().flush())
    }

    /// Prints an error with the chain of its causes.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        let mut causes = error
            .chain()
            .map(|cause| printable(&cause.to_string()).into_owned());
        let mut text = causes.next().unwrap_or_default();
        let mut last = text.clone();
        for cause in causes.filter(|cause| !cause.is_empty()) {
            // A cause that only wraps the next one repeats its words.
            if cause != last {
                let _written = write!(text, ": {cause}");
                last = cause;
            }
        }
        self.message("error:", RED, &text);
    }

    /// Prints what the user may do about an error.
    pub(crate) fn hint(&self, text: &str) {
        self.message("hint:", CYAN, &printable(text));
    }

    /// Prints something worth knowing that is neither data nor an error.
    pub(crate) fn note(&self, text: &str) {
        self.diagnostic(&printable(text));
    }

    fn message(&self, label: &str, color: &str, text: &str) {
        if self.color {
            self.diagnostic(&format!("{color}{label}{RESET} {text}"));
        } else {
            self.diagnostic(&format!("{label} {text}"));
        }
    }

    /// Writes a line to standard error. Where even that fails, nobody is left to be told.
    fn diagnostic(&self, line: &str) {
        let _flushed = self.out().flush();
        let _written = writeln!(io::stderr().lock(), "{line}");
    }

    /// Starts showing a transfer on a terminal; a pipe sees nothing.
    pub(crate) fn transfer(&self, objects: u64, bytes: u64) -> Progress {
        Progress::of_transfer(objects, bytes, self.terminal && !self.json)
    }

    /// Does `work`, and shows on a terminal meanwhile what `shown` returns; a pipe sees nothing.
    pub(crate) fn while_counting<T>(&self, shown: impl Fn() -> String + Sync, work: impl FnOnce() -> T) -> T {
        if self.terminal && !self.json {
            progress::while_counting(&shown, work)
        } else {
            work()
        }
    }

    /// Starts showing progress on a terminal; a pipe sees nothing.
    pub(crate) fn progress(&self, label: &'static str) -> Progress {
        Progress::new(label, self.terminal && !self.json)
    }
}

fn written(result: io::Result<()>) -> anyhow::Result<()> {
    result.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => ClosedOutput.into(),
        _ => anyhow::Error::new(error).context("cannot write to standard output"),
    })
}
