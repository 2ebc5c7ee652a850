//! A source with two refs and a second version of each, and how to publish it.

use ostler_repo::{Repo, Retired};
use ostler_testkit::oracle::assert_refs_complete;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree;
use ostler_transfer::{
    Keep, MemoryStore, Outcome, Policy, PublishOptions, Reporter, Result, Retention, Silent, Store, publish,
};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;

static NEVER: AtomicBool = AtomicBool::new(false);

/// A source, made by stock ostree.
pub(crate) struct Source {
    dir: TempDir,
    pub(crate) stock: StockRepo,
}

impl Source {
    /// Makes a source with refs `os/a` and `os/b`.
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().expect("a directory");
        let stock = StockRepo::init(&dir.path().join("source"), "archive");
        tree::plain(&dir.path().join("tree"));
        let source = Self { dir, stock };
        source.commit("os/a");
        source.commit("os/b");
        source
    }

    pub(crate) fn tree(&self) -> std::path::PathBuf {
        self.dir.path().join("tree")
    }

    pub(crate) fn commit(&self, branch: &str) -> String {
        self.stock.commit(branch, &self.tree())
    }

    /// Commits the tree with a file of its own to no ref that is published, and returns the commit.
    pub(crate) fn commit_of(&self, name: &str) -> String {
        tree::Tree::at(&self.tree()).file(name, name, 0o644);
        self.commit(name)
    }

    /// Adds a file to the tree and commits to both refs.
    pub(crate) fn advance(&self, name: &str) {
        tree::Tree::at(&self.tree()).file(name, name, 0o644);
        self.commit("os/a");
        self.commit("os/b");
    }

    pub(crate) fn open(&self) -> Repo {
        Repo::open(self.stock.path()).expect("the source")
    }

    pub(crate) fn refs(&self) -> BTreeMap<String, String> {
        let names = self.stock.refs();
        names
            .into_iter()
            .map(|name| (name.clone(), self.stock.rev_parse(&name)))
            .collect()
    }
}

/// Publishes everything with a policy.
pub(crate) fn run(source: &Source, store: &dyn Store, policy: &Policy) -> Result<Outcome> {
    run_reporting(source, store, policy, &Silent)
}

/// Publishes everything with a policy and a reporter.
pub(crate) fn run_reporting(
    source: &Source,
    store: &dyn Store,
    policy: &Policy,
    reporter: &dyn Reporter,
) -> Result<Outcome> {
    run_holding(source, store, policy, reporter, 0)
}

/// Publishes everything, with the source locked while so many bytes are linked.
pub(crate) fn run_holding(
    source: &Source,
    store: &dyn Store,
    policy: &Policy,
    reporter: &dyn Reporter,
    held_bytes: u64,
) -> Result<Outcome> {
    run_with(source, store, policy, |options| PublishOptions {
        held_bytes,
        reporter,
        ..options
    })
}

/// The time of a run where nothing else is said.
pub(crate) const NOW: u64 = 1_700_000_000;

/// Publishes everything at a time.
pub(crate) fn run_at(source: &Source, store: &dyn Store, policy: &Policy, now: u64) -> Result<Outcome> {
    let clock = move || now;
    run_with(source, store, policy, |options| PublishOptions {
        clock: &clock,
        ..options
    })
}

/// Publishes everything with changed options.
pub(crate) fn run_with<'a>(
    source: &Source,
    store: &dyn Store,
    policy: &'a Policy,
    change: impl FnOnce(PublishOptions<'a>) -> PublishOptions<'a>,
) -> Result<Outcome> {
    let options = PublishOptions {
        policy,
        dry_run: false,
        jobs: NonZero::<usize>::MIN,
        held_bytes: 0,
        sweep: None,
        clock: &|| NOW,
        who: "tester@example",
        interrupted: &NEVER,
        reporter: &Silent,
    };
    publish(&source.open(), store, &change(options))
}

