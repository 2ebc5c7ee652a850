//! GPG: the oracle is stock, both ways.

use super::{Scene, found, text};
use ostler_format::gvariant::VarDict;
use ostler_format::{GPG_SIGNATURES, append_signature, signatures};
use ostler_testkit::command::{attempt, run};
use ostler_testkit::gpg::GpgHome;
use ostler_testkit::stock::StockRepo;
use std::fs;

/// 2020-01-01.
const LONG_AGO: u64 = 1_577_836_800;

#[test]
fn the_signatures_of_a_remote_summary_are_printed_as_by_stock() {
    let home = GpgHome::new();
    home.make_key("Release <release@example.org>", "never");
    let scene = Scene::new("archive");
    scene.commit("main", &[]);
    scene.run(&[
        "summary",
        "-u",
        "--gpg-sign=release@example.org",
        "--gpg-homedir",
        text(home.path()),
    ]);
    let key = scene.path("key.asc");
    home.export(&key, &["--armor"], &[]);
    let client = StockRepo::init(&scene.path("client"), "archive");
    let url = format!("file://{}", text(&scene.path("repo")));
    let import = format!("--gpg-import={}", text(&key));
    for (name, verified) in [("checked", "true"), ("unchecked", "false")] {
        let setting = format!("--set=gpg-verify-summary={verified}");
        client.run(&["remote", "add", &setting, &import, name, &url]);
        let stock = client.run(&["remote", "summary", name]).replace('\u{2007}', " ");
        let mut ours = crate::programs::ostler(scene.directory.path());
        ours.args(["--repo=client", "remote", "summary", name]);
        assert_eq!(run(&mut ours), stock);
        assert_eq!(stock.contains("found 1 signature:"), verified == "true");
    }
}

#[test]
fn stock_and_we_accept_each_others_signatures_in_every_mode() {
    let home = GpgHome::new();
    home.make_key("Release <release@example.org>", "never");
    for mode in ["archive", "bare", "bare-user", "bare-user-only"] {
        let scene = Scene::new(mode);
        let trusted = home.trusted(scene.path("trusted"), &[]);
        let options = [
            "--gpg-sign=release@example.org",
            "--gpg-homedir",
            text(home.path()),
        ];
        let ours = scene.commit("ours", &options);
        let stock = scene.stock().commit_with("stock", &scene.path("tree"), &options);
        for commit in [&ours, &stock] {
            let by_us = run(scene.ours(&["show", commit]).env("OSTREE_GPG_HOME", &trusted));
            let by_stock = run(scene
                .stock()
                .command()
                .args(["show", commit])
                .env("OSTREE_GPG_HOME", &trusted));
            assert!(
                found(&by_us).contains("Good signature from \"Release <release@example.org>\""),
                "{by_us}"
            );
            assert_eq!(found(&by_us), found(&by_stock), "{mode}");
        }
        let key = scene.path("key.asc");
        home.export(&key, &["--armor"], &[]);
        for (client, program) in [("by-us", "ostler"), ("by-stock", "ostree")] {
            let path = scene.path(client);
            let client = StockRepo::init(&path, "archive");
            client.run(&[
                "remote",
                "add",
                "--gpg-import",
                text(&key),
                "origin",
                "http://example.org/",
            ]);
            for branch in ["ours", "stock"] {
                let arguments = ["pull-local", "--gpg-verify", "--remote=origin", "repo", branch];
                let mut command = match program {
                    "ostler" => crate::programs::ostler(scene.directory.path()),
                    _ => ostler_testkit::command::command("ostree"),
                };
                let repo = format!("--repo={}", text(&path));
                run(command
                    .current_dir(scene.directory.path())
                    .arg(repo)
                    .args(arguments));
            }
            client.fsck();
        }
    }
}

