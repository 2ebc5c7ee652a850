//! Repositories for these tests: ours and stock's on one directory.

use ostler_format::{Checksum, RepoMode};
use ostler_repo::Repo;
use ostler_testkit::stock::StockRepo;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A repository that both sides work on, with a file tree to commit from.
pub(crate) struct Fixture {
    directory: TempDir,
    pub(crate) stock: StockRepo,
}

impl Fixture {
    /// Makes an archive repository by our own hand.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("repo");
        Repo::create(&path, RepoMode::Archive, None).unwrap();
        std::fs::create_dir(directory.path().join("tree")).unwrap();
        let stock = StockRepo::open(&path);
        Self { directory, stock }
    }

    /// Returns a directory beside the repository.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn path(&self) -> &Path {
        self.stock.path()
    }

    /// Returns a handle of its own: what another process would have.
    pub(crate) fn open(&self) -> Repo {
        Repo::open(self.path()).unwrap()
    }

    /// Commits a tree with one file of these bytes by stock ostree.
    pub(crate) fn commit(&self, branch: &str, content: &str) -> Checksum {
        let tree = self.beside("tree");
        std::fs::write(tree.join("file"), content).unwrap();
        self.stock.commit(branch, &tree).parse().unwrap()
    }

    /// Adds lines to the group `[core]`, with which the configuration of a new repository ends.
    pub(crate) fn configure(&self, lines: &str) {
        let path = self.path().join("config");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("{text}{lines}\n")).unwrap();
    }
}
