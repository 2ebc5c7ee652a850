//! Objects that stock `ostree` writes: each parses, is written as the same bytes, and has the id that we compute.

use ostler_format::{
    Checksum, Commit, DirMeta, DirTree, DirTreeView, FileHeader, ObjectName, ObjectSizes, ObjectType,
    RepoMode, parse_detached, tombstone,
};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A repository of stock `ostree` in a directory of its own.
pub(crate) struct StockRepo {
    directory: tempfile::TempDir,
}

impl StockRepo {
    /// Creates a repository with more arguments for `ostree init`.
    pub(crate) fn create(init: &[&str]) -> Self {
        let repo = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        repo.ostree(&[&["init"], init].concat());
        repo
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("repo")
    }

    /// Runs `ostree` on the repository and returns whether it succeeded, and what it printed.
    pub(crate) fn try_ostree(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new("ostree")
            .arg(format!("--repo={}", self.path().display()))
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .output()
            .expect("stock ostree is installed");
        let text = if output.status.success() {
            output.stdout
        } else {
            output.stderr
        };
        (output.status.success(), String::from_utf8(text).unwrap())
    }

    /// Runs `ostree` on the repository, which must succeed, and returns what it printed.
    pub(crate) fn ostree(&self, arguments: &[&str]) -> String {
        let (success, text) = self.try_ostree(arguments);
        assert!(success, "ostree {arguments:?}: {text}");
        text.trim_end().to_owned()
    }

    /// Commits a directory below the test's own and returns the commit.
    pub(crate) fn commit(&self, tree: &Path, more: &[&str]) -> Checksum {
        let tree = format!("--tree=dir={}", tree.display());
        let commit = self.ostree(&[&["commit", "-b", "os/test", &tree], more].concat());
        commit.parse().unwrap()
    }

    /// Makes a tree with everything that objects can hold.
    pub(crate) fn sample_tree(&self) -> PathBuf {
        let tree = self.directory.path().join("tree");
        fs::create_dir_all(tree.join("sub/empty-directory")).unwrap();
        fs::write(tree.join("hello.txt"), "hello world\n").unwrap();
        fs::write(tree.join("empty"), "").unwrap();
        fs::write(tree.join("sub/é and spaces"), "x".repeat(100_000)).unwrap();
        fs::write(tree.join("sub").join("n".repeat(255)), "long").unwrap();
        symlink("hello.txt", tree.join("link")).unwrap();
        symlink("../../é/".repeat(40), tree.join("sub/long-link")).unwrap();
        fs::write(tree.join("setuid"), "s").unwrap();
        fs::set_permissions(tree.join("setuid"), fs::Permissions::from_mode(0o4711)).unwrap();
        fs::set_permissions(tree.join("sub"), fs::Permissions::from_mode(0o1777)).unwrap();
        for path in ["setuid", "sub"] {
            for (name, value) in [("user.z", "1"), ("user.Z", "2"), ("user.long", &"v".repeat(300))] {
                let flags = rustix::fs::XattrFlags::empty();
                rustix::fs::setxattr(tree.join(path), name, value.as_bytes(), flags).unwrap();
            }
        }
        // Enough names that offsets take two bytes.
        for number in 0..600 {
            fs::write(tree.join(format!("sub/file-{number}")), format!("{}", number % 7)).unwrap();
        }
        tree
    }

    /// Returns all loose objects with their files.
    pub(crate) fn objects(&self) -> BTreeMap<ObjectName, PathBuf> {
        let mut objects = BTreeMap::new();
        for directory in fs::read_dir(self.path().join("objects")).unwrap() {
            let directory = directory.unwrap();
            for file in fs::read_dir(directory.path()).unwrap() {
                let file = file.unwrap();
                let (directory, name) = (directory.file_name(), file.file_name());
                let object = ObjectName::from_loose(directory.to_str().unwrap(), name.to_str().unwrap());
                objects.insert(object.unwrap(), file.path());
            }
        }
        objects
    }

