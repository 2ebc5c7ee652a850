//! Objects that lie: about their size, their content, their end.

use crate::store_fixture::{begin, create, file, regular, scratch, write};
use ostler_format::{Checksum, FileHeader, ObjectName, ObjectType, RepoMode};
use ostler_repo::{Repo, RepoError};
use std::fs;
use std::io::Read as _;
use tempfile::TempDir;

/// An archive with one content object, and the bytes of its file.
fn archive(content: &[u8]) -> (TempDir, Repo, ObjectName, Vec<u8>) {
    let scratch = scratch();
    let repo = create(&scratch.path().join("repo"), RepoMode::Archive);
    let transaction = begin(&repo);
    let name = write(&transaction, &regular(0o644), content);
    transaction.commit().unwrap();
    let stored = fs::read(repo.objects().path_of(name.loose_path(repo.mode()))).unwrap();
    (scratch, repo, name, stored)
}

/// Offers stored bytes under a name to fresh repositories of two modes; both must refuse them and stay empty.
fn assert_refused(name: &ObjectName, stored: &[u8], what: &str) {
    let scratch = scratch();
    for mode in [RepoMode::Archive, RepoMode::BareUser] {
        let repo = create(&scratch.path().join(mode.as_str()), mode);
        let transaction = begin(&repo);
        let result = transaction.write_archived(&name.checksum, stored.len() as u64, &mut &stored[..]);
        assert!(
            matches!(
                result,
                Err(RepoError::Corrupt { .. } | RepoError::Format { .. } | RepoError::NoSpace { .. })
            ),
            "{what}: {result:?}"
        );
        transaction.commit().unwrap();
        assert!(repo.list_objects(true).unwrap().is_empty(), "{what}");
    }
}

/// Returns a `.filez` that declares `size` and holds `payload`, deflated.
fn filez(header: &FileHeader, size: u64, payload: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder =
        flate2::write::DeflateEncoder::new(header.to_archive(size), flate2::Compression::best());
    encoder.write_all(payload).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn an_object_cut_short_anywhere_is_refused_and_reported() {
    let (_scratch, repo, name, stored) = archive(b"hello world, hello world\n");
    let path = repo.objects().path_of(name.loose_path(repo.mode()));
    for length in 0..stored.len() {
        assert_refused(&name, &stored[..length], &format!("cut to {length}"));
        fs::write(&path, &stored[..length]).unwrap();
        assert!(repo.verify_object(&name).is_err(), "cut to {length}");
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let (_scratch, repo, name, stored) = archive(&b"hello world, ".repeat(9));
    let path = repo.objects().path_of(name.loose_path(repo.mode()));
    for bit in 0..stored.len() * 8 {
        let mut damaged = stored.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &damaged).unwrap();
        let noticed = repo.verify_object(&name);
        // Bits that pad the last byte of the deflate stream carry nothing.
        if noticed.is_ok() {
            assert_eq!(bit / 8, stored.len() - 1, "bit {bit} changed nothing");
        }
    }
}

#[test]
fn bytes_after_the_end_are_refused() {
    for content in [&b"small"[..], &vec![7; 3 << 20]] {
        let (_scratch, repo, name, mut stored) = archive(content);
        stored.push(0);
        assert_refused(&name, &stored, "one byte more");
        fs::write(repo.objects().path_of(name.loose_path(repo.mode())), &stored).unwrap();
        assert!(matches!(
            repo.verify_object(&name),
            Err(RepoError::Corrupt { .. })
        ));
    }
}

#[test]
fn a_deflate_bomb_stops_at_the_declared_size() {
    let header = regular(0o644);
    let bomb = vec![0; 64 << 20];
    for declared in [0, 1, 1000, 2 << 20, (2 << 20) + 1, (64 << 20) - 1] {
        let stored = filez(&header, declared, &bomb);
        let name = file(header.checksum_of(&bomb));
        assert_refused(&name, &stored, &format!("{declared} declared"));
    }
}

#[test]
fn a_size_beyond_the_content_is_refused_before_anything_is_allocated_for_it() {
    let header = regular(0o644);
    let name = file(header.checksum_of(b"content"));
    for declared in [8, 1 << 20, 1 << 40, i64::MAX as u64, u64::MAX] {
        assert_refused(
            &name,
            &filez(&header, declared, b"content"),
            &format!("{declared} declared"),
        );
    }
}

#[test]
fn content_under_the_name_of_other_content_is_refused() {
    let header = regular(0o644);
    let name = file(header.checksum_of(b"expected"));
    assert_refused(&name, &filez(&header, 8, b"surprise"), "other content");
    assert_refused(&name, &filez(&regular(0o755), 8, b"expected"), "other header");

    let scratch = scratch();
    let repo = create(&scratch.path().join("repo"), RepoMode::Archive);
    let transaction = begin(&repo);
    let result = transaction.write_content(&header, 8, &mut &b"surprise"[..], Some(name.checksum));
    assert!(matches!(result, Err(RepoError::Corrupt { .. })));
    let large = vec![1; 3 << 20];
    let result = transaction.write_content(&header, 3 << 20, &mut &large[..], Some(name.checksum));
    assert!(matches!(result, Err(RepoError::Corrupt { .. })));
    assert!(!transaction.has(&name).unwrap());
}

#[test]
fn metadata_under_a_wrong_name_or_without_structure_is_refused() {
    let scratch = scratch();
    let repo = create(&scratch.path().join("repo"), RepoMode::Archive);
    let transaction = begin(&repo);
    let wrong = ObjectName::new(Checksum::of(b"other"), ObjectType::DirMeta);
    let meta = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x41, 0xed];
    assert!(transaction.write_named_metadata(&wrong, &meta).is_err());
    for kind in [ObjectType::DirMeta, ObjectType::DirTree, ObjectType::Commit] {
        assert!(
            transaction.write_metadata(kind, b"no structure at all").is_err(),
            "{kind}"
        );
    }
    for kind in [
        ObjectType::CommitMeta,
        ObjectType::TombstoneCommit,
        ObjectType::File,
    ] {
        assert!(transaction.write_metadata(kind, &meta).is_err(), "{kind}");
    }
    transaction.commit().unwrap();
    assert!(repo.list_objects(true).unwrap().is_empty());
}

#[test]
fn what_is_no_regular_file_is_not_read_as_an_object() {
    let (_scratch, repo, name, stored) = archive(b"content");
    let path = repo.objects().path_of(name.loose_path(repo.mode()));
    let elsewhere = repo.root().path_of("elsewhere");
    fs::write(&elsewhere, &stored).unwrap();
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    assert!(repo.open_content(&name.checksum).is_err());
    assert!(repo.open_stored(&name).is_err());
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(repo.open_content(&name.checksum).is_err());
}

#[test]
fn quick_reading_never_yields_more_than_declared() {
    let header = regular(0o644);
    let (_scratch, repo, name, _) = archive(b"content");
    let path = repo.objects().path_of(name.loose_path(repo.mode()));
    for declared in [0, 6, 8, 1 << 21] {
        fs::write(&path, filez(&header, declared, b"content")).unwrap();
        let mut reader = repo.open_content(&name.checksum).unwrap();
        let mut found = Vec::new();
        assert!(reader.read_to_end(&mut found).is_err(), "{declared}");
        assert!(found.len() as u64 <= declared);
    }
}
