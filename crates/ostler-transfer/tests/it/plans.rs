//! What is planned, refused and recomputed.

use crate::fixture::{Source, assert_closed, object_of, refs_of, run, run_reporting};
use ostler_transfer::{Again, MemoryStore, Policy, Reporter, Selection, Step, TransferError};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

#[test]
fn the_second_publish_sends_the_difference_and_a_third_nothing() {
    let source = Source::new();
    let store = MemoryStore::default();
    let first = run(&source, &store, &Policy::default()).unwrap();
    source.advance("second");
    let second = run(&source, &store, &Policy::default()).unwrap();
    assert!(second.plan.objects.len() < first.plan.objects.len());
    let third = run(&source, &store, &Policy::default()).unwrap();
    assert!(third.plan.is_empty());
    assert_eq!(
        (first.generation, second.generation, third.generation),
        (Some(1), Some(2), None)
    );
    assert_closed(&store);
}

#[test]
fn selected_refs_are_published_and_others_left_alone() {
    let source = Source::new();
    let store = MemoryStore::default();
    let policy = Policy {
        selection: Selection::new(&["os/a".to_owned()]).unwrap(),
        ..Policy::default()
    };
    run(&source, &store, &policy).unwrap();
    assert_eq!(refs_of(&store).into_keys().collect::<Vec<_>>(), ["os/a"]);
    let unmatched = Selection::new(&["os/c*".to_owned()]).unwrap();
    let error = run(
        &source,
        &store,
        &Policy {
            selection: unmatched,
            ..Policy::default()
        },
    )
    .unwrap_err();
    assert!(matches!(error, TransferError::NoSuchRef(pattern) if pattern == "os/c*"));
}

#[test]
fn a_ref_that_a_stock_tool_is_writing_is_no_ref_unless_it_is_named() {
    let source = Source::new();
    let store = MemoryStore::default();
    // libostree gives the new file such a name beside that of the ref, and renames it.
    let written = source.stock.path().join("refs/heads/os/tmp.SPU0vJ");
    std::fs::copy(source.stock.path().join("refs/heads/os/a"), &written).unwrap();
    run(&source, &store, &Policy::default()).unwrap();
    assert_eq!(refs_of(&store).into_keys().collect::<Vec<_>>(), ["os/a", "os/b"]);
    let named = Policy {
        selection: Selection::new(&["os/tmp.SPU0vJ".to_owned()]).unwrap(),
        ..Policy::default()
    };
    run(&source, &store, &named).unwrap();
    assert!(refs_of(&store).contains_key("os/tmp.SPU0vJ"));
    std::fs::remove_file(&written).unwrap();
    let policy = Policy {
        delete_refs: true,
        ..Policy::default()
    };
    run(&source, &store, &policy).unwrap();
    assert!(refs_of(&store).contains_key("os/tmp.SPU0vJ"));
}

#[test]
fn refs_that_the_source_dropped_go_only_when_asked_and_never_all_of_them() {
    let source = Source::new();
    let store = MemoryStore::default();
    run(&source, &store, &Policy::default()).unwrap();
    source.stock.run(&["refs", "--delete", "os/b"]);
    run(&source, &store, &Policy::default()).unwrap();
    assert!(refs_of(&store).contains_key("os/b"));
    let policy = Policy {
        delete_refs: true,
        ..Policy::default()
    };
    run(&source, &store, &policy).unwrap();
    assert_eq!(refs_of(&store).into_keys().collect::<Vec<_>>(), ["os/a"]);
    source.stock.run(&["refs", "--delete", "os/a"]);
    assert!(matches!(
        run(&source, &store, &policy),
        Err(TransferError::Refused(_))
    ));
    assert!(refs_of(&store).contains_key("os/a"));
    run(
        &source,
        &store,
        &Policy {
            allow_empty: true,
            ..policy
        },
    )
    .unwrap();
    assert!(refs_of(&store).is_empty());
}

#[test]
fn an_update_that_is_no_fast_forward_or_goes_back_in_time_needs_force() {
    let source = Source::new();
    let store = MemoryStore::default();
    run(&source, &store, &Policy::default()).unwrap();
    let old = refs_of(&store);
    source
        .stock
        .commit_with("os/a", &source.tree(), &["--parent=none", "-s", "unrelated"]);
    assert!(matches!(
        run(&source, &store, &Policy::default()),
        Err(TransferError::Refused(_))
    ));
    assert_eq!(refs_of(&store), old);
    run(
        &source,
        &store,
        &Policy {
            force: true,
            ..Policy::default()
        },
    )
    .unwrap();
    source
        .stock
        .commit_with("os/b", &source.tree(), &["--timestamp=@1000", "-s", "old"]);
    let refused = run(&source, &store, &Policy::default()).unwrap_err();
    assert!(refused.to_string().contains("back in time"), "{refused}");
}

