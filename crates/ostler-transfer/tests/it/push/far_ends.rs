//! Far ends that mean harm to whoever pushes: they get what was offered and nothing else, and what they say is not believed
//! where it cannot be.

use super::peer::{Peer, finished, update, verdicts};
use super::scene::{Scene, Updates};
use ostler_format::wire::{Message, Ruling};
use ostler_format::{Checksum, ObjectName, ObjectType};
use ostler_testkit::oracle::objects_of;
use ostler_transfer::TransferError;
use ostler_transfer::push::{PushReporter, Pushed};
use std::sync::Mutex;

/// What a push of `os/a` comes to at a far end.
fn pushed(scene: &Scene, far: impl FnOnce(Peer) + Send) -> Result<Pushed, TransferError> {
    let mut one = scene.all();
    one.retain(|name, _| name.as_str() == "os/a");
    scene.push_against(&one, &ostler_transfer::Silent, far)
}

/// Asserts that a pusher finds fault with a far end.
#[track_caller]
fn assert_unmasked(what: &str, result: Result<Pushed, TransferError>, told: &str) {
    match result {
        Err(TransferError::Protocol(text)) if text.contains(told) => {}
        other => panic!("{what}: {other:?}"),
    }
}

/// Returns a commit of the source that is not pushed, and an object of each type of which it alone consists.
fn secret(scene: &Scene) -> Vec<ObjectName> {
    let public = scene.source.stock.rev_parse("os/a");
    let commit = scene.source.commit_of("secret");
    let objects = |commit: &str| objects_of(scene.source.stock.path(), commit);
    let own: Vec<_> = objects(&commit).difference(&objects(&public)).cloned().collect();
    let name = |path: &String| {
        let (checksum, suffix) = path.split_once('.').unwrap();
        let kind = match suffix {
            "commit" => ObjectType::Commit,
            "dirtree" => ObjectType::DirTree,
            "filez" => ObjectType::File,
            other => panic!("{other}"),
        };
        ObjectName::new(checksum.replace('/', "").parse().unwrap(), kind)
    };
    let names: Vec<_> = own.iter().map(name).collect();
    assert!(names.len() >= 3, "{names:?}");
    names
}

fn is_object(message: &Message) -> bool {
    matches!(
        message,
        Message::Batch(_) | Message::Content { .. } | Message::Begin(_) | Message::Data(_)
    )
}

#[test]
fn what_was_not_offered_is_not_given_though_its_name_is_known() {
    let scene = Scene::new();
    let secret = secret(&scene);
    let commit = secret
        .iter()
        .find(|name| name.kind == ObjectType::Commit)
        .unwrap()
        .checksum;
    let detached = ObjectName::new(commit, ObjectType::CommitMeta);
    for name in secret.iter().chain([&detached]) {
        // Who says that it has the commit is given nothing of it, either.
        for refs in [&[][..], &[("other", commit)]] {
            let result = pushed(&scene, |mut far| {
                far.greet_pusher(refs);
                far.send(&Message::Want(vec![*name]));
                let said = far.rest();
                assert!(!said.iter().any(is_object), "{name} is given away");
            });
            assert_unmasked(&name.to_string(), result, "which was not offered");
        }
    }
}

#[test]
fn what_belongs_to_an_offered_commit_is_given_though_the_far_end_should_have_it() {
    let scene = Scene::new();
    let old: Checksum = scene.source.stock.rev_parse("os/a").parse().unwrap();
    let kept = objects_of(scene.source.stock.path(), &old.to_string());
    let kept = kept.iter().find(|path| path.contains(".filez")).unwrap();
    let kept = kept.trim_end_matches(".filez").replace('/', "").parse().unwrap();
    scene.source.advance("new");
    let result = pushed(&scene, |mut far| {
        far.greet_pusher(&[("os/a", old)]);
        far.send(&Message::Want(vec![ObjectName::new(kept, ObjectType::File)]));
        let is_it =
            |message: &Message| matches!(message, Message::Content { checksum, .. } if *checksum == kept);
        assert!(far.next().is_some_and(|message| is_it(&message)));
        far.send(&verdicts(&[("os/a", Ruling::Accepted)]));
        far.send(&finished());
    });
    assert!(!result.unwrap().is_refused());
}

