//! A repository that is served, and repositories that pull from it.

use crate::programs::ostler;
use ostler_testkit::command::{attempt, describe, run};
use ostler_testkit::nginx::Nginx;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A directory with the repository `served`, and a server of it.
pub(super) struct Scene {
    pub(super) directory: TempDir,
    pub(super) nginx: Nginx,
}

impl Scene {
    /// Makes two commits on `os/stable` and one on `app`, without a summary.
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let served = StockRepo::init(&directory.path().join("served"), "archive");
        served.run(&["config", "set", "core.fsync", "false"]);
        tree(directory.path(), 1);
        served.commit_with(
            "os/stable",
            &directory.path().join("tree"),
            &["--owner-uid=0", "--owner-gid=0"],
        );
        tree(directory.path(), 2);
        served.commit_with(
            "os/stable",
            &directory.path().join("tree"),
            &["--owner-uid=0", "--owner-gid=0"],
        );
        served.commit_with(
            "app",
            &directory.path().join("tree/usr"),
            &["--owner-uid=0", "--owner-gid=0"],
        );
        let nginx = Nginx::serve(&directory.path().join("served"));
        Self { directory, nginx }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn served(&self) -> StockRepo {
        StockRepo::open(&self.path("served"))
    }

    /// Makes a repository that has the served one as remote `origin`.
    pub(super) fn client(&self, name: &str, mode: &str) -> StockRepo {
        let client = StockRepo::init(&self.path(name), mode);
        client.run(&["remote", "add", "--no-gpg-verify", "origin", &self.nginx.url()]);
        client.run(&["config", "set", "core.fsync", "false"]);
        client
    }

    /// Pulls with ours, and returns what it prints.
    #[track_caller]
    pub(super) fn pull(&self, client: &str, arguments: &[&str]) -> String {
        let mut command = ostler(self.directory.path());
        command
            .arg(format!("--repo={client}"))
            .arg("pull")
            .args(arguments);
        run(&mut command)
    }

    /// Pulls with ours, which must fail, and returns what it says.
    #[track_caller]
    pub(super) fn fail(&self, client: &str, arguments: &[&str]) -> String {
        let mut command = ostler(self.directory.path());
        command
            .arg(format!("--repo={client}"))
            .arg("pull")
            .args(arguments);
        let output = attempt(&mut command);
        assert_eq!(output.status.code(), Some(1), "{}", describe(&command, &output));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

/// Makes the tree `tree`: the second version differs a little from the first.
pub(super) fn tree(directory: &Path, version: u32) {
    let path = directory.join("tree");
    if path.exists() {
        fs::remove_dir_all(&path).expect("our own tree");
    }
    let tree = Tree::at(&path);
    for number in 0..40 {
        tree.file(&format!("usr/share/doc/{number}"), format!("{number}\n"), 0o644);
    }
    // Does not compress, so that what is large stays large on the way.
    let noise = |seed: u32, count: u32| -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[2]
        };
        (0..count).map(|_| next()).collect()
    };
    tree.file("usr/bin/tool", format!("#!/bin/sh\necho {version}\n"), 0o755)
        .file("usr/lib/large", noise(7, 3 << 20), 0o644)
        .file("usr/lib/changes", noise(version, 600 << 10), 0o644)
        .file("empty", "", 0o644)
        .symlink("usr/link", "bin/tool")
        .dir("var/empty", 0o700)
        .file(&format!("etc/version{version}"), "x", 0o600);
}

/// Pulls with ours into `client`; returns what it prints, or what it says when it fails.
pub(super) fn pull_from(scene: &Scene, client: &str, arguments: &[&str]) -> Result<String, String> {
    let mut command = ostler(scene.directory.path());
    command
        .arg(format!("--repo={client}"))
        .arg("pull")
        .args(arguments);
    let output = attempt(&mut command);
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    assert_eq!(output.status.code(), Some(1), "{}", describe(&command, &output));
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}
