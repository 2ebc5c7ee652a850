//! Running another program to its end; it does not outlive us, and a signal to us ends it.

use crate::interrupt::Interrupt;
use crate::running::Running;
use anyhow::{Context as _, bail};
use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;

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
