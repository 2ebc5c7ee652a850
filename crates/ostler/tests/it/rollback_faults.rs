//! A rollback, and a pin, killed at every single call by which they change something on the disk.

use crate::programs::ostler;
use crate::publish_scene::{State, advance, copy_tree, make_source};
use ostler_testkit::command::run;
use ostler_testkit::oracle::{assert_refs_complete, strays};
use ostler_testkit::strace::{Kind, changing_calls, for_each_point, run_with_fault};
use std::fs;
use std::path::Path;
use std::process::Command;

fn publish(directory: &Path, options: &[&str]) {
    let _printed = run(ostler(directory)
        .args(["--repo=source", "publish", "before"])
        .args(options));
}

/// Makes `before`, a target with two generations, and returns what each left.
fn stage(directory: &Path) -> (State, State) {
    let source = make_source(directory);
    source.run(&["refs", "--create=os/gone", "os/a"]);
    publish(directory, &[]);
    let first = State::of(&directory.join("before"));
    advance(&source, directory);
    source.run(&["refs", "--delete", "os/gone"]);
    publish(directory, &["--delete-refs"]);
    (first, State::of(&directory.join("before")))
}

fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = ostler(directory);
    command.args(arguments);
    command
}

/// Kills the command everywhere, calls `check` after each, then runs it again and calls `done`.
fn kill_everywhere(directory: &Path, arguments: &[&str], check: impl Fn(&str), done: impl Fn(&str)) {
    let target = directory.join("target");
    let reset = || {
        if target.exists() {
            fs::remove_dir_all(&target).unwrap();
        }
        copy_tree(&directory.join("before"), &target);
    };
    reset();
    let points = changing_calls(&command(directory, arguments));
    assert!(points.len() > 10, "only {} points", points.len());
    let hit = for_each_point(&points, Kind::Kill, |fault, context| {
        reset();
        let killed = run_with_fault(&command(directory, arguments), fault);
        check(context);
        // Whichever command comes next does the rest, or nothing of it was done.
        let _printed = run(&mut command(directory, &["--repo=target", "refs"]));
        check(context);
        let _printed = run(&mut command(directory, arguments));
        done(context);
        assert_eq!(strays(&target), Vec::<String>::new(), "{context}");
        killed
    });
    println!("killed at {hit} points");
}

#[test]
fn a_rollback_survives_a_kill_at_any_call() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = stage(directory.path());
    let target = directory.path().join("target");
    let known = |name: &str, commit: &String| {
        [&first, &second]
            .iter()
            .any(|state| state.refs.get(name) == Some(commit))
    };
    kill_everywhere(
        directory.path(),
        &["rollback", "target", "1"],
        |context| {
            let now = State::of(&target);
            assert!(
                now.refs.iter().all(|(name, commit)| known(name, commit)),
                "{context}"
            );
            if !target.join("extensions/ostler/flip/intent").exists() {
                let whole = [&first, &second].iter().any(|state| state.refs == now.refs);
                assert!(whole, "{context}: neither old nor new: {:?}", now.refs);
                assert_eq!(now.refs, now.summary, "{context}");
            }
        },
        |context| {
            let now = State::of(&target);
            assert_eq!(
                (&now.refs, &now.summary),
                (&first.refs, &first.summary),
                "{context}"
            );
            assert_refs_complete(&target);
        },
    );
}

#[test]
fn a_pin_survives_a_kill_at_any_call() {
    let directory = tempfile::tempdir().unwrap();
    let (_, second) = stage(directory.path());
    let _printed = run(&mut command(directory.path(), &["rollback", "before"]));
    let target = directory.path().join("target");
    let pinned = || target.join("extensions/ostler/generations/00000002.pin").exists();
    let retired = || {
        let list = fs::read_to_string(target.join("extensions/ostler/retired.json")).unwrap_or_default();
        second.refs.values().any(|commit| list.contains(commit.as_str()))
    };
    kill_everywhere(
        directory.path(),
        &["history", "target", "--pin=2"],
        |context| {
            if !target.join("extensions/ostler/flip/intent").exists() {
                assert_ne!(pinned(), retired(), "{context}");
            }
        },
        |context| assert!(pinned() && !retired(), "{context}"),
    );
}
