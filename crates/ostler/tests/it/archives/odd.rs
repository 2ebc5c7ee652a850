//! Archives that no well-behaved program writes, but that are sound: names, links and overlays.

use super::Bench;
use crate::interop::Who;
use ostler_format::tar::{TarEntry, end_of_archive};
use ostler_testkit::command::attempt;
use std::fs;

/// An entry: its type, its path, and its content or where it leads.
pub(super) type Odd<'a> = (u8, &'a str, &'a str);

/// Returns an archive.
pub(super) fn tar(entries: &[Odd<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (kind, path, text) in entries {
        let content = if matches!(kind, b'0' | b'7' | b'Z') {
            text.as_bytes()
        } else {
            b""
        };
        let entry = TarEntry {
            kind: *kind,
            path: path.as_bytes(),
            link: if content.is_empty() { text.as_bytes() } else { b"" },
            mode: if matches!(kind, b'5' | b'D') { 0o755 } else { 0o644 },
            uid: 0,
            gid: 0,
            size: content.len() as u64,
            mtime: 1,
        };
        entry.write([], &mut out);
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.extend_from_slice(&end_of_archive());
    out
}

const ROOT: Odd<'_> = (b'5', "./", "");

/// Commits an archive with both programs, with and without made parents, on its own and over another tree.
#[track_caller]
fn compare(entries: &[Odd<'_>]) {
    let bench = Bench::new();
    fs::write(bench.path("odd.tar"), tar(entries)).expect("our own file");
    bench.shell("mkdir -p base/d/e && echo base >base/d/a && ln -s a base/d/l && echo old >base/old");
    for options in [
        &["--tree=tar=odd.tar"][..],
        &["--tree=tar=odd.tar", "--tar-autocreate-parents"],
        &["--tree=dir=base", "--tree=tar=odd.tar"],
    ] {
        let _either = bench.both(options);
    }
}

#[test]
fn names_lead_where_stock_puts_them() {
    compare(&[
        ROOT,
        (b'0', "/a", "x"),
        (b'0', "//b", "y"),
        (b'0', ".//./c", "z"),
        (b'0', "/../f", "q"),
    ]);
    compare(&[
        ROOT,
        (b'5', "d", ""),
        (b'0', "d/./a", "x"),
        (b'0', "d//b", "y"),
        (b'5', "d//", ""),
    ]);
    compare(&[(b'5', ".", ""), (b'0', "a", "x")]);
    compare(&[(b'5', "/", ""), (b'0', "a", "x")]);
    compare(&[ROOT, (b'5', "", "")]);
    for escaping in ["../a", "d/../a", "..", "d/..", "./../a", "d/../../a"] {
        compare(&[ROOT, (b'5', "d", ""), (b'0', escaping, "x")]);
        compare(&[ROOT, (b'5', "d", ""), (b'5', escaping, "")]);
    }
    compare(&[ROOT, (b'5', "d", ""), (b'5', "d/.", "")]);
    compare(&[
        ROOT,
        (b'0', "a", "1"),
        (b'0', "a", "2"),
        (b'5', "d", ""),
        (b'5', "./", ""),
    ]);
    compare(&[(b'0', "q/r/s", "x"), (b'0', "t", "x")]);
}

#[test]
fn hard_links_get_what_their_target_is_at_last() {
    compare(&[ROOT, (b'0', "a", "1"), (b'1', "b", "a"), (b'0', "a", "2")]);
    compare(&[ROOT, (b'1', "b", "./a"), (b'0', "a", "2")]);
    compare(&[
        ROOT,
        (b'0', "a", "1"),
        (b'0', "b", "old"),
        (b'1', "b", "/a"),
        (b'0', "b", "new"),
    ]);
    compare(&[ROOT, (b'2', "l", "t"), (b'1', "b", "l")]);
    compare(&[(b'1', "b", "d/a"), (b'1', "c", "d/l")]);
    compare(&[ROOT, (b'0', "a", "1"), (b'1', "q/b", "a")]);
    for bad in ["nowhere", "d", "q/a", "b", ""] {
        compare(&[ROOT, (b'5', "d", ""), (b'1', "b", bad)]);
    }
    compare(&[ROOT, (b'0', "a", "1"), (b'5', "x", ""), (b'1', "x", "a")]);
}

#[test]
fn types_are_taken_as_stock_takes_them() {
    for kind in [b'7', b'Z', b'D', b'V', b'3', b'4', b'6', b'M'] {
        compare(&[ROOT, (kind, "x", "")]);
    }
    compare(&[ROOT, (b'7', "x", "content"), (b'Z', "y", "content")]);
    compare(&[ROOT, (b'0', "x/", ""), (b'0', "y/", "content")]);
}

#[test]
fn directories_and_files_never_replace_each_other() {
    compare(&[ROOT, (b'5', "a", ""), (b'0', "a", "x")]);
    compare(&[ROOT, (b'0', "d", "x")]);
    compare(&[ROOT, (b'2', "d", "x")]);
    compare(&[ROOT, (b'0', "d/l", "a link before"), (b'2', "d/a", "x")]);
    // Here stock ends by a signal.
    let bench = Bench::new();
    for entries in [
        &[ROOT, (b'0', "a", "x"), (b'5', "a", "")][..],
        &[ROOT, (b'0', "a", "x"), (b'0', "a/b", "y")],
        &[ROOT, (b'2', "a", "/tmp"), (b'0', "a/b", "y")],
        &[ROOT, (b'0', "a", "x"), (b'1', "b", "../a")],
    ] {
        fs::write(bench.path("odd.tar"), tar(entries)).expect("our own file");
        let mut command = bench.commit(Who::Ours);
        let output = attempt(command.args(["--tree=tar=odd.tar", "--tar-autocreate-parents"]));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{entries:?}: {said}");
        assert!(said.contains("cannot take entry '"), "{entries:?}: {said}");
    }
}
