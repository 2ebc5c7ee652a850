//! The three programs that are compared: stock `ostree`, ours, and ours through a link named `ostree`.

use ostler_testkit::command::{attempt, command, describe};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Our binary.
pub(crate) const OSTLER: &str = env!("CARGO_BIN_EXE_ostler");

/// Returns our binary with a fixed environment, working in `directory`.
pub(crate) fn ostler(directory: &Path) -> Command {
    let mut ostler = command(OSTLER);
    ostler.current_dir(directory);
    ostler
}

/// Returns the path of a link named `ostree` to our binary, below `directory`.
pub(crate) fn link(directory: &Path) -> PathBuf {
    let names = directory.join("names");
    fs::create_dir_all(&names).expect("our own directory");
    let link = names.join("ostree");
    if fs::symlink_metadata(&link).is_err() {
        symlink(OSTLER, &link).expect("our own link");
    }
    link
}

/// How a program ended: its status and standard output.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
}

/// Runs `program` in `directory` with arguments separated by spaces; `~` stands for a space in an argument.
#[track_caller]
pub(crate) fn ended(program: impl AsRef<Path>, directory: &Path, arguments: &str) -> Ended {
    let mut command = command(program.as_ref());
    command.current_dir(directory);
    for argument in arguments.split(' ').filter(|argument| !argument.is_empty()) {
        command.arg(argument.replace('~', " "));
    }
    let output = attempt(&mut command);
    assert!(output.status.code().is_some(), "{}", describe(&command, &output));
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
    }
}

impl Ended {
    /// Returns it with the lines sorted: stock 2022.7 lists refs in the order of a hash table.
    pub(crate) fn sorted(mut self) -> Self {
        let mut lines: Vec<&str> = self.stdout.lines().collect();
        lines.sort_unstable();
        self.stdout = lines.join("\n");
        self
    }

    /// Returns it without the lines that tell of progress, which stock prints even into a pipe.
    pub(crate) fn without_progress(mut self) -> Self {
        let lines = self
            .stdout
            .lines()
            .filter(|line| !line.starts_with("fsck objects ("));
        self.stdout = lines.collect::<Vec<_>>().join("\n");
        self
    }
}

/// Asserts that stock and both our names end alike on the same arguments: under our own name bad usage is 2.
#[track_caller]
pub(crate) fn assert_alike(directory: &Path, arguments: &str, seen: impl Fn(Ended) -> Ended) {
    let stock = seen(ended("ostree", directory, arguments));
    let linked = seen(ended(link(directory), directory, arguments));
    assert_eq!(linked, stock, "as ostree: {arguments}");
    let own = seen(ended(OSTLER, directory, arguments));
    assert_eq!(own.stdout, stock.stdout, "as ostler: {arguments}");
    match own.code {
        Some(2) => assert_eq!(stock.code, Some(1), "as ostler: {arguments}"),
        code => assert_eq!(code, stock.code, "as ostler: {arguments}"),
    }
}
