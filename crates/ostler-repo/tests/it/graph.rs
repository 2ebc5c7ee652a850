//! Repositories with random graphs of commits, and what each commit consists of, noted while it was made: nothing that is
//! tested has a part in it.

use ostler_format::{
    Checksum, Commit, DirMeta, DirTree, FileHeader, ObjectName, ObjectType, RepoMode, TreeDir, TreeFile,
    Xattrs,
};
use ostler_repo::{OpenOptions, Repo, Transaction};
use ostler_testkit::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use tempfile::TempDir;

/// Objects of a repository.
pub(crate) type Objects = BTreeSet<ObjectName>;

/// A commit.
pub(crate) struct Made {
    pub(crate) checksum: Checksum,
    /// The position of its parent.
    pub(crate) parent: Option<usize>,
    pub(crate) time: u64,
    /// All that it consists of, with itself.
    pub(crate) objects: Objects,
    /// Whether its object was taken away.
    pub(crate) gone: bool,
}

/// A repository.
pub(crate) struct Graph {
    pub(crate) directory: TempDir,
    pub(crate) commits: Vec<Made>,
    /// Names as listed, and the positions of the commits.
    pub(crate) refs: BTreeMap<String, usize>,
    /// Objects that no commit needs.
    pub(crate) orphans: Objects,
}

const REFS: [&str; 6] = ["a", "b", "deep/c", "d", "origin:a", "origin:e"];

impl Graph {
    /// Makes a graph of `count` commits.
    pub(crate) fn new(random: &mut Random, count: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("repo");
        Repo::create(&path, RepoMode::Archive, None).unwrap();
        let mut graph = Self {
            directory,
            commits: Vec::new(),
            refs: BTreeMap::new(),
            orphans: Objects::new(),
        };
        let repo = graph.open();
        let transaction = repo.begin().unwrap();
        for number in 0..count {
            graph.commit(random, &transaction, number);
        }
        for _ in 0..random.below(3) {
            tree(random, &transaction, 2, &mut graph.orphans);
        }
        transaction.commit().unwrap();
        for made in &graph.commits {
            graph.orphans.retain(|name| !made.objects.contains(name));
        }
        // Few refs share less.
        let percent = *random.pick(&[20, 70]);
        for name in REFS {
            if random.chance(percent) {
                graph.refs.insert(name.to_owned(), random.below(count));
            }
        }
        graph.write_refs();
        graph
    }

    /// Opens the repository, which syncs nothing.
    pub(crate) fn open(&self) -> Repo {
        let options = OpenOptions {
            without_fsync: true,
            ..OpenOptions::default()
        };
        Repo::open_with(&self.directory.path().join("repo"), options).unwrap()
    }

    fn commit(&mut self, random: &mut Random, transaction: &Transaction<'_>, number: usize) {
        let parent = (number > 0 && random.chance(80)).then(|| {
            // Mostly the last one; otherwise histories part there.
            if random.chance(70) {
                number - 1
            } else {
                random.below(number)
            }
        });
        let mut objects = Objects::new();
        let (root_tree, root_meta) = tree(random, transaction, 3, &mut objects);
        let time = if random.chance(90) {
            number * 1000
        } else {
            random.below(count_of_times(number))
        };
        let commit = Commit {
            metadata: crate::commit::bound_to("any"),
            parent: parent.map(|parent| self.commits[parent].checksum),
            related: Vec::new(),
            subject: number.to_string(),
            body: String::new(),
            timestamp: time as u64,
            root_tree,
            root_meta,
        };
        let checksum = transaction
            .write_metadata(ObjectType::Commit, &commit.to_bytes())
            .unwrap();
        objects.insert(ObjectName::new(checksum, ObjectType::Commit));
        self.commits.push(Made {
            checksum,
            parent,
            time: time as u64,
            objects,
            gone: false,
        });
    }

    /// Takes the object of a commit away: histories end before it.
    pub(crate) fn lose(&mut self, commit: usize) {
        let made = &mut self.commits[commit];
        let name = ObjectName::new(made.checksum, ObjectType::Commit);
        let path = name.loose_path(RepoMode::Archive);
        fs::remove_file(self.directory.path().join("repo/objects").join(path)).unwrap();
        made.gone = true;
    }

    fn write_refs(&self) {
        for (name, commit) in &self.refs {
            let below = match name.split_once(':') {
                Some((remote, name)) => format!("remotes/{remote}/{name}"),
                None => format!("heads/{name}"),
            };
            let path = self.directory.path().join("repo/refs").join(below);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{}\n", self.commits[*commit].checksum)).unwrap();
        }
    }

    /// Returns a commit and its history as far as it is there, newest first.
    pub(crate) fn history(&self, tip: usize) -> Vec<usize> {
        let mut history = Vec::new();
        let mut next = Some(tip);
        while let Some(commit) = next.filter(|commit| !self.commits[*commit].gone) {
            history.push(commit);
            next = self.commits[commit].parent;
        }
        history
    }

    /// Returns all objects that there are, but for detached metadata.
    pub(crate) fn all(&self) -> Objects {
        let mut all = self.orphans.clone();
        for made in &self.commits {
            all.extend(&made.objects);
        }
        for made in self.commits.iter().filter(|made| made.gone) {
            all.remove(&ObjectName::new(made.checksum, ObjectType::Commit));
        }
        all
    }
}

fn count_of_times(number: usize) -> usize {
    (number + 1) * 1000
}

/// Returns about half of the names.
fn some(random: &mut Random, names: &[&'static str]) -> Vec<&'static str> {
    names.iter().copied().filter(|_| random.chance(50)).collect()
}

/// Writes a tree of few different files, so that trees share much; returns its dirtree and dirmeta.
fn tree(
    random: &mut Random,
    transaction: &Transaction<'_>,
    depth: usize,
    objects: &mut Objects,
) -> (Checksum, Checksum) {
    let mut dirs = Vec::new();
    if depth > 0 {
        for name in some(random, &["x", "y"]) {
            let (tree, meta) = tree(random, transaction, depth - 1, objects);
            dirs.push(TreeDir {
                name: name.into(),
                tree,
                meta,
            });
        }
    }
    let mut files = Vec::new();
    for name in some(random, &["f", "g", "h"]) {
        let content = format!("{}", random.below(12));
        let header = FileHeader {
            uid: 0,
            gid: 0,
            mode: 0o100_644,
            symlink_target: String::new(),
            xattrs: Xattrs::default(),
        };
        let size = content.len() as u64;
        let written = transaction
            .write_content(&header, size, &mut content.as_bytes(), None)
            .unwrap();
        objects.insert(ObjectName::new(written.checksum, ObjectType::File));
        files.push(TreeFile {
            name: name.into(),
            checksum: written.checksum,
        });
    }
    let mut write = |kind, bytes: &[u8]| {
        let checksum = transaction.write_metadata(kind, bytes).unwrap();
        objects.insert(ObjectName::new(checksum, kind));
        checksum
    };
    let meta = DirMeta {
        uid: 0,
        gid: 0,
        mode: *random.pick(&[0o040_755, 0o040_700]),
        xattrs: Xattrs::default(),
    };
    let meta = write(ObjectType::DirMeta, &meta.to_bytes());
    let tree = DirTree::new(files, dirs).unwrap();
    (write(ObjectType::DirTree, &tree.to_bytes()), meta)
}
