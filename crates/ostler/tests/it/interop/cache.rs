//! The uncompressed copies that checkouts from an archive repository keep: either program uses those of the other.

use super::{BOTH, Who};
use crate::programs::OSTLER;
use ostler_testkit::command::{attempt, command, run};
use ostler_testkit::tree::Tree;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Makes an archive repository with a commit of a few files.
fn archive(directory: &Path) -> PathBuf {
    let tree = Tree::at(&directory.join("tree"));
    tree.file("sub/file", "hello\n", 0o644)
        .file("sub/program", "#!/bin/sh\n", 0o4755)
        .file("empty", "", 0o644)
        .symlink("link", "sub/file");
    let repo = directory.join("repo");
    Who::Stock.init(&repo, "archive");
    Who::Stock.commit(&repo, tree.path(), &[]);
    repo
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).expect("checked out").ino()
}

/// Returns the copies that a repository keeps.
fn copies(repo: &Path) -> Vec<PathBuf> {
    let Ok(directories) = fs::read_dir(repo.join("uncompressed-objects-cache")) else {
        return Vec::new();
    };
    directories
        .flat_map(|directory| fs::read_dir(directory.expect("listed").path()).expect("a directory"))
        .map(|file| file.expect("listed").path())
        .collect()
}

#[test]
fn copies_of_one_program_are_linked_by_the_other() {
    for writer in BOTH {
        let directory = TempDir::new().unwrap();
        let repo = archive(directory.path());
        let out = |who: Who| directory.path().join(who.name());
        writer.checkout(&repo, "main", &["-U"], &out(writer));
        assert_eq!(copies(&repo).len(), 2, "{writer:?}: not of empty files and links");
        writer
            .other()
            .checkout(&repo, "main", &["-U"], &out(writer.other()));
        assert_eq!(copies(&repo).len(), 2);
        for file in ["sub/file", "sub/program"] {
            assert_eq!(
                inode(&out(Who::Stock).join(file)),
                inode(&out(Who::Ours).join(file)),
                "{writer:?}: {file}"
            );
        }
        let program = fs::metadata(out(Who::Ours).join("sub/program")).unwrap();
        assert_eq!(program.mode() & 0o7777, 0o755);
        writer.fsck(&repo);
    }
}

#[test]
fn copies_are_kept_where_stock_keeps_them() {
    for who in BOTH {
        let directory = TempDir::new().unwrap();
        let repo = archive(directory.path());
        let out = directory.path().join("out");
        let mut kept = Vec::new();
        for options in [
            &["-U", "--disable-cache"][..],
            &[],
            &["-U", "-C"],
            &["-U", "-M"],
            &["-U", "--whiteouts"],
            &["-U", "--union-add"],
            &["-U", "--subpath=/sub", "--union", "--allow-noent", "--fsync=true"],
        ] {
            who.checkout(&repo, "main", options, &out);
            kept.push(copies(&repo).len());
            fs::remove_dir_all(&out).unwrap();
        }
        assert_eq!(kept, [0, 0, 0, 0, 0, 0, 2], "{who:?}");
        fs::remove_dir_all(repo.join("uncompressed-objects-cache")).unwrap();
        who.run(
            &repo,
            &["config", "set", "core.enable-uncompressed-cache", "false"],
        );
        who.checkout(&repo, "main", &["-U"], &out);
        assert_eq!(copies(&repo).len(), 0, "{who:?}");
    }
}

#[test]
fn copies_that_somebody_wrote_to_are_not_used() {
    let directory = TempDir::new().unwrap();
    let repo = archive(directory.path());
    let out = |name: &str| directory.path().join(name);
    Who::Ours.checkout(&repo, "main", &["-U"], &out("first"));
    fs::write(out("first/sub/file"), "longer than before\n").unwrap();
    Who::Ours.checkout(&repo, "main", &["-U"], &out("second"));
    assert_eq!(fs::read_to_string(out("second/sub/file")).unwrap(), "hello\n");
    assert_eq!(
        inode(&out("first/sub/program")),
        inode(&out("second/sub/program"))
    );
}

#[test]
fn copies_of_stored_files_share_their_blocks_where_the_file_system_can() {
    let directory = TempDir::new().unwrap();
    let tree = Tree::at(&directory.path().join("tree"));
    let content = vec![b'x'; 200_000];
    tree.file("large", &content, 0o644);
    let repo = directory.path().join("repo");
    Who::Ours.init(&repo, "bare");
    Who::Ours.commit(&repo, tree.path(), &[]);
    let log = directory.path().join("log");
    let mut traced = command("strace");
    traced
        .args(["--follow-forks", "--trace=ioctl", "-o"])
        .arg(&log)
        .arg(OSTLER)
        .args(["--repo", "repo", "checkout", "-C", "main", "out"])
        .current_dir(directory.path());
    let output = attempt(&mut traced);
    assert!(output.status.success(), "{output:?}");
    let calls = fs::read_to_string(&log).unwrap();
    assert_eq!(calls.matches("FICLONE,").count(), 1, "{calls}");
    assert_eq!(fs::read(directory.path().join("out/large")).unwrap(), content);
}

#[test]
fn links_to_directories_are_followed_inside_the_destination_only() {
    let directory = TempDir::new().unwrap();
    Tree::at(&directory.path().join("tree")).file("lib/deep/file", "new\n", 0o644);
    let repo = directory.path().join("repo");
    Who::Ours.init(&repo, "bare-user");
    Who::Ours.commit(&repo, &directory.path().join("tree"), &[]);
    for (number, (target, succeeds)) in [("usr/lib", true), ("../outside", false), ("/usr", false)]
        .into_iter()
        .enumerate()
    {
        let outside = directory.path().join("outside");
        fs::create_dir_all(&outside).unwrap();
        let out = directory.path().join(number.to_string());
        Tree::at(&out).dir("usr/lib/other", 0o755).symlink("lib", target);
        let mut checkout = Who::Ours.on(&repo);
        checkout.args(["checkout", "-U", "--union", "main"]).arg(&out);
        if succeeds {
            let _printed = run(&mut checkout);
            assert!(out.join("usr/lib/deep/file").exists());
            assert!(out.join("lib").is_symlink());
        } else {
            assert_eq!(attempt(&mut checkout).status.code(), Some(1), "{target}");
            assert!(fs::read_dir(outside).unwrap().next().is_none());
        }
    }
}
