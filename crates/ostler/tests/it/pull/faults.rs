//! Servers and ways that fail: the pull succeeds after another try, or says what is wrong and leaves nothing half-visible.

use super::scene::{Scene, pull_from};
use ostler_testkit::faulty_server::{FaultyServer, Reaction};
use ostler_testkit::oracle::strays;
use ostler_testkit::stock::StockRepo;
use std::time::Duration;

/// Pulls `os/stable` from a server with a rule into a fresh repository; returns it with what was printed.
fn pulled(
    scene: &Scene,
    name: &str,
    server: &FaultyServer,
    arguments: &[&str],
) -> (StockRepo, Result<String, String>) {
    let client = StockRepo::init(&scene.path(name), "bare-user");
    client.run(&["config", "set", "core.fsync", "false"]);
    client.run(&["remote", "add", "--no-gpg-verify", "origin", &server.url()]);
    let result = pull_from(scene, name, arguments);
    (client, result)
}

#[test]
fn what_fails_for_a_moment_is_tried_again() {
    let scene = Scene::new();
    let commit = scene.served().rev_parse("os/stable");
    let once = |path: &'static str, reaction: Reaction| {
        move |asked: &ostler_testkit::faulty_server::Asked| {
            if asked.path.ends_with(path) && asked.before == 0 {
                reaction.clone()
            } else {
                Reaction::Serve
            }
        }
    };
    for (number, (path, reaction)) in [
        (".filez", Reaction::status(503)),
        (".filez", Reaction::status(408)),
        (
            ".filez",
            Reaction::Status(429, vec![("Retry-After".to_owned(), "0".to_owned())]),
        ),
        (".filez", Reaction::Close),
        (".filez", Reaction::CutAt(10)),
        (".filez", Reaction::Raw(b"nonsense\r\n\r\n".to_vec())),
        (
            ".filez",
            Reaction::Bytes(b"of a cache that has gone bad".to_vec()),
        ),
        (
            ".dirtree",
            Reaction::Bytes(b"of a cache that has gone bad".to_vec()),
        ),
        (".dirmeta", Reaction::CutAt(3)),
        (
            ".commit",
            Reaction::Bytes(b"of a cache that has gone bad".to_vec()),
        ),
        (".commit", Reaction::status(500)),
        (".commitmeta", Reaction::status(502)),
        ("os/stable", Reaction::Close),
        (".filez", Reaction::Slow(1000, Duration::from_millis(1))),
    ]
    .into_iter()
    .enumerate()
    {
        let server = FaultyServer::with(&scene.path("served"), once(path, reaction.clone()));
        let name = format!("client{number}");

        let (client, result) = pulled(&scene, &name, &server, &["origin", "os/stable"]);

        result.unwrap_or_else(|error| panic!("{path} {reaction:?}: {error}"));
        assert_eq!(client.rev_parse("origin:os/stable"), commit);
        client.fsck();
        assert_eq!(strays(client.path()), Vec::<String>::new());
    }
}

