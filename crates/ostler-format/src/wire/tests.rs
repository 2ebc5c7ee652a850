use super::*;
use proptest::prelude::*;

fn checksum() -> impl Strategy<Value = Checksum> {
    any::<[u8; 32]>().prop_map(Checksum::from_bytes)
}

fn name() -> impl Strategy<Value = RefName> {
    "[a-z][a-z0-9_.-]{0,20}(/[a-z][a-z0-9]{0,10}){0,3}"
        .prop_filter_map("a name", |text| RefName::new(&text).ok())
}

fn object() -> impl Strategy<Value = ObjectName> {
    let kinds = ObjectType::ALL
        .into_iter()
        .filter(|kind| travels(*kind))
        .collect::<Vec<_>>();
    (checksum(), proptest::sample::select(kinds)).prop_map(|(checksum, kind)| ObjectName::new(checksum, kind))
}

fn update() -> impl Strategy<Value = Update> {
    let commit = || proptest::option::of(checksum());
    (name(), commit(), commit(), any::<bool>())
        .prop_filter("a change", |(_, old, new, _)| old != new)
        .prop_map(|(name, old, new, force)| Update {
            name,
            old,
            new,
            force,
        })
}

fn verdict() -> impl Strategy<Value = Verdict> {
    let rulings = vec![Ruling::Accepted, Ruling::Refused, Ruling::NotTried];
    (name(), proptest::sample::select(rulings), ".{0,40}").prop_map(|(name, ruling, reason)| Verdict {
        name,
        ruling,
        reason,
    })
}

fn signed_ref() -> impl Strategy<Value = SignedRef> {
    let digests = proptest::collection::vec(checksum(), 1..5);
    (name(), checksum(), digests).prop_map(|(name, commit, signatures)| SignedRef {
        name,
        commit,
        signatures,
    })
}

fn joined() -> impl Strategy<Value = Joined> {
    (name(), checksum(), any::<u8>(), ".{0,40}").prop_map(|(name, commit, added, reason)| Joined {
        name,
        commit,
        added,
        reason,
    })
}

fn message() -> impl Strategy<Value = Message> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..200);
    let hello = (any::<u16>(), any::<u16>(), any::<u64>(), ".{0,50}", ".{0,99}");
    prop_oneof![
        hello.prop_map(|(one, other, capabilities, agent, path)| Message::Hello(Hello {
            lowest: one.min(other),
            highest: one.max(other),
            capabilities,
            agent,
            path,
        })),
        (
            proptest::collection::vec((name(), checksum()), 0..5),
            any::<bool>()
        )
            .prop_map(|(refs, more)| Message::Refs { refs, more }),
        (
            proptest::collection::vec(update(), 0..5),
            any::<bool>(),
            any::<bool>()
        )
            .prop_map(|(updates, dry_run, more)| Message::Offer(Offer {
                updates,
                dry_run,
                more
            })),
        (proptest::collection::vec(checksum(), 0..9), any::<bool>())
            .prop_map(|(commits, more)| Message::Chain { commits, more }),
        Just(Message::Offered),
        proptest::collection::vec(object(), 0..9).prop_map(Message::Want),
        bytes().prop_map(|body| Message::Batch(Batch {
            encoding: Encoding::Deflate,
            length: 7,
            body
        })),
        (checksum(), bytes()).prop_map(|(checksum, bytes)| Message::Content { checksum, bytes }),
        object().prop_map(Message::Begin),
        bytes().prop_map(Message::Data),
        Just(Message::End),
        (proptest::collection::vec(verdict(), 0..5), any::<bool>())
            .prop_map(|(verdicts, more)| Message::Verdicts { verdicts, more }),
        (proptest::option::of(any::<u64>()), any::<u64>(), any::<u64>()).prop_map(
            |(generation, objects, bytes)| Message::Finished(Finished {
                generation,
                objects,
                bytes
            })
        ),
        proptest::collection::vec(signed_ref(), 0..5).prop_map(Message::Beside),
        proptest::collection::vec(joined(), 0..5).prop_map(Message::Joined),
        ".{0,99}".prop_map(Message::Note),
        Just(Message::Alive),
        ".{0,99}".prop_map(Message::Error),
    ]
}

fn written(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.write(&mut bytes).unwrap();
    bytes
}

fn read(bytes: &[u8]) -> Result<Message> {
    let (header, payload) = bytes.split_first_chunk::<{ Header::LENGTH }>().unwrap();
    let header = Header::parse(*header)?;
    assert_eq!(header.length, payload.len());
    Message::parse(header.kind, payload.to_vec())
}

