//! Signatures that are made after a commit was pushed: the next push of the same ref brings them, and nothing else of what is beside it.

use super::peer::finished;
use super::required::rules;
use super::scene::{Ended, Scene, Updates, everything, opened};
use ostler_format::gvariant::Value;
use ostler_format::signatures::{Engine, encode_base64};
use ostler_format::wire::{CAN_INFLATE, CAN_JOIN, Hello, Message};
use ostler_format::{
    Checksum, ObjectName, ObjectType, RefName, append_signature, parse_detached, set_signatures, signatures,
};
use ostler_repo::Repo;
use ostler_repo::sign::{MAX_SIGNATURES, Signer};
use ostler_transfer::TransferError;
use ostler_transfer::push::{Fate, Pushed, PushedSignatures};
use ostler_transfer::receive::ReceiveRules;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) const ED25519: &str = "ostree.sign.ed25519";
pub(crate) const GPG: &str = "ostree.gpgsigs";

/// The public key of the seed of ones.
const PUBLIC: &str = "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=";

pub(crate) fn named(name: &str) -> RefName {
    name.parse().unwrap()
}

/// The commit of `os/a`, which is at both ends.
pub(crate) fn commit(scene: &Scene) -> Checksum {
    scene.source.stock.rev_parse("os/a").parse().unwrap()
}

/// A scene whose two refs are pushed.
pub(crate) fn pushed() -> Scene {
    let scene = Scene::new();
    scene.push_all();
    scene
}

pub(crate) fn signature(repo: &Repo, commit: &Checksum, seed: u8) -> Vec<u8> {
    let bytes = repo.load_metadata(&ObjectName::new(*commit, ObjectType::Commit));
    let signer = Signer::from_secret(Engine::Ed25519, &encode_base64(&[seed; 32])).unwrap();
    signer.sign(&bytes.unwrap()).unwrap()
}

pub(crate) fn sign(path: &Path, commit: &Checksum, seed: u8) {
    let repo = opened(path);
    let signature = signature(&repo, commit, seed);
    add(path, commit, ED25519, &signature);
}

/// Adds bytes to what is beside a commit.
fn add(path: &Path, commit: &Checksum, key: &str, bytes: &[u8]) {
    let change = opened(path).change_detached(commit, |detached| {
        let there = signatures(detached, key).unwrap().contains(&bytes);
        if !there {
            append_signature(detached, key, bytes).unwrap();
        }
        Ok(())
    });
    change.unwrap();
}

fn file(path: &Path, commit: &Checksum) -> PathBuf {
    let commit = commit.to_string();
    let (first, rest) = commit.split_at(2);
    path.join(format!("objects/{first}/{rest}.commitmeta"))
}

/// Returns the bytes beside a commit of the target.
pub(crate) fn beside(scene: &Scene, commit: &Checksum) -> Option<Vec<u8>> {
    fs::read(file(&scene.target(), commit)).ok()
}

pub(crate) fn signed(scene: &Scene, commit: &Checksum, key: &str) -> Vec<Vec<u8>> {
    let detached = parse_detached(&beside(scene, commit).unwrap_or_default()).unwrap();
    let all = signatures(&detached, key).unwrap();
    all.into_iter().map(<[u8]>::to_vec).collect()
}

fn added(name: &str, commit: Checksum, count: usize) -> PushedSignatures {
    PushedSignatures {
        name: named(name),
        commit,
        added: count,
        refused: None,
    }
}

/// Returns a packet of OpenPGP that is a signature by its outside, of a version.
pub(crate) fn packet(version: u8, integer: &[u8]) -> Vec<u8> {
    let bits = u8::try_from(8 * integer.len()).unwrap();
    let body = [&[version, 0, 1, 8, 0, 0, 0, 0, 7, 7, 0, bits][..], integer].concat();
    [&[0x88, u8::try_from(body.len()).unwrap()][..], &body].concat()
}

