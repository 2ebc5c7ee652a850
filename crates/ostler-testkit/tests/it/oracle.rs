//! The oracle finds what it is there to find.

use ostler_testkit::oracle::{assert_refs_complete, assert_sound, strays};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree;
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use tempfile::TempDir;

fn repo_in(directory: &Path) -> StockRepo {
    let files = tree::plain(&directory.join("tree"));
    let repo = StockRepo::init(&directory.join("repo"), "archive");
    repo.commit("branch", files.path());
    repo
}

#[test]
fn whole_repository_is_sound() {
    let directory = TempDir::new().unwrap();
    let repo = repo_in(directory.path());
    repo.run(&["summary", "-u"]);
    assert_sound(repo.path());
}

#[test]
fn missing_object_is_noticed() {
    let directory = TempDir::new().unwrap();
    let repo = repo_in(directory.path());
    let objects = repo.path().join("objects");
    let victim = fs::read_dir(&objects)
        .unwrap()
        .flat_map(|entry| fs::read_dir(entry.unwrap().path()).unwrap())
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|suffix| suffix == "filez"))
        .unwrap();
    fs::remove_file(victim).unwrap();
    assert!(catch_unwind(|| assert_refs_complete(repo.path())).is_err());
}

#[test]
fn each_kind_of_stray_file_is_noticed() {
    let directory = TempDir::new().unwrap();
    let repo = repo_in(directory.path());
    assert_eq!(strays(repo.path()), Vec::<String>::new());
    let expected = [
        "objects/00/.tmp-object",
        "objects/zz",
        "refs/heads/half",
        "state/leftover",
        "summary.tmp",
        "tmp/staging-x",
    ];
    for stray in expected {
        let path = repo.path().join(stray);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "half a checksum").unwrap();
    }
    assert_eq!(strays(repo.path()), expected);
}