#[test]
fn what_fails_for_good_is_named_and_leaves_no_ref() {
    let scene = Scene::new();
    for (number, (path, reaction, said)) in [
        (".filez", Reaction::status(404), "Server returned HTTP 404"),
        (".dirtree", Reaction::status(403), "Server returned HTTP 403"),
        (".filez", Reaction::status(401), "Server returned HTTP 401"),
        (".filez", Reaction::status(500), "Server returned HTTP 500"),
        (
            ".filez",
            Reaction::Bytes(b"always other bytes".to_vec()),
            ".filez",
        ),
        (
            ".dirtree",
            Reaction::Bytes(b"always other bytes".to_vec()),
            "Corrupted dirtree object; checksum expected='",
        ),
        (
            ".commit",
            Reaction::Bytes(b"always other bytes".to_vec()),
            "Corrupted commit object; checksum expected='",
        ),
        (".dirmeta", Reaction::Endless, ".dirmeta"),
        (
            ".filez",
            Reaction::redirect("/elsewhere"),
            "Server returned HTTP 404",
        ),
        (
            "os/stable",
            Reaction::Bytes(b"<html>".to_vec()),
            "Fetching checksum for ref ((empty), os/stable): Invalid rev <html>",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let server = FaultyServer::with(&scene.path("served"), move |asked| {
            if asked.path.ends_with(path) {
                reaction.clone()
            } else {
                Reaction::Serve
            }
        });
        let name = format!("client{number}");

        let (client, result) = pulled(
            &scene,
            &name,
            &server,
            &["--network-retries=1", "origin", "os/stable"],
        );

        let error = result.expect_err("it fails");
        assert!(error.contains(said), "{said}: {error}");
        assert_eq!(client.refs(), Vec::<String>::new(), "{path}");
        let objects = ostler_testkit::command::run(
            ostler_testkit::command::command("find")
                .arg(client.path().join("objects"))
                .args(["-type", "f"]),
        );
        assert_eq!(objects, "", "{path}");

        // The next pull, with a sound server, goes on.
        server.set_rule(|_| Reaction::Serve);
        pull_from(&scene, &name, &["origin", "os/stable"]).expect("a sound server");
        client.fsck();
        assert_eq!(strays(client.path()), Vec::<String>::new(), "{path}");
    }
}

#[test]
fn a_body_that_is_not_what_its_name_says_is_asked_for_three_times_past_caches() {
    let scene = Scene::new();
    let server = FaultyServer::with(&scene.path("served"), |asked| {
        if asked.path.ends_with(".commit") {
            Reaction::Bytes(b"stale".to_vec())
        } else {
            Reaction::Serve
        }
    });

    let (_client, result) = pulled(&scene, "client", &server, &["origin", "os/stable"]);

    assert!(result.is_err());
    let asked = server.asked();
    let commits: Vec<_> = asked
        .iter()
        .filter(|asked| asked.path.ends_with(".commit"))
        .collect();
    assert_eq!(commits.len(), 3);
    let fresh = |index: usize| commits[index].header("cache-control") == Some("no-cache");
    assert!(!fresh(0) && fresh(1) && fresh(2));
}

#[test]
fn a_ref_that_somebody_moves_during_a_pull_stays_and_is_told() {
    let scene = Scene::new();
    let served = scene.served();
    let (other, commit) = (served.rev_parse("app"), served.rev_parse("os/stable"));
    let reference = scene.path("client0/refs/remotes/origin/os/stable");
    for moved_to in [other, commit] {
        if scene.path("client0").exists() {
            std::fs::remove_dir_all(scene.path("client0")).unwrap();
        }
        let (path, text) = (reference.clone(), format!("{moved_to}\n"));
        let server = FaultyServer::with(&scene.path("served"), move |asked| {
            if asked.path.contains(".filez") {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, &text).unwrap();
            }
            Reaction::Serve
        });

        let (_, result) = pulled(&scene, "client0", &server, &["origin", "os/stable"]);

        assert_eq!(
            std::fs::read_to_string(&reference).unwrap(),
            format!("{moved_to}\n")
        );
        if moved_to == served.rev_parse("os/stable") {
            result.unwrap();
        } else {
            let error = result.unwrap_err();
            assert!(error.contains("is not as expected"), "{error}");
        }
    }
}

#[test]
fn detached_metadata_that_cannot_be_read_is_none_where_no_signature_is_required() {
    let scene = Scene::new();
    let commit = scene.served().rev_parse("os/stable");
    let (first, rest) = commit.split_at(2);
    let meta = scene.path(&format!("served/objects/{first}/{rest}.commitmeta"));
    std::fs::write(meta, b"\xff\xff\xffno dictionary").unwrap();
    let server = FaultyServer::serve(&scene.path("served"));
    let (client, result) = pulled(&scene, "client", &server, &["origin", "os/stable"]);
    result.unwrap();
    client.fsck();

    let local = StockRepo::init(&scene.path("local"), "bare-user");
    let url = format!("file://{}", scene.path("served").display());
    local.run(&["remote", "add", "--no-gpg-verify", "origin", &url]);
    scene.pull("local", &["origin", "os/stable"]);
    local.fsck();
}
