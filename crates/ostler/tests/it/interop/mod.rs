//! Stock ostree and our binary on the same trees and the same repositories: what one writes the other reads, checks,
//! lists, checks out and goes on with; and both write the same.
//!
//! Everything is done by both programs, and what they leave is compared with a listing of the testkit: names, bytes,
//! owners, modes, extended attributes and times of every object and of every file checked out.

mod beside;
mod cache;
mod checkouts;
mod damage;
mod letters;
mod modes;
mod options;
mod pulls;
mod split_xattrs;

use crate::programs::OSTLER;
use ostler_testkit::command::{attempt, command, describe, run};
use ostler_testkit::listing::{Content, Entry, assert_same_files, listing};
use ostler_testkit::tree::{self, Tree};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One of the two programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Stock,
    Ours,
}

/// Both programs, to loop over.
pub(crate) const BOTH: [Who; 2] = [Who::Stock, Who::Ours];

impl Who {
    /// Returns the other one.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Stock => Self::Ours,
            Self::Ours => Self::Stock,
        }
    }

    /// Returns a name for directories.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stock => "stock",
            Self::Ours => "ours",
        }
    }

    /// Returns the program with `--repo`, to which arguments can be added.
    pub(crate) fn on(self, repo: &Path) -> Command {
        let mut command = match self {
            Self::Stock => command("ostree"),
            Self::Ours => command(OSTLER),
        };
        let mut option = OsStr::new("--repo=").to_owned();
        option.push(repo);
        command.arg(option);
        command
    }

    /// Runs a command on a repository, which must succeed, and returns what it prints.
    #[track_caller]
    pub(crate) fn run(self, repo: &Path, arguments: &[&str]) -> String {
        run(self.on(repo).args(arguments))
    }

    /// Makes an empty repository.
    #[track_caller]
    pub(crate) fn init(self, repo: &Path, mode: &str) {
        self.run(repo, &["init", &format!("--mode={mode}")]);
    }

    /// Commits `tree` to `main` at a fixed time with some options, and returns the commit's checksum.
    #[track_caller]
    pub(crate) fn commit(self, repo: &Path, tree: &Path, options: &[&str]) -> String {
        let mut command = self.on(repo);
        command.args([
            "commit",
            "--fsync=false",
            "--timestamp=@1700000000",
            "--branch=main",
        ]);
        run(command.args(options).arg(tree)).trim().to_owned()
    }

    /// Checks every object; nothing may be wrong.
    #[track_caller]
    pub(crate) fn fsck(self, repo: &Path) {
        let printed = self.run(repo, &["fsck", "-q"]);
        assert!(!printed.contains("partial"), "{self:?}: {printed}");
    }

    /// Lists a commit with everything that can be listed. Stock prints names as they are, we make them safe for
    /// terminals: so what is not is brought into our form.
    #[track_caller]
    pub(crate) fn list(self, repo: &Path, commit: &str) -> String {
        let listed = self.run(repo, &["ls", "-R", "-C", "-X", commit]);
        match self {
            Self::Stock => listed
                .replace("line\nbreak", "line\\nbreak")
                .replace('\u{1b}', "\\x1b"),
            Self::Ours => listed,
        }
    }

    /// Checks a commit out with some options to a new directory.
    #[track_caller]
    pub(crate) fn checkout(self, repo: &Path, commit: &str, options: &[&str], destination: &Path) {
        let mut command = self.on(repo);
        run(command.arg("checkout").args(options).arg(commit).arg(destination));
    }
}

/// Builds two versions of a tree of everything that can be committed.
#[track_caller]
pub(crate) fn versions(directory: &Path) -> (PathBuf, PathBuf) {
    let (first, second) = (directory.join("first"), directory.join("second"));
    for root in [&first, &second] {
        more(&tree::assorted(root));
    }
    Tree::at(&second)
        .remove("large/random")
        .remove("empty")
        .remove("order/a")
        .file("order/a", "a directory before", 0o644)
        .remove("usr/bin/hello")
        .dir("usr/bin/hello", 0o711)
        .symlink("etc/motd", "../run/motd")
        .file("etc/hostname", "another inn\n", 0o600)
        .file("added/below/deeper/file", "new\n", 0o644)
        .xattr("xattr/several", "user.apple", b"other")
        .dir("modes/private", 0o750)
        .hard_link("modes/third-name", "modes/read-only");
    (first, second)
}