#[test]
fn conflicting_names_are_refused_before_anything_is_sent() {
    let source = Source::new();
    let store = MemoryStore::default();
    store.tamper(
        "refs/heads/os",
        Some(format!("{}\n", source.stock.rev_parse("os/a")).into_bytes()),
    );
    let before = store.files();
    let error = run(&source, &store, &Policy::default()).unwrap_err();
    assert!(error.to_string().contains("conflicts with 'os'"), "{error}");
    assert_eq!(store.files(), before);
}

#[test]
fn a_ref_that_moves_meanwhile_is_computed_again_and_never_overwritten() {
    let source = Source::new();
    let store = Arc::new(MemoryStore::default());
    run(&source, &*store, &Policy::default()).unwrap();
    source.advance("second");
    let foreign = source
        .stock
        .commit_with("scratch", &source.tree(), &["-s", "someone else's"]);
    source.stock.run(&["refs", "--delete", "scratch"]);
    let (racing, done) = (Arc::clone(&store), AtomicBool::new(false));
    store.set_hook(Box::new(move |step| {
        if matches!(step, Step::Put(_)) && !done.swap(true, Ordering::Relaxed) {
            racing.tamper("refs/heads/os/b", Some(format!("{foreign}\n").into_bytes()));
        }
        Ok(())
    }));
    let error = run(&source, &*store, &Policy::default()).unwrap_err();
    assert!(matches!(error, TransferError::Refused(_)), "{error}");
    assert_ne!(
        refs_of(&store).get("os/a"),
        source.refs().get("os/a"),
        "all or nothing"
    );
}

/// Remembers why a run computed again.
#[derive(Default)]
struct Reasons(Mutex<Vec<Again>>);

impl Reporter for Reasons {
    fn again(&self, reason: &Again) {
        self.0.lock().unwrap().push(reason.clone());
    }
}

#[test]
fn holes_and_short_objects_at_the_target_are_found_before_a_ref_moves_and_filled() {
    for (suffix, damage) in [
        ("filez", None),
        ("filez", Some(Vec::new())),
        ("dirtree", Some(b"x".to_vec())),
        ("dirmeta", None),
    ] {
        let source = Source::new();
        let store = MemoryStore::default();
        run(&source, &store, &Policy::default()).unwrap();
        source.advance("second");
        let path = object_of(&source, &store, suffix);
        store.tamper(&path, damage.clone());
        let reasons = Reasons::default();
        run_reporting(&source, &store, &Policy::default(), &reasons).unwrap();
        assert_closed(&store);
    }
}

#[test]
fn with_verify_what_has_the_right_size_and_the_wrong_bytes_is_healed_though_no_ref_moves() {
    let source = Source::new();
    let store = MemoryStore::default();
    run(&source, &store, &Policy::default()).unwrap();
    let path = object_of(&source, &store, "filez");
    let mut bytes = store.files().remove(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 0x55;
    store.tamper(&path, Some(bytes));
    assert!(run(&source, &store, &Policy::default()).unwrap().plan.is_empty());
    let outcome = run(
        &source,
        &store,
        &Policy {
            verify: true,
            ..Policy::default()
        },
    )
    .unwrap();
    assert_eq!(outcome.plan.objects.len(), 1);
    assert_closed(&store);
}

#[test]
fn signatures_added_later_are_carried() {
    let source = Source::new();
    let store = MemoryStore::default();
    run(&source, &store, &Policy::default()).unwrap();
    let commit = source.stock.rev_parse("os/a");
    let (first, rest) = commit.split_at(2);
    let meta = format!("objects/{first}/{rest}.commitmeta");
    std::fs::write(source.stock.path().join(&meta), detached("one")).unwrap();
    let outcome = run(&source, &store, &Policy::default()).unwrap();
    assert_eq!(outcome.plan.detached.len(), 1);
    assert_eq!(store.files().get(&meta), Some(&detached("one")));
    std::fs::write(source.stock.path().join(&meta), detached("two")).unwrap();
    run(&source, &store, &Policy::default()).unwrap();
    assert_eq!(store.files().get(&meta), Some(&detached("two")));
}

fn detached(text: &str) -> Vec<u8> {
    use ostler_format::gvariant::{Value, VarDict};
    let mut dict = VarDict::new();
    dict.insert("note", Value::Str(text.to_owned()));
    dict.to_bytes()
}