    /// Returns the bytes of a metadata object.
    pub(crate) fn read(&self, checksum: Checksum, kind: ObjectType) -> Vec<u8> {
        let path = ObjectName::new(checksum, kind).loose_path(RepoMode::Archive);
        fs::read(self.path().join("objects").join(path)).unwrap()
    }
}

/// Parses a metadata object and checks that it is written as the same bytes.
fn assert_metadata(name: ObjectName, bytes: &[u8]) {
    let written = match name.kind {
        ObjectType::Commit => Commit::parse(bytes).unwrap().to_bytes(),
        ObjectType::DirMeta => DirMeta::parse(bytes).unwrap().to_bytes(),
        ObjectType::CommitMeta => parse_detached(bytes).unwrap().to_bytes(),
        ObjectType::DirTree => {
            let tree = DirTree::parse(bytes).unwrap();
            let view = DirTreeView::parse(bytes).unwrap();
            assert!(
                view.files()
                    .map(|file| file.to_owned())
                    .eq(tree.files.iter().cloned())
            );
            assert!(
                view.dirs()
                    .map(|dir| dir.to_owned())
                    .eq(tree.dirs.iter().cloned())
            );
            tree.to_bytes()
        }
        kind => panic!("unexpected {kind}"),
    };
    assert_eq!(written, bytes, "{name}");
    if name.kind != ObjectType::CommitMeta {
        assert_eq!(Checksum::of(bytes), name.checksum, "{name}");
    }
}

/// Reads a `.filez`: header, size, content.
fn read_archived(bytes: &[u8]) -> (FileHeader, u64, Vec<u8>) {
    let (prefix, rest) = bytes.split_first_chunk().unwrap();
    let (header, compressed) = rest.split_at(FileHeader::parse_archive_prefix(prefix).unwrap());
    let (header, size) = FileHeader::parse_archive_header(header).unwrap();
    let mut content = Vec::new();
    if header.is_symlink() {
        assert_eq!(compressed, b"");
    } else {
        let mut decoder = flate2::read::DeflateDecoder::new(compressed);
        decoder.read_to_end(&mut content).unwrap();
    }
    (header, size, content)
}

#[test]
fn archived_objects_are_written_as_the_same_bytes_and_have_our_ids() {
    let repo = StockRepo::create(&["--mode=archive"]);
    let tree = repo.sample_tree();
    let first = [
        "-s",
        "subject é",
        "-m",
        "body\nof lines\n",
        "--add-metadata-string=version=1.0",
    ];
    repo.commit(
        &tree,
        &[&first[..], &["--add-detached-metadata-string=key=value"]].concat(),
    );
    fs::write(tree.join("added"), "added").unwrap();
    repo.commit(
        &tree,
        &[
            "--generate-sizes",
            "--add-metadata=number=uint64 5",
            "--bind-ref=other",
        ],
    );

    let mut kinds = BTreeMap::new();
    for (name, path) in repo.objects() {
        *kinds.entry(name.kind).or_insert(0) += 1;
        let bytes = fs::read(path).unwrap();
        if name.kind.is_metadata() {
            assert_metadata(name, &bytes);
            continue;
        }
        let (header, size, content) = read_archived(&bytes);
        assert_eq!(size, content.len() as u64, "{name}");
        assert!(bytes.starts_with(&header.to_archive(size)), "{name}");
        assert_eq!(header.checksum_of(&content), name.checksum, "{name}");
    }
    assert!(kinds[&ObjectType::File] >= 14, "{kinds:?}");
    assert_eq!(
        (kinds[&ObjectType::Commit], kinds[&ObjectType::CommitMeta]),
        (2, 1)
    );
    assert!(
        kinds[&ObjectType::DirTree] >= 4 && kinds[&ObjectType::DirMeta] >= 2,
        "{kinds:?}"
    );
}

