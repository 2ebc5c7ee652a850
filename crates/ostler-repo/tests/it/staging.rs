//! Staging directories: taken over, cleaned up, left alone.

use crate::store_fixture::{begin, create, regular, scratch, write};
use ostler_format::RepoMode;
use ostler_repo::{FileLock, Repo, Staging};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree;
use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Returns the staging directories of a repository.
fn stagings(repo: &Path) -> Vec<PathBuf> {
    fs::read_dir(repo.join("tmp"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("staging-")
        })
        .collect()
}

fn age(path: &Path, seconds: u64) {
    let past = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let times = FileTimes::new().set_modified(past);
    File::open(path).unwrap().set_times(times).unwrap();
}

#[test]
fn an_abandoned_transaction_leaves_its_objects_to_the_next() {
    let scratch = scratch();
    let path = scratch.path().join("repo");
    let repo = create(&path, RepoMode::Archive);
    let dropped = begin(&repo);
    let name = write(&dropped, &regular(0o644), b"content");
    drop(dropped);
    assert_eq!(stagings(&path).len(), 1);
    assert!(!repo.has_object(&name).unwrap());

    let next = begin(&repo);
    assert!(next.has(&name).unwrap(), "what was staged counts");
    next.commit().unwrap();

    repo.verify_object(&name).unwrap();
    assert!(stagings(&path).is_empty());
}

#[test]
fn a_broken_object_of_an_abandoned_transaction_is_dropped() {
    let scratch = scratch();
    let path = scratch.path().join("repo");
    let repo = create(&path, RepoMode::Archive);
    let dropped = begin(&repo);
    let name = write(&dropped, &regular(0o644), b"content");
    drop(dropped);
    let staged = stagings(&path).remove(0).join(name.loose_path(repo.mode()));
    fs::write(&staged, b"torn").unwrap();

    let next = begin(&repo);
    assert!(!next.has(&name).unwrap());
    assert_eq!(write(&next, &regular(0o644), b"content"), name);
    next.commit().unwrap();

    repo.verify_object(&name).unwrap();
}

#[test]
fn what_is_not_needed_of_an_abandoned_transaction_waits_for_whoever_needs_it() {
    let scratch = scratch();
    let path = scratch.path().join("repo");
    let repo = create(&path, RepoMode::Archive);
    let dropped = begin(&repo);
    let wanted = write(&dropped, &regular(0o644), b"wanted");
    let other = write(&dropped, &regular(0o644), b"other");
    drop(dropped);

    let next = begin(&repo);
    assert!(next.has(&wanted).unwrap());
    next.commit().unwrap();

    assert!(repo.has_object(&wanted).unwrap());
    assert!(!repo.has_object(&other).unwrap(), "nobody vouched for it");
    let last = begin(&repo);
    assert!(last.has(&other).unwrap());
    last.commit().unwrap();
    assert!(stagings(&path).is_empty());
}

#[test]
fn a_directory_that_was_abandoned_long_ago_is_not_kept_again() {
    let scratch = scratch();
    let path = scratch.path().join("repo");
    let repo = create(&path, RepoMode::Archive);
    let dropped = begin(&repo);
    write(&dropped, &regular(0o644), b"content");
    drop(dropped);
    age(&stagings(&path)[0], 1000);

    begin(&repo).commit().unwrap();

    assert!(stagings(&path).is_empty());
}

#[test]
fn stock_ostree_takes_over_what_we_abandoned_and_we_what_it_could_have_left() {
    let scratch = scratch();
    let path = scratch.path().join("repo");
    let repo = create(&path, RepoMode::Archive);
    let dropped = begin(&repo);
    let name = write(&dropped, &regular(0o644), b"content");
    drop(dropped);

    let source = scratch.path().join("source");
    tree::plain(&source);
    StockRepo::open(&path).commit("main", &source);

    assert!(stagings(&path).is_empty());
    repo.verify_object(&name).unwrap();
}

#[test]
fn a_staging_directory_in_use_is_left_alone() {
    let scratch = scratch();
    let path = scratch.path().join("repo");
    let repo = create(&path, RepoMode::Archive);
    let first = begin(&repo);
    let name = write(&first, &regular(0o644), b"first");

    let second_repo = Repo::open(&path).unwrap();
    let second = begin(&second_repo);
    assert!(!second.has(&name).unwrap());
    write(&second, &regular(0o644), b"second");
    second.commit().unwrap();
    let source = scratch.path().join("source");
    tree::plain(&source);
    StockRepo::open(&path).commit("main", &source);
    assert!(!repo.has_object(&name).unwrap());
    first.commit().unwrap();

    assert!(repo.has_object(&name).unwrap());
    ostler_testkit::oracle::assert_sound(&path);
}