#[test]
fn requests_without_end_are_given_up() {
    let scene = Scene::new();
    // Whoever reads what comes, and whoever does not.
    for reads in [true, false] {
        let result = pushed(&scene, |mut far| {
            let offered = far.greet_pusher(&[]);
            let want = Message::Want(vec![ObjectName::new(offered[0], ObjectType::Commit)]);
            for _ in 0..1_000_000 {
                if !far.send(&want) || reads && far.next().is_none() {
                    return;
                }
            }
            panic!("nobody minds");
        });
        assert_unmasked("one object, again and again", result, "again and again");
        let result = pushed(&scene, |mut far| {
            let offered = far.greet_pusher(&[]);
            let want = Message::Want(vec![ObjectName::new(offered[0], ObjectType::Commit); 30_000]);
            while far.send(&want) {}
        });
        assert_unmasked("all at once", result, "again and again");
    }
}

#[test]
fn refs_without_end_are_given_up() {
    let scene = Scene::new();
    let commit = Checksum::of(b"x");
    let result = pushed(&scene, |far| {
        far.send(&Message::Hello(ostler_format::wire::Hello::ours("test", "")));
        for page in 0.. {
            let long = ["x"; 4].map(|part| part.repeat(200)).join("/");
            let name = |number| format!("{page}/{number}/{long}").parse().unwrap();
            let refs = (0..200).map(|number| (name(number), commit)).collect();
            if !far.send(&Message::Refs { refs, more: true }) {
                return;
            }
        }
    });
    assert_unmasked("long names", result, "refs");
    let result = pushed(&scene, |far| {
        far.send(&Message::Hello(ostler_format::wire::Hello::ours("test", "")));
        while far.send(&Message::Refs {
            refs: Vec::new(),
            more: true,
        }) {}
    });
    assert_unmasked("nothing, and more of it", result, "none at all");
}

#[test]
fn results_that_cannot_be_are_not_believed() {
    let scene = Scene::new();
    let accepted = verdicts(&[("os/a", Ruling::Accepted)]);
    let not_tried = verdicts(&[("os/a", Ruling::NotTried)]);
    let other = verdicts(&[("os/b", Ruling::Accepted)]);
    for (what, said, told) in [
        ("nothing told", vec![finished()], "does not tell"),
        ("another ref", vec![other.clone(), finished()], "'os/b'"),
        ("one more", vec![accepted.clone(), other, finished()], "more refs"),
        (
            "twice",
            vec![accepted.clone(), accepted.clone(), finished()],
            "more refs",
        ),
        (
            "not tried for no reason",
            vec![not_tried, finished()],
            "others have not",
        ),
        (
            "an offer",
            vec![update("x", None, Checksum::of(b"x"))],
            "an offer comes",
        ),
        ("an object", vec![Message::Data(vec![1])], "an object comes"),
    ] {
        let result = pushed(&scene, |mut far| {
            far.greet_pusher(&[]);
            for message in &said {
                far.send(message);
            }
            far.rest();
        });
        assert_unmasked(what, result, told);
    }
    let both = scene.all();
    for rulings in [
        [("os/a", Ruling::Accepted), ("os/b", Ruling::Refused)],
        [("os/a", Ruling::Accepted), ("os/b", Ruling::NotTried)],
        [("os/a", Ruling::Accepted), ("os/a", Ruling::Accepted)],
    ] {
        let result = scene.push_against(&both, &ostler_transfer::Silent, |mut far| {
            far.greet_pusher(&[]);
            far.send(&verdicts(&rulings));
            far.send(&finished());
            far.rest();
        });
        assert!(
            matches!(result, Err(TransferError::Protocol(_))),
            "{rulings:?}: {result:?}"
        );
    }
}

/// Keeps what a far end has to say.
#[derive(Default)]
struct Kept(Mutex<usize>);

impl PushReporter for Kept {
    fn note(&self, text: &str) {
        *self.0.lock().unwrap() += text.len();
    }
}

#[test]
fn far_end_that_talks_without_end_is_not_heard_to_the_end() {
    let scene = Scene::new();
    let kept = Kept::default();
    let mut one: Updates = scene.all();
    one.retain(|name, _| name.as_str() == "os/a");
    let result = scene.push_against(&one, &kept, |mut far| {
        far.greet_pusher(&[]);
        for _ in 0..4096 {
            far.send(&Message::Note("x".repeat(4000)));
            far.send(&Message::Alive);
            far.send(&Message::Want(Vec::new()));
        }
        far.send(&verdicts(&[("os/a", Ruling::Accepted)]));
        far.send(&finished());
    });
    assert!(!result.unwrap().is_refused());
    let heard = *kept.0.lock().unwrap();
    assert!((1..=1 << 20).contains(&heard), "{heard} bytes");
}
