//! Faults: a program killed at, or refused, its n-th call of a system call; for every n, until it is through.
//!
//! strace counts the calls **of each thread** by itself. So the n-th fault hits whichever thread comes first
//! to its n-th call, and an error hits every thread that comes so far. A program of one thread (run ostler with
//! one job) is hit at every single call; of a program with several, every call of the busiest thread is.
//!
//! A killed program is killed on entering the call: the call has not happened.

use crate::command::{attempt, command, describe};
use rustix::process::{Pid, Signal};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use tempfile::{NamedTempFile, TempDir};

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

/// Returns the command that runs `program` on one processor, as which it starts no more threads than it needs: every run then
/// makes the same calls in the same thread.
pub fn on_one_processor(program: &Command) -> Command {
    let first = rustix::thread::sched_getaffinity(None).ok();
    let first = first.and_then(|set| (0..rustix::thread::CpuSet::MAX_CPU).find(|&cpu| set.is_set(cpu)));
    let mut taskset = command("taskset");
    taskset.args(["--cpu-list", &first.unwrap_or(0).to_string()]);
    wrap(taskset, program)
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

/// Calls `case` with the fault at each of `points`, the [calls](changing_calls) of an earlier run, and with words for where
/// that is, and returns how many runs were hit. `case` is as for [`for_each_fault`].
///
/// A run may make a call less than the earlier one, as whether a time has to be set depends on when it falls: one that is
/// not hit has to succeed. If more than one in ten is not hit, the points are not those of this program, and the test fails.
#[track_caller]
pub fn for_each_point(points: &[Call], kind: Kind, mut case: impl FnMut(&Fault, &str) -> FaultRun) -> usize {
    let mut missed = Vec::new();
    for point in points {
        let context = format!("{kind:?} at {} {}, {}", point.syscall, point.nth, point.text);
        let run = case(&point.fault(kind), &context);
        if !run.injected {
            let errors = String::from_utf8_lossy(&run.output.stderr);
            assert!(run.succeeded(), "fails without a fault, {context}: {errors}");
            missed.push(context);
        }
    }
    assert!(
        !points.is_empty() && missed.len() * 10 <= points.len(),
        "{} of {} points were not hit: {missed:#?}",
        missed.len(),
        points.len()
    );
    points.len() - missed.len()
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

/// Runs `program`, which must succeed, and returns the system calls by which it reached into a directory, or into what was opened below.
#[track_caller]
pub fn calls_below(program: &Command, directory: &Path) -> Vec<String> {
    let options = ["-y", "-s", "4096", "-e", "trace=%file,%desc"].map(str::to_owned);
    let (output, log) = traced(program, &options);
    assert!(output.status.success(), "{}", describe(program, &output));
    let directory = directory.display().to_string();
    // Those that stay on this machine.
    let is_local = |call: &str| {
        ["close(", "fcntl(", "lseek("]
            .iter()
            .any(|name| call.starts_with(name))
    };
    let calls = log
        .lines()
        .filter_map(|line| Some(line.split_once(' ')?.1.trim_start()));
    let calls =
        calls.filter(|call| call.contains(&directory) && !call.starts_with("<...") && !is_local(call));
    calls.map(str::to_owned).collect()
}

/// A system call that a program made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub syscall: String,
    /// The how many-eth of that name it is, counted from 1.
    pub nth: u32,
    /// The call as strace shows it.
    pub text: String,
}

impl Call {
    /// Returns the fault that hits this call.
    pub fn fault(&self, kind: Kind) -> Fault {
        Fault {
            syscall: self.syscall.clone(),
            kind,
            nth: self.nth,
        }
    }
}

/// Runs `program`, which must succeed and change the disk in its first thread only, and returns its [calls that change something](CHANGING) on
/// the disk, in order; of those that open files, the ones that make them. A program killed at any other call leaves
/// what it leaves when killed at the next of these.
#[track_caller]
pub fn changing_calls(program: &Command) -> Vec<Call> {
    let optional: Vec<String> = CHANGING.iter().map(|name| format!("?{name}")).collect();
    let (output, log) = traced(
        program,
        &["-e".to_owned(), format!("trace={}", optional.join(","))],
    );
    assert!(output.status.success(), "{}", describe(program, &output));
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    let mut calls = Vec::new();
    let lines = log.lines().filter_map(|line| line.split_once(' '));
    let main = lines.clone().next().map(|(thread, _)| thread);
    for (thread, text) in lines {
        let text = text.trim_start();
        let Some((name, _)) = text.split_once('(').filter(|(name, _)| CHANGING.contains(name)) else {
            continue;
        };
        let opens =
            name.starts_with("open") && !["O_CREAT", "O_TMPFILE"].iter().any(|flag| text.contains(flag));
        if Some(thread) != main {
            assert!(
                opens,
                "one thread of {program:?} changes the disk, not also {text}"
            );
            continue;
        }
        let nth = counts.entry(name).or_default();
        *nth += 1;
        if !opens {
            calls.push(Call {
                syscall: name.to_owned(),
                nth: *nth,
                text: text.to_owned(),
            });
        }
    }
    calls
}

/// A program that stands still: stopped right after a call of its, as by SIGSTOP, with all locks that it holds.
/// Killed when dropped.
#[derive(Debug)]
pub struct Paused {
    strace: Option<Child>,
    process: Pid,
    drain: Option<JoinHandle<()>>,
}

/// Starts `program` and returns once it stands still after its `nth` call of `syscall`.
#[track_caller]
pub fn pause_after(program: &Command, syscall: &str, nth: u32) -> Paused {
    let directory = TempDir::new().expect("a directory for temporary files");
    let fifo = directory.path().join("log");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0)
        .expect("a pipe of our own");
    let options = [
        "-e".to_owned(),
        format!("trace={syscall}"),
        "-e".to_owned(),
        format!("inject={syscall}:signal=STOP:when={nth}"),
    ];
    let mut command = strace_command(program, &fifo, &options);
    let mut strace = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("strace is there");
    let mut log = BufReader::new(File::open(&fifo).expect("our own pipe"));
    let mut seen = String::new();
    let process = loop {
        let mut line = String::new();
        if log.read_line(&mut line).expect("strace's log") == 0 {
            drop(strace.kill());
            let output = strace.wait_with_output().expect("our own child");
            panic!(
                "{program:?} ended before {syscall} {nth}: {}\n{seen}",
                describe(program, &output)
            );
        }
        if line.contains("--- stopped by SIGSTOP ---") {
            let number = line.split_whitespace().next().and_then(|word| word.parse().ok());
            break number.and_then(Pid::from_raw).expect("strace names the process");
        }
        seen.push_str(&line);
    };
    // strace must never wait for somebody to read its log.
    let drain = std::thread::spawn(move || drop(std::io::copy(&mut log, &mut std::io::sink())));
    Paused {
        strace: Some(strace),
        process,
        drain: Some(drain),
    }
}

