//! A prune whose first look, taken without a lock, is out of date when it comes to remove things.
//!
//! It is stopped right before it takes the exclusive lock; others work meanwhile, and nothing of theirs may go.

use super::{files, on_one_thread, traced};
use crate::programs::ostler;
use ostler_testkit::command::{command, run};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::strace::{Paused, pause_after};
use ostler_testkit::tree::Tree;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A repository with a commit on `main`, and one that no ref leads to, by stock: its checksum is returned as well.
fn repository() -> (TempDir, StockRepo, String) {
    let directory = tempfile::tempdir().unwrap();
    let repo = StockRepo::init(&directory.path().join("repo"), "archive");
    repo.run(&["config", "set", "core.fsync", "false"]);
    let mut commits = Vec::new();
    for version in ["lost", "main"] {
        let path = directory.path().join(version);
        Tree::at(&path)
            .file("file", version, 0o644)
            .file("deep/er/file", format!("{version} below"), 0o644);
        commits.push(repo.commit(version, &path));
    }
    repo.run(&["refs", "--delete", "lost"]);
    (directory, repo, commits.swap_remove(0))
}

fn prune(directory: &Path) -> Command {
    on_one_thread(directory, &["--refs-only".to_owned(), "--depth=0".to_owned()])
}

/// Starts a prune, which stands still before it takes the lock: all that it is to remove is known to it.
fn paused(directory: &TempDir) -> Paused {
    let text = traced(&prune(directory.path()), directory, "statx,fcntl");
    let before = text
        .lines()
        .take_while(|line| !(line.contains("OFD_SETLK") && line.contains("F_WRLCK")));
    let looks = before.filter(|line| line.contains("statx(")).count();
    assert!(looks > 0 && text.contains("F_WRLCK"), "{text}");
    pause_after(&prune(directory.path()), "statx", u32::try_from(looks).unwrap())
}

#[track_caller]
fn whole(repo: &StockRepo) {
    repo.fsck();
    for reference in repo.refs() {
        repo.run(&["ls", "-R", &reference]);
        repo.run(&["fsck", "-q"]);
    }
}

#[test]
fn a_ref_that_was_made_meanwhile_keeps_its_commit() {
    let (directory, repo, lost) = repository();
    let paused = paused(&directory);
    repo.run(&["refs", "--create=found", &lost]);
    assert!(paused.resume().status.success());
    whole(&repo);
    assert_eq!(repo.rev_parse("found"), lost);
}

#[test]
fn a_commit_that_came_meanwhile_keeps_what_was_there_without_one() {
    for ours in [false, true] {
        for options in [&["--branch=again"][..], &["--orphan"]] {
            let (directory, repo, _) = repository();
            let paused = paused(&directory);
            let mut writer = if ours {
                ostler(directory.path())
            } else {
                let mut stock = command("ostree");
                stock.current_dir(directory.path());
                stock
            };
            writer
                .args(["--repo=repo", "commit", "-s", "again"])
                .args(options);
            let commit = run(writer.arg("lost")).trim().to_owned();
            assert!(paused.resume().status.success());
            whole(&repo);
            repo.run(&["ls", "-R", &commit]);
        }
    }
}

#[test]
fn a_pull_that_completed_a_commit_meanwhile_finds_it_complete_afterwards() {
    let (directory, repo, lost) = repository();
    let source = StockRepo::init(&directory.path().join("source"), "archive");
    source.run(&["pull-local", repo.path().to_str().unwrap(), &lost]);
    source.run(&["refs", "--create=lost", &lost]);
    // Partial: without its root, below which all is there.
    repo.run(&["refs", "--create=found", &lost]);
    let listed = repo.run(&["ls", "-d", "-C", &lost]);
    let tree = listed.split_whitespace().find(|word| word.len() == 64).unwrap();
    let (first, rest) = tree.split_at(2);
    fs::remove_file(repo.path().join(format!("objects/{first}/{rest}.dirtree"))).unwrap();
    fs::write(repo.path().join(format!("state/{lost}.commitpartial")), "").unwrap();

    let paused = paused(&directory);
    repo.run(&["pull-local", source.path().to_str().unwrap(), "lost"]);
    assert!(paused.resume().status.success());
    whole(&repo);
    repo.run(&["ls", "-R", &lost]);
    assert!(!repo.path().join(format!("state/{lost}.commitpartial")).exists());
}

#[test]
fn two_prunes_at_once_leave_what_one_leaves() {
    let (directory, repo, _) = repository();
    let paused = paused(&directory);
    let _printed = run(&mut prune(directory.path()));
    let before = files(repo.path());
    assert!(paused.resume().status.success());
    assert_eq!(files(repo.path()), before);
    whole(&repo);
}

#[test]
fn a_commit_whose_ref_went_meanwhile_goes_with_the_next_prune() {
    let (directory, repo, lost) = repository();
    repo.run(&["refs", "--create=found", &lost]);
    let tree = directory.path().join("main");
    Tree::at(&tree).file("file", "newer", 0o644);
    repo.commit("main", &tree);
    let paused = paused(&directory);
    repo.run(&["refs", "--delete", "found"]);
    assert!(paused.resume().status.success());
    repo.run(&["ls", "-R", &lost]);
    let _printed = run(&mut prune(directory.path()));
    let gone = repo.attempt(&["ls", "-R", &lost]);
    assert!(!gone.status.success());
    whole(&repo);
}
