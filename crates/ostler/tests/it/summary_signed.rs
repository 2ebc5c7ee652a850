//! Signed summaries as clients see them while they change, and after a crash.

use crate::programs::ostler;
use crate::publish_scene::{advance, copy_tree, make_source};
use ostler_format::signatures::encode_base64;
use ostler_format::{Checksum, Summary, parse_detached, signatures};
use ostler_repo::sign::{Engine, PublicKeys};
use ostler_testkit::client::Client;
use ostler_testkit::command::{attempt, command, run};
use ostler_testkit::nginx::Nginx;
use ostler_testkit::oracle::strays;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::strace::{Kind, changing_calls, for_each_point, run_with_fault};
use ostler_testkit::tree::Tree;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// A pair of keys of RFC 8032.
const SECRET: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

/// Makes another summary even within the same second.
const NEWS: &str = "--add-metadata=example.news=true";

fn base64(hex: &str) -> String {
    encode_base64(Checksum::from_hex(hex).unwrap().as_bytes())
}

/// Checks a summary against the signatures of ed25519 in a file, as clients do.
fn fits(summary: &[u8], file: &[u8]) -> bool {
    let mut keys = PublicKeys::new(Engine::Ed25519);
    keys.add(base64(PUBLIC)).unwrap();
    let file = parse_detached(file).unwrap();
    let found = signatures(&file, Engine::Ed25519.key()).unwrap();
    keys.check(summary, &found).is_ok()
}

fn pair(repo: &Path) -> (Vec<u8>, Vec<u8>) {
    let read = |name| fs::read(repo.join(name)).unwrap();
    (read("summary"), read("summary.sig"))
}

/// Returns a command of ours that signs what it makes.
fn signing(root: &Path, arguments: &[&str]) -> Command {
    fs::write(root.join("secret"), base64(SECRET)).unwrap();
    let mut command = ostler(root);
    command
        .args(arguments)
        .args(["--sign-from-file=secret", "--settle=0"]);
    command
}

/// Kills a command at each call that changes something. Signatures that a client fetches from what that leaves fit the
/// summary there, the one before, and the one that the next command brings.
fn killed_at_each_call(root: &Path, make: impl Fn() -> Command) {
    let repo = root.join("repo");
    let reset = || {
        if repo.exists() {
            fs::remove_dir_all(&repo).unwrap();
        }
        copy_tree(&root.join("before"), &repo);
    };
    reset();
    let points = changing_calls(&make());
    let before = pair(&root.join("before"));
    let mut seen = BTreeSet::new();
    for_each_point(&points, Kind::Kill, |fault, place| {
        reset();
        let killed = run_with_fault(&make(), fault);
        let (summary, signature) = pair(&repo);
        seen.insert((summary == before.0, signature == before.1));
        assert!(fits(&summary, &signature), "{place}: the pair does not fit");
        assert!(
            signature == before.1 || fits(&before.0, &signature),
            "{place}: the old summary may be in caches"
        );
        let _printed = run(ostler(root).args(["--repo=repo", "refs"]));
        let (completed, _) = pair(&repo);
        assert!(fits(&completed, &signature), "{place}: the summary falls between");
        let _printed = run(&mut make());
        let (last, signature) = pair(&repo);
        assert!(fits(&last, &signature), "{place}: after running again");
        let strays = strays(&repo)
            .into_iter()
            .filter(|name| name != "tmp/ostler-refs-lock");
        assert_eq!(strays.collect::<Vec<_>>(), Vec::<String>::new(), "{place}");
        killed
    });
    // Both of before; signatures of both; both new.
    let steps = [(true, true), (true, false), (false, false)];
    assert!(steps.iter().all(|step| seen.contains(step)), "{seen:?}");
}

#[test]
fn an_update_killed_at_any_call_leaves_a_pair_that_fits() {
    let root = TempDir::new().unwrap();
    let before = StockRepo::init(&root.path().join("before"), "archive");
    before.commit(
        "main",
        Tree::at(&root.path().join("tree")).file("a", "a", 0o644).path(),
    );
    run(&mut signing(root.path(), &["--repo=before", "summary", "-u"]));
    killed_at_each_call(root.path(), || {
        signing(root.path(), &["--repo=repo", "summary", "-u", NEWS])
    });
}

