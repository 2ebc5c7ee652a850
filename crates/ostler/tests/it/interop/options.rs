//! Commits of the same tree with the same options have the same id and leave the same objects and refs.

use super::{BOTH, Who, assert_same_objects, both_alike, versions};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const COMMIT: &[&str] = &[
    "--repo=repo",
    "commit",
    "--fsync=false",
    "--timestamp=@1700000000",
];

/// The option for the parent of some commits.
const PARENT: &str = "--parent=6109d33e99f48e9b90cdf8ad037b8e5d20ef899697cfd3eb492cf78800aed498";

/// Makes a repository for each program, and beside them two trees and the lists of paths that options take.
fn prepare(mode: &str) -> TempDir {
    let directory = TempDir::new().expect("a directory");
    let _trees = versions(directory.path());
    Tree::at(&directory.path().join("overlay"))
        .file("etc/hostname", "overlaid\n", 0o640)
        .symlink("etc/motd", "hostname")
        .file("links/space", "a link before\n", 0o644)
        .dir("modes/group", 0o700)
        .file("modes/group/new", "new\n", 0o4711)
        .file("added/file", "new\n", 0o644)
        .xattr("added", "user.added", b"yes")
        .dir("empty", 0o2770);
    for who in BOTH {
        let own = directory.path().join(who.name());
        fs::create_dir(&own).expect("our own directory");
        who.init(&own.join("repo"), mode);
        let write = |name: &str, text: &str| fs::write(own.join(name), text).expect("our own file");
        write(
            "modes",
            "=511 /modes/read-only\n2048 /etc/hostname\n1024 /order/a.c\n=256 /names/a b\n=493 /names/größe\n\
             512 /empty\n=448 /modes/group\n1 /links/dangling\n",
        );
        write("skipped", "/large\n/names\n/etc/issue\n/modes/private\n");
        write("message", "first line\n\nand more: größe\n");
    }
    directory
}

/// Commits with each list of options by both programs; each must end alike with both.
#[track_caller]
fn compare(mode: &str, cases: &[&[&str]]) {
    let directory = prepare(mode);
    for options in cases {
        let (printed, succeeded) = both_alike(directory.path(), &[COMMIT, options].concat());
        assert!(succeeded, "{options:?}");
        assert_eq!(
            printed.lines().next().map(str::len),
            Some(64),
            "{options:?}: {printed}"
        );
    }
    conclude(directory.path());
}

/// Asserts that both repositories are whole and the same.
#[track_caller]
fn conclude(directory: &Path) {
    let repo = |who: Who| directory.join(who.name()).join("repo");
    assert_same_objects(&repo(Who::Stock), &repo(Who::Ours));
    for writer in BOTH {
        for who in BOTH {
            who.fsck(&repo(writer));
        }
    }
    let refs = BOTH.map(|who| {
        let stock = StockRepo::open(&repo(who));
        let refs = stock.refs();
        let commits: Vec<String> = refs.iter().map(|name| stock.rev_parse(name)).collect();
        (refs, commits)
    });
    assert_eq!(refs[0], refs[1]);
}

#[test]
fn what_is_committed_of_a_tree_is_the_same() {
    let cases: &[&[&str]] = &[
        &["-b", "plain", "../first"],
        &["-b", "uid", "--owner-uid=1234", "../first"],
        &["-b", "gid", "--owner-gid=2147483647", "../first"],
        &["-b", "root", "--owner-uid=0", "--owner-gid=0", "../first"],
        &["-b", "canonical", "--canonical-permissions", "../first"],
        &[
            "-b",
            "canonical",
            "--canonical-permissions",
            "--owner-gid=0",
            "../first",
        ],
        &["-b", "bare", "--no-xattrs", "../first"],
        &["-b", "executables", "--mode-ro-executables", "../first"],
        &["-b", "modes", "--statoverride=modes", "../first"],
        &[
            "-b",
            "modes",
            "--statoverride=modes",
            "--canonical-permissions",
            "../first",
        ],
        &[
            "-b",
            "modes",
            "--statoverride=modes",
            "--mode-ro-executables",
            "--no-xattrs",
            "../first",
        ],
        &["-b", "skipped", "--skip-list=skipped", "../first"],
        &["-b", "skipped", "--skip-list=skipped", "--no-xattrs", "../second"],
    ];
    compare("archive", cases);
    let directory = prepare("archive");
    for owner in ["--owner-uid=7", "--owner-gid=7"] {
        let refused = ["-b", "canonical", "--canonical-permissions", owner, "../first"];
        let (_nothing, succeeded) = both_alike(directory.path(), &[COMMIT, &refused].concat());
        assert!(!succeeded, "{owner}");
    }
}

