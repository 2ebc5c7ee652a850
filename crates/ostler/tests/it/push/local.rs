//! Pushes to a directory: the far end is a process of its own.

use crate::programs::{OSTLER, ostler};
use crate::publish_scene::{State, advance, copy_tree, make_source};
use ostler_testkit::command::{fail, run};
use ostler_testkit::oracle::strays;
use ostler_testkit::stock::StockRepo;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A source with two refs, and a repository beside it.
fn scene() -> (TempDir, StockRepo, StockRepo) {
    let directory = tempfile::tempdir().unwrap();
    let source = make_source(directory.path());
    let target = StockRepo::init(&directory.path().join("target"), "archive");
    (directory, source, target)
}

fn push(directory: &Path, arguments: &[&str]) -> String {
    run(ostler(directory).args(["--repo=source", "push"]).args(arguments))
}

#[test]
fn push_to_a_directory_moves_refs_and_says_what_it_did() {
    let (directory, source, target) = scene();
    let printed = push(directory.path(), &["target"]);
    let commit = source.rev_parse("os/a");
    assert!(
        printed.contains(&format!("'os/a' created at {commit}")),
        "{printed}"
    );
    assert!(printed.contains("pushed 2 refs to target: "), "{printed}");
    target.fsck();
    assert_eq!(target.refs(), source.refs());
    assert_eq!(push(directory.path(), &["target"]), "target is up to date\n");

    advance(&source, directory.path());
    let printed = push(directory.path(), &["target", "os/a:os/b", "--dry-run", "--force"]);
    assert!(printed.starts_with("'os/b' would be moved from "), "{printed}");
    assert_eq!(target.rev_parse("os/a"), commit);
    let printed = push(directory.path(), &["target", "os/a", "--delete=os/b", "--json"]);
    assert!(printed.contains(r#""result":"accepted""#), "{printed}");
    assert_eq!(target.refs(), ["os/a"]);
    assert_eq!(target.rev_parse("os/a"), source.rev_parse("os/a"));
    target.fsck();
    assert_eq!(strays(target.path()), Vec::<String>::new());
}

#[test]
fn a_remote_may_be_named() {
    let (directory, source, target) = scene();
    let url = format!("file://{}", target.path().display());
    source.run(&["remote", "add", "--no-gpg-verify", "mirror", &url]);
    push(directory.path(), &["mirror", "os/a"]);
    assert_eq!(target.refs(), ["os/a"]);
    source.run(&[
        "remote",
        "add",
        "--no-gpg-verify",
        "web",
        "https://example.org/repo",
    ]);
    let error = fail(ostler(directory.path()).args(["--repo=source", "push", "web", "os/a"]));
    assert!(
        error.contains("remote 'web' is at https://example.org/repo"),
        "{error}"
    );
}

#[test]
fn what_is_wrong_at_the_far_end_is_told_here() {
    let (directory, _source, _target) = scene();
    let attempt = |place: &str, more: &[&str]| {
        fail(
            ostler(directory.path())
                .args(["--repo=source", "push", place, "os/a"])
                .args(more),
        )
    };
    fs::create_dir(directory.path().join("nothing")).unwrap();
    let error = attempt("nothing", &[]);
    assert!(
        error.contains("the other end gave up: ") && error.contains("nothing"),
        "{error}"
    );
    StockRepo::init(&directory.path().join("bare"), "bare-user");
    let error = attempt("bare", &[]);
    assert!(error.contains("its mode is 'bare-user'"), "{error}");
    let error = attempt("target", &["--command=/bin/true"]);
    assert!(error.contains("the connection to the other end broke"), "{error}");
    let error = attempt("target", &["--command=/bin/echo"]);
    assert!(error.contains("it begins with 'receive"), "{error}");
}

/// The calls by which a receiver changes what others see, or what is left of it.
const CHANGING: &str = "mkdirat,linkat,renameat,renameat2,unlinkat,fsync,fdatasync,syncfs";

/// Makes a program that is our binary under strace, and returns its path and that of strace's log.
pub(super) fn traced(directory: &Path, name: &str, options: &str) -> (PathBuf, PathBuf) {
    let (program, log) = (directory.join(name), directory.join(format!("{name}.log")));
    let text = format!(
        "#!/bin/sh\nexec strace -f -qq -o {} -e trace={CHANGING} {options} {OSTLER} \"$@\"\n",
        log.display()
    );
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    (program, log)
}

/// Returns the calls of a log, each with its number among those of the same name in its thread, each pair once.
pub(super) fn calls_of(log: &Path) -> BTreeSet<(String, u32)> {
    let text = fs::read_to_string(log).unwrap();
    let mut counts: BTreeMap<(String, String), u32> = BTreeMap::new();
    let mut calls = BTreeSet::new();
    for line in text.lines() {
        let Some((thread, (name, _))) = line
            .split_once(' ')
            .and_then(|(thread, rest)| Some((thread, rest.trim_start().split_once('(')?)))
        else {
            continue;
        };
        if CHANGING.split(',').any(|changing| changing == name) {
            let nth = counts.entry((thread.to_owned(), name.to_owned())).or_default();
            *nth += 1;
            calls.insert((name.to_owned(), *nth));
        }
    }
    calls
}

/// At so many points the far end is killed; each costs two pushes.
const POINTS: usize = 40;

/// A far end that is killed at a call by which it changes something leaves the repository whole, refs all old or all new, and
/// the next push does the rest.
#[test]
fn far_end_killed_anywhere_leaves_a_whole_repository_and_the_next_push_completes_it() {
    let (directory, source, _target) = scene();
    let path = directory.path();
    push(path, &["target", "os/a"]);
    copy_tree(&path.join("target"), &path.join("before"));
    advance(&source, path);
    let reset = || {
        drop(fs::remove_dir_all(path.join("target")));
        copy_tree(&path.join("before"), &path.join("target"));
    };
    let refs = || State::of(&path.join("target")).refs;
    let before = State::of(&path.join("before")).refs;
    let after = State::of(source.path()).refs;
    reset();
    let (program, log) = traced(path, "counting", "");
    push(path, &["target", &format!("--command={}", program.display())]);
    let calls = calls_of(&log);
    assert!(calls.len() > 60, "only {} points", calls.len());
    let step = calls.len().div_ceil(POINTS);
    for (syscall, nth) in calls.into_iter().step_by(step) {
        let context = format!("{syscall} {nth}");
        reset();
        let (program, _log) = traced(
            path,
            "killing",
            &format!("-e inject={syscall}:signal=KILL:when={nth}"),
        );
        let mut killed = ostler(path);
        killed.args(["--repo=source", "push", "target"]);
        killed.arg(format!("--command={}", program.display()));
        let output = killed.output().unwrap();
        // The next command completes a flip that began.
        let _printed = run(ostler(path).args(["--repo=target", "refs"]));
        let there = refs();
        assert!(there == before || there == after, "{context}: {there:?}");
        assert!(
            !output.status.success() || there == after,
            "{context}: told what is not so"
        );
        let target = StockRepo::open(&path.join("target"));
        target.fsck();
        push(path, &["target"]);
        assert_eq!(refs(), after, "{context}");
        target.fsck();
        assert_eq!(strays(target.path()), Vec::<String>::new(), "{context}");
        let left = fs::read_dir(target.path().join("extensions/ostler/incoming")).unwrap();
        assert_eq!(left.count(), 0, "{context}");
    }
}
