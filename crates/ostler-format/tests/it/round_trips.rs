//! Random values survive their bytes; damaged bytes never panic, and whatever is accepted is written as the same bytes.

use ostler_format::gvariant::{Value, VarDict};
use ostler_format::{
    Checksum, Commit, DeltaList, DeltaName, DirMeta, DirTree, DirTreeView, FileHeader, ObjectSizes,
    ObjectType, RefName, SizeEntry, Summary, SummaryRef, TreeDir, TreeFile, Xattrs, parse_detached,
    read_varint, write_varint,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

fn checksum() -> impl Strategy<Value = Checksum> {
    any::<[u8; 32]>().prop_map(Checksum::from_bytes)
}

fn xattrs() -> impl Strategy<Value = Xattrs> {
    let name = vec(1..=255_u8, 1..20);
    let value = vec(any::<u8>(), 0..300);
    btree_map(name, value, 0..5).prop_map(|map| Xattrs::new(map.into_iter().collect()).unwrap())
}

fn metadata() -> impl Strategy<Value = VarDict> {
    let value = prop_oneof![
        any::<u64>().prop_map(Value::U64),
        any::<bool>().prop_map(Value::Bool),
        vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        vec("[^\0]{0,9}", 0..4).prop_map(Value::strings),
        "[^\0]{0,99}".prop_map(Value::Str),
    ];
    vec(("[^\0]{1,12}", value), 0..5).prop_map(|entries| entries.into_iter().collect())
}

fn dirmeta() -> impl Strategy<Value = DirMeta> {
    (any::<u32>(), any::<u32>(), 0..0o10_000_u32, xattrs()).prop_map(|(uid, gid, bits, xattrs)| DirMeta {
        uid,
        gid,
        mode: 0o040_000 | bits,
        xattrs,
    })
}

fn header() -> impl Strategy<Value = FileHeader> {
    let target = option::of("[^\0]{1,300}");
    (any::<u32>(), any::<u32>(), 0..0o10_000_u32, target, xattrs()).prop_map(
        |(uid, gid, bits, target, xattrs)| {
            let kind = if target.is_some() { 0o120_000 } else { 0o100_000 };
            FileHeader {
                uid,
                gid,
                mode: kind | bits,
                symlink_target: target.unwrap_or_default(),
                xattrs,
            }
        },
    )
}

fn dirtree() -> impl Strategy<Value = DirTree> {
    // Short names, so that names that begin alike and names of both lists are common.
    let name = prop_oneof!["[^/\0.]{1,60}", "[abc.-]{0,4}[a-c]"];
    btree_map(name, (any::<bool>(), checksum(), checksum()), 0..40).prop_map(|entries| {
        let (mut files, mut dirs) = (Vec::new(), Vec::new());
        for (name, (is_dir, one, two)) in entries {
            let name = name.into_boxed_str();
            if is_dir {
                dirs.push(TreeDir {
                    name,
                    tree: one,
                    meta: two,
                });
            } else {
                files.push(TreeFile { name, checksum: one });
            }
        }
        DirTree::new(files, dirs).unwrap()
    })
}

fn commit() -> impl Strategy<Value = Commit> {
    let text = "[^\0]{0,300}";
    let related = vec(("[^\0]{0,9}", checksum()), 0..3);
    (
        metadata(),
        option::of(checksum()),
        related,
        text,
        text,
        any::<u64>(),
        checksum(),
        checksum(),
    )
        .prop_map(
            |(metadata, parent, related, subject, body, timestamp, root_tree, root_meta)| Commit {
                metadata,
                parent,
                related,
                subject,
                body,
                timestamp,
                root_tree,
                root_meta,
            },
        )
}

fn summary() -> impl Strategy<Value = Summary> {
    let refs = btree_map(
        "[a-zé]{1,9}(/[a-z0-9_.-]{0,9}z)?",
        (any::<u64>(), checksum(), metadata()),
        0..9,
    );
    (refs, metadata()).prop_map(|(refs, metadata)| {
        let entry = |(name, (commit_size, checksum, metadata)): (String, _)| SummaryRef {
            name: RefName::new(&name.replace("/.", "/x").replace("/-", "/y")).unwrap(),
            commit_size,
            checksum,
            metadata,
        };
        let mut refs: Vec<_> = refs.into_iter().map(entry).collect();
        refs.sort_by(|a, b| a.name.cmp(&b.name));
        refs.dedup_by(|a, b| a.name == b.name);
        Summary::new(refs, metadata).unwrap()
    })
}

/// Feeds bytes to every parser: none panics, and what one accepts it writes as the same bytes.
fn assert_canonical(bytes: &[u8]) {
    macro_rules! same {
        ($parse:expr, $write:expr) => {
            if let Ok(value) = $parse(bytes) {
                assert_eq!($write(&value), bytes, "{value:?}");
            }
        };
    }
    same!(DirTree::parse, DirTree::to_bytes);
    same!(DirMeta::parse, DirMeta::to_bytes);
    same!(Commit::parse, Commit::to_bytes);
    same!(Summary::parse, Summary::to_bytes);
    same!(Xattrs::from_bytes, Xattrs::to_bytes);
    same!(parse_detached, VarDict::to_bytes);
    same!(FileHeader::parse_archive_header, |(header, size): &(
        FileHeader,
        u64
    )| header
        .to_archive(*size)
        .split_off(8));
    assert_eq!(DirTreeView::parse(bytes).is_ok(), DirTree::parse(bytes).is_ok());
    if let Ok(entry) = SizeEntry::parse(bytes) {
        assert!(entry.to_bytes().starts_with(bytes));
    }
    if let Ok(header) = FileHeader::from_ostreemeta(bytes, String::new()) {
        assert_eq!(
            FileHeader::from_ostreemeta(&header.to_ostreemeta(), String::new()),
            Ok(header)
        );
    }
    if let Ok(list) = DeltaList::parse_index(bytes) {
        assert_eq!(DeltaList::parse_index(&list.to_index()), Ok(list));
    }
}

/// Changes to bytes: at a place, put other bytes there, or cut some out, or double some.
#[derive(Debug, Clone)]
enum Damage {
    Put(usize, u8),
    Cut(usize, usize),
    Double(usize, usize),
}

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let one = prop_oneof![
        3 => (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Damage::Put(at, byte)),
        1 => (any::<usize>(), 1..9_usize).prop_map(|(at, length)| Damage::Cut(at, length)),
        1 => (any::<usize>(), 1..70_usize).prop_map(|(at, length)| Damage::Double(at, length)),
    ];
    vec(one, 1..4)
}

