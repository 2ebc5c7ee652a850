//! Running another program to its end; it does not outlive us, and a signal to us ends it.

use crate::interrupt::Interrupt;
use anyhow::{Context as _, bail};
use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

/// How often we look whether the program has ended or a signal has come.
const LOOK: Duration = Duration::from_millis(10);

/// A running program; ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already needs neither.
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

impl Running {
    /// Waits for the end. With a signal to us that end comes at once.
    fn wait(&mut self, interrupt: &Interrupt) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            if interrupt.is_set() {
                self.0.kill()?;
                return self.0.wait();
            }
            thread::sleep(LOOK);
        }
    }
}

/// Runs a program, which must succeed, and returns its standard output.
pub(super) fn run(command: &mut Command, interrupt: &Interrupt) -> anyhow::Result<String> {
    let shown = shown(command);
    let failed = || format!("cannot run '{shown}'");
    let spawned = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut running = Running(spawned.with_context(failed)?);
    let (stdout, stderr) = (running.0.stdout.take(), running.0.stderr.take());
    // Both pipes are read while it runs, lest it wait for us.
    let errors = thread::spawn(move || read(stderr));
    let output = thread::spawn(move || read(stdout));
    let status = running.wait(interrupt).with_context(failed)?;
    let (output, errors) = (joined(output), joined(errors));
    interrupt.check()?;
    if !status.success() {
        bail!("'{shown}' failed with {status}: {}", errors.trim());
    }
    Ok(output)
}

fn read(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    // What could be read is enough for a message.
    let _read = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

fn joined(reading: thread::JoinHandle<String>) -> String {
    reading
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.display().to_string())
        .collect::<Vec<_>>()
        .join(" ")
}
