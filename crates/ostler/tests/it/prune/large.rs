//! The memory of a prune: 33 bytes for each object, and little more.
//!
//! The objects are links to a few files; all trees and commits are real. Five million take some minutes and a file system with
//! room for as many names (`mount -t tmpfs -o nr_inodes=0 tmpfs DIR`, then
//! `TMPDIR=DIR cargo test -p ostler -- --ignored five_million`); a smaller repository with a smaller limit is pruned always.

use crate::programs::OSTLER;
use ostler_format::{Checksum, Commit, DirMeta, DirTree, TreeDir, TreeFile, Xattrs};
use ostler_testkit::command::{command, run};
use ostler_testkit::random::Random;
use std::fs;
use std::path::{Path, PathBuf};

/// The files of a directory.
const FILES: usize = 500;

/// How many links a file gets: some file systems take no more than 65,000.
const LINKS: usize = 60_000;

/// A repository of objects that are names and nothing else.
struct Planted {
    objects: PathBuf,
    random: Random,
    links: usize,
}

impl Planted {
    /// Returns where the file of an object lies.
    fn place(&self, checksum: &Checksum, suffix: &str) -> PathBuf {
        let hex = checksum.to_string();
        let (first, rest) = hex.split_at(2);
        self.objects.join(first).join(format!("{rest}.{suffix}"))
    }

    fn content(&mut self) -> Checksum {
        let bytes = self.random.bytes(32);
        let checksum = Checksum::from_bytes(bytes.try_into().expect("32 bytes"));
        let base = self.objects.join(format!("../base-{}", self.links / LINKS));
        if self.links.is_multiple_of(LINKS) {
            fs::write(&base, "content").expect("our own file");
        }
        self.links += 1;
        fs::hard_link(base, self.place(&checksum, "filez")).expect("room for a name");
        checksum
    }

    fn metadata(&self, bytes: &[u8], suffix: &str) -> Checksum {
        let checksum = Checksum::of(bytes);
        fs::write(self.place(&checksum, suffix), bytes).expect("our own file");
        checksum
    }

    /// Makes a commit of so many files.
    fn commit(&mut self, files: usize, time: u64, parent: Option<Checksum>) -> Checksum {
        let meta = DirMeta {
            uid: 0,
            gid: 0,
            mode: 0o040_755,
            xattrs: Xattrs::default(),
        };
        let meta = self.metadata(&meta.to_bytes(), "dirmeta");
        let mut dirs = Vec::new();
        for number in 0..files / FILES {
            let entry = |file| TreeFile {
                name: format!("file-{file:04}").into(),
                checksum: self.content(),
            };
            let tree = DirTree::new((0..FILES).map(entry).collect(), Vec::new()).expect("sorted names");
            dirs.push(TreeDir {
                name: format!("directory-{number:06}").into(),
                tree: self.metadata(&tree.to_bytes(), "dirtree"),
                meta,
            });
        }
        let root = DirTree::new(Vec::new(), dirs).expect("sorted names");
        let commit = Commit {
            metadata: ostler_format::gvariant::VarDict::default(),
            parent,
            related: Vec::new(),
            subject: String::new(),
            body: String::new(),
            timestamp: time,
            root_tree: self.metadata(&root.to_bytes(), "dirtree"),
            root_meta: meta,
        };
        self.metadata(&commit.to_bytes(), "commit")
    }
}

/// Prunes a repository of `objects` files, a tenth of which go, with so many kilobytes to allocate.
#[track_caller]
fn pruned_within(objects: usize, kilobytes: usize) {
    let directory = tempfile::tempdir().expect("a directory");
    let repo = directory.path().join("repo");
    let _made = run(command(OSTLER)
        .arg("--repo")
        .arg(&repo)
        .args(["init", "--mode=archive"]));
    for prefix in 0..=u8::MAX {
        fs::create_dir_all(repo.join(format!("objects/{prefix:02x}"))).expect("our own directory");
    }
    let mut planted = Planted {
        objects: repo.join("objects"),
        random: Random::new(5),
        links: 0,
    };
    let old = planted.commit(objects / 10, 1, None);
    let new = planted.commit(objects - objects / 10, 2, Some(old));
    fs::write(repo.join("refs/heads/main"), format!("{new}\n")).expect("our own file");
    let before = prune(&repo, kilobytes, "--no-prune");
    let trees = objects / FILES + 2;
    let total = objects + trees + 2 + 1;
    assert!(before.contains(&format!("Total objects: {total}\n")), "{before}");
    let gone = objects / 10 + objects / 10 / FILES + 2;
    let after = prune(&repo, kilobytes, "--json");
    println!("{objects} files: {after}");
    assert!(after.contains(&format!("\"removed\":{gone},")), "{gone}: {after}");
    let idle = prune(&repo, kilobytes, "");
    assert!(idle.contains("No unreachable objects"), "{idle}");
}

fn prune(repo: &Path, kilobytes: usize, options: &str) -> String {
    let script = format!(
        "ulimit -d {kilobytes} && exec {OSTLER} --repo='{}' prune --refs-only --depth=0 {options}",
        repo.display()
    );
    run(command("sh").args(["-ec", &script]))
}

#[test]
fn a_large_repository_is_pruned_with_little_memory() {
    pruned_within(50_000, 8 << 10);
}

#[test]
#[ignore = "takes some minutes and five million names: run by .ci/large"]
fn five_million_objects_are_pruned_within_a_quarter_of_a_gibibyte() {
    pruned_within(5_000_000, 256 << 10);
}
