//! Damage: both programs find the same, and take the same away when told to.

use super::{BOTH, Who, assert_same_objects, versions};
use ostler_testkit::command::{attempt, fail};
use ostler_testkit::listing::assert_same_files;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Returns the objects with a suffix, in the order of their names.
fn objects(repo: &Path, suffix: &str) -> Vec<PathBuf> {
    let paths = super::objects(repo).into_keys();
    paths
        .filter(|path| path.extension().is_some_and(|found| found == suffix))
        .map(|path| repo.join("objects").join(path))
        .collect()
}

/// Puts other bytes in the place of an object; what shares its inode stays whole.
fn corrupt(object: &Path) {
    fs::remove_file(object).expect("an object");
    fs::write(object, "other bytes").expect("our own file");
}

#[test]
fn corrupt_objects_are_deleted_and_fetched_again_by_either() {
    let directory = TempDir::new().unwrap();
    let (first, _second) = versions(directory.path());
    let source = directory.path().join("source");
    Who::Stock.init(&source, "archive");
    Who::Stock.commit(&source, &first, &[]);
    let repos = BOTH.map(|who| {
        let repo = directory.path().join(who.name());
        who.init(&repo, "archive");
        who.run(&repo, &["pull-local", source.to_str().unwrap(), "main"]);
        repo
    });
    for (who, repo) in BOTH.into_iter().zip(&repos) {
        let (files, trees) = (objects(repo, "filez"), objects(repo, "dirtree"));
        for object in files[..3].iter().chain(&trees[..1]) {
            corrupt(object);
        }
        let found = fail(who.on(repo).args(["fsck", "-q"]));
        assert!(found.starts_with("error: In commits "), "{who:?}: {found}");
        let found = fail(who.on(repo).args(["fsck", "-q", "--delete"]));
        let named = found
            .lines()
            .filter(|line| line.starts_with("In commits "))
            .count();
        assert_eq!(named, 4, "{who:?}: {found}");
    }
    assert_same_objects(&repos[0], &repos[1]);
    assert_same_files(&repos[0].join("state"), &repos[1].join("state"));
    for repo in &repos {
        for who in BOTH {
            let again = attempt(who.on(repo).args(["fsck", "-q"]));
            assert_eq!(
                again.status.code(),
                Some(1),
                "{who:?}: what was deleted is missing"
            );
        }
    }
    // The other one heals it.
    for (who, repo) in BOTH.into_iter().zip(&repos) {
        who.other()
            .run(repo, &["pull-local", source.to_str().unwrap(), "main"]);
        for who in BOTH {
            who.fsck(repo);
        }
        assert_eq!(fs::read_dir(repo.join("state")).unwrap().count(), 0);
    }
    assert_same_objects(&repos[0], &repos[1]);
}
