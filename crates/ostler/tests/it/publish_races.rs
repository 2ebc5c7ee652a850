//! Others at work on the source and the target while a publish runs.
//!
//! Nothing here depends on who is faster: a publisher is made to wait for a lock that the test holds, or stopped after a
//! chosen system call, while the others do what they do.

use crate::programs::ostler;
use crate::publish_scene::{Scene, State, advance, copy_tree};
use ostler_repo::fs::Dir;
use ostler_repo::{FileLock, LockKind, Repo};
use ostler_testkit::client::Client;
use ostler_testkit::command::{describe, run};
use ostler_testkit::nginx::Nginx;
use ostler_testkit::oracle::{assert_sound, strays};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::strace::pause_after;
use ostler_testkit::tree::Tree;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// A publish that runs.
struct Publisher {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Publisher {
    fn start(mut publish: Command) -> Self {
        publish
            .arg("--json")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = publish.spawn().expect("our binary");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { child, lines }
    }

    /// Waits until everything is put, and the target's lock is asked for.
    #[track_caller]
    fn wait_until_all_is_put(&mut self) {
        self.wait_for(r#""event":"flipping""#);
    }

    #[track_caller]
    fn wait_for(&mut self, mark: &str) {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).expect("a pipe") == 0 {
                let mut errors = String::new();
                let mut stream = self.child.stderr.take().expect("a pipe");
                drop(std::io::Read::read_to_string(&mut stream, &mut errors));
                panic!("no {mark}: {seen}{errors}");
            }
            if line.contains(mark) {
                return;
            }
            seen.push_str(&line);
        }
    }

    fn finish(mut self) -> Output {
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut self.lines, &mut rest).expect("a pipe");
        let mut output = self.child.wait_with_output().expect("our own child");
        output.stdout = rest;
        output
    }
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    printed
}

/// Takes the lock by which publishers to a target take turns.
fn hold_publishers(target: &Path) -> FileLock {
    fs::create_dir_all(target.join("extensions/ostler")).unwrap();
    let root = Dir::open(target).unwrap();
    FileLock::try_acquire(&root, "extensions/ostler/lock")
        .unwrap()
        .expect("nobody has it")
}

/// Something that happens to the source meanwhile.
type Change = fn(&Scene);

const CHANGES: [(&str, Change); 3] = [
    ("a commit to the same refs", |scene| {
        advance(&StockRepo::open(&scene.source()), scene.path());
    }),
    ("a ref deleted", |scene| {
        StockRepo::open(&scene.source()).run(&["refs", "--delete", "os/a"]);
    }),
    ("all refs deleted, and a prune", |scene| {
        let source = StockRepo::open(&scene.source());
        source.run(&["refs", "--delete", "os"]);
        // At once or not at all: a prune must not have to wait for a publish.
        source.run(&["config", "set", "core.lock-timeout-secs", "0"]);
        source.run(&["prune", "--refs-only", "--depth=0"]);
        source.run(&["config", "unset", "core.lock-timeout-secs"]);
    }),
];

#[test]
fn what_is_published_is_the_source_as_it_was_at_the_start() {
    for options in [&[][..], &["--copy"]] {
        for (name, change) in CHANGES {
            let directory = tempfile::tempdir().unwrap();
            let scene = Scene::second(directory.path(), options);
            scene.reset();
            let lock = hold_publishers(&scene.target());
            let mut publisher = Publisher::start(scene.publish());
            publisher.wait_until_all_is_put();
            change(&scene);
            drop(lock);
            succeeded(&publisher.finish());
            assert_eq!(State::of(&scene.target()), scene.after, "{options:?}, {name}");
            assert_sound(&scene.target());
            assert_eq!(
                strays(&scene.source()),
                Vec::<String>::new(),
                "{options:?}, {name}"
            );
        }
    }
}

#[test]
fn objects_are_pinned_before_the_first_is_sent() {
    // The first copy begins when the source's lock was let go; the first sync comes when all are linked.
    for (options, syscall) in [
        (&["--copy"][..], "copy_file_range"),
        (&["--held-bytes=0"], "syncfs"),
    ] {
        for (name, change) in CHANGES {
            let directory = tempfile::tempdir().unwrap();
            let scene = Scene::first(directory.path(), options);
            scene.reset();
            let paused = pause_after(&scene.publish(), syscall, 1);
            change(&scene);
            succeeded(&paused.resume());
            assert_eq!(State::of(&scene.target()), scene.after, "{options:?}, {name}");
            assert_sound(&scene.target());
            assert_eq!(
                strays(&scene.source()),
                Vec::<String>::new(),
                "{options:?}, {name}"
            );
        }
    }
}