/// Adds to the assorted tree: deep and empty directories, links to directories, a file that is mostly a hole.
fn more(tree: &Tree) {
    let deep = "d/".repeat(60);
    tree.dir("empty", 0o755)
        .dir("empty-too/inner", 0o500)
        .file(&format!("deep/{deep}bottom"), "far down\n", 0o644)
        .symlink("links/directory", "../usr/share")
        .symlink("links/self", "self")
        .symlink("links/up", "..")
        .symlink("links/größe", "日本")
        .file("large/one-more-than-a-mebibyte", vec![b'm'; (1 << 20) + 1], 0o644)
        .file("large/a-mebibyte", vec![b'm'; 1 << 20], 0o644)
        .file("xattr/empty-value", "", 0o644)
        .xattr("xattr/empty-value", "user.nothing", b"")
        .file("xattr/long", "", 0o644)
        .xattr("xattr/long", "user.long", &[b'v'; 3000]);
    let sparse = fs::File::create(tree.path().join("large/sparse")).expect("a file in the tree");
    sparse.set_len(5 << 20).expect("our own file");
}

/// Returns everything below a directory, each with its time where it is one that is kept: of all but links.
#[track_caller]
fn with_times(root: &Path) -> BTreeMap<PathBuf, (Entry, Option<i64>)> {
    let timed = |(path, entry): (PathBuf, Entry)| {
        let time = match entry.content {
            Content::Symlink(_) => None,
            _ => Some(
                fs::symlink_metadata(root.join(&path))
                    .expect("just listed")
                    .mtime(),
            ),
        };
        (path, (entry, time))
    };
    listing(root).into_iter().map(timed).collect()
}

/// Asserts that a checkout of ours is the same as one of stock, and that both have the epoch for their time in the same
/// places: the others keep the time at which they were made.
#[track_caller]
pub(crate) fn assert_same_checkout(stock: &Path, ours: &Path) {
    assert_same_files(stock, ours);
    let theirs = with_times(stock);
    let fixed = |time: Option<i64>| time.map(|time| time == 0);
    for (path, (_, time)) in with_times(ours) {
        let (_, expected) = theirs[&path];
        assert_eq!(fixed(time), fixed(expected), "{}", path.display());
    }
}

/// Returns all objects of a repository: of archived content only that it is there with the right mode, since
/// compressors differ; of all else everything, and of bare files their time.
#[track_caller]
pub(crate) fn objects(repo: &Path) -> BTreeMap<PathBuf, (Entry, Option<i64>)> {
    let mut found = with_times(&repo.join("objects"));
    for (path, (entry, time)) in &mut found {
        if path.extension() != Some(OsStr::new("file")) {
            *time = None;
        }
        if path.extension() == Some(OsStr::new("filez")) {
            entry.content = Content::Other;
        }
    }
    found
}

/// Asserts that two repositories hold the same objects, stored in the same way.
#[track_caller]
pub(crate) fn assert_same_objects(left: &Path, right: &Path) {
    let (left, right) = (objects(left), objects(right));
    let (names, others): (BTreeSet<_>, BTreeSet<_>) = (left.keys().collect(), right.keys().collect());
    let different: Vec<_> = names.symmetric_difference(&others).collect();
    assert!(different.is_empty(), "only in one of them: {different:?}");
    for (path, object) in &left {
        assert_eq!(object, &right[path], "{}", path.display());
    }
}

/// Runs the same arguments with both programs in a directory of their own below `directory`, and asserts that they
/// print the same and end with the same status. Returns what they print, and whether they succeeded.
#[track_caller]
pub(crate) fn both_alike(directory: &Path, arguments: &[&str]) -> (String, bool) {
    let [stock, ours] = BOTH.map(|who| {
        let mut command = command(match who {
            Who::Stock => "ostree",
            Who::Ours => OSTLER,
        });
        command.current_dir(directory.join(who.name())).args(arguments);
        let output = attempt(&mut command);
        assert!(output.status.code().is_some(), "{}", describe(&command, &output));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        (printed, output.status.success(), stderr)
    });
    assert_eq!(
        (&ours.0, ours.1),
        (&stock.0, stock.1),
        "{arguments:?}\nstock: {}\nours: {}",
        stock.2,
        ours.2
    );
    (ours.0, ours.1)
}
