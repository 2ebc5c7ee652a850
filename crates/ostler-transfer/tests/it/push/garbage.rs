//! Honest sessions of which a byte is changed, or that end there: whatever an end makes of that, it does not hang or panic, and the
//! repository is as it was or as it was to be.

use super::scene::{Bent, Scene};
use ostler_testkit::stock::StockRepo;
use ostler_transfer::push::Fate;

/// How many places are tried in each direction: coprime to the lengths of messages, so that every field of them has its turn.
const PLACES: u64 = 60;

/// A scene with little to push, and the bytes of a whole session in each direction.
fn scene() -> (Scene, u64, u64) {
    let scene = Scene::new();
    let ended = scene.push_bent(Bent::default());
    ended.received.unwrap();
    ended.pushed.unwrap();
    let (to_target, to_source) = ended.lengths;
    assert!(to_target > 500 && to_source > 200, "{to_target}, {to_source}");
    (scene, to_target, to_source)
}

/// Returns places all over so many bytes: all of the first, which are greetings and offers, in steps.
fn places(length: u64) -> impl Iterator<Item = u64> {
    let step = (length / PLACES).max(1) | 1;
    (0..length).step_by(usize::try_from(step).unwrap())
}

/// Looks at what a session left, and makes the repository as it was.
fn look_and_reset(scene: &Scene, accepted: bool, context: &str) {
    let refs = scene.target.refs();
    assert!(refs.is_empty() || refs == ["os/a", "os/b"], "{context}: {refs:?}");
    if accepted {
        assert_eq!(refs.len(), 2, "{context}: told what is not so");
    }
    assert!(scene.quarantined().len() <= 1, "{context}");
    if refs.is_empty() {
        return;
    }
    scene.assert_has(&scene.all());
    reset(scene);
}

fn reset(scene: &Scene) {
    std::fs::remove_dir_all(scene.target()).unwrap();
    let target = StockRepo::init(&scene.target(), "archive");
    target.run(&["config", "set", "core.fsync", "false"]);
}

#[test]
fn any_byte_from_the_pusher_may_be_wrong() {
    let (scene, length, _) = scene();
    reset(&scene);
    for (number, place) in places(length).enumerate() {
        let mask = [0x01, 0x80, 0xff][number % 3];
        let ended = scene.push_bent(Bent {
            to_target: Some((place, mask)),
            ..Bent::default()
        });
        let context = format!("byte {place} of {length} by {mask:#x}");
        let is_accepted = |fate: &Fate| *fate == Fate::Accepted;
        let accepted = ended
            .pushed
            .is_ok_and(|pushed| pushed.refs.iter().all(|pushed| is_accepted(&pushed.fate)));
        look_and_reset(&scene, accepted, &context);
    }
    scene.push_all();
    scene.assert_has(&scene.all());
}

#[test]
fn any_byte_from_the_far_end_may_be_wrong() {
    let (scene, _, length) = scene();
    reset(&scene);
    for (number, place) in places(length).enumerate() {
        let mask = [0x01, 0x80, 0xff][number % 3];
        let ended = scene.push_bent(Bent {
            to_source: Some((place, mask)),
            ..Bent::default()
        });
        // What the far end says may be changed to what it did not say, so that only the repository tells.
        drop(ended.pushed);
        look_and_reset(&scene, false, &format!("byte {place} of {length} by {mask:#x}"));
    }
    scene.push_all();
    scene.assert_has(&scene.all());
}
