//! A source, a repository that is pushed to, and a push between them.

use super::peer::Peer;
use crate::fixture::{NOW, Source};
use ostler_format::{Checksum, RefName};
use ostler_repo::sign::TrustPaths;
use ostler_repo::{OpenOptions, Repo};
use ostler_testkit::oracle::strays;
use ostler_testkit::stock::StockRepo;
use ostler_transfer::push::{PushOptions, PushReporter, Pushed, Wanted, push};
use ostler_transfer::receive::{ReceiveOptions, ReceiveRules, Received, Rights, Surroundings, receive};
use ostler_transfer::{Result, Silent, TransferError};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::num::NonZero;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

static NEVER: AtomicBool = AtomicBool::new(false);

/// What a push brings: refs of the far end with commits, or nothing.
pub(crate) type Updates = BTreeMap<RefName, Option<Checksum>>;

/// A source and a repository that is pushed to.
pub(crate) struct Scene {
    pub(crate) source: Source,
    dir: TempDir,
    pub(crate) target: StockRepo,
}

/// How a push went at either end.
pub(crate) struct Ended {
    pub(crate) pushed: Result<Pushed>,
    pub(crate) received: Result<Received>,
    /// How many bytes the far end has taken.
    pub(crate) bytes: u64,
}

/// Which byte changes, and by which bits, in each direction.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bent {
    pub(crate) to_target: Option<(u64, u8)>,
    pub(crate) to_source: Option<(u64, u8)>,
}

/// How such a push went, and how many bytes each end has taken.
pub(crate) struct EndedBent {
    pub(crate) pushed: Result<Pushed>,
    pub(crate) received: Result<Received>,
    pub(crate) lengths: (u64, u64),
}

/// How long an end waits where a byte was changed: on a machine that is slow an honest session may end so as well, as an error.
const BENT_PATIENCE: Duration = Duration::from_millis(400);

