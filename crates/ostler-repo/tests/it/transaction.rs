//! Transactions: all or nothing, children first, never over what is there.

use crate::store_fixture::{begin, create, file, own, regular, scratch, write};
use ostler_format::gvariant::VarDict;
use ostler_format::{
    Checksum, Commit, DirMeta, DirTree, ObjectName, ObjectType, RefName, Refspec, RepoMode, TreeFile, Xattrs,
};
use ostler_repo::{Expected, Partial, RefEdit, Repo, RepoError, Transaction};
use ostler_testkit::stock::StockRepo;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn archive() -> (TempDir, Repo) {
    let scratch = scratch();
    let repo = create(&scratch.path().join("repo"), RepoMode::Archive);
    (scratch, repo)
}

/// Writes a commit of one file.
fn write_commit(transaction: &Transaction<'_>, content: &str) -> Checksum {
    let name = write(transaction, &regular(0o644), content.as_bytes());
    let entry = TreeFile {
        name: "file".into(),
        checksum: name.checksum,
    };
    let tree = DirTree::new(vec![entry], Vec::new()).unwrap();
    let meta = DirMeta {
        uid: 0,
        gid: 0,
        mode: 0o040_755,
        xattrs: Xattrs::default(),
    };
    let commit = Commit {
        metadata: VarDict::new(),
        parent: None,
        related: Vec::new(),
        subject: content.to_owned(),
        body: String::new(),
        timestamp: 1,
        root_tree: transaction
            .write_metadata(ObjectType::DirTree, &tree.to_bytes())
            .unwrap(),
        root_meta: transaction
            .write_metadata(ObjectType::DirMeta, &meta.to_bytes())
            .unwrap(),
    };
    transaction
        .write_metadata(ObjectType::Commit, &commit.to_bytes())
        .unwrap()
}

fn set(name: &str, expected: Expected, new: Checksum) -> RefEdit {
    RefEdit::set(RefName::new(name).unwrap(), expected, new)
}

fn read_ref(repo: &Repo, name: &str) -> Option<Checksum> {
    repo.read_ref(&name.parse::<Refspec>().unwrap()).unwrap()
}

#[test]
fn a_committed_transaction_is_a_commit_that_stock_ostree_checks_out() {
    let (scratch, repo) = archive();
    let mut transaction = begin(&repo);
    let commit = write_commit(&transaction, "hello\n");
    transaction.edit_ref(set("main", Expected::Absent, commit));
    let stats = transaction.commit().unwrap();

    assert_eq!((stats.metadata_objects, stats.metadata_written_objects), (3, 3));
    assert_eq!((stats.content_objects, stats.content_written_objects), (1, 1));
    assert_eq!(
        (stats.content_written_bytes, stats.settled.settled_objects),
        (6, 4)
    );
    let stock = StockRepo::open(repo.path());
    assert_eq!(stock.run(&["cat", "main", "/file"]), "hello\n");
    stock.checkout("main", &scratch.path().join("out"));
    ostler_testkit::oracle::assert_sound(repo.path());
}

#[test]
fn a_dropped_or_aborted_transaction_leaves_objects_and_refs_unchanged() {
    for abort in [false, true] {
        let (_scratch, repo) = archive();
        let mut transaction = begin(&repo);
        let commit = write_commit(&transaction, "hello\n");
        transaction.edit_ref(set("main", Expected::Any, commit));
        if abort {
            transaction.abort().unwrap();
        } else {
            drop(transaction);
        }
        assert!(repo.list_objects(true).unwrap().is_empty());
        assert_eq!(read_ref(&repo, "main"), None);
        assert!(
            repo.lock(ostler_repo::LockKind::Exclusive).is_ok(),
            "the lock is free"
        );
    }
}

#[test]
fn a_ref_that_moved_meanwhile_is_not_overwritten() {
    let (_scratch, repo) = archive();
    let mut first = begin(&repo);
    let base = write_commit(&first, "base");
    first.edit_ref(set("main", Expected::Absent, base));
    first.edit_ref(set("other", Expected::Absent, base));
    first.commit().unwrap();

    let mut second = begin(&repo);
    let next = write_commit(&second, "next");
    second.edit_ref(set("other", Expected::Is(base), next));
    second.edit_ref(set("main", Expected::Is(next), next));
    let error = second.commit().unwrap_err();

    assert!(matches!(error, RepoError::Conflict { .. }), "{error}");
    assert_eq!(
        (read_ref(&repo, "main"), read_ref(&repo, "other")),
        (Some(base), Some(base))
    );
}

