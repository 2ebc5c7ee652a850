//! Keys of remotes: in every form, imported and listed.

use super::{Scene, text};
use crate::programs::ostler;
use ostler_testkit::command::{attempt, command, fail, run};
use ostler_testkit::gpg::GpgHome;
use ostler_testkit::stock::StockRepo;
use std::fs;
use std::process::Output;

/// A signed commit on `main`, and a repository `client`.
struct Signed {
    scene: Scene,
    home: GpgHome,
    client: StockRepo,
}

impl Signed {
    fn new() -> Self {
        let scene = Scene::new("archive");
        let home = GpgHome::new();
        home.make_key("good@x.org", "never");
        home.make_key("other@x.org", "never");
        scene.commit(
            "main",
            &["--gpg-sign=good@x.org", "--gpg-homedir", text(home.path())],
        );
        let client = StockRepo::init(&scene.path("client"), "archive");
        Self { scene, home, client }
    }

    /// Pulls by the keys of a remote.
    fn pull(&self, remote: &str) -> Output {
        let remote = format!("--remote={remote}");
        let arguments = [
            "--repo=client",
            "pull-local",
            "--gpg-verify",
            &remote,
            "repo",
            "main",
        ];
        attempt(
            ostler(self.scene.directory.path())
                .args(arguments)
                .env("OSTREE_GPG_HOME", self.scene.path("global")),
        )
    }

    #[track_caller]
    fn accepts(&self, remote: &str) {
        let output = self.pull(remote);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{remote}: {said}");
    }

    #[track_caller]
    fn refuses(&self, remote: &str, why: &str) {
        let output = self.pull(remote);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{remote}");
        assert!(said.contains(why), "{remote}: {said}");
    }

    fn add(&self, remote: &str, keys: &str) {
        let set = format!("--set=gpgkeypath={keys}");
        self.client
            .run(&["remote", "add", &set, remote, "http://example.org/"]);
    }
}

#[test]
fn key_paths_may_be_armor_packets_keyboxes_and_directories() {
    let signed = Signed::new();
    let (scene, home) = (&signed.scene, &signed.home);
    let directory = scene.path("keys");
    fs::create_dir(&directory).expect("our own directory");
    home.export(&directory.join("good.asc"), &["--armor"], &["good@x.org"]);
    home.export(&scene.path("other.gpg"), &[], &["other@x.org"]);
    home.export(&scene.path("both.gpg"), &[], &[]);
    let (asc, other) = (directory.join("good.asc"), scene.path("other.gpg"));
    let (asc, other) = (text(&asc), text(&other));
    // Secret keys and the like beside them do no harm.
    fs::write(directory.join("trustdb.gpg"), b"\x01gpg\x03").expect("our own file");
    signed.add("armor", asc);
    signed.add("packets", text(&scene.path("both.gpg")));
    signed.add("keybox", text(&home.path().join("pubring.kbx")));
    signed.add("directory", text(&directory));
    signed.add("commas", &format!("{other},{asc},"));
    signed.add("semicolons", &format!("{other};{asc}"));
    for remote in ["armor", "packets", "keybox", "directory", "commas", "semicolons"] {
        signed.accepts(remote);
    }
    signed.add("wrong", other);
    signed.refuses("wrong", "public key not found");
    signed.add("mixed", &format!("{other},{asc};{asc}"));
    signed.refuses("mixed", "key value list contains more than one separator");
    signed.add("gone", &format!("{asc},/nonexistent/KEY.asc"));
    signed.refuses("gone", "/nonexistent/KEY.asc: No such file or directory");
    fs::write(scene.path("empty.asc"), "no key").expect("our own file");
    signed.add("empty", text(&scene.path("empty.asc")));
    signed.refuses("empty", "no public keys in");
}

