//! A stock client that pulls over HTTP, as the users of a published repository do.

use crate::stock::StockRepo;
use std::process::Output;
use tempfile::TempDir;

/// A client with a repository of its own and one remote, `origin`. Its files go when it is dropped.
#[derive(Debug)]
pub struct Client {
    repo: StockRepo,
    directory: TempDir,
}

impl Client {
    /// Makes a client whose remote lies at `url`; no signatures are asked for.
    #[track_caller]
    pub fn of(url: &str) -> Self {
        let directory = TempDir::new().expect("a directory for temporary files");
        let repo = StockRepo::init(&directory.path().join("repo"), "archive");
        repo.run(&["remote", "add", "--no-gpg-verify", "origin", url]);
        // The tests measure what the publisher does, not how well the client's disk keeps it.
        repo.run(&["config", "set", "core.fsync", "false"]);
        repo.run(&["config", "set", "core.min-free-space-size", "1MB"]);
        Self { repo, directory }
    }

    /// Returns its repository, in which pulled refs are called `origin:…`.
    pub fn repo(&self) -> &StockRepo {
        &self.repo
    }

    /// Returns the directory that holds nothing but its repository, for files of the test.
    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// Pulls a ref, checks all objects, and returns the commit's checksum.
    #[track_caller]
    pub fn pull(&self, reference: &str) -> String {
        self.repo.run(&["pull", "origin", reference]);
        self.repo.fsck();
        self.repo.rev_parse(&format!("origin:{reference}"))
    }

    /// Pulls a ref, which may fail.
    #[track_caller]
    pub fn attempt_pull(&self, reference: &str) -> Output {
        self.repo.attempt(&["pull", "origin", reference])
    }

    /// Returns the refs that the remote's summary lists, sorted.
    #[track_caller]
    pub fn remote_refs(&self) -> Vec<String> {
        let printed = self.repo.run(&["remote", "refs", "origin"]);
        let mut refs: Vec<String> = printed
            .lines()
            .map(|line| line.trim_start_matches("origin:").to_owned())
            .collect();
        refs.sort();
        refs
    }
}
