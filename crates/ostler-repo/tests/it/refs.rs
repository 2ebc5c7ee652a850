//! Refs, beside stock ostree.

use crate::fixture::Fixture;
use ostler_format::{Checksum, CollectionRef, RefName, Refspec};
use ostler_repo::{Expected, RefEdit, RefKey, RefScope, Repo, RepoError};
use ostler_testkit::oracle::strays;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::sync::Mutex;

fn spec(text: &str) -> Refspec {
    text.parse().unwrap()
}

fn name(text: &str) -> RefName {
    text.parse().unwrap()
}

fn set(text: &str, expected: Expected, new: Checksum) -> RefEdit {
    RefEdit::set(spec(text), expected, new)
}

fn remove(text: &str) -> RefEdit {
    RefEdit::remove(spec(text), Expected::Any)
}

fn listed(repo: &Repo) -> Vec<String> {
    let refs = repo.list_refs(RefScope::All).unwrap();
    refs.keys().map(Refspec::to_string).collect()
}

#[test]
fn refs_written_by_one_side_are_read_by_the_other() {
    let fixture = Fixture::new();
    let commit = fixture.commit("os/stable", "1");
    let repo = fixture.open();
    assert_eq!(repo.read_ref(&spec("os/stable")).unwrap(), Some(commit));

    repo.edit_refs(&[
        set("os/é/1.0", Expected::Absent, commit),
        set("up:os/stable", Expected::Any, commit),
    ])
    .unwrap();
    let expected = ["os/stable", "os/é/1.0", "up:os/stable"];
    assert_eq!(fixture.stock.refs(), expected);
    assert_eq!(listed(&repo), expected);
    for reference in expected {
        assert_eq!(fixture.stock.rev_parse(reference), commit.to_string());
    }
    let read = |path: &str| {
        let path = fixture.path().join(path);
        (fs::read(&path).unwrap(), path.metadata().unwrap().mode())
    };
    assert_eq!(read("refs/heads/os/é/1.0"), read("refs/heads/os/stable"));

    repo.edit_refs(&[remove("os/é/1.0"), remove("up:os/stable"), remove("absent")])
        .unwrap();
    assert_eq!(fixture.stock.refs(), ["os/stable"]);
    assert!(!fixture.path().join("refs/heads/os/é").exists());
    assert!(fixture.path().join("refs/heads/os").exists());
    assert!(fixture.path().join("refs/remotes/up").exists());
    assert!(strays(fixture.path()).is_empty());
}

#[test]
fn removing_the_last_ref_leaves_refs_heads_itself() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    repo.edit_refs(&[set("a/b/c", Expected::Absent, Checksum::of(b""))])
        .unwrap();
    repo.edit_refs(&[remove("a/b/c")]).unwrap();
    let heads = fixture.path().join("refs/heads");
    assert_eq!(fs::read_dir(heads).unwrap().count(), 0);
}

#[test]
fn an_edit_happens_only_to_the_expected_value() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    let [one, two, three] = [b"1", b"2", b"3"].map(|bytes| Checksum::of(bytes));
    repo.edit_refs(&[set("r", Expected::Absent, one)]).unwrap();
    for (reference, expected, fits) in [
        ("r", Expected::Any, true),
        ("r", Expected::Exists, true),
        ("r", Expected::Is(one), true),
        ("r", Expected::Is(two), false),
        ("r", Expected::Absent, false),
        ("s", Expected::Any, true),
        ("s", Expected::Absent, true),
        ("s", Expected::Exists, false),
        ("s", Expected::Is(one), false),
    ] {
        let result = repo.edit_refs(&[set("first", Expected::Any, three), set(reference, expected, two)]);
        assert_eq!(result.is_ok(), fits, "{reference} {expected}");
        if let Err(error) = result {
            assert!(matches!(error, RepoError::Conflict { .. }), "{error}");
        }
        let now = repo.list_refs(RefScope::Local).unwrap();
        let mut wanted = BTreeMap::from([(spec("r"), one)]);
        if fits {
            wanted.insert(spec("first"), three);
            wanted.insert(spec(reference), two);
        }
        assert_eq!(now, wanted, "all or nothing: {reference} {expected}");
        repo.edit_refs(&[set("r", Expected::Any, one), remove("s"), remove("first")])
            .unwrap();
    }
}

#[test]
fn no_update_is_lost_between_writers() {
    const WRITERS: u8 = 4;
    const ROUNDS: u8 = 15;
    let fixture = Fixture::new();
    fixture.configure("fsync=false");
    let start = Checksum::of(b"start");
    fixture
        .open()
        .edit_refs(&[set("r", Expected::Absent, start)])
        .unwrap();
    let steps = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (fixture, steps) = (&fixture, &steps);
            scope.spawn(move || {
                let repo = fixture.open();
                for round in 0..ROUNDS {
                    let new = Checksum::of(&[writer, round]);
                    loop {
                        let old = repo.read_ref(&spec("r")).unwrap().unwrap();
                        match repo.edit_refs(&[set("r", Expected::Is(old), new)]) {
                            Ok(()) => break steps.lock().unwrap().push((old, new)),
                            Err(RepoError::Conflict { .. }) => {}
                            Err(other) => panic!("{other}"),
                        }
                    }
                }
            });
        }
    });

    let steps = steps.into_inner().unwrap();
    let next: BTreeMap<Checksum, Checksum> = steps.iter().copied().collect();
    assert_eq!(next.len(), steps.len(), "two writers replaced the same value");
    let mut at = start;
    let mut seen = BTreeSet::new();
    while let Some(new) = next.get(&at) {
        assert!(seen.insert(*new));
        at = *new;
    }
    assert_eq!(seen.len(), usize::from(WRITERS * ROUNDS));
    assert_eq!(fixture.open().read_ref(&spec("r")).unwrap(), Some(at));
    assert!(strays(fixture.path()).is_empty());
}

