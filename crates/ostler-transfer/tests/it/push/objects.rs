//! Pushers whose objects are right by their names, and mean harm: what they bring is refused, and nothing of it shows.

use super::peer::{Bag, Peer, plain, update};
use super::scene::{Scene, Updates};
use flate2::write::DeflateEncoder;
use ostler_format::gvariant::VarDict;
use ostler_format::wire::{Batch, Encoding, Message};
use ostler_format::{
    Checksum, Commit, DirMeta, DirTree, FileHeader, ObjectName, ObjectType, S_IFDIR, S_IFREG, TreeDir,
    TreeFile, Xattrs,
};
use std::io::Write as _;

/// Returns a dirtree as its maker wants it, whatever the rules say.
fn tree(files: &[(&str, Checksum)], dirs: &[(&str, Checksum, Checksum)]) -> Vec<u8> {
    let file = |(name, checksum): &(&str, Checksum)| TreeFile {
        name: (*name).into(),
        checksum: *checksum,
    };
    let dir = |(name, tree, meta): &(&str, Checksum, Checksum)| TreeDir {
        name: (*name).into(),
        tree: *tree,
        meta: *meta,
    };
    DirTree {
        files: files.iter().map(file).collect(),
        dirs: dirs.iter().map(dir).collect(),
    }
    .to_bytes()
}

fn dirmeta() -> Vec<u8> {
    DirMeta {
        uid: 0,
        gid: 0,
        mode: S_IFDIR | 0o755,
        xattrs: Xattrs::default(),
    }
    .to_bytes()
}

fn header() -> FileHeader {
    FileHeader {
        uid: 0,
        gid: 0,
        mode: S_IFREG | 0o644,
        symlink_target: String::new(),
        xattrs: Xattrs::default(),
    }
}

/// Returns a `.filez` that declares a size and has a payload.
fn filez(size: u64, payload: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(header().to_archive(size), flate2::Compression::best());
    encoder.write_all(payload).unwrap();
    encoder.finish().unwrap()
}

impl Bag {
    fn commit(&mut self, root_tree: Checksum, root_meta: Checksum) -> Checksum {
        let commit = Commit {
            metadata: VarDict::default(),
            parent: None,
            related: Vec::new(),
            subject: "harm".into(),
            body: String::new(),
            timestamp: 1,
            root_tree,
            root_meta,
        };
        self.add(ObjectType::Commit, &commit.to_bytes())
    }

    /// Adds a file under the name of some content, and a commit of it alone.
    fn commit_of_file(
        &mut self,
        content: &[u8],
        messages: impl FnOnce(ObjectName) -> Vec<Message>,
    ) -> Checksum {
        let file = header().checksum_of(content);
        let name = ObjectName::new(file, ObjectType::File);
        self.0.insert(name, messages(name));
        let root = self.add(ObjectType::DirTree, &tree(&[("file", file)], &[]));
        let meta = self.add(ObjectType::DirMeta, &dirmeta());
        self.commit(root, meta)
    }
}

/// Pushes a commit, and returns what the receiver says of it.
#[track_caller]
fn refused(scene: &Scene, bag: &Bag, commit: Checksum) -> String {
    let (received, last) =
        scene.receive_by(|mut pusher: Peer| pusher.give(&[update("x", None, commit)], &[commit], bag));
    let error = received.expect_err("nobody takes that");
    // The pusher is told the same.
    assert!(
        matches!(&last, Some(Message::Error(text)) if text.starts_with(&error.to_string())),
        "{error}: {last:?}"
    );
    scene.assert_has(&Updates::new());
    error.to_string()
}

/// What must hold of the quarantine: at most one is left, and a push with nothing to do clears it away.
fn assert_cleared(scene: &Scene) {
    assert!(scene.quarantined().len() <= 1, "{:?}", scene.quarantined());
    scene.push(&Updates::new()).received.unwrap();
    assert_eq!(scene.quarantined(), Vec::<String>::new());
}

#[test]
fn honest_objects_of_the_same_making_arrive() {
    let scene = Scene::new();
    let mut bag = Bag::default();
    let commit = bag.commit_of_file(b"content", |name| {
        vec![Message::Content {
            checksum: name.checksum,
            bytes: filez(7, b"content"),
        }]
    });
    let (received, _last) =
        scene.receive_by(|mut pusher| pusher.give(&[update("x", None, commit)], &[commit], &bag));
    received.unwrap();
    scene.assert_has(&Updates::from([("x".parse().unwrap(), Some(commit))]));
}