#[test]
fn expired_revoked_missing_and_sub_keys_are_told_as_stock_tells_them() {
    let scene = Scene::new("archive");
    let home = GpgHome::new();
    home.set_time(LONG_AGO);
    home.make_key("Expired <expired@x.org>", "1d");
    home.make_key("Missing <missing@x.org>", "never");
    home.make_key("Good (with a note) <good@x.org>", "80y");
    let revoked = home.make_key("Revoked", "never");
    let sub = home.make_key("Sub <sub@x.org>", "never");
    run(home
        .gpg()
        .args(["--quick-add-key", &sub, "ed25519", "sign", "1d"]));
    let mut commits = Vec::new();
    for key in ["expired", "missing", "good", "Revoked", "sub"] {
        let option = format!("--gpg-sign={key}");
        commits.push(scene.commit(key, &[&option, "--gpg-homedir", text(home.path()), "--orphan"]));
    }
    home.configure(&format!("faked-system-time {LONG_AGO}!\ndefault-sig-expire 1d\n"));
    commits.push(scene.commit(
        "over",
        &[
            "--gpg-sign=good",
            "--gpg-homedir",
            text(home.path()),
            "--subject=over",
        ],
    ));
    home.configure("");
    home.revoke(&revoked);
    let trusted = home.trusted(scene.path("trusted"), &["expired", "good", "Revoked", "sub"]);
    let expected = [
        &["BAD signature from \"Expired <expired@x.org>\"", "Key expired"][..],
        &["Can't check signature: public key not found"],
        &["Good signature from \"Good <good@x.org>\"", "Key expires"],
        &["Key revoked"],
        &[
            "BAD signature from \"Sub <sub@x.org>\"",
            "Primary key ID",
            "Key expired",
        ],
        &[
            "Expired signature from \"Good <good@x.org>\"",
            "Signature expired",
        ],
    ];
    for (commit, words) in commits.iter().zip(expected) {
        let by_us = found(&run(scene
            .ours(&["show", commit])
            .env("OSTREE_GPG_HOME", &trusted)));
        let mut stock = scene.stock().command();
        let by_stock = found(&run(stock
            .args(["show", commit])
            .env("OSTREE_GPG_HOME", &trusted)));
        assert_eq!(by_us, by_stock);
        for word in words {
            assert!(by_us.contains(word), "{word}: {by_us}");
        }
        only_good_ones_are_pulled(&scene, commit, &by_us, words);
    }
}

/// Pulls a commit by the trusted keys, and compares with what `show` says.
#[track_caller]
fn only_good_ones_are_pulled(scene: &Scene, commit: &str, shown: &str, words: &[&str]) {
    let target = scene.path(&format!("pull-{commit}"));
    let client = StockRepo::init(&target, "archive");
    let keyring = scene.path("trusted/keyring.gpg");
    let path = format!("--set=gpgkeypath={}", text(&keyring));
    client.run(&["remote", "add", &path, "origin", "http://example.org/"]);
    let repo = format!("--repo={}", text(&target));
    let arguments = [
        &repo,
        "pull-local",
        "--gpg-verify",
        "--remote=origin",
        "repo",
        commit,
    ];
    let pulled = attempt(crate::programs::ostler(scene.directory.path()).args(arguments));
    let said = String::from_utf8_lossy(&pulled.stderr);
    assert_eq!(
        pulled.status.success(),
        shown.contains("Good signature"),
        "{said}"
    );
    if !pulled.status.success() {
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        assert_eq!(
            fs::read_dir(target.join("refs/remotes")).expect("refs").count(),
            0
        );
    }
}

#[test]
fn one_good_signature_behind_a_bad_one_and_one_of_nobody_is_enough() {
    let scene = Scene::new("archive");
    let home = GpgHome::new();
    home.make_key("good@x.org", "never");
    home.make_key("nobody@x.org", "never");
    let option = ["--gpg-homedir", text(home.path())];
    let other = scene.commit(
        "other",
        &[&["--gpg-sign=good@x.org", "--subject=other"], &option[..]].concat(),
    );
    let commit = scene.commit(
        "main",
        &[&["--gpg-sign=nobody@x.org", "--gpg-sign=good@x.org"], &option[..]].concat(),
    );
    let bad = scene.detached(&other);
    let own = scene.detached(&commit);
    let mut all = VarDict::new();
    for signature in signatures(&bad, GPG_SIGNATURES)
        .expect("signatures")
        .into_iter()
        .chain(signatures(&own, GPG_SIGNATURES).expect("signatures"))
    {
        append_signature(&mut all, GPG_SIGNATURES, signature).expect("signatures");
    }
    scene.set_detached(&commit, &all);
    let trusted = home.trusted(scene.path("trusted"), &["good@x.org"]);
    let shown = run(scene.ours(&["show", &commit]).env("OSTREE_GPG_HOME", &trusted));
    for word in [
        "Found 3 signatures",
        "BAD signature",
        "public key not found",
        "Good signature",
    ] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    scene.run(&["remote", "add", "origin", "http://example.org/"]);
    let client = StockRepo::init(&scene.path("client"), "archive");
    client.run(&["remote", "add", "origin", "http://example.org/"]);
    let pull = [
        "--repo=client",
        "pull-local",
        "--gpg-verify",
        "--remote=origin",
        "repo",
        "main",
    ];
    run(crate::programs::ostler(scene.directory.path())
        .args(pull)
        .env("OSTREE_GPG_HOME", &trusted));
}

