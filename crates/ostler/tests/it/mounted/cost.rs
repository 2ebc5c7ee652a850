//! What a publish into a mount costs: calls that reach into it, each of which may be a message to another machine.

use super::Scene;
use ostler_testkit::command::run;
use ostler_testkit::strace::calls_below;

/// Returns how many calls the first publish, one with nothing to do and one of three changed files make.
fn costs(files: u32) -> (usize, usize, usize) {
    let scene = Scene::mounted(files, &[]);
    let mount = scene.path("mount");
    let count = || calls_below(&scene.publish(&[]), &mount).len();
    let full = count();
    // The refs of a second flip replace files, and those of the first make them.
    let _commit = scene.advance("first");
    let _told = run(&mut scene.publish(&[]));
    let nothing = count();
    let _commit = scene.advance("second");
    (full, nothing, count())
}

#[test]
fn increment_costs_what_changed_whatever_the_size_of_the_repository() {
    let (small_full, small_nothing, small) = costs(300);
    let (large_full, large_nothing, large) = costs(3000);
    println!("300 files: {small_full} calls, {small_nothing} with nothing to do, {small} for three files");
    println!("3000 files: {large_full} calls, {large_nothing} with nothing to do, {large} for three files");
    assert_eq!(small_nothing, large_nothing);
    assert!(large_nothing < 80, "{large_nothing}");
    assert!(large.abs_diff(small) <= 20, "{small} became {large}");
    assert!(large < 600, "{large}");
    assert!(
        large_full > 5 * small_full,
        "what is counted depends on what is sent"
    );
}
