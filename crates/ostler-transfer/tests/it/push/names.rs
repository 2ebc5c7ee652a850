//! Names of refs that lead elsewhere, and those of which one is the directory of another.

use super::peer::{bytes_of, update};
use super::scene::{Scene, Updates};
use ostler_format::wire::{Hello, Message};
use ostler_format::{Checksum, RefName};
use ostler_transfer::TransferError;
use ostler_transfer::push::Fate;

/// Returns an offer of a name that no honest pusher could write.
fn offer_of(name: &[u8]) -> Vec<u8> {
    let placeholder = "p".repeat(name.len().clamp(1, 200));
    let mut bytes = bytes_of(&[update(&placeholder, None, Checksum::of(b"x"))]);
    // Behind the header of five bytes, two flags and the length of the name.
    let (start, old) = (9, placeholder.len());
    bytes.splice(start..start + old, name.iter().copied());
    bytes[7..9].copy_from_slice(&u16::try_from(name.len()).unwrap().to_be_bytes());
    let payload = u32::try_from(bytes.len() - 5).unwrap();
    bytes[1..5].copy_from_slice(&payload.to_be_bytes());
    bytes
}

fn received(scene: &Scene, offer: &[u8]) -> TransferError {
    let (received, _rest) = scene.receive_by(|mut pusher| {
        pusher.send(&Message::Hello(Hello::ours("test", "")));
        pusher.send_bytes(offer);
        pusher.send(&Message::Offered);
        pusher.close();
        pusher.rest()
    });
    received.expect_err("no such ref is made")
}

#[test]
fn refs_that_escape_are_refused_and_nothing_is_written_anywhere() {
    let scene = Scene::new();
    let long = vec![b'x'; 5000];
    // One that is right gets further: it is asked for its commit.
    let offer = bytes_of(&[update("right/name", None, Checksum::of(b"x"))]);
    assert_eq!(offer_of(b"right/name"), offer);
    for name in [
        &b"../x"[..],
        b"../../../../../../../../tmp/ostler-escaped",
        b"/tmp/ostler-escaped",
        b"a/../../../x",
        b"a//b",
        b"a/",
        b"/",
        b"",
        b".",
        b"..",
        b"a/./b",
        b"a\0b",
        b"a\nb",
        b"\xff\xfe",
        b"heads/../../config",
        b"origin:x",
        &long,
    ] {
        let shown = String::from_utf8_lossy(&name[..name.len().min(20)]).into_owned();
        let error = received(&scene, &offer_of(name));
        assert!(matches!(error, TransferError::Protocol(_)), "{shown}: {error}");
        scene.assert_has(&Updates::new());
        assert_eq!(scene.quarantined(), Vec::<String>::new(), "{shown}");
    }
    assert!(!std::path::Path::new("/tmp/ostler-escaped").exists());
}

#[test]
fn a_ref_and_one_below_it_cannot_both_be_and_the_pusher_is_told() {
    let scene = Scene::new();
    let commit: Checksum = scene.source.stock.rev_parse("os/a").parse().unwrap();
    let named = |name: &str| -> RefName { name.parse().unwrap() };
    let both = Updates::from([(named("x"), Some(commit)), (named("x/y"), Some(commit))]);
    let one = Updates::from([(named("x"), Some(commit))]);
    let below = Updates::from([(named("x/y/z"), Some(commit))]);
    let ended = scene.push(&both);
    assert!(ended.pushed.map_or(true, |pushed| pushed.is_refused()));
    scene.assert_has(&Updates::new());
    scene.push(&one).pushed.unwrap();
    let ended = scene.push(&below);
    match ended.pushed {
        Ok(pushed) => assert!(
            matches!(&pushed.refs[0].fate, Fate::Refused(why) if !why.is_empty()),
            "{pushed:?}"
        ),
        Err(error) => assert!(error.to_string().contains('x'), "{error}"),
    }
    scene.assert_has(&one);
    // In one push the one may take the place of the other.
    let instead = Updates::from([(named("x"), None), (named("x/y"), Some(commit))]);
    let ended = scene.push(&instead);
    if ended.pushed.is_ok_and(|pushed| !pushed.is_refused()) {
        scene.assert_has(&Updates::from([(named("x/y"), Some(commit))]));
    } else {
        scene.assert_has(&one);
    }
}