#[test]
fn names_that_lead_out_of_a_tree_or_occur_twice_are_refused() {
    let scene = Scene::new();
    let long = "x".repeat(256);
    let file = Checksum::of(b"a file");
    for names in [
        &[".."][..],
        &["."],
        &[""],
        &["a/b"],
        &["/etc/passwd"],
        &["a\0b"],
        &[&long],
        &["a", "a"],
        &["b", "a"],
    ] {
        let mut bag = Bag::default();
        let meta = bag.add(ObjectType::DirMeta, &dirmeta());
        let entries: Vec<_> = names.iter().map(|name| (*name, file)).collect();
        // Names that are in no order are put down all the same.
        let bytes = unordered(&entries);
        let root = bag.add(ObjectType::DirTree, &bytes);
        let commit = bag.commit(root, meta);
        let error = refused(&scene, &bag, commit);
        assert!(error.contains(&root.to_string()), "{names:?}: {error}");
        let directory = bag.add(ObjectType::DirTree, &tree(&[("a", file)], &[]));
        let dirs: Vec<_> = names.iter().map(|name| (*name, directory, meta)).collect();
        if dirs.len() == 1 {
            let root = bag.add(ObjectType::DirTree, &tree(&[], &dirs));
            let commit = bag.commit(root, meta);
            let error = refused(&scene, &bag, commit);
            assert!(error.contains(&root.to_string()), "{names:?}: {error}");
        }
    }
    let mut bag = Bag::default();
    let meta = bag.add(ObjectType::DirMeta, &dirmeta());
    let directory = bag.add(ObjectType::DirTree, &tree(&[], &[]));
    let root = bag.add(
        ObjectType::DirTree,
        &tree(&[("a", file)], &[("a", directory, meta)]),
    );
    let commit = bag.commit(root, meta);
    let error = refused(&scene, &bag, commit);
    assert!(
        error.contains(&root.to_string()),
        "a file and a directory: {error}"
    );
    assert_cleared(&scene);
}

/// Returns a dirtree of files in the given order.
fn unordered(files: &[(&str, Checksum)]) -> Vec<u8> {
    if files.is_sorted_by(|a, b| a.0 < b.0) {
        return tree(files, &[]);
    }
    // Two entries of the same length each: the bytes of the sorted tree with the names changed.
    let names: Vec<_> = ["y", "z"]
        .into_iter()
        .zip(files)
        .map(|(name, (_, file))| (name, *file))
        .collect();
    let mut bytes = tree(&names, &[]);
    for (placeholder, (name, _)) in ["y", "z"].into_iter().zip(files) {
        let pattern = [placeholder.as_bytes(), b"\0"].concat();
        let at = bytes.windows(2).position(|window| window == pattern).unwrap();
        bytes[at] = name.as_bytes()[0];
    }
    bytes
}

#[test]
fn trees_deeper_than_any_path_are_refused() {
    let scene = Scene::new();
    for depth in [3_000, 10_000] {
        let mut bag = Bag::default();
        let meta = bag.add(ObjectType::DirMeta, &dirmeta());
        let mut root = bag.add(ObjectType::DirTree, &tree(&[], &[]));
        for _ in 0..depth {
            root = bag.add(ObjectType::DirTree, &tree(&[], &[("d", root, meta)]));
        }
        let commit = bag.commit(root, meta);
        let error = refused(&scene, &bag, commit);
        assert!(
            error.contains("deep") || error.contains("director"),
            "{depth}: {error}"
        );
    }
    assert_cleared(&scene);
}

#[test]
fn a_tree_that_leads_to_a_commit_or_to_itself_is_read_once() {
    let scene = Scene::new();
    let mut bag = Bag::default();
    let meta = bag.add(ObjectType::DirMeta, &dirmeta());
    // As far as hashes let it: each of sixty levels names the one below twice, which are 2^60 directories.
    let mut root = bag.add(ObjectType::DirTree, &tree(&[], &[]));
    for _ in 0..60 {
        root = bag.add(
            ObjectType::DirTree,
            &tree(&[], &[("a", root, meta), ("b", root, meta)]),
        );
    }
    let commit = bag.commit(root, meta);
    let (received, _last) =
        scene.receive_by(|mut pusher| pusher.give(&[update("x", None, commit)], &[commit], &bag));
    received.unwrap();
    assert_eq!(scene.target.rev_parse("x"), commit.to_string());

    // An object under the name of another type: a commit for a tree, a tree for a dirmeta.
    let mut bag = Bag::default();
    let empty = tree(&[], &[]);
    let meta = bag.add(ObjectType::DirMeta, &empty);
    let root = bag.add(ObjectType::DirTree, &empty);
    let commit = bag.commit(root, meta);
    let (received, _last) =
        scene.receive_by(|mut pusher| pusher.give(&[update("y", None, commit)], &[commit], &bag));
    let error = received.unwrap_err().to_string();
    assert!(error.contains("dirmeta"), "{error}");
    assert_eq!(scene.target.refs(), ["x"]);
}

