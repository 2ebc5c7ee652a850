//! Faults: a program killed at, or refused, its n-th call of a system call; for every n, until it is through.
//!
//! strace counts the calls **of each thread** by itself. So the n-th fault hits whichever thread comes first
//! to its n-th call, and an error hits every thread that comes so far. A program of one thread (run ostler with
//! one job) is hit at every single call; of a program with several, every call of the busiest thread is.
//!
//! A killed program is killed on entering the call: the call has not happened.

use crate::command::{attempt, command, describe};
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output};
use tempfile::NamedTempFile;

/// The calls by which a program changes what other programs find on the disk, and by which it makes that last.
pub const CHANGING: &[&str] = &[
    "openat",
    "openat2",
    "write",
    "pwrite64",
    "copy_file_range",
    "ftruncate",
    "fchmod",
    "fchmodat",
    "fchown",
    "fchownat",
    "fsetxattr",
    "setxattr",
    "lsetxattr",
    "utimensat",
    "mkdir",
    "mkdirat",
    "symlink",
    "symlinkat",
    "link",
    "linkat",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "fsync",
    "fdatasync",
    "syncfs",
];

/// What happens at the chosen call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The call does nothing and fails with this error: `EIO`, `ENOSPC`, `EACCES`, `EINTR`, ….
    Error(&'static str),
    /// The process is killed before the call happens.
    Kill,
}

/// The `nth` call of `syscall` (counted from 1 in each thread) meets with `kind`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Name of the system call.
    pub syscall: String,
    /// What happens.
    pub kind: Kind,
    /// At which call.
    pub nth: u32,
}

/// How a program with a fault ended.
#[derive(Debug)]
pub struct FaultRun {
    /// Status and all that was printed.
    pub output: Output,
    /// Whether the fault happened; if not, the program made fewer calls.
    pub injected: bool,
}

impl FaultRun {
    /// Returns whether the program ended with success in spite of the fault.
    pub fn succeeded(&self) -> bool {
        self.output.status.success()
    }
}

/// Runs `program` with one fault. Its environment is that of [`command`] and what `program` sets itself.
#[track_caller]
pub fn run_with_fault(program: &Command, fault: &Fault) -> FaultRun {
    let action = match fault.kind {
        Kind::Error(error) => format!("error={error}"),
        Kind::Kill => "signal=KILL".to_owned(),
    };
    let options = [
        "-e".to_owned(),
        format!("trace={}", fault.syscall),
        "-e".to_owned(),
        format!("inject={}:{action}:when={}", fault.syscall, fault.nth),
    ];
    let (output, log) = traced(program, &options);
    let mark = match fault.kind {
        Kind::Error(_) => "(INJECTED)",
        Kind::Kill => "+++ killed by SIGKILL",
    };
    FaultRun {
        injected: log.contains(mark) || output.status.signal() == Some(9),
        output,
    }
}

/// Calls `case` with the first, second, … fault at `syscall` until a run was not hit any more, and returns how
/// many were. `case` sets the stage, runs the program by [`run_with_fault`] and looks at what is left.
///
/// A program that is still hit after `limit` faults fails the test.
#[track_caller]
pub fn for_each_fault(
    syscall: &str,
    kind: Kind,
    limit: u32,
    mut case: impl FnMut(&Fault) -> FaultRun,
) -> u32 {
    for nth in 1..=limit {
        let fault = Fault {
            syscall: syscall.to_owned(),
            kind,
            nth,
        };
        let run = case(&fault);
        if !run.injected {
            assert!(
                run.succeeded(),
                "fails without a fault, {fault:?}: {}",
                String::from_utf8_lossy(&run.output.stderr)
            );
            return nth - 1;
        }
    }
    panic!("more than {limit} calls of {syscall}");
}

/// Runs `program`, which must succeed, and returns how often each of `syscalls` was called, in the thread that
/// called it most: so many faults can hit it. Calls that this machine does not have are left out.
#[track_caller]
pub fn count_calls(program: &Command, syscalls: &[&str]) -> BTreeMap<String, u32> {
    let optional: Vec<String> = syscalls.iter().map(|name| format!("?{name}")).collect();
    let (output, log) = traced(
        program,
        &["-e".to_owned(), format!("trace={}", optional.join(","))],
    );
    assert!(output.status.success(), "{}", describe(program, &output));
    let mut by_thread: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for line in log.lines() {
        // `1234  openat(AT_FDCWD, …`; the rest of a call that was interrupted starts with `<... `.
        let Some((thread, call)) = line.split_once(' ') else {
            continue;
        };
        let Some((name, _)) = call.trim_start().split_once('(') else {
            continue;
        };
        if syscalls.contains(&name) {
            *by_thread.entry((thread, name)).or_default() += 1;
        }
    }
    let mut most: BTreeMap<String, u32> = BTreeMap::new();
    for ((_, name), count) in by_thread {
        let entry = most.entry(name.to_owned()).or_default();
        *entry = count.max(*entry);
    }
    most
}

/// Runs `program` under strace and returns how it ended, and strace's log.
#[track_caller]
fn traced(program: &Command, options: &[String]) -> (Output, String) {
    let log = NamedTempFile::new().expect("a file for strace's log");
    let mut strace = command("strace");
    strace
        .args(["-f", "-qq", "-o"])
        .arg(log.path())
        .args(options)
        .arg("--");
    strace.arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    if let Some(directory) = program.get_current_dir() {
        strace.current_dir(directory);
    }
    let output = attempt(&mut strace);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        !errors.contains("strace: "),
        "strace cannot run: {}",
        describe(&strace, &output)
    );
    let text = std::fs::read(log.path()).expect("strace writes its log");
    (output, String::from_utf8_lossy(&text).into_owned())
}