#[test]
fn bare_user_objects_have_our_attribute_and_our_ids() {
    let repo = StockRepo::create(&["--mode=bare-user"]);
    repo.commit(&repo.sample_tree(), &[]);
    let mut links = 0;
    for (name, path) in repo.objects() {
        if name.kind.is_metadata() {
            assert_metadata(name, &fs::read(path).unwrap());
            continue;
        }
        let mut attribute = vec![0; 64 << 10];
        let length = rustix::fs::getxattr(&path, "user.ostreemeta", &mut attribute[..]).unwrap();
        attribute.truncate(length);
        let content = fs::read(path).unwrap();
        let regular = FileHeader::from_ostreemeta(&attribute, String::new());
        let (header, content) = if let Ok(header) = regular {
            (header, content)
        } else {
            let (nul, target) = content.split_last().unwrap();
            assert_eq!(*nul, 0);
            let target = String::from_utf8(target.to_vec()).unwrap();
            links += 1;
            (
                FileHeader::from_ostreemeta(&attribute, target).unwrap(),
                Vec::new(),
            )
        };
        assert_eq!(header.to_ostreemeta(), attribute, "{name}");
        assert_eq!(header.checksum_of(&content), name.checksum, "{name}");
    }
    assert_eq!(links, 2);
}

#[test]
fn the_members_of_a_commit_are_those_that_were_asked_for() {
    let repo = StockRepo::create(&["--mode=archive"]);
    let tree = repo.sample_tree();
    let parent = repo.commit(&tree, &["-s", "first"]);
    let arguments = [
        "-s",
        "second",
        "-m",
        "body",
        "--timestamp=@1577934245",
        "--add-metadata-string=version=2",
    ];
    let id = repo.commit(&tree, &arguments);
    let commit = Commit::parse(&repo.read(id, ObjectType::Commit)).unwrap();
    assert_eq!(commit.parent, Some(parent));
    assert_eq!(
        (commit.subject.as_str(), commit.body.as_str()),
        ("second", "body")
    );
    assert_eq!(commit.timestamp, 1_577_934_245);
    assert_eq!(commit.metadata.get_str("version"), Some("2"));
    assert_eq!(
        commit.metadata.get_strings("ostree.ref-binding"),
        Some(vec!["os/test"])
    );
    let shown = repo.ostree(&["show", &id.to_string()]);
    let content = format!("ContentChecksum:  {}", commit.content_checksum());
    assert!(shown.contains(&content), "{shown}");
}

#[test]
fn the_sizes_in_a_commit_are_those_of_its_objects() {
    let repo = StockRepo::create(&["--mode=archive"]);
    let id = repo.commit(&repo.sample_tree(), &["--generate-sizes"]);
    let commit = Commit::parse(&repo.read(id, ObjectType::Commit)).unwrap();
    let value = commit.metadata.get(ObjectSizes::KEY).unwrap();
    let sizes = ObjectSizes::from_value(value).unwrap();
    assert_eq!(&sizes.to_value(), value);

    let mut objects = repo.objects();
    objects.retain(|name, _| name.kind != ObjectType::Commit);
    assert_eq!(sizes.entries().len(), objects.len());
    for entry in sizes.entries() {
        let bytes = fs::read(&objects[&ObjectName::new(entry.checksum, entry.kind)]).unwrap();
        assert_eq!(entry.archived, bytes.len() as u64, "{entry:?}");
        let unpacked = if entry.kind == ObjectType::File {
            let (header, size, _) = read_archived(&bytes);
            size + header.symlink_target.len() as u64
        } else {
            entry.archived
        };
        assert_eq!(entry.unpacked, unpacked, "{entry:?}");
    }
}

#[test]
fn a_tombstone_has_our_bytes() {
    let repo = StockRepo::create(&["--mode=archive"]);
    let tree = repo.sample_tree();
    let deleted = repo.commit(&tree, &[]);
    repo.commit(&tree, &[]);
    repo.ostree(&["prune", &format!("--delete-commit={deleted}")]);
    assert_eq!(
        repo.read(deleted, ObjectType::TombstoneCommit),
        tombstone(&deleted)
    );
}
