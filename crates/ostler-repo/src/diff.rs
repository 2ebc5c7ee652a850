//! What differs between two trees, each that of a commit or a directory on disk.
//!
//! Entries are compared as a commit would hold them: files by checksum, directories by owner, mode and extended
//! attributes. Equal subtrees of two commits are not read, and a file on disk is read only if the other tree has
//! a file at its place.

use crate::commit::{not_committable, open_child, usable_xattrs, utf8_name};
use crate::error::{RepoError, Result};
use crate::fs::{Dir, FileKind, FileStat};
use crate::repo::Repo;
use crate::transaction::hash_content;
use crate::walk::{MAX_DEPTH, load_tree, push_name, too_deep};
use crate::xattrs;
use ostler_format::{Checksum, DirMeta, FileHeader, TreeDir, Xattrs};
use std::collections::BTreeMap;
use std::path::Path;

/// One of the two trees.
#[derive(Debug, Clone, Copy)]
pub enum DiffSide<'a> {
    /// The tree of a commit.
    Commit(Checksum),
    /// A directory on disk.
    Directory(&'a Path),
}

/// What counts as a difference.
#[derive(Debug, Clone, Default)]
pub struct DiffOptions {
    /// Extended attributes of what is on disk do not; those in commits do, as for libostree.
    pub no_xattrs: bool,
    /// What is on disk is taken to belong to this user.
    pub owner_uid: Option<u32>,
    /// What is on disk is taken to belong to this group.
    pub owner_gid: Option<u32>,
}

/// The differences, as paths that begin with `/`, in the order of a walk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeDiff {
    /// What is in both and differs. Of a directory that took the place of a file, or a file that of a directory,
    /// nothing more is said.
    pub modified: Vec<String>,
    /// What only the first has; of directories the topmost.
    pub removed: Vec<String>,
    /// What only the second has, with all below.
    pub added: Vec<String>,
}

/// What two commits share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiffStats {
    /// The objects of the first.
    pub first_objects: u64,
    /// The objects of the second.
    pub second_objects: u64,
    /// The objects of both.
    pub common_objects: u64,
    /// The size of the objects of both, as they are stored.
    pub common_bytes: u64,
}

impl Repo {
    /// Compares two trees.
    ///
    /// # Errors
    /// What loading objects and reading the directories returns.
    pub fn diff(
        &self,
        first: &DiffSide<'_>,
        second: &DiffSide<'_>,
        options: &DiffOptions,
    ) -> Result<TreeDiff> {
        let mut differ = Differ {
            repo: self,
            options,
            found: TreeDiff::default(),
        };
        differ.compare(&differ.root(first)?, &differ.root(second)?)?;
        Ok(differ.found)
    }

    /// Counts the objects that two commits have in common.
    ///
    /// # Errors
    /// As for [`closure`](Self::closure).
    pub fn diff_stats(&self, first: &Checksum, second: &Checksum) -> Result<DiffStats> {
        let first = self.closure(std::slice::from_ref(first))?;
        let second = self.closure(std::slice::from_ref(second))?;
        let mut stats = DiffStats {
            first_objects: first.len() as u64,
            second_objects: second.len() as u64,
            common_objects: 0,
            common_bytes: 0,
        };
        for name in first.iter().filter(|name| second.binary_search(name).is_ok()) {
            stats.common_objects += 1;
            stats.common_bytes += self.object_size(name)?;
        }
        Ok(stats)
    }
}

/// A directory of one of the trees.
#[derive(Debug)]
enum Node {
    Stored { tree: Checksum, meta: Checksum },
    OnDisk(DiskDir),
}

/// A directory on disk.
#[derive(Debug)]
enum DiskDir {
    /// Opened only when its turn comes: a directory may hold more of them than a process may open.
    Below(Dir, Box<str>),
    /// The directory that the caller named.
    Top(Dir),
}

impl DiskDir {
    fn open(&self) -> Result<Dir> {
        match self {
            Self::Below(parent, name) => open_child(parent, name),
            Self::Top(dir) => Ok(dir.clone()),
        }
    }
}

/// A file of one of the trees.
#[derive(Debug)]
enum Leaf {
    Stored(Checksum),
    OnDisk(Dir, FileKind),
}

/// What a directory holds, by name.
#[derive(Debug, Default)]
struct Listing {
    files: BTreeMap<Box<str>, Leaf>,
    dirs: BTreeMap<Box<str>, Node>,
}

/// What the second tree has where the first has a directory.
#[derive(Debug)]
enum Counterpart {
    Directory(Node),
    File,
    Nothing,
}

