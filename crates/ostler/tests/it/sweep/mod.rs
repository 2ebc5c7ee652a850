//! Retention on publish and `sweep`, as users call them, and interrupted.

mod faults;

use crate::programs::{Ended, OSTLER, ended, ostler};
use ostler_testkit::command::{fail, run};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::fs;
use std::path::Path;

/// Runs ostler in a directory.
#[track_caller]
fn called(directory: &Path, arguments: &str) -> Ended {
    ended(OSTLER, directory, arguments)
}

/// Runs ostler in a directory; it has to succeed.
#[track_caller]
fn done(directory: &Path, arguments: &str) -> String {
    run(ostler(directory).args(arguments.split(' ')))
}

/// Runs ostler in a directory; it has to fail. Returns what it says.
#[track_caller]
fn failed(directory: &Path, arguments: &str) -> String {
    fail(ostler(directory).args(arguments.split(' ')))
}

/// Makes a repository `source` with three versions of `main`, each with detached metadata and a delta to it; returns the
/// commits, oldest first.
fn make_source(directory: &Path) -> Vec<String> {
    let source = StockRepo::init(&directory.join("source"), "archive");
    ["one", "two", "three"]
        .into_iter()
        .map(|version| commit(&source, directory, version))
        .collect()
}

fn commit(source: &StockRepo, directory: &Path, version: &str) -> String {
    let path = directory.join(version);
    Tree::at(&path)
        .file("file", version, 0o644)
        .file("same/file", "same", 0o644)
        .file(&format!("{version}/below/file"), version, 0o644);
    let commit = source.commit_with("main", &path, &["--add-detached-metadata-string=k=v"]);
    source.run(&["static-delta", "generate", "--empty", "main"]);
    commit
}

#[test]
fn history_behind_the_depth_goes_after_the_grace_and_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    make_source(path);
    done(path, "--repo=source publish target");
    let printed = done(path, "--repo=source publish target --depth=0");
    assert!(printed.contains("2 commits retired"), "{printed}");
    let printed = done(path, "sweep target");
    assert_eq!(printed, "nothing to sweep; 2 in the time of grace\n");
    let printed = done(path, "sweep target --grace=0 --dry-run");
    assert!(printed.contains("would sweep 2 commits"), "{printed}");
    let target = StockRepo::open(&path.join("target"));
    assert_eq!(target.run(&["log", "main"]).matches("\ncommit ").count(), 2);
    let printed = done(path, "sweep target --grace=0 --json");
    let record: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(record["commits"].as_array().unwrap().len(), 2);
    assert_eq!(record["event"], "done");
    assert_eq!(record["destination"], "target");
    assert!(record.as_object().unwrap().contains_key("next"), "{printed}");
    target.run(&["fsck", "-q"]);
    assert_eq!(done(path, "sweep target --grace=0"), "nothing to sweep\n");
    let printed = done(path, "--repo=source publish target --depth=0");
    assert!(printed.ends_with("is up to date\n"), "{printed}");
}

#[test]
fn publish_without_grace_sweeps_at_once_unless_told_not_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    make_source(path);
    done(path, "--repo=source publish target");
    let printed = done(path, "--repo=source publish target --depth=1 --no-sweep");
    assert!(!printed.contains("swept"), "{printed}");
    let printed = done(path, "--repo=source publish target --depth=0 --grace=0");
    assert!(printed.contains("swept 2 commits"), "{printed}");
    let client = StockRepo::init(&path.join("client"), "bare-user");
    let url = format!("file://{}", path.join("target").display());
    client.run(&["remote", "add", "--no-gpg-verify", "origin", &url]);
    client.run(&["pull", "--depth=-1", "origin", "main"]);
    client.run(&["fsck", "-q"]);
}

#[test]
fn new_target_gets_as_much_history_as_it_keeps() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    make_source(path);
    for (options, commits) in [("--depth=1", 2), ("--keep-younger-than=@0", 3), ("--depth=-1", 3)] {
        let target = path.join(options);
        done(path, &format!("--repo=source publish ./{options} {options}"));
        let log = StockRepo::open(&target).run(&["log", "main"]);
        assert_eq!(
            log.lines().filter(|line| line.starts_with("commit ")).count(),
            commits,
            "{options}"
        );
    }
}

