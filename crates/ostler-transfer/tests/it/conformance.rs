//! What the trait says of every store, asked of each.

use ostler_format::{Checksum, FileHeader, ObjectName, ObjectType, RepoMode, Xattrs};
use ostler_repo::Repo;
use ostler_transfer::{
    Body, DirStore, Edit, Expect, Item, MemoryStore, MountedStore, Overwrite, Store, TransferError,
};
use tempfile::TempDir;

/// Runs a case against a fresh store of each kind.
fn each(case: impl Fn(&str, &dyn Store)) {
    case("memory", &MemoryStore::default());
    let dir = TempDir::new().unwrap();
    let repo = Repo::create(&dir.path().join("repo"), RepoMode::Archive, None).unwrap();
    case("directory", &DirStore::new(repo));
    let repo = Repo::create(&dir.path().join("mounted"), RepoMode::Archive, None).unwrap();
    case("mounted directory", &MountedStore::new(repo, "a test"));
}

/// Returns a content object and its bytes in an archive: an empty file, or a link with a target.
fn object(target: &str) -> (ObjectName, Vec<u8>) {
    let mode = if target.is_empty() { 0o100_644 } else { 0o120_777 };
    let header = FileHeader {
        uid: 0,
        gid: 0,
        mode,
        symlink_target: target.to_owned(),
        xattrs: Xattrs::default(),
    };
    let mut bytes = header.to_archive(0);
    if target.is_empty() {
        bytes.extend_from_slice(&[3, 0]);
    }
    (ObjectName::new(header.checksum_of(b""), ObjectType::File), bytes)
}

fn put(store: &dyn Store, name: ObjectName, bytes: &[u8], overwrite: Overwrite) {
    let item = Item::Object(name);
    store.put(&item, Body::Bytes(bytes), overwrite).unwrap();
    let lease = store.lease().unwrap();
    store.settle(&[(item, overwrite)]).unwrap();
    drop(lease);
}

fn flip(store: &dyn Store, edits: &[Edit]) -> ostler_transfer::Result<()> {
    let _lease = store.lease()?;
    store.flip(edits)
}

fn edit(path: &str, expect: Expect, new: Option<&[u8]>) -> Edit {
    Edit {
        path: path.to_owned(),
        expect,
        new: new.map(<[u8]>::to_vec),
    }
}

#[test]
fn what_is_put_and_settled_is_there_with_its_size_and_sound() {
    each(|kind, store| {
        let (name, bytes) = object("");
        assert_eq!(store.look(&name).unwrap(), None, "{kind}");
        assert!(!store.verify(&name).unwrap(), "{kind}");
        put(store, name, &bytes, Overwrite::Never);
        assert_eq!(store.look(&name).unwrap(), Some(bytes.len() as u64), "{kind}");
        assert!(store.verify(&name).unwrap(), "{kind}");
    });
}

#[test]
fn a_store_that_stages_shows_nothing_before_it_settles() {
    each(|kind, store| {
        let (name, bytes) = object("");
        store
            .put(&Item::Object(name), Body::Bytes(&bytes), Overwrite::Never)
            .unwrap();
        assert_eq!(store.look(&name).unwrap().is_none(), store.stages(), "{kind}");
    });
}

#[test]
fn bytes_that_are_not_what_their_name_says_are_refused_and_not_kept() {
    each(|kind, store| {
        let (name, _) = object("");
        let (_, other) = object("elsewhere");
        let refused = store.put(&Item::Object(name), Body::Bytes(&other), Overwrite::Never);
        assert!(
            matches!(refused, Err(TransferError::CorruptSource(_))),
            "{kind}: {refused:?}"
        );
        assert_eq!(store.look(&name).unwrap(), None, "{kind}");
        let (_, bytes) = object("");
        put(store, name, &bytes, Overwrite::Never);
        assert!(
            store.verify(&name).unwrap(),
            "{kind}: the right bytes are taken after the wrong ones"
        );
    });
}

#[test]
fn an_object_is_put_twice_without_harm() {
    each(|kind, store| {
        let (name, bytes) = object("somewhere");
        put(store, name, &bytes, Overwrite::Never);
        put(store, name, &bytes, Overwrite::Never);
        put(store, name, &bytes, Overwrite::Replace);
        assert!(store.verify(&name).unwrap(), "{kind}");
    });
}

