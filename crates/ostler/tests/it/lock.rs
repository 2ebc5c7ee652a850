//! `lock`: other programs below the repository's lock.

use crate::programs::{OSTLER, ostler};
use ostler_testkit::command::{command, describe, fail, run};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::strace::pause_after;
use ostler_testkit::tree::Tree;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use tempfile::TempDir;

/// A program that waits below the lock until its standard input is closed.
struct Held {
    child: Child,
    input: Option<ChildStdin>,
}

impl Held {
    /// Starts a script below the lock, and returns when it has said its first line.
    fn start(directory: &Path, kind: &str, script: &str) -> Self {
        let mut child = ostler(directory)
            .args(["--repo=repo", "lock", kind, "--", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let input = child.stdin.take();
        Self { child, input }
    }

    fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }
}

const WAITS: &str = "echo ready; cat";

/// A repository with a commit and a tree, in which nobody waits for locks.
fn repository() -> (TempDir, StockRepo) {
    let directory = tempfile::tempdir().unwrap();
    let repo = StockRepo::init(&directory.path().join("repo"), "archive");
    Tree::at(&directory.path().join("tree")).file("file", "text", 0o644);
    repo.commit("main", &directory.path().join("tree"));
    repo.run(&["config", "set", "core.lock-timeout-secs", "0"]);
    (directory, repo)
}

fn status(directory: &Path) -> Vec<Value> {
    let printed = run(ostler(directory).args(["--repo=repo", "lock", "--status", "--json"]));
    let lines = printed.lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until the status has an entry of a process.
fn seen(directory: &Path, pid: u32) -> Value {
    let entry = |_| status(directory).into_iter().find(|entry| entry["pid"] == pid);
    let found = (0..5000).find_map(entry);
    found.unwrap_or_else(|| panic!("the status never has {pid}: {:?}", status(directory)))
}

#[test]
fn a_shared_lock_keeps_prunes_out_and_an_exclusive_one_everybody() {
    let (directory, repo) = repository();
    let tree = directory.path().join("tree");
    let commit = ["commit", "--branch=main", "--subject=s", tree.to_str().unwrap()];
    let held = Held::start(directory.path(), "--shared", WAITS);
    repo.run(&commit);
    assert!(repo.fail(&["prune"]).contains("Locking repo exclusive failed"));
    held.end();
    repo.run(&["prune"]);
    let held = Held::start(directory.path(), "--exclusive", WAITS);
    assert!(repo.fail(&commit).contains("Locking repo shared failed"));
    assert!(repo.fail(&["prune"]).contains("Locking repo exclusive failed"));
    held.end();
    repo.run(&commit);
}

#[test]
fn a_stock_prune_waits_until_the_program_has_ended() {
    let (directory, repo) = repository();
    repo.run(&["config", "set", "core.lock-timeout-secs", "600"]);
    let held = Held::start(directory.path(), "--shared", WAITS);
    let mut prune = repo.command().arg("prune").stdout(Stdio::null()).spawn().unwrap();
    let entry = seen(directory.path(), prune.id());
    assert_eq!((&entry["state"], &entry["kind"]), (&"waits".into(), &Value::Null));
    assert_eq!(prune.try_wait().unwrap(), None);
    held.end();
    assert!(prune.wait().unwrap().success());
}

#[test]
fn status_tells_who_holds_the_lock_since_when_and_who_waits() {
    let (directory, repo) = repository();
    assert_eq!(status(directory.path()), Vec::<Value>::new());
    repo.run(&["config", "set", "core.lock-timeout-secs", "600"]);
    let before = now();
    let held = Held::start(directory.path(), "--shared", WAITS);
    let holder = seen(directory.path(), held.child.id());
    assert_eq!(
        (&holder["state"], &holder["kind"]),
        (&"holds".into(), &"shared".into())
    );
    assert!(holder["command"].as_str().unwrap().contains("sh -c"), "{holder}");
    let since = holder["since"].as_u64().unwrap();
    assert!((before..=now()).contains(&since), "{holder}");
    let mut waiter = ostler(directory.path())
        .args(["--repo=repo", "lock", "--exclusive", "true"])
        .spawn()
        .unwrap();
    let entry = loop {
        let entry = seen(directory.path(), waiter.id());
        // Between its opening of the file and its first try it says nothing.
        if !entry["kind"].is_null() {
            break entry;
        }
    };
    assert_eq!(
        (&entry["state"], &entry["kind"]),
        (&"waits".into(), &"exclusive".into())
    );
    assert!(entry["since"].as_u64().unwrap() >= since, "{entry}");
    let text = run(ostler(directory.path()).args(["--repo=repo", "lock", "--status"]));
    assert!(text.contains("holds the shared lock since 20"), "{text}");
    assert!(text.contains("waits for the exclusive lock since 20"), "{text}");
    held.end();
    assert!(waiter.wait().unwrap().success());
    let text = run(ostler(directory.path()).args(["--repo=repo", "lock", "--status"]));
    assert_eq!(text, "nobody holds the lock\n");
}

#[test]
fn status_tells_who_publishes() {
    let (directory, _repo) = repository();
    let mut publish = ostler(directory.path());
    publish.args(["--repo=repo", "publish", "public", "--jobs=1"]);
    // The disk is synced below the lease.
    let paused = pause_after(&publish, "syncfs", 1);
    let text = run(ostler(directory.path()).args(["--repo=public", "lock", "--status"]));
    assert!(text.contains("holds the exclusive lock since 20"), "{text}");
    assert!(text.contains("publishes, running since 20"), "{text}");
    assert!(paused.resume().status.success());
    let text = run(ostler(directory.path()).args(["--repo=public", "lock", "--status"]));
    assert_eq!(text, "nobody holds the lock\n");
}

#[expect(clippy::disallowed_methods, reason = "what is tested is the time of day")]
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_secs()
}

#[test]
fn the_lock_lives_as_long_as_anything_that_the_program_has_started() {
    let (directory, repo) = repository();
    let script = "exec 3<&0; cat <&3 >/dev/null & echo ready";
    let mut held = Held::start(directory.path(), "--exclusive", script);
    assert!(held.child.wait().unwrap().success());
    assert!(repo.fail(&["prune"]).contains("Locking repo exclusive failed"));
    drop(held.input.take());
    repo.run(&["config", "set", "core.lock-timeout-secs", "600"]);
    repo.run(&["prune"]);
}

#[test]
fn a_killed_program_holds_no_lock() {
    let (directory, repo) = repository();
    let mut held = Held::start(directory.path(), "--exclusive", "echo ready; exec cat");
    held.child.kill().unwrap();
    assert_eq!(held.child.wait().unwrap().signal(), Some(9));
    repo.run(&["prune"]);
}

/// Returns how a program below the lock ended: its status or its signal.
fn ended(directory: &Path, arguments: &[&str]) -> (Option<i32>, Option<i32>) {
    let mut lock = ostler(directory);
    lock.args(["--repo=repo", "lock", "--shared"]).args(arguments);
    let status = lock.output().unwrap().status;
    (status.code(), status.signal())
}

#[test]
fn the_exit_status_is_that_of_the_program() {
    let (directory, _repo) = repository();
    let ended = |arguments: &[&str]| ended(directory.path(), arguments);
    assert_eq!(ended(&["true"]), (Some(0), None));
    assert_eq!(ended(&["--", "sh", "-c", "exit 3"]), (Some(3), None));
    assert_eq!(ended(&["sh", "-c", "kill -TERM $$"]), (None, Some(15)));
    assert_eq!(ended(&["--", "./nowhere"]), (Some(127), None));
    assert_eq!(ended(&["--", "./tree/file"]), (Some(126), None));
    assert_eq!(ended(&[]), (Some(2), None));
}

#[test]
fn the_program_finds_the_limits_and_arguments_that_it_was_given() {
    let (directory, _repo) = repository();
    let script = |program: &str| {
        let mut sh = command("sh");
        sh.current_dir(directory.path());
        sh.args([
            "-c",
            &format!("ulimit -S -n 200; {program} sh -c 'ulimit -S -n; echo $#' x -v --json"),
        ]);
        run(&mut sh)
    };
    assert_eq!(
        script(&format!("{OSTLER} --repo=repo lock --shared --")),
        script("exec")
    );
}

#[test]
fn a_lock_that_is_not_to_be_had_is_told_with_its_holder() {
    let (directory, repo) = repository();
    let held = Held::start(directory.path(), "--exclusive", WAITS);
    let lock = |arguments: &[&str]| -> Command {
        let mut lock = ostler(directory.path());
        lock.args(["--repo=repo", "lock"]).args(arguments);
        lock
    };
    let said = fail(&mut lock(&["--shared", "--timeout=0", "touch", "made"]));
    let holder = format!("held by process {} (sh -c", held.child.id());
    assert!(said.contains(&holder), "{said}");
    assert!(!directory.path().join("made").exists());
    held.end();
    repo.run(&["config", "set", "core.locking", "false"]);
    let said = fail(&mut lock(&["--shared", "touch", "made"]));
    assert!(said.contains("core.locking is off"), "{said}");
    assert!(!directory.path().join("made").exists());
    let mut neither = lock(&["true"]);
    let output = neither.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", describe(&neither, &output));
}
