//! Reading what stock ostree wrote, and writing what it reads, in every mode.

use crate::store_fixture::{begin, create, file, own, regular, scratch, write};
use ostler_format::{
    Checksum, FileHeader, ObjectName, ObjectType, RefName, RepoMode, S_IFLNK, S_IFREG, Xattrs,
};
use ostler_repo::{Expected, RefEdit, Repo, RepoError, Trust};
use ostler_testkit::disk;
use ostler_testkit::listing::assert_same_files;
use ostler_testkit::random::Random;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// The modes that keep everything, so that a commit has the same id in all of them.
const FAITHFUL: [RepoMode; 3] = [RepoMode::Archive, RepoMode::Bare, RepoMode::BareUser];

/// Makes a repository with stock ostree that holds a commit of everything there is, on branch `main`.
fn stock_with_everything(directory: &Path, mode: RepoMode) -> StockRepo {
    let source = directory.join("source");
    if !source.exists() {
        tree::assorted(&source);
    }
    let stock = StockRepo::init(&directory.join(format!("stock-{mode}")), mode.as_str());
    stock.commit("main", &source);
    stock
}

/// Takes all objects of a repository over into another, with a ref to the commit.
fn take_over(from: &Repo, to: &Repo, commit: &str, trust: Trust) {
    let mut transaction = begin(to);
    for name in from.list_objects(false).unwrap() {
        assert!(transaction.import_object(&name, from, trust).unwrap(), "{name}");
    }
    let name = RefName::new("main").unwrap();
    transaction.edit_ref(RefEdit::set(name, Expected::Absent, commit.parse().unwrap()));
    transaction.commit().unwrap();
}

#[test]
fn every_object_that_stock_ostree_wrote_is_sound_in_every_mode() {
    let scratch = scratch();
    for mode in FAITHFUL.into_iter().chain([RepoMode::BareUserOnly]) {
        let stock = stock_with_everything(scratch.path(), mode);
        let repo = Repo::open(stock.path()).unwrap();
        let names = repo.list_objects(false).unwrap();
        assert!(names.len() > 50, "{mode}: {}", names.len());
        for name in names {
            repo.verify_object(&name)
                .unwrap_or_else(|error| panic!("{mode}: {error:?}"));
        }
    }
}

#[test]
fn stock_ostree_reads_what_was_taken_over_from_any_mode_into_any_other() {
    let scratch = scratch();
    let stocks = FAITHFUL.map(|mode| (mode, stock_with_everything(scratch.path(), mode)));
    for (from_mode, stock) in &stocks {
        let commit = stock.rev_parse("main");
        let expected = stock.run(&["ls", "-R", "-C", "-X", "main"]);
        let from = Repo::open(stock.path()).unwrap();
        for to_mode in FAITHFUL {
            for trust in [Trust::Trusted, Trust::Verify] {
                let path = scratch.path().join(format!("{from_mode}-{to_mode}-{trust:?}"));
                take_over(&from, &create(&path, to_mode), &commit, trust);
                let ours = StockRepo::open(&path);
                ours.fsck();
                assert_eq!(ours.run(&["ls", "-R", "-C", "-X", "main"]), expected, "{path:?}");
                ostler_testkit::oracle::assert_sound(&path);
            }
        }
    }
}

#[test]
fn files_of_bare_modes_are_laid_out_as_by_stock_ostree() {
    let scratch = scratch();
    let archive = stock_with_everything(scratch.path(), RepoMode::Archive);
    let commit = archive.rev_parse("main");
    for mode in [RepoMode::Bare, RepoMode::BareUser] {
        let stock = stock_with_everything(scratch.path(), mode);
        let path = scratch.path().join(format!("ours-{mode}"));
        take_over(
            &Repo::open(archive.path()).unwrap(),
            &create(&path, mode),
            &commit,
            Trust::Verify,
        );
        assert_same_files(&path.join("objects"), &stock.path().join("objects"));
        for name in Repo::open(&path).unwrap().list_objects(false).unwrap() {
            let loose = format!("objects/{}", name.loose_path(mode).as_str());
            let (ours, theirs) = (path.join(&loose), stock.path().join(&loose));
            let metadata = fs::symlink_metadata(ours).unwrap();
            if name.kind == ObjectType::File && metadata.is_file() {
                assert_eq!(metadata.mtime(), fs::metadata(theirs).unwrap().mtime(), "{name}");
            }
        }
    }
}