#[track_caller]
fn refusal(pushed: &Pushed) -> &str {
    let [one] = &pushed.signatures[..] else {
        panic!("{pushed:?}")
    };
    assert_eq!(one.added, 0);
    one.refused.as_deref().expect("a reason")
}

fn push_by(scene: &Scene, rules: &ReceiveRules, updates: &Updates) -> Ended {
    scene.push_by(rules, "tester", updates, |options| options)
}

#[test]
fn signatures_made_after_a_push_come_with_the_next_and_those_that_are_there_stay() {
    let scene = pushed();
    let (source, target, commit) = (scene.source.stock.path(), scene.target(), commit(&scene));
    let of = |path: &Path, seed| signature(&opened(path), &commit, seed);
    sign(source, &commit, 1);
    let again = scene.push_all();
    assert_eq!(again.signatures, [added("os/a", commit, 1)]);
    assert_eq!((again.objects, again.generation), (1, None));
    assert!(again.refs.iter().all(|pushed| pushed.fate == Fate::UpToDate));
    assert_eq!(signed(&scene, &commit, ED25519), [of(source, 1)]);

    // The far end signs as well, and notes something; the source has one more of each engine, and a note that stays there.
    sign(&target, &commit, 2);
    let note = |path: &Path, text: &str| {
        let change = opened(path).change_detached(&commit, |detached| {
            detached.insert("note", Value::Str(text.into()));
            Ok(())
        });
        change.unwrap();
    };
    note(&target, "theirs");
    note(source, "ours");
    sign(source, &commit, 3);
    add(source, &commit, GPG, &packet(4, &[1, 2]));
    add(source, &commit, "ostree.sign.spki", b"spki");
    add(source, &commit, "ostree.sign.dummy", b"dummy");
    assert_eq!(scene.push_all().signatures, [added("os/a", commit, 3)]);
    assert_eq!(
        signed(&scene, &commit, ED25519),
        [of(source, 1), of(source, 2), of(source, 3)]
    );
    assert_eq!(signed(&scene, &commit, GPG), [packet(4, &[1, 2])]);
    assert_eq!(signed(&scene, &commit, "ostree.sign.spki"), [b"spki"]);
    assert_eq!(
        signed(&scene, &commit, "ostree.sign.dummy"),
        Vec::<Vec<u8>>::new()
    );
    let detached = parse_detached(&beside(&scene, &commit).unwrap()).unwrap();
    assert_eq!(detached.get_str("note"), Some("theirs"));
    scene.assert_has(&scene.all());

    // Nothing is lacking now, though the two files are not the same.
    let there = beside(&scene, &commit);
    let last = scene.push_all();
    assert_eq!((last.signatures.len(), last.objects), (0, 0));
    assert_eq!(beside(&scene, &commit), there);
}

#[test]
fn comparing_signatures_takes_no_round_trip_and_bringing_them_one() {
    let scene = pushed();
    let commit = commit(&scene);
    sign(scene.source.stock.path(), &commit, 1);
    sign(&scene.target(), &commit, 2);
    assert_eq!(scene.turns(&scene.all()), "><><><");
    assert_eq!(scene.turns(&scene.all()), "><><");
}

#[test]
fn one_commit_of_several_refs_gets_its_signatures_once() {
    let scene = pushed();
    let commit = commit(&scene);
    let refs = Updates::from(["x", "y", "z"].map(|name| (named(name), Some(commit))));
    scene.push(&refs).pushed.unwrap();
    sign(scene.source.stock.path(), &commit, 1);
    // The first of them gives no right, and need not.
    let rules = "[[allow]]\nrefs = 'x'\nmay = 'delete'\n[[allow]]\nrefs = ['y', 'z']\nmay = 'force'\n";
    let rules = ReceiveRules::parse(rules.as_bytes(), "rules").unwrap();
    let pushed = push_by(&scene, &rules, &refs).pushed.unwrap();
    assert_eq!(pushed.signatures, [added("y", commit, 1)]);
    assert_eq!(signed(&scene, &commit, ED25519).len(), 1);
}

