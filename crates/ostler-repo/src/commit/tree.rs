//! The tree of a commit while it is being put together from several sources.
//!
//! Directories that came from a commit stay as they are stored until something is laid over them, so that a commit
//! based on another reads and writes no more than what changes. A file is a slot, whose checksum is filled in when
//! a worker has computed it.
//!
//! A node is made after the one that holds it, so going through the nodes backwards meets children before parents.

use crate::error::{RepoError, Result};
use crate::repo::Repo;
use crate::transaction::Transaction;
use ostler_format::{Checksum, DirTree, ObjectType, TreeDir, TreeFile};
use std::collections::BTreeMap;

/// A directory of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeId(usize);

/// A file of the tree, whose checksum may not be known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(usize);

#[derive(Debug)]
pub(super) struct MutableTree<'r> {
    repo: &'r Repo,
    nodes: Vec<Node>,
    slots: Vec<Option<Checksum>>,
}

#[derive(Debug)]
struct Node {
    meta: Option<Checksum>,
    contents: Contents,
}

#[derive(Debug)]
enum Contents {
    /// As in this dirtree.
    Stored(Checksum),
    /// What was put here.
    Open {
        files: BTreeMap<Box<str>, Slot>,
        dirs: BTreeMap<Box<str>, NodeId>,
    },
}

impl Contents {
    const fn empty() -> Self {
        Self::Open {
            files: BTreeMap::new(),
            dirs: BTreeMap::new(),
        }
    }
}

impl<'r> MutableTree<'r> {
    /// The root.
    pub(super) const ROOT: NodeId = NodeId(0);

    /// Starts with an empty root.
    pub(super) fn new(repo: &'r Repo) -> Self {
        let root = Node {
            meta: None,
            contents: Contents::empty(),
        };
        Self {
            repo,
            nodes: vec![root],
            slots: Vec::new(),
        }
    }

    fn node(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(id.0).expect("nodes are never removed")
    }

    /// Sets the dirmeta of a directory; the last one counts.
    pub(super) fn set_meta(&mut self, id: NodeId, meta: Checksum) {
        self.node(id).meta = Some(meta);
    }

    /// Returns whether the root has a dirmeta: without one nothing was put into the tree.
    pub(super) fn has_root(&mut self) -> bool {
        self.node(Self::ROOT).meta.is_some()
    }

    /// Reads the dirtree of a directory that is as it is stored.
    fn open(&mut self, id: NodeId) -> Result<()> {
        let Contents::Stored(tree) = self.node(id).contents else {
            return Ok(());
        };
        let stored = self.repo.load_dirtree(&tree)?;
        let mut files = BTreeMap::new();
        for file in stored.files {
            let slot = self.new_slot(Some(file.checksum));
            files.insert(file.name, slot);
        }
        let mut dirs = BTreeMap::new();
        for dir in stored.dirs {
            let child = self.new_node(Some(dir.meta), Contents::Stored(dir.tree));
            dirs.insert(dir.name, child);
        }
        self.node(id).contents = Contents::Open { files, dirs };
        Ok(())
    }

    fn new_slot(&mut self, checksum: Option<Checksum>) -> Slot {
        self.slots.push(checksum);
        Slot(self.slots.len() - 1)
    }

    fn new_node(&mut self, meta: Option<Checksum>, contents: Contents) -> NodeId {
        self.nodes.push(Node { meta, contents });
        NodeId(self.nodes.len() - 1)
    }

    /// Puts a file into a directory, in place of one of the same name, and returns its slot.
    ///
    /// # Errors
    /// [`RepoError::Refused`] if there is a directory of that name.
    pub(super) fn put_file(&mut self, id: NodeId, name: &str) -> Result<Slot> {
        self.open(id)?;
        let slot = Slot(self.slots.len());
        match &mut self.node(id).contents {
            Contents::Open { dirs, .. } if dirs.contains_key(name) => {
                return Err(RepoError::Refused {
                    detail: format!("Can't replace directory with file: {}", name.escape_debug()),
                });
            }
            Contents::Open { files, .. } => {
                files.insert(name.into(), slot);
            }
            Contents::Stored(_) => {}
        }
        Ok(self.new_slot(None))
    }

    /// Puts another name of a file into a directory, in place of a file of that name.
    ///
    /// # Errors
    /// [`RepoError::Refused`] if there is a directory of that name.
    pub(super) fn link_file(&mut self, id: NodeId, name: &str, slot: Slot) -> Result<()> {
        self.put_file(id, name)?;
        if let Contents::Open { files, .. } = &mut self.node(id).contents {
            files.insert(name.into(), slot);
        }
        Ok(())
    }

    /// Returns the file of that name in a directory.
    ///
    /// # Errors
    /// What loading dirtrees returns.
    pub(super) fn find_file(&mut self, id: NodeId, name: &str) -> Result<Option<Slot>> {
        self.open(id)?;
        Ok(match &self.node(id).contents {
            Contents::Open { files, .. } => files.get(name).copied(),
            Contents::Stored(_) => None,
        })
    }

