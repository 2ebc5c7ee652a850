//! Commands that only read, compared with stock on one repository.

use crate::fixture;
use crate::programs::{Ended, assert_alike};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::convert::identity;
use std::path::Path;

#[track_caller]
pub(crate) fn all_alike(directory: &Path, table: &[&str]) {
    for arguments in table {
        assert_alike(directory, &format!("--repo=repo {arguments}"), identity);
    }
}

#[test]
fn revisions_resolve_as_in_stock() {
    let directory = fixture::repository();
    all_alike(
        directory.path(),
        &[
            "rev-parse main",
            "rev-parse main main^ main^^",
            "rev-parse os/x86_64/stable origin:os/arm latest",
            "rev-parse main^^^",
            "rev-parse nowhere",
            "rev-parse origin:nowhere",
            "rev-parse",
            "rev-parse --single",
        ],
    );
    let repo = StockRepo::open(&directory.path().join("repo"));
    let commit = repo.rev_parse("main");
    for length in [1, 5, 20, 63, 64] {
        all_alike(
            directory.path(),
            &[&format!("rev-parse {}", commit.get(..length).unwrap())],
        );
    }
}

#[test]
fn files_are_listed_as_in_stock() {
    let directory = fixture::repository();
    all_alike(
        directory.path(),
        &[
            "ls main^^",
            "ls -R main^^",
            "ls -R -C -X main^^",
            "ls -RCX main",
            "ls -d main^^",
            "ls -d main^^ /sub sub/deep /a",
            "ls main^^ sub /a",
            "ls -C main^^ /empty",
            "ls main^^ sub/link sub/loop",
            "ls -R --nul-filenames-only main^^",
            "ls main nowhere",
            "ls main a/b",
            "ls nowhere",
            "ls",
            "ls -R latest",
            "ls -d main^^ sub a",
            "ls -d -R main^^ sub",
        ],
    );
}

#[test]
fn contents_are_printed_as_in_stock() {
    let directory = fixture::repository();
    all_alike(
        directory.path(),
        &[
            "cat main^^ a sub/run",
            "cat main^^ /big",
            "cat main^^ sub/é",
            "cat main^^ a /big sub/run a",
            "cat main^^ a nowhere",
            "cat main^^ /",
            "cat main^^ nowhere",
            "cat main^^ sub",
            "cat main^^",
            "cat",
        ],
    );
}

#[test]
fn commits_are_shown_as_in_stock() {
    let directory = fixture::repository();
    let shallow = StockRepo::init(&directory.path().join("shallow"), "archive");
    let source = directory.path().join("repo");
    shallow.run(&[
        "pull-local",
        "--commit-metadata-only",
        source.to_str().unwrap(),
        "sized",
    ]);
    all_alike(
        directory.path(),
        &[
            "show main",
            "show main^",
            "show main^^",
            "show --raw main^^",
            "show -B main^^",
            "show -B --raw main^^",
            "show --print-related main",
            "show --print-metadata-key=version main^^",
            "show --print-metadata-key=number main^^",
            "show --print-metadata-key=nested main^^",
            "show -B --print-metadata-key=number main^^",
            "show --print-metadata-key=ostree.ref-binding main",
            "show --print-metadata-key=nothing main",
            "show --print-detached-metadata-key=note main^^",
            "show --print-detached-metadata-key=nothing main^^",
            "show --print-detached-metadata-key=note main",
            "show --print-sizes main",
            "show --print-variant-type=(a(s(taya{sv}))a{sv}) repo/summary",
            "show --print-variant-type=ay repo/config",
            "show --print-variant-type=ay repo/nowhere",
            "show --print-sizes sized",
            "show --print-sizes --repo=shallow sized",
            "show nowhere",
            "show",
            "log main",
            "log main^",
            "log --raw main",
            "log nowhere",
            "log",
        ],
    );
}

