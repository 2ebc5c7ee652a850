//! A prune and others at work on the same repository.
//!
//! Nothing depends on who is faster: one is stopped where it holds its lock, and the other must wait or give up.

use super::{files, on_one_thread, traced};
use crate::programs::ostler;
use ostler_testkit::command::{command, fail, run};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::strace::pause_after;
use ostler_testkit::tree::Tree;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A repository with one commit on `main`, one that no ref leads to, and a tree to commit.
fn repository() -> (TempDir, StockRepo) {
    let directory = tempfile::tempdir().unwrap();
    let repo = StockRepo::init(&directory.path().join("repo"), "archive");
    for version in ["lost", "main"] {
        let path = directory.path().join(version);
        Tree::at(&path).file("file", version, 0o644);
        repo.commit(version, &path);
    }
    repo.run(&["refs", "--delete", "lost"]);
    (directory, repo)
}

fn prune(directory: &Path) -> Command {
    on_one_thread(directory, &["--refs-only".to_owned(), "--depth=0".to_owned()])
}

/// What adds objects, by stock and by us.
fn writers(directory: &Path) -> Vec<Command> {
    let source = StockRepo::init(&directory.join("source"), "archive");
    source.commit("pulled", &directory.join("lost"));
    let mut writers = Vec::new();
    for words in [
        &["commit", "--branch=new", "lost"][..],
        &["pull-local", "source", "pulled"],
    ] {
        let mut stock = command("ostree");
        stock.arg("--repo=repo").args(words).current_dir(directory);
        let mut ours = ostler(directory);
        ours.arg("--repo=repo").args(words);
        writers.extend([stock, ours]);
    }
    writers
}

#[test]
fn writers_wait_while_a_prune_runs() {
    let (directory, repo) = repository();
    repo.run(&["config", "set", "core.lock-timeout-secs", "0"]);
    let mut writers = writers(directory.path());
    // Stopped after the first removal, with the exclusive lock held.
    let paused = pause_after(&prune(directory.path()), "unlinkat", 1);
    let before = files(repo.path());
    for writer in &mut writers {
        let said = fail(writer);
        assert!(said.contains("lock") || said.contains("Lock"), "{said}");
    }
    let objects = |files: std::collections::BTreeSet<std::path::PathBuf>| {
        files
            .into_iter()
            .filter(|path| path.starts_with("objects"))
            .collect::<Vec<_>>()
    };
    assert_eq!(objects(files(repo.path())), objects(before));
    assert!(paused.resume().status.success());
    for writer in &mut writers {
        let _printed = run(writer);
    }
    repo.fsck();
}

#[test]
fn no_ref_is_made_to_a_commit_that_a_prune_takes() {
    let (directory, repo) = repository();
    let lost = {
        let commits = files(&repo.path().join("objects")).into_iter();
        let commits = commits.filter(|path| path.extension().is_some_and(|suffix| suffix == "commit"));
        let names = commits.map(|path| path.with_extension("").display().to_string().replace('/', ""));
        let main = repo.rev_parse("main");
        names.into_iter().find(|name| *name != main).unwrap()
    };
    repo.run(&["config", "set", "core.lock-timeout-secs", "0"]);
    let refs = [["refs", "--create=new", &lost], ["reset", "main", &lost]];
    let made = |arguments: &[&str]| fail(ostler(directory.path()).arg("--repo=repo").args(arguments));
    let paused = pause_after(&prune(directory.path()), "unlinkat", 1);
    for arguments in &refs {
        let said = made(arguments);
        assert!(said.contains("cannot take the shared lock"), "{said}");
    }
    assert!(paused.resume().status.success());
    for arguments in &refs {
        let said = made(arguments);
        assert!(
            said.contains(&format!("No such metadata object {lost}.commit")),
            "{said}"
        );
    }
    repo.fsck();
}

#[test]
fn a_prune_waits_for_whoever_adds_objects() {
    for which in 0..4 {
        let (directory, repo) = repository();
        let writer = writers(directory.path()).swap_remove(which);
        repo.run(&["config", "set", "core.lock-timeout-secs", "0"]);
        // Stopped as soon as it has the lock: objects are to come, and a ref to them.
        let paused = pause_after(&writer, "fcntl", nth_lock(&writer, &directory));
        let said = fail(&mut prune(directory.path()));
        assert!(said.contains("cannot take the exclusive lock"), "{said}");
        assert!(paused.resume().status.success());
        let _printed = run(&mut prune(directory.path()));
        repo.fsck();
        for reference in repo.refs() {
            repo.run(&["ls", "-R", &reference]);
        }
    }
}

/// Returns which call of `fcntl` it is by which a program takes the shared lock, on a copy of the directory.
fn nth_lock(program: &Command, directory: &TempDir) -> u32 {
    let text = traced(program, directory, "fcntl");
    let is_lock = |line: &&str| line.contains("OFD_SETLK") && line.contains("F_RDLCK");
    // A pull locks its source first.
    let lock = text.lines().rev().find(is_lock).expect("it takes the lock");
    // Calls are counted of each thread by itself.
    let thread = lock.split_whitespace().next().unwrap();
    let of_thread = text.lines().filter(|line| line.starts_with(thread));
    let before = of_thread.take_while(|line| *line != lock).count();
    u32::try_from(before + 1).unwrap()
}