#[test]
fn global_keyrings_hold_only_for_remotes_without_keys() {
    let signed = Signed::new();
    signed.home.trusted(signed.scene.path("global"), &["good@x.org"]);
    signed
        .home
        .export(&signed.scene.path("other.gpg"), &[], &["other@x.org"]);
    signed
        .client
        .run(&["remote", "add", "without", "http://example.org/"]);
    signed.accepts("without");
    let other = signed.scene.path("other.gpg");
    signed.add("path", text(&other));
    signed.refuses("path", "public key not found");
    let import = [
        "remote",
        "add",
        "--gpg-import",
        text(&other),
        "ring",
        "http://example.org/",
    ];
    signed.client.run(&import);
    signed.refuses("ring", "public key not found");
}

#[test]
fn an_import_leaves_a_keyring_that_it_cannot_read_as_it_is() {
    let home = GpgHome::new();
    home.make_key("Good <good@x.org>", "never");
    let scene = Scene::new("archive");
    home.export(&scene.path("good.gpg"), &[], &[]);
    StockRepo::init(&scene.path("by-us"), "archive").run(&["remote", "add", "origin", "http://x.org/"]);
    let keyring = scene.path("by-us/origin.trustedkeys.gpg");
    for unreadable in [&b"no keys that we know"[..], b"\x99\x01\x0d\x04cut short"] {
        fs::write(&keyring, unreadable).unwrap();
        let import = ["--repo=by-us", "remote", "gpg-import", "-k", "good.gpg", "origin"];
        let told = fail(ostler(scene.directory.path()).args(import));
        assert!(
            told.contains("no public keys in origin.trustedkeys.gpg"),
            "{told}"
        );
        assert_eq!(fs::read(&keyring).unwrap(), unreadable);
    }
}

#[test]
fn imports_count_and_list_as_stock_does() {
    let home = GpgHome::new();
    home.make_key("Good <good@x.org>", "never");
    let other = home.make_key("Other (note) <other@X.org>", "10y");
    run(home
        .gpg()
        .args(["--quick-add-key", &other, "ed25519", "sign", "9y"]));
    let scene = Scene::new("archive");
    home.export(&scene.path("all.gpg"), &[], &[]);
    home.export(&scene.path("good.asc"), &["--armor"], &["Good"]);
    let steps = [
        &["gpg-import", "-k", "good.asc", "origin"][..],
        &["gpg-import", "-k", "all.gpg", "origin", "good@x.org"],
        &["gpg-import", "--keyring", "all.gpg", "origin"],
        &["gpg-import", "--keyring", "all.gpg", "origin"],
        &["gpg-list-keys", "origin"],
        &["gpg-list-keys"],
    ];
    let mut printed = Vec::new();
    for (repo, ours) in [("by-us", true), ("by-stock", false)] {
        StockRepo::init(&scene.path(repo), "archive").run(&["remote", "add", "origin", "http://x.org/"]);
        let option = format!("--repo={repo}");
        let all: Vec<String> = steps
            .iter()
            .map(|step| {
                let mut program = if ours {
                    ostler(scene.directory.path())
                } else {
                    command("ostree")
                };
                program
                    .current_dir(scene.directory.path())
                    .env("OSTREE_GPG_HOME", scene.path("none"))
                    .args([&option, "remote"])
                    .args(*step);
                run(&mut program)
            })
            .collect();
        printed.push(all);
    }
    assert_eq!(printed[0], printed[1]);
    assert_eq!(printed[0][0], "Imported 1 GPG key to remote \"origin\"\n");
    assert!(printed[0][4].contains("Subkey: "), "{}", printed[0][4]);
}