impl Paused {
    /// Lets the program go on, and returns how it ended.
    #[track_caller]
    pub fn resume(mut self) -> Output {
        rustix::process::kill_process(self.process, Signal::CONT).expect("our own process");
        let strace = self.strace.take().expect("not resumed yet");
        let output = strace.wait_with_output().expect("our own child");
        if let Some(drain) = self.drain.take() {
            drain.join().expect("reading does not panic");
        }
        output
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        if let Some(mut strace) = self.strace.take() {
            let _gone = rustix::process::kill_process(self.process, Signal::KILL);
            drop(strace.wait());
        }
    }
}

/// Runs `program` under strace and returns how it ended, and strace's log.
#[track_caller]
fn traced(program: &Command, options: &[String]) -> (Output, String) {
    let log = NamedTempFile::new().expect("a file for strace's log");
    let mut strace = strace_command(program, log.path(), options);
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

/// Returns the command that runs `program` under strace, in the environment and directory that `program` sets.
fn strace_command(program: &Command, log: &Path, options: &[String]) -> Command {
    let mut strace = command("strace");
    strace.args(["-f", "-qq", "-o"]).arg(log).args(options).arg("--");
    wrap(strace, program)
}

/// Returns `wrapper` with `program` as its last arguments, in the environment and directory of `program`.
fn wrap(mut wrapper: Command, program: &Command) -> Command {
    wrapper.arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => wrapper.env(name, value),
            None => wrapper.env_remove(name),
        };
    }
    if let Some(directory) = program.get_current_dir() {
        wrapper.current_dir(directory);
    }
    wrapper
}
