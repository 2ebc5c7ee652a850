//! JSON, and text from repositories that would steer a terminal.

use crate::fixture;
use crate::programs::ostler;
use ostler_testkit::command::{fail, run};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use snapbox::str;
use std::fs;
use std::path::Path;

fn printed(directory: &Path, arguments: &[&str]) -> String {
    run(ostler(directory).arg("--repo=repo").args(arguments))
}

#[test]
fn json_is_one_object_a_line() {
    let directory = fixture::repository();
    run(ostler(directory.path()).args(["--repo=repo", "summary", "-u"]));
    for arguments in [
        &["log", "main"][..],
        &["show", "main"],
        &["ls", "-R", "main"],
        &["refs"],
        &["refs", "-A"],
        &["rev-parse", "main", "main^"],
        &["config", "get", "core.mode"],
        &["fsck"],
        &["show", "--list-metadata-keys", "main"],
        &["show", "--print-metadata-key=ostree.ref-binding", "main"],
        &["show", "--print-related", "main"],
        &["summary", "--raw"],
        &["summary", "--list-metadata-keys"],
        &["summary", "--print-metadata-key=ostree.summary.mode"],
    ] {
        let printed = printed(directory.path(), &[&["--json"], arguments].concat());
        assert!(!printed.is_empty(), "{arguments:?}");
        for line in printed.lines() {
            assert!(
                line.starts_with('{') && line.ends_with('}'),
                "{arguments:?}: {line}"
            );
        }
    }
}

#[test]
fn json_of_refs_and_files_has_stable_fields() {
    let directory = fixture::repository();
    snapbox::assert_data_eq!(
        printed(directory.path(), &["--json", "refs", "--list", "os/x86_64"]),
        str![[r#"
{"ref":"os/x86_64/stable","commit":"[..]"}
{"ref":"os/x86_64/testing","commit":"[..]"}

"#]]
    );
    snapbox::assert_data_eq!(
        printed(directory.path(), &["--json", "ls", "main^^", "/a", "/sub/link"]),
        str![[r#"
{"path":"/a","kind":"-","mode":420,"uid":0,"gid":0,"size":3,"checksum":"[..]"}
{"path":"/sub/link","kind":"l","mode":511,"uid":0,"gid":0,"size":0,"checksum":"[..]","target":"../a"}

"#]]
    );
}

#[test]
fn text_from_a_repository_cannot_steer_the_terminal() {
    let directory = fixture::repository();
    let tree = Tree::at(&directory.path().join("nasty"));
    tree.file("esc\u{1b}[2J", "", 0o644)
        .symlink("link", "to\u{1b}]0;title\u{7}");
    let repo = StockRepo::open(&directory.path().join("repo"));
    repo.commit_with(
        "nasty",
        tree.path(),
        &[
            "--subject=sub\u{1b}[1mject",
            "--body=one\u{202e}\rtwo",
            "--add-metadata-string=version=\u{9b}1m",
        ],
    );
    for arguments in [
        &["show", "nasty"][..],
        &["show", "--raw", "nasty"],
        &["log", "nasty"],
        &["ls", "-R", "nasty"],
        &["show", "--print-metadata-key=version", "nasty"],
    ] {
        let printed = printed(directory.path(), arguments);
        let unsafe_character = printed
            .chars()
            .find(|character| (character.is_control() && *character != '\n') || *character == '\u{202e}');
        assert_eq!(unsafe_character, None, "{arguments:?}: {printed}");
    }
    let raw = printed(directory.path(), &["ls", "-R", "--nul-filenames-only", "nasty"]);
    assert!(
        raw.contains("/esc\u{1b}[2J\0"),
        "names for programs stay as they are: {raw:?}"
    );
    let listed = repo.run(&["ls", "-C", "nasty"]);
    let line = listed.lines().find(|line| line.contains("[2J")).unwrap();
    let file = line.split_whitespace().find(|word| word.len() == 64).unwrap();
    let (first, rest) = file.split_at(2);
    let object = format!("objects/{first}/{rest}.filez");
    fs::remove_file(repo.path().join(object)).unwrap();
    let said = fail(ostler(directory.path()).args(["--repo=repo", "fsck"]));
    assert!(
        said.contains("hint:") && said.contains("[2J") && !said.contains('\u{1b}'),
        "{said:?}"
    );
}

#[test]
fn sizes_and_dates_are_those_of_a_small_commit() {
    let directory = fixture::repository();
    snapbox::assert_data_eq!(
        printed(directory.path(), &["show", "main^^"]),
        str![[r"
commit [..]
ContentChecksum:  [..]
Date:  2023-11-14 22:13:20 +0000
Version: 1.0

    test

    Body
    
      with lines


"]]
    );
}