#[test]
fn layers_of_trees_are_the_same() {
    let cases: &[&[&str]] = &[
        &["-b", "first", "--tree=dir=../first"],
        &["-b", "both", "--tree=dir=../first", "--tree=dir=../overlay"],
        &["-b", "both", "--tree=dir=../overlay", "--tree=dir=../first"],
        &["-b", "over", "--tree=ref=first", "--tree=dir=../overlay"],
        &["-b", "over", "--tree=dir=../overlay", "--tree=ref=first"],
        &[
            "-b",
            "over",
            "--tree=ref=both^",
            "--tree=ref=first",
            "--owner-uid=5",
        ],
        &[
            "-b",
            "over",
            "--tree=ref=both",
            "--no-xattrs",
            "--skip-list=skipped",
        ],
        &["-b", "over", "--tree=ref=first", "--statoverride=modes"],
        &["-b", "over", "--tree=ref=first", "--canonical-permissions"],
        &["-b", "based", "--base=first", "--tree=dir=../overlay"],
        &[
            "-b",
            "based",
            "--base=first",
            "--owner-uid=9",
            "--no-xattrs",
            "../overlay",
        ],
        &[
            "-b",
            "part",
            "--tree=dir=../first/modes",
            "--tree=dir=../second/order",
        ],
        &["-b", "same", "--tree=ref=first"],
        &["-b", "same", "--tree=ref=first", "--skip-if-unchanged"],
        &["-b", "same", "--tree=dir=../first", "--skip-if-unchanged"],
        &["-b", "same", "--tree=dir=../second", "--skip-if-unchanged"],
        &["-b", "empty", "--tree=dir=../first/empty"],
    ];
    compare("archive", cases);
}

#[test]
fn a_file_and_a_directory_of_one_name_cannot_be_overlaid() {
    let directory = prepare("archive");
    for trees in [
        ["--tree=dir=../first", "--tree=dir=../second"],
        ["--tree=dir=../second", "--tree=dir=../first"],
    ] {
        let (_nothing, succeeded) = both_alike(directory.path(), &[COMMIT, &["-b", "both"], &trees].concat());
        assert!(!succeeded, "{trees:?}");
    }
}

/// Options about the commit itself.
const SAID: &[&[&str]] = &[
    &["-b", "main", "../first/etc"],
    &[
        "-b",
        "main",
        "-s",
        "Größe\twith tab",
        "-m",
        "Body\n\nof lines\n",
        "../first/etc",
    ],
    &["-b", "main", "--subject=", "--body=", "../first/etc"],
    &[
        "-b",
        "main",
        "--body-file=message",
        "-s",
        "From a file",
        "../first/etc",
    ],
    &["-b", "main", "--parent=none", "../first/etc"],
    &["-b", "main", "--timestamp=@0", "../first/etc"],
    &["-b", "main", "--timestamp=@4102444800", "../first/etc"],
    &[
        "-b",
        "main",
        "--timestamp=2001-02-03 04:05:06 +0700",
        "../first/etc",
    ],
    &["--orphan", "../first/etc"],
    // The commit of no files, made at the epoch, which the next two commits are made on.
    &[
        "--orphan",
        "--timestamp=@0",
        "--no-bindings",
        "--owner-uid=0",
        "--owner-gid=0",
        "../first/empty",
    ],
    &["--orphan", PARENT, "-s", "orphan", "../first/etc"],
    &["-b", "main", PARENT, "../first/etc"],
    &["--orphan", "--bind-ref=z", "--bind-ref=a/b", "../first/etc"],
    &[
        "-b",
        "deep/er/branch",
        "--bind-ref=other",
        "--bind-ref=deep",
        "../first/etc",
    ],
    &["-b", "größe", "../first/etc"],
    &["-b", "unbound", "--no-bindings", "../first/etc"],
    &["-b", "unbound", "--no-bindings", "--bind-ref=x", "../first/etc"],
    &["-b", "remote:branch", "../first/etc"],
    &[
        "-b",
        "notes",
        "--add-detached-metadata-string=note=seen",
        "--add-detached-metadata-string=a=b=c",
        "../first/etc",
    ],
    &[
        "-b",
        "notes",
        "--add-metadata-string=z=1",
        "--add-metadata-string=a=2",
        "--add-metadata=m=3",
        "../first/etc",
    ],
    &[
        "-b",
        "twice",
        "--add-metadata-string=a=1",
        "--add-metadata-string=a=2",
        "--add-metadata=a=3",
        "../first/etc",
    ],
    &[
        "-b",
        "twice",
        "--add-metadata=ostree.ref-binding=['mine']",
        "../first/etc",
    ],
    &[
        "-b",
        "twice",
        "--add-detached-metadata-string=a=1",
        "--add-detached-metadata-string=a=2",
        "../first/etc",
    ],
    &[
        "-b",
        "notes",
        "--keep-metadata=a",
        "--keep-metadata=z",
        "--add-metadata-string=y=",
        "../first/etc",
    ],
];

#[test]
fn what_is_said_about_a_commit_is_the_same() {
    compare("archive", SAID);
}

