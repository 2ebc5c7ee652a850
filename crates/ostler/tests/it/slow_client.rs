//! A stock client that fetches its objects one at a time, while others publish and sweep between any two of them.
//!
//! The server answers one request after the other, and before each one for an object the test does what comes between:
//! so the order is the same on every machine. Time passes by as much as the list of what is retired is made older.

use crate::programs::ostler;
use ostler_testkit::client::Client;
use ostler_testkit::command::run;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;
use tempfile::TempDir;

/// How long the client needs for an object: so long that what the test takes by the clock is nothing beside it.
const FETCH: u64 = 600;

/// How many objects the commit has that the client pulls: itself, the root with twelve files, two directories with one
/// each, and the metadata that all directories share.
const OBJECTS: u64 = 1 + (1 + 12) + 2 * 2 + 1;

/// How the commit is dropped that the client pulls.
#[derive(Debug, Clone, Copy)]
enum Dropped {
    /// Its ref moves on, and no history is kept.
    Moved,
    /// Its ref is deleted.
    Deleted,
}

/// A source and a target to which it is published.
struct Scene {
    directory: TempDir,
    /// In seconds.
    grace: u64,
    step: u32,
}

impl Scene {
    /// The commit to pull is published as `main`; one before it, with which it shares half of its files, was retired so long
    /// ago that its grace ends when the client has half of its objects.
    fn new(grace: u64) -> (Self, String, String) {
        let scene = Self {
            directory: tempfile::tempdir().unwrap(),
            grace,
            step: 0,
        };
        let source = StockRepo::init(&scene.path("source"), "archive");
        source.run(&["config", "set", "core.fsync", "false"]);
        scene.commit("other", 300..301);
        let before = scene.commit("main", 6..18);
        scene.publish();
        let commit = scene.commit("main", 0..12);
        scene.publish();
        scene.pass(grace.saturating_sub(FETCH * OBJECTS / 2));
        (scene, before, commit)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn source(&self) -> StockRepo {
        StockRepo::open(&self.path("source"))
    }

    /// Commits the files of these numbers: the same number is the same file.
    fn commit(&self, branch: &str, numbers: std::ops::Range<u32>) -> String {
        let path = self.path("tree");
        if path.exists() {
            fs::remove_dir_all(&path).unwrap();
        }
        let tree = Tree::at(&path);
        tree.file("one/below", "first", 0o644)
            .file("two/below", "second", 0o644);
        for number in numbers {
            tree.file(&format!("file{number}"), format!("{number}"), 0o644);
        }
        self.source().commit(branch, &path)
    }

    /// Publishes, which sweeps as well.
    fn publish(&self) {
        let mut publish = ostler(self.directory.path());
        publish.args(["--repo=source", "publish", "target", "--depth=0", "--delete-refs"]);
        let _printed = run(publish.arg(format!("--grace={}s", self.grace)));
    }

    fn sweep(&self) {
        let mut sweep = ostler(self.directory.path());
        sweep.args(["sweep", "target"]);
        let _printed = run(sweep.arg(format!("--grace={}s", self.grace)));
    }

    /// Lets time pass: all was retired so much longer ago.
    fn pass(&self, seconds: u64) {
        let path = self.path("target/extensions/ostler/retired.json");
        let Ok(text) = fs::read(&path) else { return };
        let mut record: serde_json::Value = serde_json::from_slice(&text).unwrap();
        for times in ["commits", "files"] {
            for (_, time) in record[times].as_object_mut().into_iter().flatten() {
                *time = (time.as_u64().unwrap() - seconds).into();
            }
        }
        fs::write(path, record.to_string()).unwrap();
    }

    fn drop_main(&self, how: Dropped) {
        match how {
            Dropped::Moved => drop(self.commit("main", 100..103)),
            Dropped::Deleted => drop(self.source().run(&["refs", "--delete", "main"])),
        }
        self.publish();
    }

    /// What comes between two fetches: another ref moves, to and fro between files that the client needs and others, is
    /// published, what it leaves is retired, and what is past its grace is swept.
    fn between(&mut self) {
        let start = if self.step.is_multiple_of(2) {
            3
        } else {
            200 + self.step
        };
        self.commit("other", start..start + 4);
        self.publish();
        self.pass(FETCH);
        self.sweep();
        self.step += 1;
    }

    fn holds(&self, commit: &str) -> bool {
        let (first, rest) = commit.split_at(2);
        self.path(&format!("target/objects/{first}/{rest}.commit"))
            .exists()
    }
}

/// Reads a request; returns the path that is asked for, or nothing where the client has gone.
fn requested(stream: &TcpStream) -> Option<String> {
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    while !lines.next()?.ok()?.is_empty() {}
    first.split(' ').nth(1).map(str::to_owned)
}

/// Answers with a file below a directory, or that there is none; returns the status.
fn answer(mut stream: TcpStream, root: &Path, path: &str) -> u16 {
    let (status, body) =
        fs::read(root.join(path.trim_start_matches('/'))).map_or((404, Vec::new()), |body| (200, body));
    let head = format!(
        "HTTP/1.1 {status} -\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // A client that has failed may be gone.
    drop(
        stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(&body)),
    );
    status
}

/// Serves a directory to one client, one request after the other, with something done before each object is looked for.
/// Returns how the client ended, and which status its requests for objects got, in order.
fn serve(
    root: &Path,
    client: impl FnOnce(&str) -> Output + Send,
    mut before_each_object: impl FnMut(),
) -> (Output, Vec<u16>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    // What is moved here is closed when a step fails, so that the client does not wait for ever.
    std::thread::scope(move |scope| {
        let client = scope.spawn(move || {
            let output = client(&format!("http://{address}"));
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"GET END\r\n\r\n").unwrap();
            output
        });
        let mut answers = Vec::new();
        loop {
            let (stream, _) = listener.accept().unwrap();
            match requested(&stream).as_deref() {
                Some("END") => return (client.join().unwrap(), answers),
                Some(path) if path.starts_with("/objects/") && !path.ends_with(".commitmeta") => {
                    before_each_object();
                    answers.push(answer(stream, root, path));
                }
                Some(path) => drop(answer(stream, root, path)),
                None => {}
            }
        }
    })
}

