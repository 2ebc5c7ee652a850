//! How much a push may bring, by the rules of the receiver: more is refused while it comes, and leaves nothing.

use super::required::rules;
use super::scene::{Scene, Updates};
use ostler_testkit::random::Random;
use ostler_testkit::tree::Tree;
use ostler_transfer::TransferError;
use std::fs;

/// Pushes everything by rules, and returns why that is too much.
#[track_caller]
fn refused(scene: &Scene, more: &str) -> String {
    let ended = scene.push_by(&rules(more), "tester", &scene.all(), |options| options);
    let error = ended.received.unwrap_err();
    assert!(matches!(error, TransferError::TooMuch { .. }), "{error}");
    let told = ended.pushed.unwrap_err();
    assert!(
        matches!(&told, TransferError::Peer(text) if *text == error.to_string()),
        "{told}"
    );
    scene.assert_has(&Updates::new());
    assert_eq!(scene.quarantined(), Vec::<String>::new());
    error.to_string()
}

#[track_caller]
fn accepted(scene: &Scene, more: &str) {
    let ended = scene.push_by(&rules(more), "tester", &scene.all(), |options| options);
    ended.received.unwrap();
    scene.assert_has(&scene.all());
}

#[test]
fn content_is_refused_at_its_limit_as_it_is_sent_and_before_it_inflates() {
    let scene = Scene::new();
    let tree = Tree::at(&scene.source.tree());
    // Twenty kilobytes on their way, and twenty megabytes then.
    tree.file("bomb", vec![0; 20 << 20], 0o644);
    scene.source.commit("os/a");
    let limit = "[[require]]\nrefs = 'os/*'\nmax-object = '1M'\n";
    let told = refused(&scene, limit);
    assert!(
        told.contains("more than 1048576 bytes: max-object for 'os/a'"),
        "{told}"
    );
    let noise = Random::new(1).bytes(3 << 20);
    tree.file("bomb", &noise, 0o644);
    scene.source.commit("os/a");
    let ended = scene.push_by(&rules(limit), "tester", &scene.all(), |options| options);
    assert!(matches!(ended.received, Err(TransferError::TooMuch { .. })));
    assert!(ended.bytes < 3 << 20, "{}", ended.bytes);
    accepted(&scene, "[[require]]\nrefs = 'os/*'\nmax-object = '20M'\n");
}

#[test]
fn a_push_and_a_commit_are_refused_at_their_limits() {
    let scene = Scene::new();
    let tree = Tree::at(&scene.source.tree());
    for number in 0..4 {
        let noise = Random::new(number).bytes(1 << 20);
        tree.file(&format!("noise{number}"), &noise, 0o644);
    }
    scene.source.commit("os/a");
    let told = refused(&scene, "[[require]]\nrefs = 'os/a'\nmax-push = '2M'\n");
    assert!(
        told.contains("this push has more than 2097152 bytes: max-push for 'os/a'"),
        "{told}"
    );
    // Of two commits that share what they have, either alone has too much.
    let told = refused(&scene, "[[require]]\nrefs = '**'\nmax-commit = '4M'\n");
    assert!(told.contains("max-commit for 'os/a'"), "{told}");
    accepted(
        &scene,
        "[[require]]\nrefs = '**'\nmax-commit = '5M'\nmax-push = '5M'\n",
    );
}

#[test]
fn entries_and_depth_are_limited() {
    let scene = Scene::new();
    let tree = Tree::at(&scene.source.tree());
    tree.dir("1", 0o755)
        .dir("1/2", 0o755)
        .dir("1/2/3", 0o755)
        .dir("1/2/3/4", 0o755);
    for number in 0..100 {
        tree.file(&format!("1/{number}f"), number.to_string(), 0o644);
    }
    scene.source.commit("os/a");
    let told = refused(&scene, "[[require]]\nrefs = '**'\nmax-entries = 99\n");
    assert!(told.contains("more than 99 entries"), "{told}");
    let told = refused(&scene, "[[require]]\nrefs = 'os/b'\nmax-depth = 3\n");
    assert!(
        told.contains("more than 3 levels of directories: max-depth for 'os/b'"),
        "{told}"
    );
    accepted(
        &scene,
        "[[require]]\nrefs = '**'\nmax-entries = 1000\nmax-depth = 4\n",
    );
}

#[test]
fn what_waits_is_limited_and_what_nobody_comes_back_for_makes_room() {
    let scene = Scene::new();
    for seed in 1..3 {
        let noise = Random::new(seed).bytes(1 << 20);
        Tree::at(&scene.source.tree()).file(&format!("noise{seed}"), noise, 0o644);
    }
    scene.source.commit("os/a");
    let told = refused(&scene, "[quarantine]\nmax-each = '1M'\n");
    assert!(told.contains("max-each of [quarantine]"), "{told}");
    let told = refused(&scene, "[quarantine]\nmax = '1M'\n");
    assert!(told.contains("max of [quarantine]"), "{told}");

    // Another pusher leaves a megabyte behind.
    let most = "[quarantine]\nmax = '3M'\n";
    let cut = (1_600_000, u64::MAX);
    let ended = scene.push_cut(&rules(most), "other", &scene.all(), |options| options, cut);
    assert!(ended.received.is_err());
    assert!(scene.quarantined().iter().any(|name| name.starts_with("other~")));
    accepted(&scene, most);
    assert!(!scene.quarantined().iter().any(|name| name.starts_with("other~")));
}

#[test]
fn space_that_is_to_stay_free_stays_free() {
    let scene = Scene::new();
    let rules = rules("[quarantine]\nmin-free = '900000T'\n");
    let ended = scene.push_by(&rules, "tester", &scene.all(), |options| options);
    assert!(matches!(ended.received, Err(TransferError::NoSpace { .. })));
    scene.assert_has(&Updates::new());
    assert!(
        fs::read_dir(scene.target().join("extensions/ostler/incoming"))
            .unwrap()
            .next()
            .is_none()
    );
}
