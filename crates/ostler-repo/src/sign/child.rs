//! Running a program that signs or checks: bytes go in, bytes come out, in bounded time and memory.
//!
//! The child gets a process group of its own; when its time is over, or somebody asks for its end, the whole group is killed, and the
//! child is waited for. Its pipes are served by threads, so that neither side waits for the other.

use super::interruption::Interruption;
use crate::ending::wait_for;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{self, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The most bytes that a child may say on either stream.
pub(super) const MAX_OUTPUT: u64 = 16 << 20;

/// How often we look whether the child is to end.
const LOOK: Duration = Duration::from_millis(50);

/// How a child ended, and what it said.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) status: ExitStatus,
    pub(super) output: Vec<u8>,
    pub(super) messages: Vec<u8>,
}

impl Done {
    /// Returns the last line that the child wrote on standard error, for people; or how it ended.
    pub(super) fn complaint(&self) -> String {
        let text = String::from_utf8_lossy(&self.messages);
        let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
        last.map_or_else(|| self.status.to_string(), |line| line.escape_debug().to_string())
    }
}

/// Until when a child may run.
struct Until<'a> {
    deadline: Instant,
    interruption: &'a Interruption,
}

impl Until<'_> {
    /// Returns how long to wait before the next look.
    fn next(&self) -> io::Result<Duration> {
        if self.interruption.is_asked() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match self.deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(left.min(LOOK)),
        }
    }
}

/// Runs a program with bytes to read, within a time limit.
///
/// # Errors
/// What the system answers to the start; [`io::ErrorKind::TimedOut`] when the time is over,
/// [`io::ErrorKind::Interrupted`] when its end was asked for, also if it came by itself, and
/// [`io::ErrorKind::FileTooLarge`] for more than [`MAX_OUTPUT`] bytes.
pub(super) fn run(
    command: &mut Command,
    input: &[u8],
    limit: Duration,
    interruption: &Interruption,
) -> io::Result<Done> {
    let until = Until {
        deadline: Instant::now() + limit,
        interruption,
    };
    let done = interruption.attend(|| start(command, input, &until));
    if interruption.is_asked() {
        return Err(io::ErrorKind::Interrupted.into());
    }
    done
}

fn start(command: &mut Command, input: &[u8], until: &Until<'_>) -> io::Result<Done> {
    until.next()?;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let done = attend(&mut child, input, until);
    if done.is_err() && kill(&mut child) {
        // Killed, it cannot keep us waiting.
        child.wait()?;
    }
    done
}

/// Kills the child with everything that it has started, except what went into a group of its own. Returns whether we may: a child can
/// have become somebody else.
fn kill(child: &mut Child) -> bool {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _gone = kill_process_group(group, Signal::KILL);
    }
    child.kill().is_ok()
}

fn attend(child: &mut Child, input: &[u8], until: &Until<'_>) -> io::Result<Done> {
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_vec();
        // A program that does not read to the end says why when it ends.
        thread::spawn(move || drop(stdin.write_all(&input)));
    }
    let output = child.stdout.take().map(gather);
    let messages = child.stderr.take().map(gather);
    let output = received(output, until)?;
    let messages = received(messages, until)?;
    let status = ended(child, until)?;
    Ok(Done {
        status,
        output,
        messages,
    })
}

/// Waits for the end of a child that has closed its streams, which need not be at once.
fn ended(child: &mut Child, until: &Until<'_>) -> io::Result<ExitStatus> {
    loop {
        let limit = until.next();
        // One that has ended counts, however late we look.
        if let Some(status) = wait_for(child, *limit.as_ref().unwrap_or(&Duration::ZERO))? {
            return Ok(status);
        }
        limit?;
    }
}

/// Reads a stream to its end in a thread of its own.
fn gather(stream: impl Read + Send + 'static) -> Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = crossbeam_channel::bounded(1);
    let read = move |sender: Sender<io::Result<Vec<u8>>>| {
        let mut bytes = Vec::new();
        let read = stream.take(MAX_OUTPUT + 1).read_to_end(&mut bytes);
        let result = match read {
            Ok(_) if bytes.len() as u64 > MAX_OUTPUT => Err(io::ErrorKind::FileTooLarge.into()),
            Ok(_) => Ok(bytes),
            Err(error) => Err(error),
        };
        // Nobody listens after the deadline.
        let _late = sender.send(result);
    };
    thread::spawn(move || read(sender));
    receiver
}

fn received(stream: Option<Receiver<io::Result<Vec<u8>>>>, until: &Until<'_>) -> io::Result<Vec<u8>> {
    let Some(stream) = stream else {
        return Ok(Vec::new());
    };
    loop {
        match stream.recv_timeout(until.next()?) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    fn run(command: &mut Command, input: &[u8], limit: Duration) -> io::Result<Done> {
        super::run(command, input, limit, &Interruption::default())
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_streams_of_a_child_are_read_while_it_reads() {
        let input = vec![b'x'; 1 << 20];
        let done = run(&mut shell("tee /dev/stderr"), &input, Duration::from_secs(30)).unwrap();
        assert!(done.status.success());
        assert!(done.output == input && done.messages == input);
    }

    #[test]
    fn a_child_that_takes_too_long_is_killed_with_what_it_started() {
        let began = Instant::now();
        let error = run(
            &mut shell("sleep 600 & sleep 600"),
            b"",
            Duration::from_millis(200),
        )
        .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_child_whose_end_is_asked_for_is_killed_with_what_it_started() {
        for script in [
            "echo $$; sleep 600 & sleep 600",
            "echo $$; exec <&- >&- 2>&-; sleep 600",
        ] {
            let interruption = Interruption::default();
            let (asked, idle) = (interruption.asked(), interruption.idle());
            let asks = thread::spawn(move || {
                while idle.load(Ordering::SeqCst) {
                    thread::yield_now();
                }
                asked.store(true, Ordering::SeqCst);
            });
            let limit = Duration::from_secs(600);
            let began = Instant::now();
            let error = super::run(&mut shell(script), b"", limit, &interruption).unwrap_err();
            asks.join().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::Interrupted);
            assert!(began.elapsed() < Duration::from_secs(60));
            assert!(interruption.idle().load(Ordering::SeqCst));
            let again = super::run(&mut shell("true"), b"", limit, &interruption).unwrap_err();
            assert_eq!(again.kind(), io::ErrorKind::Interrupted);
        }
    }

    #[test]
    fn a_child_that_closes_its_streams_is_waited_for() {
        let closed = "exec <&- >&- 2>&-; ";
        let done = run(
            &mut shell(&format!(
                "{closed}n=0; while [ $n -lt 30000 ]; do n=$((n + 1)); done; exit 3"
            )),
            b"",
            Duration::from_secs(30),
        )
        .unwrap();
        assert_eq!(done.status.code(), Some(3));
        let error = run(
            &mut shell(&format!("{closed}exec sleep 600")),
            b"",
            Duration::from_millis(200),
        )
        .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn endless_output_is_refused() {
        let error = run(&mut shell("yes"), b"", Duration::from_secs(60)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn the_last_line_of_a_child_is_its_complaint() {
        let done = run(
            &mut shell("echo one >&2; echo two >&2; exit 3"),
            b"",
            Duration::from_secs(30),
        )
        .unwrap();
        assert_eq!(done.complaint(), "two");
        let done = run(&mut shell("exit 3"), b"", Duration::from_secs(30)).unwrap();
        assert_eq!(done.complaint(), "exit status: 3");
    }
}
