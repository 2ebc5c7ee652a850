//! Publishing into a directory of another machine that sshfs has mounted here.

mod cost;
mod dropped;
mod lease;
mod whole;

use crate::programs::ostler;
use ostler_testkit::sshd::Sshd;
use ostler_testkit::sshfs::Sshfs;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A source here, and a machine at whose `far` a repository `repo` is made.
struct Scene {
    // Unmounted before the directory goes.
    mounts: Vec<Sshfs>,
    server: Sshd,
    directory: TempDir,
}

impl Scene {
    /// Makes a source with a ref `main` to so many files, in directories of twenty.
    fn new(files: u32) -> Self {
        let scene = Self {
            mounts: Vec::new(),
            server: Sshd::start(&[("key", "")]),
            directory: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(scene.far()).unwrap();
        let source = StockRepo::init(&scene.path("source"), "archive");
        source.run(&["config", "set", "core.fsync", "false"]);
        let tree = scene.tree();
        for number in 0..files {
            tree.file(&file(number), format!("{number}"), 0o644);
        }
        scene.commit("main");
        scene
    }

    /// As [`new`](Self::new), mounted at `mount`.
    fn mounted(files: u32, options: &[&str]) -> Self {
        let mut scene = Self::new(files);
        scene.mount("mount", options);
        scene
    }

    /// Mounts the far directory.
    fn mount(&mut self, name: &str, options: &[&str]) {
        let point = self.path(name);
        fs::create_dir_all(&point).unwrap();
        let mount = Sshfs::mount(&self.server, "key", &self.far(), &point, options);
        self.mounts.push(mount);
    }

    /// Kills the process behind the last mount.
    fn cut(&mut self) {
        self.mounts.last_mut().unwrap().cut();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn far(&self) -> PathBuf {
        self.path("far")
    }

    /// The repository as the other machine has it.
    fn target(&self) -> PathBuf {
        self.far().join("repo")
    }

    fn source(&self) -> StockRepo {
        StockRepo::open(&self.path("source"))
    }

    fn tree(&self) -> Tree {
        Tree::at(&self.path("tree"))
    }

    fn commit(&self, branch: &str) -> String {
        self.source().commit(branch, &self.path("tree"))
    }

    /// Changes some files that there are from the start, and commits them.
    fn advance(&self, text: &str) -> String {
        for number in [1, 30, 110] {
            self.tree().file(&file(number), text, 0o644);
        }
        self.commit("main")
    }

    /// Returns a publish into the mount.
    fn publish(&self, options: &[&str]) -> Command {
        self.publish_to("mount/repo", options)
    }

    fn publish_to(&self, destination: &str, options: &[&str]) -> Command {
        let mut publish = ostler(self.directory.path());
        publish
            .args(["--repo=source", "publish", destination])
            .args(options);
        publish
    }
}

fn file(number: u32) -> String {
    format!("dir{}/file{number}", number / 20)
}

/// Returns the path of an object of content in a repository.
fn some_content(repo: &Path) -> PathBuf {
    let prefixes = fs::read_dir(repo.join("objects")).unwrap();
    let files = prefixes.flat_map(|prefix| fs::read_dir(prefix.unwrap().path()).unwrap());
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let content = files
        .into_iter()
        .find(|path| path.extension().is_some_and(|kind| kind == "filez"));
    content.unwrap()
}
