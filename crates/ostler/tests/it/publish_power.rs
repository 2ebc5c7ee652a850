//! A power cut: after a publish that ended with 0, and in the middle of one.
//!
//! The repositories lie on an ext4 file system of their own; what a cut leaves is seen in a copy of its disk, mounted
//! elsewhere.

use crate::programs::ostler;
use crate::publish_scene::{Scene, State, advance, make_source};
use ostler_testkit::command::run;
use ostler_testkit::disk::Disk;
use ostler_testkit::oracle::assert_refs_complete;
use ostler_testkit::strace::{Kind, changing_calls, for_each_point, run_with_fault};
use std::fs;

/// Publishes several times from a source that nobody synced, on the same disk, and cuts the power after each.
fn published_is_durable(options: &[&str]) {
    let disk = Disk::create(32);
    let root = disk.path();
    let source = make_source(&root);
    for round in 1..=5 {
        let publish = ["--repo=source", "publish", "target", "--jobs=1"];
        let _printed = run(ostler(&root).args(publish).args(options));
        let after = disk.snapshot();
        let left = after.path().join("target");
        assert_eq!(State::of(&left), State::of(&root.join("target")), "round {round}");
        assert_refs_complete(&left);
        let text = format!("round {round}");
        fs::write(root.join("tree/round"), text).unwrap();
        advance(&source, &root);
    }
}

#[test]
fn what_was_published_by_links_survives_a_power_cut() {
    published_is_durable(&[]);
}

#[test]
fn what_was_published_by_copies_survives_a_power_cut() {
    published_is_durable(&["--copy"]);
}

/// Kills a publish and cuts the power at the same instant, from the first sync on: before, nothing is under a name
/// that anybody reads. Every third point: mounting takes its time, and a cut often leaves the same as one a call later.
fn cut_in_the_middle(scene: &Scene, disk: &Disk, offset: usize) {
    scene.reset();
    let calls = changing_calls(&scene.publish());
    let first_sync = calls.iter().position(|call| call.syscall == "syncfs").unwrap();
    let points: Vec<_> = calls.into_iter().skip(first_sync + offset).step_by(3).collect();
    let hit = for_each_point(&points, Kind::Kill, |fault, context| {
        scene.reset();
        disk.sync();
        let run = run_with_fault(&scene.publish(), fault);
        let left = disk.snapshot();
        let scene = scene.copied_to(&left.path());
        scene.assert_sound(context);
        scene.assert_all_or_nothing(context);
        scene.assert_next_publish_converges(context);
        run
    });
    println!("cut at {hit} points");
}

#[test]
fn first_publish_survives_a_power_cut_at_any_time() {
    let disk = Disk::create(32);
    cut_in_the_middle(&Scene::first(&disk.path(), &[]), &disk, 0);
}

#[test]
fn second_publish_survives_a_power_cut_at_any_time() {
    let disk = Disk::create(32);
    cut_in_the_middle(&Scene::second(&disk.path(), &["--copy"]), &disk, 1);
}
