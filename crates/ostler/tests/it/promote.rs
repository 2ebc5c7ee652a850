//! `promote`: what was tested under one ref becomes the next commit of another.

use crate::programs::ostler;
use ostler_testkit::command::{fail, run};
use ostler_testkit::oracle::{objects_of, strays};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::path::Path;
use tempfile::TempDir;

/// The first secret key of the tests in RFC 8032, with its public key, as stock reads it.
const SECRET: &str =
    "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==";

/// A repository of a collection, with a ref that has two commits.
fn scene() -> (TempDir, StockRepo) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("repo");
    let repo = StockRepo::init(&path, "archive");
    repo.run(&["config", "set", "core.collection-id", "org.example.Os"]);
    for content in ["one", "two"] {
        let tree = Tree::at(&directory.path().join(content));
        tree.file("usr/file", content.as_bytes(), 0o644);
        let options = [
            "--add-metadata-string=version=7",
            "--bind-ref=other",
            "--subject=tested",
        ];
        repo.commit_with("os/testing", tree.path(), &options);
    }
    (directory, repo)
}

fn promote(directory: &Path, arguments: &[&str]) -> String {
    run(ostler(directory).args(["--repo=repo", "promote"]).args(arguments))
}

#[test]
fn promoted_commit_is_bound_to_the_new_ref_and_shares_all_content() {
    let (directory, repo) = scene();
    let before = objects_of(repo.path(), &repo.rev_parse("os/testing^"));
    let printed = promote(
        directory.path(),
        &["os/testing^", "os/stable", "--timestamp=@2000000000"],
    );
    let first = repo.rev_parse("os/stable");
    assert_eq!(printed, format!("'os/stable' created at {first}\n"));
    let after = objects_of(repo.path(), &first);
    // The commit itself is another one; nothing else is.
    assert_eq!(after.difference(&before).count(), 1);

    promote(
        directory.path(),
        &[
            "os/testing",
            "os/stable",
            "-s",
            "Release",
            "--timestamp=@2000000001",
        ],
    );
    assert_eq!(repo.rev_parse("os/stable^"), first);
    let shown = repo.run(&["show", "os/stable"]);
    assert!(
        shown.contains("Release") && shown.contains("2033-05-18 03:33:21"),
        "{shown}"
    );
    let metadata = |key: &str| repo.run(&["show", &format!("--print-metadata-key={key}"), "os/stable"]);
    assert_eq!(metadata("ostree.ref-binding"), "['os/stable']\n");
    assert_eq!(metadata("ostree.collection-binding"), "'org.example.Os'\n");
    assert_eq!(metadata("version"), "'7'\n");
    repo.fsck();
    assert_eq!(strays(repo.path()), Vec::<String>::new());
}

#[test]
fn nothing_is_done_where_the_content_is_there_or_only_asked_for() {
    let (directory, repo) = scene();
    let asked = promote(directory.path(), &["os/testing", "os/stable", "--dry-run"]);
    assert!(
        asked.starts_with("'os/stable' would be created with the tree of "),
        "{asked}"
    );
    assert_eq!(repo.refs(), ["os/testing"]);
    promote(directory.path(), &["os/testing", "os/stable"]);
    let there = repo.rev_parse("os/stable");
    let again = promote(directory.path(), &["os/testing", "os/stable", "-s", "another"]);
    assert!(again.contains("already"), "{again}");
    let again = promote(directory.path(), &["os/testing", "os/stable", "--json"]);
    assert!(again.contains(r#""changed":false"#), "{again}");
    assert_eq!(repo.rev_parse("os/stable"), there);
}

#[test]
fn commit_that_would_go_back_in_time_and_one_that_is_partial_are_refused() {
    let (directory, repo) = scene();
    let refused = |arguments: &[&str]| {
        let mut promote = ostler(directory.path());
        fail(promote.args(["--repo=repo", "promote"]).args(arguments))
    };
    promote(
        directory.path(),
        &["os/testing^", "os/stable", "--timestamp=@2000000000"],
    );
    let there = repo.rev_parse("os/stable");
    let error = refused(&["os/testing", "os/stable", "--timestamp=@1999999999"]);
    assert!(error.contains("would be 1 s older"), "{error}");
    let commit = repo.rev_parse("os/testing");
    std::fs::write(repo.path().join(format!("state/{commit}.commitpartial")), "").unwrap();
    let error = refused(&["os/testing", "os/stable"]);
    assert!(error.contains("is partial"), "{error}");
    assert_eq!(repo.rev_parse("os/stable"), there);
}

#[test]
fn signatures_stay_behind_and_new_ones_come_with_the_ref() {
    let (directory, repo) = scene();
    let key = format!("--sign={SECRET}");
    let sign = |arguments: &[&str]| {
        run(ostler(directory.path())
            .args(["--repo=repo", "sign"])
            .args(arguments))
    };
    sign(&["os/testing", SECRET]);
    promote(directory.path(), &["os/testing", "os/plain"]);
    assert!(
        repo.attempt(&[
            "show",
            "--print-detached-metadata-key=ostree.sign.ed25519",
            "os/plain"
        ])
        .stdout
        .is_empty()
    );
    promote(directory.path(), &["os/testing", "os/signed", &key]);
    let public = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    sign(&["--verify", "os/signed", public]);
}
