//! Ends that mean harm by signatures that come late: nothing changes but what may, and clients find the good ones.

use super::late::{ED25519, GPG, beside, commit, named, packet, pushed, sign, signature, signed};
use super::peer::{Peer, bytes_of, finished, plain};
use super::scene::{Scene, opened};
use ostler_format::gvariant::{Value, VarDict};
use ostler_format::signatures::Engine;
use ostler_format::wire::{
    Batch, CAN_JOIN, Encoding, Hello, Joined, Message, Ruling, SignedRef, signature_digest,
};
use ostler_format::{
    Checksum, ObjectName, ObjectType, append_signature, parse_detached, set_signatures, signatures,
};
use ostler_testkit::gpg::GpgHome;
use ostler_testkit::stock::StockRepo;
use ostler_transfer::TransferError;
use ostler_transfer::receive::Received;
use std::path::Path;

/// A scene whose target has a signature of its own beside the commit of `os/a`.
struct Stage {
    scene: Scene,
    commit: Checksum,
    /// The commit of `os/b`.
    other: Checksum,
    /// A signature that the target lacks.
    new: Vec<u8>,
    /// What is beside the commit at the beginning.
    before: Option<Vec<u8>>,
}

impl Stage {
    fn new() -> Self {
        let scene = pushed();
        let commit = commit(&scene);
        sign(&scene.target(), &commit, 9);
        Self {
            other: scene.source.stock.rev_parse("os/b").parse().unwrap(),
            new: signature(&scene.source.open(), &commit, 1),
            before: beside(&scene, &commit),
            scene,
            commit,
        }
    }

    /// Tells that a ref names a commit with the new signature.
    fn tells(&self, name: &str, commit: Checksum) -> Vec<SignedRef> {
        vec![SignedRef {
            name: named(name),
            commit,
            signatures: vec![signature_digest(Engine::Ed25519, &self.new)],
        }]
    }

    fn right(&self) -> Vec<SignedRef> {
        self.tells("os/a", self.commit)
    }

    /// Brings bytes as what is beside the commit.
    fn brings(&self, bytes: &[u8]) -> Message {
        plain(&ObjectName::new(self.commit, ObjectType::CommitMeta), bytes)
    }

    /// Plays a pusher that tells of signatures and sends these messages; returns how the receiver ends, and what it says.
    fn play(&self, told: &[SignedRef], sent: &[Message]) -> (Result<Received, TransferError>, Vec<Message>) {
        self.scene.receive_by(|mut pusher: Peer| {
            pusher.send(&Message::Hello(Hello::ours("test", "")));
            for part in told.chunks(100) {
                pusher.send(&Message::Beside(part.to_vec()));
            }
            pusher.send(&Message::Offered);
            pusher.send_bytes(&bytes_of(sent));
            pusher.close();
            pusher.rest()
        })
    }

    /// Plays it, and asserts that the receiver gives up with an error and nothing has changed.
    #[track_caller]
    fn assert_given_up(&self, what: &str, told: &[SignedRef], sent: &[Message]) {
        let (received, said) = self.play(told, sent);
        let error = received.expect_err(what);
        let is_told = matches!(said.last(), Some(Message::Error(_)));
        assert!(is_told, "{what}: {error}: {said:?}");
        self.assert_unchanged(what);
    }

    #[track_caller]
    fn assert_unchanged(&self, what: &str) {
        assert_eq!(beside(&self.scene, &self.commit), self.before, "{what}");
    }
}

fn detached(key: &str, bytes: &[u8]) -> Vec<u8> {
    let mut dict = VarDict::new();
    append_signature(&mut dict, key, bytes).unwrap();
    dict.to_bytes()
}

fn joined(said: &[Message]) -> Vec<Joined> {
    let joined = |message: &Message| match message {
        Message::Joined(joined) => joined.clone(),
        _ => Vec::new(),
    };
    said.iter().flat_map(joined).collect()
}

#[test]
fn pushers_that_bring_what_nobody_asked_for_change_nothing() {
    let stage = Stage::new();
    let name = |commit, kind| ObjectName::new(commit, kind);
    let beside = name(stage.commit, ObjectType::CommitMeta);
    let new = detached(ED25519, &stage.new);
    for (what, sent) in [
        (
            "another commit",
            vec![plain(&name(stage.other, ObjectType::CommitMeta), &new)],
        ),
        (
            "the commit itself",
            vec![plain(&name(stage.commit, ObjectType::Commit), b"x")],
        ),
        (
            "a tree",
            vec![plain(&name(stage.commit, ObjectType::DirTree), b"x")],
        ),
        (
            "content",
            vec![Message::Content {
                checksum: stage.commit,
                bytes: vec![1; 99],
            }],
        ),
        (
            "a large object",
            vec![Message::Begin(beside), Message::Data(vec![0; 9]), Message::End],
        ),
        ("nothing", Vec::new()),
    ] {
        stage.assert_given_up(what, &stage.right(), &sent);
    }
    let twice = [stage.right(), stage.right()].concat();
    stage.assert_given_up("a ref twice", &twice, &[stage.brings(&new)]);
    let many = |number| SignedRef {
        name: named(&format!("os/a{number}")),
        commit: stage.commit,
        signatures: vec![stage.commit; 100],
    };
    let many: Vec<_> = (0..3000).map(many).collect();
    stage.assert_given_up("more signatures than may be told", &many, &[]);
}