#[test]
fn bare_user_only_takes_canonical_objects_and_refuses_others() {
    let scratch = scratch();
    let stock = stock_with_everything(scratch.path(), RepoMode::BareUserOnly);
    let commit = stock.rev_parse("main");
    let from = Repo::open(stock.path()).unwrap();
    for mode in [RepoMode::BareUserOnly, RepoMode::Archive] {
        let path = scratch.path().join(format!("ours-{mode}"));
        take_over(&from, &create(&path, mode), &commit, Trust::Verify);
        StockRepo::open(&path).fsck();
    }
    // And from an archive back again, written anew.
    let archive = Repo::open(&scratch.path().join(format!("ours-{}", RepoMode::Archive))).unwrap();
    let path = scratch.path().join("back");
    take_over(
        &archive,
        &create(&path, RepoMode::BareUserOnly),
        &commit,
        Trust::Verify,
    );
    assert_same_files(&path.join("objects"), &stock.path().join("objects"));

    let repo = create(&scratch.path().join("refusing"), RepoMode::BareUserOnly);
    let transaction = begin(&repo);
    for permissions in [0o4755, 0o2755, 0o1755, 0o666] {
        let refused = transaction.write_content(&regular(permissions), 1, &mut &b"x"[..], None);
        assert!(
            matches!(refused, Err(RepoError::Refused { .. })),
            "{permissions:o}"
        );
    }
    assert!(
        transaction
            .write_content(&regular(0o775), 1, &mut &b"x"[..], None)
            .is_ok()
    );
}

#[test]
fn split_xattrs_are_written_as_stock_ostree_reads_them_only_when_allowed() {
    let scratch = scratch();
    let archive = stock_with_everything(scratch.path(), RepoMode::Archive);
    let from = Repo::open(archive.path()).unwrap();
    let path = scratch.path().join("split");
    let repo = create(&path, RepoMode::BareSplitXattrs);
    assert!(matches!(repo.begin(), Err(RepoError::Unsupported { .. })));

    take_over(&from, &repo, &archive.rev_parse("main"), Trust::Verify);

    let ours = StockRepo::open(&path);
    ours.fsck();
    assert_eq!(
        ours.run(&["ls", "-R", "-C", "-X", "main"]),
        archive.run(&["ls", "-R", "-C", "-X", "main"])
    );
    for name in repo.list_objects(true).unwrap() {
        repo.verify_object(&name).unwrap();
    }
    let links = repo.list_objects(true).unwrap();
    let link = links
        .iter()
        .find(|name| name.kind == ObjectType::FileXattrsLink)
        .unwrap();
    assert!(
        repo.stat_own_object(link).unwrap().unwrap().nlink > 2,
        "attributes are shared"
    );
    // And out of it again.
    let back = create(&scratch.path().join("back"), RepoMode::BareUser);
    take_over(&repo, &back, &archive.rev_parse("main"), Trust::Trusted);
    StockRepo::open(back.path()).fsck();
}

