//! A mount whose other end is gone, before or in the middle of a publish.

use super::Scene;
use ostler_testkit::command::{attempt, run};
use ostler_testkit::oracle::strays;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::strace::pause_after;
use std::process::Output;

#[track_caller]
fn assert_told(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("mount it again, and run the same command"),
        "{said}"
    );
}

/// Cuts the mount when a publish stands still after its nth call of a kind, and publishes again through another one.
fn cut_after(syscall: &str, nth: u32) {
    let mut scene = Scene::mounted(60, &[]);
    let _told = run(&mut scene.publish(&[]));
    let before = scene.source().rev_parse("main");
    let after = scene.advance("second");
    let paused = pause_after(&scene.publish(&["--jobs=1"]), syscall, nth);
    scene.cut();
    let output = paused.resume();
    assert_told(&output);
    let target = StockRepo::open(&scene.target());
    let named = target.rev_parse("main");
    assert!([&before, &after].contains(&&named), "{named}");
    target.fsck();
    assert_told(&attempt(&mut scene.publish(&[])));
    scene.mounts.clear();
    scene.mount("mount", &[]);
    let _told = run(&mut scene.publish(&[]));
    assert_eq!(target.rev_parse("main"), after);
    target.fsck();
    assert_eq!(strays(&scene.target()), Vec::<String>::new());
    assert!(!scene.target().join("extensions/ostler/lease").exists());
}

#[test]
fn mount_that_drops_while_objects_are_sent_is_told_and_the_next_publish_goes_on() {
    cut_after("fsync", 3);
}

#[test]
fn mount_that_drops_while_objects_get_their_places_is_told_and_the_next_publish_goes_on() {
    cut_after("renameat", 3);
}

#[test]
fn mount_that_drops_in_the_middle_of_a_flip_is_told_and_the_next_publish_goes_on() {
    cut_after("renameat", 18);
}

#[test]
fn what_a_dead_run_left_goes_also_when_there_is_nothing_more_to_publish() {
    let scene = Scene::mounted(60, &[]);
    let _told = run(&mut scene.publish(&[]));
    let before = scene.source().rev_parse("main");
    let _commit = scene.advance("second");
    drop(pause_after(&scene.publish(&["--jobs=1"]), "fsync", 3));
    assert!(scene.target().join("tmp/ostler-mounted").exists());
    assert!(scene.target().join("extensions/ostler/lease").exists());
    scene.source().run(&["reset", "main", &before]);
    let told = run(&mut scene.publish(&[]));
    assert!(told.contains("is up to date"), "{told}");
    assert_eq!(strays(&scene.target()), Vec::<String>::new());
    assert!(!scene.target().join("extensions/ostler/lease").exists());
}