#[test]
fn what_is_there_already_is_neither_written_nor_touched() {
    let (_scratch, repo) = archive();
    let first = begin(&repo);
    let commit = write_commit(&first, "same");
    first.commit().unwrap();
    let inode = || {
        let name = ObjectName::new(commit, ObjectType::Commit);
        repo.stat_own_object(&name).unwrap().unwrap().ino
    };
    let before = inode();

    let second = begin(&repo);
    assert_eq!(write_commit(&second, "same"), commit);
    let stats = second.commit().unwrap();

    assert_eq!(
        (stats.metadata_written_objects, stats.content_written_objects),
        (0, 0)
    );
    assert_eq!(stats.settled.settled_objects, 0);
    assert_eq!(inode(), before);
}

#[test]
fn objects_that_another_writer_put_in_place_first_stay_as_they_are() {
    let (_scratch, repo) = archive();
    let other_repo = Repo::open(repo.path()).unwrap();
    let (ours, theirs) = (begin(&repo), begin(&other_repo));
    let name = write(&ours, &regular(0o644), b"content");
    write(&theirs, &regular(0o644), b"content");
    theirs.commit().unwrap();
    let before = repo.stat_own_object(&name).unwrap().unwrap();

    let stats = ours.commit().unwrap();

    assert_eq!(
        (stats.settled.settled_objects, stats.settled.found_objects),
        (0, 1)
    );
    assert_eq!(repo.stat_own_object(&name).unwrap(), Some(before));
}

#[test]
fn files_that_a_power_cut_emptied_are_healed_by_writing_them_again() {
    let (_scratch, repo) = archive();
    let first = begin(&repo);
    let commit = write_commit(&first, "healed");
    first.commit().unwrap();
    let names = repo.list_objects(true).unwrap();
    for name in &names {
        fs::write(repo.objects().path_of(name.loose_path(repo.mode())), "").unwrap();
    }

    let second = begin(&repo);
    assert!(names.iter().all(|name| !second.has(name).unwrap()));
    assert_eq!(write_commit(&second, "healed"), commit);
    let stats = second.commit().unwrap();

    assert_eq!(stats.settled.healed_objects, 4);
    for name in &names {
        repo.verify_object(name).unwrap();
    }
}

#[test]
fn an_object_reported_as_damaged_is_replaced() {
    for mode in [RepoMode::Archive, RepoMode::Bare] {
        let scratch = scratch();
        let repo = create(&scratch.path().join("repo"), mode);
        let first = begin(&repo);
        let name = write(&first, &own(0o644), b"content");
        first.commit().unwrap();
        let path = repo.objects().path_of(name.loose_path(mode));
        // A reader that has the old file open goes on reading it.
        let reader = fs::File::open(&path).unwrap();
        fs::write(&path, "corrupt").unwrap();

        let second = begin(&repo);
        write(&second, &own(0o644), b"content");
        second.replace_damaged(name);
        write(&second, &own(0o644), b"content");
        let stats = second.commit().unwrap();

        assert_eq!(stats.settled.healed_objects, 1);
        repo.verify_object(&name).unwrap();
        assert_eq!(reader.metadata().unwrap().len(), 7);
    }
}

#[test]
fn many_threads_write_into_one_transaction() {
    let (_scratch, repo) = archive();
    let transaction = begin(&repo);
    let new: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4_u32)
            .map(|_| {
                scope.spawn(|| {
                    (0..300_u32)
                        .filter(|number| {
                            let text = number.to_string();
                            let bytes = text.as_bytes();
                            transaction
                                .write_content(&regular(0o644), bytes.len() as u64, &mut &bytes[..], None)
                                .unwrap()
                                .new
                        })
                        .count()
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(new, 300, "each object is new once");
    let stats = transaction.commit().unwrap();
    assert_eq!(
        (stats.content_objects, stats.content_written_objects),
        (1200, 300)
    );
    assert_eq!(repo.list_objects(true).unwrap().len(), 300);
}

#[test]
fn content_beyond_the_reserved_space_is_refused_and_staging_is_given_up() {
    let (_scratch, repo) = archive();
    StockRepo::open(repo.path()).run(&["config", "set", "core.min-free-space-size", "900000TB"]);
    let repo = Repo::open(repo.path()).unwrap();
    let transaction = begin(&repo);
    let error = transaction
        .write_content(&regular(0o644), 4, &mut &b"full"[..], None)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("min-free-space-size 943718400000MB would be exceeded"),
        "{error}"
    );
    let meta = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x41, 0xed];
    transaction.write_metadata(ObjectType::DirMeta, &meta).unwrap();
    transaction.abort().unwrap();
    assert!(ostler_testkit::oracle::strays(repo.path()).is_empty());
}

#[test]
fn files_have_the_usual_mode_whatever_the_umask_was_and_directories_follow_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_scratch, repo) = archive();
    let transaction = begin(&repo);
    write_commit(&transaction, "content");
    transaction.commit().unwrap();
    for name in repo.list_objects(true).unwrap() {
        let path = repo.objects().path_of(name.loose_path(repo.mode()));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&path), 0o644);
        assert_eq!(mode(path.parent().unwrap()), mode(repo.objects().path()) | 0o055);
    }
}