#[test]
fn time_that_cannot_be_read_is_bad_usage() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [
        "sweep target --grace=7",
        "publish target --grace=soon",
        "publish target --depth=-2",
        "publish target --no-sweep --grace=1h",
    ] {
        let ended = called(directory.path(), arguments);
        assert_eq!(ended.code, Some(2), "{arguments}");
    }
}

#[test]
fn rules_of_the_target_say_what_stays_and_those_of_the_command_line_come_before_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let commits = make_source(path);
    done(path, "--repo=source publish target");
    let policy = path.join("target/extensions/ostler/policy.toml");
    let rule = "[[rule]]\nrefs = 'main'\nkeep-last = 1\nkeep-listed = 'releases'\n";
    fs::write(&policy, rule).unwrap();
    let missing = failed(path, "--repo=source publish target");
    assert!(
        missing.contains("policy.toml, line 4: there is no list"),
        "{missing}"
    );
    fs::write(
        policy.with_file_name("releases"),
        format!("{} first\n", commits[0]),
    )
    .unwrap();
    done(path, "--repo=source publish target --grace=0");
    let there = |commit: &str| {
        let target = StockRepo::open(&path.join("target"));
        target.attempt(&["show", commit]).status.success()
    };
    assert_eq!(
        commits.iter().map(|commit| there(commit)).collect::<Vec<_>>(),
        [true, false, true]
    );
    StockRepo::open(&path.join("target")).run(&["fsck", "-q"]);
    let mine = path.join("mine.toml");
    fs::write(&mine, "[[rule]]\nrefs = 'main'\nkeep-last = 1\n").unwrap();
    let printed = done(path, "--repo=source publish target --policy=mine.toml");
    assert!(
        printed.contains("up to date"),
        "no ref leads to the one listed: {printed}"
    );
    fs::write(&mine, "[[rule]]\nrefs = 'main'\nend-of-life = 2001-01-01\n").unwrap();
    let refused = failed(path, "--repo=source publish target --policy=mine.toml");
    assert!(refused.contains("--allow-empty"), "{refused}");
    StockRepo::open(&path.join("source")).run(&["refs", "--create=other", "main"]);
    done(path, "--repo=source publish target --policy=mine.toml");
    assert_eq!(StockRepo::open(&path.join("target")).refs(), ["other"]);
}

#[test]
fn options_that_yield_to_a_rule_say_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    make_source(path);
    fs::write(path.join("mine.toml"), "[[rule]]\nrefs = 'main'\n").unwrap();
    let said = |line: &str| {
        let output = ostler(path).args(line.split(' ')).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let line = "--repo=source publish target --policy=mine.toml";
    assert!(!said(line).contains("rules say"));
    let heard = said(&format!("{line} --depth=0"));
    assert!(heard.contains("for main, rules say what stays"), "{heard}");
}

#[test]
fn a_policy_and_its_lists_have_limits() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    make_source(path);
    let sized = |name: &str, size: u64| fs::File::create(path.join(name)).unwrap().set_len(size).unwrap();
    sized("large.toml", (1 << 20) + 1);
    sized("list", (64 << 20) + 1);
    fs::write(
        path.join("mine.toml"),
        "[[rule]]\nrefs = 'main'\nkeep-listed = 'list'\n",
    )
    .unwrap();
    for policy in ["large.toml", "mine.toml"] {
        let said = failed(path, &format!("--repo=source publish target --policy={policy}"));
        assert!(said.contains("it has more than"), "{said}");
    }
}

#[test]
fn limit_of_a_run_is_for_its_refs_and_an_alias_keeps_no_more_than_its_ref() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    make_source(path);
    done(path, "--repo=source publish target");
    let target = StockRepo::open(&path.join("target"));
    let source = StockRepo::open(&path.join("source"));
    let commits = |name: &str| target.run(&["log", name]).matches("\nDate:").count();
    target.run(&["refs", "--alias", "--create=follows", "main"]);
    target.run(&["refs", "--create=of-others", "main"]);
    source.run(&["refs", "--create=mine", "main"]);
    let printed = done(path, "--repo=source publish target --depth=0 --grace=0");
    assert!(
        !printed.contains("swept"),
        "another's ref keeps the history: {printed}"
    );
    assert_eq!(commits("of-others"), 3);
    target.run(&["refs", "--delete", "of-others"]);
    let printed = done(path, "--repo=source publish target --depth=0 --grace=0");
    assert!(printed.contains("swept 2 commits"), "{printed}");
    assert_eq!((commits("main"), commits("mine"), commits("follows")), (1, 1, 1));
}