impl Scene {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().expect("a directory");
        let target = StockRepo::init(&dir.path().join("target"), "archive");
        // Nothing here need outlive a power cut.
        target.run(&["config", "set", "core.fsync", "false"]);
        Self {
            source: Source::new(),
            dir,
            target,
        }
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.dir.path().join("target")
    }

    /// Returns the refs of the source with their commits.
    pub(crate) fn all(&self) -> Updates {
        let refs = self.source.refs().into_iter();
        refs.map(|(name, commit)| (name.parse().unwrap(), Some(commit.parse().unwrap())))
            .collect()
    }

    /// Pushes with all rights.
    pub(crate) fn push(&self, updates: &Updates) -> Ended {
        self.push_by(&everything(), "tester", updates, |options| options)
    }

    /// Pushes everything, and asserts that it went well.
    #[track_caller]
    pub(crate) fn push_all(&self) -> Pushed {
        let ended = self.push(&self.all());
        ended.received.expect("received");
        ended.pushed.expect("pushed")
    }

    /// Pushes as somebody, by rules.
    pub(crate) fn push_by(
        &self,
        rules: &ReceiveRules,
        pusher: &str,
        updates: &Updates,
        change: impl FnOnce(PushOptions<'_>) -> PushOptions<'_>,
    ) -> Ended {
        self.push_cut(rules, pusher, updates, change, (u64::MAX, u64::MAX))
    }

    /// Pushes, and lets each end read so many bytes of what the other sends before the connection breaks.
    pub(crate) fn push_cut(
        &self,
        rules: &ReceiveRules,
        pusher: &str,
        updates: &Updates,
        change: impl FnOnce(PushOptions<'_>) -> PushOptions<'_>,
        (to_target, to_source): (u64, u64),
    ) -> Ended {
        let source = self.source.open();
        self.push_line(&source, (rules, pusher), updates, change, (to_target, to_source))
    }

    /// Pushes from another source.
    pub(crate) fn push_from(&self, source: &Repo, updates: &Updates) -> Ended {
        let limits = (u64::MAX, u64::MAX);
        self.push_line(
            source,
            (&everything(), "tester"),
            updates,
            |options| options,
            limits,
        )
    }

    /// Pushes to somebody who says something else, and returns why that is no push.
    pub(crate) fn push_to(&self, said: &[u8]) -> TransferError {
        let (near, mut far) = UnixStream::pair().expect("sockets");
        far.write_all(said).unwrap();
        drop(far.shutdown(Shutdown::Write));
        let updates = self.all();
        let options = options(&updates, &|| ());
        push(&self.source.open(), near.try_clone().unwrap(), near, &options).unwrap_err()
    }

    /// Pushes to a far end that a test plays.
    pub(crate) fn push_against(
        &self,
        updates: &Updates,
        reporter: &dyn PushReporter,
        far: impl FnOnce(Peer) + Send,
    ) -> Result<Pushed> {
        let (near, line) = UnixStream::pair().expect("sockets");
        let source = self.source.open();
        thread::scope(|scope| {
            let played = scope.spawn(move || far(Peer::new(line)));
            let line = near.try_clone().unwrap();
            let hang_up = move || drop(line.shutdown(Shutdown::Both));
            let options = PushOptions {
                reporter,
                ..options(updates, &hang_up)
            };
            let pushed = push(&source, near.try_clone().unwrap(), Line(near), &options);
            hang_up();
            played.join().expect("the far end played its part");
            pushed
        })
    }

    /// Receives from a pusher that a test plays; returns what becomes of it, and what the pusher returns.
    pub(crate) fn receive_by<T: Send>(&self, pusher: impl FnOnce(Peer) -> T + Send) -> (Result<Received>, T) {
        let (near, far) = UnixStream::pair().expect("sockets");
        let target = self.target();
        thread::scope(|scope| {
            let receiver = scope.spawn(move || receive_from(&target, far));
            let told = pusher(Peer::new(near));
            (receiver.join().expect("no panic"), told)
        })
    }

    /// Pushes everything over a line that changes a byte.
    pub(crate) fn push_bent(&self, bent: Bent) -> EndedBent {
        let (near, far) = UnixStream::pair().expect("sockets");
        if bent.to_target.is_some() || bent.to_source.is_some() {
            for line in [&near, &far] {
                // A length that was changed makes an end wait for what does not come.
                line.set_read_timeout(Some(BENT_PATIENCE)).unwrap();
            }
        }
        let (to_target, to_source) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (target, updates) = (self.target(), self.all());
        let source = self.source.open();
        thread::scope(|scope| {
            let taken = Arc::clone(&to_target);
            let receiver = scope.spawn(move || {
                let input = Cut::bent(far.try_clone().unwrap(), bent.to_target, taken);
                receive_over(&target, &everything(), "tester", input, Line(far))
            });
            let line = near.try_clone().unwrap();
            let hang_up = move || drop(line.shutdown(Shutdown::Both));
            let input = Cut::bent(near.try_clone().unwrap(), bent.to_source, Arc::clone(&to_source));
            let pushed = push(&source, input, Line(near), &options(&updates, &hang_up));
            EndedBent {
                pushed,
                received: receiver.join().expect("no panic"),
                lengths: (
                    to_target.load(Ordering::Relaxed),
                    to_source.load(Ordering::Relaxed),
                ),
            }
        })
    }

    /// Pushes, and returns who spoke to whom in turn: `>` for the pusher, `<` for the far end.
    pub(crate) fn turns(&self, updates: &Updates) -> String {
        let (near, far) = UnixStream::pair().expect("sockets");
        let (source, target) = (self.source.open(), self.target());
        let turns = Mutex::new(String::new());
        thread::scope(|scope| {
            let receiver = scope.spawn(move || receive_from(&target, far));
            let line = near.try_clone().unwrap();
            let hang_up = move || drop(line.shutdown(Shutdown::Both));
            let input = Heard(near.try_clone().unwrap(), &turns);
            let output = Said(Line(near), &turns);
            let pushed = push(&source, input, output, &options(updates, &hang_up));
            assert!(pushed.is_ok(), "{pushed:?}");
            assert!(receiver.join().expect("no panic").is_ok());
        });
        turns.into_inner().unwrap()
    }

    fn push_line(
        &self,
        source: &Repo,
        (rules, pusher): (&ReceiveRules, &str),
        updates: &Updates,
        change: impl FnOnce(PushOptions<'_>) -> PushOptions<'_>,
        (to_target, to_source): (u64, u64),
    ) -> Ended {
        let (near, far) = UnixStream::pair().expect("sockets");
        let taken = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&taken);
        let target = self.target();
        thread::scope(|scope| {
            let receiver = scope.spawn(move || receive_at(&target, rules, pusher, far, to_target, &counted));
            let line = near.try_clone().unwrap();
            let hang_up = move || drop(line.shutdown(Shutdown::Both));
            let options = change(options(updates, &hang_up));
            let input = Cut::new(near.try_clone().unwrap(), to_source, Arc::default());
            let pushed = push(source, input, Line(near), &options);
            Ended {
                pushed,
                received: receiver.join().expect("no panic"),
                bytes: taken.load(Ordering::Relaxed),
            }
        })
    }

    /// Asserts that the target is whole, that its refs are these, and that no file is left over.
    #[track_caller]
    pub(crate) fn assert_has(&self, refs: &Updates) {
        let there: Updates = self
            .target
            .refs()
            .into_iter()
            .map(|name| {
                let commit = self.target.rev_parse(&name).parse().unwrap();
                (name.parse().unwrap(), Some(commit))
            })
            .collect();
        assert_eq!(&there, refs);
        self.target.fsck();
        assert_eq!(strays(&self.target()), Vec::<String>::new());
    }

    /// Returns what lies in quarantine.
    pub(crate) fn quarantined(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.target().join("extensions/ostler/incoming")) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }
}

