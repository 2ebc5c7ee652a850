//! What is looked at before the target is locked, and again where something may have changed since.

use crate::faulty::FaultyStore;
use crate::fixture::{Source, assert_closed, object_of, run};
use ostler_repo::Repo;
use ostler_testkit::stock::StockRepo;
use ostler_transfer::{DirStore, MemoryStore, Policy, Selection, Store as _};
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// One ref, whose list is looked at ahead.
fn one_ref() -> Policy {
    Policy {
        selection: Selection::new(&["os/a".to_owned()]).unwrap(),
        ..Policy::default()
    }
}

#[test]
fn what_goes_between_the_look_and_the_lock_is_sent_again() {
    for suffix in ["filez", "dirtree", "dirmeta"] {
        let source = Source::new();
        let store = MemoryStore::default();
        run(&source, &store, &Policy::default()).unwrap();
        source.advance("second");
        let path = object_of(&source, &store, suffix);
        let meddled = FaultyStore::meddled(&store, || store.tamper(&path, None));
        let outcome = run(&source, &meddled, &one_ref()).unwrap();
        assert_eq!(outcome.attempts, 2, "{suffix}");
        assert_closed(&store);
    }
}

#[test]
fn what_is_missing_or_short_before_the_look_is_sent_again() {
    for damage in [None, Some(Vec::new()), Some(b"x".to_vec())] {
        let source = Source::new();
        let store = MemoryStore::default();
        run(&source, &store, &Policy::default()).unwrap();
        source.advance("second");
        store.tamper(&object_of(&source, &store, "filez"), damage);
        let outcome = run(&source, &store, &one_ref()).unwrap();
        assert_eq!(outcome.attempts, 2);
        assert_closed(&store);
    }
}

/// Sets the times of all directories of objects back, so that a change shows.
fn age(repo: &Path) {
    let before = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for prefix in fs::read_dir(repo.join("objects")).unwrap() {
        let dir = File::open(prefix.unwrap().path()).unwrap();
        dir.set_modified(before).unwrap();
    }
}

#[test]
fn directory_tells_by_its_times_what_has_gone() {
    let source = Source::new();
    let target = tempfile::TempDir::new().unwrap();
    let path = target.path().join("public");
    Repo::create(&path, ostler_format::RepoMode::Archive, None).unwrap();
    let store = DirStore::new(Repo::open(&path).unwrap());
    let listed = MemoryStore::default();
    run(&source, &listed, &Policy::default()).unwrap();
    run(&source, &store, &Policy::default()).unwrap();
    source.advance("second");
    age(&path);
    assert!(store.stamps().unwrap().iter().all(Option::is_some));
    let object = path.join(object_of(&source, &listed, "filez"));
    let meddled = FaultyStore::meddled(&store, || fs::remove_file(&object).unwrap());
    assert_eq!(run(&source, &meddled, &one_ref()).unwrap().attempts, 2);
    StockRepo::open(&path).run(&["fsck"]);
}
