//! Superblocks, parts and operations survive their bytes; damaged bytes never panic, and what is read is written the same.

use ostler_format::delta::{
    ByteOrder, Compression, Fallback, Operation, Operations, PartHeader, PartLayout, PartMode, PatchControl,
    SignedSuperblock, Superblock, parse_part_modes, parse_part_xattrs, part_tail, push_operation,
    write_part_frame,
};
use ostler_format::gvariant::{Value, VarDict};
use ostler_format::{Checksum, Commit, DeltaName, ObjectName, ObjectType, Xattrs, append_signature};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn checksum() -> impl Strategy<Value = Checksum> {
    any::<[u8; 32]>().prop_map(Checksum::from_bytes)
}

fn object() -> impl Strategy<Value = ObjectName> {
    let kind = prop_oneof![
        Just(ObjectType::File),
        Just(ObjectType::DirTree),
        Just(ObjectType::DirMeta)
    ];
    (checksum(), kind).prop_map(|(checksum, kind)| ObjectName::new(checksum, kind))
}

fn part() -> impl Strategy<Value = PartHeader> {
    (checksum(), any::<u64>(), any::<u64>(), vec(object(), 0..6)).prop_map(
        |(checksum, size, unpacked, objects)| PartHeader {
            checksum,
            size,
            unpacked,
            objects,
        },
    )
}

fn fallback() -> impl Strategy<Value = Fallback> {
    (checksum(), any::<u64>(), any::<u64>()).prop_map(|(checksum, size, unpacked)| Fallback {
        checksum,
        size,
        unpacked,
    })
}

fn commit(subject: &str) -> Vec<u8> {
    let commit = Commit {
        metadata: VarDict::new(),
        parent: None,
        related: Vec::new(),
        subject: subject.to_owned(),
        body: String::new(),
        timestamp: 1,
        root_tree: Checksum::of(b"tree"),
        root_meta: Checksum::of(b"meta"),
    };
    commit.to_bytes()
}

prop_compose! {
    fn superblock()(
        from in option::of(checksum()),
        subject in "[^\0]{0,300}",
        timestamp: u64,
        parts in vec(part(), 0..4),
        fallbacks in vec(fallback(), 0..4),
        big: bool,
        inline in option::of(vec(any::<u8>(), 0..300)),
        detached: bool,
    ) -> Superblock {
        let commit = commit(&subject);
        let name = DeltaName { from, to: Checksum::of(&commit) };
        let byte_order = if big { ByteOrder::Big } else { ByteOrder::Little };
        let mut metadata = VarDict::from_iter([("user", Value::Str("kept".into()))]);
        metadata.insert(ByteOrder::KEY, byte_order.to_value());
        if let Some(bytes) = inline {
            let value = Superblock::inline_value(Compression::Xz, bytes);
            metadata.insert(Superblock::inline_key(&name, 0), value);
        }
        if detached {
            let value = VarDict::from_iter([("note", Value::Bool(true))]).to_value();
            metadata.insert(Superblock::detached_key(&name), value);
        }
        Superblock { metadata, timestamp, from, to: name.to, commit, parts, fallbacks, byte_order }
    }
}

fn operations() -> impl Strategy<Value = (Vec<ObjectName>, Vec<Operation>)> {
    let number = prop_oneof![0..300_u64, any::<u64>()];
    let inner = prop_oneof![
        (any::<u64>(), any::<u64>()).prop_map(|(offset, length)| Operation::Write { offset, length }),
        (any::<u64>(), any::<u64>()).prop_map(|(offset, length)| Operation::Patch { offset, length }),
        any::<u64>().prop_map(|offset| Operation::SetSource { offset }),
        Just(Operation::UnsetSource),
    ];
    let one = (object(), any::<bool>(), number.clone(), number, vec(inner, 0..4));
    vec(one, 0..6).prop_map(|all| {
        let (mut objects, mut operations) = (Vec::new(), Vec::new());
        for (object, whole, a, b, inner) in all {
            objects.push(object);
            match (object.kind.is_metadata(), whole) {
                (true, _) => operations.push(Operation::Metadata { offset: a, length: b }),
                (false, true) => operations.push(Operation::File {
                    mode: a,
                    xattrs: b,
                    offset: b,
                    length: a,
                }),
                (false, false) => {
                    operations.push(Operation::Open {
                        mode: a,
                        xattrs: b,
                        size: a,
                    });
                    operations.extend(inner);
                    operations.push(Operation::Close);
                }
            }
        }
        (objects, operations)
    })
}

fn bytes_of(operations: &[Operation]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for operation in operations {
        push_operation(&mut bytes, operation);
    }
    bytes
}

