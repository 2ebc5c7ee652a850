//! Round trips of summaries, and what is refused.

use super::*;
use crate::names::CollectionId;

fn entry(name: &str) -> SummaryRef {
    SummaryRef {
        name: name.parse().unwrap(),
        commit_size: 0x76,
        checksum: Checksum::of(name.as_bytes()),
        metadata: VarDict::from_iter([(SummaryRef::TIMESTAMP, Value::U64(7_u64.swap_bytes()))]),
    }
}

fn sample() -> Summary {
    let metadata = VarDict::from_iter([
        (Summary::LAST_MODIFIED, Value::U64(5_u64.swap_bytes())),
        (Summary::MODE, Value::Str("archive-z2".into())),
    ]);
    Summary::new(vec![entry("os/b"), entry("os/a"), entry("é")], metadata).unwrap()
}

#[test]
fn a_summary_reads_back_and_finds_its_refs() {
    let bytes = sample().to_bytes();
    let summary = Summary::parse(&bytes).unwrap();
    assert_eq!(summary, sample());
    assert_eq!(summary.lookup("os/b"), Some(&entry("os/b")));
    assert_eq!(summary.lookup("os/c"), None);
    assert_eq!(summary.lookup("os/a").and_then(SummaryRef::timestamp), Some(7));
    assert_eq!(summary.last_modified(), Some(5));
}

#[test]
fn the_size_of_a_commit_is_little_endian() {
    let bytes = Summary::new(vec![entry("a")], VarDict::new()).unwrap().to_bytes();
    // The name with its NUL, padding to eight bytes, the size.
    assert_eq!(bytes.get(..16), Some(&b"a\0\0\0\0\0\0\0\x76\0\0\0\0\0\0\0"[..]));
}

#[test]
fn a_summary_without_refs_is_read() {
    let bytes = Summary::default().to_bytes();
    assert_eq!(bytes, [0]);
    assert_eq!(Summary::parse(&bytes), Ok(Summary::default()));
}

#[test]
fn unsorted_doubled_and_misnamed_refs_are_refused() {
    let write = |refs: &[&str]| {
        TupleWriter::encode(|tuple| {
            tuple.array(8, |array| {
                for name in refs {
                    array.tuple(|entry| {
                        entry.string(name);
                        entry.tuple(8, |commit| {
                            commit.u64_le(1);
                            commit.bytes(&[1; 32]);
                            commit.variable(8, &[]);
                        });
                    });
                }
            });
            tuple.variable(8, &[]);
        })
    };
    assert!(Summary::parse(&write(&["a", "b"])).is_ok());
    for bad in [
        &["b", "a"][..],
        &["a", "a"],
        &[""],
        &["../a"],
        &["/a"],
        &["a\u{1b}"],
    ] {
        assert!(Summary::parse(&write(bad)).is_err(), "{bad:?}");
    }
    assert!(Summary::new(vec![entry("a"), entry("a")], VarDict::new()).is_err());
}

#[test]
fn every_truncation_is_refused() {
    let bytes = sample().to_bytes();
    for length in 0..bytes.len() {
        assert!(Summary::parse(&bytes[..length]).is_err(), "{length}");
    }
}

#[test]
fn the_map_of_collections_reads_back() {
    let id = |text: &str| text.parse::<CollectionId>().unwrap();
    let (b, a) = (id("org.example.B"), id("org.example.A"));
    let map = CollectionMap::new(vec![
        (b.clone(), vec![entry("y"), entry("x")]),
        (a.clone(), vec![]),
    ])
    .unwrap();
    let mut summary = sample();
    assert!(summary.collection_map().unwrap().is_empty());
    summary.metadata.insert(Summary::COLLECTION_MAP, map.to_value());
    let read = Summary::parse(&summary.to_bytes())
        .unwrap()
        .collection_map()
        .unwrap();
    assert_eq!(read, map);
    assert_eq!(read.lookup(&b, "x"), Some(&entry("x")));
    assert_eq!((read.lookup(&a, "x"), read.lookup(&b, "z")), (None, None));
    let ids: Vec<_> = read.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(ids, [a.clone(), b]);
    assert!(CollectionMap::new(vec![(a.clone(), vec![]), (a, vec![])]).is_err());
}

#[test]
fn a_map_of_collections_of_another_type_is_refused() {
    assert!(CollectionMap::from_value(&Value::Str("org.example".into())).is_err());
    assert!(CollectionMap::from_value(&Value::strings(["org.example.A"])).is_err());
}
