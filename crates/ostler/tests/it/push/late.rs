//! Signatures that are made after a commit was pushed: the next push brings them, to a directory and through a real ssh server.

use super::local::{calls_of, traced};
use crate::programs::{OSTLER, ostler};
use crate::publish_scene::{State, copy_tree, make_source};
use ostler_format::{ED25519_SIGNATURES, GPG_SIGNATURES, parse_detached, signatures};
use ostler_testkit::command::{attempt, describe, run};
use ostler_testkit::gpg::GpgHome;
use ostler_testkit::oracle::strays;
use ostler_testkit::sshd::Sshd;
use ostler_testkit::stock::StockRepo;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The first pair of keys of the tests in RFC 8032, as files hold them.
const SECRET: &str =
    "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==";
const PUBLIC: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// A source and a repository that has its two refs, and a key of GPG.
struct Scene {
    directory: TempDir,
    source: StockRepo,
    target: StockRepo,
    home: GpgHome,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let source = make_source(path);
        fs::create_dir(path.join("root")).unwrap();
        let target = StockRepo::init(&path.join("root/repo"), "archive");
        fs::write(path.join("key"), SECRET).unwrap();
        let home = GpgHome::new();
        for name in ["release", "server"] {
            home.make_key(&format!("Key <{name}@example.org>"), "never");
        }
        run(ostler(path).args(["--repo=source", "push", "root/repo"]));
        Self {
            directory,
            source,
            target,
            home,
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Signs the commit of a ref by both engines.
    fn sign(&self, repo: &str, reference: &str) {
        self.sign_by_gpg(repo, reference, "release");
        let repo = format!("--repo={repo}");
        run(ostler(self.path()).args([&repo, "sign", "--keys-file=key", reference]));
    }

    fn sign_by_gpg(&self, repo: &str, reference: &str, key: &str) {
        let repo = format!("--repo={repo}");
        let mut sign = ostler(self.path());
        sign.args([&repo, "gpg-sign", reference, &format!("{key}@example.org")]);
        run(sign.arg("--gpg-homedir").arg(self.home.path()));
    }

    /// Returns what stock finds of a signature at the far end, and we of the other.
    #[track_caller]
    fn assert_signed(&self, reference: &str) {
        let trusted = self.home.trusted(self.path().join("trusted"), &["release"]);
        let mut show = self.target.command();
        let shown = run(show.args(["show", reference]).env("OSTREE_GPG_HOME", trusted));
        assert!(shown.contains("Good signature from \"Key <release@"), "{shown}");
        let mut verify = ostler(self.path());
        let verified = run(verify.args(["--repo=root/repo", "sign", "--verify", reference, PUBLIC]));
        assert!(verified.contains("verified successfully"), "{verified}");
    }

    /// Returns how many signatures the commit of a ref has at the far end, by GPG and ed25519.
    fn counts(&self, reference: &str) -> (usize, usize) {
        let detached = fs::read(beside(self.target.path(), &self.source.rev_parse(reference)));
        let detached = parse_detached(&detached.unwrap_or_default()).unwrap();
        let count = |key| signatures(&detached, key).unwrap().len();
        (count(GPG_SIGNATURES), count(ED25519_SIGNATURES))
    }
}

fn beside(repo: &Path, commit: &str) -> PathBuf {
    let (first, rest) = commit.split_at(2);
    repo.join(format!("objects/{first}/{rest}.commitmeta"))
}

fn program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn signatures_made_after_a_push_are_brought_to_a_directory_and_stock_accepts_them() {
    let scene = Scene::new();
    let push = |more: &[&str]| {
        let mut push = ostler(scene.path());
        run(push.args(["--repo=source", "push", "root/repo"]).args(more))
    };
    assert_eq!(push(&[]), "root/repo is up to date\n");
    // The far end has one of its own.
    scene.sign_by_gpg("root/repo", "os/a", "server");
    scene.sign("source", "os/a");
    let commit = scene.source.rev_parse("os/a");
    assert_eq!(
        push(&["--dry-run"]),
        format!("'os/a': 2 signatures would be added to {commit}\n")
    );
    assert_eq!(scene.counts("os/a"), (1, 0));
    let printed = push(&["--json"]);
    let done: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
    let row = serde_json::json!([{"name": "os/a", "commit": commit, "added": 2, "reason": null}]);
    assert_eq!(done["signatures"], row, "{printed}");
    assert_eq!(done["refs"][0]["result"], "up-to-date");
    assert_eq!(scene.counts("os/a"), (2, 1));
    scene.assert_signed("os/a");
    assert_eq!(push(&[]), "root/repo is up to date\n");

    scene.sign("source", "os/b");
    let commit = scene.source.rev_parse("os/b");
    let told = format!("'os/b': 2 signatures added to {commit}\npushed 2 signatures to root/repo\n");
    assert_eq!(push(&["os/b"]), told);
    scene.assert_signed("os/b");
    scene.target.fsck();
    assert_eq!(strays(scene.target.path()), Vec::<String>::new());
    let history = run(ostler(scene.path()).args(["history", "root/repo"]));
    assert!(!history.contains("\n2 "), "no generation is made: {history}");
}

#[test]
fn signatures_made_after_a_push_are_brought_through_ssh_by_who_may_change_the_ref() {
    let scene = Scene::new();
    let rules = scene.path().join("receive.toml");
    let place = scene.path().display();
    let text = format!(
        "root = '{place}/root'\naudit = '{place}/log'\n\
         [[allow]]\nwho = 'ci'\nrefs = 'os/*'\nmay = 'fast-forward'\n\
         [[allow]]\nwho = 'janitor'\nrefs = 'os/*'\nmay = 'delete'\n"
    );
    fs::write(&rules, text).unwrap();
    let receive = |name: &str| format!("{OSTLER} receive --as={name} --config={}", rules.display());
    let sshd = Sshd::start(&[("ci", &receive("ci")), ("janitor", &receive("janitor"))]);
    let push = |key: &str| {
        let mut push = ostler(scene.path());
        push.args(["--repo=source", "push", "127.0.0.1:repo"]);
        sshd.reach(&mut push, key);
        let output = attempt(&mut push);
        let told =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), told)
    };
    let up_to_date = (Some(0), "127.0.0.1:repo is up to date\n".to_owned());
    assert_eq!(push("janitor"), up_to_date);
    scene.sign("source", "os/a");
    let (status, told) = push("janitor");
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("its ref may not be changed by 'janitor'"), "{told}");
    assert!(
        told.contains("not all signatures were pushed to 127.0.0.1:repo"),
        "{told}"
    );
    assert_eq!(scene.counts("os/a"), (0, 0));
    let (status, told) = push("ci");
    assert_eq!(status, Some(0), "{told}\n{}", sshd.log());
    assert!(told.contains("pushed 2 signatures to 127.0.0.1:repo"), "{told}");
    scene.assert_signed("os/a");
    assert_eq!(push("ci"), up_to_date);
    assert_eq!(push("janitor"), up_to_date);
    let log = fs::read_to_string(scene.path().join("log")).unwrap();
    let log: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let added = log.iter().find(|line| line["event"] == "added").unwrap();
    assert_eq!(
        (&added["pusher"], &added["from"]),
        (&"ci".into(), &"127.0.0.1".into())
    );
    assert_eq!(added["signatures"][0]["commit"], scene.source.rev_parse("os/a"));
    assert_eq!(added["signatures"][0]["added"], 2);
}

