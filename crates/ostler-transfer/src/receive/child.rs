//! Running a hook: a program without a shell, in an environment of our making, in bounded time; what it says is heard line by line.
//!
//! It gets a process group of its own; when its time is over, or we are to end, the whole group is killed. Its streams are served by
//! threads, so that it never waits for us. What it has left running keeps nobody waiting: a second after its end we stop listening.

use super::rules::HookProgram;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use ostler_repo::wait_for;
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The longest line that is told, in bytes; a longer one is told in pieces.
const MAX_LINE: u64 = 1 << 10;

/// How much of what a hook says is told, in bytes.
const MAX_TOLD: usize = 64 << 10;

/// How many lines wait for being told.
const LINES: usize = 64;

/// How often we look whether the hook is to end, or has ended.
const LOOK: Duration = Duration::from_millis(20);

/// How long we listen to what a hook has left running.
const LINGER: Duration = Duration::from_secs(1);

/// A call of a hook.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) program: &'a HookProgram,
    pub(super) arguments: &'a [&'a str],
    pub(super) environment: &'a [(&'static str, OsString)],
    pub(super) directory: &'a Path,
    /// For its standard input.
    pub(super) input: Vec<u8>,
    pub(super) limit: Duration,
    pub(super) interrupted: &'a AtomicBool,
}

/// Why a hook has not come to an end of its own.
#[derive(Debug)]
pub(super) enum Fault {
    /// It cannot be run.
    System(io::Error),
    /// Its time is over.
    TooLong,
    /// We are to end.
    Interrupted,
}

impl Call<'_> {
    /// Runs it, and returns how it ended. `hear` is given what it says on either stream, a line at a time, with nothing in it that
    /// controls a terminal.
    pub(super) fn run(&self, hear: &mut dyn FnMut(&str)) -> Result<ExitStatus, Fault> {
        let deadline = Instant::now() + self.limit;
        let mut child = Command::new(&self.program.path)
            .args(self.program.arguments.iter().map(OsStr::new))
            .args(self.arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(Fault::System)?;
        let ended = self.attend(&mut child, deadline, hear);
        if ended.is_err() {
            kill(&mut child);
        }
        ended
    }

    fn attend(
        &self,
        child: &mut Child,
        deadline: Instant,
        hear: &mut dyn FnMut(&str),
    ) -> Result<ExitStatus, Fault> {
        let (sender, lines) = bounded(LINES);
        if let Some(mut stdin) = child.stdin.take() {
            let input = self.input.clone();
            // A hook that does not read to the end says by its status what it thinks.
            thread::spawn(move || drop(stdin.write_all(&input)));
        }
        if let Some(stdout) = child.stdout.take() {
            let sender = sender.clone();
            thread::spawn(move || pass_on(stdout, &sender));
        }
        if let Some(stderr) = child.stderr.take() {
            thread::spawn(move || pass_on(stderr, &sender));
        }
        let mut ended: Option<(ExitStatus, Instant)> = None;
        let mut is_listening = true;
        let mut told = 0;
        loop {
            if is_listening {
                match lines.recv_timeout(LOOK) {
                    Ok(line) => tell(&line, &mut told, hear),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => is_listening = false,
                }
            }
            if ended.is_none() {
                let limit = if is_listening { Duration::ZERO } else { LOOK };
                let status = wait_for(child, limit).map_err(Fault::System)?;
                ended = status.map(|status| (status, Instant::now()));
            }
            match ended {
                Some((status, at)) if !is_listening || at.elapsed() > LINGER => return Ok(status),
                None if self.interrupted.load(Ordering::Relaxed) => return Err(Fault::Interrupted),
                None if Instant::now() >= deadline => return Err(Fault::TooLong),
                Some(_) | None => {}
            }
        }
    }
}

/// Kills a hook with everything that it has started, except what went into a group of its own.
fn kill(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _gone = kill_process_group(group, Signal::KILL);
    }
    if child.kill().is_ok() {
        // Killed, it cannot keep us waiting.
        drop(child.wait());
    }
}

/// Passes lines on until the stream ends; reads on when nobody listens any more, so that its writer is not held.
fn pass_on(stream: impl Read, lines: &Sender<Vec<u8>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        match reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if lines.send(line).is_err() => {
                drop(io::copy(&mut reader, &mut io::sink()));
                return;
            }
            Ok(_) => {}
        }
    }
}

