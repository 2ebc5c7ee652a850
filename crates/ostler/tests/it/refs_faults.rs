//! Several refs that one command changes: after a crash and the next command they are all old or all new (I12).

use crate::programs::ostler;
use crate::publish_scene::{State, advance, copy_tree, make_source};
use ostler_testkit::command::run;
use ostler_testkit::oracle::{assert_refs_complete, strays};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::strace::{FaultRun, Kind, for_each_fault, run_with_fault};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// The calls around which refs change. What goes before them is the transaction's, and tested with it.
const CALLS: &[&str] = &[
    "renameat",
    "linkat",
    "unlinkat",
    "fsync",
    "fdatasync",
    "syncfs",
    "mkdirat",
];

/// A repository `before`, and arguments of ours that change several of its refs.
struct Change {
    directory: TempDir,
    arguments: &'static [&'static str],
    old: State,
    new: State,
}

impl Change {
    fn new(directory: TempDir, arguments: &'static [&'static str]) -> Self {
        let mut change = Self {
            old: State::of(&directory.path().join("before")),
            new: State::default(),
            directory,
            arguments,
        };
        change.reset();
        let _printed = run(&mut change.command());
        change.new = State::of(&change.repo());
        assert_ne!(change.old.refs, change.new.refs);
        change
    }

    fn repo(&self) -> PathBuf {
        self.directory.path().join("repo")
    }

    fn command(&self) -> Command {
        let mut command = ostler(self.directory.path());
        command.arg("--repo=repo").args(self.arguments);
        command
    }

    fn reset(&self) {
        if self.repo().exists() {
            fs::remove_dir_all(self.repo()).unwrap();
        }
        copy_tree(&self.directory.path().join("before"), &self.repo());
    }

    /// Kills the command at every one of the calls.
    fn is_all_or_nothing(&self) {
        for syscall in CALLS {
            let hit = for_each_fault(syscall, Kind::Kill, 200, |fault| {
                self.reset();
                let run = run_with_fault(&self.command(), fault);
                self.check(&run, &format!("{fault:?}"));
                run
            });
            println!("killed at {hit} calls of {syscall}");
        }
    }

    fn check(&self, killed: &FaultRun, context: &str) {
        // Any command does the rest.
        let _printed = run(ostler(self.directory.path()).args(["--repo=repo", "refs"]));
        let refs = State::of(&self.repo()).refs;
        assert!(
            refs == self.new.refs || (refs == self.old.refs && !killed.succeeded()),
            "{context}: some are old and some new: {refs:?}"
        );
        let _printed = run(&mut self.command());
        assert_eq!(State::of(&self.repo()).refs, self.new.refs, "{context}");
        assert_refs_complete(&self.repo());
        // The lock of somebody dead is anybody's: the next who changes refs takes it, and removes it.
        let strays = strays(&self.repo())
            .into_iter()
            .filter(|name| name != "tmp/ostler-refs-lock");
        assert_eq!(strays.collect::<Vec<_>>(), Vec::<String>::new(), "{context}");
    }
}

/// Makes `source`, and `before` with what it held at first.
fn moved_source() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let source = make_source(directory.path());
    let before = StockRepo::init(&directory.path().join("before"), "archive");
    let path = source.path().to_str().unwrap();
    before.run(&["pull-local", "--disable-fsync", path]);
    advance(&source, directory.path());
    directory
}

#[test]
fn refs_that_a_local_pull_moves_move_together() {
    Change::new(moved_source(), &["pull-local", "source"]).is_all_or_nothing();
}

#[test]
fn refs_that_are_deleted_together_go_together() {
    let directory = moved_source();
    Change::new(directory, &["refs", "--delete", "os"]).is_all_or_nothing();
}
