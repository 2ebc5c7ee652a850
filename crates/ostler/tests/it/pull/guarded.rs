//! What guards a pull is not dropped because something is missing here.

use super::scene::Scene;
use crate::programs::{link, ostler};
use ostler_testkit::command::{command, fail};

#[test]
fn a_commit_that_cannot_be_compared_by_time_is_refused_where_that_was_asked_for() {
    let scene = Scene::new();
    let old = scene.served().rev_parse("os/stable^");
    let new = scene.served().rev_parse("os/stable");
    let client = scene.client("client", "archive");
    let nothing = "0".repeat(64);
    let wanted = format!("os/stable@{old}");
    let from = format!("--timestamp-check-from-rev={nothing}");

    let said = scene.fail("client", &[&from, "origin", &wanted]);

    assert!(
        said.contains("for timestamp-check-from-rev: No such metadata object"),
        "{said}"
    );
    assert_eq!(client.refs(), Vec::<String>::new());
    scene.pull("client", &["origin", "os/stable"]);
    let (directory, rest) = new.split_at(2);
    let lost = client.path().join(format!("objects/{directory}/{rest}.commit"));
    std::fs::remove_file(lost).unwrap();

    let said = scene.fail("client", &["-T", "origin", &wanted]);

    assert!(
        said.contains("for timestamp-check: No such metadata object"),
        "{said}"
    );
    let there = std::fs::read_to_string(client.path().join("refs/remotes/origin/os/stable"));
    assert_eq!(there.unwrap().trim(), new);
}

#[test]
fn a_url_is_no_remote_since_nothing_says_whose_signatures_it_has() {
    let scene = Scene::new();
    let client = scene.client("client", "archive");
    let stock = link(scene.directory.path());
    let served = format!("file://{}", scene.path("served").display());
    for url in [scene.nginx.url(), served] {
        let mut ours = ostler(scene.directory.path());
        let said = fail(ours.args(["--repo=client", "pull", &url, "os/stable"]));
        assert!(said.contains("is no remote: 'remote add NAME URL'"), "{said}");
        let mut named = command(&stock);
        named.current_dir(scene.directory.path());
        let said = fail(named.args(["--repo=client", "pull", &url, "os/stable"]));
        assert!(said.contains(&format!("Invalid refspec {url}")), "{said}");
    }
    assert_eq!(client.refs(), Vec::<String>::new());
}

#[test]
fn room_that_the_configuration_keeps_free_is_told_as_such() {
    let scene = Scene::new();
    let client = scene.client("client", "bare-user");
    client.run(&["config", "set", "core.min-free-space-size", "900TB"]);

    let said = scene.fail("client", &["origin", "os/stable"]);

    assert!(said.contains("not enough free space"), "{said}");
    assert!(said.contains("core.min-free-space-size"), "{said}");
    assert_eq!(client.refs(), Vec::<String>::new());
}
