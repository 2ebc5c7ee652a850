//! A sweep stopped at every step, and at every operation of a store.

use crate::faulty::FaultyStore;
use crate::fixture::{NOW, assert_closed, assert_no_hole, commits_of, keep_last, run_at};
use crate::sweep::{options, with_two_retired};
use ostler_transfer::{MemoryStore, Step, TransferError, sweep};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const THEN: u64 = NOW + 1000;

fn stop_at(store: &MemoryStore, nth: u64) {
    let done = AtomicU64::new(0);
    store.set_hook(Box::new(move |_: &Step| {
        match done.fetch_add(1, Ordering::Relaxed) {
            at if at == nth => Err(TransferError::Stopped(at)),
            _ => Ok(()),
        }
    }));
}

/// Asserts that a sweep was stopped by the fault at `place`, and that the next one leaves what an uninterrupted one does.
#[track_caller]
fn assert_finished_by_the_next(store: &MemoryStore, whole: &MemoryStore, error: &TransferError, place: &str) {
    assert!(matches!(error, TransferError::Stopped(_)), "{place}: {error}");
    sweep(store, &options(THEN)).unwrap_or_else(|error| panic!("{place}: {error}"));
    assert_eq!(store.files(), whole.files(), "{place}");
}

#[test]
fn stopped_at_any_step_no_commit_has_a_hole_and_the_next_sweep_does_the_rest() {
    let start = MemoryStore::default();
    let (_source, _) = with_two_retired(&start);
    let whole = MemoryStore::from_files(start.files());
    sweep(&whole, &options(THEN)).unwrap();
    let mut steps = 0;
    loop {
        let store = MemoryStore::from_files(start.files());
        stop_at(&store, steps);
        let outcome = sweep(&store, &options(THEN));
        store.set_hook(Box::new(|_| Ok(())));
        assert_no_hole(&store, &format!("step {steps}"));
        let Err(error) = outcome else { break };
        assert_finished_by_the_next(&store, &whole, &error, &format!("step {steps}"));
        steps += 1;
    }
    assert!(steps > 10, "only {steps} steps: the fault was hardly tried");
}

#[test]
fn failed_at_any_operation_the_next_sweep_does_the_rest() {
    let start = MemoryStore::default();
    let (_source, _) = with_two_retired(&start);
    let whole = MemoryStore::from_files(start.files());
    sweep(&whole, &options(THEN)).unwrap();
    let mut operations = 0;
    loop {
        let store = MemoryStore::from_files(start.files());
        let outcome = sweep(&FaultyStore::new(&store, operations), &options(THEN));
        let Err(error) = outcome else { break };
        assert_finished_by_the_next(&store, &whole, &error, &format!("operation {operations}"));
        operations += 1;
    }
    assert!(
        operations > 50,
        "only {operations} operations: the fault was hardly tried"
    );
}

#[test]
fn objects_that_a_stopped_sweep_was_about_to_remove_stay_if_something_uses_them_since() {
    let start = MemoryStore::default();
    let (source, commits) = with_two_retired(&start);
    source.stock.run(&["refs", "--create=os/back", &commits[0]]);
    let mut steps = 0;
    loop {
        let store = MemoryStore::from_files(start.files());
        stop_at(&store, steps);
        let outcome = sweep(&store, &options(THEN));
        store.set_hook(Box::new(|_| Ok(())));
        if outcome.is_ok() {
            break;
        }
        run_at(&source, &store, &keep_last(1), THEN).unwrap_or_else(|error| panic!("step {steps}: {error}"));
        sweep(&store, &options(THEN)).unwrap();
        assert!(commits_of(&store).contains(&commits[0]), "step {steps}");
        assert!(!commits_of(&store).contains(&commits[1]), "step {steps}");
        assert_closed(&store);
        assert_no_hole(&store, &format!("step {steps}"));
        steps += 1;
    }
    assert!(steps > 10, "only {steps} steps: the fault was hardly tried");
}

#[test]
fn commits_go_before_trees_and_trees_before_content() {
    let store = MemoryStore::default();
    let (_source, _) = with_two_retired(&store);
    let steps = std::sync::Arc::new(Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&steps);
    store.set_hook(Box::new(move |step: &Step| {
        seen.lock().unwrap().push(step.clone());
        Ok(())
    }));
    sweep(&store, &options(THEN)).unwrap();
    let steps = steps.lock().unwrap();
    let rank = |step: &Step| match step {
        Step::Edit(path) if path.ends_with("/sweeping") => Some(0),
        Step::Remove(path) if path.contains(".commit") => Some(1),
        Step::Remove(path) if path.contains(".dir") => Some(2),
        Step::Remove(path) if path.contains(".filez") => Some(3),
        Step::Edit(path) if path.ends_with("/retired.json") => Some(4),
        _ => None,
    };
    let mut ranks: Vec<_> = steps.iter().filter_map(rank).collect();
    assert_eq!(ranks.pop(), Some(0), "the record goes last");
    assert!(ranks.is_sorted(), "{ranks:?}");
    for rank in 0..=4 {
        assert!(ranks.contains(&rank), "{rank} of {steps:?}");
    }
}
