//! A sweep killed at, or refused, every call that changes something: no commit has a hole, and running again does the rest.

use super::{commit, make_source};
use crate::programs::ostler;
use crate::prune::files;
use crate::publish_scene::copy_tree;
use ostler_repo::Retired;
use ostler_testkit::command::run;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::strace::{Call, FaultRun, Kind, changing_calls, for_each_point, run_with_fault};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A target `before` and a command that sweeps it under the name `target`.
struct Trial<'a> {
    directory: &'a Path,
    arguments: &'a str,
    after: BTreeSet<PathBuf>,
}

impl<'a> Trial<'a> {
    fn new(directory: &'a Path, arguments: &'a str) -> Self {
        let mut trial = Self {
            directory,
            arguments,
            after: BTreeSet::new(),
        };
        trial.reset();
        let _printed = run(&mut trial.command());
        trial.after = lasting(&trial.target());
        let before = files(&directory.join("before"));
        assert!(before.difference(&trial.after).count() > 10, "much is swept");
        trial
    }

    fn target(&self) -> PathBuf {
        self.directory.join("target")
    }

    fn reset(&self) {
        if self.target().exists() {
            fs::remove_dir_all(self.target()).unwrap();
        }
        copy_tree(&self.directory.join("before"), &self.target());
    }

    fn command(&self) -> Command {
        let mut command = ostler(self.directory);
        command.args(self.arguments.split(' '));
        command
    }

    fn survives(&self, kind: Kind) {
        self.survives_from(kind, "");
    }

    /// Begins with the first call that has to do with a file.
    fn survives_from(&self, kind: Kind, file: &str) {
        self.reset();
        let calls = changing_calls(&self.command());
        let first = calls.iter().position(|call| call.text.contains(file));
        // Death before a sync is death after the change before it.
        let counts = |call: &&Call| !(kind == Kind::Kill && call.syscall.contains("sync"));
        let points = calls[first.expect("it is changed")..].iter().filter(counts);
        let points: Vec<_> = points.cloned().collect();
        assert!(points.len() > 20, "{points:?}");
        let hit = for_each_point(&points, kind, |fault, context| {
            self.reset();
            let run = run_with_fault(&self.command(), fault);
            self.check(&run, context);
            run
        });
        println!("{kind:?} at {hit} points");
    }

    #[track_caller]
    fn check(&self, faulty: &FaultRun, call: &str) {
        let errors = String::from_utf8_lossy(&faulty.output.stderr);
        assert!(!errors.contains("panicked"), "{call}: {errors}");
        let stock = StockRepo::open(&self.target());
        // By stock's word: every commit that is there is whole.
        let checked = stock.attempt(&["fsck", "-q"]);
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{call}: {said}");
        for delta in stock.run(&["static-delta", "list"]).lines() {
            assert!(
                delta.starts_with('(') || stock.attempt(&["show", delta]).status.success(),
                "{call}: {delta}"
            );
        }
        let _printed = run(&mut self.command());
        let left = lasting(&self.target());
        let different: Vec<_> = left.symmetric_difference(&self.after).collect();
        assert!(different.is_empty(), "{call}: {different:?}");
        let checked = stock.attempt(&["fsck", "-q"]);
        assert!(checked.status.success(), "{call}: after the second run");
    }
}

/// Returns the files of a repository, but what says which objects were new (those that a run found in place were not), that a
/// flip was completed, and kept summaries, whose names depend on the time.
fn lasting(repo: &Path) -> BTreeSet<PathBuf> {
    let mut found = files(repo);
    let same = |path: &PathBuf| {
        let listed = path.extension().is_some_and(|extension| extension == "objects");
        let noted = path == Path::new(Retired::COMPLETED);
        !listed && !noted && !path.starts_with("extensions/ostler/summaries")
    };
    found.retain(same);
    found
}

/// Makes a target `before` of which two of three commits are retired.
fn retired(directory: &Path) {
    make_source(directory);
    for options in ["", " --depth=0"] {
        let line = format!("--repo=source publish before --copy{options}");
        let _printed = run(ostler(directory).args(line.split(' ')));
    }
}

#[test]
fn sweep_killed_at_any_call_leaves_no_hole_and_is_finished_by_running_again() {
    let directory = tempfile::tempdir().unwrap();
    retired(directory.path());
    Trial::new(directory.path(), "sweep target --grace=0 --jobs=1").survives(Kind::Kill);
}

#[test]
fn sweep_refused_any_call_leaves_no_hole_and_is_finished_by_running_again() {
    let directory = tempfile::tempdir().unwrap();
    retired(directory.path());
    Trial::new(directory.path(), "sweep target --grace=0 --jobs=1").survives(Kind::Error("EIO"));
}

#[test]
fn publish_that_sweeps_killed_at_any_call_is_finished_by_running_again() {
    let directory = tempfile::tempdir().unwrap();
    retired(directory.path());
    let source = StockRepo::open(&directory.path().join("source"));
    commit(&source, directory.path(), "four");
    let line = "--repo=source publish target --copy --depth=0 --grace=0 --jobs=1";
    // All before that is in the tests of publish.
    Trial::new(directory.path(), line).survives_from(Kind::Kill, "retired.json");
}