#[test]
fn content_reads_back_in_every_mode_below_and_above_a_mebibyte() {
    let scratch = scratch();
    let mut random = Random::new(7);
    let contents = [0, 1, 4096, 2 << 20, (2 << 20) + 1, 3 << 20].map(|size| random.bytes(size));
    for mode in [
        RepoMode::Archive,
        RepoMode::Bare,
        RepoMode::BareUser,
        RepoMode::BareUserOnly,
        RepoMode::BareSplitXattrs,
    ] {
        let repo = create(&scratch.path().join(mode.as_str()), mode);
        // Bare modes keep the owner, bare-user-only always says root.
        let header = match mode {
            RepoMode::BareUserOnly => regular(0o644),
            _ => own(0o644),
        };
        let transaction = begin(&repo);
        let names: Vec<_> = contents
            .iter()
            .map(|content| write(&transaction, &header, content))
            .collect();
        let link = FileHeader {
            mode: S_IFLNK | 0o777,
            symlink_target: "over/there".to_owned(),
            ..header.clone()
        };
        let link_name = write(&transaction, &link, b"");
        for (name, content) in names.iter().zip(&contents) {
            assert_eq!(name.checksum, header.checksum_of(content));
            let mut staged = Vec::new();
            transaction
                .open_content(&name.checksum)
                .unwrap()
                .read_to_end(&mut staged)
                .unwrap();
            assert!(&staged == content, "{mode}: staged content differs");
        }
        transaction.commit().unwrap();
        for (name, content) in names.iter().zip(&contents) {
            let mut reader = repo.open_content(&name.checksum).unwrap();
            assert_eq!((reader.header(), reader.size()), (&header, content.len() as u64));
            let mut found = Vec::new();
            reader.read_to_end(&mut found).unwrap();
            assert!(&found == content, "{mode}: content differs");
        }
        let mut reader = repo.open_content(&link_name.checksum).unwrap();
        assert_eq!((reader.header(), reader.size()), (&link, 0));
        assert_eq!(reader.read(&mut [0; 8]).unwrap(), 0);
    }
}

#[test]
fn a_file_is_written_the_same_from_a_stream_and_from_an_open_file() {
    let scratch = scratch();
    let content = Random::new(8).text(3 << 20);
    let path = scratch.path().join("file");
    fs::write(&path, &content).unwrap();
    for mode in [RepoMode::Archive, RepoMode::BareUser] {
        let repo = create(&scratch.path().join(mode.as_str()), mode);
        let transaction = begin(&repo);
        let header = regular(0o644);
        let mut opened = fs::File::open(&path).unwrap();
        let written = transaction
            .write_file(&header, content.len() as u64, &mut opened)
            .unwrap();
        assert_eq!(written.checksum, header.checksum_of(&content));
        assert!(written.new);
        let mut opened = fs::File::open(&path).unwrap();
        let again = transaction
            .write_file(&header, content.len() as u64, &mut opened)
            .unwrap();
        assert!(!again.new && again.checksum == written.checksum);
        for wrong in [content.len() as u64 - 1, content.len() as u64 + 1] {
            let mut opened = fs::File::open(&path).unwrap();
            assert!(
                transaction.write_file(&header, wrong, &mut opened).is_err(),
                "{wrong}"
            );
        }
        transaction.commit().unwrap();
        repo.verify_object(&file(written.checksum)).unwrap();
    }
}

#[test]
fn set_user_id_files_get_their_owner_before_the_bit_and_time_zero() {
    let scratch = scratch();
    let repo = create(&scratch.path().join("bare"), RepoMode::Bare);
    let transaction = begin(&repo);
    let (uid, gid) = if disk::is_root() {
        (1000, 7)
    } else {
        (own(0).uid, own(0).gid)
    };
    let header = FileHeader {
        uid,
        gid,
        xattrs: Xattrs::new(vec![(b"user.z".to_vec(), b"1".to_vec())]).unwrap(),
        ..own(0o6711)
    };
    let name = write(&transaction, &header, b"set-user-id");
    transaction.commit().unwrap();

    let path = repo.objects().path_of(name.loose_path(RepoMode::Bare));
    let metadata = fs::metadata(path).unwrap();
    assert_eq!(metadata.permissions().mode(), S_IFREG | 0o6711);
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mtime()), (uid, gid, 0));
    repo.verify_object(&name).unwrap();
}

