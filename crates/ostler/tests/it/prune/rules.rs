//! Where we differ from stock on purpose, and what must never happen.

use super::{files, moved, on_repo};
use crate::programs::{OSTLER, ostler};
use ostler_testkit::command::{fail, run};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::fs;
use std::os::unix::fs::symlink;
use tempfile::TempDir;

/// A repository with two commits on `main`, and nothing else.
fn repository() -> (TempDir, StockRepo) {
    let directory = tempfile::tempdir().unwrap();
    let repo = StockRepo::init(&directory.path().join("repo"), "archive");
    for version in ["one", "two"] {
        let path = directory.path().join(version);
        Tree::at(&path)
            .file("file", version, 0o644)
            .file(&format!("{version}/x"), "x", 0o644);
        repo.commit("main", &path);
    }
    (directory, repo)
}

/// Returns where an object lies in a repository.
fn object(checksum: &str, suffix: &str) -> String {
    let (first, rest) = checksum.split_at(2);
    format!("objects/{first}/{rest}.{suffix}")
}

#[track_caller]
fn pruned(directory: &TempDir, arguments: &[&str]) -> String {
    run(ostler(directory.path())
        .args(["--repo=repo", "prune"])
        .args(arguments))
}

#[track_caller]
fn refused(directory: &TempDir, arguments: &[&str]) -> String {
    let before = files(&directory.path().join("repo"));
    let said = fail(
        ostler(directory.path())
            .args(["--repo=repo", "prune"])
            .args(arguments),
    );
    assert_eq!(files(&directory.path().join("repo")), before, "{said}");
    said
}

#[test]
fn where_refs_cannot_be_listed_nothing_is_pruned() {
    let (directory, repo) = repository();
    let refs = repo.path().join("refs");
    let away = directory.path().join("away");
    for path in ["refs", "refs/heads"] {
        moved(&repo.path().join(path), &away);
        let said = refused(&directory, &["--refs-only", "--depth=0"]);
        assert!(said.contains("refs/heads"), "{said}");
        let said = refused(&directory, &["--keep-younger-than=2100-01-01"]);
        assert!(said.contains("refs/heads"), "{said}");
        moved(&away, &repo.path().join(path));
    }
    fs::write(refs.join("heads/broken"), "no checksum\n").unwrap();
    assert!(refused(&directory, &["--refs-only"]).contains("ref broken is corrupt"));
    fs::remove_file(refs.join("heads/broken")).unwrap();

    for stranger in ["remotes/.hidden", "mirrors/nodots"] {
        fs::create_dir(refs.join(stranger)).unwrap();
        assert!(refused(&directory, &["--refs-only"]).contains(stranger));
        fs::remove_dir(refs.join(stranger)).unwrap();
    }
    symlink("../heads", refs.join("remotes/linked")).unwrap();
    assert!(refused(&directory, &["--refs-only"]).contains("remotes/linked"));
    fs::remove_file(refs.join("remotes/linked")).unwrap();

    // Published copies have no refs of remotes.
    fs::remove_dir(refs.join("remotes")).unwrap();
    fs::remove_dir(refs.join("mirrors")).unwrap();
    assert!(pruned(&directory, &["--refs-only"]).contains("No unreachable objects"));
}

#[test]
fn refs_of_mirrors_keep_what_they_name_whatever_the_options() {
    for options in [
        &["--keep-younger-than=2100-01-01"][..],
        &["--retain-branch-depth=main=0"],
        &["--only-branch=main", "--depth=0"],
        &["--refs-only", "--depth=0"],
    ] {
        let (directory, repo) = repository();
        let first = repo.rev_parse("main^");
        let mirrors = repo.path().join("refs/mirrors/org.example.Other");
        fs::create_dir_all(&mirrors).unwrap();
        fs::write(mirrors.join("theirs"), format!("{first}\n")).unwrap();
        pruned(&directory, options);
        repo.fsck();
        repo.run(&["ls", "-R", &first]);
    }
}

#[test]
fn refs_of_mirrors_are_among_the_others_whose_history_stays() {
    let (directory, repo) = repository();
    let mirrors = repo.path().join("refs/mirrors/org.example.Other");
    fs::create_dir_all(&mirrors).unwrap();
    fs::write(mirrors.join("theirs"), format!("{}\n", repo.rev_parse("main"))).unwrap();
    let before = files(repo.path());
    pruned(&directory, &["--only-branch=main", "--depth=0"]);
    assert_eq!(files(repo.path()), before);
    fs::remove_file(mirrors.join("theirs")).unwrap();
    assert!(pruned(&directory, &["--only-branch=main", "--depth=0"]).contains("Deleted 3 objects"));
}

