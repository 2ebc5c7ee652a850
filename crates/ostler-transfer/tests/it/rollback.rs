//! Rolling back over a store that is files and nothing else.

use crate::fixture::{NOW, Source, refs_of, retired, run};
use ostler_format::Checksum;
use ostler_transfer::{
    MemoryStore, Past, Policy, Reporter, RollbackOptions, RollbackOutcome, Signing, Silent, Step, Store as _,
    SummaryPolicy, TransferError, rollback, set_pinned,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A store with two generations, and the refs of each.
struct Scene {
    source: Source,
    store: MemoryStore,
    first: BTreeMap<String, String>,
    second: BTreeMap<String, String>,
}

impl Scene {
    fn new() -> Self {
        let source = Source::new();
        let store = MemoryStore::default();
        run(&source, &store, &Policy::default()).unwrap();
        let first = refs_of(&store);
        source.advance("more");
        run(&source, &store, &Policy::default()).unwrap();
        let second = refs_of(&store);
        Self {
            source,
            store,
            first,
            second,
        }
    }

    fn rollback(&self, reporter: &dyn Reporter) -> Result<RollbackOutcome, TransferError> {
        rollback(
            &self.store,
            &RollbackOptions {
                signing: &Signing::default(),
                generation: None,
                force: false,
                summary: SummaryPolicy::Auto,
                dry_run: false,
                clock: &|| NOW,
                who: "tester@example",
                reporter,
            },
        )
    }
}

#[test]
fn rollback_over_any_store_brings_refs_back_and_retires_what_they_leave() {
    let scene = Scene::new();
    let outcome = scene.rollback(&Silent).unwrap();
    assert_eq!((outcome.to, outcome.generation), (1, Some(3)));
    assert_eq!(refs_of(&scene.store), scene.first);
    let newer: Vec<_> = scene.second.values().collect();
    assert!(
        newer
            .iter()
            .all(|commit| retired(&scene.store).contains_key(*commit))
    );
    assert!(set_pinned(&scene.store, 2, true, &|| NOW, &Silent).unwrap());
    assert!(retired(&scene.store).is_empty());
    assert_eq!(Past::read(&scene.store).unwrap().pinned, [2].into());
}

#[test]
fn rollback_stopped_at_any_step_is_all_or_nothing() {
    for stop_at in 1.. {
        let scene = Scene::new();
        let steps = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&steps);
        scene.store.set_hook(Box::new(move |_: &Step| {
            if counted.fetch_add(1, Ordering::Relaxed) + 1 == stop_at {
                return Err(TransferError::Stopped(stop_at));
            }
            Ok(())
        }));
        let stopped = scene.rollback(&Silent).is_err();
        scene.store.set_hook(Box::new(|_| Ok(())));
        if !stopped {
            assert!(stop_at > 5, "only {stop_at} steps");
            return;
        }
        // The next one completes it first; if it was done, there is nothing to go back to but the second.
        let outcome = scene.rollback(&Silent).unwrap();
        let expected = if outcome.to == 1 {
            &scene.first
        } else {
            &scene.second
        };
        assert_eq!(&refs_of(&scene.store), expected, "stopped at {stop_at}");
    }
}

/// Moves a ref when the flip is about to begin.
struct Mover<'a>(&'a MemoryStore);

impl Reporter for Mover<'_> {
    fn flipping(&self) {
        let commit = format!("{}\n", Checksum::of(b"somebody else's"));
        self.0.tamper("refs/heads/os/b", Some(commit.into_bytes()));
    }
}

#[test]
fn ref_that_moves_meanwhile_is_not_taken_back() {
    let scene = Scene::new();
    let refused = scene.rollback(&Mover(&scene.store)).unwrap_err();
    assert!(matches!(refused, TransferError::Contended { .. }), "{refused}");
    let refs = refs_of(&scene.store);
    assert_eq!(refs["os/a"], scene.second["os/a"]);
    assert_eq!(refs["os/b"], Checksum::of(b"somebody else's").to_string());
    let refused = scene.rollback(&Silent).unwrap_err();
    let TransferError::ChangedSince { refs, .. } = &refused else {
        panic!("{refused}");
    };
    assert_eq!(refs, &["os/b"]);
}

/// Removes an object when the flip is about to begin.
struct Sweeper<'a>(&'a MemoryStore, String);

impl Reporter for Sweeper<'_> {
    fn flipping(&self) {
        self.0.tamper(&self.1, None);
    }
}

#[test]
fn object_that_goes_meanwhile_is_missed_under_the_lease() {
    let scene = Scene::new();
    let (first, rest) = scene.first["os/a"].split_at(2);
    let path = format!("objects/{first}/{rest}.commit");
    let refused = scene.rollback(&Sweeper(&scene.store, path)).unwrap_err();
    let TransferError::Swept { number, missing, .. } = &refused else {
        panic!("{refused}");
    };
    assert_eq!((*number, missing.len()), (1, 1));
    assert_eq!(refs_of(&scene.store), scene.second);
}

#[test]
fn number_of_a_generation_is_not_given_again_when_the_last_one_is_forgotten() {
    let latest = "extensions/ostler/generations/latest";
    for forgotten in [None, Some(b"?".to_vec()), Some(b"1\n".to_vec())] {
        let scene = Scene::new();
        let record = "extensions/ostler/generations/00000001.json";
        let first = scene.store.get(record, 1 << 20).unwrap();
        scene.store.tamper(latest, forgotten.clone());
        assert_eq!(scene.rollback(&Silent).unwrap().generation, Some(3));
        scene.store.tamper(latest, forgotten);
        scene.source.advance("most");
        let outcome = run(&scene.source, &scene.store, &Policy::default()).unwrap();
        assert_eq!(outcome.generation, Some(4));
        assert_eq!(scene.store.get(record, 1 << 20).unwrap(), first);
        assert_eq!(scene.store.get(latest, 64).unwrap(), Some(b"4\n".to_vec()));
    }
}

#[test]
fn pin_without_a_record_does_not_come_to_mean_another_generation() {
    let scene = Scene::new();
    scene
        .store
        .tamper("extensions/ostler/generations/00000007.pin", Some(Vec::new()));
    assert_eq!(scene.rollback(&Silent).unwrap().generation, Some(8));
}

#[test]
fn highest_number_is_followed_by_none() {
    let scene = Scene::new();
    let last = format!("{}\n", u64::MAX).into_bytes();
    scene
        .store
        .tamper("extensions/ostler/generations/latest", Some(last));
    let before = scene.store.files();
    let refused = |error: TransferError| matches!(error, TransferError::NoNumber { .. });
    assert!(refused(scene.rollback(&Silent).unwrap_err()));
    assert_eq!(scene.store.files(), before);
    scene.source.advance("most");
    assert!(refused(
        run(&scene.source, &scene.store, &Policy::default()).unwrap_err()
    ));
    assert_eq!(refs_of(&scene.store), scene.second);
}
