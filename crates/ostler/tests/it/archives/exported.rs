//! `export`: what other programs make of the archive, and what becomes of it as a commit.

use super::{Bench, assorted};
use crate::interop::Who;
use crate::programs::OSTLER;
use ostler_testkit::command::{attempt, command, fail, run};
use ostler_testkit::listing::assert_same_files;
use std::fs;
use std::process::Stdio;

/// Exports a commit of our repository with some options to a file.
#[track_caller]
fn export(bench: &Bench, commit: &str, options: &[&str], file: &str) {
    let mut command = Who::Ours.on(&bench.path("ours"));
    command
        .current_dir(bench.path(""))
        .args(["export", commit, "-o", file]);
    run(command.args(options));
}

#[test]
fn an_exported_commit_is_the_tree_again() {
    let bench = Bench::new();
    assorted(&bench.path("tree")).owner("links/one", 2_097_152, 4_000_000_000);
    let commit = bench.ours(&["tree"]);
    export(&bench, &commit, &[], "out.tar");
    bench.shell("mkdir out && tar --xattrs --xattrs-include='*' -C out -xpf out.tar");
    assert_same_files(&bench.path("tree"), &bench.path("out"));
    bench.shell("mkdir bsd && bsdtar --xattrs -C bsd -xpf out.tar");
    assert_same_files(&bench.path("tree"), &bench.path("bsd"));
    assert_eq!(bench.same(&["--tree=tar=out.tar"]), commit);
    // To standard output it is the same.
    let output = attempt(Who::Ours.on(&bench.path("ours")).args(["export", &commit]));
    assert_eq!(
        output.stdout,
        fs::read(bench.path("out.tar")).expect("our own file")
    );
}

#[test]
fn parts_prefixes_and_attributes_are_as_asked_for() {
    let bench = Bench::new();
    assorted(&bench.path("tree"));
    let commit = bench.same(&["tree"]);
    for (options, root) in [
        (&["--subpath=links"][..], "tree/links"),
        (&["--subpath=/names/"], "tree/names"),
        (&["--no-xattrs"], "tree"),
    ] {
        export(&bench, &commit, options, "out.tar");
        let xattrs = &["--no-xattrs"][..options.len().min(usize::from(root == "tree"))];
        let wanted = bench.same(&[&[root], xattrs].concat());
        assert_eq!(bench.same(&["--tree=tar=out.tar"]), wanted, "{options:?}");
    }
    for prefix in ["the/prefix/", "pre", "/absolute/"] {
        let option = format!("--prefix={prefix}");
        export(&bench, &commit, &[&option, "--subpath=links"], "ours.tar");
        bench.shell(&format!(
            "ostree --repo=stock export {commit} {option} --subpath=links -o stock.tar"
        ));
        bench.shell("for who in ours stock; do tar -tvf $who.tar 2>/dev/null | sed 's/ link to / -> /' >$who.list; done");
        bench.shell("diff stock.list ours.list");
    }
    for bad in ["nowhere", "links/one"] {
        let mut command = Who::Ours.on(&bench.path("ours"));
        let output = attempt(command.args(["export", &commit, &format!("--subpath={bad}")]));
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{bad}");
    }
}

#[test]
fn a_file_is_replaced_by_a_whole_archive_only() {
    let bench = Bench::new();
    bench.shell("mkdir tree && echo content >tree/file && echo precious >old.tar && chmod 600 old.tar && ln -s old.tar link.tar");
    let commit = bench.ours(&["tree"]);
    let mut failing = Who::Ours.on(&bench.path("ours"));
    failing
        .args(["export", &commit, "--subpath=/nowhere", "-o"])
        .arg(bench.path("old.tar"));
    let told = fail(&mut failing);
    assert!(
        told.contains("/nowhere") && !told.contains("cannot write"),
        "{told}"
    );
    bench.shell("test \"$(cat old.tar)\" = precious");

    let whole = attempt(Who::Ours.on(&bench.path("ours")).args(["export", &commit])).stdout;
    let link = bench.path("link.tar");
    export(&bench, &commit, &[], link.to_str().unwrap());
    assert_eq!(fs::read(bench.path("old.tar")).unwrap(), whole);
    bench.shell("test -L link.tar && test \"$(stat -c %a old.tar)\" = 600");
    export(&bench, &commit, &[], "/dev/null");
    bench.shell("test -c /dev/null");
}

#[test]
fn a_terminal_gets_no_archive() {
    let bench = Bench::new();
    bench.shell("mkdir tree");
    let commit = bench.ours(&["tree"]);
    let line = format!("{OSTLER} --repo={} export {commit}", bench.path("ours").display());
    let mut terminal = command("script");
    terminal
        .args(["-q", "-e", "-c", &line, "/dev/null"])
        .stdin(Stdio::null());
    let output = attempt(&mut terminal);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        !output.status.success() && printed.contains("terminal"),
        "{printed}"
    );
    assert!(printed.len() < 500, "{printed}");
}
