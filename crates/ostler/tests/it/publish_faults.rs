//! A publish killed at, or refused, every single call by which it changes something on the disk.

use crate::publish_scene::Scene;
use ostler_testkit::strace::{Call, Kind, changing_calls, run_with_fault};

/// Returns the points of a publish at which it can be hit.
#[track_caller]
fn points(scene: &Scene) -> Vec<Call> {
    scene.reset();
    let calls = changing_calls(&scene.publish());
    assert!(
        calls.len() > 50,
        "only {} points: strace sees too little",
        calls.len()
    );
    calls
}

/// Kills a publish at every point: whatever a ref names is whole, refs are all old or all new, the next publish does
/// the rest, and nothing is left lying about.
#[track_caller]
fn kill_everywhere(scene: &Scene) {
    let points = points(scene);
    for point in &points {
        let context = format!("killed at {} {}, {}", point.syscall, point.nth, point.text);
        scene.reset();
        let run = run_with_fault(&scene.publish(), &point.fault(Kind::Kill));
        // Whether a time has to be set depends on when the run falls: one call less may be made.
        assert!(run.injected || run.succeeded(), "{context}: not reached");
        scene.assert_sound(&context);
        scene.assert_all_or_nothing(&context);
        scene.assert_next_publish_converges(&context);
    }
    println!("killed at {} points", points.len());
}

#[test]
fn first_publish_by_links_survives_a_kill_at_any_call() {
    let directory = tempfile::tempdir().unwrap();
    kill_everywhere(&Scene::first(directory.path(), &[]));
}

#[test]
fn first_publish_by_copies_survives_a_kill_at_any_call() {
    let directory = tempfile::tempdir().unwrap();
    kill_everywhere(&Scene::first(directory.path(), &["--copy"]));
}

#[test]
fn second_publish_by_links_survives_a_kill_at_any_call() {
    let directory = tempfile::tempdir().unwrap();
    kill_everywhere(&Scene::second(directory.path(), &[]));
}

#[test]
fn second_publish_by_copies_survives_a_kill_at_any_call() {
    let directory = tempfile::tempdir().unwrap();
    kill_everywhere(&Scene::second(directory.path(), &["--copy"]));
}