/// A receiver that is killed at a call by which it changes something leaves what is beside the commit as it was or as it is to be, and
/// written down; the next push does the rest.
#[test]
fn receiver_killed_anywhere_leaves_what_is_beside_a_commit_whole() {
    let scene = Scene::new();
    let path = scene.path();
    scene.sign_by_gpg("root/repo", "os/a", "server");
    scene.sign("source", "os/a");
    let commit = scene.source.rev_parse("os/a");
    let target = scene.target.path();
    copy_tree(target, &path.join("before"));
    let place = path.display();
    fs::write(
        path.join("rules"),
        format!("audit = '{place}/log'\n[[allow]]\nrefs = '**'\nmay = 'fast-forward'\n"),
    )
    .unwrap();
    let push = |name: &str, options: &str| {
        let (traced, log) = traced(path, name, options);
        let far = path.join(format!("{name}.far"));
        let traced = traced.display();
        program(
            &far,
            &format!("exec {traced} receive --as=ci --config={place}/rules --repo={place}/root/repo"),
        );
        let mut push = ostler(path);
        push.args(["--repo=source", "push", "root/repo"]);
        push.arg(format!("--command={}", far.display()));
        (push, log)
    };
    let reset = || {
        fs::remove_dir_all(target).unwrap();
        drop(fs::remove_file(path.join("log")));
        copy_tree(&path.join("before"), target);
    };
    let refs = State::of(target).refs;
    reset();
    let (mut counting, log) = push("counting", "");
    run(&mut counting);
    assert_eq!(scene.counts("os/a"), (2, 1));
    let after = fs::read(beside(target, &commit)).unwrap();
    let calls = calls_of(&log);
    assert!(calls.len() > 5, "{calls:?}");
    let before = fs::read(beside(&path.join("before"), &commit)).unwrap();
    for (syscall, nth) in calls {
        let context = format!("{syscall} {nth}");
        reset();
        let (mut killed, _log) = push("killing", &format!("-e inject={syscall}:signal=KILL:when={nth}"));
        let output = attempt(&mut killed);
        let there = fs::read(beside(target, &commit)).unwrap();
        assert!(there == before || there == after, "{context}");
        let log = fs::read_to_string(path.join("log")).unwrap_or_default();
        assert!(there == before || log.contains("\"adding\""), "{context}: {log}");
        assert!(
            there == after || !output.status.success(),
            "{context}: told what is not so"
        );

        let (mut again, _log) = push("again", "");
        let output = attempt(&mut again);
        assert!(
            output.status.success(),
            "{context}: {}",
            describe(&again, &output)
        );
        assert_eq!(fs::read(beside(target, &commit)).unwrap(), after, "{context}");
        assert_eq!(State::of(target).refs, refs, "{context}");
        scene.target.fsck();
        // What whoever was killed leaves in `tmp`, as after `sign`, goes when it is old.
        let left = strays(target).into_iter();
        let left = left.filter(|path| !path.starts_with("tmp/"));
        assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new(), "{context}");
    }
}
