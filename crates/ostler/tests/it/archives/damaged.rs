//! Archives that are cut short or lie about sizes: an error that says where, and no commit.

use super::Bench;
use super::odd::tar;
use crate::interop::Who;
use ostler_format::tar::{TAR_BLOCK, TarEntry, end_of_archive, push_pax_record};
use ostler_testkit::command::attempt;
use std::fs;

/// Commits an archive with us, which must fail, and returns what we say.
#[track_caller]
fn refused(bench: &Bench, name: &str, bytes: &[u8]) -> String {
    fs::write(bench.path(name), bytes).expect("our own file");
    let mut command = bench.commit(Who::Ours);
    let output = attempt(command.args([&format!("--tree=tar={name}"), "--tar-autocreate-parents"]));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        output.status.code(),
        Some(1),
        "{name}, {} bytes: {said}",
        bytes.len()
    );
    assert!(said.contains(name), "{said}");
    said
}

#[test]
fn an_archive_cut_anywhere_is_refused_with_the_entry() {
    let bench = Bench::new();
    let large = "x".repeat(300_000);
    let bytes = tar(&[
        (b'5', "./", ""),
        (b'0', "first", "content"),
        (b'0', "second", &large),
    ]);
    let end = bytes.len() - end_of_archive().len();
    for length in [
        1,
        511,
        512,
        513,
        1024,
        1025,
        1536,
        1600,
        2048,
        2049,
        200_000,
        end - 1,
        end,
    ] {
        let said = refused(&bench, "cut.tar", &bytes[..length]);
        let entry = match length {
            0..512 => "no tar or cpio",
            512..1024 => "'./'",
            1024..2048 => "'first'",
            _ => "'second'",
        };
        assert!(said.contains(entry), "{length}: {said}");
    }
    bench.shell("touch empty.tar; mkdir t; head -c 100000 /dev/urandom >t/f; tar -C t -cf whole.tar .");
    bench.shell("gzip -k whole.tar; xz -k whole.tar; zstd -q whole.tar");
    for name in ["whole.tar.gz", "whole.tar.xz", "whole.tar.zst"] {
        let whole = fs::read(bench.path(name)).expect("our own file");
        for length in [whole.len() - 1, whole.len() / 2, 20] {
            refused(&bench, "cut.compressed", &whole[..length]);
        }
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 0x40;
        refused(&bench, "damaged.compressed", &damaged);
    }
}

/// Returns an archive of one entry with records in front of it.
fn with_records(records: &[(&str, &[u8])], entry: TarEntry<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    for (key, value) in records {
        push_pax_record(&mut text, key.as_bytes(), value);
    }
    let mut out = Vec::new();
    let size = text.len() as u64;
    let holder = TarEntry {
        kind: b'x',
        path: b"records",
        size,
        ..entry
    };
    holder.write([], &mut out);
    out.extend_from_slice(&text);
    out.resize(out.len().next_multiple_of(TAR_BLOCK), 0);
    entry.write([], &mut out);
    out.extend_from_slice(&end_of_archive());
    out
}

#[test]
fn sizes_that_cannot_be_are_refused_with_the_entry() {
    let bench = Bench::new();
    let entry = TarEntry {
        kind: b'0',
        path: b"liar",
        link: b"",
        mode: 0o644,
        uid: 0,
        gid: 0,
        size: 0,
        mtime: 0,
    };
    for size in [
        "18446744073709551615",
        "9223372036854775807",
        "1099511627776",
        "1025",
    ] {
        let bytes = with_records(&[("size", size.as_bytes())], entry);
        let said = refused(&bench, "liar.tar", &bytes);
        assert!(said.contains("'liar'"), "{size}: {said}");
    }
    let (map, large) = ("0,1,".repeat(300_000), vec![b'v'; 100_000]);
    for records in [
        &[
            ("GNU.sparse.size", &b"18446744073709551615"[..]),
            ("GNU.sparse.map", b"0,0"),
        ][..],
        &[("GNU.sparse.size", b"10"), ("GNU.sparse.map", b"0,20")],
        &[("GNU.sparse.size", b"10"), ("GNU.sparse.map", b"5,2,0,2")],
        &[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.realsize", b"5"),
        ],
        &[("GNU.sparse.map", map.as_bytes())],
        &[("uid", b"4294967296")],
        &[("SCHILY.xattr.user.large", &large)],
        &[("path", &[b'p'; 300])],
    ] {
        let said = refused(&bench, "liar.tar", &with_records(records, entry));
        assert!(
            said.contains("entry '") || said.contains("liar.tar is corrupt"),
            "{said}"
        );
    }
}

#[test]
fn what_is_said_about_one_entry_is_limited() {
    let bench = Bench::new();
    let mut out = Vec::new();
    for kind in *b"LKx" {
        out.clear();
        let entry = TarEntry {
            kind,
            path: b"long",
            link: b"",
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: 1 << 30,
            mtime: 0,
        };
        entry.write([], &mut out);
        out.resize(1 << 20, b'a');
        let said = refused(&bench, "long.tar", &out);
        assert!(said.contains("about one entry"), "{said}");
    }
}