#[test]
fn content_that_is_not_what_it_says_is_refused() {
    let scene = Scene::new();
    let content = vec![7; 100_000];
    let bomb = vec![0; 64 << 20];
    let whole = |bytes: Vec<u8>| {
        move |name: ObjectName| {
            vec![Message::Content {
                checksum: name.checksum,
                bytes,
            }]
        }
    };
    let pieces = |bytes: Vec<u8>| {
        move |name: ObjectName| {
            let data = bytes.chunks(1000).map(|chunk| Message::Data(chunk.to_vec()));
            [Message::Begin(name)]
                .into_iter()
                .chain(data)
                .chain([Message::End])
                .collect::<Vec<_>>()
        }
    };
    let honest = filez(100_000, &content);
    let mut longer = honest.clone();
    longer.extend_from_slice(b"more");
    for (what, bytes) in [
        ("other content", filez(7, b"another")),
        ("a declared size that is too small", filez(1, &content)),
        ("a declared size that is too large", filez(1 << 62, &content)),
        ("a bomb", filez(100_000, &bomb)),
        ("nothing", Vec::new()),
        ("a header without an end", vec![0xff; 4000]),
        ("cut short", honest[..honest.len() / 2].to_vec()),
        ("bytes behind the end", longer),
    ] {
        for in_pieces in [false, true] {
            let mut bag = Bag::default();
            let bytes = bytes.clone();
            let commit = if in_pieces {
                bag.commit_of_file(&content, pieces(bytes))
            } else {
                bag.commit_of_file(&content, whole(bytes))
            };
            let error = refused(&scene, &bag, commit);
            assert!(
                error.contains(".file") || error.contains("object"),
                "{what}: {error}"
            );
        }
    }
    assert_cleared(&scene);
}

#[test]
fn metadata_that_is_not_what_it_says_is_refused() {
    let scene = Scene::new();
    let object = b"no commit at all".to_vec();
    let commit = Checksum::of(&object);
    let name = ObjectName::new(commit, ObjectType::Commit);
    let mut entries = Vec::new();
    Batch::push(&mut entries, &name, &object);
    let mut lying = entries.clone();
    // The length of the object, behind its type and checksum.
    lying[33..37].copy_from_slice(&u32::MAX.to_be_bytes());
    let deflated = |length: usize, plain: &[u8]| {
        let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(plain).unwrap();
        Message::Batch(Batch {
            encoding: Encoding::Deflate,
            length,
            body: encoder.finish().unwrap(),
        })
    };
    let plain_batch = |body: Vec<u8>| {
        Message::Batch(Batch {
            encoding: Encoding::Plain,
            length: body.len(),
            body,
        })
    };
    for (what, messages) in [
        ("no commit", vec![plain(&name, &object)]),
        ("an entry longer than its batch", vec![plain_batch(lying)]),
        ("a batch that is cut", vec![plain_batch(entries[..20].to_vec())]),
        (
            "a batch that is longer than it says",
            vec![deflated(10, &entries)],
        ),
        (
            "a batch that is shorter than it says",
            vec![deflated(1 << 20, &entries)],
        ),
        ("a bomb", vec![deflated(1000, &vec![0; 64 << 20])]),
        ("an end before the beginning", vec![Message::End]),
        ("two beginnings", vec![Message::Begin(name), Message::Begin(name)]),
        (
            "content for a commit",
            vec![Message::Content {
                checksum: commit,
                bytes: object.clone(),
            }],
        ),
        ("twice", vec![plain(&name, b""), plain(&name, b"")]),
    ] {
        let mut bag = Bag::default();
        bag.0.insert(name, messages);
        let error = refused(&scene, &bag, commit);
        assert!(!error.is_empty(), "{what}");
    }
    assert_cleared(&scene);
}

#[test]
fn metadata_object_without_end_is_refused_at_its_limit() {
    let scene = Scene::new();
    let name = ObjectName::new(Checksum::of(b"endless"), ObjectType::Commit);
    let mut bag = Bag::default();
    let pieces = vec![Message::Data(vec![b'x'; 1 << 20]); 140];
    bag.0
        .insert(name, [Message::Begin(name)].into_iter().chain(pieces).collect());
    let error = refused(&scene, &bag, name.checksum);
    assert!(error.contains("more bytes than any metadata object"), "{error}");
}

#[test]
fn commit_of_which_something_never_comes_is_not_published_by_whoever_names_it_next() {
    let scene = Scene::new();
    let mut bag = Bag::default();
    let commit = bag.commit_of_file(b"content", |name| {
        vec![Message::Content {
            checksum: name.checksum,
            bytes: filez(7, b"content"),
        }]
    });
    let file = *bag.0.keys().find(|name| name.kind == ObjectType::File).unwrap();
    let content = bag.0.remove(&file).unwrap();
    let offer = [update("x", None, commit)];
    for _ in 0..2 {
        let (received, _last) = scene.receive_by(|mut pusher| pusher.give(&offer, &[commit], &bag));
        received.unwrap_err();
        scene.assert_has(&Updates::new());
    }
    // Nor is it published by a chain that does not name it.
    let (received, _last) = scene.receive_by(|mut pusher| pusher.give(&offer, &[], &bag));
    received.unwrap_err();
    scene.assert_has(&Updates::new());
    bag.0.insert(file, content);
    let (received, _last) = scene.receive_by(|mut pusher| pusher.give(&offer, &[commit], &bag));
    received.unwrap();
    scene.assert_has(&Updates::from([("x".parse().unwrap(), Some(commit))]));
}