fn options<'a>(updates: &'a Updates, hang_up: &'a (dyn Fn() + Sync)) -> PushOptions<'a> {
    PushOptions {
        path: "",
        agent: "test",
        wanted: Wanted {
            updates,
            drops: None,
            force: false,
            depth: None,
        },
        limit_rate: None,
        dry_run: false,
        interrupted: &NEVER,
        hang_up,
        reporter: &Silent,
    }
}

fn receive_at(
    target: &Path,
    rules: &ReceiveRules,
    pusher: &str,
    line: UnixStream,
    limit: u64,
    taken: &Arc<AtomicU64>,
) -> Result<Received> {
    let input = Cut::new(line.try_clone().unwrap(), limit, Arc::clone(taken));
    receive_over(target, rules, pusher, input, Line(line))
}

fn receive_over(
    target: &Path,
    rules: &ReceiveRules,
    pusher: &str,
    input: Cut,
    output: Line,
) -> Result<Received> {
    receive(
        input,
        output,
        &ReceiveOptions {
            rules,
            repository: Some(target),
            pusher,
            who: pusher,
            agent: "test",
            trust: &no_keys(),
            open: &OpenOptions::default(),
            clock: &|| NOW,
            jobs: NonZero::new(2).unwrap(),
            interrupted: &NEVER,
            around: &Surroundings::default(),
        },
    )
}

/// Surroundings without keys.
fn no_keys() -> TrustPaths {
    TrustPaths {
        gpg_keyrings: Vec::new(),
        key_directories: Vec::new(),
        temporary: std::env::temp_dir(),
        dummy: false,
        show_time: |time| time.to_string(),
    }
}

/// Receives over a line whose other end is no pusher of ours.
pub(crate) fn receive_from(target: &Path, line: UnixStream) -> Result<Received> {
    receive_at(target, &everything(), "tester", line, u64::MAX, &Arc::default())
}

/// Rules that allow everything.
pub(crate) fn everything() -> ReceiveRules {
    ReceiveRules::everywhere(Rights {
        create: true,
        fast_forward: true,
        force: true,
        delete: true,
    })
}

/// Opens a repository.
pub(crate) fn opened(path: &Path) -> Repo {
    Repo::open(path).expect("a repository")
}

/// An end that writes; when it is dropped the other end sees the end of the stream.
struct Line(UnixStream);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        drop(self.0.shutdown(Shutdown::Write));
    }
}

/// An end that reads, and breaks the connection after so many bytes.
struct Cut {
    line: UnixStream,
    left: u64,
    taken: Arc<AtomicU64>,
    /// A byte that changes, and by which bits.
    bent: Option<(u64, u8)>,
}

impl Cut {
    fn new(line: UnixStream, left: u64, taken: Arc<AtomicU64>) -> Self {
        Self {
            line,
            left,
            taken,
            bent: None,
        }
    }

    fn bent(line: UnixStream, bent: Option<(u64, u8)>, taken: Arc<AtomicU64>) -> Self {
        let mut cut = Self::new(line, u64::MAX, taken);
        cut.bent = bent;
        cut
    }
}

impl Read for Cut {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            drop(self.line.shutdown(Shutdown::Both));
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.line.read(&mut buffer[..most])?;
        self.left -= count as u64;
        let before = self.taken.fetch_add(count as u64, Ordering::Relaxed);
        if let Some((place, mask)) = self.bent
            && let Some(at) = place.checked_sub(before)
            && at < count as u64
            && let Some(byte) = usize::try_from(at).ok().and_then(|at| buffer.get_mut(at))
        {
            *byte ^= mask;
        }
        Ok(count)
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        // Whoever goes takes both directions along.
        drop(self.line.shutdown(Shutdown::Read));
    }
}

/// Notes when something comes.
struct Heard<'a>(UnixStream, &'a Mutex<String>);

/// Notes when something goes.
struct Said<'a>(Line, &'a Mutex<String>);

fn note(turns: &Mutex<String>, who: char) {
    let mut turns = turns.lock().unwrap();
    if !turns.ends_with(who) {
        turns.push(who);
    }
}

impl Read for Heard<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        if count > 0 {
            note(self.1, '<');
        }
        Ok(count)
    }
}

impl Write for Said<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        note(self.1, '>');
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