#[test]
fn who_may_only_delete_a_ref_adds_no_signatures_to_its_commit() {
    let scene = pushed();
    let commit = commit(&scene);
    let may = |word: &str| {
        let rules = format!("[[allow]]\nrefs = '**'\nmay = '{word}'\n");
        ReceiveRules::parse(rules.as_bytes(), "rules").unwrap()
    };
    let push = |word| push_by(&scene, &may(word), &scene.all()).pushed.unwrap();
    // As long as there is nothing to add nobody minds.
    assert!(!push("delete").lacks_signatures());
    for (seed, word) in (1..).zip(["create", "fast-forward", "force"]) {
        sign(scene.source.stock.path(), &commit, seed);
        let before = beside(&scene, &commit);
        let pushed = push("delete");
        assert_eq!(refusal(&pushed), "its ref may not be changed by 'tester'");
        assert!(!pushed.is_refused() && pushed.lacks_signatures());
        assert_eq!(beside(&scene, &commit), before);
        assert_eq!(push(word).signatures, [added("os/a", commit, 1)], "{word}");
    }
    // Who has no rights at all is refused as ever: for him there is no such ref.
    sign(scene.source.stock.path(), &commit, 9);
    let other = "[[allow]]\nrefs = 'other'\nmay = 'create'\n";
    let other = ReceiveRules::parse(other.as_bytes(), "rules").unwrap();
    let pushed = push_by(&scene, &other, &scene.all()).pushed.unwrap();
    assert!(pushed.is_refused() && pushed.signatures.is_empty());
    assert_eq!(signed(&scene, &commit, ED25519).len(), 3);
}

#[test]
fn signatures_come_with_refs_that_move_and_not_with_those_that_are_refused() {
    let scene = pushed();
    let commit = commit(&scene);
    sign(scene.source.stock.path(), &commit, 1);
    let before = beside(&scene, &commit);
    let new = scene.source.commit_of("new").parse().unwrap();
    let mut refs = scene.all();
    let refusing = rules(
        "[[require]]\nrefs = 'new'\nforbid = []\nnewer = true\nsignatures = {ed25519 = '11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo='}\n",
    );
    let ended = push_by(&scene, &refusing, &refs);
    let pushed = ended.pushed.unwrap();
    assert!(pushed.is_refused() && pushed.signatures.is_empty(), "{pushed:?}");
    assert_eq!(beside(&scene, &commit), before);

    let pushed = scene.push_all();
    assert_eq!(pushed.signatures, [added("os/a", commit, 1)]);
    assert_eq!(pushed.generation, Some(2));
    scene.assert_has(&refs);
    // One that a new ref names is brought by that, with all that is beside it.
    sign(scene.source.stock.path(), &new, 1);
    refs.insert(named("again"), Some(new));
    let pushed = scene.push(&refs).pushed.unwrap();
    assert_eq!(pushed.signatures, []);
    assert_eq!(signed(&scene, &new, ED25519).len(), 1);
}

#[test]
fn dry_run_says_how_many_signatures_would_be_added_and_adds_none() {
    let scene = pushed();
    let commit = commit(&scene);
    sign(scene.source.stock.path(), &commit, 1);
    sign(scene.source.stock.path(), &commit, 2);
    let before = beside(&scene, &commit);
    let ask = || {
        let ended = scene.push_by(&everything(), "tester", &scene.all(), |mut options| {
            options.dry_run = true;
            options
        });
        ended.pushed.unwrap()
    };
    assert_eq!(ask().signatures, [added("os/a", commit, 2)]);
    scene.source.commit_of("new");
    assert_eq!(ask().signatures, [added("os/a", commit, 2)]);
    assert_eq!((beside(&scene, &commit), ask().objects), (before, 0));
}