#[test]
fn files_are_replaced_removed_and_read_back() {
    each(|kind, store| {
        assert_eq!(store.get("refs/heads/a/b", 100).unwrap(), None, "{kind}");
        flip(store, &[edit("refs/heads/a/b", Expect::Absent, Some(b"one"))]).unwrap();
        assert_eq!(
            store.get("refs/heads/a/b", 100).unwrap().as_deref(),
            Some(&b"one"[..]),
            "{kind}"
        );
        let names: Vec<_> = store
            .list("refs/heads")
            .unwrap()
            .into_iter()
            .map(|entry| (entry.name, entry.is_dir))
            .collect();
        assert_eq!(names, [("a".to_owned(), true)], "{kind}");
        flip(
            store,
            &[edit("refs/heads/a/b", Expect::Bytes(Checksum::of(b"one")), None)],
        )
        .unwrap();
        assert_eq!(store.get("refs/heads/a/b", 100).unwrap(), None, "{kind}");
        assert!(store.list("refs/nowhere").unwrap().is_empty(), "{kind}");
    });
}

#[test]
fn one_unmet_expectation_and_nothing_changes() {
    each(|kind, store| {
        flip(store, &[edit("summary", Expect::Absent, Some(b"old"))]).unwrap();
        for unmet in [
            Expect::Absent,
            Expect::Bytes(Checksum::of(b"other")),
            Expect::Ref(Checksum::of(b"x")),
        ] {
            let edits = [
                edit("refs/heads/a", Expect::Absent, Some(b"new")),
                edit("summary", unmet, Some(b"new")),
            ];
            assert!(flip(store, &edits).is_err(), "{kind} {unmet}");
            assert_eq!(store.get("refs/heads/a", 100).unwrap(), None, "{kind} {unmet}");
            assert_eq!(
                store.get("summary", 100).unwrap().as_deref(),
                Some(&b"old"[..]),
                "{kind} {unmet}"
            );
        }
        assert!(!store.pending().unwrap(), "{kind}");
        let _lease = store.lease().unwrap();
        assert!(
            store.recover().unwrap().is_none(),
            "{kind}: there is nothing to complete"
        );
    });
}

#[test]
fn a_lease_keeps_a_second_one_out_until_it_is_dropped() {
    each(|_, store| {
        let lease = store.lease().unwrap();
        std::thread::scope(|scope| {
            let (send, taken) = std::sync::mpsc::channel();
            scope.spawn(move || {
                let second = store.lease().unwrap();
                send.send(()).unwrap();
                drop(second);
            });
            assert!(taken.try_recv().is_err());
            drop(lease);
            taken.recv().unwrap();
        });
    });
}

#[test]
fn commits_in_place_are_listed_and_nothing_else_is() {
    each(|kind, store| {
        assert!(store.list_commits().unwrap().is_empty(), "{kind}");
        let commit = ostler_format::Commit {
            metadata: ostler_format::gvariant::VarDict::new(),
            parent: None,
            related: Vec::new(),
            subject: "first".into(),
            body: String::new(),
            timestamp: 1,
            root_tree: Checksum::of(b"tree"),
            root_meta: Checksum::of(b"meta"),
        };
        let bytes = commit.to_bytes();
        let name = ObjectName::new(Checksum::of(&bytes), ObjectType::Commit);
        put(store, name, &bytes, Overwrite::Never);
        let (other, bytes) = object("");
        put(store, other, &bytes, Overwrite::Never);
        assert_eq!(store.list_commits().unwrap(), [name.checksum], "{kind}");
    });
}

#[test]
fn what_is_removed_is_gone_and_counted_and_what_was_not_there_is_passed_over() {
    each(|kind, store| {
        let (name, bytes) = object("");
        let (kept, kept_bytes) = object("kept");
        put(store, name, &bytes, Overwrite::Never);
        put(store, kept, &kept_bytes, Overwrite::Never);
        flip(store, &[edit("summaries/x", Expect::Absent, Some(b"123"))]).unwrap();
        let items = [
            Item::Object(name),
            Item::File("summaries/x".into()),
            Item::Object(object("absent").0),
            Item::File("deltas/ab/cd/superblock".into()),
        ];
        let lease = store.lease().unwrap();
        let removed = store.remove(&items).unwrap();
        assert_eq!(
            (removed.count, removed.bytes),
            (2, bytes.len() as u64 + 3),
            "{kind}"
        );
        assert_eq!(store.remove(&items).unwrap().count, 0, "{kind}");
        drop(lease);
        assert_eq!(store.look(&name).unwrap(), None, "{kind}");
        assert!(store.look(&kept).unwrap().is_some(), "{kind}");
        assert_eq!(store.get("summaries/x", 10).unwrap(), None, "{kind}");
    });
}
