//! A receiver with a log, keys and hooks is killed at the calls by which it changes something: no ref has moved that is not in the
//! log, and no commit is found without its signature.

use super::local::{calls_of, traced};
use crate::programs::{OSTLER, ostler};
use crate::publish_scene::{State, advance, copy_tree, make_source};
use ostler_format::signatures::Engine;
use ostler_format::{parse_detached, signatures};
use ostler_testkit::command::{attempt, describe, run};
use ostler_testkit::oracle::strays;
use ostler_testkit::stock::StockRepo;
use rustix::process::{Pid, Signal, kill_process, test_kill_process_group};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SECRET: &str =
    "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==";

/// How long we wait for a hook.
const LONG: Duration = Duration::from_secs(60);

/// At so many points the receiver is killed; each costs two pushes.
const POINTS: usize = 30;

struct Scene {
    directory: TempDir,
    source: StockRepo,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let source = make_source(path);
        StockRepo::init(&path.join("before"), "archive");
        fs::write(path.join("key"), SECRET).unwrap();
        program(&path.join("hook"), "cat > /dev/null");
        let text = "\
            audit = '@/log'\n\
            [[allow]]\nrefs = '**'\nmay = ['create', 'fast-forward']\n\
            [hooks]\npre-receive = '@/hook'\npost-receive = '@/hook'\n\
            [[sign]]\nrefs = '**'\nsummary = true\nsettle = '0'\ned25519 = '@/key'\n";
        fs::write(path.join("rules"), text.replace('@', path.to_str().unwrap())).unwrap();
        Self { directory, source }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn target(&self) -> PathBuf {
        self.path().join("target")
    }

    fn reset(&self) {
        drop(fs::remove_dir_all(self.target()));
        drop(fs::remove_file(self.path().join("log")));
        copy_tree(&self.path().join("before"), &self.target());
    }

    /// Returns a push whose far end runs by the rules, under strace with options.
    fn push(&self, name: &str, options: &str) -> (Command, PathBuf) {
        let (traced, log) = traced(self.path(), name, options);
        let far = self.path().join(format!("{name}.far"));
        let path = self.path().display();
        let text = format!(
            "exec {} receive --as=ci --config={path}/rules --repo={path}/target",
            traced.display()
        );
        program(&far, &text);
        let mut push = ostler(self.path());
        push.args(["--repo=source", "push", "target"]);
        push.arg(format!("--command={}", far.display()));
        (push, log)
    }

    fn whole(&self) {
        let (mut push, _log) = self.push("whole", "");
        run(&mut push);
    }

    fn log(&self) -> Vec<Value> {
        let log = fs::read_to_string(self.path().join("log")).unwrap_or_default();
        log.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn signatures(&self, commit: &str) -> usize {
        let (first, rest) = commit.split_at(2);
        let path = self.target().join(format!("objects/{first}/{rest}.commitmeta"));
        let Ok(detached) = fs::read(path) else { return 0 };
        let detached = parse_detached(&detached).unwrap();
        signatures(&detached, Engine::Ed25519.key()).unwrap().len()
    }

    /// Asserts what must be true when the receiver was killed.
    #[track_caller]
    fn assert_accounted(&self, before: &State, output: &Output, context: &str) {
        // The next command completes a flip that began.
        let _printed = run(ostler(self.path()).args(["--repo=target", "refs"]));
        let there = State::of(&self.target()).refs;
        let log = self.log();
        let is_written = |name: &str, commit: &str| {
            let has = |row: &Value| row["ref"] == name && row["new"] == commit;
            let rows = log.iter().filter_map(|line| line["refs"].as_array());
            rows.flatten().any(has)
        };
        for (name, commit) in &there {
            assert_eq!(self.signatures(commit), 1, "{context}: {name}");
            if before.refs.get(name) != Some(commit) {
                assert!(is_written(name, commit), "{context}: {name} is not in {log:?}");
            }
        }
        let is_accepted = log.iter().any(|line| line["event"] == "accepted");
        let after = State::of(self.source.path()).refs;
        assert!(there == before.refs || there == after, "{context}: {there:?}");
        assert!(there == after || !is_accepted, "{context}: {log:?}");
        assert!(is_accepted || !output.status.success(), "{context}: {log:?}");
    }
}

fn program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn killed_anywhere_no_ref_has_moved_that_is_not_in_the_log_and_none_names_an_unsigned_commit() {
    let scene = Scene::new();
    scene.reset();
    scene.whole();
    fs::remove_dir_all(scene.path().join("before")).unwrap();
    copy_tree(&scene.target(), &scene.path().join("before"));
    let before = State::of(&scene.target());
    advance(&scene.source, scene.path());
    scene.reset();
    let (mut counting, log) = scene.push("counting", "");
    run(&mut counting);
    let calls = calls_of(&log);
    let step = calls.len().div_ceil(POINTS);
    for (syscall, nth) in calls.into_iter().step_by(step) {
        let context = format!("{syscall} {nth}");
        scene.reset();
        let inject = format!("-e inject={syscall}:signal=KILL:when={nth}");
        let (mut killed, _log) = scene.push("killing", &inject);
        let output = attempt(&mut killed);
        scene.assert_accounted(&before, &output, &context);

        let (mut again, _log) = scene.push("again", "");
        let output = attempt(&mut again);
        assert!(
            output.status.success(),
            "{context}: {}",
            describe(&again, &output)
        );
        let after = State::of(&scene.target()).refs;
        assert_eq!(after, State::of(scene.source.path()).refs, "{context}");
        for commit in after.values() {
            assert_eq!(scene.signatures(commit), 1, "{context}");
        }
        StockRepo::open(&scene.target()).fsck();
        assert_eq!(strays(&scene.target()), Vec::<String>::new(), "{context}");
    }
}

#[test]
fn hook_ends_with_the_receiver_that_is_told_to_end() {
    let scene = Scene::new();
    scene.reset();
    let path = scene.path();
    let place = path.display();
    program(
        &path.join("hook"),
        &format!("echo $$ > {place}/hook.new; mv {place}/hook.new {place}/hook.pid; sleep 600 & sleep 600"),
    );
    let (mut push, _log) = scene.push("ended", "");
    let far = path.join("ended.far");
    let script = fs::read_to_string(&far).unwrap();
    // Without strace, which would take the signal.
    let (_, arguments) = script.split_once(" receive ").unwrap();
    program(
        &far,
        &format!("echo $$ > {place}/far.pid; exec {OSTLER} receive {arguments}"),
    );
    let push = push
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let pid = |name: &str| {
        let text = fs::read_to_string(path.join(name)).ok()?;
        Pid::from_raw(text.trim().parse().ok()?)
    };
    let hook = loop {
        assert!(began.elapsed() < LONG, "the hook does not start");
        match pid("hook.pid") {
            Some(hook) => break hook,
            None => std::thread::yield_now(),
        }
    };
    kill_process(pid("far.pid").unwrap(), Signal::TERM).unwrap();
    let output = push.wait_with_output().unwrap();
    assert!(!output.status.success());
    while test_kill_process_group(hook).is_ok() {
        assert!(began.elapsed() < LONG, "the hook goes on");
        std::thread::yield_now();
    }
    assert!(State::of(&scene.target()).refs.is_empty());
    assert_eq!(strays(&scene.target()), Vec::<String>::new());
    assert_eq!(scene.log().last().unwrap()["event"], "failed");
}
