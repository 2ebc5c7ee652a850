//! Pruning: what the library promises beyond what the command shows.

use crate::fixture::Fixture;
use crate::walk::chain;
use ostler_format::{ObjectName, ObjectType, RefName};
use ostler_repo::refs::{Expected, RefEdit};
use ostler_repo::{
    Deletion, Depth, LockKind, PruneOptions, PruneStats, RefRetention, Repo, RepoError, Retention, prune,
};
use std::time::Duration;

/// Keeps the tips of refs.
fn tips(threads: usize) -> PruneOptions {
    PruneOptions {
        retention: Retention::Refs(RefRetention {
            depth: Some(Depth::Parents(0)),
            ..RefRetention::default()
        }),
        threads,
        ..PruneOptions::default()
    }
}

fn objects(repo: &Repo) -> Vec<ObjectName> {
    repo.list_objects(true).unwrap()
}

#[test]
fn any_number_of_threads_removes_the_same() {
    let mut results: Vec<(PruneStats, Vec<ObjectName>)> = Vec::new();
    for threads in [0, 1, 7] {
        let fixture = Fixture::new();
        for version in 0..3 {
            for file in 0..40 {
                std::fs::write(
                    fixture.beside("tree").join(file.to_string()),
                    format!("{file} {}", version / 2),
                )
                .unwrap();
            }
            fixture.commit("main", &version.to_string());
        }
        let repo = fixture.open();
        let before = objects(&repo).len();
        let stats = prune(&repo, &tips(threads)).unwrap().stats;
        assert_eq!(stats.objects, before as u64);
        assert_eq!(stats.removed, (before - objects(&repo).len()) as u64);
        fixture.stock.fsck();
        results.push((stats, objects(&repo)));
    }
    for pair in results.windows(2) {
        assert_eq!(pair[0], pair[1]);
    }
}

#[test]
fn trees_as_deep_as_somebody_likes_are_kept_and_removed() {
    let fixture = Fixture::new();
    fixture.configure("fsync=false");
    let repo = fixture.open();
    let deep = chain(&repo, 5000);
    let name = RefName::new("deep").unwrap();
    repo.edit_refs(&[RefEdit::set(name.clone(), Expected::Absent, deep)])
        .unwrap();
    assert_eq!(prune(&repo, &tips(2)).unwrap().stats.removed, 0);
    repo.edit_refs(&[RefEdit::remove(name, Expected::Is(deep))])
        .unwrap();
    let stats = prune(&repo, &tips(2)).unwrap().stats;
    assert_eq!(stats.removed, stats.objects);
    assert_eq!(objects(&repo), []);
}

#[test]
fn a_prune_needs_the_lock_alone_and_a_look_shares_it() {
    let fixture = Fixture::new();
    fixture.configure("lock-timeout-secs=0");
    fixture.commit("main", "x");
    let (repo, other) = (fixture.open(), fixture.open());
    let shared = other.lock(LockKind::Shared).unwrap();
    // Nothing is to be removed, so that nobody needs to be kept out.
    assert_eq!(prune(&repo, &tips(2)).unwrap().alone, None);
    shared.release().unwrap();
    fixture.commit("main", "y");
    let shared = other.lock(LockKind::Shared).unwrap();
    assert!(matches!(prune(&repo, &tips(2)), Err(RepoError::Locked { .. })));
    let look = PruneOptions {
        dry_run: true,
        ..tips(2)
    };
    assert_eq!(prune(&repo, &look).unwrap().stats.removed, 3);
    shared.release().unwrap();
    assert!(prune(&repo, &tips(2)).unwrap().alone.is_some());
    // Nothing is held afterwards.
    let zero = Some(Duration::ZERO);
    other
        .lock_within(LockKind::Exclusive, zero)
        .unwrap()
        .release()
        .unwrap();
}

#[test]
fn a_deleted_commit_takes_what_is_its_own_alone() {
    let fixture = Fixture::new();
    let first = fixture.commit("main", "one");
    let second = fixture.commit("main", "two");
    fixture.commit("main", "three");
    let repo = fixture.open();
    let options = PruneOptions {
        delete: Some(Deletion::Commit(second)),
        ..PruneOptions::default()
    };
    let stats = prune(&repo, &options).unwrap().stats;
    // Its tree and its file; it is not counted itself.
    assert_eq!((stats.objects, stats.removed), (9, 2));
    let repo = fixture.open();
    assert!(repo.has_tombstone(&second).unwrap() && repo.config().tombstone_commits());
    let commit = |checksum| ObjectName::new(checksum, ObjectType::Commit);
    assert!(!repo.has_object(&commit(second)).unwrap() && repo.has_object(&commit(first)).unwrap());
    fixture.stock.fsck();
}
