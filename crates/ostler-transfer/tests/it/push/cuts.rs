//! Connections that break: the target stays whole, and the next push sends only the rest.

use super::scene::{Scene, Updates, everything};
use crate::fixture::{DAY, NOW};
use ostler_testkit::random::Random;
use ostler_testkit::tree::Tree;

/// A scene with enough content that what is sent again shows.
fn scene() -> Scene {
    let scene = Scene::new();
    let tree = Tree::at(&scene.source.tree());
    for number in 0..40_u8 {
        let bytes = Random::new(u64::from(number)).bytes(20_000);
        tree.file(&format!("dir{}/file{number}", number % 4), bytes, 0o644);
    }
    scene.source.commit("os/a");
    scene
}

#[test]
fn whatever_byte_is_the_last_the_target_is_whole_and_a_push_goes_on_where_the_one_before_was_cut() {
    let scene = scene();
    let cut = |limit| {
        let limits = (limit, u64::MAX);
        scene.push_cut(&everything(), "tester", &scene.all(), |options| options, limits)
    };
    let mut bytes = 0;
    let mut limit = 1;
    let last = loop {
        let ended = cut(limit);
        bytes += ended.bytes;
        if ended.pushed.is_ok() {
            break ended;
        }
        assert!(ended.received.is_err(), "{limit}");
        assert_eq!(scene.target.refs(), Vec::<String>::new(), "{limit}");
        assert!(
            scene.quarantined().len() <= 1,
            "one is taken over again and again"
        );
        scene.target.fsck();
        limit += 1 + limit / 2;
    };
    assert!(last.received.is_ok());
    scene.assert_has(&scene.all());
    assert_eq!(scene.quarantined(), Vec::<String>::new());
    // What came whole is not sent again: only what was cut, and the lists of what there is.
    assert!((800_000..1_300_000).contains(&bytes), "{bytes} bytes in all");
}

#[test]
fn second_push_sends_only_the_rest() {
    let scene = scene();
    let limits = (600_000, u64::MAX);
    let ended = scene.push_cut(&everything(), "tester", &scene.all(), |options| options, limits);
    assert!(ended.pushed.is_err());
    assert_eq!(scene.quarantined().len(), 1);
    let ended = scene.push(&scene.all());
    ended.pushed.unwrap();
    assert!(ended.bytes < 300_000, "{} bytes are sent again", ended.bytes);
    scene.assert_has(&scene.all());
    assert_eq!(scene.quarantined(), Vec::<String>::new());
}

#[test]
fn pusher_that_hears_no_more_leaves_the_target_whole() {
    for limit in [0, 30, 200, 1000] {
        let scene = scene();
        let ended = scene.push_cut(
            &everything(),
            "tester",
            &scene.all(),
            |options| options,
            (u64::MAX, limit),
        );
        let refs = scene.target.refs();
        if ended.received.is_err() {
            assert_eq!(refs, Vec::<String>::new(), "{limit}");
        }
        scene.target.fsck();
        scene.push_all();
        scene.assert_has(&scene.all());
        assert_eq!(scene.quarantined(), Vec::<String>::new(), "{limit}");
    }
}

#[test]
fn what_one_pusher_left_is_of_no_use_to_another() {
    let scene = scene();
    let cut = scene.push_cut(
        &everything(),
        "one",
        &scene.all(),
        |options| options,
        (400_000, u64::MAX),
    );
    assert!(cut.pushed.is_err());
    let left = scene.quarantined();
    assert!(left.len() == 1 && left[0].starts_with("one~"), "{left:?}");
    let ended = scene.push_by(&everything(), "other", &scene.all(), |options| options);
    ended.pushed.unwrap();
    assert!(ended.bytes > 800_000, "everything is sent: {}", ended.bytes);
    assert_eq!(scene.quarantined(), left);
    // Whoever left it clears it away with the next push, also one with nothing to do.
    let ended = scene.push_by(&everything(), "one", &scene.all(), |options| options);
    assert_eq!(ended.pushed.unwrap().objects, 0);
    assert_eq!(scene.quarantined(), Vec::<String>::new());
    scene.assert_has(&scene.all());
    assert_ne!(scene.all(), Updates::new());
}

#[test]
fn what_a_pusher_left_for_longer_than_the_repository_says_goes_with_the_next_push_of_anybody() {
    let scene = scene();
    let push = |pusher: &str, limit| {
        let limits = (limit, u64::MAX);
        scene.push_cut(&everything(), pusher, &scene.all(), |options| options, limits)
    };
    assert!(push("one", 400_000).pushed.is_err());
    let left = scene.quarantined();
    assert_eq!(left.len(), 1, "{left:?}");
    let aged = |age: u64| {
        let path = scene.target().join("extensions/ostler/incoming").join(&left[0]);
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(NOW - age);
        let directory = std::fs::File::open(path).unwrap();
        directory.set_modified(time).unwrap();
    };
    aged(DAY - 1000);
    push("other", u64::MAX).pushed.unwrap();
    assert_eq!(scene.quarantined(), left, "somebody may come back for it");
    aged(DAY + 1000);
    push("other", u64::MAX).pushed.unwrap();
    assert_eq!(scene.quarantined(), Vec::<String>::new());
}