fn name_conflict(result: Result<(), RepoError>) -> (String, String) {
    match result {
        Err(RepoError::NameConflict { reference, existing }) => (reference, existing),
        other => panic!("expected a conflict of names: {other:?}"),
    }
}

#[test]
fn a_ref_cannot_be_the_directory_of_another() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    let commit = Checksum::of(b"");
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    repo.edit_refs(&[set("a/b", Expected::Any, commit)]).unwrap();
    for (wanted, existing) in [("a", "a/b"), ("a/b/c", "a/b"), ("a/b/c/d", "a/b")] {
        let result = repo.edit_refs(&[
            set("other", Expected::Any, commit),
            set(wanted, Expected::Any, commit),
        ]);
        assert_eq!(name_conflict(result), pair(wanted, existing));
    }
    assert_eq!(listed(&repo), ["a/b"]);
    let both = [set("x", Expected::Any, commit), set("x/y", Expected::Any, commit)];
    assert_eq!(name_conflict(repo.edit_refs(&both)), pair("x/y", "x"));
    let turned = [set("x/y", Expected::Any, commit), set("x", Expected::Any, commit)];
    assert_eq!(name_conflict(repo.edit_refs(&turned)), pair("x", "x/y"));

    repo.edit_refs(&[remove("a/b"), set("a", Expected::Absent, commit)])
        .unwrap();
    assert_eq!(listed(&repo), ["a"]);
    repo.edit_refs(&[remove("a"), set("a/b", Expected::Absent, commit)])
        .unwrap();
    assert_eq!(listed(&repo), ["a/b"]);
    let twice = [remove("a/b"), set("a/b", Expected::Any, commit)];
    assert!(matches!(repo.edit_refs(&twice), Err(RepoError::Invalid { .. })));
}

#[test]
fn directories_without_refs_make_room() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    let commit = fixture.commit("z", "1");
    let below = fixture.path().join("refs/heads/a/b/c");
    let make_way = || {
        fs::create_dir_all(&below).unwrap();
        fs::write(below.join(".~tmp~"), "x").unwrap();
    };
    make_way();
    repo.edit_refs(&[set("a", Expected::Absent, commit)]).unwrap();
    assert_eq!(fixture.stock.refs(), ["a", "z"]);
    repo.edit_refs(&[remove("a")]).unwrap();
    make_way();
    let several = [
        set("y", Expected::Absent, commit),
        set("a", Expected::Absent, commit),
    ];
    repo.edit_refs(&several).unwrap();
    assert_eq!(fixture.stock.refs(), ["a", "y", "z"]);
}

#[test]
fn names_that_are_not_refs_are_passed_over_and_bytes_that_are_not_are_told() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    let commit = fixture.commit("app", "1");
    let heads = fixture.path().join("refs/heads");
    for junk in [".rsync_info", "a b", &commit.to_string()] {
        fs::write(heads.join(junk), "junk").unwrap();
    }
    fs::create_dir(heads.join(".~tmp~")).unwrap();
    fs::create_dir(heads.join("empty")).unwrap();
    symlink("nowhere", heads.join("dangling")).unwrap();
    assert_eq!(listed(&repo), ["app"]);
    assert_eq!(repo.read_ref(&spec("empty")).unwrap(), None);
    assert_eq!(repo.read_ref(&spec("app/x")).unwrap(), None);

    for spaced in [format!("{commit}"), format!("{commit}\n\n  ")] {
        fs::write(heads.join("spaced"), spaced).unwrap();
        assert_eq!(repo.read_ref(&spec("spaced")).unwrap(), Some(commit));
        assert_eq!(fixture.stock.rev_parse("spaced"), commit.to_string());
    }
    for bad in ["", "garbage\n", &format!(" {commit}\n"), &"a".repeat(5000)] {
        fs::write(heads.join("bad"), bad).unwrap();
        let error = repo.read_ref(&spec("bad")).unwrap_err();
        assert!(
            matches!(error, RepoError::DamagedRef { .. } | RepoError::Corrupt { .. }),
            "{error}"
        );
        assert!(error.to_string().contains("ref bad"), "{error}");
        assert!(repo.list_refs(RefScope::Local).is_err());
    }
    symlink("loop", heads.join("loop")).unwrap();
    symlink("../../config", heads.join("escape")).unwrap();
    symlink("/etc/hostname", heads.join("absolute")).unwrap();
    for bad in ["loop", "escape", "absolute"] {
        let error = repo.read_ref(&spec(bad)).unwrap_err();
        assert!(
            matches!(error, RepoError::DamagedRef { .. } | RepoError::Corrupt { .. }),
            "{error}"
        );
    }
}