#[test]
fn what_is_linked_without_a_pin_is_kept_by_the_lock() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::first(directory.path(), &[]);
    scene.reset();
    let source = Repo::open(&scene.source()).unwrap();
    let paused = pause_after(&scene.publish(), "syncfs", 1);
    let prune_may_begin = source.try_lock(LockKind::Exclusive).unwrap().is_some();
    succeeded(&paused.resume());
    assert!(!prune_may_begin);
    assert!(source.try_lock(LockKind::Exclusive).unwrap().is_some());
    assert_eq!(State::of(&scene.target()), scene.after);
}

#[test]
fn second_change_within_a_second_arrives() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::first(directory.path(), &[]);
    let source = StockRepo::open(&scene.source());
    for round in 0..4 {
        Tree::at(&directory.path().join("tree")).file("first", format!("{round}"), 0o644);
        let commit = source.commit("os/a", &directory.path().join("tree"));
        let _printed = run(&mut scene.publish());
        let state = State::of(&scene.target());
        assert_eq!(state.refs.get("os/a"), Some(&commit), "round {round}");
        assert_eq!(state.summary, state.refs, "round {round}");
    }
}

#[test]
fn a_repository_is_no_target_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::first(directory.path(), &[]);
    std::os::unix::fs::symlink("source", directory.path().join("link")).unwrap();
    let before = State::of(&scene.source());
    for target in ["source", "link", "./source/../source"] {
        let mut publish = ostler(scene.path());
        publish.args(["--repo=source", "publish", target, "--depth=0", "--grace=0"]);
        let output = publish.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(&format!("{target} is source, ")), "{said}");
    }
    assert_eq!(State::of(&scene.source()), before);
}

/// A second source, a copy of the first, with `count` commits more on a ref.
fn another_source(scene: &Scene, reference: &str, count: u32) -> (TempDir, StockRepo) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other");
    copy_tree(&scene.source(), &path);
    let other = StockRepo::open(&path);
    for number in 0..count {
        let tree = Tree::at(&directory.path().join("tree"));
        tree.file("number", format!("{number}"), 0o644);
        other.commit(reference, tree.path());
    }
    (directory, other)
}

/// Starts both publishers, lets them go for the flip together, and returns how they ended.
fn race(scene: &Scene, other: &StockRepo) -> [Output; 2] {
    let lock = hold_publishers(&scene.target());
    let mut second = ostler(scene.path());
    second.arg(format!("--repo={}", other.path().display()));
    second.args(["publish", "target", "--jobs=1"]);
    let mut publishers = [scene.publish(), second].map(Publisher::start);
    for publisher in &mut publishers {
        publisher.wait_until_all_is_put();
    }
    drop(lock);
    publishers.map(Publisher::finish)
}

#[test]
fn two_publishers_of_different_refs_both_arrive() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::first(directory.path(), &[]);
    let (_kept, other) = another_source(&scene, "os/c", 1);
    other.run(&["refs", "--delete", "os/a"]);
    other.run(&["refs", "--delete", "os/b"]);
    for _ in 0..3 {
        scene.reset();
        // The first makes the repository; who makes it is not what is raced for here.
        let _made = run(ostler(scene.path()).args(["--repo=target", "init", "--mode=archive"]));
        for output in race(&scene, &other) {
            succeeded(&output);
        }
        let state = State::of(&scene.target());
        let refs: Vec<_> = state.refs.keys().collect();
        assert_eq!(refs, ["os/a", "os/b", "os/c"]);
        assert_eq!(state.summary, state.refs);
        assert_sound(&scene.target());
    }
}

#[test]
fn two_publishers_make_one_repository_where_there_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::first(directory.path(), &[]);
    let (_kept, other) = another_source(&scene, "os/c", 1);
    for _ in 0..5 {
        scene.reset();
        let mut second = ostler(scene.path());
        second.arg(format!("--repo={}", other.path().display()));
        second.args(["publish", "target", "--jobs=1"]);
        let publishers = [scene.publish(), second].map(Publisher::start);
        for publisher in publishers {
            succeeded(&publisher.finish());
        }
        let state = State::of(&scene.target());
        assert_eq!(state.refs, State::of(other.path()).refs);
        assert_eq!(state.summary, state.refs);
        assert_sound(&scene.target());
    }
}