#[test]
fn a_commit_that_cannot_be_signed_is_not_made() {
    let scene = Scene::new("archive");
    let home = GpgHome::new();
    let said = scene.fail(&[
        "commit",
        "-b",
        "main",
        "--gpg-sign=nobody",
        "--gpg-homedir",
        text(home.path()),
        "tree",
    ]);
    assert!(said.contains("No gpg key found with ID nobody"), "{said}");
    assert!(scene.stock().refs().is_empty());
    for key in ["--options=/etc/passwd", ""] {
        let option = format!("--gpg-sign={key}");
        let said = scene.fail(&["commit", "-b", "main", &option, "tree"]);
        assert!(said.contains("names no key"), "{said}");
    }
}

#[test]
fn gpg_sign_signs_once_with_a_key_and_deletes_by_key() {
    let scene = Scene::new("archive");
    let home = GpgHome::new();
    let first = home.make_key("first@x.org", "never");
    home.make_key("second@x.org", "never");
    let short = first.split_at(24).1;
    let commit = scene.commit("main", &["--add-detached-metadata-string=note=kept"]);
    let homedir = format!("--gpg-homedir={}", text(home.path()));
    let sign = |arguments: &[&str]| {
        let fixed = ["gpg-sign", &homedir, "main"];
        scene.attempt(&[&fixed[..], arguments].concat())
    };
    assert!(sign(&["first@x.org", "second@x.org"]).status.success());
    for key in ["first@x.org", &first, short] {
        let again = sign(&[key]);
        let said = String::from_utf8_lossy(&again.stderr);
        assert!(
            said.contains(&format!("already signed with GPG key {key}")),
            "{said}"
        );
    }
    assert_eq!(
        signatures(&scene.detached(&commit), GPG_SIGNATURES)
            .expect("two")
            .len(),
        2
    );
    let deleted = sign(&["--delete", "second@x.org", "nobody@x.org"]);
    assert_eq!(
        String::from_utf8_lossy(&deleted.stdout),
        "Signatures deleted: 1\n"
    );
    let deleted = sign(&["--delete", "second@x.org"]);
    assert_eq!(
        String::from_utf8_lossy(&deleted.stdout),
        "Signatures deleted: 0\n"
    );
    let deleted = sign(&["-d", short]);
    assert_eq!(
        String::from_utf8_lossy(&deleted.stdout),
        "Signatures deleted: 1\n"
    );
    let left = scene.detached(&commit);
    assert_eq!(left.get(GPG_SIGNATURES), None);
    assert_eq!(left.get_str("note"), Some("kept"));
    assert!(!scene.run(&["show", "main"]).contains("Found"));
}

#[test]
fn without_gpg_a_commit_is_shown_and_not_trusted() {
    let scene = Scene::new("archive");
    let home = GpgHome::new();
    home.make_key("good@x.org", "never");
    scene.commit(
        "main",
        &["--gpg-sign=good@x.org", "--gpg-homedir", text(home.path())],
    );
    let shown = attempt(scene.ours(&["show", "main"]).env("PATH", scene.path("none")));
    assert!(shown.status.success());
    assert!(String::from_utf8_lossy(&shown.stdout).contains("Found 1 signature"));
    assert!(String::from_utf8_lossy(&shown.stderr).contains("gpg is not installed"));
    let homedir = format!("--gpg-homedir={}", text(home.path()));
    for arguments in [
        &["show", &homedir, "main"][..],
        &["gpg-sign", &homedir, "main", "good@x.org"],
    ] {
        let output = attempt(scene.ours(arguments).env("PATH", scene.path("none")));
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    }
}

#[test]
fn nothing_of_gpg_is_left_behind() {
    let scene = Scene::new("archive");
    let home = GpgHome::new();
    home.make_key("good@x.org", "never");
    scene.commit(
        "main",
        &["--gpg-sign=good@x.org", "--gpg-homedir", text(home.path())],
    );
    let trusted = home.trusted(scene.path("trusted"), &[]);
    let temporary = scene.path("tmp");
    fs::create_dir(&temporary).expect("our own directory");
    run(scene
        .ours(&["show", "main"])
        .env("TMPDIR", &temporary)
        .env("OSTREE_GPG_HOME", &trusted));
    assert_eq!(fs::read_dir(&temporary).expect("our own directory").count(), 0);
    for process in fs::read_dir("/proc").expect("processes").flatten() {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        assert!(!line.contains(text(&temporary)), "{line}");
    }
}