#[test]
fn per_object_fsync_and_no_fsync_end_in_the_same_repository() {
    for (key, value) in [("core.per-object-fsync", "true"), ("core.fsync", "false")] {
        let (_scratch, repo) = archive();
        StockRepo::open(repo.path()).run(&["config", "set", key, value]);
        let repo = Repo::open(repo.path()).unwrap();
        let mut transaction = begin(&repo);
        let commit = write_commit(&transaction, "content");
        transaction.edit_ref(set("main", Expected::Absent, commit));
        transaction.commit().unwrap();
        ostler_testkit::oracle::assert_sound(repo.path());
    }
}

#[test]
fn a_commit_that_comes_back_loses_its_tombstone() {
    let (_scratch, repo) = archive();
    let transaction = begin(&repo);
    let commit = write_commit(&transaction, "back");
    repo.write_tombstone(&commit).unwrap();
    assert!(repo.has_tombstone(&commit).unwrap());
    let name = ObjectName::new(commit, ObjectType::TombstoneCommit);
    assert_eq!(repo.object_size(&name).unwrap(), 78);
    repo.verify_object(&name).unwrap();
    transaction.commit().unwrap();
    assert!(!repo.has_tombstone(&commit).unwrap());
}

#[test]
fn marks_of_partial_commits_are_those_of_stock_ostree() {
    let (_scratch, repo) = archive();
    let mut transaction = begin(&repo);
    let commit = write_commit(&transaction, "partial");
    transaction.edit_ref(set("main", Expected::Absent, commit));
    transaction.commit().unwrap();
    let stock = StockRepo::open(repo.path());

    assert_eq!(repo.is_partial(&commit).unwrap(), None);
    repo.set_partial(&commit, Partial::Incomplete).unwrap();
    assert!(stock.run(&["fsck"]).contains("1 partial commits not verified"));
    assert_eq!(repo.is_partial(&commit).unwrap(), Some(Partial::Incomplete));
    repo.set_partial(&commit, Partial::Damaged).unwrap();
    repo.set_partial(&commit, Partial::Incomplete).unwrap();
    assert_eq!(repo.is_partial(&commit).unwrap(), Some(Partial::Damaged));
    assert_eq!(repo.partial_commits().unwrap(), [commit]);
    stock.fail(&["fsck"]);
    assert!(repo.clear_partial(&commit).unwrap() && !repo.clear_partial(&commit).unwrap());
    stock.fsck();

    // And the other way: what stock finds missing, we see marked.
    let content = repo.list_objects(false).unwrap();
    let content = content.iter().find(|name| name.kind == ObjectType::File).unwrap();
    fs::remove_file(repo.objects().path_of(content.loose_path(repo.mode()))).unwrap();
    stock.fail(&["fsck"]);
    assert_eq!(repo.is_partial(&commit).unwrap(), Some(Partial::Damaged));
}

#[test]
fn expected_content_that_is_there_is_not_even_read() {
    struct Unreadable;
    impl std::io::Read for Unreadable {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::Other.into())
        }
    }
    let (_scratch, repo) = archive();
    let transaction = begin(&repo);
    let name = write(&transaction, &regular(0o644), b"content");
    let again = transaction.write_content(&regular(0o644), 7, &mut Unreadable, Some(name.checksum));
    assert!(!again.unwrap().new);
    let other = transaction.write_content(&regular(0o644), 7, &mut Unreadable, None);
    assert!(matches!(other, Err(RepoError::Io { .. })));
    assert!(transaction.has(&file(name.checksum)).unwrap());
}