#[test]
fn publishes_are_signed_and_each_signature_file_fits_the_summary_before() {
    let root = TempDir::new().unwrap();
    let source = make_source(root.path());
    let target = root.path().join("target");
    let publish = ["--repo=source", "publish", "target"];
    run(&mut signing(root.path(), &publish));
    let first = pair(&target);
    assert!(fits(&first.0, &first.1));
    assert!(run(&mut signing(root.path(), &publish)).contains("up to date"));

    advance(&source, root.path());
    // Without a key it is refused, as ever.
    let refused = attempt(ostler(root.path()).args(publish));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--gpg-sign"));
    run(&mut signing(root.path(), &publish));
    let second = pair(&target);
    assert!(second.0 != first.0 && fits(&second.0, &second.1) && fits(&first.0, &second.1));
    let listed = Summary::parse(&second.0).unwrap().all_refs().unwrap();
    assert_eq!(listed.len(), source.refs().len());

    let mut rollback = signing(root.path(), &["rollback", "target"]);
    run(&mut rollback);
    let back = pair(&target);
    assert!(back.0 == first.0 && fits(&back.0, &back.1) && fits(&second.0, &back.1));

    for choice in ["--summary=copy", "--summary=none"] {
        let output = attempt(signing(root.path(), &publish).arg(choice));
        assert_eq!(output.status.code(), Some(2), "{choice}");
    }
}

#[test]
fn signatures_that_another_tool_left_beside_another_summary_are_made_anew() {
    let root = TempDir::new().unwrap();
    make_source(root.path());
    let target = root.path().join("target");
    let publish = ["--repo=source", "publish", "target"];
    run(&mut signing(root.path(), &publish));
    let stock = StockRepo::open(&target);
    let (_, signatures) = pair(&target);
    stock.run(&["summary", "-u", "--add-metadata=example.other=true"]);
    fs::write(target.join("summary.sig"), signatures).unwrap();
    let (summary, signatures) = pair(&target);
    assert!(!fits(&summary, &signatures));

    run(&mut signing(root.path(), &publish));
    let (summary, signatures) = pair(&target);
    assert!(fits(&summary, &signatures));
    assert!(run(&mut signing(root.path(), &publish)).contains("up to date"));
}

#[test]
fn a_carried_signature_overlaps_with_the_one_there_and_is_carried_once() {
    let root = TempDir::new().unwrap();
    let source = make_source(root.path());
    let target = root.path().join("target");
    let mut publish = ostler(root.path());
    publish.args(["--repo=source", "publish", "target", "--settle=0"]);
    run(&mut signing(root.path(), &["--repo=source", "summary", "-u"]));
    run(&mut publish);
    let first = pair(&target);
    advance(&source, root.path());
    run(&mut signing(
        root.path(),
        &["--repo=source", "summary", "-u", "--reset"],
    ));
    // Of the source alone, without the former ones.
    run(&mut publish);
    let second = pair(&target);
    assert!(fits(&second.0, &second.1) && fits(&first.0, &second.1));
    assert!(run(&mut publish).contains("up to date"));
}

#[test]
fn clients_get_the_settle_time_between_the_two_summaries() {
    let root = TempDir::new().unwrap();
    let repo = StockRepo::init(&root.path().join("repo"), "archive");
    repo.commit(
        "main",
        Tree::at(&root.path().join("tree")).file("a", "a", 0o644).path(),
    );
    run(&mut signing(root.path(), &["--repo=repo", "summary", "-u"]));
    let before = pair(repo.path());
    let mut update = ostler(root.path());
    update.args([
        "--repo=repo",
        "summary",
        "-u",
        NEWS,
        "--sign-from-file=secret",
        "--settle=3",
    ]);
    let mut child = update.spawn().unwrap();
    let mut overlapping = None;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        let state = pair(repo.path());
        if state.1 != before.1 && state.0 == before.0 {
            overlapping.get_or_insert(state.1);
        }
        std::thread::yield_now();
    };
    assert!(status.success());
    let after = pair(repo.path());
    let overlapping = overlapping.expect("the signatures come first");
    assert!(fits(&before.0, &overlapping) && fits(&after.0, &overlapping) && after.1 != overlapping);
}

