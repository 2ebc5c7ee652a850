//! Repositories of the mode bare-split-xattrs. Stock 2022.7 reads them, and where it is told to write one it leaves
//! the attributes out, so that it cannot read the result itself: what we write is held against its reading.

use super::{BOTH, Who, assert_same_checkout, versions};
use crate::programs::OSTLER;
use ostler_testkit::command::{command, fail, run};
use ostler_testkit::oracle::assert_sound;
use std::path::Path;
use tempfile::TempDir;

/// Allows either program to write repositories of this mode.
const ALLOWED: (&str, &str) = ("OSTREE_EXP_WRITE_BARE_SPLIT_XATTRS", "true");

/// Asserts that both programs read a commit alike, and can take it elsewhere.
#[track_caller]
fn assert_read_alike(repo: &Path, commit: &str) {
    let directory = TempDir::new().expect("a directory");
    for who in BOTH {
        who.fsck(repo);
        who.checkout(repo, commit, &["-C"], &directory.path().join(who.name()));
        let copy = directory.path().join(format!("copy-{}", who.name()));
        who.init(&copy, "bare-user");
        let source = repo.to_str().expect("a name in UTF-8");
        who.run(&copy, &["pull-local", "--disable-fsync", source, commit]);
        assert_eq!(who.list(repo, commit), who.other().list(&copy, commit), "{who:?}");
        assert_sound(&copy);
    }
    assert_same_checkout(&directory.path().join("stock"), &directory.path().join("ours"));
}

#[test]
fn what_others_wrote_is_read_as_by_stock() {
    let directory = TempDir::new().unwrap();
    run(command("tar")
        .args(["--extract", "--same-owner", "--same-permissions", "--directory"])
        .arg(directory.path())
        .arg("--file=/usr/libexec/installed-tests/libostree/bare-split-xattrs-basic.tar.xz"));
    let repo = directory.path().join("repo");
    let commit = Who::Stock.run(&repo, &["rev-parse", "-S"]);
    assert_read_alike(&repo, commit.trim());
    let listed = Who::Ours.list(&repo, commit.trim());
    assert!(listed.contains("user.mykey"), "{listed}");
}

#[test]
fn what_we_write_is_read_by_stock() {
    let directory = TempDir::new().unwrap();
    let (first, second) = versions(directory.path());
    let repo = directory.path().join("repo");
    Who::Ours.init(&repo, "bare-split-xattrs");
    let commit = |tree: &Path| {
        let mut commit = command(OSTLER);
        commit.current_dir(&directory);
        commit
            .args([
                "--repo=repo",
                "commit",
                "--fsync=false",
                "--timestamp=@1700000000",
                "-b",
                "main",
            ])
            .arg(tree);
        commit
    };
    let refused = fail(&mut commit(&first));
    assert!(refused.contains("bare-split-xattrs"), "{refused}");

    let other = directory.path().join("other");
    Who::Stock.init(&other, "archive");
    for tree in [&first, &second] {
        let id = run(commit(tree).env(ALLOWED.0, ALLOWED.1));
        assert_eq!(id.trim(), Who::Stock.commit(&other, tree, &[]));
        assert_eq!(
            Who::Stock.list(&repo, id.trim()),
            Who::Stock.list(&other, id.trim())
        );
        assert_read_alike(&repo, id.trim());
    }
    assert_sound(&repo);
}
