//! File trees to commit: built by hand, odd on purpose, or large and random but the same on every run.

use crate::random::Random;
use rustix::fs::XattrFlags;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
use std::path::{Path, PathBuf};

/// A tree being built. Parents are made with mode 0755; modes are set whatever the umask.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Starts (or goes on with) the tree at `root`.
    #[track_caller]
    pub fn at(root: &Path) -> Self {
        let tree = Self {
            root: root.to_owned(),
        };
        tree.ensure(root);
        tree
    }

    /// Returns where the tree lies.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Adds a directory, or sets the mode of one that is there.
    #[track_caller]
    pub fn dir(&self, path: &str, mode: u32) -> &Self {
        let path = self.root.join(path);
        self.ensure(&path);
        set_mode(&path, mode);
        self
    }

    /// Adds a regular file in place of what is there; other names of the old file keep the old content.
    #[track_caller]
    pub fn file(&self, path: &str, content: impl AsRef<[u8]>, mode: u32) -> &Self {
        let path = self.place(path);
        fs::write(&path, content).expect("a file in the tree");
        set_mode(&path, mode);
        self
    }

    /// Adds a symbolic link in place of what is there.
    #[track_caller]
    pub fn symlink(&self, path: &str, target: &str) -> &Self {
        symlink(target, self.place(path)).expect("a symbolic link in the tree");
        self
    }

    /// Adds another name for the file at `existing`.
    #[track_caller]
    pub fn hard_link(&self, path: &str, existing: &str) -> &Self {
        fs::hard_link(self.root.join(existing), self.place(path)).expect("a hard link in the tree");
        self
    }

    /// Sets an extended attribute, such as `user.note`.
    #[track_caller]
    pub fn xattr(&self, path: &str, name: &str, value: &[u8]) -> &Self {
        rustix::fs::lsetxattr(self.root.join(path), name, value, XattrFlags::empty())
            .expect("a file system that keeps extended attributes");
        self
    }

    /// Gives a file to somebody else, which only root may do; setuid and setgid bits are kept.
    #[track_caller]
    pub fn owner(&self, path: &str, uid: u32, gid: u32) -> &Self {
        let path = self.root.join(path);
        let metadata = fs::symlink_metadata(&path).expect("a file in the tree");
        lchown(&path, Some(uid), Some(gid)).expect("only root gives files away");
        if !metadata.is_symlink() {
            set_mode(&path, metadata.permissions().mode() & 0o7777);
        }
        self
    }

    /// Removes a file, or a directory with everything in it.
    #[track_caller]
    pub fn remove(&self, path: &str) -> &Self {
        remove(&self.root.join(path));
        self
    }

    /// Returns the path for a new file: its parents are there, and it is not.
    #[track_caller]
    fn place(&self, path: &str) -> PathBuf {
        let path = self.root.join(path);
        self.ensure(path.parent().expect("below the root"));
        remove(&path);
        path
    }

    /// Makes a directory and those above it as far as they are missing.
    #[track_caller]
    fn ensure(&self, path: &Path) {
        if path.is_dir() {
            return;
        }
        if let Some(parent) = path.parent().filter(|parent| parent.starts_with(&self.root)) {
            self.ensure(parent);
        } else if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).expect("a directory above the tree");
        }
        fs::create_dir(path).expect("a directory in the tree");
        set_mode(path, 0o755);
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own file");
}

fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).expect("our own directory"),
        Ok(_) => fs::remove_file(path).expect("our own file"),
        Err(_) => {}
    }
}

/// Builds a small plain tree: a dozen files, two directories deep. For tests about something else.
#[track_caller]
pub fn plain(root: &Path) -> Tree {
    let tree = Tree::at(root);
    tree.file("etc/hostname", "inn\n", 0o644)
        .file("etc/motd", "", 0o644)
        .symlink("etc/issue", "motd")
        .file("usr/bin/hello", "#!/bin/sh\necho hello\n", 0o755)
        .file("usr/share/doc/hello/copyright", Random::new(1).text(3000), 0o644)
        .file("usr/share/doc/hello/changelog", Random::new(2).text(9000), 0o644)
        .dir("var", 0o755);
    tree
}

/// Builds a tree of everything that a file system can hold and OSTree can commit: special modes, hard links,
/// empty and large files, links that lead nowhere, odd and long names, names whose order differs between
/// files and directories, extended attributes; as root also other owners and a file capability.
#[track_caller]
pub fn assorted(root: &Path) -> Tree {
    let tree = plain(root);
    special_modes(&tree);
    odd_names(&tree);
    tree.symlink("links/dangling", "nowhere/at/all")
        .symlink("links/absolute", "/usr/bin/hello")
        .symlink("links/long", &"up/".repeat(300))
        .symlink("links/space", "a target with spaces")
        .file("large/random", Random::new(3).bytes(3 << 20), 0o644)
        .file("large/zeros", vec![0; 2 << 20], 0o644)
        .file("large/text", Random::new(4).text(1 << 20), 0o600)
        .file("xattr/several", "attributes\n", 0o644)
        .xattr("xattr/several", "user.zebra", b"last")
        .xattr("xattr/several", "user.apple", b"first")
        .xattr("xattr/several", "user.binary", &[0, 255, 10, 0])
        .file("xattr/same-content", "attributes\n", 0o644)
        .xattr("xattr", "user.directory", b"has one too");
    if crate::disk::is_root() {
        const NET_BIND_SERVICE: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        // Only root reads it, and so commits it.
        tree.file("modes/nobody", "nobody reads\n", 0o000)
            .file("owned/file", "another's\n", 0o640)
            .owner("owned/file", 1000, 100)
            .owner("modes/setuid", 0, 42)
            .owner("owned", 33, 33)
            .symlink("owned/link", "file")
            .owner("owned/link", 7, 8)
            .file("xattr/capable", "capable\n", 0o755)
            .xattr("xattr/capable", "security.capability", &NET_BIND_SERVICE);
    }
    tree
}

