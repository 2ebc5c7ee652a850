//! Summaries, delta indexes and delta paths that stock `ostree` writes.

use crate::stock::StockRepo;
use ostler_format::gvariant::VarDict;
use ostler_format::{
    Checksum, CollectionId, DeltaList, DeltaName, ObjectType, RefName, Summary, SummaryRef, delta_index_path,
    delta_path,
};
use std::fs;

fn read_summary(repo: &StockRepo) -> Summary {
    let bytes = fs::read(repo.path().join("summary")).unwrap();
    let summary = Summary::parse(&bytes).unwrap();
    assert_eq!(summary.to_bytes(), bytes);
    summary
}

/// Commits the sample tree twice and returns both commits.
fn two_commits(repo: &StockRepo) -> (Checksum, Checksum) {
    let tree = repo.sample_tree();
    let first = repo.commit(&tree, &["--timestamp=@1000000000"]);
    fs::write(tree.join("added"), "added").unwrap();
    let second = repo.commit(
        &tree,
        &["--timestamp=@1000000001", "--add-metadata-string=version=2"],
    );
    (first, second)
}

#[test]
fn a_summary_is_written_as_the_same_bytes_and_names_the_commits() {
    let repo = StockRepo::create(&["--mode=archive"]);
    let (first, second) = two_commits(&repo);
    for name in ["a", "os/z", "os-x", "é"] {
        repo.ostree(&["refs", &format!("--create={name}"), &first.to_string()]);
    }
    repo.ostree(&["summary", "-u", "-m", "extra.key='value'"]);
    let summary = read_summary(&repo);
    assert_eq!(summary.refs.len(), 5);
    let entry = summary.lookup("os/test").unwrap();
    assert_eq!(entry.checksum, second);
    assert_eq!(
        entry.commit_size,
        repo.read(second, ObjectType::Commit).len() as u64
    );
    assert_eq!(entry.timestamp(), Some(1_000_000_001));
    assert_eq!(entry.metadata.get_str(SummaryRef::VERSION), Some("2"));
    assert_eq!(summary.metadata.get_str("extra.key"), Some("value"));
    assert_eq!(summary.metadata.get_str(Summary::MODE), Some("archive-z2"));
    assert_eq!(summary.metadata.get_bool(Summary::TOMBSTONE_COMMITS), Some(false));
    assert!(summary.last_modified() > Some(1_600_000_000));
}

#[test]
fn a_repository_without_refs_has_a_summary() {
    let repo = StockRepo::create(&["--mode=archive"]);
    repo.ostree(&["summary", "-u"]);
    assert_eq!(read_summary(&repo).refs, []);
}

#[test]
fn refs_of_other_collections_are_in_the_map() {
    let repo = StockRepo::create(&["--mode=archive", "--collection-id=org.example.Os"]);
    let (first, second) = two_commits(&repo);
    let mirrors = [
        ("org.example.Other", "b"),
        ("org.example.Other", "a/x"),
        ("org.example.Another", "b"),
    ];
    for (collection, name) in mirrors {
        let path = repo.path().join("refs/mirrors").join(collection).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{first}\n")).unwrap();
    }
    repo.ostree(&["summary", "-u"]);
    let summary = read_summary(&repo);
    assert_eq!(
        summary.metadata.get_str(Summary::COLLECTION_ID),
        Some("org.example.Os")
    );
    assert_eq!(
        summary.lookup("os/test").map(|entry| entry.checksum),
        Some(second)
    );
    let map = summary.collection_map().unwrap();
    assert_eq!(
        Some(&map.to_value()),
        summary.metadata.get(Summary::COLLECTION_MAP)
    );
    for (collection, name) in mirrors {
        let collection: CollectionId = collection.parse().unwrap();
        assert_eq!(
            map.lookup(&collection, name).map(|entry| entry.checksum),
            Some(first)
        );
    }
    let all: usize = map.iter().map(|(_, refs)| refs.len()).sum();
    assert_eq!(all, 3);
}

#[test]
fn deltas_lie_where_we_expect_them_and_are_listed() {
    let repo = StockRepo::create(&["--mode=archive"]);
    let (first, second) = two_commits(&repo);
    repo.ostree(&["static-delta", "generate", "os/test"]);
    repo.ostree(&["static-delta", "generate", "--empty", "os/test"]);
    repo.ostree(&["summary", "-u"]);

    let mut expected = Vec::new();
    for from in [Some(first), None] {
        let superblock = repo
            .path()
            .join(delta_path(from.as_ref(), &second))
            .join("superblock");
        expected.push((
            DeltaName { from, to: second },
            Checksum::of(&fs::read(superblock).unwrap()),
        ));
    }
    expected.sort();
    let sorted = |list: DeltaList| {
        let DeltaList(mut entries) = list;
        entries.sort();
        entries
    };
    let summary = read_summary(&repo);
    let listed = DeltaList::from_value(summary.metadata.get(DeltaList::KEY).unwrap()).unwrap();
    assert_eq!(sorted(listed), expected);
    let index = fs::read(repo.path().join(delta_index_path(&second))).unwrap();
    let list = DeltaList::parse_index(&index).unwrap();
    assert_eq!(list.to_index(), index);
    assert_eq!(sorted(list), expected);
}

#[test]
fn stock_reads_a_summary_that_we_write() {
    let repo = StockRepo::create(&["--mode=archive"]);
    let (first, second) = two_commits(&repo);
    let entry = |name: &str, checksum: Checksum| SummaryRef {
        name: RefName::new(name).unwrap(),
        commit_size: 1234,
        checksum,
        metadata: VarDict::new(),
    };
    let summary = Summary::new(vec![entry("z/é", first), entry("a", second)], VarDict::new()).unwrap();
    fs::write(repo.path().join("summary"), summary.to_bytes()).unwrap();
    let shown = repo.ostree(&["summary", "-v"]);
    for text in [
        "* a",
        "* z/é",
        &first.to_string(),
        &second.to_string(),
        "(1.2\u{a0}kB)",
    ] {
        assert!(shown.contains(text), "{text} in {shown}");
    }
}
