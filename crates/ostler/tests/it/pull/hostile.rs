//! Servers that mean harm: bounded in memory and time, and nothing of theirs is kept.

use super::scene::{Scene, pull_from};
use ostler_testkit::command::{command, run};
use ostler_testkit::faulty_server::{FaultyServer, Reaction};
use ostler_testkit::stock::StockRepo;
use std::fs;

#[test]
fn a_commit_larger_than_the_summary_says_is_refused_while_it_comes() {
    let scene = Scene::new();
    scene.served().run(&["summary", "--update"]);
    let server = FaultyServer::with(&scene.path("served"), |asked| {
        if asked.path.ends_with(".commit") {
            Reaction::Endless
        } else {
            Reaction::Serve
        }
    });
    let client = StockRepo::init(&scene.path("client"), "archive");
    client.run(&["remote", "add", "--no-gpg-verify", "origin", &server.url()]);

    let error = pull_from(&scene, "client", &["origin", "os/stable"]).expect_err("too large");

    assert!(error.contains(".commit") && error.contains("bytes"), "{error}");
    assert_eq!(client.refs(), Vec::<String>::new());
}

#[test]
fn content_that_inflates_to_more_than_it_says_stops_there() {
    let scene = Scene::new();
    // The payload of a large object behind the header of a small one: both are what stock wrote.
    let objects = run(command("find")
        .arg(scene.path("served/objects"))
        .args(["-name", "*.filez", "-size", "+1000k"]));
    let large = fs::read(objects.lines().next().expect("a large object")).unwrap();
    let small = run(command("find")
        .arg(scene.path("served/objects"))
        .args(["-name", "*.filez", "-size", "-2"]));
    let victim = small.lines().next().expect("a small object").to_owned();
    let head = fs::read(&victim).unwrap();
    let length = |bytes: &[u8]| 8 + u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
    let bomb = [&head[..length(&head)], &large[length(&large)..]].concat();
    fs::remove_file(&victim).unwrap();
    fs::write(&victim, bomb).unwrap();
    for mode in ["archive", "bare-user"] {
        let client = scene.client(mode, mode);
        let error = scene.fail(mode, &["origin", "os/stable"]);
        assert!(error.contains("more than the declared"), "{mode}: {error}");
        assert_eq!(client.refs(), Vec::<String>::new());
    }
}

#[test]
fn a_name_that_leads_out_of_the_tree_is_refused_and_not_even_staged() {
    let scene = Scene::new();
    let _out = run(command("tar").arg("-C").arg(scene.directory.path()).args([
        "-xf",
        "/usr/libexec/installed-tests/libostree/ostree-path-traverse.tar.gz",
    ]));
    let client = StockRepo::init(&scene.path("client"), "archive");
    let url = format!("file://{}", scene.path("ostree-path-traverse/repo").display());
    client.run(&["remote", "add", "--no-gpg-verify", "local", &url]);
    let server = FaultyServer::serve(&scene.path("ostree-path-traverse/repo"));
    client.run(&["remote", "add", "--no-gpg-verify", "origin", &server.url()]);

    let error = scene.fail("client", &["origin", "pathtraverse-test"]);

    assert!(
        error.contains(".dirtree: Invalid / in filename ../afile"),
        "{error}"
    );
    let staged = run(command("find")
        .arg(client.path().join("tmp"))
        .args(["-name", "*.dirtree"]));
    assert!(
        !staged.contains("9a5d2701a02740aa2ee317ba53b13e3efb0f29609cd4896e1bafeee4caddb5"),
        "{staged}"
    );
}

/// Puts another size of the commit into the summary of the served repository.
fn announce(scene: &Scene, branch: &str, size: u64) {
    let served = scene.served();
    served.run(&["summary", "--update"]);
    let commit: ostler_format::Checksum = served.rev_parse(branch).parse().unwrap();
    let path = served.path().join("summary");
    let mut bytes = fs::read(&path).unwrap();
    let found = bytes.windows(32).position(|window| window == commit.as_bytes());
    let at = found.expect("the commit is in the summary");
    bytes[at - 8..at].copy_from_slice(&size.to_le_bytes());
    fs::write(&path, bytes).unwrap();
}

#[test]
fn a_commit_larger_than_the_summary_says_is_refused_from_this_machine_too() {
    let scene = Scene::new();
    announce(&scene, "os/stable", 10);
    let client = StockRepo::init(&scene.path("client"), "archive");
    let url = format!("file://{}", scene.path("served").display());
    client.run(&["remote", "add", "--no-gpg-verify", "origin", &url]);

    let error = scene.fail("client", &["origin", "os/stable"]);

    assert!(
        error.contains(".commit") && error.contains("more bytes than the summary says"),
        "{error}"
    );
    assert_eq!(client.refs(), Vec::<String>::new());
}

#[test]
fn a_summary_does_not_raise_the_limit_of_a_commit() {
    let scene = Scene::new();
    announce(&scene, "os/stable", u64::MAX);
    let server = FaultyServer::with(&scene.path("served"), |asked| {
        if asked.path.ends_with(".commit") {
            Reaction::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n".to_vec())
        } else {
            Reaction::Serve
        }
    });
    let client = StockRepo::init(&scene.path("client"), "archive");
    client.run(&["remote", "add", "--no-gpg-verify", "origin", &server.url()]);

    let error = scene.fail("client", &["origin", "os/stable"]);

    let limit = format!("maximum size of {} bytes", ostler_format::MAX_METADATA_SIZE);
    assert!(error.contains(&limit), "{error}");
}