#[test]
fn of_two_publishers_of_one_ref_none_undoes_the_other() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::second(directory.path(), &[]);
    // Neither descends from the other.
    let (_kept, other) = another_source(&scene, "os/a", 1);
    let earlier = StockRepo::open(&scene.source()).rev_parse("os/a^");
    other.run(&["refs", "--delete", "os/a"]);
    other.run(&["refs", "--create=os/a", &earlier]);
    let ours = other.commit("os/a", &directory.path().join("tree/sub"));
    let theirs = StockRepo::open(&scene.source()).rev_parse("os/a");
    for _ in 0..3 {
        scene.reset();
        let ended = race(&scene, &other);
        let winner = State::of(&scene.target()).refs["os/a"].clone();
        let (won, lost) = if winner == theirs {
            (&ended[0], &ended[1])
        } else {
            assert_eq!(winner, ours);
            (&ended[1], &ended[0])
        };
        succeeded(won);
        let said = String::from_utf8_lossy(&lost.stderr);
        assert_eq!(lost.status.code(), Some(1), "{said}");
        assert!(said.contains("fast-forward") && said.contains("os/a"), "{said}");
        assert_sound(&scene.target());
    }
}

#[test]
fn of_two_publishers_of_one_ref_the_later_commit_stays() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::second(directory.path(), &[]);
    let (_kept, other) = another_source(&scene, "os/a", 2);
    let last = other.rev_parse("os/a");
    for _ in 0..3 {
        scene.reset();
        for ended in race(&scene, &other) {
            succeeded(&ended);
        }
        assert_eq!(State::of(&scene.target()).refs["os/a"], last);
        assert_sound(&scene.target());
    }
}

#[test]
fn of_two_publishes_from_one_source_the_slower_one_undoes_nothing() {
    for options in [&["--copy"][..], &["--copy", "--force"]] {
        let directory = tempfile::tempdir().unwrap();
        let scene = Scene::second(directory.path(), options);
        scene.reset();
        let slower = pause_after(&scene.publish(), "copy_file_range", 1);
        let source = StockRepo::open(&scene.source());
        let tree = Tree::at(&directory.path().join("tree"));
        for version in ["newer", "newest"] {
            tree.file("first", version, 0o644);
            source.commit("os/a", tree.path());
        }
        source.run(&["refs", "--create=os/new", "os/a"]);
        // The commit that the slower one brings is not even there.
        let mut faster = scene.publish();
        let _printed = run(faster.arg("--depth=0"));
        let refs = State::of(scene.source().as_path()).refs;
        let ended = slower.resume();
        succeeded(&ended);
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(said.contains("'os/a' was moved meanwhile"), "{options:?}: {said}");
        let state = State::of(&scene.target());
        assert_eq!((&state.refs, &state.summary), (&refs, &refs), "{options:?}");
        assert_sound(&scene.target());
        assert_eq!(strays(&scene.target()), Vec::<String>::new(), "{options:?}");
        // A step back against what was there from the start is another matter.
        source.run(&["refs", "--create=os/a", "--force", "os/a^"]);
        let back = scene.publish().output().unwrap();
        assert_eq!(back.status.success(), options.contains(&"--force"), "{options:?}");
        assert_sound(&scene.target());
    }
}