fn apply(bytes: &mut Vec<u8>, damage: &[Damage]) {
    for one in damage {
        if bytes.is_empty() {
            return;
        }
        let (Damage::Put(at, _) | Damage::Cut(at, _) | Damage::Double(at, _)) = *one;
        let at = at % bytes.len();
        match *one {
            Damage::Put(_, byte) => bytes[at] = byte,
            Damage::Cut(_, length) => drop(bytes.drain(at..(at + length).min(bytes.len()))),
            Damage::Double(_, length) => bytes.extend_from_within(at..(at + length).min(bytes.len())),
        }
    }
}

proptest! {
    #[test]
    fn dirtrees_survive(tree in dirtree(), damage in damage()) {
        let mut bytes = tree.to_bytes();
        prop_assert_eq!(DirTree::parse(&bytes), Ok(tree));
        apply(&mut bytes, &damage);
        assert_canonical(&bytes);
    }

    #[test]
    fn dirmetas_survive(meta in dirmeta(), damage in damage()) {
        let mut bytes = meta.to_bytes();
        prop_assert_eq!(DirMeta::parse(&bytes), Ok(meta));
        apply(&mut bytes, &damage);
        assert_canonical(&bytes);
    }

    #[test]
    fn commits_survive(commit in commit(), damage in damage()) {
        let mut bytes = commit.to_bytes();
        prop_assert_eq!(Commit::parse(&bytes), Ok(commit));
        apply(&mut bytes, &damage);
        assert_canonical(&bytes);
    }

    #[test]
    fn summaries_survive(summary in summary(), damage in damage()) {
        let mut bytes = summary.to_bytes();
        prop_assert_eq!(Summary::parse(&bytes), Ok(summary));
        apply(&mut bytes, &damage);
        assert_canonical(&bytes);
    }

    #[test]
    fn file_headers_survive(header in header(), size in 0..1_u64 << 63, damage in damage()) {
        let size = if header.is_symlink() { 0 } else { size };
        let archived = header.to_archive(size);
        let (prefix, rest) = archived.split_first_chunk().unwrap();
        prop_assert_eq!(FileHeader::parse_archive_prefix(prefix), Ok(rest.len()));
        prop_assert_eq!(FileHeader::parse_archive_header(rest), Ok((header.clone(), size)));
        let target = header.symlink_target.clone();
        prop_assert_eq!(FileHeader::from_ostreemeta(&header.to_ostreemeta(), target), Ok(header));
        let mut rest = rest.to_vec();
        apply(&mut rest, &damage);
        assert_canonical(&rest);
    }

    #[test]
    fn sizes_survive(objects in btree_map(any::<[u8; 32]>(), (1..=9_u8, any::<u64>(), any::<u64>()), 0..9)) {
        let entry = |(id, (kind, archived, unpacked))| SizeEntry {
            checksum: Checksum::from_bytes(id),
            kind: ObjectType::from_number(kind).unwrap(),
            archived,
            unpacked,
        };
        let sizes = ObjectSizes::new(objects.into_iter().map(entry).collect()).unwrap();
        prop_assert_eq!(ObjectSizes::from_value(&sizes.to_value()), Ok(sizes));
    }

    #[test]
    fn delta_indexes_survive(from in vec(option::of(checksum()), 0..5), to in checksum(), damage in damage()) {
        let entries = from.into_iter().map(|from| (DeltaName { from, to }, to));
        let list = DeltaList(entries.collect());
        let mut bytes = list.to_index();
        prop_assert_eq!(DeltaList::parse_index(&bytes), Ok(list));
        apply(&mut bytes, &damage);
        assert_canonical(&bytes);
    }

    #[test]
    fn varints_are_canonical(bytes in vec(any::<u8>(), 0..12)) {
        if let Ok((value, rest)) = read_varint(&bytes) {
            let mut written = Vec::new();
            write_varint(&mut written, value);
            prop_assert_eq!([&written, rest].concat(), bytes);
        }
    }

    #[test]
    fn noise_is_canonical_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        assert_canonical(&bytes);
    }

    #[test]
    fn delta_names_are_canonical(directory in "[A-Za-z0-9+_]{2}", rest in "[A-Za-z0-9+_]{40}[AEIMQUYcgkosw048]") {
        if let Some(name) = DeltaName::from_path(&directory, &rest) {
            prop_assert_eq!(name.path(), format!("deltas/{directory}/{rest}"));
        }
    }
}