    /// Returns the directory of that name in a directory.
    ///
    /// # Errors
    /// What loading dirtrees returns.
    pub(super) fn find_dir(&mut self, id: NodeId, name: &str) -> Result<Option<NodeId>> {
        self.open(id)?;
        Ok(match &self.node(id).contents {
            Contents::Open { dirs, .. } => dirs.get(name).copied(),
            Contents::Stored(_) => None,
        })
    }

    /// Fills a slot in.
    pub(super) fn set_file(&mut self, slot: Slot, checksum: Checksum) {
        if let Some(entry) = self.slots.get_mut(slot.0) {
            *entry = Some(checksum);
        }
    }

    /// Returns the directory of that name in a directory, made if it is not there.
    ///
    /// # Errors
    /// [`RepoError::Refused`] if there is a file of that name.
    pub(super) fn ensure_dir(&mut self, id: NodeId, name: &str) -> Result<NodeId> {
        self.open(id)?;
        let next = NodeId(self.nodes.len());
        if let Contents::Open { files, dirs } = &mut self.node(id).contents {
            if files.contains_key(name) {
                return Err(RepoError::Refused {
                    detail: format!("Can't replace file with directory: {}", name.escape_debug()),
                });
            }
            if let Some(dir) = dirs.get(name) {
                return Ok(*dir);
            }
            dirs.insert(name.into(), next);
        }
        Ok(self.new_node(None, Contents::empty()))
    }

    /// Lays a stored directory over one of the tree.
    ///
    /// # Errors
    /// As for [`put_file`](Self::put_file) and [`ensure_dir`](Self::ensure_dir).
    pub(super) fn overlay(&mut self, id: NodeId, tree: Checksum, meta: Checksum) -> Result<()> {
        let mut pending = vec![(id, tree, meta)];
        while let Some((id, tree, meta)) = pending.pop() {
            let node = self.node(id);
            node.meta = Some(meta);
            match &node.contents {
                Contents::Stored(stored) if *stored == tree => continue,
                Contents::Open { files, dirs } if files.is_empty() && dirs.is_empty() => {
                    node.contents = Contents::Stored(tree);
                    continue;
                }
                _ => {}
            }
            let stored = self.repo.load_dirtree(&tree)?;
            for file in stored.files {
                let slot = self.put_file(id, &file.name)?;
                self.set_file(slot, file.checksum);
            }
            for dir in stored.dirs {
                pending.push((self.ensure_dir(id, &dir.name)?, dir.tree, dir.meta));
            }
        }
        Ok(())
    }

    /// Writes every dirtree that is not stored, and returns the root's with its dirmeta.
    ///
    /// # Errors
    /// What writing objects returns.
    pub(super) fn write(self, transaction: &Transaction<'_>) -> Result<WrittenTree> {
        let mut trees: Vec<Option<(Checksum, Checksum)>> = vec![None; self.nodes.len()];
        let mut written = 0;
        for (index, node) in self.nodes.into_iter().enumerate().rev() {
            let meta = node
                .meta
                .expect("every directory that was put into the tree has a dirmeta");
            let tree = match node.contents {
                Contents::Stored(tree) => tree,
                Contents::Open { files, dirs } => {
                    let bytes = dirtree(files, dirs, &self.slots, &trees)?.to_bytes();
                    written += 1;
                    transaction.write_metadata(ObjectType::DirTree, &bytes)?
                }
            };
            if let Some(entry) = trees.get_mut(index) {
                *entry = Some((tree, meta));
            }
        }
        let root = trees.first().copied().flatten().expect("there is a root");
        Ok(WrittenTree {
            tree: root.0,
            meta: root.1,
            dirtrees: written,
        })
    }
}

/// What [`MutableTree::write`] wrote.
#[derive(Debug, Clone, Copy)]
pub(super) struct WrittenTree {
    pub(super) tree: Checksum,
    pub(super) meta: Checksum,
    /// How many dirtrees were handed to the transaction.
    pub(super) dirtrees: u64,
}

fn dirtree(
    files: BTreeMap<Box<str>, Slot>,
    dirs: BTreeMap<Box<str>, NodeId>,
    slots: &[Option<Checksum>],
    trees: &[Option<(Checksum, Checksum)>],
) -> Result<DirTree> {
    let files = files.into_iter().map(|(name, slot)| TreeFile {
        name,
        checksum: slots
            .get(slot.0)
            .copied()
            .flatten()
            .expect("workers fill in every slot before the tree is written"),
    });
    let dirs = dirs.into_iter().map(|(name, id)| {
        let written = trees.get(id.0).copied().flatten();
        let (tree, meta) = written.expect("children are written before their parents");
        TreeDir { name, tree, meta }
    });
    DirTree::new(files.collect(), dirs.collect()).map_err(RepoError::format("tree to be committed"))
}
