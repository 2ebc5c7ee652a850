//! What the owner of a repository lets a receiver do with what is pushed: hooks, signatures, the log, what comes after.

use crate::programs::{OSTLER, ostler};
use crate::publish_scene::{advance, make_source};
use ostler_format::signatures::Engine;
use ostler_format::{parse_detached, signatures};
use ostler_repo::sign::PublicKeys;
use ostler_testkit::command::{attempt, fail, run};
use ostler_testkit::oracle::{assert_sound, strays};
use ostler_testkit::sshd::Sshd;
use ostler_testkit::stock::StockRepo;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The first pair of keys of the tests in RFC 8032, as files hold them.
const SECRET: &str =
    "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==";
const PUBLIC: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// How long we wait for what happens behind a push.
const LONG: Duration = Duration::from_secs(60);

/// A source, a target, and a server whose keys push there: `ci`, and `cut`, of which no more than some bytes get across.
struct Scene {
    directory: TempDir,
    source: StockRepo,
    target: StockRepo,
    sshd: Sshd,
}

impl Scene {
    /// `text` goes between the root and the rights.
    fn new(text: impl FnOnce(&Path) -> String) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let source = make_source(path);
        fs::create_dir(path.join("root")).unwrap();
        let target = StockRepo::init(&path.join("root/repo"), "archive");
        let rules = path.join("receive.toml");
        let allow = "[[allow]]\nrefs = \"os/*\"\nmay = [\"create\", \"fast-forward\", \"delete\"]\n\
                     [[require]]\nrefs = \"**\"\nbindings = \"any\"\n";
        let text = format!("root = \"{}/root\"\n{}\n{allow}", path.display(), text(path));
        fs::write(&rules, text).unwrap();
        let receive = format!("{OSTLER} receive --as=ci --config={}", rules.display());
        let cut = format!("dd bs=1 count=300 status=none | {receive}");
        let sshd = Sshd::start(&[("ci", &receive), ("cut", &cut)]);
        Self {
            directory,
            source,
            target,
            sshd,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn push(&self, key: &str, arguments: &[&str]) -> Output {
        let mut push = ostler(self.directory.path());
        push.args(["--repo=source", "push", "127.0.0.1:repo"]);
        self.sshd.reach(&mut push, key);
        attempt(push.args(arguments))
    }

    /// Returns what the pusher was told.
    #[track_caller]
    fn pushed(&self, arguments: &[&str]) -> String {
        let output = self.push("ci", arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{told}\n{}", self.sshd.log());
        told
    }

    #[track_caller]
    fn refused(&self, key: &str, arguments: &[&str]) -> String {
        let output = self.push(key, arguments);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// Returns how many signatures a commit has, after checking that one is by our key.
    #[track_caller]
    fn signatures(&self, revision: &str) -> usize {
        let commit = self.target.rev_parse(revision);
        let (first, rest) = commit.split_at(2);
        let object = |kind: &str| self.target.path().join(format!("objects/{first}/{rest}.{kind}"));
        let Ok(detached) = fs::read(object("commitmeta")) else {
            return 0;
        };
        signed(&fs::read(object("commit")).unwrap(), &detached)
    }

    fn log(&self) -> Vec<Value> {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        assert!(log.is_empty() || log.ends_with('\n'), "{log}");
        log.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[track_caller]
fn signed(bytes: &[u8], detached: &[u8]) -> usize {
    let detached = parse_detached(detached).unwrap();
    let found = signatures(&detached, Engine::Ed25519.key()).unwrap();
    let mut keys = PublicKeys::new(Engine::Ed25519);
    keys.add(PUBLIC).unwrap();
    if !found.is_empty() {
        keys.check(bytes, &found).unwrap();
    }
    found.len()
}

fn program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn events(log: &[Value]) -> Vec<&str> {
    log.iter().map(|line| line["event"].as_str().unwrap()).collect()
}

#[test]
fn pushed_commits_are_signed_by_the_receiver_and_keep_their_ids() {
    let scene = Scene::new(|path| {
        let key = path.join("key");
        fs::write(&key, SECRET).unwrap();
        let key = key.display();
        format!(
            "[[sign]]\nrefs = \"os/a\"\ned25519 = \"{key}\"\n[[sign]]\nsummary = true\nsettle = \"0\"\ned25519 = \"{key}\"\n"
        )
    });
    scene.pushed(&[]);
    assert_eq!(scene.target.refs(), scene.source.refs());
    assert_eq!(scene.target.rev_parse("os/a"), scene.source.rev_parse("os/a"));
    assert_eq!((scene.signatures("os/a"), scene.signatures("os/b")), (1, 0));
    let pair = |name| fs::read(scene.target.path().join(name)).unwrap();
    assert_eq!(signed(&pair("summary"), &pair("summary.sig")), 1);

    advance(&scene.source, scene.directory.path());
    scene.pushed(&["os/a"]);
    assert_eq!((scene.signatures("os/a"), scene.signatures("os/a^")), (1, 1));
    // What another ref brought is signed when one of the rule gets it.
    scene.pushed(&["os/b:os/c"]);
    assert_eq!(scene.signatures("os/c"), 0);
    scene.pushed(&["--delete=os/a"]);
    scene.pushed(&["os/b:os/a"]);
    assert_eq!(scene.signatures("os/c"), 1);
    assert!(signed(&pair("summary"), &pair("summary.sig")) > 1);
    assert_sound(scene.target.path());
    assert_eq!(strays(scene.target.path()), Vec::<String>::new());
}

#[test]
fn signatures_of_a_push_that_broke_off_are_not_those_of_the_next() {
    let scene = Scene::new(|path| {
        let key = path.join("key");
        fs::write(&key, SECRET).unwrap();
        let fails = "[[sign]]\nsummary = true\ncommand = { ed25519 = [\"/bin/false\"] }\n";
        format!(
            "[[sign]]\nrefs = \"os/a\"\ned25519 = \"{}\"\n{fails}",
            key.display()
        )
    });
    scene.refused("ci", &["os/a"]);
    assert_eq!(scene.target.refs(), Vec::<String>::new());
    // It lies in quarantine, signed.
    let rules = fs::read_to_string(scene.path("receive.toml")).unwrap();
    fs::write(
        scene.path("receive.toml"),
        rules.replace("/bin/false", "/bin/true"),
    )
    .unwrap();
    scene.refused("ci", &["os/a"]);
    let rules = rules.replace("summary = true", "refs = \"other\"");
    fs::write(scene.path("receive.toml"), rules).unwrap();
    scene.pushed(&["os/a:os/c"]);
    assert_eq!(scene.signatures("os/c"), 0);
}

#[test]
fn without_the_key_that_signs_nothing_is_taken() {
    let scene = Scene::new(|path| {
        let key = path.join("key");
        format!("[[sign]]\nrefs = \"os/a\"\ned25519 = \"{}\"\n", key.display())
    });
    let told = scene.refused("ci", &["os/a"]);
    assert!(told.contains("read keys from"), "{told}");
    assert_eq!(scene.target.refs(), Vec::<String>::new());
    scene.pushed(&["os/b"]);
    let mut check = ostler(scene.directory.path());
    let error = fail(check.args(["receive", "--check-config", "--config=receive.toml"]));
    assert!(error.contains("read keys from"), "{error}");
    fs::write(scene.path("key"), SECRET).unwrap();
    let mut check = ostler(scene.directory.path());
    run(check.args(["receive", "--check-config", "--config=receive.toml"]));
}

#[test]
fn what_a_hook_says_reaches_the_pusher_and_the_log() {
    let scene = Scene::new(|path| {
        program(
            &path.join("hook"),
            "read line; echo looked at ${line##* }; [ \"$OSTLER_REMOTE\" = 127.0.0.1 ] || exit 1; \
             echo \"$line\" | grep -q os/b && { echo no >&2; exit 1; }; exit 0",
        );
        let path = path.display();
        format!("audit = \"{path}/log\"\n[hooks]\npre-receive = \"{path}/hook\"\n")
    });
    let told = scene.pushed(&["os/a"]);
    assert!(told.contains("far end: looked at os/a"), "{told}");
    let told = scene.refused("ci", &["os/b"]);
    assert!(
        told.contains("the pre-receive hook ended with exit status: 1: no"),
        "{told}"
    );
    assert_eq!(scene.target.refs(), ["os/a"]);
    let log = scene.log();
    assert_eq!(events(&log), ["moving", "accepted", "refused"]);
    assert_eq!(log[2]["refs"][0]["result"], "refused");
    assert!(log[2]["refs"][0]["reason"].as_str().unwrap().contains("hook"));
}

#[test]
fn every_push_is_written_down_with_who_and_what_became_of_it() {
    let scene = Scene::new(|path| format!("audit = \"{}/log\"\n", path.display()));
    scene.pushed(&["os/a"]);
    scene.refused("cut", &["os/b"]);
    scene.refused("ci", &["os/a:other"]);
    scene.pushed(&["os/a"]);
    scene.pushed(&["os/b", "--dry-run"]);
    let log = scene.log();
    assert_eq!(
        events(&log),
        ["moving", "accepted", "failed", "refused", "nothing", "asked"],
        "{log:#?}"
    );
    let line = &log[1];
    assert_eq!(line["pusher"], "ci");
    assert_eq!(line["from"], "127.0.0.1");
    let target = fs::canonicalize(scene.target.path()).unwrap();
    assert_eq!(line["repository"], target.to_str().unwrap());
    assert_eq!(line["refs"][0]["ref"], "os/a");
    assert_eq!(line["refs"][0]["old"], Value::Null);
    assert_eq!(line["refs"][0]["new"], scene.source.rev_parse("os/a"));
    assert_eq!(line["generation"], 1);
    assert_eq!(line["process"], log[0]["process"]);
    assert!(line["received_bytes"].as_u64().unwrap() > 500, "{line}");
    assert!(line["time"].as_str().unwrap().ends_with('Z'));
    assert!(log[2]["error"].as_str().unwrap().contains("connection"));
}

#[test]
fn log_that_cannot_be_written_lets_nothing_move() {
    let scene = Scene::new(|path| {
        fs::create_dir(path.join("log")).unwrap();
        format!("audit = \"{}/log\"\n", path.display())
    });
    let told = scene.refused("ci", &[]);
    assert!(
        told.contains("audit log") && told.contains("cannot be written"),
        "{told}"
    );
    assert_eq!(scene.target.refs(), Vec::<String>::new());
    fs::remove_dir(scene.path("log")).unwrap();
    scene.pushed(&[]);
    assert_eq!(events(&scene.log()), ["moving", "accepted"]);
}

#[test]
fn log_that_goes_bad_during_a_push_lets_nothing_move() {
    let scene = Scene::new(|path| {
        program(&path.join("hook"), "rm $1 && mkdir $1");
        let path = path.display();
        format!("audit = \"{path}/log\"\n[hooks]\npre-receive = [\"{path}/hook\", \"{path}/log\"]\n")
    });
    let told = scene.refused("ci", &[]);
    assert!(told.contains("cannot be written"), "{told}");
    assert_eq!(scene.target.refs(), Vec::<String>::new());
    assert_eq!(strays(scene.target.path()), Vec::<String>::new());
}

#[test]
fn what_was_retired_is_swept_behind_the_push() {
    let scene = Scene::new(|path| format!("audit = \"{}/log\"\nsweep = \"0\"\n", path.display()));
    scene.pushed(&[]);
    let gone = scene.target.rev_parse("os/b");
    scene.pushed(&["--delete=os/b"]);
    let began = Instant::now();
    let log = loop {
        let log = scene.log();
        if events(&log).last().is_some_and(|event| event.starts_with("swe")) {
            break log;
        }
        assert!(began.elapsed() < LONG, "{log:#?}");
        std::thread::yield_now();
    };
    let line = log.last().unwrap();
    assert_eq!(line["event"], "swept", "{line}");
    assert_eq!(line["commits"][0], gone);
    let (first, rest) = gone.split_at(2);
    assert!(
        !scene
            .target
            .path()
            .join(format!("objects/{first}/{rest}.commit"))
            .exists()
    );
    assert_sound(scene.target.path());
    assert_eq!(scene.target.refs(), ["os/a"]);
}

#[test]
fn deltas_that_the_repository_asks_for_come_with_the_flip() {
    let scene = Scene::new(|_| String::new());
    let policy = scene.target.path().join("extensions/ostler/policy.toml");
    fs::create_dir_all(policy.parent().unwrap()).unwrap();
    fs::write(policy, "[[rule]]\nrefs = \"os/*\"\ndeltas = 1\n").unwrap();
    scene.pushed(&["os/a"]);
    let old = scene.target.rev_parse("os/a");
    advance(&scene.source, scene.directory.path());
    scene.pushed(&["os/a"]);
    let listed = scene.target.run(&["static-delta", "list"]);
    let new = scene.target.rev_parse("os/a");
    assert_eq!(listed.trim(), format!("{old}-{new}"));
    assert_sound(scene.target.path());
}
