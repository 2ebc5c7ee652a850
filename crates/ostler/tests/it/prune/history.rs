//! Repositories with random histories, made by stock.

use ostler_testkit::command::{command, run};
use ostler_testkit::random::Random;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The branches of every history.
pub(super) const BRANCHES: [&str; 3] = ["os/stable", "os/devel", "app"];

/// The time of the first commit; each commit is a thousand seconds after the one before it.
pub(super) const START: usize = 1_000_000_000;

/// A repository `repo` in a directory of its own.
pub(super) struct History {
    pub(super) directory: TempDir,
    pub(super) commits: Vec<String>,
}

/// What a history may have beside branches that share nothing but trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing: stock's answer depends on nothing but the options.
    Separate,
    /// Several refs to one history. How far stock keeps it depends on the order of its hash table.
    Shared,
}

impl History {
    pub(super) fn repo(&self) -> StockRepo {
        StockRepo::open(&self.directory.path().join("repo"))
    }

    /// Makes a history from random numbers.
    pub(super) fn new(random: &mut Random, kind: Kind) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mode = *random.pick(&["archive", "bare-user-only"]);
        let repo = StockRepo::init(&directory.path().join("repo"), mode);
        repo.run(&["config", "set", "core.fsync", "false"]);
        let mut history = Self {
            directory,
            commits: Vec::new(),
        };
        for _ in 0..8 + random.below(8) {
            let branch = *random.pick(&BRANCHES);
            history.commit(random, branch, &[]);
        }
        // Every branch is there.
        for branch in BRANCHES {
            history.commit(random, branch, &[]);
        }
        history.decorate(random);
        if kind == Kind::Shared {
            history.share(random);
        }
        history
    }

    /// Adds a commit of some files of the past to a branch.
    fn commit(&mut self, random: &mut Random, branch: &str, options: &[&str]) {
        let path = self.directory.path().join("tree");
        if path.exists() {
            fs::remove_dir_all(&path).expect("our own tree");
        }
        let tree = Tree::at(&path);
        for place in ["a", "b/c", "b/d/e", "f/g", "same/x", "other/x"] {
            if random.chance(70) {
                tree.file(place, format!("{place} {}\n", random.below(3)), 0o644);
            }
        }
        tree.file("common", "the same everywhere\n", 0o644);
        let time = format!("--timestamp=@{}", START + self.commits.len() * 1000);
        let note = format!("--add-detached-metadata-string=note={}", self.commits.len());
        let mut all = vec![time.as_str()];
        if random.chance(40) {
            all.push(&note);
        }
        all.extend(options);
        self.commits.push(self.repo().commit_with(branch, &path, &all));
    }

    /// Adds what a repository has besides: commits without refs, of remotes, partial ones, deltas, caches.
    fn decorate(&mut self, random: &mut Random) {
        let repo = self.repo();
        for branch in ["lost", "of-remote"] {
            for _ in 0..=random.below(2) {
                self.commit(random, branch, &[]);
            }
        }
        repo.run(&["refs", "--create=origin:os/stable", "of-remote"]);
        repo.run(&["refs", "--delete", "lost", "of-remote"]);
        if random.chance(50) {
            let branch = random.pick(&BRANCHES);
            repo.run(&["static-delta", "generate", branch]);
        }
        if random.chance(50) {
            let (from, to) = (random.pick(&self.commits), random.pick(&self.commits));
            if from != to {
                let from = format!("--from={from}");
                repo.run(&["static-delta", "generate", &from, to]);
            }
        }
        if random.chance(30) {
            repo.run(&["config", "set", "core.tombstone-commits", "true"]);
        }
        if random.chance(50) {
            self.make_partial(random);
        }
        let cache = repo.path().join("tmp/cache/summaries");
        fs::create_dir_all(&cache).expect("our own directory");
        for name in ["gone", "gone.sig", "known", "known.sig"] {
            fs::write(cache.join(name), "").expect("our own file");
        }
        repo.run(&["remote", "add", "--no-gpg-verify", "known", "http://localhost/"]);
    }

    /// Takes a tree away from a commit, with the mark that says so.
    fn make_partial(&self, random: &mut Random) {
        let repo = self.repo();
        let commit = random.pick(&self.commits);
        let mark = repo.path().join("state").join(format!("{commit}.commitpartial"));
        fs::write(mark, "").expect("our own file");
        let listed = repo.run(&["ls", "-d", "-C", commit]);
        let tree = listed.split_whitespace().find(|word| word.len() == 64);
        let (first, rest) = tree.expect("a checksum").split_at(2);
        let path = repo
            .path()
            .join("objects")
            .join(first)
            .join(format!("{rest}.dirtree"));
        // Another commit may have the same tree, and needs it.
        let others = self.commits.iter().filter(|other| *other != commit);
        let shared = others.into_iter().any(|other| {
            repo.run(&["ls", "-d", "-C", other])
                .contains(&format!("{first}{rest}"))
        });
        if !shared {
            fs::remove_file(path).expect("our own file");
        }
    }

    /// Makes more refs to commits that have some.
    fn share(&self, random: &mut Random) {
        for number in 0..3 {
            let name = format!("--create=more/{number}");
            let commit: &String = random.pick(&self.commits);
            self.repo().run(&["refs", &name, commit]);
        }
        self.repo()
            .run(&["refs", "--create=latest", "--alias", BRANCHES[0]]);
    }

    /// Returns a copy of the repository in a directory of its own.
    pub(super) fn copy(&self) -> TempDir {
        let copy = tempfile::tempdir().expect("a directory");
        copy_repo(self.repo().path(), copy.path());
        copy
    }
}

/// Copies a repository below another directory.
pub(super) fn copy_repo(repo: &Path, to: &Path) -> PathBuf {
    let _printed = run(command("cp").arg("-a").arg(repo).arg(to));
    to.join(repo.file_name().expect("a name"))
}

/// Returns arguments of `prune` that make sense for a history.
pub(super) fn options(random: &mut Random, history: &History) -> String {
    let depth = *random.pick(&["", "--depth=0", "--depth=1", "--depth=2", "--depth=-1"]);
    let time = START + random.below(history.commits.len() + 2) * 1000;
    let branch = *random.pick(&BRANCHES);
    let number = *random.pick(&["-1", "0", "1", "3"]);
    let mut options = match random.below(9) {
        0 => depth.to_owned(),
        1 | 2 => format!("--refs-only {depth}"),
        3 => format!("--keep-younger-than=@{time}"),
        4 => format!("--keep-younger-than=@{time} --retain-branch-depth={branch}={number}"),
        5 => format!("--only-branch={branch} {depth}"),
        6 => format!(
            "--only-branch={branch} --retain-branch-depth={branch}={number} --keep-younger-than=@{time}"
        ),
        7 => format!("--delete-commit={} {depth}", random.pick(&history.commits)),
        _ => format!(
            "--static-deltas-only --refs-only --delete-commit={}",
            random.pick(&history.commits)
        ),
    };
    if random.chance(20) {
        options.push_str(" --commit-only");
    }
    if random.chance(20) && !options.contains("--delete-commit") {
        options.push_str(" --no-prune");
    }
    options
}