/// Lets a client pull `main`, which is dropped when the client knows what it leads to. Returns how it ended, and which
/// status each object had; when it ended well, it has the commit that it had begun with, whole.
fn pulls_meanwhile(how: Dropped, grace: u64) -> (Output, Vec<u16>) {
    let (mut scene, before, commit) = Scene::new(grace);
    assert_eq!(scene.holds(&before), grace > 0);
    let root = scene.path("target");
    let pull = |url: &str| {
        let client = Client::of(url);
        let output = client.attempt_pull("main");
        if output.status.success() {
            client.repo().fsck();
            assert_eq!(client.repo().rev_parse("origin:main"), commit);
            client.repo().run(&["ls", "-R", &commit]);
        }
        output
    };
    let mut dropped = false;
    let (output, answers) = serve(&root, pull, || {
        if !dropped {
            scene.drop_main(how);
            dropped = true;
        }
        scene.between();
    });
    assert!(!scene.holds(&before), "there was something to sweep meanwhile");
    scene.pass(grace);
    scene.sweep();
    assert!(!scene.holds(&commit), "it was dropped");
    StockRepo::open(&root).fsck();
    (output, answers)
}

#[test]
fn slow_client_gets_to_the_end_within_the_grace() {
    for how in [Dropped::Moved, Dropped::Deleted] {
        let (output, answers) = pulls_meanwhile(how, FETCH * (OBJECTS + 10));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{how:?}: {said}");
        assert_eq!(answers, vec![200; usize::try_from(OBJECTS).unwrap()], "{how:?}");
    }
}

#[test]
fn slow_client_fails_where_the_grace_is_shorter_than_its_pull() {
    for how in [Dropped::Moved, Dropped::Deleted] {
        for (grace, fetched) in [(0, 0), (FETCH * OBJECTS / 2, 5)] {
            let (output, answers) = pulls_meanwhile(how, grace);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                !output.status.success() && said.contains("404"),
                "{how:?}, {grace}: {said}"
            );
            let first = answers.iter().take_while(|status| **status == 200).count();
            assert!(
                first >= fetched && answers.contains(&404),
                "{how:?}, {grace}: {answers:?}"
            );
        }
    }
}
