//! Killed anywhere, `static-delta generate` leaves the delta that was there, or the new one; the next run does the rest.

use crate::programs::ostler;
use crate::publish_scene::copy_tree;
use ostler_testkit::command::run;
use ostler_testkit::oracle::strays;
use ostler_testkit::strace::{Kind, for_each_fault, run_with_fault};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const CALLS: &[&str] = &[
    "renameat",
    "renameat2",
    "linkat",
    "unlinkat",
    "mkdirat",
    "fdatasync",
    "fsync",
];

/// The files of the only delta; none where there is no superblock, since nobody finds it then.
fn delta(repo: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let Ok(prefixes) = fs::read_dir(repo.join("deltas")) else {
        return files;
    };
    for delta in prefixes.flat_map(|prefix| fs::read_dir(prefix.unwrap().path()).unwrap()) {
        for file in fs::read_dir(delta.unwrap().path()).unwrap() {
            let file = file.unwrap();
            files.insert(
                file.file_name().into_string().unwrap(),
                fs::read(file.path()).unwrap(),
            );
        }
    }
    if files.contains_key("superblock") {
        files
    } else {
        BTreeMap::new()
    }
}

#[test]
fn readers_find_the_old_delta_or_the_new_one_wherever_the_making_ends() {
    let root = TempDir::new().unwrap();
    super::two_versions(root.path());
    copy_tree(&root.path().join("repo"), &root.path().join("before"));
    let generate = |repo: &str, option: &str| {
        let mut command = ostler(root.path());
        command.env("SOURCE_DATE_EPOCH", "1700000000");
        command.args([
            &format!("--repo={repo}"),
            "static-delta",
            "generate",
            option,
            "main",
        ]);
        command
    };
    // With parts as files, to be replaced by one with parts inside, and the other way round.
    for (first, second) in [("--inline", "--if-not-exists"), ("--disable-bsdiff", "--inline")] {
        let repo = root.path().join("repo");
        let reset = |with_old: bool| {
            if repo.exists() {
                fs::remove_dir_all(&repo).unwrap();
            }
            copy_tree(&root.path().join("before"), &repo);
            if with_old {
                run(&mut generate("repo", first));
            }
        };
        // `--if-not-exists` is for a repository without a delta.
        let with_old = second != "--if-not-exists";
        reset(with_old);
        let old = delta(&repo);
        run(&mut generate("repo", second));
        let new = delta(&repo);
        assert_ne!(old, new);
        for syscall in CALLS {
            let hit = for_each_fault(syscall, Kind::Kill, 60, |fault| {
                reset(with_old);
                let killed = run_with_fault(&generate("repo", second), fault);
                let found = delta(&repo);
                assert!(found == old || found == new, "{fault:?}: {:?}", found.keys());
                run(&mut generate("repo", second));
                assert_eq!(delta(&repo), new, "{fault:?}");
                let left = strays(&repo);
                assert!(left.is_empty(), "{fault:?}: {left:?}");
                killed
            });
            println!("killed at {hit} calls of {syscall}");
        }
    }
}
