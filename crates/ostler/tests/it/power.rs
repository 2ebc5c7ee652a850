//! A power cut in the middle of what removes, moves or mends: sweep, prune, rollback, repair.
//!
//! The repositories lie on a file system of their own. The command is killed at a call, and what had reached the disk by then is
//! looked at in a copy of it: at every call that syncs, and (where there are many) at every third of the others by which something
//! changes. What is left when all that was done by then has reached the disk is seen by the tests that only kill.

use crate::programs::ostler;
use crate::publish_scene::{State, advance, copy_tree, make_source};
use ostler_testkit::command::run;
use ostler_testkit::disk::Disk;
use ostler_testkit::oracle::{assert_refs_complete, strays};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::strace::{Call, Kind, changing_calls, for_each_point, on_one_processor, run_with_fault};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Returns the command, on one processor: several threads would share the calls in another way each time.
fn called(directory: &Path, line: &str) -> Command {
    let mut command = ostler(directory);
    command.args(line.split(' '));
    on_one_processor(&command)
}

fn done(directory: &Path, line: &str) {
    let _printed = run(&mut called(directory, line));
}

/// Returns the calls at which the power is cut: all, where they are few.
fn chosen(calls: Vec<Call>) -> Vec<Call> {
    let step = if calls.len() < 30 { 1 } else { 3 };
    let numbered = calls.into_iter().enumerate();
    let chosen = numbered.filter(|(number, call)| number % step == 0 || call.syscall.contains("sync"));
    chosen.map(|(_, call)| call).collect()
}

/// Makes `target` a copy of `before`, runs the command, and cuts the power: at each point. Calls `check` with what is left, and again, with
/// `true`, when the command was run again there.
fn cut_everywhere(disk: &Disk, line: &str, check: impl Fn(&Path, bool, &str)) {
    let root = disk.path();
    let target = root.join("target");
    let reset = || {
        if target.exists() {
            fs::remove_dir_all(&target).unwrap();
        }
        copy_tree(&root.join("before"), &target);
    };
    reset();
    let points = chosen(changing_calls(&called(&root, line)));
    assert!(points.len() > 5, "{points:?}");
    let hit = for_each_point(&points, Kind::Kill, |fault, context| {
        reset();
        disk.sync();
        let killed = run_with_fault(&called(&root, line), fault);
        let after = disk.snapshot();
        let left = after.path();
        check(&left, false, context);
        done(&left, line);
        check(&left, true, context);
        assert_eq!(strays(&left.join("target")), Vec::<String>::new(), "{context}");
        killed
    });
    println!("cut at {hit} points");
}

/// Asserts by stock's word that every commit that is there is whole.
#[track_caller]
fn assert_sound(repo: &Path, context: &str) {
    let checked = StockRepo::open(repo).attempt(&["fsck", "-q"]);
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{context}: {said}");
}

fn commits(repo: &Path) -> usize {
    let objects = State::of(repo).objects;
    objects.keys().filter(|path| path.ends_with(".commit")).count()
}

#[test]
fn a_sweep_survives_a_power_cut_at_any_time() {
    let disk = Disk::create(32);
    let root = disk.path();
    let source = make_source(&root);
    done(&root, "--repo=source publish before --copy");
    advance(&source, &root);
    done(&root, "--repo=source publish before --copy --depth=0");
    let whole = commits(&root.join("before"));
    cut_everywhere(
        &disk,
        "sweep target --grace=0 --jobs=1",
        |left, again, context| {
            let target = left.join("target");
            assert_sound(&target, context);
            assert_refs_complete(&target);
            assert!(!again || commits(&target) < whole, "{context}");
        },
    );
}

#[test]
fn a_prune_survives_a_power_cut_at_any_time() {
    let disk = Disk::create(32);
    let root = disk.path();
    let source = make_source(&root);
    advance(&source, &root);
    copy_tree(&root.join("source"), &root.join("before"));
    let whole = commits(&root.join("before"));
    let line = "--repo=target prune --refs-only --depth=0";
    cut_everywhere(&disk, line, |left, again, context| {
        let target = left.join("target");
        assert_sound(&target, context);
        assert_refs_complete(&target);
        assert!(!again || commits(&target) < whole, "{context}");
    });
}

#[test]
fn a_rollback_survives_a_power_cut_at_any_time() {
    let disk = Disk::create(32);
    let root = disk.path();
    let source = make_source(&root);
    done(&root, "--repo=source publish before --copy");
    let first = State::of(&root.join("before"));
    advance(&source, &root);
    done(&root, "--repo=source publish before --copy");
    let second = State::of(&root.join("before"));
    cut_everywhere(&disk, "rollback target 1", |left, again, context| {
        let target = left.join("target");
        // Whichever command comes next does the rest, or nothing of it was done.
        done(left, "--repo=target refs");
        let now = State::of(&target);
        assert_eq!(now.refs, now.summary, "{context}");
        let whole = now.refs == first.refs || (!again && now.refs == second.refs);
        assert!(whole, "{context}: {:?}", now.refs);
        assert_refs_complete(&target);
    });
}

#[test]
fn a_repair_survives_a_power_cut_at_any_time() {
    let disk = Disk::create(32);
    let root = disk.path();
    let _source = make_source(&root);
    copy_tree(&root.join("source"), &root.join("before"));
    let sound = State::of(&root.join("source")).objects;
    for (number, path) in sound.keys().enumerate() {
        let object = root.join("before/objects").join(path);
        match number % 3 {
            0 => fs::remove_file(object).unwrap(),
            1 => fs::write(object, "damaged").unwrap(),
            _ => {}
        }
    }
    let damaged = State::of(&root.join("before")).objects;
    cut_everywhere(
        &disk,
        "--repo=target repair --from=source",
        |left, again, context| {
            let target = left.join("target");
            for (path, bytes) in State::of(&target).objects {
                let known = sound.get(&path) == Some(&bytes) || damaged.get(&path) == Some(&bytes);
                assert!(known, "{context}: {path}");
            }
            if again {
                assert_sound(&target, context);
                assert_refs_complete(&target);
            }
        },
    );
}