#[test]
fn an_import_brings_revocations_and_never_takes_keys_away() {
    let signed = Signed::new();
    let keyring = signed.scene.path("ring.gpg");
    signed.home.export(&keyring, &[], &["good@x.org"]);
    signed
        .client
        .run(&["remote", "add", "origin", "http://example.org/"]);
    let import = |arguments: &[&str]| {
        let fixed = ["--repo=client", "remote", "gpg-import", "origin"];
        attempt(ostler(signed.scene.directory.path()).args(fixed).args(arguments))
    };
    assert!(import(&["-k", "ring.gpg"]).status.success());
    signed.accepts("origin");
    let said = import(&["-k", "ring.gpg", "nobody@x.org"]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("Unable to find key \"nobody@x.org\""));
    let fingerprint = signed.home.fingerprints("good@x.org").remove(0);
    signed.home.revoke(&fingerprint);
    signed.home.export(&keyring, &[], &["good@x.org"]);
    let again = import(&["-k", "ring.gpg"]);
    assert!(String::from_utf8_lossy(&again.stdout).starts_with("Imported 0 GPG keys"));
    signed.home.export(&keyring, &[], &["other@x.org"]);
    assert!(import(&["-k", "ring.gpg"]).status.success());
    let listed = signed.client.run(&["remote", "gpg-list-keys", "origin"]);
    assert!(listed.contains(&format!("{fingerprint} (revoked)")), "{listed}");
    assert!(listed.contains("other@x.org"), "{listed}");
    // What is pulled already is looked at again.
    signed.refuses("origin", "Key revoked");
}

#[test]
fn users_that_are_a_bare_address_are_told_as_by_stock() {
    let signed = Signed::new();
    let keyring = signed.scene.path("ring.gpg");
    signed.home.make_key("Named <named@x.org>", "never");
    signed.home.make_key("a name without address", "never");
    signed.home.export(&keyring, &[], &[]);
    let add = format!("--gpg-import={}", text(&keyring));
    signed
        .client
        .run(&["remote", "add", &add, "origin", "http://localhost"]);
    let list = ["remote", "gpg-list-keys", "origin"];

    let stock = signed.client.run(&list);

    assert!(stock.contains("/.well-known/openpgpkey/hu/"), "{stock}");
    let mut ours = ostler(signed.scene.directory.path());
    assert_eq!(run(ours.arg("--repo=client").args(list)), stock);
    let trusted = signed.home.trusted(signed.scene.path("trusted"), &[]);
    let shown = run(signed
        .scene
        .ours(&["show", "main"])
        .env("OSTREE_GPG_HOME", &trusted));
    assert!(shown.contains("Good signature from \" <good@x.org>\""), "{shown}");
}

#[test]
fn a_remote_whose_keys_cannot_be_read_is_not_added() {
    let scene = Scene::new("archive");
    scene.write("broken.asc", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ");
    for file in ["broken.asc", "missing.asc", "tree/file"] {
        scene.fail(&[
            "remote",
            "add",
            "--gpg-import",
            file,
            "origin",
            "http://example.org/",
        ]);
        assert_eq!(scene.run(&["remote", "list"]), "");
    }
}

#[test]
fn a_signed_summary_must_fit_what_is_pulled() {
    let signed = Signed::new();
    signed.home.trusted(signed.scene.path("global"), &["good@x.org"]);
    signed
        .client
        .run(&["remote", "add", "origin", "http://example.org/"]);
    let pull = |expected: Option<&str>| {
        let arguments = [
            "--repo=client",
            "pull-local",
            "--gpg-verify-summary",
            "--remote=origin",
            "repo",
            "main",
        ];
        let output = attempt(
            ostler(signed.scene.directory.path())
                .args(arguments)
                .env("OSTREE_GPG_HOME", signed.scene.path("global")),
        );
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match expected {
            None => assert!(output.status.success(), "{said}"),
            Some(word) => assert!(!output.status.success() && said.contains(word), "{said}"),
        }
    };
    let homedir = format!("--gpg-homedir={}", text(signed.home.path()));
    pull(Some("GPG verification enabled, but no summary found"));
    signed.scene.stock().run(&["summary", "-u"]);
    pull(Some("no summary.sig found"));
    let update = ["summary", "-u", "--gpg-sign=other@x.org", &homedir];
    signed.scene.stock().run(&update);
    pull(Some("public key not found"));
    let update = ["summary", "-u", "--gpg-sign=good@x.org", &homedir];
    signed.scene.stock().run(&update);
    signed.scene.commit("main", &["--subject=later"]);
    pull(Some("the signed summary does not say that main is at commit"));
    signed.scene.stock().run(&update);
    pull(None);
}