/// Texts of GVariant values: every type, with and without annotation.
const VALUES: &[&str] = &[
    "true",
    "byte 0x7f",
    "int16 -5",
    "uint16 65535",
    "-12",
    "uint32 4294967295",
    "int64 -9223372036854775808",
    "uint64 18446744073709551615",
    "handle 1",
    "1.5",
    "double 1e300",
    "-0.0",
    "'it\\'s größe \\u00e9 \\n'",
    "\"double \\\" quoted\"",
    "objectpath '/org/example/Path'",
    "signature 'a{sv}'",
    "b'bytes\\001\\x'",
    "b''",
    "@ay [1, 2, 255]",
    "@ay []",
    "just 5",
    "@mi nothing",
    "@ms just 'x'",
    "just just true",
    "<'variant'>",
    "<<uint16 3>>",
    "()",
    "(1,)",
    "('a', uint32 1, [true, false], <5>)",
    "@(yqu) (1, 2, 3)",
    "['a', 'b', '']",
    "@as []",
    "[<1>, <'two'>]",
    "[[1, 2], [], [3]]",
    "@aay [[1], [], [2, 3]]",
    "[(1, 'a'), (2, 'b')]",
    "{'key': <'value'>, 'other': <[1, 2]>}",
    "{1: 'a', 2: 'b'}",
    "@a{sv} {}",
    "{'nested': {'a': 1}}",
    "[just 1, nothing, just 3]",
    "@a(ss) [('a', 'b')]",
    "{'a', 5}",
    "@a{say} {'x': [1]}",
    "[1.0, 2, -3]",
    "uint32 0x10",
    "017",
    "inf",
    "@d -inf",
];

#[test]
fn values_of_metadata_are_stored_and_printed_the_same() {
    let directory = prepare("archive");
    for value in VALUES {
        let metadata = format!("--add-metadata=value={value}");
        let arguments = [COMMIT, &["-b", "values", &metadata, "../first/empty"]].concat();
        let (_id, succeeded) = both_alike(directory.path(), &arguments);
        assert!(succeeded, "{value}");
        let show = |print: &'static str| ["--repo=repo", "show", print, "values"];
        for print in ["--print-metadata-key=value", "--raw"] {
            both_alike(directory.path(), &show(print));
        }
        both_alike(
            directory.path(),
            &[
                "--repo=repo",
                "show",
                "-B",
                "--print-metadata-key=value",
                "values",
            ],
        );
    }
    for value in [
        "",
        "[",
        "]",
        "x",
        "1 2",
        "byte 256",
        "'open",
        "[1, 'a']",
        "@s 5",
        "@ay 5",
        "nothing",
        "[]",
        "{}",
        "uint32 -1",
        "objectpath 'x'",
        "{<1>: 2}",
        "just",
        "@",
        "()()",
    ] {
        let metadata = format!("--add-metadata=value={value}");
        let arguments = [COMMIT, &["-b", "values", &metadata, "../first/empty"]].concat();
        let (_nothing, succeeded) = both_alike(directory.path(), &arguments);
        assert!(!succeeded, "{value}");
    }
    conclude(directory.path());
}

#[test]
fn checkouts_committed_again_are_the_same() {
    // In bare-user-only repositories stock reads such files all the same, so that the counters differ.
    const TABLE: &[&str] = &["--table-output"];
    for (mode, checkout, table) in [
        ("bare", &["-H"][..], TABLE),
        ("bare-user", &["-U", "-H"], TABLE),
        ("bare-user-only", &["-U", "-H"], &[]),
    ] {
        let directory = prepare(mode);
        let step = |arguments: &[&str]| {
            let (printed, succeeded) = both_alike(directory.path(), arguments);
            assert!(succeeded, "{mode}: {arguments:?}");
            printed
        };
        let commit = |more: &[&str]| step(&[COMMIT, table, &["-b", "again"], more].concat());
        step(&[COMMIT, &["-b", "main", "../first"]].concat());
        step(&[&["--repo=repo", "checkout"], checkout, &["main", "linked"]].concat());
        for who in BOTH {
            fs::write(directory.path().join(who.name()).join("linked/new"), "new\n").expect("our own file");
        }
        for speedup in ["--link-checkout-speedup", "-I"] {
            let printed = commit(&[speedup, "linked"]);
            assert!(!printed.contains("Cache Hits: 0"), "{mode}: {printed}");
            commit(&[speedup, "--owner-uid=8", "linked"]);
        }
        commit(&["--link-checkout-speedup", "--statoverride=modes", "linked"]);
        let arguments = ["-b", "again", "-I", "--statoverride=modes", "linked"];
        let (_nothing, succeeded) = both_alike(directory.path(), &[COMMIT, &arguments].concat());
        assert!(
            !succeeded,
            "{mode}: what -I takes as it is cannot get another mode"
        );
        conclude(directory.path());
    }
}
