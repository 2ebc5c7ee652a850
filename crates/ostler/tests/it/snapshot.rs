//! `snapshot`: whole copies that need nobody, at any instant.

use crate::fixture;
use crate::programs::ostler;
use crate::publish_scene::{copy_tree, files_below, make_source};
use ostler_testkit::command::{attempt, command, describe, fail, run};
use ostler_testkit::disk::Disk;
use ostler_testkit::oracle::{assert_same_commit, assert_sound};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::strace::{Kind, changing_calls, for_each_point, pause_after, run_with_fault};
use ostler_testkit::tree::Tree;
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

fn snapshot(directory: &Path, arguments: &[&str]) -> Command {
    let mut snapshot = ostler(directory);
    snapshot.args(["--repo=repo", "snapshot", "copy"]).args(arguments);
    snapshot
}

/// Makes one, and returns what it says as JSON.
fn made(directory: &Path, arguments: &[&str]) -> Value {
    let printed = run(snapshot(directory, arguments).arg("--json"));
    serde_json::from_str(&printed).unwrap()
}

/// Returns what makers of snapshots have left.
fn left(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap();
    names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".ostler-snapshot"))
        .collect()
}

/// Drops everything from the repository that a snapshot was made of.
fn empty(repo: &StockRepo) {
    for reference in repo.refs() {
        repo.run(&["refs", "--delete", &reference]);
    }
    repo.run(&["prune", "--refs-only"]);
}

#[test]
fn a_snapshot_stays_whole_whatever_happens_to_the_repository() {
    let directory = fixture::repository();
    let repo = StockRepo::open(&directory.path().join("repo"));
    let copy = StockRepo::open(&directory.path().join("copy"));
    let listed = |repo: &StockRepo| {
        let logs = repo
            .refs()
            .iter()
            .map(|name| repo.run(&["log", name]))
            .collect::<Vec<_>>();
        (repo.refs(), repo.run(&["refs", "-A", "--list"]), logs)
    };
    let before = listed(&repo);
    let stats = made(directory.path(), &[]);
    assert_eq!(stats["copied_objects"], 0, "{stats}");
    assert_eq!(listed(&copy), before);
    let link = copy.path().join("refs/heads/latest");
    assert_eq!(fs::read_link(link).unwrap(), Path::new("os/x86_64/stable"));
    let objects = files_below(&copy.path().join("objects"));
    assert!(objects.keys().any(|path| path.ends_with(".commitmeta")));
    for path in objects.keys() {
        let inode = |repo: &StockRepo| {
            fs::metadata(repo.path().join("objects").join(path))
                .unwrap()
                .ino()
        };
        assert_eq!(inode(&copy), inode(&repo), "{path}");
    }
    empty(&repo);
    assert!(files_below(&repo.path().join("objects")).is_empty());
    assert_sound(copy.path());
    assert_eq!(listed(&copy), before);
    assert_eq!(left(directory.path()), Vec::<String>::new());
}

#[test]
fn snapshots_of_all_modes_are_whole() {
    for mode in ["archive", "bare", "bare-user", "bare-user-only"] {
        let directory = tempfile::tempdir().unwrap();
        fixture::trees(directory.path());
        let repo = StockRepo::init(&directory.path().join("repo"), mode);
        repo.commit("main", &directory.path().join("overlay"));
        repo.commit("main", &directory.path().join("tree"));
        let original = directory.path().join("original");
        let _printed = run(command("cp").arg("-a").arg(repo.path()).arg(&original));
        let stats = made(directory.path(), &[]);
        assert_eq!(
            (&stats["commits"], &stats["copied_objects"]),
            (&2.into(), &0.into()),
            "{mode}"
        );
        empty(&repo);
        let copy = directory.path().join("copy");
        assert_sound(&copy);
        assert_same_commit(&copy, &original, "main");
    }
}

#[test]
fn objects_of_a_parent_repository_are_copied_as_well() {
    let directory = fixture::repository();
    let child = StockRepo::init(&directory.path().join("child"), "archive");
    let parent = directory.path().join("repo");
    child.run(&["config", "set", "core.parent", parent.to_str().unwrap()]);
    let commit = StockRepo::open(&directory.path().join("repo")).rev_parse("main");
    child.run(&["refs", "--create=of-child", &commit]);
    let _printed = run(ostler(directory.path()).args(["--repo=child", "snapshot", "copy"]));
    fs::remove_dir_all(directory.path().join("repo")).unwrap();
    assert_sound(&directory.path().join("copy"));
}

