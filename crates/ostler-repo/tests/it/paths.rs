//! Files below a directory: nothing leaves it, nothing is half there.

use crate::fixture::Fixture;
use ostler_format::{Checksum, Refspec};
use ostler_repo::fs::{Dir, FileKind, Linked};
use ostler_repo::{Expected, LockKind, RefEdit, Repo};
use rustix::fs::RenameFlags;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

fn scratch() -> (tempfile::TempDir, Dir) {
    let directory = tempfile::tempdir().unwrap();
    let dir = Dir::open(directory.path()).unwrap();
    (directory, dir)
}

#[test]
fn a_name_is_given_once_and_replaced_whole() {
    let (root, dir) = scratch();
    dir.ensure_dir("a/b", 0o755).unwrap();
    let temp = |bytes: &[u8]| {
        let mut temp = dir.temp_file(0o600).unwrap();
        temp.write_all(bytes).unwrap();
        temp
    };
    assert_eq!(dir.link_temp(temp(b"1"), "a/b/f").unwrap(), Linked::New);
    assert_eq!(dir.link_temp(temp(b"2"), "a/b/f").unwrap(), Linked::Exists);
    assert_eq!(dir.read("a/b/f", 10).unwrap(), b"1");
    dir.replace_with_temp(temp(b"3"), "a/b/f").unwrap();
    assert_eq!(dir.read("a/b/f", 10).unwrap(), b"3");
    dir.replace("a/b/f", b"4", 0o640, true).unwrap();
    assert_eq!(dir.read("a/b/f", 10).unwrap(), b"4");
    assert_eq!(dir.stat("a/b/f").unwrap().unwrap().mode & 0o7777, 0o640);
    assert_eq!(dir.open_dir("a/b").unwrap().entries().unwrap().len(), 1);
    drop(temp(b"5"));
    assert_eq!(
        fs::read_dir(root.path()).unwrap().count(),
        1,
        "nothing is left over"
    );
}

#[test]
fn moving_without_replacing_leaves_both_where_a_name_is_taken() {
    let (_root, dir) = scratch();
    for (name, bytes) in [("a", b"1"), ("b", b"2")] {
        dir.replace(name, bytes, 0o644, false).unwrap();
    }
    assert_eq!(Dir::rename_new(&dir, "a", &dir, "b").unwrap(), Linked::Exists);
    assert_eq!(Dir::rename_new(&dir, "a", &dir, "c").unwrap(), Linked::New);
    assert_eq!(dir.link_from("b", &dir, "c").unwrap(), Linked::Exists);
    assert_eq!(dir.link_from("d", &dir, "c").unwrap(), Linked::New);
    assert_eq!(dir.stat("d").unwrap().unwrap().nlink, 2);
    Dir::rename_over(&dir, "c", &dir, "b").unwrap();
    assert_eq!(dir.read("b", 10).unwrap(), b"1");
    assert!(dir.unlink("d").unwrap());
    assert!(!dir.unlink("d").unwrap());
}