/// Returns the refs that a store has.
pub(crate) fn refs_of(store: &MemoryStore) -> BTreeMap<String, String> {
    let file = |(path, bytes): (String, Vec<u8>)| {
        let name = path.strip_prefix("refs/heads/")?.to_owned();
        Some((name, String::from_utf8(bytes).expect("a ref").trim().to_owned()))
    };
    store.files().into_iter().filter_map(file).collect()
}

/// Returns what a store lists as retired, by checksum, with the times.
pub(crate) fn retired(store: &MemoryStore) -> BTreeMap<String, u64> {
    let list = store.get(Retired::PATH, Retired::LIMIT).expect("a list");
    let list = Retired::read(list.as_deref(), |error| panic!("{error}"));
    list.commits()
        .map(|(commit, time)| (commit.to_string(), time))
        .collect()
}

/// A source with versions of `os/a`, oldest first, each committed a day after the one before it.
pub(crate) fn versions(count: u64) -> (Source, Vec<String>) {
    let source = Source::new();
    source.stock.run(&["refs", "--delete", "os/b"]);
    source.stock.run(&["refs", "--delete", "os/a"]);
    let commits = (0..count)
        .map(|version| commit_version(&source, version))
        .collect();
    (source, commits)
}

/// A day, in seconds.
pub(crate) const DAY: u64 = 24 * 3600;

/// Commits another version to `os/a`.
pub(crate) fn commit_version(source: &Source, version: u64) -> String {
    tree::Tree::at(&source.tree()).file("version", version.to_string(), 0o644);
    let time = format!("--timestamp=@{}", NOW + version * DAY);
    source.stock.commit_with("os/a", &source.tree(), &[&time])
}

/// Returns the commits that a store has.
pub(crate) fn commits_of(store: &MemoryStore) -> BTreeSet<String> {
    let commit = |path: String| {
        let name = path
            .strip_prefix("objects/")?
            .strip_suffix(".commit")?
            .replace('/', "");
        Some(name)
    };
    store.files().into_keys().filter_map(commit).collect()
}

/// Returns the path of an object of the type that the source's `os/a` consists of.
pub(crate) fn object_of(source: &Source, store: &MemoryStore, suffix: &str) -> String {
    let listing = source.stock.run(&["ls", "-R", "-C", "os/a"]);
    let belongs = |path: &String| {
        let name = path.trim_start_matches("objects/").replace('/', "");
        path.ends_with(suffix)
            && name
                .split_once('.')
                .is_some_and(|(checksum, _)| listing.contains(checksum))
    };
    let found = store.files().into_keys().find(belongs);
    found.expect("an object of the type")
}

/// Returns a policy that keeps so many commits of each ref.
pub(crate) fn keep_last(last: u64) -> Policy {
    Policy {
        retention: Retention {
            others: Some(Keep {
                last,
                ..Keep::default()
            }),
            ..Retention::default()
        },
        ..Policy::default()
    }
}

/// Asserts that every ref of a store is complete (I1), by stock ostree's judgement.
pub(crate) fn assert_closed(store: &MemoryStore) {
    assert_refs_complete(written(store).path());
}

/// Asserts that every commit that is there is complete, by stock ostree's judgement.
#[track_caller]
pub(crate) fn assert_no_hole(store: &MemoryStore, context: &str) {
    let dir = written(store);
    let checked = StockRepo::open(dir.path()).attempt(&["fsck", "-q"]);
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{context}: {said}");
}

/// Writes a store to a directory.
fn written(store: &MemoryStore) -> TempDir {
    let dir = TempDir::new().expect("a directory");
    for empty in ["refs/heads", "refs/remotes", "tmp", "state", "objects"] {
        std::fs::create_dir_all(dir.path().join(empty)).expect("a directory");
    }
    for (path, bytes) in store.files() {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a directory");
        std::fs::write(path, bytes).expect("a file");
    }
    dir
}