#[test]
fn differences_are_those_that_stock_sees() {
    let directory = fixture::repository();
    fixture::trees(&directory.path().join("changed"));
    Tree::at(&directory.path().join("changed/tree"))
        .remove("sub/deep")
        .file("empty/now/full", "", 0o644)
        .file("sub/run", "#!/bin/false\n", 0o755)
        .dir("sub", 0o700);
    for arguments in [
        "diff main",
        "diff main^",
        "diff main^^",
        "diff main^^ main",
        "diff main main^^",
        "diff main main",
        "diff --stats main^^ main",
        "diff --stats --fs-diff main^^ main",
        "diff main^^ ./tree",
        "diff ./tree ./changed/tree",
        "diff --owner-uid=0 --owner-gid=0 main^^ ./changed/tree",
        "diff --owner-uid=0 --owner-gid=0 ./changed/tree main^^",
        "diff --no-xattrs --owner-uid=7 main^ ./tree",
        "diff --stats main ./tree",
        "diff main tree",
        "diff main ./nowhere",
        "diff nowhere",
        "diff",
    ] {
        // Stock lists a directory in whatever order the file system has.
        assert_alike(
            directory.path(),
            &format!("--repo=repo {arguments}"),
            Ended::sorted,
        );
    }
}

#[test]
fn objects_are_shown_by_their_checksums_as_in_stock() {
    let directory = fixture::repository();
    let repo = StockRepo::open(&directory.path().join("repo"));
    let listed = repo.run(&["ls", "-R", "-C", "main^^"]);
    let checksums = listed
        .split_whitespace()
        .filter(|word| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let mut count = 0;
    for checksum in checksums {
        count += 1;
        all_alike(
            directory.path(),
            &[
                &format!("show {checksum}"),
                &format!("show --raw {checksum}"),
                &format!("show -B --raw {checksum}"),
            ],
        );
    }
    assert!(count > 10, "the listing names objects: {listed}");
    all_alike(directory.path(), &[&format!("show {}", "0".repeat(64))]);
}

#[test]
fn history_that_is_not_here_ends_a_log_as_in_stock() {
    let directory = fixture::repository();
    let shallow = StockRepo::init(&directory.path().join("shallow"), "archive");
    shallow.run(&[
        "pull-local",
        directory.path().join("repo").to_str().expect("plain"),
        "main",
    ]);
    assert_alike(directory.path(), "--repo=shallow log main", identity);
    assert_alike(directory.path(), "--repo=shallow log --raw main", identity);
}

#[test]
fn refs_are_listed_as_in_stock() {
    let directory = fixture::repository();
    for arguments in [
        "refs",
        "refs --list",
        "refs os",
        "refs --list os",
        "refs os/x86_64",
        "refs os/arm",
        "refs main os",
        "refs nowhere",
        "refs origin",
        "refs origin:",
        "refs origin:.",
        "refs origin:os",
        "refs --list origin:os",
        "refs origin:os/arm",
        "refs -A",
        "refs --alias --list",
        "refs -c",
        "refs -- -x",
        "refs os/",
    ] {
        assert_alike(
            directory.path(),
            &format!("--repo=repo {arguments}"),
            Ended::sorted,
        );
    }
}

#[test]
fn collection_refs_are_listed_as_in_stock() {
    let directory = fixture::repository();
    let path = directory.path().join("collected");
    let repo = StockRepo::open(&path);
    repo.run(&["init", "--mode=archive", "--collection-id=org.example.One"]);
    repo.commit("app", &directory.path().join("tree"));
    repo.run(&["refs", "-c", "--create=org.example.Two:other", "app"]);
    for arguments in [
        "refs",
        "refs -c",
        "refs -c org.example.Two",
        "refs -c org.example.No",
        "refs -c bad",
    ] {
        assert_alike(
            directory.path(),
            &format!("--repo=collected {arguments}"),
            Ended::sorted,
        );
    }
}

#[test]
fn configuration_is_read_as_in_stock() {
    let directory = fixture::repository();
    all_alike(
        directory.path(),
        &[
            "config get core.mode",
            "config get core.repo_version",
            "config get --group=core mode",
            "config --group=core get mode",
            "config get core.nothing",
            "config get nothing.at_all",
            "config get mode",
            "config get",
            "config frobnicate core.mode",
            "config",
        ],
    );
}

#[test]
fn the_repository_is_found_where_stock_finds_it() {
    let directory = fixture::repository();
    assert_alike(&directory.path().join("repo"), "rev-parse main", identity);
    assert_alike(directory.path(), "rev-parse main", identity);
    assert_alike(directory.path(), "rev-parse main --repo=repo", identity);
    assert_alike(directory.path(), "rev-parse --repo repo main", identity);
    assert_alike(directory.path(), "--repo=nowhere rev-parse main", identity);
    assert_alike(directory.path(), "--repo=tree rev-parse main", identity);
}
