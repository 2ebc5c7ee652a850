//! Whatever call fails or is the last one before death, every ref leads to a whole commit, and running again
//! finishes the work and leaves nothing lying about (I1, I6).

use ostler_testkit::command::{command, run};
use ostler_testkit::oracle::{assert_refs_complete, assert_sound};
use ostler_testkit::stock::{COMMIT_TIME, StockRepo};
use ostler_testkit::strace::{CHANGING, FaultRun, Kind, count_calls, for_each_fault, run_with_fault};
use ostler_testkit::tree;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// The most calls of one kind that a trial may make, so that a loop that never ends fails.
const LIMIT: u32 = 2000;

/// A command that moves `branch` in `repo`, and the directory in which it is run, before it was.
struct Trial {
    template: TempDir,
    program: fn(&Path, &str) -> Command,
    before: String,
    after: String,
}

impl Trial {
    /// Runs `program` without any fault to learn what it does to the branch.
    fn new(template: TempDir, program: fn(&Path, &str) -> Command) -> Self {
        let before = tip(template.path());
        let mut trial = Self {
            template,
            program,
            before,
            after: String::new(),
        };
        let stage = trial.stage();
        run(&mut trial.program_in(&stage));
        trial.after = tip(stage.path());
        assert_ne!(trial.before, trial.after);
        trial
    }

    /// Returns a fresh copy of the template.
    fn stage(&self) -> TempDir {
        let stage = TempDir::new().unwrap();
        run(command("cp")
            .arg("--archive")
            .arg(self.template.path().join("."))
            .arg(stage.path()));
        stage
    }

    fn program_in(&self, stage: &TempDir) -> Command {
        (self.program)(stage.path(), &self.before)
    }

    /// Meets with `kind` at every one of `syscalls`, one call a run.
    fn survives(&self, kind: Kind, syscalls: &[&str]) {
        let calls = count_calls(&self.program_in(&self.stage()), syscalls);
        assert!(calls.values().sum::<u32>() > 20, "{calls:?}");
        let mut broken = Vec::new();
        for syscall in calls.keys() {
            for_each_fault(syscall, kind, LIMIT, |fault| {
                let stage = self.stage();
                let run = run_with_fault(&self.program_in(&stage), fault);
                // All of them at once, and not the first alone, show what went wrong.
                if catch_unwind(AssertUnwindSafe(|| self.check(&stage, &run))).is_err() {
                    broken.push(fault.clone());
                }
                run
            });
        }
        assert_eq!(broken, []);
    }

    fn check(&self, stage: &TempDir, run: &FaultRun) {
        let repo = stage.path().join("repo");
        let found = tip(stage.path());
        let errors = String::from_utf8_lossy(&run.output.stderr);
        assert!(!errors.contains("panicked"), "{errors}");
        assert!(
            found == self.after || (!run.succeeded() && found == self.before),
            "{found}: {errors}"
        );
        assert_refs_complete(&repo);

        ostler_testkit::command::run(&mut self.program_in(stage));
        assert_eq!(tip(stage.path()), self.after, "running again finishes the work");
        assert_sound(&repo);
    }
}

fn tip(directory: &Path) -> String {
    let file = directory.join("repo/refs/heads/branch");
    fs::read_to_string(file).unwrap().trim().to_owned()
}

/// A repository with one commit, and a tree to commit next.
fn commit() -> Trial {
    let template = TempDir::new().unwrap();
    let tree = tree::plain(&template.path().join("tree"));
    let repo = StockRepo::init(&template.path().join("repo"), "archive");
    repo.commit("branch", tree.path());
    tree.file("usr/bin/hello", "changed\n", 0o755)
        .file("new/file", "new\n", 0o644);
    Trial::new(template, |directory, parent| {
        let mut program = command(env!("CARGO_BIN_EXE_ostler"));
        program
            .args(["--repo=repo", "commit", "--branch=branch", "--subject=next"])
            .arg(format!("--parent={parent}"))
            .arg(format!("--timestamp=@{COMMIT_TIME}"))
            .arg("tree")
            .current_dir(directory);
        program
    })
}

/// Returns the calls that change something, without those whose names begin with one of `others`.
fn changing_but(others: &[&str]) -> Vec<&'static str> {
    let other = |name: &str| others.iter().any(|other| name.starts_with(other));
    CHANGING.iter().copied().filter(|name| !other(name)).collect()
}

#[test]
fn commit_killed_at_any_call_is_finished_by_running_again() {
    // Death before a sync leaves what death before the next change does.
    commit().survives(Kind::Kill, &changing_but(&["fsync", "fdatasync", "syncfs"]));
}

#[test]
fn commit_refused_any_call_is_finished_by_running_again() {
    commit().survives(Kind::Error("EIO"), CHANGING);
}

#[test]
fn commit_on_a_full_disk_is_finished_by_running_again() {
    commit().survives(
        Kind::Error("ENOSPC"),
        &changing_but(&["open", "unlink", "rmdir", "fch", "utimens"]),
    );
}