#[test]
fn ends_that_know_nothing_of_late_signatures_are_told_nothing_of_them() {
    let scene = pushed();
    let commit = commit(&scene);
    sign(scene.source.stock.path(), &commit, 1);
    let old = || Hello {
        capabilities: CAN_INFLATE,
        ..Hello::ours("test", "")
    };
    // A far end that cannot is asked for nothing, and one that can is.
    for (hello, is_told) in [(old(), false), (Hello::ours("test", ""), true)] {
        assert_eq!(hello.can(CAN_JOIN), is_told);
        let refs = scene.all();
        let refs: Vec<_> = refs
            .iter()
            .map(|(name, commit)| (name.as_str(), commit.unwrap()))
            .collect();
        let result = scene.push_against(&scene.all(), &ostler_transfer::Silent, |mut far| {
            far.send(&Message::Hello(hello));
            let refs = refs.iter().map(|(name, commit)| (named(name), *commit));
            far.send(&Message::Refs {
                refs: refs.collect(),
                more: false,
            });
            let mut said = Vec::new();
            while let Some(message) = far.next().filter(|message| *message != Message::Offered) {
                said.push(message);
            }
            far.send(&finished());
            let told = said
                .iter()
                .filter(|message| matches!(message, Message::Beside(_)));
            assert_eq!(told.count(), usize::from(is_told), "{said:?}");
        });
        let pushed = result.unwrap();
        assert!(pushed.signatures.is_empty() && !pushed.is_refused());
    }
    // A pusher that cannot is told nothing.
    let (received, said) = scene.receive_by(|mut pusher| {
        pusher.send(&Message::Hello(old()));
        pusher.send(&Message::Offered);
        pusher.rest()
    });
    assert_eq!(received.unwrap().generation, None);
    assert!(
        matches!(
            said[..],
            [Message::Hello(_), Message::Refs { .. }, Message::Finished(_)]
        ),
        "{said:?}"
    );
    assert_eq!(signed(&scene, &commit, ED25519), Vec::<Vec<u8>>::new());
}

#[test]
fn no_more_signatures_are_added_than_anybody_looks_at() {
    let scene = pushed();
    let (source, commit) = (scene.source.stock.path(), commit(&scene));
    let fill = |path: &Path, from: usize, to: usize| {
        let change = opened(path).change_detached(&commit, |detached| {
            for number in from..to {
                let bytes = [u8::try_from(number).unwrap(); 64];
                if !signatures(detached, ED25519).unwrap().contains(&&bytes[..]) {
                    append_signature(detached, ED25519, &bytes).unwrap();
                }
            }
            Ok(())
        });
        change.unwrap();
    };
    fill(source, 0, 70);
    assert_eq!(
        scene.push_all().signatures,
        [added("os/a", commit, MAX_SIGNATURES)]
    );
    let change = opened(source).change_detached(&commit, |detached| {
        detached.remove(ED25519);
        Ok(())
    });
    change.unwrap();
    fill(source, 100, 101);
    let before = beside(&scene, &commit);
    let pushed = scene.push_all();
    assert!(
        refusal(&pushed).contains("more than 64 signatures of ed25519"),
        "{pushed:?}"
    );
    assert_eq!(beside(&scene, &commit), before);
}

#[test]
fn commits_stay_signed_as_required_whatever_is_added() {
    let scene = pushed();
    let (source, commit) = (scene.source.stock.path(), commit(&scene));
    sign(&scene.target(), &commit, 1);
    let required = rules(&format!(
        "[[require]]\nrefs = 'os/a'\nmax-push = '1K'\nsignatures = {{ed25519 = '{PUBLIC}'}}\n"
    ));
    add(source, &commit, ED25519, &[3; 64]);
    let pushed = push_by(&scene, &required, &scene.all()).pushed.unwrap();
    assert_eq!(pushed.signatures, [added("os/a", commit, 1)]);
    // The next push is still taken for signed.
    let again = Updates::from([(named("os/a"), None)]);
    scene.push(&again).pushed.unwrap();
    let pushed = push_by(&scene, &required, &scene.all()).pushed.unwrap();
    assert!(!pushed.is_refused(), "{pushed:?}");
    // What a push may bring holds for these as well.
    let change = opened(source).change_detached(&commit, |detached| {
        let all: Vec<_> = (10..40).map(|number| [number; 64]).collect();
        set_signatures(detached, ED25519, &all);
        Ok(())
    });
    change.unwrap();
    let before = beside(&scene, &commit);
    let ended = push_by(&scene, &required, &scene.all());
    let error = ended.received.unwrap_err();
    assert!(matches!(error, TransferError::TooMuch { .. }), "{error}");
    assert!(ended.pushed.is_err());
    assert_eq!(beside(&scene, &commit), before);
}

