//! ed25519, spki and dummy: the oracle is openssl, and stock where it can.

use super::{Scene, make_key, text};
use ostler_format::gvariant::VarDict;
use ostler_format::signatures::{DUMMY_SIGNATURES, encode_base64, pem_blocks};
use ostler_format::{ED25519_SIGNATURES, SPKI_SIGNATURES, append_signature, signatures};
use ostler_testkit::command::{attempt, command, run};
use ostler_testkit::stock::StockRepo;
use std::fs;
use std::path::PathBuf;

/// Makes a key of Ed25519; returns seed and public key as libostree writes them.
pub(super) fn make_ed25519(scene: &Scene, name: &str) -> (String, String) {
    let (secret, public) = make_key(scene.directory.path(), name, &["ed25519"]);
    let last_32 = |path: &PathBuf| {
        let block = pem_blocks(&fs::read(path).expect("a key"))
            .expect("PEM")
            .remove(0);
        block.bytes[block.bytes.len() - 32..].to_vec()
    };
    let (seed, key) = (last_32(&secret), last_32(&public));
    (encode_base64(&[&seed[..], &key].concat()), encode_base64(&key))
}

#[test]
fn openssl_accepts_our_signatures_and_we_its_own() {
    let scene = Scene::new("archive");
    let (secret, public) = make_ed25519(&scene, "ed");
    scene.write("ed.secret", format!("# release\n\n{secret}\n"));
    scene.write("ed.public", format!("{public}\n"));
    let commit = scene.commit("main", &["--sign-from-file=ed.secret"]);
    let data = scene.write("data", scene.commit_bytes(&commit));
    let detached = scene.detached(&commit);
    let own = signatures(&detached, ED25519_SIGNATURES).expect("a signature");
    scene.write("signature", own[0]);
    let mut verify = command("openssl");
    verify.current_dir(scene.directory.path());
    run(verify
        .args(["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "ed.pub.pem"])
        .args(["-in", text(&data), "-sigfile", "signature"]));
    let verified = scene.run(&["sign", "--verify", "--keys-file=ed.public", "main"]);
    assert!(
        verified.starts_with("ed25519: Signature verified successfully with key '"),
        "{verified}"
    );

    let by_command = "--sign-command=ed25519=cat >in && openssl pkeyutl -sign -rawin -inkey ed.pem -in in";
    let commit = scene.commit("command", &[by_command, "--subject=command"]);
    assert_eq!(
        signatures(&scene.detached(&commit), ED25519_SIGNATURES)
            .expect("one")
            .len(),
        1
    );
    scene.run(&["sign", "--verify", "command", &public]);
    let other = make_ed25519(&scene, "other").1;
    let said = scene.fail(&["sign", "--verify", "command", &other]);
    assert!(
        said.contains("error: No valid signatures found: ed25519: Signature couldn't be verified"),
        "{said}"
    );
}

#[test]
fn keys_in_x509_form_sign_what_openssl_accepts() {
    let scene = Scene::new("archive");
    scene.commit("main", &[]);
    let kinds = [
        ("rsa", &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"][..], true),
        ("p256", &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"], true),
        ("edwards", &["ed25519"], true),
        ("p384", &["EC", "-pkeyopt", "ec_paramgen_curve:P-384"], false),
    ];
    for (name, options, can_sign) in kinds {
        make_key(scene.directory.path(), name, options);
        let (secret, public) = (
            format!("--keys-file={name}.pem"),
            format!("--keys-file={name}.pub.pem"),
        );
        let commit = scene.commit(name, &["--subject", name]);
        let sign = ["sign", "-s", "spki", &secret, name];
        if can_sign {
            scene.run(&sign);
            let data = scene.write("data", scene.commit_bytes(&commit));
            let detached = scene.detached(&commit);
            scene.write(
                "signature",
                signatures(&detached, SPKI_SIGNATURES).expect("one")[0],
            );
            let key = format!("{name}.pub.pem");
            let mut verify = command("openssl");
            verify.current_dir(scene.directory.path());
            if name == "edwards" {
                verify.args([
                    "pkeyutl",
                    "-verify",
                    "-rawin",
                    "-pubin",
                    "-inkey",
                    &key,
                    "-sigfile",
                    "signature",
                    "-in",
                ]);
            } else {
                verify.args(["dgst", "-sha256", "-verify", &key, "-signature", "signature"]);
            }
            run(verify.arg(&data));
        } else {
            let said = scene.fail(&sign);
            assert!(said.contains("an external command can sign with it"), "{said}");
            let by_command = format!("--sign-command=spki=openssl dgst -sha256 -sign {name}.pem");
            scene.run(&["sign", &by_command, name]);
        }
        let verified = scene.run(&["sign", "--verify", "-s", "spki", &public, name]);
        assert!(
            verified.starts_with("spki: Signature verified successfully"),
            "{verified}"
        );
        scene.fail(&["sign", "--verify", "-s", "spki", &public, "main"]);
    }
    let der = pem_blocks(&fs::read(scene.path("p256.pub.pem")).expect("a key"))
        .expect("PEM")
        .remove(0);
    scene.run(&[
        "sign",
        "--verify",
        "-s",
        "spki",
        "p256",
        &encode_base64(&der.bytes),
    ]);
    scene.write("p256.der", &der.bytes);
    scene.run(&["sign", "--verify", "-s", "spki", "--keys-file=p256.der", "p256"]);
}

#[test]
fn revoked_keys_count_for_nothing_wherever_they_are_trusted() {
    let scene = Scene::new("archive");
    let (secret, public) = make_ed25519(&scene, "ed");
    scene.write("secret", &secret);
    scene.commit("main", &["--sign-from-file=secret"]);
    let verify = ["sign", "--verify", "--keys-dir=keys", "main"];
    fs::create_dir_all(scene.path("keys/trusted.ed25519.d")).expect("our own directory");
    scene.fail(&verify);
    scene.write("keys/trusted.ed25519.d/a", make_ed25519(&scene, "other").1);
    scene.write("keys/trusted.ed25519.d/b", &public);
    scene.run(&verify);
    scene.write("keys/revoked.ed25519", &public);
    scene.fail(&verify);
    scene.fail(&["sign", "--verify", "--keys-dir=keys", "main", &public]);
}

#[test]
fn a_signature_of_another_length_ends_the_check() {
    let scene = Scene::new("archive");
    let (secret, public) = make_ed25519(&scene, "ed");
    scene.write("secret", &secret);
    let commit = scene.commit("main", &["--sign-from-file=secret"]);
    let own = scene.detached(&commit);
    let good = signatures(&own, ED25519_SIGNATURES).expect("one")[0].to_vec();
    let mut both = VarDict::new();
    append_signature(&mut both, ED25519_SIGNATURES, b"short").expect("a list");
    append_signature(&mut both, ED25519_SIGNATURES, &good).expect("a list");
    scene.set_detached(&commit, &both);
    let said = scene.fail(&["sign", "--verify", "main", &public]);
    assert!(
        said.contains("Invalid signature length of 5 bytes, expected 64"),
        "{said}"
    );
}

#[test]
fn dummy_signatures_are_for_those_who_ask_for_them() {
    let scene = Scene::new("archive");
    scene.commit("main", &[]);
    let sign = ["sign", "-s", "dummy", "main", "key"];
    let said = scene.fail(&sign);
    assert!(
        said.contains("dummy signature type is only for ostree testing"),
        "{said}"
    );
    let said = scene.fail(&["sign", "-s", "dummy", "--verify", "main", "key"]);
    assert!(said.contains("No valid signatures found"), "{said}");
    let allowed = |arguments: &[&str]| attempt(scene.ours(arguments).env("OSTREE_DUMMY_SIGN_ENABLED", "1"));
    assert!(allowed(&sign).status.success());
    let mut stock = scene.stock().command();
    let verify = ["sign", "-s", "dummy", "--verify", "main", "key"];
    run(stock.args(verify).env("OSTREE_DUMMY_SIGN_ENABLED", "1"));
    let verified = allowed(&verify);
    assert_eq!(
        String::from_utf8_lossy(&verified.stdout),
        "dummy: Signature verified\n"
    );
    let commit = scene.stock().rev_parse("main");
    assert_eq!(
        signatures(&scene.detached(&commit), DUMMY_SIGNATURES),
        Ok(vec![&b"key"[..]])
    );
    let deleted = allowed(&["sign", "-s", "dummy", "--delete", "main", "key"]);
    assert_eq!(
        String::from_utf8_lossy(&deleted.stdout),
        "Signatures deleted: 1\n"
    );
    assert_eq!(
        scene.fail(&["sign", "-s", "rsa", "main", "key"]).lines().next(),
        Some("error: Requested signature type is not implemented: 'rsa'")
    );
}

#[test]
fn where_signatures_are_asked_for_objects_of_this_machine_are_hashed() {
    let scene = Scene::new("archive");
    let (secret, public) = make_ed25519(&scene, "ed");
    scene.write("ed.secret", format!("{secret}\n"));
    let content = || {
        let found = run(command("find")
            .arg(scene.path("repo/objects"))
            .args(["-name", "*.filez"]));
        found.lines().map(PathBuf::from).collect::<Vec<_>>()
    };
    scene.commit("main", &["--sign-from-file=ed.secret"]);
    let signed = content().remove(0);
    scene.write("tree/file", "something else\n");
    scene.commit("other", &[]);
    let other = content()
        .into_iter()
        .find(|path| *path != signed)
        .expect("a second");
    fs::remove_file(&signed).expect("our own file");
    fs::copy(other, &signed).expect("our own file");

    let attempt_in = |name: &str, arguments: &[&str]| {
        let client = StockRepo::init(&scene.path(name), "archive");
        let url = format!("file://{}", scene.path("repo").display());
        client.run(&["remote", "add", "--no-gpg-verify", "origin", &url]);
        // Stock without engines knows no options for it.
        for (key, value) in [("sign-verify", "ed25519"), ("verification-ed25519-key", &public)] {
            client.run(&["config", "set", &format!("remote \"origin\".{key}"), value]);
        }
        client.run(&["remote", "add", "--no-gpg-verify", "unsigned", &url]);
        let mut ours = crate::programs::ostler(scene.directory.path());
        let output = attempt(ours.arg(format!("--repo={name}")).args(arguments));
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    for (name, pull) in [
        ("by-url", &["pull", "origin", "main"][..]),
        (
            "by-path",
            &["pull-local", "--sign-verify", "--remote=origin", "repo", "main"],
        ),
    ] {
        let (done, said) = attempt_in(name, pull);
        assert!(!done && said.contains(".file"), "{said}");
        assert_eq!(StockRepo::open(&scene.path(name)).refs(), Vec::<String>::new());
    }
    for (name, pull) in [
        ("by-url-unsigned", &["pull", "unsigned", "main"][..]),
        ("by-path-unsigned", &["pull-local", "repo", "main"]),
    ] {
        let (done, said) = attempt_in(name, pull);
        assert!(done, "{said}");
    }
}