fn tell(line: &[u8], told: &mut usize, hear: &mut dyn FnMut(&str)) {
    let before = *told;
    *told = before.saturating_add(line.len());
    if *told <= MAX_TOLD {
        hear(&shown(line));
    } else if before <= MAX_TOLD {
        hear("(the hook says more than is told)");
    }
}

/// Returns a line with its control characters spelt out.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut shown = String::with_capacity(text.len());
    for letter in text.trim_end_matches(['\n', '\r']).chars() {
        if letter.is_control() && letter != '\t' {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    static NEVER: AtomicBool = AtomicBool::new(false);

    fn run(
        script: &str,
        limit: Duration,
        interrupted: &AtomicBool,
    ) -> (Result<ExitStatus, Fault>, Vec<String>) {
        let program = HookProgram {
            path: "/bin/sh".into(),
            arguments: ["-c", script].map(str::to_owned).to_vec(),
        };
        let mut heard = Vec::new();
        let ended = Call {
            program: &program,
            arguments: &["hook", "one"],
            environment: &[
                ("WORD", OsString::from("given")),
                ("PATH", OsString::from("/usr/bin:/bin")),
            ],
            directory: Path::new("/"),
            input: b"first\nsecond\n".to_vec(),
            limit,
            interrupted,
        }
        .run(&mut |line| heard.push(line.to_owned()));
        (ended, heard)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn hook_is_given_what_it_needs_and_nothing_else() {
        let script = "cat; echo \"$1 $WORD\"; env | sed 's/=.*//' | sort | tr '\\n' ' '; exit 3";
        let (ended, heard) = run(script, LONG, &NEVER);
        assert_eq!(ended.unwrap().code(), Some(3));
        // The shell itself sets some.
        assert_eq!(heard[..3], ["first", "second", "one given"]);
        let own = ["PATH", "PWD", "SHLVL", "WORD", "_", "OLDPWD"];
        assert!(
            heard[3]
                .split(' ')
                .all(|name| name.is_empty() || own.contains(&name)),
            "{heard:?}"
        );
    }

    #[test]
    fn what_a_hook_says_is_bounded_and_controls_no_terminal() {
        let (ended, heard) = run("printf 'a\\033[2Jb\\n' >&2", LONG, &NEVER);
        assert!(ended.unwrap().success());
        assert_eq!(heard, ["a\\u{1b}[2Jb"]);
        let (ended, heard) = run("yes 0123456789 | head -c 10000000", LONG, &NEVER);
        assert!(ended.unwrap().success());
        assert!(heard.iter().map(String::len).sum::<usize>() < MAX_TOLD + 100);
        let (_, heard) = run("head -c 3000 /dev/zero | tr '\\0' x", LONG, &NEVER);
        assert_eq!(heard.concat().len(), 3000);
    }

    #[test]
    fn hook_that_takes_too_long_and_one_of_a_receiver_that_ends_are_killed_with_what_they_started() {
        let began = Instant::now();
        let (ended, heard) = run(
            "echo $$; sleep 600 & sleep 600",
            Duration::from_millis(300),
            &NEVER,
        );
        assert!(matches!(ended, Err(Fault::TooLong)));
        let group = Pid::from_raw(heard[0].parse().unwrap()).unwrap();
        while rustix::process::test_kill_process_group(group).is_ok() {
            assert!(began.elapsed() < LONG, "{heard:?}");
        }
        let (ended, _) = run("exec >&- 2>&-; sleep 600", LONG, &AtomicBool::new(true));
        assert!(matches!(ended, Err(Fault::Interrupted)));
        assert!(began.elapsed() < LONG);
    }

    #[test]
    fn what_a_hook_leaves_running_keeps_nobody_waiting() {
        let began = Instant::now();
        let (ended, heard) = run("echo said; sleep 100 & exit 0", LONG, &NEVER);
        assert!(ended.unwrap().success());
        assert_eq!(heard, ["said"]);
        assert!(began.elapsed() < LONG);
    }

    #[test]
    fn hook_that_is_not_there_is_told() {
        let program = HookProgram {
            path: "/nonexistent/hook".into(),
            arguments: Vec::new(),
        };
        let call = Call {
            program: &program,
            arguments: &[],
            environment: &[],
            directory: Path::new("/"),
            input: Vec::new(),
            limit: LONG,
            interrupted: &NEVER,
        };
        assert!(matches!(call.run(&mut |_| ()), Err(Fault::System(_))));
    }
}
