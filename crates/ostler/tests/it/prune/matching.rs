//! `prune --match`: the private repository drops what the public one has dropped, and nothing that was not published.

use super::files;
use crate::programs::{OSTLER, ostler};
use ostler_testkit::command::{attempt, fail, run};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A private repository with history, and the public one that it was published to.
struct Pair {
    directory: TempDir,
    private: StockRepo,
    public: StockRepo,
}

impl Pair {
    /// Five commits on `main`, two on `old`; both published, of `main` the public repository keeps three. Then two more on
    /// `main`, and three on `new`, that are not published.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let private = StockRepo::init(&directory.path().join("private"), "archive");
        let public = StockRepo::open(&directory.path().join("public"));
        private.run(&["config", "set", "core.fsync", "false"]);
        let pair = Self {
            directory,
            private,
            public,
        };
        pair.commit("main", 5);
        pair.commit("old", 2);
        pair.publish();
        pair.public
            .run(&["prune", "--refs-only", "--depth=2", "--only-branch=main"]);
        pair.commit("main", 2);
        pair.commit("new", 3);
        pair
    }

    fn commit(&self, branch: &str, count: usize) {
        for _ in 0..count {
            let number = files(&self.private.path().join("objects")).len();
            let tree = Tree::at(&self.directory.path().join("tree"));
            tree.file("file", format!("{branch} {number}"), 0o644);
            self.private.commit(branch, tree.path());
        }
    }

    fn publish(&self) {
        let _printed = run(ostler(self.path()).args(["--repo=private", "publish", "public"]));
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn prune(&self, arguments: &[&str]) -> String {
        let mut prune = ostler(self.path());
        prune
            .args(["--repo=private", "prune", "--match=public"])
            .args(arguments);
        let output = attempt(&mut prune);
        assert!(output.status.success(), "{output:?}");
        self.private.fsck();
        String::from_utf8(output.stderr).unwrap()
    }

    /// Returns how many commits the private repository has of a branch.
    fn length(&self, branch: &str) -> usize {
        let log = self.private.run(&["log", branch]);
        log.lines().filter(|line| line.starts_with("commit ")).count()
    }

    fn objects(&self) -> Vec<PathBuf> {
        files(&self.private.path().join("objects")).into_iter().collect()
    }
}

#[test]
fn what_the_public_repository_dropped_goes_and_what_was_not_published_stays() {
    let pair = Pair::new();
    let before = pair.objects();
    pair.prune(&["--no-prune"]);
    assert_eq!(pair.objects(), before);
    pair.prune(&[]);
    assert_eq!(
        (pair.length("main"), pair.length("old"), pair.length("new")),
        (5, 2, 3)
    );
    // Of each commit the commit itself, its tree, its file.
    assert_eq!(before.len() - pair.objects().len(), 2 * 3);
    pair.publish();
    pair.public.fsck();
    pair.prune(&[]);
    assert_eq!((pair.length("main"), pair.length("new")), (5, 3));
}

#[test]
fn history_that_branches_share_stays_as_far_as_one_of_them_needs_it() {
    let pair = Pair::new();
    // Of this one the public repository has nothing newer than the commits that it shares with main.
    pair.private.run(&["refs", "--create=fork", "main^^^"]);
    pair.commit("fork", 1);
    pair.prune(&[]);
    assert_eq!((pair.length("main"), pair.length("fork")), (5, 3));
}

#[test]
fn a_ref_that_the_public_repository_dropped_is_named_and_goes_if_asked() {
    let pair = Pair::new();
    pair.public.run(&["refs", "--delete", "old"]);
    pair.public.run(&["prune", "--refs-only", "--depth=2"]);
    let said = pair.prune(&[]);
    assert!(
        said.contains("ref old is gone from the target") && said.contains("--delete-refs"),
        "{said}"
    );
    assert_eq!(
        pair.length("old"),
        2,
        "the public repository has none of it any more"
    );
    let before = pair.objects();
    let said = pair.prune(&["--delete-refs", "--no-prune"]);
    assert!(said.contains("it would be deleted here too"), "{said}");
    assert_eq!((pair.objects(), pair.length("old")), (before, 2));
    let said = pair.prune(&["--delete-refs"]);
    assert!(said.contains("deleted here too"), "{said}");
    assert_eq!(pair.private.refs(), ["main", "new"]);
    assert_eq!((pair.length("main"), pair.length("new")), (5, 3));
}

#[test]
fn a_ref_that_could_not_be_deleted_is_not_said_to_be() {
    let pair = Pair::new();
    pair.public.run(&["refs", "--delete", "old"]);
    pair.private
        .run(&["config", "set", "core.lock-timeout-secs", "0"]);
    // Below an exclusive lock refs cannot be changed.
    let mut locked = ostler(pair.path());
    locked.args(["--repo=private", "lock", "--exclusive", "--", OSTLER]);
    locked.args(["--repo=private", "prune", "--match=public", "--delete-refs"]);
    let said = fail(&mut locked);
    assert!(
        said.contains("cannot take the shared lock") && !said.contains("deleted here too"),
        "{said}"
    );
    assert_eq!(pair.length("old"), 2);
}

#[test]
fn a_dropped_ref_that_was_changed_since_is_not_deleted() {
    let pair = Pair::new();
    pair.public.run(&["refs", "--delete", "old"]);
    pair.commit("old", 1);
    let said = pair.prune(&["--delete-refs"]);
    assert!(said.contains("was never published: it stays"), "{said}");
    assert_eq!(pair.length("old"), 3);
}

#[test]
fn a_repository_that_is_no_target_of_this_one_decides_nothing() {
    let pair = Pair::new();
    let other = StockRepo::init(&pair.path().join("other"), "archive");
    let tree = Tree::at(&pair.path().join("tree"));
    tree.file("file", "of another", 0o644);
    other.commit("main", tree.path());
    let before = pair.objects();
    for (target, words) in [
        ("other", "has no commit of this repository"),
        ("private", "is the repository itself"),
        ("nowhere", "repository nowhere not found"),
    ] {
        let mut prune = ostler(pair.path());
        prune
            .args(["--repo=private", "prune"])
            .arg(format!("--match={target}"));
        let said = fail(&mut prune);
        assert!(said.contains(words), "{said}");
        assert_eq!(pair.objects(), before);
    }
}
