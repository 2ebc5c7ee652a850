//! Secret keys: on no command line of a child, in no message.

use super::Scene;
use super::engines::make_ed25519;
use crate::programs::OSTLER;
use ostler_testkit::command::{attempt, command, run};
use std::fs;
use std::io::Write as _;
use std::process::Stdio;

#[test]
fn no_child_is_given_a_secret_and_no_message_shows_one() {
    let scene = Scene::new("archive");
    let (secret, _) = make_ed25519(&scene, "ed");
    scene.write("secret", &secret);
    let pem = fs::read_to_string(scene.path("ed.pem")).expect("a key");
    let body = pem.lines().nth(1).expect("a key").to_owned();
    let log = scene.path("log");
    let mut strace = command("strace");
    strace
        .current_dir(scene.directory.path())
        .args(["-f", "-s", "9999", "-v", "-e", "trace=execve", "-o"])
        .arg(&log)
        .args([OSTLER, "-v", "--repo=repo", "commit", "-b", "main", "tree"])
        .args([
            "--sign-from-file=secret",
            "--sign-command=spki=head -c 64 /dev/zero",
        ]);
    run(&mut strace);
    scene.write("spki", &pem);
    run(&mut scene.ours(&["sign", "-s", "spki", "--keys-file=spki", "main"]));
    let log = fs::read_to_string(log).expect("the log");
    assert!(
        log.contains("head -c 64 /dev/zero"),
        "the children are in the log"
    );
    assert!(!log.contains(&secret) && !log.contains(&body), "{log}");

    let broken = secret.replace('=', "");
    let cut = broken.split_at(broken.len() - 7).0;
    scene.write("cut", cut);
    scene.write("twice", format!("{secret}{secret}\n"));
    scene.write("pem", pem.replace("-----END PRIVATE KEY-----", ""));
    for arguments in [
        &["sign", "--keys-file=cut", "main"][..],
        &["sign", "--keys-file=twice", "main"],
        &["sign", "-s", "spki", "--keys-file=pem", "main"],
        &["sign", "-s", "spki", "--keys-file=secret", "main"],
        &["sign", "main", cut],
        &["sign", "main", &broken, "?"],
        &["commit", "-b", "x", "tree", "--sign", cut],
        &["commit", "-b", "x", "tree", "--sign-type=spki", "--sign", &secret],
    ] {
        let said = scene.fail(arguments);
        for part in [secret.get(4..16), body.get(20..32)].map(Option::unwrap) {
            assert!(!said.contains(part), "{arguments:?}: {said}");
        }
    }
}

#[test]
fn secret_keys_are_read_from_standard_input_as_well() {
    let scene = Scene::new("archive");
    let (secret, public) = make_ed25519(&scene, "ed");
    scene.commit("main", &[]);
    let mut sign = scene.ours(&["sign", "--keys-file=-", "main"]);
    let mut child = sign.stdin(Stdio::piped()).spawn().expect("our own program");
    let mut input = child.stdin.take().expect("a pipe");
    writeln!(input, "{secret}").expect("it reads");
    drop(input);
    assert!(child.wait().expect("it ends").success());
    scene.run(&["sign", "--verify", "main", &public]);
}

#[test]
fn commands_that_do_not_sign_are_told_of() {
    let scene = Scene::new("archive");
    scene.commit("main", &[]);
    for (option, why) in [
        ("--sign-command=spki=echo locked >&2; exit 1", "locked"),
        ("--sign-command=spki=true", "it gave no signature"),
        ("--sign-command=ed25519=echo x", "2 bytes, expected 64"),
        ("--sign-command=spki=yes", "cannot sign with the command for spki"),
        (
            "--sign-command=rsa=true",
            "Requested signature type is not implemented",
        ),
    ] {
        let output = attempt(&mut scene.ours(&["sign", option, "main"]));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{option}: {said}");
    }
    let output = attempt(&mut scene.ours(&["sign", "--sign-command=x", "main"]));
    assert_eq!(output.status.code(), Some(2));
}