#[test]
fn aliases_are_those_of_stock() {
    let fixture = Fixture::new();
    let commit = fixture.commit("os/app", "1");
    let repo = fixture.open();
    repo.set_alias(&name("al/ias"), &name("os/app"), Expected::Absent)
        .unwrap();
    fixture
        .stock
        .run(&["refs", "--alias", "--create=other", "os/app"]);

    let expected: BTreeMap<_, _> = [("al/ias", "os/app"), ("other", "os/app")]
        .map(|(alias, target)| (name(alias), name(target)))
        .into();
    assert_eq!(repo.list_aliases().unwrap(), expected);
    assert_eq!(
        fixture
            .stock
            .run(&["refs", "--alias"])
            .lines()
            .collect::<BTreeSet<_>>(),
        BTreeSet::from(["al/ias -> os/app", "other -> os/app"])
    );
    assert_eq!(listed(&repo), ["al/ias", "os/app", "other"]);
    assert_eq!(fixture.stock.rev_parse("al/ias"), commit.to_string());
    assert_eq!(repo.read_ref(&spec("al/ias")).unwrap(), Some(commit));

    let missing = repo.set_alias(&name("x"), &name("absent"), Expected::Any);
    assert!(missing.unwrap_err().is_not_found());
    for (alias, target) in [("os/app", "al/ias"), ("os/app", "os/app")] {
        let circle = repo.set_alias(&name(alias), &name(target), Expected::Any);
        assert!(matches!(circle, Err(RepoError::Invalid { .. })), "{circle:?}");
    }
    let taken = repo.set_alias(&name("other"), &name("os/app"), Expected::Absent);
    assert!(matches!(taken, Err(RepoError::Conflict { .. })), "{taken:?}");
    repo.edit_refs(&[remove("al/ias")]).unwrap();
    assert_eq!(fixture.stock.refs(), ["os/app", "other"]);
    assert!(strays(fixture.path()).is_empty());
}

#[test]
fn collection_refs_lie_where_stock_looks_for_them() {
    let fixture = Fixture::new();
    fixture.configure(
        "collection-id=org.example.Own\n[remote \"up\"]\nurl=http://x\ncollection-id=org.example.Up",
    );
    let repo = fixture.open();
    let commit = fixture.commit("app", "1");
    let key = |text: &str| RefKey::from(text.parse::<CollectionRef>().unwrap());
    repo.edit_refs(&[
        RefEdit::set(key("org.example.Own:mine"), Expected::Absent, commit),
        RefEdit::set(key("org.example.Other:os/x"), Expected::Absent, commit),
        set("up:remote", Expected::Absent, commit),
    ])
    .unwrap();

    let ours: Vec<String> = repo
        .list_collection_refs()
        .unwrap()
        .keys()
        .map(|key| format!("({}, {})", key.collection.as_ref().unwrap(), key.name))
        .collect();
    let printed = fixture.stock.run(&["refs", "--collections"]);
    let mut theirs: Vec<&str> = printed.lines().collect();
    theirs.sort_unstable();
    assert_eq!(ours, theirs);
    let all = repo.list_all_refs().unwrap();
    let names: BTreeSet<String> = all.keys().map(RefKey::to_string).collect();
    let expected = ["app", "mine", "org.example.Other:os/x", "up:remote"];
    assert_eq!(names, expected.map(str::to_owned).into());
    assert_eq!(
        repo.read_key(&key("org.example.Other:os/x")).unwrap(),
        Some(commit)
    );
}

#[test]
fn a_change_of_refs_shows_in_the_time_of_the_repository() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    let root = fs::File::open(fixture.path()).unwrap();
    let past = std::time::UNIX_EPOCH;
    let times = fs::FileTimes::new().set_modified(past);
    for edit in [set("a", Expected::Any, Checksum::of(b"")), remove("a")] {
        root.set_times(times).unwrap();
        repo.edit_refs(&[edit]).unwrap();
        assert_ne!(root.metadata().unwrap().modified().unwrap(), past);
    }
}

#[test]
fn many_refs_change_in_one_call() {
    let fixture = Fixture::new();
    let repo = fixture.open();
    let commit = fixture.commit("app", "1");
    let names: Vec<String> = (0..300)
        .map(|number| format!("many/{}/{number}", number % 20))
        .collect();
    let edits: Vec<RefEdit> = names
        .iter()
        .map(|name| set(name, Expected::Absent, commit))
        .collect();
    repo.edit_refs(&edits).unwrap();
    assert_eq!(fixture.stock.refs().len(), 301);
    let edits: Vec<RefEdit> = names.iter().map(|name| remove(name)).collect();
    repo.edit_refs(&edits).unwrap();
    assert_eq!(fixture.stock.refs(), ["app"]);
    assert!(!fixture.path().join("refs/heads/many").exists());
}