#[test]
fn signatures_that_cannot_be_read_hinder_no_push() {
    let scene = pushed();
    let commit = commit(&scene);
    fs::write(file(scene.source.stock.path(), &commit), b"no metadata").unwrap();
    let pushed = scene.push_all();
    assert!(pushed.signatures.is_empty() && !pushed.lacks_signatures());
    fs::remove_file(file(scene.source.stock.path(), &commit)).unwrap();
    sign(scene.source.stock.path(), &commit, 1);
    fs::write(file(&scene.target(), &commit), b"no metadata").unwrap();
    let pushed = scene.push_all();
    assert!(refusal(&pushed).contains("cannot read object"), "{pushed:?}");
    assert_eq!(beside(&scene, &commit).unwrap(), b"no metadata");
}

#[test]
fn whatever_byte_is_the_last_what_is_beside_a_commit_is_whole() {
    let scene = pushed();
    let commit = commit(&scene);
    sign(&scene.target(), &commit, 9);
    sign(scene.source.stock.path(), &commit, 1);
    let before = beside(&scene, &commit);
    let cut = |limit| {
        let limits = (limit, u64::MAX);
        scene.push_cut(&everything(), "tester", &scene.all(), |options| options, limits)
    };
    let mut limit = 1;
    while cut(limit).pushed.is_err() {
        assert_eq!(beside(&scene, &commit), before, "{limit}");
        limit += 9;
    }
    assert!(limit > 200, "{limit}");
    assert_eq!(signed(&scene, &commit, ED25519).len(), 2);
    scene.assert_has(&scene.all());
}

#[test]
fn every_addition_of_signatures_is_written_down() {
    let scene = pushed();
    let commit = commit(&scene);
    let log = scene.target().with_file_name("log");
    let rules = format!(
        "audit = '{}'\n[[allow]]\nrefs = 'os/a'\nmay = 'create'\n[[allow]]\nrefs = 'os/b'\nmay = 'delete'\n",
        log.display()
    );
    let rules = ReceiveRules::parse(rules.as_bytes(), "rules").unwrap();
    let other = scene.source.stock.rev_parse("os/b").parse().unwrap();
    sign(scene.source.stock.path(), &commit, 1);
    sign(scene.source.stock.path(), &other, 1);
    let pushed = push_by(&scene, &rules, &scene.all()).pushed.unwrap();
    assert!(pushed.lacks_signatures());
    let lines = fs::read_to_string(&log).unwrap();
    let lines: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let events: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["adding", "added"]);
    assert_eq!(lines[1]["pusher"], "tester");
    let row = |reference: &str| {
        let rows = lines[1]["signatures"].as_array().unwrap();
        rows.iter().find(|row| row["ref"] == reference).unwrap().clone()
    };
    assert_eq!(row("os/a")["commit"], commit.to_string());
    assert_eq!(row("os/a")["added"], 1);
    assert_eq!(row("os/b")["added"], 0);
    assert!(
        row("os/b")["reason"]
            .as_str()
            .unwrap()
            .contains("may not be changed")
    );
    // A log that cannot be written lets nothing be added.
    sign(scene.source.stock.path(), &commit, 2);
    let before = beside(&scene, &commit);
    fs::remove_file(&log).unwrap();
    fs::create_dir(&log).unwrap();
    assert!(push_by(&scene, &rules, &scene.all()).pushed.is_err());
    assert_eq!(beside(&scene, &commit), before);
}
