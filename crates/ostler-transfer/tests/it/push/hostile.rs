//! Ends that do not keep to the protocol: each is told, and the repository stays as it was.

use super::scene::{Scene, Updates, receive_from};
use ostler_format::wire::{Batch, Encoding, Hello, Message, Offer, Update};
use ostler_format::{Checksum, ObjectName, ObjectType};
use ostler_transfer::TransferError;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread;

fn bytes_of(messages: &[Message]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        message.write(&mut bytes).unwrap();
    }
    bytes
}

/// Sends bytes to a receiver, and returns what it makes of them.
fn received(scene: &Scene, bytes: &[u8]) -> TransferError {
    let (mut near, far) = UnixStream::pair().unwrap();
    let target = scene.target();
    thread::scope(|scope| {
        let receiver = scope.spawn(move || receive_from(&target, far));
        // A receiver that has seen enough may be gone.
        drop(near.write_all(bytes));
        drop(near.shutdown(Shutdown::Write));
        let mut answer = Vec::new();
        drop(near.read_to_end(&mut answer));
        receiver.join().expect("no panic").unwrap_err()
    })
}

fn update(name: &str, new: Checksum) -> Message {
    Message::Offer(Offer {
        updates: vec![Update {
            name: name.parse().unwrap(),
            old: None,
            new: Some(new),
            force: false,
        }],
        dry_run: false,
        more: false,
    })
}

/// What comes before the objects of a push of one commit.
fn beginning(commit: Checksum) -> Vec<Message> {
    vec![
        Message::Hello(Hello::ours("test", "")),
        update("x", commit),
        Message::Chain {
            commits: vec![commit],
            more: false,
        },
        Message::Offered,
    ]
}

#[test]
fn objects_that_are_not_what_their_names_say_are_refused() {
    let scene = Scene::new();
    let commit = Checksum::of(b"a commit");
    let name = ObjectName::new(commit, ObjectType::Commit);
    let mut other = Vec::new();
    Batch::push(&mut other, &name, b"something else");
    let plain = |body: Vec<u8>| {
        Message::Batch(Batch {
            encoding: Encoding::Plain,
            length: body.len(),
            body,
        })
    };
    let mut unasked = Vec::new();
    Batch::push(
        &mut unasked,
        &ObjectName::new(Checksum::of(b"x"), ObjectType::DirTree),
        b"x",
    );
    for (what, message) in [
        ("another object", plain(other)),
        ("an object that nobody asked for", plain(unasked)),
        (
            "content that nobody asked for",
            Message::Content {
                checksum: Checksum::of(b"y"),
                bytes: vec![1; 100],
            },
        ),
        (
            "a bomb",
            Message::Batch(Batch {
                encoding: Encoding::Deflate,
                length: 1 << 20,
                body: vec![3, 0],
            }),
        ),
        ("data of nothing", Message::Data(vec![1])),
        ("an end of nothing", Message::End),
        ("a greeting in the middle", Message::Hello(Hello::ours("", ""))),
    ] {
        let mut messages = beginning(commit);
        messages.push(message);
        let error = received(&scene, &bytes_of(&messages));
        assert!(!matches!(error, TransferError::Cut(_)), "{what}: {error}");
        scene.assert_has(&Updates::new());
    }
}

#[test]
fn every_beginning_of_a_conversation_and_every_flipped_byte_ends_in_an_error() {
    let scene = Scene::new();
    let bytes = bytes_of(&beginning(Checksum::of(b"a commit")));
    for end in (1..bytes.len()).step_by(7) {
        if end == bytes_of(&beginning(Checksum::of(b"")).as_slice()[..1]).len() {
            // A pusher that finds nothing to do goes after the greeting.
            continue;
        }
        received(&scene, &bytes[..end]);
    }
    for place in (0..bytes.len()).step_by(5) {
        let mut flipped = bytes.clone();
        flipped[place] ^= 0x41;
        received(&scene, &flipped);
    }
    scene.assert_has(&Updates::new());
}

#[test]
fn a_far_end_that_is_none_is_told_to_the_user() {
    let scene = Scene::new();
    for (said, shown) in [
        (&b"bash: ostler: command not found\n"[..], "command not found"),
        (b"", "connection"),
    ] {
        let error = scene.push_to(said);
        let text = format!("{error}");
        assert!(text.contains(shown), "{text}");
    }
}

#[test]
fn the_receiver_is_told_of_no_other_repository() {
    let scene = Scene::new();
    let hello = Message::Hello(Hello::ours("test", "/etc"));
    let error = received(&scene, &bytes_of(&[hello]));
    assert!(matches!(error, TransferError::Denied(_)), "{error}");
}
