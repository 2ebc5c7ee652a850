//! Known bytes of dirtrees, and what is refused.

use super::*;
use crate::gvariant::framing::ArrayWriter;

fn id(hex: &str) -> Checksum {
    Checksum::from_hex(hex).unwrap()
}

fn file(name: &str, checksum: Checksum) -> TreeFile {
    TreeFile {
        name: name.into(),
        checksum,
    }
}

const EMPTY_FILE: &str = "d3fa9214de0816a2cf5475da17be2036ae0eda3df526eff7c1ddee082c6e5b58";
const HELLO: &str = "81381808c56d4f3d643ec12f6a18fcf2993af8daba7c2a1b2cbfc315b39424c6";
const LINK: &str = "f66efa496a72379413c44593de510dc344beb045294f1a543da87b2b6118db35";
const RUN: &str = "172a2017590ff78c34c5d3ad417e393e24b829a7da80c05c32339d0115e116bb";
const SUB: &str = "1d210bf50fa4660bbd2b782dd30cbc0b7f7b16726c6c7c43bb2c08e4260593f8";
const META: &str = "446a0ef11b7cc167f3b603e585c7eeeeb675faa412d5ec73f62988eb0b6c5488";

fn sample() -> DirTree {
    let files = vec![
        file("link", id(LINK)),
        file("empty", id(EMPTY_FILE)),
        file("hello.txt", id(HELLO)),
    ];
    let sub = TreeDir {
        name: "sub".into(),
        tree: id(SUB),
        meta: id(META),
    };
    DirTree::new(files, vec![sub]).unwrap()
}

#[test]
fn the_empty_directory_is_one_zero_byte() {
    let bytes = DirTree::default().to_bytes();
    assert_eq!(bytes, [0]);
    let known = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
    assert_eq!(Checksum::of(&bytes), id(known));
    assert_eq!(DirTree::parse(&bytes), Ok(DirTree::default()));
    assert!(DirTree::parse(&[]).is_err());
}

#[test]
fn a_directory_of_one_file_has_the_known_bytes_and_id() {
    let tree = DirTree::new(vec![file("run", id(RUN))], vec![]).unwrap();
    let bytes = tree.to_bytes();
    let known = [b"run\0", id(RUN).as_bytes().as_slice(), &[0x04, 0x25, 0x26]].concat();
    assert_eq!(bytes, known);
    assert_eq!(Checksum::of(&bytes), id(SUB));
    assert_eq!(DirTree::parse(&bytes), Ok(tree));
}

#[test]
fn a_directory_of_files_and_directories_has_the_known_bytes_and_id() {
    let bytes = sample().to_bytes();
    assert_eq!(bytes.len(), 195);
    let dir = [
        b"sub\0",
        id(SUB).as_bytes().as_slice(),
        id(META).as_bytes(),
        &[0x24, 0x04, 0x46, 0x7b],
    ]
    .concat();
    assert!(bytes.ends_with(&dir));
    let known = "c5407f27675126de4681a96e84cfb44adc1a48410148be43b65a146f86558d7b";
    assert_eq!(Checksum::of(&bytes), id(known));
    assert_eq!(DirTree::parse(&bytes), Ok(sample()));
}

#[test]
fn a_view_shows_the_same_entries() {
    let bytes = sample().to_bytes();
    let view = DirTreeView::parse(&bytes).unwrap();
    let files: Vec<_> = view.files().map(|file| file.to_owned()).collect();
    let dirs: Vec<_> = view.dirs().map(|dir| dir.to_owned()).collect();
    assert_eq!((view.file_count(), view.dir_count()), (3, 1));
    assert_eq!(DirTree { files, dirs }, sample());
}

#[test]
fn entries_are_found_by_name() {
    let tree = sample();
    assert_eq!(tree.file("hello.txt").map(|f| f.checksum), Some(id(HELLO)));
    assert_eq!(
        tree.dir("sub").map(|d| (d.tree, d.meta)),
        Some((id(SUB), id(META)))
    );
    assert_eq!((tree.file("sub"), tree.dir("link")), (None, None));
}

/// Writes a dirtree without any check.
fn raw(files: &[&[u8]], dirs: &[&[u8]]) -> Vec<u8> {
    let list = |names: &[&[u8]], checksums: usize| {
        ArrayWriter::encode(1, |list| {
            for name in names {
                list.tuple(|entry| {
                    entry.bytes(name);
                    (0..checksums).for_each(|_| entry.bytes(&[7; 32]));
                });
            }
        })
    };
    TupleWriter::encode(|tuple| {
        tuple.bytes(&list(files, 1));
        tuple.bytes(&list(dirs, 2));
    })
}

#[test]
fn hostile_names_and_orders_are_refused() {
    assert!(DirTree::parse(&raw(&[b"a\0", b"b\0"], &[b"c\0"])).is_ok());
    let long = [[b'a'; 256].as_slice(), &[0]].concat();
    for name in [
        b"\0".as_slice(),
        b".\0",
        b"..\0",
        b"a/b\0",
        b"a",
        b"",
        b"a\0b\0",
        b"\xff\0",
        b"a\0\0",
        &long,
    ] {
        for bytes in [raw(&[name], &[]), raw(&[], &[name])] {
            assert!(DirTree::parse(&bytes).is_err(), "{name:?}");
            assert!(DirTreeView::parse(&bytes).is_err(), "{name:?}");
        }
    }
    let (a, b) = (b"a\0".as_slice(), b"b\0".as_slice());
    for (files, dirs) in [
        (&[b, a][..], &[][..]),
        (&[], &[b, a]),
        (&[a, a], &[]),
        (&[], &[a, a]),
        (&[a, b], &[b]),
    ] {
        assert!(DirTree::parse(&raw(files, dirs)).is_err(), "{files:?} {dirs:?}");
        assert!(
            DirTreeView::parse(&raw(files, dirs)).is_err(),
            "{files:?} {dirs:?}"
        );
    }
}

#[test]
fn checksums_of_another_length_are_refused() {
    for length in [0, 31, 33] {
        let list = ArrayWriter::encode(1, |list| {
            list.tuple(|entry| {
                entry.string("a");
                entry.bytes(&vec![0; length]);
            });
        });
        let bytes = TupleWriter::encode(|tuple| {
            tuple.bytes(&list);
            tuple.bytes(&[]);
        });
        assert!(DirTree::parse(&bytes).is_err(), "{length}");
    }
}

#[test]
fn building_refuses_what_reading_refuses() {
    let zero = Checksum::from_bytes([0; 32]);
    let dir = |name: &str| TreeDir {
        name: name.into(),
        tree: zero,
        meta: zero,
    };
    assert!(DirTree::new(vec![file("a", zero), file("a", zero)], vec![]).is_err());
    assert!(DirTree::new(vec![file("a", zero)], vec![dir("a")]).is_err());
    assert!(DirTree::new(vec![file("..", zero)], vec![]).is_err());
    assert!(DirTree::new(vec![], vec![dir("")]).is_err());
}

#[test]
fn every_truncation_is_refused() {
    let bytes = sample().to_bytes();
    for length in 0..bytes.len() {
        assert!(DirTree::parse(&bytes[..length]).is_err(), "{length}");
    }
}
