//! Linking under the locks of both sides: when it is done, and what is done instead.

use crate::fixture::{Source, run_holding};
use ostler_format::RepoMode;
use ostler_repo::{LockGuard, LockKind, Repo};
use ostler_testkit::stock::StockRepo;
use ostler_transfer::{DirStore, Plan, Policy, Reporter, Silent, TransferError};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use tempfile::TempDir;

struct Target {
    dir: TempDir,
}

impl Target {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        Repo::create(&dir.path().join("public"), RepoMode::Archive, None).unwrap();
        Self { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("public")
    }

    fn store(&self) -> DirStore {
        DirStore::new(Repo::open(&self.path()).unwrap())
    }

    fn assert_has_all_of(&self, source: &Source) {
        let stock = StockRepo::open(&self.path());
        stock.run(&["fsck"]);
        for branch in ["os/a", "os/b"] {
            assert_eq!(stock.rev_parse(branch), source.stock.rev_parse(branch));
        }
        let left: Vec<_> = fs::read_dir(self.path().join("tmp")).unwrap().collect();
        assert_eq!(left.len(), 1, "only the cache: {left:?}");
    }
}

fn content_files(repo: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for prefix in fs::read_dir(repo.join("objects")).unwrap() {
        for file in fs::read_dir(prefix.unwrap().path()).unwrap() {
            found.push(file.unwrap().path());
        }
    }
    found.retain(|path| path.extension().is_some_and(|suffix| suffix == "filez"));
    found
}

#[test]
fn what_is_linked_under_both_locks_is_whole_and_shares_the_files() {
    let (source, target) = (Source::new(), Target::new());
    for round in ["", "second", "third"] {
        if !round.is_empty() {
            source.advance(round);
        }
        let outcome = run_holding(&source, &target.store(), &Policy::default(), &Silent, u64::MAX).unwrap();
        assert!(outcome.generation.is_some() && outcome.attempts == 1);
        target.assert_has_all_of(&source);
    }
    let files = content_files(&target.path());
    assert!(!files.is_empty());
    for file in files {
        assert_eq!(fs::metadata(&file).unwrap().nlink(), 2, "{}", file.display());
    }
}

#[test]
fn a_damaged_object_of_the_source_is_found_before_it_is_linked() {
    let (source, target) = (Source::new(), Target::new());
    let broken = content_files(source.stock.path()).pop().unwrap();
    let mut bytes = fs::read(&broken).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 0x55;
    fs::remove_file(&broken).unwrap();
    fs::write(&broken, bytes).unwrap();

    let refused = run_holding(&source, &target.store(), &Policy::default(), &Silent, u64::MAX);

    assert!(matches!(refused, Err(TransferError::CorruptSource(found)) if found.len() == 1));
    assert!(content_files(&target.path()).is_empty(), "nothing was linked");
}

/// Locks the target as a writer does, from the plan until the first object is stored.
struct Busy<'a> {
    target: &'a Repo,
    held: Mutex<Option<LockGuard<'a>>>,
    stored: Mutex<u32>,
}

impl Reporter for Busy<'_> {
    fn planned(&self, _plan: &Plan) {
        *self.held.lock().unwrap() = Some(self.target.lock(LockKind::Shared).unwrap());
    }

    fn stored(&self, _bytes: u64) {
        *self.stored.lock().unwrap() += 1;
        self.held.lock().unwrap().take();
    }
}

#[test]
fn where_the_target_is_busy_nobody_waits_with_the_source_locked() {
    let (source, target) = (Source::new(), Target::new());
    let other = Repo::open(&target.path()).unwrap();
    let busy = Busy {
        target: &other,
        held: Mutex::default(),
        stored: Mutex::default(),
    };

    // Only what is put lets go of the target: waiting for its lease before would last until the time is over.
    let outcome = run_holding(&source, &target.store(), &Policy::default(), &busy, u64::MAX).unwrap();

    assert_eq!(*busy.stored.lock().unwrap() as usize, outcome.plan.objects.len());
    target.assert_has_all_of(&source);
}

#[test]
fn a_record_of_the_source_spares_the_walk_and_a_false_one_harms_nobody() {
    let (source, target) = (Source::new(), Target::new());
    let publish = || run_holding(&source, &target.store(), &Policy::default(), &Silent, u64::MAX).unwrap();
    publish();
    source.advance("second");
    publish();
    let records = source.stock.path().join("extensions/ostler/closures");
    assert!(fs::read_dir(&records).unwrap().count() > 0);

    source.advance("third");
    for record in fs::read_dir(&records).unwrap() {
        fs::write(record.unwrap().path(), b"ostler-closure 1\nnot a list").unwrap();
    }
    publish();
    target.assert_has_all_of(&source);
}