#[test]
fn on_another_file_system_objects_are_copied_which_is_said() {
    let disk = Disk::create(32);
    let directory = fixture::repository();
    let there = disk.path().join("copy");
    let mut snapshot = ostler(directory.path());
    snapshot.args(["--repo=repo", "snapshot"]).arg(&there);
    let output = attempt(&mut snapshot);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && said.contains("could not be linked, and copied instead"),
        "{said}"
    );
    assert_sound(&there);
    assert_same_commit(&there, &directory.path().join("repo"), "main");
}

#[test]
fn configuration_has_what_concerns_the_objects_and_no_remote() {
    let directory = fixture::repository();
    let repo = StockRepo::open(&directory.path().join("repo"));
    for (key, value) in [
        ("core.collection-id", "org.example.Os"),
        ("core.tombstone-commits", "true"),
    ] {
        repo.run(&["config", "set", key, value]);
    }
    repo.run(&["remote", "add", "origin", "https://user:secret@example.org/"]);
    made(directory.path(), &[]);
    let config = fs::read_to_string(directory.path().join("copy/config")).unwrap();
    assert_eq!(
        config,
        "[core]\nrepo_version=1\nmode=archive-z2\ncollection-id=org.example.Os\ntombstone-commits=true\n"
    );
}

#[test]
fn patterns_and_depth_say_what_is_copied() {
    let directory = fixture::repository();
    let stats = made(
        directory.path(),
        &["os/*/stable", "origin:os/arm", "main", "--depth=1"],
    );
    let copy = StockRepo::open(&directory.path().join("copy"));
    assert_eq!(copy.refs(), ["main", "origin:os/arm", "os/x86_64/stable"]);
    assert_eq!((&stats["refs"], &stats["summary"]), (&3.into(), &false.into()));
    assert_eq!(
        copy.run(&["log", "main"]).matches("commit ").count(),
        3,
        "main, its parent, and one of stable"
    );
    assert_sound(copy.path());
    let refused = |arguments: &[&str], words: &str| {
        let mut snapshot = ostler(directory.path());
        snapshot.args(["--repo=repo", "snapshot", "new"]).args(arguments);
        let said = fail(&mut snapshot);
        assert!(said.contains(words), "{said}");
        assert!(!directory.path().join("new").exists());
    };
    refused(&["main", "nothing*"], "nothing*");
}

#[test]
fn a_partial_commit_is_no_tip_of_a_snapshot() {
    let directory = fixture::repository();
    let main = StockRepo::open(&directory.path().join("repo")).rev_parse("main");
    fs::write(
        directory.path().join(format!("repo/state/{main}.commitpartial")),
        "",
    )
    .unwrap();
    let said = fail(&mut snapshot(directory.path(), &[]));
    assert!(said.contains("which is partial"), "{said}");
    assert!(!directory.path().join("copy").exists());
    assert_eq!(left(directory.path()), Vec::<String>::new());
}

#[test]
fn the_summary_is_taken_if_it_lists_what_is_copied() {
    let directory = fixture::repository();
    let repo = StockRepo::open(&directory.path().join("repo"));
    repo.run(&["summary", "-u"]);
    fs::write(repo.path().join("summary.sig"), "a signature").unwrap();
    assert_eq!(made(directory.path(), &[])["summary"], true);
    for file in ["summary", "summary.sig"] {
        let bytes = |place: &str| fs::read(directory.path().join(place).join(file)).unwrap();
        assert_eq!(bytes("copy"), bytes("repo"));
    }
    repo.run(&["refs", "--create=another", "main"]);
    assert_eq!(made(directory.path(), &["--replace"])["summary"], false);
    assert!(!directory.path().join("copy/summary").exists());
    assert!(!directory.path().join("copy/summary.sig").exists());
}

#[test]
fn deltas_come_with_their_commits() {
    let directory = fixture::repository();
    let repo = StockRepo::open(&directory.path().join("repo"));
    for arguments in [
        &["static-delta", "generate", "--from=main^", "--to=main"][..],
        &["static-delta", "generate", "--empty", "--to=sized"],
        &["static-delta", "reindex"],
    ] {
        repo.run(arguments);
    }
    let stats = made(directory.path(), &["main"]);
    assert_eq!(stats["deltas"], 1);
    let (copied, all) = (
        files_below(&directory.path().join("copy/deltas")),
        files_below(&repo.path().join("deltas")),
    );
    assert!(copied.len() > 1 && copied.iter().all(|(path, bytes)| all.get(path) == Some(bytes)));
    assert_eq!(files_below(&directory.path().join("copy/delta-indexes")).len(), 1);
    let superblock = copied.keys().find(|path| path.ends_with("/superblock")).unwrap();
    let delta = directory.path().join("copy/deltas").join(superblock);
    let client = StockRepo::init(&directory.path().join("client"), "bare-user");
    client.run(&[
        "pull-local",
        repo.path().to_str().unwrap(),
        &repo.rev_parse("main^"),
    ]);
    client.run(&[
        "static-delta",
        "apply-offline",
        delta.parent().unwrap().to_str().unwrap(),
    ]);
    client.run(&["ls", "-R", "-C", &repo.rev_parse("main")]);
    client.fsck();
}

