//! A publish killed at, or refused, every single call by which it changes something on the disk.

use crate::publish_scene::{Scene, State};
use ostler_testkit::strace::{Call, Kind, changing_calls, count_calls, for_each_point, run_with_fault};

/// The calls that bring something to the disk: a failure there means that it is not known to be there.
const SYNCS: &[&str] = &["fsync", "fdatasync", "syncfs"];

/// The calls that need room on the disk.
const FILLING: &[&str] = &[
    "openat",
    "openat2",
    "write",
    "copy_file_range",
    "mkdirat",
    "linkat",
    "renameat",
    "renameat2",
    "fsync",
    "fdatasync",
    "syncfs",
];

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
    let hit = for_each_point(&points, Kind::Kill, |fault, context| {
        scene.reset();
        let run = run_with_fault(&scene.publish(), fault);
        scene.assert_sound(context);
        scene.assert_all_or_nothing(context);
        scene.assert_next_publish_converges(context);
        run
    });
    println!("killed at {hit} points");
}

#[test]
fn first_publish_by_links_survives_a_kill_at_any_call() {
    let directory = tempfile::tempdir().unwrap();
    kill_everywhere(&Scene::first(directory.path(), &[]));
}

#[test]
fn first_publish_by_pins_survives_a_kill_at_any_call() {
    let directory = tempfile::tempdir().unwrap();
    kill_everywhere(&Scene::first(directory.path(), &["--held-bytes=0"]));
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
fn second_publish_by_pins_survives_a_kill_at_any_call() {
    let directory = tempfile::tempdir().unwrap();
    kill_everywhere(&Scene::second(directory.path(), &["--held-bytes=0"]));
}

#[test]
fn second_publish_by_copies_survives_a_kill_at_any_call() {
    let directory = tempfile::tempdir().unwrap();
    kill_everywhere(&Scene::second(directory.path(), &["--copy"]));
}

#[test]
fn first_publish_to_a_mount_survives_a_kill_at_any_call() {
    let directory = tempfile::tempdir().unwrap();
    kill_everywhere(&Scene::first(directory.path(), &["--remote-fs"]));
}

#[test]
fn second_publish_to_a_mount_survives_a_kill_at_any_call() {
    let directory = tempfile::tempdir().unwrap();
    kill_everywhere(&Scene::second(directory.path(), &["--remote-fs"]));
}

#[test]
fn repository_whose_making_was_cut_short_twice_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::first(directory.path(), &[]);
    let points = points(&scene);
    let place = |mark: &str| points.iter().position(|call| call.text.contains(mark)).unwrap();
    let (config, objects) = (place("\"config\""), place("\"objects\""));
    for first in [config + 1, objects] {
        let mut hit = 0;
        for second in &points[..=objects] {
            scene.reset();
            let run = run_with_fault(&scene.publish(), &points[first].fault(Kind::Kill));
            assert!(run.injected);
            let run = run_with_fault(&scene.publish(), &second.fault(Kind::Kill));
            assert!(run.injected || run.succeeded());
            hit += usize::from(run.injected);
            scene.assert_next_publish_converges(&format!(
                "killed before {} and {second:?}",
                points[first].text
            ));
        }
        // The second makes less anew than the first.
        assert!(hit > 5, "only {hit} of {objects} were hit");
    }
}

/// Refuses a publish each of some calls: it fails and says what failed, or does not need the call; either way whatever
/// a ref names is whole, and the next publish does the rest.
#[track_caller]
fn refuse_everywhere(scene: &Scene, error: &'static str, text: &str, concerned: impl Fn(&Call) -> bool) {
    let points: Vec<_> = points(scene).into_iter().filter(concerned).collect();
    let mut survived = 0;
    let hit = for_each_point(&points, Kind::Error(error), |fault, context| {
        scene.reset();
        let run = run_with_fault(&scene.publish(), fault);
        let said = String::from_utf8_lossy(&run.output.stderr).into_owned();
        let state = scene.assert_sound(context);
        if run.succeeded() {
            assert!(
                !(run.injected && SYNCS.contains(&fault.syscall.as_str())),
                "{context}: taken for synced"
            );
            assert_eq!(state.refs, scene.after.refs, "{context}");
            survived += 1;
        } else {
            assert_eq!(run.output.status.code(), Some(1), "{context}: {said}");
            assert!(said.contains(text), "{context}: the cause is not told: {said}");
            let named = ["target", "source", "standard output"];
            assert!(
                named.iter().any(|name| said.contains(name)),
                "{context}: what failed is not told: {said}"
            );
            let unchanged = state.refs == scene.before.refs;
            assert!(
                unchanged || !said.contains("nothing was published"),
                "{context}: refs moved all the same: {said}"
            );
        }
        scene.assert_all_or_nothing(context);
        scene.assert_next_publish_converges(context);
        run
    });
    println!("{error} at {hit} points, {survived} times without consequence");
}

