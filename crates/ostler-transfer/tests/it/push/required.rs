//! What rules require of commits: signatures, time, bindings, classes of files.

use super::scene::{Scene, Updates};
use crate::fixture::Source;
use ostler_format::signatures::encode_base64;
use ostler_repo::sign::{Engine, Signer};
use ostler_testkit::gpg::GpgHome;
use ostler_testkit::tree::Tree;
use ostler_transfer::TransferError;
use ostler_transfer::push::Fate;
use ostler_transfer::receive::ReceiveRules;

const PUBLIC: &str = "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=";

/// Rules that let everybody do everything, if more is fulfilled.
pub(crate) fn rules(more: &str) -> ReceiveRules {
    let all = "[[allow]]\nrefs = '**'\nmay = ['create', 'fast-forward', 'force', 'delete']\n";
    ReceiveRules::parse(format!("{all}{more}").as_bytes(), "receive.toml").unwrap()
}

fn sign(source: &Source, reference: &str, seed: u8) {
    let signer = Signer::from_secret(Engine::Ed25519, &encode_base64(&[seed; 32])).unwrap();
    let commit = source.stock.rev_parse(reference).parse().unwrap();
    source.open().sign_commit(&commit, &[signer]).unwrap();
}

fn only(scene: &Scene, name: &str) -> Updates {
    let mut all = scene.all();
    all.retain(|known, _| known.as_str() == name);
    all
}

/// Pushes, and returns why `os/a` was refused; nothing has changed then.
#[track_caller]
fn refused(scene: &Scene, rules: &ReceiveRules, updates: &Updates) -> String {
    let before = scene.target.refs();
    let ended = scene.push_by(rules, "tester", updates, |mut options| {
        options.wanted.force = true;
        options
    });
    let pushed = ended.pushed.unwrap();
    assert_eq!(scene.target.refs(), before);
    assert_eq!(scene.quarantined(), Vec::<String>::new());
    let fate = &pushed.refs[0].fate;
    let Fate::Refused(reason) = fate else {
        panic!("{fate:?}");
    };
    reason.clone()
}

#[track_caller]
fn accepted(scene: &Scene, rules: &ReceiveRules, updates: &Updates) {
    let ended = scene.push_by(rules, "tester", updates, |options| options);
    ended.received.unwrap();
    let pushed = ended.pushed.unwrap();
    assert!(!pushed.is_refused(), "{pushed:?}");
}

#[test]
fn commits_without_a_signature_that_is_required_are_refused() {
    let scene = Scene::new();
    let rules = rules(&format!(
        "[[require]]\nrefs = 'os/a'\nsignatures = {{ed25519 = '{PUBLIC}'}}\n"
    ));
    let reason = refused(&scene, &rules, &scene.all());
    assert!(
        reason.contains("must be signed") && reason.contains("no signature of ed25519"),
        "{reason}"
    );
    sign(&scene.source, "os/a", 2);
    let reason = refused(&scene, &rules, &scene.all());
    assert!(reason.contains("couldn't be verified"), "{reason}");
    // That of the right key behind the other.
    sign(&scene.source, "os/a", 1);
    accepted(&scene, &rules, &scene.all());
    scene.assert_has(&scene.all());
}

#[test]
fn new_commits_of_the_history_must_be_signed_as_well() {
    let scene = Scene::new();
    let rules = rules(&format!(
        "[[require]]\nrefs = 'os/a'\nsignatures = {{ed25519 = '{PUBLIC}'}}\n"
    ));
    scene.source.advance("two");
    sign(&scene.source, "os/a", 1);
    let first = scene.source.stock.rev_parse("os/a^");
    let reason = refused(&scene, &rules, &only(&scene, "os/a"));
    assert!(reason.contains(&first), "{reason}");
    // What is in the repository without the signature may stay below one that is signed.
    let older = Updates::from([("os/a".parse().unwrap(), Some(first.parse().unwrap()))]);
    scene.push(&older).pushed.unwrap();
    accepted(&scene, &rules, &only(&scene, "os/a"));
    // But no ref that needs it may name it itself.
    let unsigned = self::rules(&format!(
        "[[require]]\nrefs = 'new'\nbindings = 'any'\nsignatures = {{ed25519 = '{PUBLIC}'}}\n"
    ));
    let again = Updates::from([("new".parse().unwrap(), Some(first.parse().unwrap()))]);
    let reason = refused(&scene, &unsigned, &again);
    assert!(reason.contains("must be signed"), "{reason}");
}

#[test]
fn one_of_the_types_of_keys_will_do_unless_all_are_asked_for() {
    let scene = Scene::new();
    let home = GpgHome::new();
    let key = home.make_key("release", "never");
    let keyring = home.path().join("public.gpg");
    home.export(&keyring, &[], &["release"]);
    let keys = |all| {
        let keyring = keyring.display();
        rules(&format!(
            "[[require]]\nrefs = '**'\nsignatures = {{gpg = '{keyring}', ed25519 = '{PUBLIC}', all = {all}}}\n"
        ))
    };
    sign(&scene.source, "os/a", 1);
    let updates = only(&scene, "os/a");
    let reason = refused(&scene, &keys(true), &updates);
    assert!(reason.contains("no signature of gpg"), "{reason}");
    scene.source.stock.run(&[
        "gpg-sign",
        &format!("--gpg-homedir={}", home.path().display()),
        "os/a",
        &key,
    ]);
    accepted(&scene, &keys(true), &updates);
    scene.source.advance("next");
    sign(&scene.source, "os/a", 1);
    accepted(&scene, &keys(false), &only(&scene, "os/a"));
}