#[test]
fn only_a_snapshot_is_replaced_and_only_if_asked() {
    let directory = fixture::repository();
    let copy = directory.path().join("copy");
    fs::create_dir(&copy).unwrap();
    made(directory.path(), &[]);
    let said = fail(&mut snapshot(directory.path(), &[]));
    assert!(
        said.contains("a snapshot at") && said.contains("add --replace"),
        "{said}"
    );
    let repo = StockRepo::open(&directory.path().join("repo"));
    repo.run(&["refs", "--create=another", "main"]);
    made(directory.path(), &["--replace"]);
    assert!(StockRepo::open(&copy).refs().contains(&"another".to_owned()));
    assert_sound(&copy);
    for taken in ["tree", "repo"] {
        let mut snapshot = ostler(directory.path());
        snapshot.args(["--repo=repo", "snapshot", taken, "--replace"]);
        let said = fail(&mut snapshot);
        assert!(said.contains("no snapshot"), "{said}");
    }
    for inside in ["repo/inner", "repo/objects/inner"] {
        let mut snapshot = ostler(directory.path());
        let said = fail(snapshot.args(["--repo=repo", "snapshot", inside]));
        assert!(said.contains("inside the repository itself"), "{said}");
        assert!(!directory.path().join(inside).exists());
    }
    assert_eq!(left(directory.path()), Vec::<String>::new());
}

#[test]
fn of_two_snapshots_at_once_the_second_does_not_take_the_place_of_the_first() {
    let directory = fixture::repository();
    // It has seen that there was nothing, and makes its copy.
    let paused = pause_after(&snapshot(directory.path(), &["--jobs=1"]), "linkat", 3);
    made(directory.path(), &[]);
    let inode = || fs::metadata(directory.path().join("copy")).unwrap().ino();
    let first = inode();
    let output = paused.resume();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("a snapshot at"),
        "{said}"
    );
    assert_eq!(inode(), first);
    assert_sound(&directory.path().join("copy"));
    assert_eq!(left(directory.path()), Vec::<String>::new());
}

#[test]
fn a_place_that_changes_right_before_it_is_taken_is_looked_at_again() {
    type Change = fn(&Path);
    // Whether an empty directory was there, what somebody makes of it, and whether it is a place for a snapshot then.
    let cases: [(bool, Change, bool); 3] = [
        (false, |copy| fs::create_dir(copy).unwrap(), true),
        (false, |copy| fs::write(copy, "mine").unwrap(), false),
        (true, |copy| fs::write(copy.join("file"), "mine").unwrap(), false),
    ];
    for (empty, change, succeeds) in cases {
        let traced = fixture::repository();
        let calls = changing_calls(&snapshot(traced.path(), &["--jobs=1"]));
        let place = calls.iter().rposition(|call| call.text.contains("\"copy\""));
        let before = &calls[..place.unwrap()];
        let mode = before
            .iter()
            .rfind(|call| call.syscall.contains("chmod"))
            .unwrap();

        let directory = fixture::repository();
        let copy = directory.path().join("copy");
        if empty {
            fs::create_dir(&copy).unwrap();
        }
        let making = snapshot(directory.path(), &["--jobs=1"]);
        let paused = pause_after(&making, &mode.syscall, mode.nth);
        change(&copy);
        let output = paused.resume();
        assert_eq!(
            output.status.success(),
            succeeds,
            "{}",
            describe(&making, &output)
        );
        if succeeds {
            assert_sound(&copy);
        } else {
            let mine = if empty { copy.join("file") } else { copy };
            assert_eq!(fs::read(mine).unwrap(), b"mine");
        }
        assert_eq!(left(directory.path()), Vec::<String>::new());
    }
}