#[test]
fn first_publish_survives_an_input_output_error_at_any_call() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::first(directory.path(), &["--copy"]);
    refuse_everywhere(&scene, "EIO", "Input/output error", |_| true);
}

#[test]
fn second_publish_survives_an_input_output_error_at_any_call() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::second(directory.path(), &["--held-bytes=0"]);
    refuse_everywhere(&scene, "EIO", "Input/output error", |_| true);
}

#[test]
fn second_publish_to_a_mount_survives_an_input_output_error_at_any_call() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::second(directory.path(), &["--remote-fs"]);
    refuse_everywhere(&scene, "EIO", "Input/output error", |_| true);
}

#[test]
fn first_publish_survives_a_full_disk_at_any_call() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::first(directory.path(), &[]);
    let fills = |call: &Call| FILLING.contains(&call.syscall.as_str());
    refuse_everywhere(&scene, "ENOSPC", "No space left", fills);
}

#[test]
fn second_publish_survives_a_full_disk_at_any_call() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::second(directory.path(), &["--copy"]);
    let fills = |call: &Call| FILLING.contains(&call.syscall.as_str());
    refuse_everywhere(&scene, "ENOSPC", "No space left", fills);
}

#[test]
fn first_publish_to_a_mount_survives_a_full_disk_at_any_call() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::first(directory.path(), &["--remote-fs"]);
    let fills = |call: &Call| FILLING.contains(&call.syscall.as_str());
    refuse_everywhere(&scene, "ENOSPC", "No space left", fills);
}

#[test]
fn what_was_copied_before_a_kill_is_not_copied_again() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::first(directory.path(), &["--copy"]);
    let points = points(&scene);
    let settling = points.iter().find(|call| call.syscall == "syncfs").unwrap();
    scene.reset();
    let run = run_with_fault(&scene.publish(), &settling.fault(Kind::Kill));
    assert!(run.injected);
    let copies = count_calls(&scene.publish(), &["copy_file_range", "sendfile"]);
    assert!(copies.is_empty(), "{copies:?}");
    scene.assert_converged("resumed");
}

#[test]
fn objects_that_a_killed_publish_left_in_place_are_synced_before_refs_name_them() {
    for (arguments, places) in [(&["--held-bytes=0"][..], "renameat2"), (&[], "linkat")] {
        let directory = tempfile::tempdir().unwrap();
        let scene = Scene::first(directory.path(), arguments);
        let points = points(&scene);
        // The last object is in place; the directories are not synced.
        let last = points.iter().rposition(|call| call.syscall == places).unwrap();
        scene.reset();
        let run = run_with_fault(&scene.publish(), &points[last + 1].fault(Kind::Kill));
        assert!(run.injected);
        let left = State::of(&scene.target());
        assert_eq!(
            (left.objects, left.refs),
            (scene.after.objects.clone(), scene.before.refs.clone())
        );
        let calls = changing_calls(&scene.publish());
        let sync = calls.iter().position(|call| call.syscall == "syncfs");
        let flip = calls.iter().position(|call| call.text.contains("\"flip\""));
        assert!(sync.is_some() && sync < flip, "{calls:#?}");
        scene.assert_converged("resumed");
    }
}

#[test]
fn what_could_not_be_synced_is_not_taken_for_synced_by_the_next_publish() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::first(directory.path(), &["--copy"]);
    let points = points(&scene);
    let sync = points.iter().find(|call| call.syscall == "syncfs").unwrap();
    scene.reset();
    let run = run_with_fault(&scene.publish(), &sync.fault(Kind::Error("EIO")));
    assert!(run.injected && !run.succeeded());
    let copies = count_calls(&scene.publish(), &["copy_file_range", "sendfile"]);
    let objects = u32::try_from(scene.after.objects.len()).unwrap();
    assert!(
        copies.values().sum::<u32>() >= objects,
        "all is copied again: {copies:?}"
    );
    scene.assert_converged("copied again");
}
