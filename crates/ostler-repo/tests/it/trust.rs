//! What a remote is trusted with: settings, keys, and what they let through.

use crate::fixture::Fixture;
use ostler_format::gvariant::VarDict;
use ostler_format::signatures::encode_base64;
use ostler_format::{Checksum, RemoteName};
use ostler_repo::sign::{
    Engine, PublicKeys, SignVerify, Signer, Trust, TrustPaths, TrustSettings, add_signature, sign_all,
};
use std::fs;

/// A key of Ed25519 whose seed is 32 times a byte, and its public key.
fn key(byte: u8) -> (Signer, String) {
    let signer = Signer::from_secret(Engine::Ed25519, &encode_base64(&[byte; 32])).unwrap();
    let public = match byte {
        1 => "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=",
        _ => "gTl3Dqh9F19Wo1Rmw0x+zMuNipG07jeiXfYPW4/Js5Q=",
    };
    (signer, public.to_owned())
}

struct Scene {
    fixture: Fixture,
    paths: TrustPaths,
}

impl Scene {
    /// Configures a remote `origin` by the lines of its section.
    fn new(section: &str) -> Self {
        let fixture = Fixture::new();
        fixture.configure(&format!(
            "[remote \"origin\"]\nurl=http://example.org/\n{section}"
        ));
        let keys = fixture.beside("keys");
        fs::create_dir(&keys).unwrap();
        let paths = TrustPaths {
            gpg_keyrings: Vec::new(),
            key_directories: vec![keys],
            temporary: fixture.beside(""),
            dummy: false,
            show_time: |seconds| format!("@{seconds}"),
        };
        Self { fixture, paths }
    }

    fn trust(&self) -> ostler_repo::Result<Trust> {
        let name = RemoteName::new("origin").unwrap();
        Trust::of_remote(&self.fixture.open(), &name, &self.paths)
    }

