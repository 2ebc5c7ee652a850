//! A prune that is killed, or refused a call, at every single step: what is left is whole, and pruning again ends
//! where one run would have ended (I2, I6).

use super::history::copy_repo;
use super::{files, on_one_thread};
use ostler_testkit::command::run;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::strace::{CHANGING, FaultRun, Kind, changing_calls, run_with_fault};
use ostler_testkit::tree::Tree;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// A repository `before` and a prune of it.
struct Trial {
    directory: TempDir,
    arguments: Vec<String>,
    after: BTreeSet<PathBuf>,
}

impl Trial {
    fn new(directory: TempDir, arguments: &[&str]) -> Self {
        let mut trial = Self {
            directory,
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
            after: BTreeSet::new(),
        };
        trial.reset();
        let _printed = run(&mut trial.prune());
        trial.after = files(&trial.repo());
        assert_ne!(trial.after, files(&trial.directory.path().join("before/repo")));
        trial
    }

    fn repo(&self) -> PathBuf {
        self.directory.path().join("repo")
    }

    fn reset(&self) {
        if self.repo().exists() {
            fs::remove_dir_all(self.repo()).unwrap();
        }
        copy_repo(&self.directory.path().join("before/repo"), self.directory.path());
    }

    fn prune(&self) -> Command {
        on_one_thread(self.directory.path(), &self.arguments)
    }

    fn survives(&self, kind: Kind) {
        self.reset();
        let calls = changing_calls(&self.prune());
        assert!(calls.len() > 10, "{calls:?}");
        for call in calls {
            // Death before a sync is death after the change before it.
            if kind == Kind::Kill && call.syscall.contains("sync") {
                continue;
            }
            self.reset();
            let run = run_with_fault(&self.prune(), &call.fault(kind));
            assert!(run.injected, "{call:?}");
            self.check(&run, &call.text);
        }
    }

    #[track_caller]
    fn check(&self, faulty: &FaultRun, call: &str) {
        let errors = String::from_utf8_lossy(&faulty.output.stderr);
        assert!(!errors.contains("panicked"), "{call}: {errors}");
        // By stock's word: what is there of commits is whole, refs are, and deltas lead to what is there.
        let stock = StockRepo::open(&self.repo());
        let checked = stock.attempt(&["fsck", "-q"]);
        assert!(
            checked.status.success(),
            "{call}: {}",
            String::from_utf8_lossy(&checked.stderr)
        );
        for reference in stock.refs() {
            stock.run(&["ls", "-R", &reference]);
        }
        let _printed = run(&mut self.prune());
        let left = files(&self.repo());
        let different: Vec<_> = left.symmetric_difference(&self.after).collect();
        assert!(different.is_empty(), "{call}: {different:?}");
    }
}

/// Three commits on `main` with detached metadata, a partial one that nothing names, deltas to two of them.
fn repository() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let before = directory.path().join("before");
    fs::create_dir(&before).unwrap();
    let repo = StockRepo::init(&before.join("repo"), "archive");
    for version in ["one", "two", "three"] {
        let path = directory.path().join(version);
        Tree::at(&path)
            .file("file", version, 0o644)
            .file("same/file", "same", 0o644)
            .file(&format!("{version}/below/file"), version, 0o644);
        repo.commit_with("main", &path, &["--add-detached-metadata-string=k=v"]);
    }
    repo.run(&["static-delta", "generate", "main^"]);
    repo.run(&["static-delta", "generate", "main"]);
    let source = StockRepo::init(&directory.path().join("source"), "archive");
    let path = directory.path().join("four");
    Tree::at(&path).file("file", "four", 0o644);
    source.commit("partial", &path);
    repo.run(&[
        "pull-local",
        "--commit-metadata-only",
        source.path().to_str().unwrap(),
        "partial",
    ]);
    repo.run(&["refs", "--delete", "partial"]);
    directory
}

#[test]
fn killed_at_any_call_it_leaves_no_hole_and_is_finished_by_running_again() {
    Trial::new(repository(), &["--refs-only", "--depth=0"]).survives(Kind::Kill);
}

#[test]
fn refused_any_call_it_leaves_no_hole_and_is_finished_by_running_again() {
    Trial::new(repository(), &["--refs-only", "--depth=0"]).survives(Kind::Error("EIO"));
}

#[test]
fn the_deletion_of_a_commit_is_finished_by_running_again() {
    for kind in [Kind::Kill, Kind::Error("EIO")] {
        let directory = repository();
        let repo = StockRepo::open(&directory.path().join("before/repo"));
        let commit = format!("--delete-commit={}", repo.rev_parse("main^"));
        Trial::new(directory, &[&commit]).survives(kind);
    }
}

#[test]
fn a_sync_that_fails_is_a_prune_that_fails() {
    assert!(CHANGING.contains(&"fsync"));
    let directory = repository();
    let repo = StockRepo::open(&directory.path().join("before/repo"));
    let commit = format!("--delete-commit={}", repo.rev_parse("main^"));
    let trial = Trial::new(directory, &[&commit]);
    trial.reset();
    let sync = changing_calls(&trial.prune())
        .into_iter()
        .rfind(|call| call.syscall == "fsync");
    trial.reset();
    let run = run_with_fault(&trial.prune(), &sync.expect("it syncs").fault(Kind::Error("EIO")));
    assert!(run.injected && !run.succeeded());
}

#[test]
fn killed_at_any_call_a_prune_with_a_grace_is_finished_by_running_again() {
    let directory = repository();
    // Death before a sync is left out anyway.
    StockRepo::open(&directory.path().join("before/repo")).run(&["config", "set", "core.fsync", "false"]);
    Trial::new(directory, &["--refs-only", "--depth=0", "--grace=0"]).survives(Kind::Kill);
}