#[test]
fn a_snapshot_that_is_read_below_its_lock_stays_until_that_is_done() {
    let directory = fixture::repository();
    made(directory.path(), &[]);
    let copy = directory.path().join("copy");
    StockRepo::open(&copy).run(&["config", "set", "core.lock-timeout-secs", "0"]);
    let mut reader = ostler(directory.path())
        .args(["--repo=copy", "lock", "--shared", "--", "sh", "-c"])
        .arg("cd copy; echo ready; read go; cat refs/heads/main")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(reader.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    let stats = made(directory.path(), &["--replace"]);
    assert!(stats["left"].is_string(), "{stats}");
    made(directory.path(), &["--replace"]);
    assert_eq!(left(directory.path()).len(), 1);
    drop(reader.stdin.take());
    let main = StockRepo::open(&copy).rev_parse("main");
    assert_eq!(lines.next().unwrap().unwrap(), main);
    assert!(reader.wait().unwrap().success());
    made(directory.path(), &["--replace"]);
    assert_eq!(left(directory.path()), Vec::<String>::new());
}

#[test]
fn nobody_can_remove_objects_while_they_are_linked() {
    let directory = fixture::repository();
    let repo = StockRepo::open(&directory.path().join("repo"));
    repo.run(&["config", "set", "core.lock-timeout-secs", "0"]);
    let mut one = snapshot(directory.path(), &["--jobs=1"]);
    one.env("LC_ALL", "C");
    let paused = pause_after(&one, "linkat", 3);
    assert!(repo.fail(&["prune"]).contains("Locking repo exclusive failed"));
    assert!(paused.resume().status.success());
    repo.run(&["prune"]);
    assert_sound(&directory.path().join("copy"));
}

#[test]
fn a_snapshot_that_was_made_survives_a_power_cut() {
    let disk = Disk::create(32);
    let root = disk.path();
    let source = make_source(&root);
    let mut snapshot = ostler(&root);
    snapshot.args(["--repo=source", "snapshot", "copy", "--replace"]);
    for round in 1..=3 {
        Tree::at(&root.join("tree")).file("first", format!("round {round}"), 0o644);
        source.commit("os/a", &root.join("tree"));
        let _printed = run(&mut snapshot);
        let after = disk.snapshot();
        let left = StockRepo::open(&after.path().join("copy"));
        assert_eq!(left.rev_parse("os/a"), source.rev_parse("os/a"), "round {round}");
        assert_sound(left.path());
    }
}

/// Kills the making at every call that changes the disk: there is the old, the new, or nothing, and the next one makes the
/// new and tidies up.
fn kill_everywhere(prepare: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let source = make_source(directory.path());
    source.run(&["summary", "-u"]);
    let _printed = run(command("mv")
        .arg(source.path())
        .arg(directory.path().join("repo")));
    let repo = StockRepo::open(&directory.path().join("repo"));
    let stage = directory.path().join("stage");
    let reset = || {
        if stage.exists() {
            fs::remove_dir_all(&stage).unwrap();
        }
        fs::create_dir(&stage).unwrap();
        if !prepare.is_empty() {
            copy_tree(&directory.path().join("old"), &stage.join("copy"));
        }
    };
    let copy = stage.join("copy");
    let making = |to: &str, arguments: &[&str]| {
        let mut making = ostler(directory.path());
        making
            .args(["--repo=repo", "snapshot", to, "--jobs=1"])
            .args(arguments);
        making
    };
    let _printed = run(&mut making("old", &[]));
    let tree = Tree::at(&directory.path().join("tree"));
    tree.file("first", "third\n", 0o644);
    repo.commit("os/a", tree.path());
    repo.run(&["summary", "-u"]);
    let (old, new) = (
        StockRepo::open(&directory.path().join("old")).rev_parse("os/a"),
        repo.rev_parse("os/a"),
    );
    reset();
    let points = changing_calls(&making("stage/copy", prepare));
    assert!(points.len() > 30, "only {} points", points.len());
    let hit = for_each_point(&points, Kind::Kill, |fault, context| {
        reset();
        let killed = run_with_fault(&making("stage/copy", prepare), fault);
        if copy.exists() {
            let found = fs::read_to_string(copy.join("refs/heads/os/a")).unwrap();
            assert!([&old, &new].contains(&&found.trim_end().to_owned()), "{context}");
            assert!(!prepare.is_empty() || found.trim_end() == new, "{context}");
            assert_sound(&copy);
        } else {
            assert!(prepare.is_empty(), "{context}: the old one is gone");
        }
        let _printed = run(&mut making("stage/copy", &["--replace"]));
        assert_eq!(StockRepo::open(&copy).rev_parse("os/a"), new, "{context}");
        assert_sound(&copy);
        assert_eq!(left(&stage), Vec::<String>::new(), "{context}");
        killed
    });
    println!("killed at {hit} points");
}

#[test]
fn a_first_snapshot_survives_a_kill_at_any_call() {
    kill_everywhere(&[]);
}

#[test]
fn replacing_a_snapshot_survives_a_kill_at_any_call() {
    kill_everywhere(&["--replace"]);
}
