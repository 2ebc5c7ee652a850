//! One ref into each mode of repository: what arrives is what stock would have brought.

use super::scene::Scene;
use ostler_testkit::oracle::{assert_same_commit, strays};

/// The modes that a repository of ours can have.
const MODES: [&str; 4] = ["archive", "bare", "bare-user", "bare-user-only"];

#[test]
fn a_ref_arrives_whole_in_every_mode_with_and_without_a_summary() {
    for summary in [false, true] {
        let scene = Scene::new();
        if summary {
            scene.served().run(&["summary", "--update"]);
        }
        let commit = scene.served().rev_parse("os/stable");
        for mode in MODES {
            let client = scene.client(mode, mode);

            let printed = scene.pull(mode, &["origin", "os/stable"]);

            assert!(printed.contains("content objects fetched;"), "{printed}");
            assert_eq!(client.rev_parse("origin:os/stable"), commit, "{mode}");
            client.fsck();
            assert_same_commit(&scene.path("served"), client.path(), &commit);
            assert_eq!(strays(client.path()), Vec::<String>::new(), "{mode}");
            assert!(
                !client
                    .path()
                    .join("state")
                    .join(format!("{commit}.commitpartial"))
                    .exists()
            );
        }
    }
}

#[test]
fn a_second_pull_brings_only_what_changed() {
    let scene = Scene::new();
    let served = scene.served();
    let old = served.rev_parse("os/stable^");
    for mode in MODES {
        let client = scene.client(mode, mode);
        scene.pull(mode, &["origin", &format!("os/stable@{old}")]);
        scene.nginx.forget_requests();

        let printed = scene.pull(mode, &["origin", "os/stable"]);

        // The commit, its metadata, the root and the directories on the way; two files.
        assert!(
            printed.contains(" 2 content objects fetched;"),
            "{mode}: {printed}"
        );
        client.fsck();
        let again = scene.pull(mode, &["origin", "os/stable"]);
        assert!(again.contains(" 0 content objects fetched;"), "{again}");
    }
}

#[test]
fn history_comes_as_deep_as_asked() {
    let scene = Scene::new();
    for (depth, commits) in [("0", 1), ("1", 2), ("-1", 2)] {
        let name = format!("depth{depth}");
        let client = scene.client(&name, "archive");
        scene.pull(&name, &[&format!("--depth={depth}"), "origin:os/stable"]);
        let log = client.run(&["log", "origin:os/stable"]);
        assert_eq!(log.matches("\ncommit ").count() + 1, commits, "{log}");
        client.fsck();
    }
}

#[test]
fn what_is_not_there_is_said_as_stock_says_it() {
    let scene = Scene::new();
    scene.client("client", "archive");
    let missing = scene.fail("client", &["origin", "nope"]);
    assert!(
        missing.contains("/refs/heads/nope: Server returned HTTP 404"),
        "{missing}"
    );
    scene.served().run(&["summary", "--update"]);
    let missing = scene.fail("client", &["origin", "nope"]);
    assert!(
        missing.contains("error: No such branch 'nope' in repository summary"),
        "{missing}"
    );
    let none = scene.fail("client", &["origin"]);
    assert!(
        none.contains("No configured branches for remote origin"),
        "{none}"
    );
    let unknown = scene.fail("client", &["elsewhere", "app"]);
    assert!(unknown.contains("Remote \"elsewhere\" not found"), "{unknown}");
}