    #[track_caller]
    fn refused(&self, why: &str) {
        let error = self.trust().unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

fn check(trust: &Trust, detached: &VarDict) -> Result<usize, String> {
    let commit = Checksum::of(b"commit");
    let checked = trust.check_commit(&commit, b"commit", Some(detached));
    checked
        .map(|valid| valid.len())
        .map_err(|error| error.to_string())
}

#[test]
fn settings_are_read_with_the_defaults_of_libostree() {
    let settings = |section: &str| {
        let scene = Scene::new(section);
        TrustSettings::of_remote(&scene.fixture.open(), &RemoteName::new("origin").unwrap())
    };
    let by_default = settings("").unwrap();
    assert!(by_default.gpg_verify && !by_default.gpg_verify_summary);
    assert_eq!(by_default.sign_verify, SignVerify::No);
    let read = settings(
        "gpg-verify=false\ngpg-verify-summary=1\nsign-verify=true\nsign-verify-summary=ed25519;spki;",
    );
    let read = read.unwrap();
    assert!(!read.gpg_verify && read.gpg_verify_summary);
    assert_eq!(read.sign_verify, SignVerify::Any);
    assert_eq!(
        read.sign_verify_summary,
        SignVerify::Of(vec![Engine::Ed25519, Engine::Spki])
    );
    for (section, why) in [
        ("gpg-verify=maybe", "true or false expected"),
        (
            "sign-verify=nosuchsystem",
            "Requested signature type is not implemented",
        ),
        ("sign-verify=gpg", "Requested signature type is not implemented"),
        ("sign-verify=ed25519,spki;dummy", "more than one separator"),
    ] {
        let error = settings(section).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn each_engine_that_is_named_must_have_keys() {
    let (_, public) = key(1);
    Scene::new("gpg-verify=false\nsign-verify=ed25519")
        .refused("No keys found for required signapi type ed25519");
    let both = format!("gpg-verify=false\nsign-verify=ed25519,spki\nverification-ed25519-key={public}");
    Scene::new(&both).refused("No keys found for required signapi type spki");
    Scene::new("gpg-verify=false\nsign-verify=true").refused("No keys found for any signature type");
    let dummy = "gpg-verify=false\nsign-verify=dummy\nverification-dummy-key=k";
    Scene::new(dummy).refused("only for ostree testing");
    let missing = "gpg-verify=false\nsign-verify=true\nverification-ed25519-file=/non/existing";
    Scene::new(missing).refused("cannot read keys from /non/existing");
    let any = format!("gpg-verify=false\nsign-verify=true\nverification-ed25519-key={public}");
    assert!(Scene::new(&any).trust().unwrap().commit_required());
}

#[test]
fn one_signature_by_a_trusted_key_is_enough_and_none_is_not() {
    let ((good, public), (other, _)) = (key(1), key(2));
    let scene = Scene::new(&format!(
        "gpg-verify=false\nsign-verify=true\nverification-ed25519-key={public}"
    ));
    let trust = scene.trust().unwrap();
    let signed = |signers: &[Signer]| sign_all(b"commit", signers).unwrap();
    assert_eq!(check(&trust, &signed(std::slice::from_ref(&good))), Ok(1));
    assert_eq!(check(&trust, &signed(&[other.clone(), good.clone()])), Ok(1));
    let wrong = check(&trust, &signed(&[other])).unwrap_err();
    assert!(
        wrong.starts_with("Can't verify commit: ed25519: Signature couldn't be verified with: key '"),
        "{wrong}"
    );
    assert_eq!(
        check(&trust, &VarDict::new()),
        Err("Can't verify commit: No signatures found".to_owned())
    );
    let unsigned = trust.check_commit(&Checksum::of(b""), b"", None).unwrap_err();
    assert_eq!(
        unsigned.to_string(),
        "Can't verify commit without detached metadata"
    );
    let of_another = sign_all(b"another", &[good]).unwrap();
    assert!(check(&trust, &of_another).is_err());
}

#[test]
fn well_known_keys_hold_for_remotes_without_their_own_and_revocations_for_all() {
    let ((first, first_public), (second, second_public)) = (key(1), key(2));
    let scene = Scene::new("gpg-verify=false\nsign-verify=ed25519");
    let keys = scene.fixture.beside("keys");
    fs::create_dir(keys.join("trusted.ed25519.d")).unwrap();
    fs::write(keys.join("trusted.ed25519.d/one"), &first_public).unwrap();
    let signed = |signer: &Signer| sign_all(b"commit", std::slice::from_ref(signer)).unwrap();
    assert_eq!(check(&scene.trust().unwrap(), &signed(&first)), Ok(1));
    scene
        .fixture
        .configure(&format!("verification-ed25519-keys={second_public};"));
    let trust = scene.trust().unwrap();
    assert_eq!(check(&trust, &signed(&second)), Ok(1));
    assert!(check(&trust, &signed(&first)).is_err());
    fs::write(keys.join("revoked.ed25519"), format!("{second_public}\n")).unwrap();
    scene.refused("No keys found for required signapi type ed25519");
}

#[test]
fn gpg_and_the_sign_interface_must_both_be_content() {
    let (good, public) = key(1);
    let scene = Scene::new(&format!("sign-verify=ed25519\nverification-ed25519-key={public}"));
    let detached = sign_all(b"commit", &[good]).unwrap();
    let error = check(&scene.trust().unwrap(), &detached).unwrap_err();
    assert!(
        error.contains("GPG verification enabled, but no signatures found"),
        "{error}"
    );
}

#[test]
fn summaries_and_deltas_are_checked_by_their_own_settings() {
    let (good, public) = key(1);
    let scene = Scene::new(&format!(
        "gpg-verify=false\nsign-verify-summary=ed25519\nverification-ed25519-key={public}"
    ));
    let trust = scene.trust().unwrap();
    assert!(!trust.commit_required() && trust.summary_required() && !trust.delta_required());
    assert!(trust.missing_summary().is_some());
    let signature = sign_all(b"summary", std::slice::from_ref(&good))
        .unwrap()
        .to_bytes();
    assert_eq!(
        trust.check_summary(b"summary", Some(&signature)).unwrap().len(),
        1
    );
    for (bytes, signature, why) in [
        (&b"changed"[..], Some(&signature[..]), "Can't verify summary"),
        (
            b"summary",
            None,
            "Signatures verification enabled, but no summary.sig found",
        ),
        (
            b"summary",
            Some(b"<html>"),
            "Can't verify summary: No signatures found in summary.sig, which cannot be read: ",
        ),
        (b"summary", Some(b""), "Can't verify summary: No signatures found"),
    ] {
        let error = trust.check_summary(bytes, signature).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    assert!(Trust::none().check_summary(b"summary", None).unwrap().is_empty());

    let mut keys = PublicKeys::new(Engine::Ed25519);
    keys.add(&public).unwrap();
    let trust = Trust::of_keys(vec![keys]);
    let signed = sign_all(b"superblock", &[good]).unwrap();
    assert_eq!(trust.check_delta(b"superblock", Some(&signed)).unwrap().len(), 1);
    assert!(trust.check_delta(b"changed", Some(&signed)).is_err());
    assert!(trust.check_delta(b"superblock", None).is_err());
}

#[test]
fn endless_signatures_keep_nobody_busy() {
    let (good, public) = key(1);
    let scene = Scene::new(&format!(
        "gpg-verify=false\nsign-verify=true\nverification-ed25519-key={public}"
    ));
    let mut detached = VarDict::new();
    // Of nobody.
    ostler_format::set_signatures(&mut detached, Engine::Ed25519.key(), &vec![[0_u8; 64]; 10_000]);
    add_signature(&mut detached, Engine::Ed25519, &good.sign(b"commit").unwrap()).unwrap();
    assert!(
        check(&scene.trust().unwrap(), &detached).is_err(),
        "only the first are looked at"
    );
}

#[test]
fn repositories_sign_commits_and_take_signatures_away() {
    let ((first, _), (second, _)) = (key(1), key(2));
    let fixture = Fixture::new();
    let commit = fixture.commit("main", "one");
    let repo = fixture.open();
    repo.sign_commit(&commit, std::slice::from_ref(&first)).unwrap();
    repo.sign_commit(&commit, &[first, second]).unwrap();
    let detached = repo.load_detached(&commit).unwrap().unwrap();
    let all = ostler_format::signatures(&detached, Engine::Ed25519.key()).unwrap();
    assert_eq!(all.len(), 2, "the same signature is not added twice");
    let doomed = vec![all[0].to_vec()];
    let key = Engine::Ed25519.key();
    assert_eq!(repo.remove_signatures(&commit, key, &doomed).unwrap(), 1);
    assert_eq!(repo.remove_signatures(&commit, key, &doomed).unwrap(), 0);
    let missing = Checksum::of(b"missing");
    assert!(repo.sign_commit(&missing, &[]).unwrap_err().is_not_found());
    fixture.stock.fsck();
}