#[test]
fn keys_that_cannot_be_read_let_nothing_pass() {
    let scene = Scene::new();
    let rules = rules("[[require]]\nrefs = '**'\nsignatures = {gpg = '/nowhere/keys.gpg'}\n");
    let ended = scene.push_by(&rules, "tester", &scene.all(), |options| options);
    let error = ended.received.unwrap_err();
    assert!(matches!(&error, TransferError::Policy { line: 6, .. }), "{error}");
    assert!(ended.pushed.is_err());
    scene.assert_has(&Updates::new());
}

#[test]
fn commits_that_are_no_newer_are_refused_though_force_is_allowed() {
    let scene = Scene::new();
    let rules = rules("[[require]]\nrefs = '**'\nnewer = true\n");
    let at = |time: &str| {
        let stock = &scene.source.stock;
        let id = stock.commit_with("os/a", &scene.source.tree(), &[&format!("--timestamp={time}")]);
        Updates::from([("os/a".parse().unwrap(), Some(id.parse().unwrap()))])
    };
    accepted(&scene, &rules, &at("2023-01-02T00:00:00Z"));
    for time in ["2023-01-02T00:00:00Z", "2023-01-01T00:00:00Z"] {
        let reason = refused(&scene, &rules, &at(time));
        assert!(reason.contains("must get newer"), "{reason}");
    }
    accepted(&scene, &rules, &at("2023-01-03T00:00:00Z"));
}

#[test]
fn commits_bound_to_another_ref_or_collection_are_refused_and_promote_is_named() {
    let scene = Scene::new();
    let commit = scene.source.stock.rev_parse("os/a").parse().unwrap();
    let other = Updates::from([("stable".parse().unwrap(), Some(commit))]);
    let reason = refused(&scene, &rules(""), &other);
    assert!(
        reason.contains("‘stable’") && reason.contains("ostler promote"),
        "{reason}"
    );
    accepted(
        &scene,
        &rules("[[require]]\nrefs = 'sta*'\nbindings = 'any'\n"),
        &other,
    );
    // The strictest counts.
    let both =
        rules("[[require]]\nrefs = '**'\nbindings = 'any'\n[[require]]\nrefs = 'x'\nbindings = 'match'\n");
    let reason = refused(
        &scene,
        &both,
        &Updates::from([("x".parse().unwrap(), Some(commit))]),
    );
    assert!(reason.contains("‘x’"), "{reason}");

    let unbound = scene.source.stock.run(&[
        "commit",
        "--orphan",
        "--no-bindings",
        &format!("--tree=dir={}", scene.source.tree().display()),
    ]);
    let unbound = Updates::from([("free".parse().unwrap(), Some(unbound.trim().parse().unwrap()))]);
    let reason = refused(
        &scene,
        &rules("[[require]]\nrefs = '**'\nbindings = 'required'\n"),
        &unbound,
    );
    assert!(reason.contains("no ref binding"), "{reason}");
    accepted(&scene, &rules(""), &unbound);

    scene
        .target
        .run(&["config", "set", "core.collection-id", "org.example.Os"]);
    let reason = refused(&scene, &rules(""), &only(&scene, "os/a"));
    assert!(reason.contains("collection ID"), "{reason}");
}

#[test]
fn classes_that_are_forbidden_are_found_wherever_they_are() {
    let scene = Scene::new();
    accepted(&scene, &rules(""), &scene.all());
    for (number, (class, path, mode)) in [
        ("setuid", "bin/sudo", 0o4755),
        ("setgid", "bin/wall", 0o2755),
        ("world-writable", "open", 0o666),
    ]
    .into_iter()
    .enumerate()
    {
        let tree = Tree::at(&scene.source.tree());
        tree.dir("bin", 0o755).file(path, class, mode);
        scene.source.commit("os/a");
        let updates = only(&scene, "os/a");
        let forbidding = rules(&format!("[[require]]\nrefs = '**'\nforbid = ['{class}']\n"));
        let reason = refused(&scene, &forbidding, &updates);
        assert!(reason.contains(class) && reason.contains(path), "{reason}");
        // What is in the repository already is found under another ref as well.
        let name = format!("lax{number}");
        let commit = updates.values().next().copied().unwrap();
        let lax = rules("[[require]]\nrefs = '**'\nbindings = 'any'\n");
        accepted(&scene, &lax, &Updates::from([(name.parse().unwrap(), commit)]));
        let reason = refused(&scene, &forbidding, &updates);
        assert!(reason.contains(path), "{reason}");
        // And what the ref has led to before may stay.
        accepted(&scene, &rules(""), &updates);
        Tree::at(&scene.source.tree()).file("harmless", class, 0o644);
        scene.source.commit("os/a");
        accepted(&scene, &forbidding, &only(&scene, "os/a"));
    }
    Tree::at(&scene.source.tree())
        .file("noted", "x", 0o644)
        .xattr("noted", "user.note", b"1");
    scene.source.commit("os/a");
    let forbidding = rules("[[require]]\nrefs = '**'\nforbid = 'xattrs'\n");
    let reason = refused(&scene, &forbidding, &only(&scene, "os/a"));
    assert!(reason.contains("noted"), "{reason}");
}
