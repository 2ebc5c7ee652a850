//! A publish that is refused: what it says, and that it leaves nothing behind where nothing was before.

use crate::programs::ostler;
use crate::publish_scene::{advance, make_source};
use ostler_testkit::command::{attempt, describe};
use ostler_testkit::oracle::objects_of;
use ostler_testkit::stock::StockRepo;
use std::fs;
use std::path::Path;

#[track_caller]
fn publish(directory: &Path, arguments: &[&str], status: i32) -> String {
    let mut command = ostler(directory);
    let output = attempt(command.args(["--repo=source", "publish"]).args(arguments));
    let said = describe(&command, &output);
    assert_eq!(output.status.code(), Some(status), "{said}");
    said
}

/// Asserts that nothing is made at a new place, and nothing left in an empty directory.
#[track_caller]
fn assert_leaves_nothing(directory: &Path, options: &[&str]) -> String {
    let new = directory.join("new");
    let said = publish(directory, &[&["new"], options].concat(), 1);
    assert!(!new.exists(), "{said}");
    fs::create_dir(&new).unwrap();
    let said = publish(directory, &[&["new"], options].concat(), 1);
    assert_eq!(fs::read_dir(&new).unwrap().count(), 0, "{said}");
    fs::remove_dir(&new).unwrap();
    assert!(said.contains("nothing was published to new"), "{said}");
    said
}

fn harm(source: &StockRepo, suffix: &str, change: impl Fn(&mut Vec<u8>)) -> String {
    let commit = source.rev_parse("os/a");
    let path = objects_of(source.path(), &commit)
        .into_iter()
        .find(|path| path.ends_with(suffix));
    let path = source.path().join("objects").join(path.unwrap());
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::remove_file(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    let name = path.strip_prefix(source.path().join("objects")).unwrap();
    name.to_str().unwrap().replace('/', "")
}

#[test]
fn a_refused_publish_leaves_no_new_repository() {
    let directory = tempfile::tempdir().unwrap();
    let source = make_source(directory.path());
    for options in [&["nosuchref"][..], &["x/*", "--json"], &["--summary=copy"]] {
        assert_leaves_nothing(directory.path(), options);
    }
    harm(&source, "filez", |bytes| bytes.truncate(bytes.len() - 1));
    for options in [&[][..], &["--copy"], &["--held-bytes=0"]] {
        assert_leaves_nothing(directory.path(), options);
    }
}

#[test]
fn a_publish_of_a_partial_commit_leaves_no_new_repository() {
    let directory = tempfile::tempdir().unwrap();
    let source = make_source(directory.path());
    let commit = source.rev_parse("os/a");
    fs::write(source.path().join(format!("state/{commit}.commitpartial")), "").unwrap();
    assert_leaves_nothing(directory.path(), &[]);
}

#[test]
fn what_was_there_before_a_refused_publish_stays() {
    let directory = tempfile::tempdir().unwrap();
    make_source(directory.path());
    let target = StockRepo::init(&directory.path().join("target"), "archive");
    publish(directory.path(), &["target", "--summary=copy"], 1);
    assert_eq!(target.refs(), Vec::<String>::new(), "it is a repository still");
}

#[test]
fn a_damaged_dirtree_is_said_to_be_the_sources() {
    let changes: [fn(&mut Vec<u8>); 3] = [
        |bytes| bytes[3] ^= 0x80,
        |bytes| bytes.truncate(bytes.len() - 1),
        Vec::clear,
    ];
    for change in changes {
        for first in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let source = make_source(directory.path());
            if !first {
                publish(directory.path(), &["new"], 0);
                advance(&source, directory.path());
            }
            let name = harm(&source, "dirtree", change);
            let said = publish(directory.path(), &["new"], 1);
            assert!(said.contains("the source has"), "{said}");
            assert!(said.contains(&name), "{said}");
            assert!(said.contains("repair --from=REPO"), "{said}");
        }
    }
}

#[test]
fn what_is_no_pattern_is_bad_usage() {
    let directory = tempfile::tempdir().unwrap();
    make_source(directory.path());
    let said = publish(directory.path(), &["new", "os/["], 2);
    assert!(said.contains("'os/[' is not a pattern of refs: "), "{said}");
    assert!(!directory.path().join("new").exists());
}

#[test]
fn directory_of_other_things_is_left_alone_and_said_to_be_no_repository() {
    let directory = tempfile::tempdir().unwrap();
    let _source = make_source(directory.path());
    let other = directory.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("notes"), "ours").unwrap();
    for options in [&[][..], &["--dry-run"]] {
        let said = publish(directory.path(), &[&["other"], options].concat(), 2);
        assert!(said.contains("other is not empty and no repository"), "{said}");
    }
    let left: Vec<_> = fs::read_dir(&other)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["notes"]);
}

#[test]
fn neither_repository_may_lie_inside_of_the_other() {
    let directory = tempfile::tempdir().unwrap();
    let outer = StockRepo::init(&directory.path().join("outer"), "archive");
    let source = make_source(&outer.path().join("tmp"));
    std::os::unix::fs::symlink("outer/tmp/source", directory.path().join("source")).unwrap();
    std::os::unix::fs::symlink("source", directory.path().join("other")).unwrap();
    for (target, how) in [
        ("source/public", "inside of"),
        ("other/tmp/new/public", "inside of"),
        ("outer/tmp/source/objects/../public", "inside of"),
        ("outer", "around"),
    ] {
        for command in ["publish", "push"] {
            let mut call = ostler(directory.path());
            let output = attempt(call.args(["--repo=source", command, target]));
            let said = describe(&call, &output);
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(said.contains(&format!("{target} lies {how}")), "{said}");
        }
    }
    assert!(!source.path().join("public").exists() && !source.path().join("tmp/new").exists());
    assert_eq!(outer.refs(), Vec::<String>::new());
    publish(directory.path(), &["outer/../public"], 0);
}

#[test]
fn a_name_of_a_remote_and_of_a_directory_is_neither() {
    let directory = tempfile::tempdir().unwrap();
    let source = make_source(directory.path());
    let [here, there] =
        ["public", "there"].map(|name| StockRepo::init(&directory.path().join(name), "archive"));
    let url = format!("file://{}", there.path().display());
    source.run(&["remote", "add", "--no-gpg-verify", "public", &url]);
    for command in ["publish", "push"] {
        let mut call = ostler(directory.path());
        let output = attempt(call.args(["--repo=source", command, "public"]));
        let said = describe(&call, &output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("write ./public for the directory") && said.contains(&url),
            "{said}"
        );
    }
    assert_eq!((here.refs(), there.refs()), (vec![], vec![]));
    publish(directory.path(), &["./public"], 0);
    assert_eq!((here.refs(), there.refs()), (source.refs(), vec![]));
}
