//! The repository lock among ourselves and with stock ostree.

use crate::fixture::Fixture;
use ostler_repo::{LockKind, LockWait, Observer, Repo, RepoError};
use ostler_testkit::command;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

const ONE_TRY: Option<Duration> = Some(Duration::ZERO);

/// A stock commit that has begun its transaction, so holds the shared lock, and waits for its tar archive.
struct StockHolder {
    child: Child,
    archive: File,
}

impl StockHolder {
    fn start(fixture: &Fixture) -> Self {
        let pipe: PathBuf = fixture.beside("archive.tar");
        if !pipe.exists() {
            mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        }
        let child = fixture
            .stock
            .command()
            .args(["commit", "--branch=holder", "--subject=x"])
            .arg(format!("--tree=tar={}", pipe.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Opening the pipe returns when the other side opens it, which stock does within its transaction.
        let archive = OpenOptions::new().write(true).open(&pipe).unwrap();
        Self { child, archive }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn end(mut self) {
        drop(self.archive);
        self.child.wait().unwrap();
    }
}

fn locked(result: Result<ostler_repo::LockGuard<'_>, RepoError>) -> String {
    match result {
        Err(error @ RepoError::Locked { .. }) => error.to_string(),
        other => panic!("expected to be locked: {other:?}"),
    }
}

#[test]
fn our_locks_keep_stock_out_as_its_own_do() {
    let fixture = Fixture::new();
    fixture.configure("lock-timeout-secs=0");
    fixture.commit("app", "1");
    let repo = fixture.open();

    let exclusive = repo.lock(LockKind::Exclusive).unwrap();
    let tree = fixture.beside("tree");
    let commit = ["commit", "--branch=app", "--subject=x", tree.to_str().unwrap()];
    assert!(fixture.stock.fail(&commit).contains("Locking repo shared failed"));
    exclusive.release().unwrap();

    let shared = repo.lock(LockKind::Shared).unwrap();
    fixture.stock.run(&commit);
    assert!(
        fixture
            .stock
            .fail(&["prune"])
            .contains("Locking repo exclusive failed")
    );
    shared.release().unwrap();
    fixture.stock.run(&["prune"]);
}

#[test]
fn stocks_lock_keeps_our_exclusive_one_out_and_its_holder_is_named() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    let holder = StockHolder::start(&fixture);

    assert!(repo.try_lock(LockKind::Shared).unwrap().is_some());
    assert!(repo.try_lock(LockKind::Exclusive).unwrap().is_none());
    let message = locked(repo.lock_within(LockKind::Exclusive, ONE_TRY));
    assert!(
        message.contains(&format!("process {} (ostree", holder.pid())),
        "{message}"
    );

    holder.end();
    repo.lock_within(LockKind::Exclusive, ONE_TRY)
        .unwrap()
        .release()
        .unwrap();
}

/// Hands each wait to the test.
struct Teller(mpsc::Sender<LockWait>);

impl Observer for Teller {
    fn waiting_for_lock(&self, wait: &LockWait) {
        self.0.send(wait.clone()).unwrap();
    }
}

#[test]
fn a_wait_is_told_and_ends_when_the_holder_does() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    let (sender, waits) = mpsc::channel();
    repo.set_observer(Arc::new(Teller(sender)));
    let holder = StockHolder::start(&fixture);
    let pid = holder.pid();

    let wait = std::thread::scope(|scope| {
        let waiter = scope.spawn(|| repo.lock_within(LockKind::Exclusive, None).unwrap().release());
        let wait = waits.recv().unwrap();
        holder.end();
        waiter.join().unwrap().unwrap();
        wait
    });

    assert_eq!(wait.kind, LockKind::Exclusive);
    assert_eq!(wait.limit, None);
    assert!(wait.waited >= Duration::from_secs(1));
    assert_eq!(wait.holders.len(), 1, "{wait:?}");
    assert_eq!(
        (wait.holders[0].user.pid, wait.holders[0].kind),
        (pid, LockKind::Shared)
    );
}

/// What another process could take now.
fn free_for(other: &Repo) -> (bool, bool) {
    let free = |kind| other.try_lock(kind).unwrap().is_some();
    (free(LockKind::Shared), free(LockKind::Exclusive))
}

#[test]
fn guards_count_and_the_strongest_decides() {
    let fixture = Fixture::new();
    let (repo, other) = (fixture.open(), fixture.open());
    assert_eq!(free_for(&other), (true, true));
    let first = repo.lock(LockKind::Shared).unwrap();
    let second = repo.lock(LockKind::Shared).unwrap();
    assert_eq!(free_for(&other), (true, false));
    let exclusive = repo.lock(LockKind::Exclusive).unwrap();
    assert_eq!(free_for(&other), (false, false));
    let third = repo.lock(LockKind::Shared).unwrap();
    assert_eq!(free_for(&other), (false, false));
    drop(first);
    drop(exclusive);
    assert_eq!(free_for(&other), (true, false), "downgraded in place");
    drop(second);
    assert_eq!(free_for(&other), (true, false));
    drop(third);
    assert_eq!(free_for(&other), (true, true));
}

#[test]
fn two_shared_holders_that_both_want_more_end_by_the_time_limit() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.open(), fixture.open());
    let _first = one.lock(LockKind::Shared).unwrap();
    let _second = two.lock(LockKind::Shared).unwrap();
    let limit = Some(Duration::from_millis(30));
    for repo in [&one, &two] {
        let message = locked(repo.lock_within(LockKind::Exclusive, limit));
        assert!(
            message.contains("this program holds the shared lock"),
            "{message}"
        );
    }
    assert_eq!(free_for(&fixture.open()), (true, false), "both still hold theirs");
}

#[test]
fn no_lock_is_taken_where_locking_is_off() {
    let fixture = Fixture::new();
    fixture.configure("locking=false");
    let (repo, other) = (fixture.open(), fixture.open());
    let _exclusive = repo.lock(LockKind::Exclusive).unwrap();
    assert_eq!(free_for(&other), (true, true));
    assert!(!fixture.path().join(".lock").exists());
}

#[test]
fn the_lock_file_has_the_permissions_that_stock_gives_it() {
    use std::os::unix::fs::MetadataExt as _;
    let (ours, theirs) = (Fixture::new(), Fixture::new());
    drop(ours.open().lock(LockKind::Shared).unwrap());
    theirs.commit("app", "1");
    let mode = |fixture: &Fixture| fixture.path().join(".lock").metadata().unwrap().mode();
    assert_eq!(mode(&ours), mode(&theirs));
}

#[test]
fn other_programs_locks_on_the_file_count() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    drop(repo.lock(LockKind::Shared).unwrap());
    let pipe_says_locked = "import fcntl,sys\n\
        f=open(sys.argv[1],'r+')\n\
        fcntl.lockf(f,fcntl.LOCK_EX)\n\
        print('locked',flush=True)\n\
        sys.stdin.read()";
    let mut child = command::command("python3")
        .args(["-c", pipe_says_locked])
        .arg(fixture.path().join(".lock"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let output = child.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
    assert_eq!(line, "locked\n");

    let message = locked(repo.lock_within(LockKind::Shared, ONE_TRY));
    assert!(message.contains(&format!("process {}", child.id())), "{message}");

    drop(child.stdin.take());
    child.wait().unwrap();
    assert!(repo.try_lock(LockKind::Shared).unwrap().is_some());
}
