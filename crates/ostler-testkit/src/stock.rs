//! Repositories that stock ostree makes and reads: the oracle.

use crate::command::{attempt, command, fail, run};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The time of every commit made here, in seconds since the epoch, so that commits have known checksums.
pub const COMMIT_TIME: u64 = 1_700_000_000;

/// Returns the version of stock ostree, such as `2022.7`.
#[track_caller]
pub fn version() -> String {
    let printed = run(command("ostree").arg("--version"));
    let line = printed
        .lines()
        .find_map(|line| line.trim().strip_prefix("Version:"));
    match line {
        Some(version) => version.trim().trim_matches('\'').to_owned(),
        None => panic!("ostree --version prints no version: {printed}"),
    }
}

/// A repository that stock ostree works on.
#[derive(Debug, Clone)]
pub struct StockRepo {
    path: PathBuf,
}

impl StockRepo {
    /// Makes a repository at `path` by `ostree init`; `mode` is `archive`, `bare`, `bare-user` or
    /// `bare-user-only`.
    #[track_caller]
    pub fn init(path: &Path, mode: &str) -> Self {
        let repo = Self::open(path);
        repo.run(&["init", &format!("--mode={mode}")]);
        repo
    }

    /// Names a repository that is there.
    pub fn open(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// Returns where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns `ostree --repo=…`, to which arguments can be added.
    pub fn command(&self) -> Command {
        let mut option = OsStr::new("--repo=").to_owned();
        option.push(&self.path);
        let mut command = command("ostree");
        command.arg(option);
        command
    }

    /// Runs a subcommand, which must succeed, and returns what it prints.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> String {
        run(self.command().args(arguments))
    }

    /// Runs a subcommand, which must fail, and returns its standard error.
    #[track_caller]
    pub fn fail(&self, arguments: &[&str]) -> String {
        fail(self.command().args(arguments))
    }

    /// Runs a subcommand, which may fail.
    #[track_caller]
    pub fn attempt(&self, arguments: &[&str]) -> Output {
        attempt(self.command().args(arguments))
    }

    /// Commits the files below `tree` to `branch` at [`COMMIT_TIME`] and returns the checksum.
    #[track_caller]
    pub fn commit(&self, branch: &str, tree: &Path) -> String {
        self.commit_with(branch, tree, &[])
    }

    /// Commits as [`commit`](Self::commit) does, with more options of `ostree commit`.
    #[track_caller]
    pub fn commit_with(&self, branch: &str, tree: &Path, options: &[&str]) -> String {
        let printed = run(self
            .command()
            // Fixtures need not outlive a power cut, and syncing takes most of the time.
            .args(["commit", "--fsync=false", "--branch", branch, "--subject", "test"])
            .arg(format!("--timestamp=@{COMMIT_TIME}"))
            .args(options)
            .arg(tree));
        printed.trim().to_owned()
    }

    /// Returns the checksum of a revision.
    #[track_caller]
    pub fn rev_parse(&self, revision: &str) -> String {
        self.run(&["rev-parse", revision]).trim().to_owned()
    }

    /// Returns all refs (of remotes with `remote:` before them), sorted.
    #[track_caller]
    pub fn refs(&self) -> Vec<String> {
        let mut refs: Vec<String> = self.run(&["refs"]).lines().map(str::to_owned).collect();
        refs.sort();
        refs
    }

    /// Checks every object that a commit reaches; no commit may be partial.
    #[track_caller]
    pub fn fsck(&self) {
        let printed = self.run(&["fsck", "-q"]);
        assert!(
            !printed.contains("partial commits"),
            "{} holds partial commits: {printed}",
            self.path.display()
        );
    }

    /// Checks a commit out to `destination`, which must not be there. Owners, setuid bits and attributes come
    /// back only when root runs the tests.
    #[track_caller]
    pub fn checkout(&self, revision: &str, destination: &Path) {
        let mut command = self.command();
        command.arg("checkout");
        if !crate::disk::is_root() {
            command.arg("--user-mode");
        }
        run(command.arg(revision).arg(destination));
    }
}
