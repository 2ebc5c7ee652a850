//! What passes between us and the script that runs at the far end (`far.sh`).
//!
//! The script is fixed; all that differs from push to push goes to its standard input, a line each, and is never read as a command. It answers
//! in lines of its own, among which others may stand that a shell prints when somebody logs in:
//! ```text
//! we:  path, any|plain|receive, program ostree, program ostree-receive, a line for each ref, an empty line
//! it:  @ostler ref <commit or -> <ref>, for each; then @ostler ready plain|receive
//! we:  URL, depth, options of ostree-receive, '<commit or -> <ref>' for each ref that gets a commit, an empty line, for each that goes,
//!      an empty line; or nothing more, where nothing is to be done
//! it:  @ostler flip once refs may move; @ostler signed where the summary is left as it is; @ostler now <commit or -> <ref> for each;
//!      @ostler done
//! it:  at any time @ostler failed <why>
//! ```

use crate::interrupt::Interrupt;
use crate::running::Running;
use anyhow::{Context as _, bail};
use crossbeam_channel::{Receiver, RecvTimeoutError, unbounded};
use ostler_format::{Checksum, RefName};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::process::{ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often we look whether somebody wants us to stop.
const LOOK: Duration = Duration::from_millis(100);

/// The longest line that is read.
const LONGEST: u64 = 16 << 10;

/// The most lines that are read: more than refs that a push is about.
const MOST: usize = 1 << 18;

/// How long the script gets to tidy up.
const FAREWELL: Duration = Duration::from_secs(5);

/// What stands before each line of the script.
const MARK: &str = "@ostler ";

/// The script, as it runs at the far end.
pub(super) struct Talk<'a> {
    session: Running,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    interrupt: &'a Interrupt,
    patience: Duration,
    /// Returns a number that is another one whenever something has moved.
    moves: &'a dyn Fn() -> u64,
    /// Whether refs may have moved.
    pub(super) is_flipping: bool,
}

impl<'a> Talk<'a> {
    /// Starts the script by `session`, a call of ssh.
    pub(super) fn start(
        mut session: Command,
        interrupt: &'a Interrupt,
        patience: Duration,
        moves: &'a dyn Fn() -> u64,
    ) -> anyhow::Result<Self> {
        session.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut session = Running(session.spawn().context("cannot start ssh")?);
        let input = session.0.stdin.take();
        let output = session.0.stdout.take().context("ssh has no pipes")?;
        let (sender, lines) = unbounded();
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            // Never waits for us, who may be waiting for the script to read.
            for line in std::iter::from_fn(|| next_line(&mut output)).take(MOST) {
                let told = line.strip_prefix(MARK).map(str::to_owned);
                if told.is_some_and(|told| sender.send(told).is_err()) {
                    return;
                }
            }
        });
        Ok(Self {
            session,
            input,
            lines,
            interrupt,
            patience,
            moves,
            is_flipping: false,
        })
    }

    /// Says something, a line each.
    pub(super) fn say(&mut self, lines: &[&str]) -> anyhow::Result<()> {
        let mut text = String::new();
        for line in lines {
            if line.contains(['\n', '\0']) {
                bail!("'{}' cannot be told to the far end", line.escape_debug());
            }
            text += line;
            text.push('\n');
        }
        let Some(input) = &mut self.input else {
            return Ok(());
        };
        if input
            .write_all(text.as_bytes())
            .and_then(|()| input.flush())
            .is_ok()
        {
            return Ok(());
        }
        // Why nobody reads is said, or known by how it ended.
        self.input = None;
        Ok(())
    }

    /// Returns the commits of refs that the script tells until it says `end`, with what follows that word, and the other words.
    pub(super) fn hear(&mut self, end: &str) -> anyhow::Result<Heard> {
        let mut heard = Heard::default();
        loop {
            let line = self.next()?;
            let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match word {
                "ref" | "now" => {
                    let (commit, name) = rest.split_once(' ').context("the far end says half a line")?;
                    let name: RefName = name.parse().context("the far end tells of a ref")?;
                    if commit != "-" {
                        let commit = commit.parse::<Checksum>();
                        let commit = commit.with_context(|| format!("its ref '{name}' is damaged"))?;
                        heard.refs.insert(name, commit);
                    }
                }
                "failed" => bail!("the far end gave up: {rest}"),
                "flip" => self.is_flipping = true,
                word if word == end => {
                    rest.clone_into(&mut heard.rest);
                    return Ok(heard);
                }
                word => heard.words.push(word.to_owned()),
            }
        }
    }

    fn next(&mut self) -> anyhow::Result<String> {
        let (mut before, mut since) = ((self.moves)(), Instant::now());
        loop {
            self.interrupt.check()?;
            match self.lines.recv_timeout(LOOK) {
                Ok(line) => return Ok(line),
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.session.wait(self.interrupt).context("cannot wait for ssh")?;
                    self.interrupt.check()?;
                    bail!("the connection to the far end broke: ssh ended with {status}");
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            let now = (self.moves)();
            if now != before {
                (before, since) = (now, Instant::now());
            } else if since.elapsed() > self.patience {
                bail!("the far end has been silent for {} s", self.patience.as_secs());
            }
        }
    }
}

impl Drop for Talk<'_> {
    fn drop(&mut self) {
        drop(self.input.take());
        self.session.give(FAREWELL, || self.interrupt.is_set());
    }
}

/// What the script has told.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Refs that are there, with their commits.
    pub(super) refs: BTreeMap<RefName, Checksum>,
    /// What followed the last word.
    pub(super) rest: String,
    /// Words without a meaning of their own here.
    pub(super) words: Vec<String>,
}

/// Returns a line without its end; `None` at the end of all. What is longer than any line is cut.
fn next_line(output: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    let read = output.by_ref().take(LONGEST).read_until(b'\n', &mut line);
    if read.ok()? == 0 {
        return None;
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Some(String::from_utf8_lossy(&line).into_owned())
}