#[test]
fn cleaning_removes_other_boots_and_old_strays_and_nothing_else() {
    let scratch = scratch();
    let path = scratch.path().join("repo");
    let repo = create(&path, RepoMode::Archive);
    let tmp = path.join("tmp");
    let boot = repo.boot_id().unwrap().to_owned();
    let other_boot = tmp.join("staging-00000000-0000-0000-0000-000000000000-abcdef");
    let held_boot = tmp.join("staging-00000000-0000-0000-0000-000000000000-inuse1");
    let this_boot = tmp.join(format!("staging-{boot}-AAAAAA"));
    for directory in [&other_boot, &held_boot, &this_boot, &tmp.join("old-dir/below")] {
        fs::create_dir_all(directory).unwrap();
    }
    for name in ["old-file", "new-file", "cache/kept", "old-lock"] {
        fs::write(tmp.join(name), "x").unwrap();
    }
    for name in ["old-file", "old-dir", "cache", "cache/kept", "old-lock"] {
        age(&tmp.join(name), 1000);
    }
    let held_name = format!("{}-lock", held_boot.file_name().unwrap().to_str().unwrap());
    let _held = FileLock::try_acquire(repo.tmp().unwrap(), held_name)
        .unwrap()
        .unwrap();

    ostler_repo::staging::clean_tmp(&repo).unwrap();

    for gone in ["old-file", "old-dir", "old-lock"] {
        assert!(!tmp.join(gone).exists(), "{gone}");
    }
    assert!(!other_boot.exists());
    for kept in [
        &held_boot,
        &this_boot,
        &tmp.join("new-file"),
        &tmp.join("cache/kept"),
    ] {
        assert!(kept.exists(), "{kept:?}");
    }
}

#[test]
fn cleaning_removes_at_once_what_a_dead_process_left() {
    let scratch = scratch();
    let path = scratch.path().join("repo");
    let repo = create(&path, RepoMode::Archive);
    let tmp = path.join("tmp");
    let boot = repo.boot_id().unwrap();
    let lock_of_nothing = tmp.join(format!("staging-{boot}-BBBBBB-lock"));
    let temporary = tmp.join(".ostler-0123456789abcdef");
    let held_name = format!("staging-{boot}-CCCCCC-lock");
    for file in [&lock_of_nothing, &temporary] {
        fs::write(file, "").unwrap();
    }
    let _held = FileLock::try_acquire(repo.tmp().unwrap(), &held_name)
        .unwrap()
        .unwrap();

    ostler_repo::staging::clean_tmp(&repo).unwrap();

    assert!(!lock_of_nothing.exists());
    assert!(!temporary.exists());
    assert!(tmp.join(held_name).exists(), "somebody is about to remove it");
}

#[test]
fn cleaning_removes_what_publishers_left_long_ago_and_nothing_that_one_uses() {
    let scratch = scratch();
    let path = scratch.path().join("repo");
    let repo = create(&path, RepoMode::Archive);
    let tmp = path.join("tmp");
    let boot = repo.boot_id().unwrap();
    let incoming = |end: &str| format!("ostler-incoming-{boot}-{end}");
    let (old, young, held) = (incoming("oldold"), incoming("young1"), incoming("inuse1"));
    let (old_pin, held_pin) = ("ostler-pin-oldold", "ostler-pin-inuse1");
    for name in [&old, &young, &held, old_pin, held_pin] {
        fs::create_dir(tmp.join(name)).unwrap();
    }
    for name in [&old, &held, old_pin, held_pin] {
        age(&tmp.join(name), 1000);
    }
    let _held = [&held, held_pin].map(|name| {
        let lock = FileLock::try_acquire(repo.tmp().unwrap(), format!("{name}-lock"));
        lock.unwrap().unwrap()
    });

    ostler_repo::staging::clean_tmp(&repo).unwrap();

    let exists = |name: &&str| tmp.join(name).exists();
    assert!(![old.as_str(), old_pin].iter().any(exists));
    assert!([young.as_str(), &held, held_pin].iter().all(exists));
}

#[test]
fn each_of_many_transactions_at_once_has_a_directory_of_its_own() {
    let scratch = scratch();
    let path = scratch.path().join("repo");
    create(&path, RepoMode::Archive);
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let path = &path;
            scope.spawn(move || {
                let repo = Repo::open(path).unwrap();
                for round in 0..10_u32 {
                    let transaction = begin(&repo);
                    let own = format!("{thread} {round}");
                    let names =
                        [&own, "shared"].map(|text| write(&transaction, &regular(0o644), text.as_bytes()));
                    if round % 3 == 0 {
                        drop(transaction);
                        continue;
                    }
                    transaction.commit().unwrap();
                    for name in names {
                        repo.verify_object(&name).unwrap();
                    }
                }
            });
        }
    });
    let repo = Repo::open(&path).unwrap();
    for name in repo.list_objects(true).unwrap() {
        repo.verify_object(&name).unwrap();
    }
}

#[test]
fn staging_serves_others_by_itself() {
    let scratch = scratch();
    let repo = create(&scratch.path().join("repo"), RepoMode::Archive);
    let first = Staging::acquire(&repo).unwrap();
    let second = Staging::acquire(&repo).unwrap();
    assert!(!first.resumed() && !second.resumed());
    assert_ne!(first.dir().path(), second.dir().path());
    first.keep();
    second.discard().unwrap();
    assert!(Staging::acquire(&repo).unwrap().resumed());
}