#[test]
fn reading_is_bounded_and_takes_regular_files_only() {
    let (root, dir) = scratch();
    dir.replace("f", b"12345", 0o644, false).unwrap();
    assert_eq!(dir.read("f", 5).unwrap(), b"12345");
    assert_eq!(dir.read("f", 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(dir.read_if_exists("g", 4).unwrap(), None);
    assert_eq!(dir.read_if_exists("f/g", 4).unwrap(), None);
    dir.ensure_dir("d", 0o755).unwrap();
    assert_eq!(dir.read("d", 4).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    let pipe = root.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    assert_eq!(
        dir.read("pipe", 4).unwrap_err().kind(),
        io::ErrorKind::InvalidInput
    );
}

#[test]
fn trees_are_removed_without_following_links() {
    let (root, dir) = scratch();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("kept"), "x").unwrap();
    let deep = "d/".repeat(200) + "e";
    dir.ensure_dir(&deep, 0o755).unwrap();
    dir.replace("d/d/f", b"x", 0o644, false).unwrap();
    symlink(outside.path(), root.path().join("d/link")).unwrap();
    dir.remove_tree("d").unwrap();
    dir.remove_tree("d").unwrap();
    assert!(dir.entries().unwrap().is_empty());
    assert!(outside.path().join("kept").exists());
}

#[test]
fn nothing_is_written_through_links_that_lead_out() {
    let (root, dir) = scratch();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("f"), "x").unwrap();
    symlink(outside.path(), root.path().join("out")).unwrap();
    symlink(outside.path().join("f"), root.path().join("file")).unwrap();
    dir.replace("mine", b"y", 0o644, false).unwrap();

    assert!(dir.replace("out/g", b"y", 0o644, false).is_err());
    assert!(dir.ensure_dir("out/d", 0o755).is_err());
    assert!(dir.ensure_dir("out", 0o755).is_err());
    assert!(dir.link_from("out/g", &dir, "mine").is_err());
    assert!(Dir::rename_over(&dir, "mine", &dir, "out/g").is_err());
    assert!(dir.unlink("out/f").is_err());
    assert!(dir.open_or_create("file", 0o644).is_err());
    assert!(dir.open_or_create("out/g", 0o644).is_err());
    assert!(dir.replace("../g", b"y", 0o644, false).is_err());
    assert!(dir.replace("..", b"y", 0o644, false).is_err());
    assert!(dir.read("file", 9).is_err());
    dir.replace("file", b"z", 0o644, false).unwrap();

    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    assert_eq!(
        fs::read(outside.path().join("f")).unwrap(),
        b"x",
        "the link was replaced, not its target"
    );
    assert_eq!(dir.stat("file").unwrap().unwrap().kind, FileKind::Regular);
}

/// Puts a link that leads out in place of something in a repository.
fn plant(repo: &Path, name: &str, target: &Path) {
    let path = repo.join(name);
    if path.is_dir() {
        fs::remove_dir_all(&path).unwrap();
    }
    symlink(target, path).unwrap();
}

#[test]
fn links_planted_in_a_repository_lead_nowhere() {
    let outside = tempfile::tempdir().unwrap();
    let checksum = Checksum::of(b"x");
    for planted in ["tmp", "objects", "refs", "refs/heads", "refs/heads/os", ".lock"] {
        let fixture = Fixture::new();
        let target = match planted {
            ".lock" => outside.path().join("lock"),
            _ => outside.path().to_path_buf(),
        };
        plant(fixture.path(), planted, &target);
        let edit = RefEdit::set("os/x".parse::<Refspec>().unwrap(), Expected::Any, checksum);
        let result = Repo::open(fixture.path()).and_then(|repo| {
            repo.lock(LockKind::Shared)?.release()?;
            repo.edit_refs(&[edit])
        });
        assert!(result.is_err(), "{planted}");
        let found: Vec<_> = fs::read_dir(outside.path()).unwrap().collect();
        assert!(found.is_empty(), "{planted}: {found:?}");
    }
}

#[test]
fn a_link_that_is_swapped_in_at_any_moment_leads_nowhere() {
    // Enough of each outcome, however the threads are scheduled.
    const OF_EACH: u32 = 100;
    const AT_MOST: u32 = 200_000;
    let fixture = Fixture::new();
    fixture.configure("fsync=false");
    let outside = tempfile::tempdir().unwrap();
    let heads = fs::File::open(fixture.path().join("refs/heads")).unwrap();
    fs::create_dir(fixture.path().join("refs/heads/os")).unwrap();
    symlink(outside.path(), fixture.path().join("refs/heads/.link")).unwrap();
    let repo = fixture.open();
    let done = AtomicBool::new(false);
    let (mut written, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(&heads, "os", &heads, ".link", RenameFlags::EXCHANGE).unwrap();
            }
        });
        while (written < OF_EACH || refused < OF_EACH) && written + refused < AT_MOST {
            let reference = format!("os/r{written}").parse::<Refspec>().unwrap();
            match repo.edit_refs(&[RefEdit::set(reference, Expected::Any, Checksum::of(b"x"))]) {
                Ok(()) => written += 1,
                Err(_) => refused += 1,
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(
        written >= OF_EACH && refused >= OF_EACH,
        "{written} written, {refused} refused"
    );
    let found: Vec<_> = fs::read_dir(outside.path()).unwrap().collect();
    assert!(found.is_empty(), "{found:?}");
}