#[test]
fn a_dry_run_changes_nothing() {
    let (directory, repo) = repository();
    repo.run(&["static-delta", "generate", "--empty", "main^"]);
    let cache = repo.path().join("tmp/cache/summaries");
    fs::create_dir_all(&cache).unwrap();
    fs::write(cache.join("gone"), "").unwrap();
    let before = files(repo.path());
    let said = pruned(&directory, &["--refs-only", "--depth=0", "--no-prune"]);
    assert!(said.contains("Would delete: 3 objects"), "{said}");
    assert_eq!(files(repo.path()), before);
    let record = pruned(&directory, &["--refs-only", "--depth=0", "--no-prune", "--json"]);
    assert!(
        record.contains(r#""removed":3"#) && record.contains(r#""dry_run":true"#),
        "{record}"
    );

    let said = pruned(&directory, &["--refs-only", "--depth=0"]);
    assert!(said.contains("Deleted 3 objects"), "{said}");
    assert!(!cache.join("gone").exists() && repo.run(&["static-delta", "list"]).contains("No static"));
}

#[test]
fn a_tree_that_is_missing_ends_the_prune_before_it_began() {
    let (directory, repo) = repository();
    let listed = repo.run(&["ls", "-d", "-C", "main", "/two"]);
    let tree = listed.split_whitespace().find(|word| word.len() == 64).unwrap();
    let (first, rest) = tree.split_at(2);
    fs::remove_file(repo.path().join(format!("objects/{first}/{rest}.dirtree"))).unwrap();
    let said = refused(&directory, &["--refs-only", "--depth=0"]);
    assert!(
        said.contains("No such metadata object") && said.contains("the directory /two of commit"),
        "{said}"
    );

    // With the mark that it is partial it is none.
    let mark = format!("state/{}.commitpartial", repo.rev_parse("main"));
    fs::write(repo.path().join(&mark), "").unwrap();
    let said = pruned(&directory, &["--refs-only", "--depth=0"]);
    assert!(said.contains("Deleted"), "{said}");
    assert!(repo.path().join(&mark).exists());

    // And goes with the commit.
    repo.run(&["refs", "--delete", "main"]);
    pruned(&directory, &["--refs-only"]);
    assert!(!repo.path().join(&mark).exists());
    let left = files(repo.path())
        .into_iter()
        .filter(|path| path.starts_with("objects"));
    assert_eq!(left.count(), 0);
}

#[test]
fn a_commit_that_a_ref_names_is_not_deleted_by_its_name() {
    let (directory, repo) = repository();
    let tip = repo.rev_parse("main");
    let said = refused(&directory, &["--delete-commit", &tip]);
    assert!(
        said.contains(&format!("Commit '{tip}' is referenced by 'main'")),
        "{said}"
    );
    assert!(
        !fs::read_to_string(repo.path().join("config"))
            .unwrap()
            .contains("tombstone")
    );
    let absent = "0".repeat(64);
    assert!(refused(&directory, &["--delete-commit", &absent]).contains("not found"));
    assert!(refused(&directory, &["--refs-only", "--depth=-2"]).contains("Invalid depth -2"));
}

#[test]
fn deleting_a_commit_again_goes_on_where_an_earlier_run_was_cut_short() {
    let (directory, repo) = repository();
    let first = repo.rev_parse("main^");
    pruned(&directory, &["--delete-commit", &first, "--commit-only"]);
    let tombstone = object(&first, "tombstone-commit");
    assert!(repo.path().join(&tombstone).exists());
    assert!(
        repo.run(&["config", "get", "core.tombstone-commits"])
            .contains("true")
    );
    let said = pruned(&directory, &["--delete-commit", &first]);
    assert!(said.contains("Deleted 2 objects"), "{said}");
    repo.fsck();
}

#[test]
fn what_is_no_object_stays() {
    let (directory, repo) = repository();
    let strays = ["objects/ab/.~tmp~", "objects/README", "objects/ab/x.filez"];
    for stray in strays {
        let path = repo.path().join(stray);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    repo.run(&["refs", "--delete", "main"]);
    pruned(&directory, &["--refs-only"]);
    let left = files(repo.path());
    for stray in strays {
        assert!(left.contains(std::path::Path::new(stray)), "{stray}");
    }
}

#[test]
fn links_by_payload_go_as_in_stock() {
    for threshold in ["", "5000", "5001"] {
        let mut left = Vec::new();
        for program in ["ostree", OSTLER] {
            let directory = tempfile::tempdir().unwrap();
            let repo = StockRepo::init(&directory.path().join("repo"), "bare-user-only");
            if !threshold.is_empty() {
                repo.run(&["config", "set", "core.payload-link-threshold", threshold]);
            }
            let tree = directory.path().join("tree");
            Tree::at(&tree).file("big", vec![0; 5000], 0o644);
            repo.commit("main", &tree);
            let listed = repo.run(&["ls", "-C", "main", "/big"]);
            let content = listed.split_whitespace().find(|word| word.len() == 64).unwrap();
            let prefix = repo.path().join("objects/00");
            fs::create_dir_all(&prefix).unwrap();
            let link = prefix.join(format!("{}.payload-link", "1".repeat(62)));
            symlink(object(content, "file").replace("objects", ".."), &link).unwrap();
            let ended = on_repo(program, directory.path(), "prune");
            left.push((ended, files(repo.path())));
        }
        assert_eq!(left[0], left[1], "threshold {threshold}");
    }
}