fn special_modes(tree: &Tree) {
    tree.file("modes/setuid", "setuid\n", 0o4755)
        .file("modes/setgid", "setgid\n", 0o2755)
        .file("modes/read-only", "read only\n", 0o444)
        .file("modes/everybody", "everybody writes\n", 0o666)
        .file("modes/empty", "", 0o600)
        .hard_link("modes/second-name", "modes/read-only")
        .hard_link("usr/bin/greet", "usr/bin/hello")
        .dir("modes/sticky", 0o1777)
        .dir("modes/private", 0o700)
        .dir("modes/group", 0o2775);
}

fn odd_names(tree: &Tree) {
    let longest = "n".repeat(255);
    for name in [
        " ",
        "a",
        "a b",
        "a-b",
        "a0",
        "A",
        "..two-dots",
        "...",
        ".hidden",
        "-dash",
        "--option",
        "back\\slash",
        "line\nbreak",
        "tab\tstop",
        "\u{1b}[31mred",
        "'single'",
        "\"double\"",
        "$(command)",
        "*",
        "größe",
        "日本",
        "e\u{301}",
        "%2e",
        "#",
        "+",
        "~",
        &longest,
    ] {
        tree.file(&format!("names/{name}"), name, 0o644);
    }
    // As files these sort a, a.b, a/…; as names a, a.b, aa.
    tree.file("order/a/file", "1", 0o644)
        .file("order/a.b/file", "2", 0o644)
        .file("order/a.c", "3", 0o644)
        .file("order/aa", "4", 0o644);
}

/// Builds a tree of `files` files below up to a hundred directories; equal seeds give equal trees. A few files are
/// empty, some large (up to 256 KiB), some symbolic or hard links.
#[track_caller]
pub fn random(root: &Path, seed: u64, files: usize) -> Tree {
    let tree = Tree::at(root);
    let mut random = Random::new(seed);
    let mut directories = vec![String::new()];
    let mut made: Vec<String> = Vec::new();
    for number in 0..files {
        if directories.len() < 100 && random.chance(10) {
            let parent = random.pick(&directories).clone();
            let name = format!("{parent}dir{number}/");
            tree.dir(&name, 0o755);
            directories.push(name);
        }
        let directory = random.pick(&directories).clone();
        let path = format!("{directory}file{number}");
        random_entry(&tree, &mut random, &path, &made);
        made.push(path);
    }
    tree
}

/// Changes about `percent` in a hundred of the files of a tree: new content, another mode, another name,
/// removed, or a new file beside it.
#[track_caller]
pub fn mutate(root: &Path, seed: u64, percent: usize) {
    let tree = Tree::at(root);
    let mut random = Random::new(seed);
    for path in files_of(root) {
        if !random.chance(percent) {
            continue;
        }
        let beside = format!("{path}-{}", random.below(1000));
        match random.below(5) {
            0 => drop(tree.remove(&path)),
            1 => random_entry(&tree, &mut random, &beside, &[]),
            2 => {
                tree.hard_link(&beside, &path).remove(&path);
            }
            3 if !tree.path().join(&path).is_symlink() => set_mode(&tree.path().join(&path), 0o700),
            _ => drop(tree.file(&path, random.text(2000), 0o644)),
        }
    }
}

/// Puts a file of random kind and content at `path`; a hard link leads to one of `made`.
fn random_entry(tree: &Tree, random: &mut Random, path: &str, made: &[String]) {
    match random.below(100) {
        0..5 => tree.symlink(path, &format!("../target{}", random.below(50))),
        5..7 if !made.is_empty() => tree.hard_link(path, random.pick(made).as_str()),
        7..12 => tree.file(path, "", 0o644),
        12..15 => {
            let length = random.below(256 << 10);
            tree.file(path, random.bytes(length), 0o644)
        }
        15..25 => {
            let length = random.below(32 << 10);
            tree.file(path, random.text(length), 0o755)
        }
        _ => {
            let length = random.below(4 << 10);
            tree.file(path, random.text(length), 0o644)
        }
    };
}

/// Returns the paths below `root` of all that is not a directory, sorted.
fn files_of(root: &Path) -> Vec<String> {
    let listed = crate::listing::listing(root);
    listed
        .into_iter()
        .filter(|(_, entry)| !entry.is_directory())
        .filter_map(|(path, _)| path.into_os_string().into_string().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::{assert_same_files, listing};
    use tempfile::TempDir;

    #[test]
    fn equal_seeds_give_equal_trees_and_mutations() {
        let directory = TempDir::new().unwrap();
        let (left, right) = (directory.path().join("left"), directory.path().join("right"));
        for root in [&left, &right] {
            random(root, 7, 300);
        }
        assert_same_files(&left, &right);
        let before = listing(&left);
        mutate(&left, 8, 10);
        assert_ne!(before, listing(&left), "a mutation changes the tree");
        mutate(&right, 8, 10);
        assert_same_files(&left, &right);
    }

    #[test]
    fn assorted_tree_can_be_built_twice_over() {
        let directory = TempDir::new().unwrap();
        assorted(directory.path());
        let before = listing(directory.path());
        assorted(directory.path());
        assert_eq!(before, listing(directory.path()));
    }
}