/// Reads whatever it is; what is read is written as it was.
fn assert_canonical(bytes: &[u8]) {
    if let Ok(superblock) = Superblock::parse(bytes) {
        assert_eq!(superblock.to_bytes(), bytes);
        for index in 0..superblock.parts.len() {
            let _part = superblock.inline_part(index);
        }
        let _detached = superblock.detached_metadata();
    }
    if let Ok(signed) = SignedSuperblock::parse(bytes) {
        assert_eq!(signed.to_bytes(), bytes);
    }
    let total = bytes.len() as u64;
    let tail = bytes.len().saturating_sub(part_tail(total));
    if let Ok(layout) = PartLayout::read(total, &bytes[tail..]) {
        let cut = |range: &std::ops::Range<u64>| {
            let at = |end| usize::try_from(end).unwrap();
            &bytes[at(range.start)..at(range.end)]
        };
        let _modes = parse_part_modes(cut(&layout.modes));
        let _xattrs = parse_part_xattrs(cut(&layout.xattrs));
    }
    let objects = [ObjectName::new(Checksum::of(b"x"), ObjectType::File); 4];
    let read: Result<Vec<_>, _> = Operations::new(bytes, &objects).collect();
    if let Ok(operations) = read {
        assert_eq!(bytes_of(&operations), bytes);
    }
    if let Some(control) = bytes.first_chunk() {
        let _control = PatchControl::parse(control);
    }
}

proptest! {
    #[test]
    fn superblocks_survive(superblock in superblock(), at: prop::sample::Index, byte: u8) {
        let mut bytes = superblock.to_bytes();
        prop_assert_eq!(Superblock::parse(&bytes), Ok(superblock.clone()));
        prop_assert_eq!(superblock.detached_metadata().unwrap().is_some(), superblock.metadata.len() > 2
            && superblock.metadata.iter().any(|(key, _)| key.ends_with("/commitmeta")));
        let at = at.index(bytes.len());
        bytes[at] = byte;
        assert_canonical(&bytes);
        bytes.truncate(at);
        assert_canonical(&bytes);
    }

    #[test]
    fn superblocks_without_a_stated_order_are_guessed_from_their_sizes(part in part(), big: bool) {
        // Compressed to a third, and no object of more than gigabytes.
        let part = PartHeader { size: 1 << 20, unpacked: 3 << 20, ..part };
        prop_assume!(!part.objects.is_empty());
        let commit = commit("old");
        let superblock = Superblock {
            metadata: VarDict::new(),
            timestamp: 0,
            from: None,
            to: Checksum::of(&commit),
            commit,
            parts: vec![part],
            fallbacks: Vec::new(),
            byte_order: if big { ByteOrder::Big } else { ByteOrder::Little },
        };
        let read = Superblock::parse(&superblock.to_bytes()).unwrap();
        prop_assert!(read.byte_order_is_guessed());
        prop_assert_eq!(read, superblock);
    }

    #[test]
    fn signed_superblocks_survive(superblock in vec(any::<u8>(), 0..400), signature in vec(any::<u8>(), 0..80)) {
        let mut signatures = VarDict::new();
        append_signature(&mut signatures, "ostree.sign.ed25519", &signature).unwrap();
        let signed = SignedSuperblock { superblock, signatures };
        let bytes = signed.to_bytes();
        prop_assert!(SignedSuperblock::is_signed(&bytes));
        prop_assert_eq!(SignedSuperblock::parse(&bytes), Ok(signed));
    }

    #[test]
    fn operations_survive((objects, operations) in operations(), at: prop::sample::Index, byte: u8) {
        let mut bytes = bytes_of(&operations);
        let read: Result<Vec<_>, _> = Operations::new(&bytes, &objects).collect();
        prop_assert_eq!(read, Ok(operations));
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        assert_canonical(&bytes);
    }

    #[test]
    fn parts_survive(modes in vec(any::<[u32; 3]>(), 0..5), payload in 0..100_000_u64, operations in vec(any::<u8>(), 0..300)) {
        let modes: Vec<_> = modes.into_iter().map(|[uid, gid, mode]| PartMode { uid, gid, mode }).collect();
        let xattrs = [Xattrs::default(), Xattrs::new(vec![(b"user.x".to_vec(), b"y".to_vec())]).unwrap()];
        let (before, behind) = write_part_frame(&modes, &xattrs, payload, &operations);
        let total = before.len() as u64 + payload + behind.len() as u64;
        let tail = behind.len() - part_tail(total);
        let layout = PartLayout::read(total, &behind[tail..]).unwrap();
        prop_assert_eq!(layout.payload, before.len() as u64..before.len() as u64 + payload);
        let modes_end = usize::try_from(layout.modes.end).unwrap();
        prop_assert_eq!(parse_part_modes(&before[..modes_end]), Ok(modes));
        prop_assert_eq!(parse_part_xattrs(&before[modes_end..]), Ok(xattrs.to_vec()));
        prop_assert_eq!(&behind[..tail], &operations[..]);
    }

    #[test]
    fn noise_is_refused_or_canonical(bytes in vec(any::<u8>(), 0..300)) {
        assert_canonical(&bytes);
    }
}
