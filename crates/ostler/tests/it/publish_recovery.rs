//! What becomes of a publish that ended in the middle of its flip, when somebody next works at the target.

use crate::programs::ostler;
use crate::publish_scene::{Scene, State};
use ostler_testkit::command::{attempt, describe, run};
use ostler_testkit::oracle::assert_refs_complete;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::strace::{Call, Kind, changing_calls, pause_after, run_with_fault};
use std::fs;
use std::process::Command;
use tempfile::TempDir;

/// A second publish, and its calls.
fn scene() -> (TempDir, Scene, Vec<Call>) {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::second(directory.path(), &[]);
    scene.reset();
    let calls = changing_calls(&scene.publish());
    (directory, scene, calls)
}

/// Returns the call that records the intent to flip.
fn intent(calls: &[Call]) -> usize {
    let renames = |call: &Call| call.syscall == "renameat" && call.text.contains("\"intent\"");
    calls.iter().position(renames).unwrap()
}

/// Returns the call that puts the second ref in place, when the first is.
fn second_ref(calls: &[Call]) -> &Call {
    let renames = |call: &&Call| call.syscall == "renameat" && call.text.contains(", \"b\"");
    calls[intent(calls)..].iter().find(renames).unwrap()
}

fn kill_at(scene: &Scene, call: &Call) {
    scene.reset();
    let run = run_with_fault(&scene.publish(), &call.fault(Kind::Kill));
    assert!(run.injected);
}

#[test]
fn any_command_completes_a_flip_that_was_cut_short() {
    let (directory, scene, calls) = scene();
    for arguments in [
        "refs",
        "log os/a",
        "rev-parse os/a",
        "ls os/a",
        "show os/a",
        "summary --view",
        "fsck",
        "config get core.mode",
        "diff os/a os/b",
        "checkout os/a checked-out",
        "commit --branch=own tree",
        "refs --create=another os/a",
        "pull-local source os/b",
        "publish --dry-run elsewhere",
    ] {
        kill_at(&scene, second_ref(&calls));
        let half = State::of(&scene.target()).refs;
        assert!(half != scene.before.refs && half != scene.after.refs, "{half:?}");
        let mut command = ostler(directory.path());
        command.arg("--repo=target").args(arguments.split(' '));
        let output = attempt(&mut command);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("completed a change of"),
            "{}",
            describe(&command, &output)
        );
        let state = State::of(&scene.target());
        for (name, commit) in &scene.after.refs {
            assert_eq!(state.refs.get(name), Some(commit), "{arguments}: {name}");
        }
        assert_eq!(state.refs.get("os/gone"), None, "{arguments}");
        assert_refs_complete(&scene.target());
    }
}

#[test]
fn flip_whose_commits_a_prune_took_is_given_up() {
    let (directory, scene, calls) = scene();
    // Whether nothing or the first ref has moved.
    for call in [&calls[intent(&calls) + 1], second_ref(&calls)] {
        kill_at(&scene, call);
        let half = State::of(&scene.target());
        StockRepo::open(&scene.target()).run(&["prune", "--refs-only"]);
        let mut refs = ostler(directory.path());
        let output = attempt(refs.args(["--repo=target", "refs"]));
        assert!(output.status.success(), "{}", describe(&refs, &output));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("it is dropped"), "{said}");
        let state = scene.assert_sound(&call.text);
        assert_eq!(
            (state.refs, state.summary),
            (half.refs, half.summary),
            "{}",
            call.text
        );
        assert_refs_complete(&scene.target());
        scene.assert_next_publish_converges(&call.text);
    }
}

#[test]
fn flip_that_is_being_made_is_left_to_the_publisher() {
    let (directory, scene, calls) = scene();
    scene.reset();
    let intent = &calls[intent(&calls)];
    let paused = pause_after(&scene.publish(), &intent.syscall, intent.nth);
    let mut refs = ostler(directory.path());
    let printed = run(refs.args(["--repo=target", "refs"]));
    assert!(
        printed.contains("os/gone"),
        "nothing is changed for him: {printed}"
    );
    assert!(paused.resume().status.success());
    scene.assert_converged("resumed");
}

#[test]
fn ref_that_changes_in_the_middle_of_a_flip_is_neither_overwritten_nor_passed_over() {
    let (_directory, scene, calls) = scene();
    scene.reset();
    let intent = &calls[intent(&calls)];
    let paused = pause_after(&scene.publish(), &intent.syscall, intent.nth);
    // As `ostree refs` does: without any lock.
    let theirs = &scene.before.refs["os/a"];
    fs::write(scene.target().join("refs/heads/os/b"), format!("{theirs}\n")).unwrap();
    let output = paused.resume();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("os/b was changed by another program"), "{said}");
    assert!(!said.contains("nothing was published"), "{said}");
    let state = scene.assert_sound("changed");
    assert_eq!(&state.refs["os/b"], theirs);
    assert_eq!(state.refs["os/a"], scene.after.refs["os/a"]);
}

#[test]
fn dead_publishers_lock_is_nobodys() {
    let (_directory, scene, calls) = scene();
    kill_at(&scene, &calls[intent(&calls) - 1]);
    assert!(scene.target().join("extensions/ostler/lock").exists());
    let mut publish: Command = scene.publish();
    publish.arg("--json");
    let printed = run(&mut publish);
    assert!(!printed.contains("again"), "{printed}");
    scene.assert_converged("after death");
}
