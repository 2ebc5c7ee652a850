//! A publish stopped at every step of a store.

use crate::faulty::FaultyStore;
use crate::fixture::{Source, assert_closed, refs_of, run};
use ostler_transfer::{MemoryStore, Policy, Step, TransferError};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Stops a store at the `nth` step from now, counted from 0.
fn stop_at(store: &MemoryStore, nth: u64) {
    let done = AtomicU64::new(0);
    store.set_hook(Box::new(move |_: &Step| {
        match done.fetch_add(1, Ordering::Relaxed) {
            at if at == nth => Err(TransferError::Stopped(at)),
            _ => Ok(()),
        }
    }));
}

fn go_on(store: &MemoryStore) {
    store.set_hook(Box::new(|_| Ok(())));
}

/// Returns whether the refs are all old or all new.
fn all_or_nothing(
    store: &MemoryStore,
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) -> bool {
    let now = refs_of(store);
    now == *old || now == *new
}

#[test]
fn stopped_at_any_step_every_ref_is_complete_and_the_next_run_converges() {
    let source = Source::new();
    let policy = Policy::default();
    let old = source.refs();
    let start = MemoryStore::default();
    run(&source, &start, &policy).unwrap();
    source.advance("second");
    let new = source.refs();
    let mut steps = 0;
    loop {
        let store = MemoryStore::from_files(start.files());
        stop_at(&store, steps);
        let outcome = run(&source, &store, &policy);
        assert_closed(&store);
        go_on(&store);
        let Err(error) = outcome else { break };
        assert!(
            matches!(error, TransferError::Stopped(_)),
            "step {steps}: {error}"
        );
        let rerun = run(&source, &store, &policy).unwrap_or_else(|error| panic!("step {steps}: {error}"));
        assert!(all_or_nothing(&store, &old, &new), "step {steps}");
        assert_eq!(refs_of(&store), new, "step {steps}: {rerun:?}");
        assert_closed(&store);
        steps += 1;
    }
    assert!(steps > 10, "only {steps} steps: the fault was hardly tried");
}

#[test]
fn failed_at_any_operation_the_refs_are_all_old_or_all_new_and_the_next_run_converges() {
    let source = Source::new();
    let policy = Policy::default();
    let old = source.refs();
    let start = MemoryStore::default();
    run(&source, &start, &policy).unwrap();
    source.advance("second");
    let new = source.refs();
    let mut operations = 0;
    loop {
        let store = MemoryStore::from_files(start.files());
        let Err(error) = run(&source, &FaultyStore::new(&store, operations), &policy) else {
            break;
        };
        assert!(
            matches!(error, TransferError::Stopped(_)),
            "operation {operations}: {error}"
        );
        assert_eq!(
            refs_of(&store),
            old,
            "operation {operations}: none of them changes refs by half"
        );
        run(&source, &store, &policy).unwrap_or_else(|error| panic!("operation {operations}: {error}"));
        assert_eq!(refs_of(&store), new, "operation {operations}");
        operations += 1;
    }
    assert!(
        operations > 50,
        "only {operations} operations: the fault was hardly tried"
    );
}

#[test]
fn a_flip_cut_short_is_completed_before_anything_else_is_computed() {
    let source = Source::new();
    let store = MemoryStore::default();
    let policy = Policy::default();
    run(&source, &store, &policy).unwrap();
    let old = source.refs();
    source.advance("second");
    let new = source.refs();
    let edits = AtomicU64::new(0);
    store.set_hook(Box::new(move |step| match step {
        Step::Edit(path) if path.starts_with("refs/") && edits.fetch_add(1, Ordering::Relaxed) == 1 => {
            Err(TransferError::Stopped(1))
        }
        _ => Ok(()),
    }));
    assert!(run(&source, &store, &policy).is_err());
    assert!(
        !all_or_nothing(&store, &old, &new),
        "the fault fell between the two refs"
    );
    go_on(&store);
    source.advance("third");
    let only_a = Policy {
        selection: ostler_transfer::Selection::new(&["os/a".to_owned()]).unwrap(),
        ..Policy::default()
    };
    run(&source, &store, &only_a).unwrap();
    assert_eq!(
        refs_of(&store).get("os/b"),
        new.get("os/b"),
        "the first flip was completed"
    );
    assert_eq!(refs_of(&store).get("os/a"), source.refs().get("os/a"));
}