#[test]
fn taking_over_within_a_mode_and_file_system_shares_the_inode() {
    let scratch = scratch();
    for mode in FAITHFUL {
        let stock = stock_with_everything(scratch.path(), mode);
        let from = Repo::open(stock.path()).unwrap();
        let to = create(&scratch.path().join(format!("to-{mode}")), mode);
        take_over(&from, &to, &stock.rev_parse("main"), Trust::Trusted);
        for name in to.list_objects(false).unwrap() {
            let inode = |repo: &Repo| repo.stat_own_object(&name).unwrap().unwrap().ino;
            assert_eq!(inode(&from), inode(&to), "{mode}: {name}");
        }
    }
}

#[test]
fn archives_on_other_file_systems_are_copied_byte_by_byte() {
    let here = scratch();
    let stock = stock_with_everything(here.path(), RepoMode::Archive);
    let from = Repo::open(stock.path()).unwrap();
    // Bytes received over a wire are such a case, and need no second file system.
    let to = create(&here.path().join("to"), RepoMode::Archive);
    let bare = create(&here.path().join("bare"), RepoMode::BareUser);
    let (transaction, unpacking) = (begin(&to), begin(&bare));
    let mut sizes = BTreeMap::new();
    for name in from.list_objects(false).unwrap() {
        if name.kind == ObjectType::File {
            for receiver in [&transaction, &unpacking] {
                let (mut stored, size) = from.open_stored(&name).unwrap();
                sizes.insert(name, size);
                assert!(
                    receiver
                        .write_archived(&name.checksum, size, &mut stored)
                        .unwrap()
                        .new
                );
            }
        }
    }
    transaction.commit().unwrap();
    unpacking.commit().unwrap();
    for name in sizes.keys() {
        let bytes =
            |repo: &Repo| fs::read(repo.objects().path_of(name.loose_path(RepoMode::Archive))).unwrap();
        assert!(bytes(&from) == bytes(&to), "{name} was compressed again");
        bare.verify_object(name).unwrap();
    }
}

#[test]
fn reading_falls_back_to_the_parent_and_writing_does_not() {
    let scratch = scratch();
    let stock = stock_with_everything(scratch.path(), RepoMode::Archive);
    let child_path = scratch.path().join("child");
    let child = StockRepo::init(&child_path, "archive");
    child.run(&["config", "set", "core.parent", stock.path().to_str().unwrap()]);
    let repo = Repo::open(&child_path).unwrap();
    let parent = Repo::open(stock.path()).unwrap();

    let commit: Checksum = stock.rev_parse("main").parse().unwrap();
    let name = ObjectName::new(commit, ObjectType::Commit);
    let tree = repo.load_commit(&commit).unwrap().root_tree;
    assert!(!repo.load_dirtree(&tree).unwrap().dirs.is_empty());
    assert!(repo.has_object(&name).unwrap() && !repo.has_own_object(&name).unwrap());
    assert!(repo.list_objects(true).unwrap().is_empty());

    let transaction = begin(&repo);
    assert!(!transaction.has(&name).unwrap());
    assert!(transaction.import_object(&name, &parent, Trust::Verify).unwrap());
    transaction.commit().unwrap();
    assert!(repo.has_own_object(&name).unwrap());
}

#[test]
fn detached_metadata_is_replaced_and_empty_files_are_empty_dictionaries() {
    use ostler_format::gvariant::{Value, VarDict};
    let scratch = scratch();
    let repo = create(&scratch.path().join("repo"), RepoMode::Archive);
    let commit = Checksum::of(b"a commit");
    assert_eq!(repo.load_detached(&commit).unwrap(), None);
    for value in ["one", "two"] {
        let mut metadata = VarDict::new();
        metadata.insert("key", Value::Str(value.to_owned()));
        let transaction = begin(&repo);
        transaction.write_detached(&commit, &metadata).unwrap();
        transaction.commit().unwrap();
        assert_eq!(repo.load_detached(&commit).unwrap(), Some(metadata));
    }
    let name = ObjectName::new(commit, ObjectType::CommitMeta);
    fs::write(repo.objects().path_of(name.loose_path(repo.mode())), "").unwrap();
    assert_eq!(repo.load_detached(&commit).unwrap(), Some(VarDict::new()));
}