#[test]
fn pushers_that_bring_no_metadata_change_nothing() {
    let stage = Stage::new();
    let mut no_list = VarDict::new();
    no_list.insert(ED25519, Value::Str("no list".into()));
    for (what, sent) in [
        ("no metadata", stage.brings(b"garbage that is none")),
        ("a key of another type", stage.brings(&no_list.to_bytes())),
        (
            "a bomb",
            Message::Batch(Batch {
                encoding: Encoding::Deflate,
                length: 1 << 20,
                body: vec![3, 0],
            }),
        ),
    ] {
        stage.assert_given_up(what, &stage.right(), &[sent]);
    }
}

#[test]
fn what_is_no_signature_is_refused_and_what_was_not_told_is_left_out() {
    let stage = Stage::new();
    let large = vec![1; (64 << 10) + 1];
    let new = &stage.new[..];
    for (what, engine, told_of, sent, reason) in [
        (
            "a short one",
            Engine::Ed25519,
            &b"short"[..],
            detached(ED25519, b"short"),
            "none (5 bytes)",
        ),
        (
            "a large one",
            Engine::Spki,
            &large,
            detached(Engine::Spki.key(), &large),
            "none (65537 bytes)",
        ),
        (
            "no packet",
            Engine::Gpg,
            b"no packet",
            detached(GPG, b"no packet"),
            "of gpg is none",
        ),
        (
            "one not told of",
            Engine::Ed25519,
            new,
            detached(ED25519, &[7; 64]),
            "",
        ),
        (
            "one under another key",
            Engine::Ed25519,
            new,
            detached(Engine::Spki.key(), new),
            "",
        ),
        ("none", Engine::Ed25519, new, Vec::new(), ""),
    ] {
        let mut tells = stage.right();
        tells[0].signatures = vec![signature_digest(engine, told_of)];
        let (received, said) = stage.play(&tells, &[stage.brings(&sent)]);
        received.expect(what);
        let joined = joined(&said);
        assert_eq!(joined.len(), usize::from(!reason.is_empty()), "{what}");
        for joined in joined {
            assert!(
                joined.added == 0 && joined.reason.contains(reason),
                "{what}: {joined:?}"
            );
        }
        stage.assert_unchanged(what);
    }
    // Where the ref is not what the pusher thinks.
    for (name, commit) in [("os/a", stage.other), ("nowhere", stage.commit)] {
        let (received, said) = stage.play(&stage.tells(name, commit), &[]);
        received.unwrap();
        let reason = &joined(&said)[0].reason;
        assert!(reason.contains("was moved meanwhile"), "{reason}");
    }
    stage.assert_unchanged("another commit");
    let (received, said) = stage.play(&stage.right(), &[stage.brings(&detached(ED25519, new))]);
    received.unwrap();
    assert_eq!(joined(&said)[0].added, 1);
    assert_eq!(signed(&stage.scene, &stage.commit, ED25519).len(), 2);
}