/// Makes a key of gpg without a passphrase in a new directory.
fn gpg_key(root: &Path) -> String {
    let home = root.join("gnupg");
    Tree::at(root).dir("gnupg", 0o700);
    let mut make = command("gpg");
    make.arg("--homedir").arg(&home).args([
        "--batch",
        "--passphrase",
        "",
        "--quick-generate-key",
        "release@example.org",
        "ed25519",
        "sign",
        "never",
    ]);
    run(&mut make);
    let mut export = command("gpg");
    export
        .arg("--homedir")
        .arg(&home)
        .arg("--output")
        .arg(root.join("key.gpg"))
        .args(["--export", "release@example.org"]);
    run(&mut export);
    home.display().to_string()
}

/// Libostree judges the first signature of GPG alone, so that nothing can overlap: who fetches the signatures right before a
/// flip and the summary right after it is told so. That must be rare, and over with the next pull.
#[test]
fn stock_clients_that_check_signatures_of_gpg_pull_while_fifty_publishes_flip() {
    let root = TempDir::new().unwrap();
    let home = format!("--gpg-homedir={}", gpg_key(root.path()));
    let source = make_source(root.path());
    let publish = || {
        let mut publish = ostler(root.path());
        publish.args([
            "--repo=source",
            "publish",
            "target",
            "--gpg-sign=release@example.org",
            &home,
        ]);
        publish
    };
    run(&mut publish());
    let server = Nginx::serve(&root.path().join("target"));
    let client = Client::of(&server.url());
    let key = root.path().join("key.gpg");
    (client.repo()).run(&["remote", "gpg-import", "-k", key.to_str().unwrap(), "origin"]);
    (client.repo()).run(&[
        "config",
        "set",
        "--group=remote \"origin\"",
        "gpg-verify-summary",
        "true",
    ]);
    let reference = source.refs().into_iter().next().unwrap();
    let done = AtomicBool::new(false);
    let outcomes = std::thread::scope(|scope| {
        let pulling = scope.spawn(|| {
            let mut outcomes = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let output = client.attempt_pull(&reference);
                let errors = String::from_utf8_lossy(&output.stderr).into_owned();
                let between = errors.contains("BAD signature");
                assert!(output.status.success() || between, "{errors}");
                outcomes.push(output.status.success());
            }
            outcomes
        });
        let tree = Tree::at(&root.path().join("flips"));
        for round in 0..50 {
            tree.file("file", format!("{round}"), 0o644);
            source.commit(&reference, tree.path());
            run(&mut publish());
        }
        done.store(true, Ordering::Relaxed);
        pulling.join().unwrap()
    });
    let failed = outcomes.iter().filter(|succeeded| !**succeeded).count();
    println!("{failed} of {} pulls fell between", outcomes.len());
    assert!(
        outcomes.len() > 10 && failed * 10 <= outcomes.len(),
        "{outcomes:?}"
    );
    assert!(outcomes.windows(2).all(|pair| pair[0] || pair[1]), "{outcomes:?}");
    client.pull(&reference);
    let tip = client.repo().rev_parse(&format!("origin:{reference}"));
    assert_eq!(tip, source.rev_parse(&reference));
    let _killed = run(command("gpgconf")
        .arg("--homedir")
        .arg(root.path().join("gnupg"))
        .args(["--kill", "all"]));
}

/// Fetches a file over HTTP.
fn get(server: &Nginx, path: &str) -> Vec<u8> {
    let url = server.url();
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host.trim_end_matches('/')).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    assert!(
        bytes.starts_with(b"HTTP/1.1 200"),
        "{}",
        String::from_utf8_lossy(&bytes)
    );
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
    bytes.split_off(head + 4)
}

#[test]
fn whatever_falls_between_the_signatures_of_ed25519_and_the_summary_they_fit() {
    let root = TempDir::new().unwrap();
    let source = make_source(root.path());
    let publish = || {
        let mut publish = signing(root.path(), &["--repo=source", "publish", "target"]);
        publish.arg("--settle=1");
        publish
    };
    run(&mut publish());
    let server = Nginx::serve(&root.path().join("target"));
    let reference = source.refs().into_iter().next().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let signature = get(&server, "/summary.sig");
                    // A client far away.
                    std::thread::yield_now();
                    let summary = get(&server, "/summary");
                    assert!(fits(&summary, &signature));
                }
            });
        }
        let tree = Tree::at(&root.path().join("flips"));
        for round in 0..6 {
            tree.file("file", format!("{round}"), 0o644);
            source.commit(&reference, tree.path());
            run(&mut publish());
        }
        done.store(true, Ordering::Relaxed);
    });
}
