//! What is asked of a store where each look is a message to another machine.

use crate::faulty::FaultyStore;
use crate::fixture::{Source, run};
use ostler_format::RepoMode;
use ostler_repo::Repo;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use ostler_transfer::{MountedStore, Policy};
use std::path::Path;

fn opened(target: &Path) -> MountedStore {
    MountedStore::new(Repo::open(target).unwrap(), "a test")
}

/// Returns how many operations a publish of one changed file takes, and then one with nothing to do, beside so many files.
fn operations(files: u32) -> (u64, u64) {
    let source = Source::new();
    for number in 0..files {
        Tree::at(&source.tree()).file(&format!("more/{number}"), format!("{number}"), 0o644);
    }
    source.advance("first");
    let target = source.stock.path().with_file_name("target");
    Repo::create(&target, RepoMode::Archive, None).unwrap();
    run(&source, &opened(&target), &Policy::default()).unwrap();
    source.advance("second");
    let count = || {
        let store = opened(&target);
        let counted = FaultyStore::new(&store, u64::MAX);
        run(&source, &counted, &Policy::default()).unwrap();
        counted.operations()
    };
    let counts = (count(), count());
    StockRepo::open(&target).fsck();
    counts
}

#[test]
fn operations_depend_on_the_change_and_not_on_the_repository() {
    let (small, small_nothing) = operations(300);
    let (large, large_nothing) = operations(3000);
    assert_eq!((small, small_nothing), (large, large_nothing));
    assert!(large_nothing < 30, "{large_nothing}");
    assert!(large < 120, "{large}");
}

#[test]
fn failed_at_any_operation_a_publish_is_done_by_the_next() {
    let source = Source::new();
    let target = source.stock.path().with_file_name("target");
    let mut operations = 0;
    loop {
        drop(std::fs::remove_dir_all(&target));
        Repo::create(&target, RepoMode::Archive, None).unwrap();
        let store = opened(&target);
        let stopped = run(&source, &FaultyStore::new(&store, operations), &Policy::default()).is_err();
        drop(store);
        run(&source, &opened(&target), &Policy::default()).unwrap();
        StockRepo::open(&target).fsck();
        assert_eq!(
            ostler_testkit::oracle::strays(&target),
            Vec::<String>::new(),
            "operation {operations}"
        );
        if !stopped {
            break;
        }
        operations += 1;
    }
    assert!(
        operations > 30,
        "only {operations} operations: the fault was hardly tried"
    );
}