/// Two directories at the same place.
struct Frame {
    /// Directories of the first with what the second has at their places, still to be compared.
    dirs: std::vec::IntoIter<(Box<str>, Node, Counterpart)>,
    /// What only the second has: reported when the common ones are done.
    added: Listing,
    /// The length of the path of the directory above.
    above: usize,
}

struct Differ<'a> {
    repo: &'a Repo,
    options: &'a DiffOptions,
    found: TreeDiff,
}

impl Differ<'_> {
    fn root(&self, side: &DiffSide<'_>) -> Result<Node> {
        Ok(match side {
            DiffSide::Commit(checksum) => {
                let commit = self.repo.load_commit(checksum)?;
                Node::Stored {
                    tree: commit.root_tree,
                    meta: commit.root_meta,
                }
            }
            DiffSide::Directory(path) => {
                let dir = Dir::open(path).map_err(RepoError::io("open directory", path))?;
                Node::OnDisk(DiskDir::Top(dir))
            }
        })
    }

    /// Compares two directories and what is in them, but not the two themselves.
    fn compare(&mut self, first: &Node, second: &Node) -> Result<()> {
        let mut path = String::from("/");
        let mut stack: Vec<Frame> = Vec::new();
        stack.extend(self.enter(first, second, &path, 0)?);
        while let Some(frame) = stack.last_mut() {
            let Some((name, first, counterpart)) = frame.dirs.next() else {
                let added = std::mem::take(&mut frame.added);
                self.add(&mut path, added)?;
                path.truncate(frame.above);
                stack.pop();
                continue;
            };
            let above = path.len();
            push_name(&mut path, &name);
            let second = match counterpart {
                Counterpart::Directory(second) => second,
                Counterpart::File => {
                    self.found.modified.push(path.clone());
                    path.truncate(above);
                    continue;
                }
                Counterpart::Nothing => {
                    self.found.removed.push(path.clone());
                    path.truncate(above);
                    continue;
                }
            };
            if self.differing_dirs(&first, &second)? {
                self.found.modified.push(path.clone());
            }
            match self.enter(&first, &second, &path, above)? {
                Some(_) if stack.len() >= MAX_DEPTH => return Err(too_deep()),
                Some(frame) => stack.push(frame),
                None => path.truncate(above),
            }
        }
        Ok(())
    }

    /// Compares the files of two directories; `None` if nothing below can differ.
    fn enter(&mut self, first: &Node, second: &Node, path: &str, above: usize) -> Result<Option<Frame>> {
        if let (Node::Stored { tree: a, .. }, Node::Stored { tree: b, .. }) = (first, second)
            && a == b
        {
            return Ok(None);
        }
        let first = self.list(first, path)?;
        let mut added = self.list(second, path)?;
        let place = |name: &str| {
            let mut place = String::from(path);
            push_name(&mut place, name);
            place
        };
        for (name, leaf) in first.files {
            match (added.files.remove(&name), added.dirs.remove(&name)) {
                (Some(other), _) => {
                    if self.differing_files(&name, &leaf, &other)? {
                        self.found.modified.push(place(&name));
                    }
                }
                (None, Some(_)) => self.found.modified.push(place(&name)),
                (None, None) => self.found.removed.push(place(&name)),
            }
        }
        let mut dirs = Vec::new();
        for (name, dir) in first.dirs {
            let counterpart = match (added.dirs.remove(&name), added.files.remove(&name)) {
                (Some(other), _) => Counterpart::Directory(other),
                (None, Some(_)) => Counterpart::File,
                (None, None) => Counterpart::Nothing,
            };
            dirs.push((name, dir, counterpart));
        }
        Ok(Some(Frame {
            dirs: dirs.into_iter(),
            added,
            above,
        }))
    }

    /// Reports everything in a listing, and below, as added.
    fn add(&mut self, path: &mut String, listing: Listing) -> Result<()> {
        let base = path.len();
        let mut stack = vec![(self.add_files(path, listing), base)];
        while let Some((dirs, above)) = stack.last_mut() {
            let Some((name, dir)) = dirs.next() else {
                path.truncate(*above);
                stack.pop();
                continue;
            };
            if stack.len() >= MAX_DEPTH {
                return Err(too_deep());
            }
            let above = path.len();
            push_name(path, &name);
            self.found.added.push(path.clone());
            let listing = self.list(&dir, path)?;
            stack.push((self.add_files(path, listing), above));
        }
        Ok(())
    }

    fn add_files(
        &mut self,
        path: &str,
        listing: Listing,
    ) -> std::collections::btree_map::IntoIter<Box<str>, Node> {
        for name in listing.files.keys() {
            let mut place = String::from(path);
            push_name(&mut place, name);
            self.found.added.push(place);
        }
        listing.dirs.into_iter()
    }

    fn list(&self, node: &Node, path: &str) -> Result<Listing> {
        let mut listing = Listing::default();
        match node {
            Node::Stored { tree, .. } => {
                let contents = load_tree(self.repo, tree, path)?;
                let files = contents.files.into_iter();
                listing.files = files
                    .map(|file| (file.name, Leaf::Stored(file.checksum)))
                    .collect();
                let dirs = contents.dirs.into_iter();
                listing.dirs = dirs
                    .map(|TreeDir { name, tree, meta }| (name, Node::Stored { tree, meta }))
                    .collect();
            }
            Node::OnDisk(dir) => {
                let dir = dir.open()?;
                for entry in dir.entries().map_err(RepoError::io("list", dir.path()))? {
                    let name = utf8_name(entry.name, &dir)?.into_boxed_str();
                    if entry.kind == FileKind::Directory {
                        let below = DiskDir::Below(dir.clone(), name.clone());
                        listing.dirs.insert(name, Node::OnDisk(below));
                    } else {
                        listing.files.insert(name, Leaf::OnDisk(dir.clone(), entry.kind));
                    }
                }
            }
        }
        Ok(listing)
    }

    fn differing_dirs(&self, first: &Node, second: &Node) -> Result<bool> {
        if let (Node::Stored { meta: a, .. }, Node::Stored { meta: b, .. }) = (first, second) {
            return Ok(a != b);
        }
        Ok(self.meta(first)? != self.meta(second)?)
    }

    fn meta(&self, node: &Node) -> Result<DirMeta> {
        let dir = match node {
            Node::Stored { meta, .. } => return self.repo.load_dirmeta(meta),
            Node::OnDisk(dir) => dir.open()?,
        };
        let failed = |doing: &'static str| RepoError::io(doing, dir.path());
        let stat = dir.stat_self().map_err(failed("look at"))?;
        let found = || xattrs::read_file(&dir).map_err(failed("read the extended attributes of"));
        Ok(DirMeta {
            uid: self.options.owner_uid.unwrap_or(stat.uid),
            gid: self.options.owner_gid.unwrap_or(stat.gid),
            mode: stat.mode,
            xattrs: self.xattrs(found)?,
        })
    }

    fn xattrs(&self, found: impl FnOnce() -> Result<Vec<(Vec<u8>, Vec<u8>)>>) -> Result<Xattrs> {
        if self.options.no_xattrs || self.repo.config().disable_xattrs() {
            return Ok(Xattrs::default());
        }
        usable_xattrs(found()?)
    }

    fn differing_files(&self, name: &str, first: &Leaf, second: &Leaf) -> Result<bool> {
        Ok(self.checksum(name, first)? != self.checksum(name, second)?)
    }

    fn checksum(&self, name: &str, leaf: &Leaf) -> Result<Checksum> {
        match leaf {
            Leaf::Stored(checksum) => Ok(*checksum),
            Leaf::OnDisk(dir, kind) => self.checksum_on_disk(dir, name, *kind),
        }
    }

    fn checksum_on_disk(&self, dir: &Dir, name: &str, kind: FileKind) -> Result<Checksum> {
        let failed = |doing: &'static str| RepoError::io(doing, dir.path_of(name));
        let header = |stat: FileStat, symlink_target, xattrs| FileHeader {
            uid: self.options.owner_uid.unwrap_or(stat.uid),
            gid: self.options.owner_gid.unwrap_or(stat.gid),
            mode: stat.mode,
            symlink_target,
            xattrs,
        };
        match kind {
            FileKind::Regular => {
                let mut file = dir.open_file(name).map_err(failed("open"))?;
                let stat = FileStat::of(&file).map_err(failed("look at"))?;
                let found = || xattrs::read_file(&file).map_err(failed("read the extended attributes of"));
                let header = header(stat, String::new(), self.xattrs(found)?);
                hash_content(&header, stat.size, &mut file)
            }
            FileKind::Symlink => {
                let gone = || RepoError::not_found(dir.path_of(name).display().to_string());
                let stat = dir.stat(name).map_err(failed("look at"))?.ok_or_else(gone)?;
                let target = dir.read_link(name).map_err(failed("read the symbolic link"))?;
                let target = target.to_string_lossy().into_owned();
                let found =
                    || xattrs::read_link(dir, name).map_err(failed("read the extended attributes of"));
                Ok(header(stat, target, self.xattrs(found)?).checksum_of(&[]))
            }
            FileKind::Directory | FileKind::Special => Err(not_committable(name)),
        }
    }
}