proptest! {
    #[test]
    fn a_message_is_read_as_it_was_written(message in message()) {
        prop_assert_eq!(read(&written(&message)), Ok(message));
    }

    #[test]
    fn any_payload_is_read_or_refused(kind in any::<u8>(), payload in proptest::collection::vec(any::<u8>(), 0..300)) {
        let Ok(message) = Message::parse(kind, payload.clone()) else {
            return Ok(());
        };
        // What is of later versions is left out, and not written again.
        if !matches!(message, Message::Hello(_) | Message::Unknown(_)) {
            prop_assert_eq!(&written(&message)[Header::LENGTH..], &payload[..]);
        }
    }

    #[test]
    fn a_payload_that_is_cut_short_is_no_other_list_of_the_same_length(message in message(), cut in 1_usize..40) {
        let bytes = written(&message);
        let end = bytes.len().saturating_sub(cut).max(Header::LENGTH);
        if end < bytes.len() {
            let payload = bytes[Header::LENGTH..end].to_vec();
            prop_assert_ne!(Message::parse(bytes[0], payload), Ok(message));
        }
    }

    #[test]
    fn entries_of_a_batch_are_read_as_they_were_written(entries in proptest::collection::vec((object(), proptest::collection::vec(any::<u8>(), 0..50)), 0..9)) {
        let mut plain = Vec::new();
        let entries: Vec<_> = entries.into_iter().filter(|(name, _)| name.kind != ObjectType::File).collect();
        for (name, bytes) in &entries {
            Batch::push(&mut plain, name, bytes);
        }
        let read = Batch::entries(&plain).unwrap();
        let read: Vec<_> = read.iter().map(|entry| (entry.name, entry.bytes.to_vec())).collect();
        prop_assert_eq!(read, entries);
    }
}

#[test]
fn lengths_beyond_the_limit_are_refused_before_anything_is_read() {
    let mut header = [10, 0, 0, 0, 0];
    header[1..].copy_from_slice(&u32::try_from(MAX_PAYLOAD + 1).unwrap().to_be_bytes());
    assert!(matches!(Header::parse(header), Err(FormatError::TooLarge { .. })));
    header[1..].copy_from_slice(&u32::try_from(MAX_PAYLOAD).unwrap().to_be_bytes());
    assert_eq!(Header::parse(header).unwrap().length, MAX_PAYLOAD);
    let mut bytes = b"before".to_vec();
    assert!(Message::Data(vec![0; MAX_PAYLOAD + 1]).write(&mut bytes).is_err());
    assert_eq!(bytes, b"before");
    // A batch that says that it becomes larger than any.
    assert!(Message::parse(7, [&[1][..], &u32::MAX.to_be_bytes(), b"x"].concat()).is_err());
}

#[test]
fn what_no_ostler_sends_is_refused() {
    let object = |kind: u8| [&[kind][..], &[7; 32]].concat();
    for (what, kind, payload) in [
        ("an unknown type", 99, Vec::new()),
        ("bytes behind the end", 5, vec![0]),
        ("half a checksum", 4, vec![0, 1, 2]),
        ("a flag that is none", 4, vec![2]),
        ("a tombstone", 9, object(5)),
        ("a payload link", 6, object(7)),
        (
            "a name that leads out",
            2,
            [&[0, 0, 4][..], b"../x", &[7; 32]].concat(),
        ),
        ("another program", 1, b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
        ("text that is none", 16, vec![0xff]),
        (
            "a ruling that is none",
            12,
            [&[0, 0, 1][..], b"a", &[9, 0, 0]].concat(),
        ),
        (
            "an update to the same",
            3,
            [&[0, 0, 0, 1][..], b"a", &[0, 0, 0]].concat(),
        ),
        ("flags of an offer", 3, vec![0, 2]),
        (
            "a commit without signatures",
            128,
            [&[0, 1][..], b"a", &[7; 32], &[0]].concat(),
        ),
        (
            "more signatures of a commit than are told",
            128,
            [&[0, 1][..], b"a", &[7; 32], &[193], &[7; 193 * 32]].concat(),
        ),
        (
            "the number of a generation that was not made",
            13,
            [&[0, 0, 0, 0, 0, 0, 0, 0, 7][..], &[0; 16]].concat(),
        ),
    ] {
        assert!(Message::parse(kind, payload).is_err(), "{what}");
    }
    assert!(Batch::entries(&[&[1][..], &[7; 32], &[0; 4]].concat()).is_err());
    assert!(Batch::entries(&[&[2][..], &[7; 32], &[0, 0, 0, 9], b"short"].concat()).is_err());
}

#[test]
fn messages_of_later_versions_may_be_left_out() {
    assert_eq!(Message::parse(200, vec![1, 2]), Ok(Message::Unknown(200)));
    let mut hello = written(&Message::Hello(Hello::ours("a", "b")));
    hello.extend_from_slice(b"more");
    let read = Message::parse(1, hello[Header::LENGTH..].to_vec());
    assert_eq!(read, Ok(Message::Hello(Hello::ours("a", "b"))));
}

#[test]
fn two_ends_agree_on_the_highest_version_of_both() {
    let speaks = |lowest, highest| Hello {
        lowest,
        highest,
        ..Hello::ours("", "")
    };
    assert_eq!(speaks(1, 3).common_version(&speaks(2, 9)), Some(3));
    assert_eq!(speaks(2, 9).common_version(&speaks(1, 3)), Some(3));
    assert_eq!(speaks(1, 1).common_version(&speaks(2, 9)), None);
}

#[test]
fn long_texts_are_cut_off_between_characters() {
    let long = "é".repeat(MAX_TEXT);
    let Ok(Message::Error(text)) = read(&written(&Message::Error(long))) else {
        panic!("an error is read as one");
    };
    assert_eq!(text.len(), MAX_TEXT);
}
