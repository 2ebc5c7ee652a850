//! The commits that plays are about: a few lines of history that share trees and content, made by stock ostree.

use ostler_format::signatures::{Engine, encode_base64};
use ostler_format::{Checksum, Commit, DeltaName, DirTree, ObjectName, ObjectType, RepoMode};
use ostler_repo::Repo;
use ostler_repo::sign::{PublicKeys, Signer, Trust};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use ostler_transfer::Signing;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// The time of the first commit; those behind it follow at intervals of a second.
pub(crate) const BIRTH: u64 = 1_700_000_000;

/// Names of the commits in traces.
const NAMES: [&str; 7] = ["x0", "x1", "x2", "y0", "y1", "z0", "z1"];
/// Commits: parent (by index), content of `top`, content of `d/s` if there is that directory.
const COMMITS: [(Option<usize>, &str, Option<&str>); 7] = [
    (None, "x0", Some("s0")),
    (Some(0), "x1", Some("s0")),
    (Some(1), "x2", Some("s1")),
    (None, "y0", Some("s0")),
    // The same tree as that of another line.
    (Some(3), "x2", Some("s1")),
    (None, "z0", None),
    (Some(5), "z0", Some("s1")),
];

/// An object, as an archive stores it.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) bytes: Vec<u8>,
    /// Paths of the objects that it names, without a commit's parent.
    pub(crate) children: Vec<String>,
}

/// Static deltas of the worlds that have some: from and to, by index.
const DELTAS: [(Option<usize>, usize); 5] = [(Some(0), 1), (None, 1), (Some(1), 2), (None, 4), (Some(5), 6)];

/// The key that signs, and its public part.
const SEED: [u8; 32] = [1; 32];
const PUBLIC_KEY: &str = "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=";

/// All commits, and what they consist of.
#[derive(Debug)]
pub(crate) struct World {
    directory: TempDir,
    /// In the order of their making; parents come first.
    pub(crate) commits: Vec<String>,
    parents: BTreeMap<String, String>,
    objects: BTreeMap<String, Object>,
    closures: BTreeMap<String, BTreeSet<String>>,
    named_by: BTreeMap<String, Vec<String>>,
    /// Files of static deltas by their paths.
    deltas: BTreeMap<String, Vec<u8>>,
    /// What clients trust, where summaries are signed.
    trust: Option<Trust>,
}

/// A source: a repository with all commits of the world, and refs that are its own.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
}

impl World {
    /// Makes the commits; in a `rich` world there are static deltas between some of them, and summaries are signed.
    pub(crate) fn new(rich: bool) -> Self {
        let directory = TempDir::new().unwrap();
        let stock = StockRepo::init(&directory.path().join("repo"), "archive");
        // What a power cut would do is not played.
        stock.run(&["config", "set", "core.fsync", "false"]);
        let mut commits: Vec<String> = Vec::new();
        for (index, (parent, top, below)) in COMMITS.into_iter().enumerate() {
            let path = directory.path().join(format!("tree{index}"));
            let tree = Tree::at(&path);
            tree.file("top", top, 0o644);
            if let Some(content) = below {
                tree.file("d/s", content, 0o644);
            }
            let parent = parent.map_or_else(|| "none".to_owned(), |parent| commits[parent].clone());
            let options = [
                format!("--parent={parent}"),
                format!("--timestamp=@{}", BIRTH + index as u64),
                "--canonical-permissions".to_owned(),
            ];
            let options: Vec<_> = options.iter().map(String::as_str).collect();
            commits.push(stock.commit_with(&format!("c{index}"), &path, &options));
        }
        for (from, to) in DELTAS.into_iter().filter(|_| rich) {
            let from = from.map_or_else(
                || "--empty".to_owned(),
                |from| format!("--from={}", commits[from]),
            );
            let to = format!("--to={}", commits[to]);
            stock.run(&["static-delta", "generate", &from, &to]);
        }
        let mut world = Self {
            deltas: read_deltas(stock.path()),
            trust: rich.then(|| {
                let mut keys = PublicKeys::new(Engine::Ed25519);
                keys.add(PUBLIC_KEY).unwrap();
                Trust::of_keys(vec![keys])
            }),
            objects: read_objects(&stock.path().join("objects")),
            directory,
            parents: BTreeMap::new(),
            closures: BTreeMap::new(),
            named_by: BTreeMap::new(),
            commits,
        };
        for (index, (parent, ..)) in COMMITS.into_iter().enumerate() {
            if let Some(parent) = parent {
                let parent = world.commits[parent].clone();
                world.parents.insert(world.commits[index].clone(), parent);
            }
        }
        for commit in &world.commits {
            let mut closure = BTreeSet::new();
            let mut open = vec![commit_path(commit)];
            while let Some(path) = open.pop() {
                open.extend(world.objects[&path].children.iter().cloned());
                closure.insert(path);
            }
            world.closures.insert(commit.clone(), closure);
        }
        for (path, object) in &world.objects {
            for child in &object.children {
                world
                    .named_by
                    .entry(child.clone())
                    .or_default()
                    .push(path.clone());
            }
        }
        world
    }

    /// Makes a source.
    pub(crate) fn source(&self, name: &str) -> Source {
        let path = self.directory.path().join(name);
        let copied = Command::new("cp")
            .arg("-a")
            .arg(self.directory.path().join("repo"))
            .arg(&path)
            .status();
        assert!(copied.unwrap().success());
        Source { path }
    }

