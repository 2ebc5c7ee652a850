//! Whether a repository is whole and clean, judged by stock ostree and by the names of its files.

use crate::listing::assert_same_files;
use crate::stock::StockRepo;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// What a repository holds at its top, beside keyrings of remotes.
const TOP: &[&str] = &[
    ".lock",
    "config",
    "delta-indexes",
    "deltas",
    "extensions",
    "objects",
    "refs",
    "state",
    "summaries",
    "summary",
    "summary.idx",
    "summary.idx.sig",
    "summary.sig",
    "tmp",
    "uncompressed-objects-cache",
];

/// The suffixes of loose objects.
const OBJECTS: &[&str] = &[
    "commit",
    "commitmeta",
    "dirmeta",
    "dirtree",
    "file",
    "file-xattrs",
    "file-xattrs-link",
    "filez",
    "payload-link",
    "tombstone-commit",
];

/// Asserts that every ref leads to a complete commit, that no commit is partial, and that no file lies about
/// that does not belong there.
#[track_caller]
pub fn assert_sound(repo: &Path) {
    assert_refs_complete(repo);
    let strays = strays(repo);
    assert!(strays.is_empty(), "stray files in {}: {strays:?}", repo.display());
}

/// Asserts that every ref leads to a commit whose trees and files are all there and not damaged.
#[track_caller]
pub fn assert_refs_complete(repo: &Path) {
    let stock = StockRepo::open(repo);
    stock.fsck();
    for reference in stock.refs() {
        stock.run(&["ls", "-R", "-C", &reference]);
    }
}

/// Returns every object that a commit of an archive repository consists of, by stock's word: paths below `objects/`.
#[track_caller]
pub fn objects_of(repo: &Path, commit: &str) -> BTreeSet<String> {
    let path = |checksum: &str, suffix: &str| {
        let (first, rest) = checksum.split_at(2);
        format!("{first}/{rest}.{suffix}")
    };
    let mut objects = BTreeSet::from([path(commit, "commit")]);
    for line in StockRepo::open(repo).run(&["ls", "-R", "-C", commit]).lines() {
        let suffixes: &[&str] = if line.starts_with('d') {
            &["dirtree", "dirmeta"]
        } else {
            &["filez"]
        };
        let checksums = line.split_whitespace().filter(|word| is_hex(word, 64));
        objects.extend(
            checksums
                .zip(suffixes)
                .map(|(checksum, suffix)| path(checksum, suffix)),
        );
    }
    objects
}

/// Asserts that `revision` is the same commit in both repositories and that both check it out to the same files.
#[track_caller]
pub fn assert_same_commit(left: &Path, right: &Path, revision: &str) {
    let (left, right) = (StockRepo::open(left), StockRepo::open(right));
    assert_eq!(left.rev_parse(revision), right.rev_parse(revision), "{revision}");
    let directory = TempDir::new().expect("a directory for temporary files");
    let (ours, theirs) = (directory.path().join("left"), directory.path().join("right"));
    left.checkout(revision, &ours);
    right.checkout(revision, &theirs);
    assert_same_files(&ours, &theirs);
}

/// Returns the files of a repository that no finished work leaves there, as paths within it: temporary files,
/// staging directories, unknown names, objects without bytes, refs that are not refs.
#[track_caller]
pub fn strays(repo: &Path) -> Vec<String> {
    let mut found: Vec<String> = names(repo)
        .into_iter()
        .filter(|name| !TOP.contains(&name.as_str()) && !name.ends_with(".trustedkeys.gpg"))
        .collect();
    found.extend(within(repo, "tmp", |name, _| name == "cache"));
    found.extend(within(repo, "extensions/ostler/flip", |_, _| false));
    found.extend(within(repo, "state", |name, _| name.ends_with(".commitpartial")));
    for directory in names(&repo.join("objects")) {
        let below = format!("objects/{directory}");
        if is_hex(&directory, 2) {
            found.extend(within(repo, &below, is_object));
        } else {
            found.push(below);
        }
    }
    stray_refs(repo, "refs", &mut found);
    found.sort();
    found
}

/// Returns the names in a directory of the repository that `belongs` refuses.
fn within(repo: &Path, directory: &str, belongs: impl Fn(&str, &Path) -> bool) -> Vec<String> {
    let path = repo.join(directory);
    names(&path)
        .into_iter()
        .filter(|name| !belongs(name, &path.join(name)))
        .map(|name| format!("{directory}/{name}"))
        .collect()
}

/// Returns whether a file has the name of an object and, where every object has bytes, bytes.
fn is_object(name: &str, path: &Path) -> bool {
    let Some((checksum, suffix)) = name.split_once('.') else {
        return false;
    };
    let may_be_empty = matches!(suffix, "file" | "commitmeta" | "file-xattrs" | "file-xattrs-link");
    let empty = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.len() == 0);
    is_hex(checksum, 62) && OBJECTS.contains(&suffix) && (may_be_empty || !empty)
}

/// Collects the files below `refs` whose content is not a checksum and a line break.
fn stray_refs(repo: &Path, directory: &str, found: &mut Vec<String>) {
    for name in names(&repo.join(directory)) {
        let relative = format!("{directory}/{name}");
        let path = repo.join(&relative);
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            stray_refs(repo, &relative, found);
        } else if !fs::read_to_string(&path).is_ok_and(|text| is_hex(text.trim_end_matches('\n'), 64)) {
            found.push(relative);
        }
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns the names in a directory, sorted; none when it is not there.
fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("a directory just opened").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