#[test]
fn objects_that_a_prune_of_the_target_took_are_sent_again() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::first(directory.path(), &[]);
    scene.reset();
    // The objects are at the target, and nothing refers to them.
    let target = StockRepo::init(&scene.target(), "archive");
    let source = scene.source().into_os_string().into_string().unwrap();
    target.run(&["pull-local", "--disable-fsync", &source]);
    target.run(&["refs", "--delete", "os"]);
    let lock = hold_publishers(&scene.target());
    let mut publisher = Publisher::start(scene.publish());
    publisher.wait_until_all_is_put();
    target.run(&["prune", "--refs-only"]);
    drop(lock);
    let printed = succeeded(&publisher.finish());
    assert!(printed.contains(r#""event":"again""#), "{printed}");
    scene.assert_converged("pruned meanwhile");
}

#[test]
fn who_computes_again_publishes_what_the_source_has_when_it_has_pruned_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::first(directory.path(), &["--delete-refs"]);
    scene.reset();
    let target = StockRepo::init(&scene.target(), "archive");
    let lock = hold_publishers(&scene.target());
    let mut publisher = Publisher::start(scene.publish());
    publisher.wait_until_all_is_put();
    target.commit("own", &directory.path().join("tree"));
    let source = StockRepo::open(&scene.source());
    advance(&source, scene.path());
    source.run(&["refs", "--create=os/c", "os/a"]);
    source.run(&["prune", "--refs-only", "--depth=0"]);
    drop(lock);
    let printed = succeeded(&publisher.finish());
    assert!(printed.contains(r#""event":"again""#), "{printed}");
    let state = State::of(&scene.target());
    assert_eq!(state.refs, State::of(&scene.source()).refs);
    assert_eq!(state.summary, state.refs);
    assert_sound(&scene.target());
    assert_eq!(strays(&scene.source()), Vec::<String>::new());
}

#[test]
fn ref_that_stock_moved_meanwhile_is_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::second(directory.path(), &[]);
    scene.reset();
    let lock = hold_publishers(&scene.target());
    let mut publisher = Publisher::start(scene.publish());
    publisher.wait_until_all_is_put();
    let target = StockRepo::open(&scene.target());
    let theirs = target.commit("os/a", &directory.path().join("tree/sub"));
    drop(lock);
    let output = publisher.finish();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("fast-forward"), "{said}");
    let mut refs = scene.before.refs.clone();
    refs.insert("os/a".to_owned(), theirs);
    assert_eq!(State::of(&scene.target()).refs, refs, "none has moved");
}

#[test]
fn stock_clients_pull_all_the_while() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::second(directory.path(), &[]);
    scene.reset();
    let source = StockRepo::open(&scene.source());
    let server = Nginx::serve(&scene.target());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let pulls = ["os/a", "os/b"].map(|reference| {
            let (done, url) = (&done, server.url());
            scope.spawn(move || {
                let mut pulls = 0;
                while !done.load(Ordering::Relaxed) || pulls == 0 {
                    // A client of its own each time: nothing that it has spares it a look.
                    Client::of(&url).pull(reference);
                    pulls += 1;
                }
                pulls
            })
        });
        for round in 0..8 {
            Tree::at(&directory.path().join("tree")).file("number", format!("{round}"), 0o644);
            advance(&source, directory.path());
            let publish = ["--repo=source", "publish", "target", "--jobs=1"];
            let published = ostler(scene.path()).args(publish).output().unwrap();
            if !published.status.success() {
                done.store(true, Ordering::Relaxed);
            }
            succeeded(&published);
        }
        done.store(true, Ordering::Relaxed);
        for pull in pulls {
            println!("{} pulls", pull.join().unwrap());
        }
    });
}

#[test]
fn stock_tools_at_work_on_the_target_do_no_harm_and_take_none() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::second(directory.path(), &[]);
    scene.reset();
    let source = StockRepo::open(&scene.source());
    let target = StockRepo::open(&scene.target());
    let own = Tree::at(&directory.path().join("own"));
    let done = AtomicBool::new(false);
    let mut last = String::new();
    std::thread::scope(|scope| {
        let busy = |arguments: &'static [&'static str]| {
            let (target, done) = (target.clone(), &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    target.run(arguments);
                }
            })
        };
        let others = [busy(&["prune", "--refs-only"]), busy(&["summary", "--update"])];
        for round in 0..4 {
            own.file("number", format!("{round}"), 0o644);
            last = target.commit("own/ref", own.path());
            Tree::at(&directory.path().join("tree")).file("number", format!("{round}"), 0o644);
            advance(&source, directory.path());
            let mut publish = ostler(scene.path());
            publish.args(["--repo=source", "publish", "target", "--jobs=1"]);
            let output = publish.output().unwrap();
            if !output.status.success() {
                done.store(true, Ordering::Relaxed);
            }
            assert!(output.status.success(), "{}", describe(&publish, &output));
        }
        done.store(true, Ordering::Relaxed);
        for other in others {
            other.join().unwrap();
        }
    });
    let state = State::of(&scene.target());
    assert_eq!(state.refs["own/ref"], last, "stock's update is not lost");
    for name in ["os/a", "os/b"] {
        assert_eq!(state.refs[name], source.rev_parse(name), "{name}");
    }
    assert_sound(&scene.target());
}
