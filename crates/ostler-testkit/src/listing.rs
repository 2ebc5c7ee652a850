//! What a tree of files holds, as a value that can be compared: what a checkout must bring back.

use ostler_format::{Checksum, Hasher};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// One file, link or directory: all of it that OSTree keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Type and permissions, as `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Extended attributes by name; those with an empty value are left out, as OSTree leaves them out.
    pub xattrs: BTreeMap<OsString, Vec<u8>>,
    /// What it holds.
    pub content: Content,
}

/// What an entry holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Other entries.
    Directory,
    /// The bytes of a regular file, by length and checksum.
    File(u64, Checksum),
    /// The target of a symbolic link.
    Symlink(PathBuf),
    /// A device, pipe or socket, which OSTree does not keep.
    Other,
}

impl Entry {
    /// Returns whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.content == Content::Directory
    }

    /// Reads one entry, not following a link.
    #[track_caller]
    pub fn read(path: &Path) -> Self {
        let metadata =
            fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let content = if metadata.is_dir() {
            Content::Directory
        } else if metadata.is_symlink() {
            Content::Symlink(fs::read_link(path).expect("a link just seen"))
        } else if metadata.is_file() {
            Content::File(metadata.len(), checksum_of(path))
        } else {
            Content::Other
        };
        Self {
            mode: metadata.mode(),
            uid: metadata.uid(),
            gid: metadata.gid(),
            xattrs: xattrs_of(path),
            content,
        }
    }
}

/// Returns everything below `root` (and `root` itself, under the empty path) by relative path.
#[track_caller]
pub fn listing(root: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut found = BTreeMap::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(relative) = pending.pop() {
        let path = root.join(&relative);
        let entry = Entry::read(&path);
        if entry.is_directory() {
            let children = fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            pending.extend(
                children.map(|child| relative.join(child.expect("a directory just seen").file_name())),
            );
        }
        found.insert(relative, entry);
    }
    found
}

/// Asserts that two trees hold the same files with the same bytes, owners, modes and attributes.
#[track_caller]
pub fn assert_same_files(left: &Path, right: &Path) {
    let (left_files, right_files) = (listing(left), listing(right));
    for path in left_files.keys().chain(right_files.keys()) {
        let (ours, theirs) = (left_files.get(path), right_files.get(path));
        assert!(
            ours == theirs,
            "{} differs:\n{}: {ours:?}\n{}: {theirs:?}",
            path.display(),
            left.display(),
            right.display()
        );
    }
}

fn checksum_of(path: &Path) -> Checksum {
    let mut file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = file.read(&mut buffer).expect("a file just opened");
        if length == 0 {
            return hasher.finish();
        }
        hasher.update(&buffer[..length]);
    }
}

fn xattrs_of(path: &Path) -> BTreeMap<OsString, Vec<u8>> {
    // The kernel's own limits: 64 KiB of names, 64 KiB for a value.
    let mut names = vec![0; 64 << 10];
    let length = match rustix::fs::llistxattr(path, names.as_mut_slice()) {
        Ok(length) => length,
        Err(rustix::io::Errno::NOTSUP) => 0,
        Err(error) => panic!("{}: {error}", path.display()),
    };
    let mut found = BTreeMap::new();
    for name in names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let mut value = vec![0; 64 << 10];
        let length =
            rustix::fs::lgetxattr(path, name, value.as_mut_slice()).expect("an attribute just listed");
        value.truncate(length);
        if !value.is_empty() {
            found.insert(OsString::from_vec(name.to_vec()), value);
        }
    }
    found
}