    pub(crate) fn object(&self, path: &str) -> Option<&Object> {
        self.objects.get(path)
    }

    /// Returns the paths of what a commit needs, itself among it.
    pub(crate) fn closure(&self, commit: &str) -> &BTreeSet<String> {
        &self.closures[commit]
    }

    pub(crate) fn parent(&self, commit: &str) -> Option<&String> {
        self.parents.get(commit)
    }

    /// Returns a text with commits by their names, in one line.
    pub(crate) fn shorten(&self, text: &str) -> String {
        let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for (commit, name) in self.commits.iter().zip(NAMES) {
            text = text.replace(commit, name);
        }
        text
    }

    /// Returns who signs summaries. Clients take their time whatever the settle time is: it is none.
    pub(crate) fn signing(&self) -> Signing {
        let key = || Signer::from_secret(Engine::Ed25519, &encode_base64(&SEED)).unwrap();
        Signing {
            signers: self.trust.iter().map(|_| key()).collect(),
            settle: Duration::ZERO,
        }
    }

    /// Returns whether a client takes a summary with this signature; any, where they are not signed.
    pub(crate) fn fits(&self, summary: &[u8], signature: &[u8]) -> bool {
        let mut trust = self.trust.iter();
        trust.all(|trust| trust.check_summary(summary, Some(signature)).is_ok())
    }

    /// Returns the bytes of a file of a delta, and the path of the commit to which that leads.
    pub(crate) fn delta_file(&self, path: &str) -> Option<(&[u8], String)> {
        let bytes = self.deltas.get(path)?;
        let delta = delta_of(path)?;
        Some((bytes, commit_path(&delta.to.to_string())))
    }

    /// Returns the superblocks of the deltas to a commit.
    pub(crate) fn deltas_to(&self, commit: &str) -> impl Iterator<Item = &String> {
        let superblocks = self.deltas.keys().filter(|path| path.ends_with("/superblock"));
        superblocks.filter(move |path| delta_of(path).is_some_and(|delta| delta.to.to_string() == commit))
    }

    /// Returns the parts of the delta with this superblock.
    pub(crate) fn parts_of(&self, superblock: &str) -> impl Iterator<Item = &String> {
        let dir = superblock.trim_end_matches("superblock");
        let files = self.deltas.keys().filter(move |path| path.starts_with(dir));
        files.filter(move |path| *path != superblock)
    }

    /// Returns what names an object.
    pub(crate) fn named_by(&self, path: &str) -> &[String] {
        self.named_by.get(path).map_or(&[], Vec::as_slice)
    }
}

impl Source {
    pub(crate) fn open(&self) -> Repo {
        Repo::open(&self.path).unwrap()
    }

    /// Sets all refs.
    pub(crate) fn set_refs(&self, refs: &BTreeMap<String, String>) {
        let heads = self.path.join("refs/heads");
        fs::remove_dir_all(&heads).unwrap();
        fs::create_dir(&heads).unwrap();
        for (name, commit) in refs {
            let path = heads.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{commit}\n")).unwrap();
        }
    }
}

/// Returns where a commit lies.
pub(crate) fn commit_path(commit: &str) -> String {
    let name = ObjectName::new(Checksum::from_hex(commit).unwrap(), ObjectType::Commit);
    path_of(name)
}

fn path_of(name: ObjectName) -> String {
    format!("objects/{}", name.loose_path(RepoMode::Archive).as_str())
}

/// Returns the delta that a file belongs to.
fn delta_of(path: &str) -> Option<DeltaName> {
    let parts: Vec<_> = path.split('/').collect();
    match parts.as_slice() {
        ["deltas", first, second, _] => DeltaName::from_path(first, second),
        _ => None,
    }
}

fn read_deltas(repo: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![repo.join("deltas")];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(repo).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read(path).unwrap());
            }
        }
    }
    files
}

fn read_objects(dir: &Path) -> BTreeMap<String, Object> {
    let mut objects = BTreeMap::new();
    for fan in fs::read_dir(dir).unwrap() {
        let fan = fan.unwrap();
        for file in fs::read_dir(fan.path()).unwrap() {
            let file = file.unwrap();
            let (fan, file_name) = (fan.file_name(), file.file_name());
            let name = ObjectName::from_loose(fan.to_str().unwrap(), file_name.to_str().unwrap()).unwrap();
            let bytes = fs::read(file.path()).unwrap();
            let children = children(name, &bytes).into_iter().map(path_of).collect();
            objects.insert(path_of(name), Object { bytes, children });
        }
    }
    objects
}

fn children(name: ObjectName, bytes: &[u8]) -> Vec<ObjectName> {
    match name.kind {
        ObjectType::Commit => {
            let commit = Commit::parse(bytes).unwrap();
            vec![
                ObjectName::new(commit.root_tree, ObjectType::DirTree),
                ObjectName::new(commit.root_meta, ObjectType::DirMeta),
            ]
        }
        ObjectType::DirTree => {
            let tree = DirTree::parse(bytes).unwrap();
            let files = tree
                .files
                .iter()
                .map(|file| ObjectName::new(file.checksum, ObjectType::File));
            let trees = tree
                .dirs
                .iter()
                .map(|dir| ObjectName::new(dir.tree, ObjectType::DirTree));
            let metas = tree
                .dirs
                .iter()
                .map(|dir| ObjectName::new(dir.meta, ObjectType::DirMeta));
            files.chain(trees).chain(metas).collect()
        }
        _ => Vec::new(),
    }
}
