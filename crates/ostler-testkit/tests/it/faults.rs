//! Faults hit the call they are meant for, and the loop ends.

use ostler_testkit::command::command;
use ostler_testkit::strace::{
    CHANGING, Call, Fault, Kind, changing_calls, count_calls, for_each_fault, for_each_point, run_with_fault,
};
use std::fs;
use std::process::Command;
use tempfile::TempDir;

/// Moves `from` to `to` within a directory: one rename.
fn move_in(directory: &TempDir) -> Command {
    let mut program = command("mv");
    program.args(["from", "to"]).current_dir(directory.path());
    program
}

fn directory_with_file() -> TempDir {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("from"), "text").unwrap();
    directory
}

#[test]
fn killed_program_has_not_made_the_call() {
    let directory = directory_with_file();
    let fault = Fault {
        syscall: "renameat2".to_owned(),
        kind: Kind::Kill,
        nth: 1,
    };
    let run = run_with_fault(&move_in(&directory), &fault);
    assert!(run.injected && !run.succeeded());
    assert!(directory.path().join("from").exists());
    assert!(!directory.path().join("to").exists());
}

#[test]
fn refused_program_sees_the_error() {
    let directory = directory_with_file();
    let fault = Fault {
        syscall: "renameat2".to_owned(),
        kind: Kind::Error("EIO"),
        nth: 1,
    };
    let run = run_with_fault(&move_in(&directory), &fault);
    assert!(run.injected && !run.succeeded());
    assert!(String::from_utf8_lossy(&run.output.stderr).contains("Input/output error"));
}

#[test]
fn fault_beyond_the_last_call_is_not_injected() {
    let directory = directory_with_file();
    let fault = Fault {
        syscall: "renameat2".to_owned(),
        kind: Kind::Kill,
        nth: 2,
    };
    let run = run_with_fault(&move_in(&directory), &fault);
    assert!(!run.injected && run.succeeded());
    assert!(directory.path().join("to").exists());
}

#[test]
fn loop_hits_as_many_calls_as_were_counted() {
    let counted = count_calls(&move_in(&directory_with_file()), CHANGING);
    assert_eq!(counted.get("renameat2"), Some(&1));
    let openat = counted["openat"];
    assert!(openat > 1);
    for kind in [Kind::Kill, Kind::Error("EIO")] {
        let hit = for_each_fault("renameat2", kind, 10, |fault| {
            run_with_fault(&move_in(&directory_with_file()), fault)
        });
        assert_eq!(hit, 1);
    }
    let hit = for_each_fault("openat", Kind::Kill, 100, |fault| {
        run_with_fault(&move_in(&directory_with_file()), fault)
    });
    assert_eq!(hit, openat);
}

fn hit_at(points: &[Call]) -> usize {
    for_each_point(points, Kind::Kill, |fault, _| {
        run_with_fault(&move_in(&directory_with_file()), fault)
    })
}

#[test]
fn all_points_are_hit() {
    let points = changing_calls(&move_in(&directory_with_file()));
    assert!(!points.is_empty());
    assert_eq!(hit_at(&points), points.len());
}

#[test]
#[should_panic(expected = "1 of 1 points were not hit")]
fn points_that_are_not_hit_fail_the_test() {
    let points = changing_calls(&move_in(&directory_with_file()));
    let renamed = points.into_iter().find(|call| call.syscall == "renameat2");
    let mut point = renamed.unwrap();
    point.nth += 1;
    hit_at(&[point]);
}