#[test]
fn far_ends_that_tell_of_signatures_what_cannot_be_are_not_believed() {
    let scene = pushed();
    let commit = commit(&scene);
    sign(scene.source.stock.path(), &commit, 1);
    let other = scene.source.stock.rev_parse("os/b").parse().unwrap();
    let says = |name: &str, commit, added| {
        Message::Joined(vec![Joined {
            name: named(name),
            commit,
            added,
            reason: String::new(),
        }])
    };
    let want = |commit, kind| Message::Want(vec![ObjectName::new(commit, kind)]);
    for (what, said, told) in [
        ("another ref", vec![says("os/b", other, 1)], "not told of"),
        ("another commit", vec![says("os/a", other, 1)], "not told of"),
        ("too many", vec![says("os/a", commit, 2)], "what cannot be"),
        (
            "twice",
            vec![says("os/a", commit, 1), says("os/a", commit, 1)],
            "more signatures",
        ),
        (
            "a request for the commit",
            vec![want(commit, ObjectType::Commit)],
            "not offered",
        ),
        (
            "a request for another",
            vec![want(other, ObjectType::CommitMeta)],
            "not offered",
        ),
        (
            "a verdict",
            vec![super::peer::verdicts(&[("os/a", Ruling::Accepted)])],
            "more refs",
        ),
    ] {
        let refs = [("os/a", commit), ("os/b", other)];
        let result = scene.push_against(&scene.all(), &ostler_transfer::Silent, |mut far| {
            assert_eq!(far.greet_pusher(&refs), Vec::new());
            for message in &said {
                far.send(message);
            }
            far.send(&finished());
            far.rest();
        });
        assert!(
            matches!(&result, Err(TransferError::Protocol(text)) if text.contains(told)),
            "{what}: {result:?}"
        );
    }
    // What is beside the signatures is not given away.
    let change = opened(scene.source.stock.path()).change_detached(&commit, |detached| {
        detached.insert("secret", Value::Str("of the build".into()));
        Ok(())
    });
    change.unwrap();
    let refs = [("os/a", commit), ("os/b", other)];
    let result = scene.push_against(&scene.all(), &ostler_transfer::Silent, |mut far| {
        let old = Hello {
            capabilities: CAN_JOIN,
            ..Hello::ours("test", "")
        };
        far.greet_pusher_as(old, &refs);
        far.send(&want(commit, ObjectType::CommitMeta));
        let Some(Message::Batch(batch)) = far.next() else {
            panic!("no batch")
        };
        let entries = Batch::entries(&batch.body).unwrap();
        let given = parse_detached(entries[0].bytes).unwrap();
        assert_eq!((given.len(), signatures(&given, ED25519).unwrap().len()), (1, 1));
        far.send(&finished());
    });
    assert_eq!(result.unwrap().objects, 1);
}

/// What comes beside a good signature must not keep stock from finding that: it reads all of them as one.
#[test]
fn whatever_is_added_stock_clients_find_the_good_signature() {
    let scene = pushed();
    let (source, target, commit) = (scene.source.stock.path(), scene.target(), commit(&scene));
    let home = GpgHome::new();
    let key = home.make_key("release", "never");
    let keyring = home.path().join("public.gpg");
    home.export(&keyring, &[], &["release"]);
    let homedir = format!("--gpg-homedir={}", home.path().display());
    scene.target.run(&["gpg-sign", &homedir, "os/a", &key]);
    let good = signed(&scene, &commit, GPG).remove(0);
    let set = |path: &Path, signature: &[u8]| {
        let change = opened(path).change_detached(&commit, |detached| {
            set_signatures(detached, GPG, &[signature]);
            Ok(())
        });
        change.unwrap();
    };
    let flipped: Vec<u8> = good
        .iter()
        .rev()
        .enumerate()
        .map(|(place, byte)| byte ^ u8::from(place == 2))
        .rev()
        .collect();
    for (what, bytes, is_taken) in [
        ("one that is cut", good[..40].to_vec(), false),
        ("one and something", [&good[..], b"tail"].concat(), false),
        ("half a header", vec![0xc2], false),
        ("too short for any", vec![0x88, 1, 4], false),
        ("of no version that there is", packet(2, b"x"), false),
        ("no end", [&[0x8b][..], &good[2..]].concat(), false),
        ("another packet", [&[0xb4, 2][..], b"me"].concat(), false),
        ("a wrong one", flipped.clone(), true),
        ("two in one", [&flipped[..], &packet(4, b"x")].concat(), true),
        ("one of nonsense", packet(4, &[0xff; 20]), true),
        (
            "nonsense within",
            [&[0x88, 12, 4, 0, 1, 8][..], &[0xff; 8]].concat(),
            false,
        ),
        ("of a later version", packet(5, &[1; 20]), false),
    ] {
        set(&target, &good);
        set(source, &bytes);
        let pushed = scene.push_all();
        assert_eq!(pushed.signatures.len(), 1, "{what}");
        assert_eq!(!pushed.lacks_signatures(), is_taken, "{what}: {pushed:?}");
        let dir = tempfile::tempdir().unwrap();
        let client = StockRepo::init(&dir.path().join("client"), "archive");
        let import = format!("--gpg-import={}", keyring.display());
        client.run(&[
            "remote",
            "add",
            &import,
            "origin",
            &format!("file://{}", target.display()),
        ]);
        let pulled = client.attempt(&["pull", "origin", "os/a"]);
        assert!(pulled.status.success(), "{what}: {pulled:?}");
        let shown = scene.target.run(&["show", &homedir, "os/a"]);
        assert!(shown.contains("Good signature from \"release"), "{what}: {shown}");
    }
}
