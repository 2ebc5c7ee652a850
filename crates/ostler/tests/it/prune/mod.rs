//! `prune`, beside stock's on copies of the same repositories, interrupted, and among others at work.

mod beside;
mod faults;
mod history;
mod large;
mod lately;
mod locks;
mod matching;
mod meanwhile;
mod rules;

use crate::programs::{Ended, OSTLER, ended};
use ostler_testkit::command::{command, run};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Returns all files of a repository, by relative path, but those that are locked or only say that something is.
pub(crate) fn files(repo: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut pending = vec![repo.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).expect("a directory just seen") {
            let entry = entry.expect("a directory just opened");
            let path = entry.path();
            if entry.file_type().expect("just listed").is_dir() {
                pending.push(path);
            } else if !entry.file_name().to_string_lossy().ends_with("lock") {
                found.insert(path.strip_prefix(repo).expect("below it").to_owned());
            }
        }
    }
    found
}

/// Runs a program with `--repo=repo` in a directory.
#[track_caller]
fn on_repo(program: &str, directory: &Path, arguments: &str) -> Ended {
    ended(program, directory, &format!("--repo=repo {arguments}"))
}

/// Returns a prune of ours that has one thread, since it sees one processor.
fn on_one_thread(directory: &Path, arguments: &[String]) -> Command {
    let mut prune = command("taskset");
    prune.args(["-c", "0", OSTLER, "--repo=repo", "prune"]);
    prune.args(arguments).current_dir(directory);
    prune
}

/// Runs a program on a copy of its directory, and returns strace's log of some of its calls.
#[track_caller]
fn traced(program: &Command, directory: &TempDir, calls: &str) -> String {
    let copy = tempfile::tempdir().expect("a directory of our own");
    let _printed = run(command("cp")
        .arg("-a")
        .arg(directory.path().join("."))
        .arg(copy.path()));
    let log = copy.path().join("log");
    let mut strace = command("strace");
    strace
        .args(["-f", "-qq", "-e", &format!("trace={calls}"), "-o"])
        .arg(&log)
        .arg("--");
    strace
        .arg(program.get_program())
        .args(program.get_args())
        .current_dir(copy.path());
    let _printed = run(&mut strace);
    fs::read_to_string(log).expect("strace writes it")
}

/// Gives something another name.
fn moved(from: &Path, to: &Path) {
    let _printed = run(command("mv").arg(from).arg(to));
}
