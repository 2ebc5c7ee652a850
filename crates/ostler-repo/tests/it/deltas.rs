//! Static deltas: stock ostree applies ours, we apply stock's, in every mode that stores files.

use crate::store_fixture::scratch;
use ostler_format::delta::ByteOrder;
use ostler_format::{Checksum, DeltaList, DeltaName, ObjectName, ObjectType, delta_index_path};
use ostler_repo::Repo;
use ostler_repo::deltas::{DeltaOptions, DeltaStats, StoredDelta};
use ostler_repo::sign::{Engine, Interruption, Signer};
use ostler_testkit::disk::is_root;
use ostler_testkit::nginx::Nginx;
use ostler_testkit::random::Random;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::{self, Tree};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// An archive repository with two versions of a tree of everything.
struct Scene {
    directory: TempDir,
    stock: StockRepo,
    from: Checksum,
    to: Checksum,
}

impl Scene {
    fn new() -> Self {
        Self::of(|root| {
            let tree = tree::assorted(root);
            tree.file("big/moved", Random::new(9).bytes(700_000), 0o644)
                .file("big/scattered", Random::new(10).bytes(300_000), 0o755)
                .file("big/private", Random::new(11).bytes(100_000), 0o600);
        })
    }

    fn of(build: impl Fn(&Path)) -> Self {
        let directory = scratch();
        let stock = StockRepo::init(&directory.path().join("repo"), "archive");
        let root = directory.path().join("tree");
        build(&root);
        let from = stock.commit("main", &root).parse().unwrap();
        change(&Tree::at(&root));
        let to = stock.commit("main", &root).parse().unwrap();
        Self {
            directory,
            stock,
            from,
            to,
        }
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn open(&self) -> Repo {
        Repo::open(self.stock.path()).unwrap()
    }

    fn name(&self, from: bool) -> DeltaName {
        DeltaName {
            from: from.then_some(self.from),
            to: self.to,
        }
    }

    fn delta(&self, from: bool) -> PathBuf {
        self.stock.path().join(self.name(from).path())
    }

    fn generate(&self, from: bool, options: &DeltaOptions) -> DeltaStats {
        let from = from.then_some(&self.from);
        self.open().generate_delta(from, &self.to, options, &()).unwrap()
    }

    /// Returns a repository with the first version, or with none.
    fn client(&self, mode: &str, with_first: bool) -> StockRepo {
        let path = self.beside(&format!("client-{mode}-{with_first}"));
        if path.exists() {
            std::fs::remove_dir_all(&path).unwrap();
        }
        let client = StockRepo::init(&path, mode);
        if with_first {
            let source = self.stock.path().to_str().unwrap();
            client.run(&["pull-local", "--disable-fsync", source, &self.from.to_string()]);
        }
        client
    }
}

/// Changes a tree: what moved, what differs here and there, what is new, renamed, gone, of another mode.
fn change(tree: &Tree) {
    let path = |name: &str| tree.path().join(name);
    if let Ok(mut moved) = std::fs::read(path("big/moved")) {
        moved.rotate_left(200_000);
        moved.splice(5..5, *b"put in");
        tree.file("big/moved", moved, 0o644);
        let mut scattered = std::fs::read(path("big/scattered")).unwrap();
        for at in (0..scattered.len()).step_by(50) {
            scattered[at] ^= 0x20;
        }
        tree.file("big/scattered", scattered, 0o755);
        let mut private = std::fs::read(path("big/private")).unwrap();
        private[77] ^= 1;
        tree.file("big/private", private, 0o600);
    }
    tree.file("new/text", Random::new(20).text(50_000), 0o644)
        .file("new/empty", "", 0o640)
        .file("new/capable", "with attributes\n", 0o644)
        .xattr("new/capable", "user.note", b"of the new version")
        .symlink("new/link", "somewhere/else")
        .symlink("etc/issue", "hostname")
        .file("etc/motd", "no longer empty\n", 0o644)
        .remove("usr/bin/hello");
}

/// The modes of repositories that stock applies deltas to.
fn bare_modes() -> &'static [&'static str] {
    if is_root() {
        &["bare", "bare-user"]
    } else {
        &["bare-user"]
    }
}

fn in_parts() -> DeltaOptions {
    DeltaOptions {
        min_fallback_bytes: 0,
        threads: 2,
        timestamp: 1_700_000_000,
        ..DeltaOptions::default()
    }
}

fn every_option() -> Vec<(&'static str, DeltaOptions)> {
    vec![
        ("plain", in_parts()),
        (
            "inline",
            DeltaOptions {
                inline: true,
                ..in_parts()
            },
        ),
        (
            "swapped",
            DeltaOptions {
                byte_order: ByteOrder::Big,
                ..in_parts()
            },
        ),
        (
            "rows only, many parts",
            DeltaOptions {
                bsdiff: false,
                max_chunk_bytes: 100_000,
                ..in_parts()
            },
        ),
    ]
}

fn assert_whole(client: &StockRepo, commit: &Checksum) {
    client.run(&["refs", "--create=applied", &commit.to_string()]);
    client.fsck();
    client.run(&["ls", "-R", "applied"]);
}

#[test]
fn stock_applies_what_we_make() {
    let scene = Scene::new();
    for (number, (what, options)) in every_option().into_iter().enumerate() {
        for from in [true, false].into_iter().filter(|from| *from || number == 0) {
            let stats = scene.generate(from, &options);
            assert_eq!(
                stats.bsdiff_objects > 0,
                from && options.bsdiff,
                "{what}: {stats:?}"
            );
            assert_eq!(stats.rollsum_objects > 0, from, "{what}: {stats:?}");
            assert!(what.contains("many") <= (stats.parts.len() > 2), "{stats:?}");
            for mode in bare_modes() {
                let client = scene.client(mode, from);
                client.run(&[
                    "static-delta",
                    "apply-offline",
                    scene.delta(from).to_str().unwrap(),
                ]);
                assert_whole(&client, &scene.to);
            }
        }
    }
}

#[test]
fn we_apply_what_stock_makes() {
    let scene = Scene::new();
    let to = scene.to.to_string();
    for (number, options) in [
        &["--min-fallback-size=0"][..],
        &["--min-fallback-size=0", "--inline"],
        &["--min-fallback-size=0", "--swap-endianness"],
        &["--min-fallback-size=0", "--disable-bsdiff"],
    ]
    .into_iter()
    .enumerate()
    {
        for (from, which) in [
            (true, format!("--from={}", scene.from)),
            (false, "--empty".to_owned()),
        ] {
            if number > 0 && !from {
                continue;
            }
            let mut command = vec!["static-delta", "generate", &which, &to];
            command.extend(options);
            std::fs::remove_dir_all(scene.delta(from)).unwrap_or_default();
            scene.stock.run(&command);
            for mode in bare_modes().iter().chain(&["archive"]) {
                let client = scene.client(mode, from);
                let delta = StoredDelta::at(&scene.delta(from)).unwrap();
                let repo = Repo::open(client.path()).unwrap();
                repo.apply_delta(&delta, 2).unwrap();
                assert_whole(&client, &scene.to);
            }
        }
    }
}

#[test]
fn we_apply_what_we_make_to_every_mode() {
    let scene = Scene::of(|root| {
        // What bare-user-only can store.
        tree::plain(root).file("usr/bin/tool", Random::new(3).bytes(90_000), 0o755);
    });
    scene.generate(true, &in_parts());
    for mode in ["archive", "bare-user-only", "bare-user"] {
        let client = scene.client(mode, true);
        let repo = Repo::open(client.path()).unwrap();
        let delta = StoredDelta::of_repo(&scene.open(), &scene.name(true)).unwrap();
        let delta = delta.unwrap();
        match repo.apply_delta(&delta, 1) {
            // What that mode cannot keep, owners and attributes, fails its check whoever wrote it.
            Ok(()) if mode == "bare-user-only" => drop(client.run(&["ls", "-R", &scene.to.to_string()])),
            applied => {
                applied.unwrap();
                assert_whole(&client, &scene.to);
            }
        }
    }
}

#[test]
fn stock_pulls_our_deltas_and_nothing_else() {
    let scene = Scene::new();
    for from in [true, false] {
        scene.generate(
            from,
            &DeltaOptions {
                threads: 2,
                ..DeltaOptions::default()
            },
        );
    }
    scene.open().reindex_deltas(None).unwrap();
    scene.stock.run(&["summary", "-u"]);
    let server = Nginx::serve(scene.stock.path());
    for mode in bare_modes() {
        for with_first in [true, false] {
            let client = scene.client(mode, with_first);
            client.run(&["remote", "add", "--no-gpg-verify", "origin", &server.url()]);
            if with_first {
                client.run(&["refs", "--create=origin:main", &scene.from.to_string()]);
            }
            client.run(&["pull", "--require-static-deltas", "origin", "main"]);
            assert_eq!(client.rev_parse("origin:main"), scene.to.to_string());
            client.fsck();
        }
    }
}

#[test]
fn the_same_commits_give_the_same_bytes_however_many_threads() {
    let scene = Scene::new();
    let listing = || {
        let mut files: Vec<_> = std::fs::read_dir(scene.delta(true))
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap()))
            .collect();
        files.sort();
        files
    };
    let options = |threads| DeltaOptions {
        threads,
        max_chunk_bytes: 200_000,
        ..in_parts()
    };
    scene.generate(true, &options(1));
    let first = listing();
    assert!(first.len() > 3);
    scene.generate(true, &options(4));
    assert_eq!(listing(), first);
}

#[test]
fn large_new_files_are_left_to_be_fetched() {
    let scene = Scene::new();
    let options = DeltaOptions {
        min_fallback_bytes: 1_000_000,
        ..in_parts()
    };
    let stats = scene.generate(false, &options);
    assert!(!stats.fallbacks.is_empty());
    let delta = StoredDelta::at(&scene.delta(false)).unwrap();
    let fallbacks = &delta.superblock().fallbacks;
    for fallback in fallbacks {
        let name = ObjectName::new(fallback.checksum, ObjectType::File);
        assert_eq!(fallback.size, scene.open().object_size(&name).unwrap());
        assert!(fallback.unpacked > 1_000_000);
    }
    let client = scene.client("bare-user", false);
    let refused = Repo::open(client.path()).unwrap().apply_delta(&delta, 1);
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("fallback entries"), "{refused}");
    // The same number that stock counts.
    scene.stock.run(&["static-delta", "show", &scene.to.to_string()]);
}

#[test]
fn deltas_and_what_they_replace_leave_nothing_behind() {
    let scene = Scene::new();
    let repo = scene.open();
    scene.generate(true, &in_parts());
    let many = DeltaOptions {
        max_chunk_bytes: 50_000,
        ..in_parts()
    };
    scene.generate(true, &many);
    scene.generate(
        true,
        &DeltaOptions {
            inline: true,
            ..in_parts()
        },
    );
    assert_eq!(
        std::fs::read_dir(scene.delta(true)).unwrap().count(),
        1,
        "the superblock alone"
    );
    assert_eq!(repo.list_deltas().unwrap(), [scene.name(true)]);
    let left = std::fs::read_dir(scene.stock.path().join("tmp")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "cache"), "{left:?}");
}

#[test]
fn the_last_delta_takes_its_index_with_it() {
    let scene = Scene::new();
    let repo = scene.open();
    scene.generate(true, &in_parts());
    scene.generate(false, &in_parts());
    repo.reindex_deltas(None).unwrap();
    assert_eq!(repo.list_delta_indexes().unwrap(), [scene.to]);
    assert!(scene.open().config().indexed_deltas());
    repo.delete_delta(&scene.name(true)).unwrap();
    assert_eq!(repo.list_delta_indexes().unwrap(), [scene.to]);
    repo.delete_delta(&scene.name(false)).unwrap();
    assert!(repo.list_delta_indexes().unwrap().is_empty());
    assert!(repo.list_deltas().unwrap().is_empty());
    assert!(repo.delete_delta(&scene.name(false)).unwrap_err().is_not_found());
}

/// Returns two versions of a small tree, of which deltas are made quickly.
fn small() -> Scene {
    Scene::of(|root| {
        tree::plain(root);
    })
}

#[test]
fn a_delta_that_is_made_again_is_in_its_index_with_its_new_digest() {
    let scene = small();
    let repo = scene.open();
    scene.generate(true, &in_parts());
    scene.generate(false, &in_parts());
    repo.reindex_deltas(None).unwrap();
    let index = scene.stock.path().join(delta_index_path(&scene.to));
    let before = std::fs::read(&index).unwrap();
    let later = DeltaOptions {
        timestamp: 1_700_000_001,
        ..in_parts()
    };
    scene.generate(true, &later);
    let after = std::fs::read(&index).unwrap();
    assert_ne!(before, after);
    let listed = DeltaList::parse_index(&after).unwrap();
    assert_eq!(listed, repo.delta_digests().unwrap());
    assert_eq!(listed.0.len(), 2);
}

#[test]
fn signed_deltas_are_not_announced_and_replace_none_that_is() {
    let scene = small();
    let repo = scene.open();
    // The seed and the public key of a test vector of RFC 8032.
    let secret = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==";
    let signed = DeltaOptions {
        signers: vec![Signer::from_secret(Engine::Ed25519, secret).unwrap()],
        ..in_parts()
    };
    scene.generate(false, &signed);
    repo.reindex_deltas(None).unwrap();
    assert_eq!(repo.list_deltas().unwrap(), [scene.name(false)]);
    assert!(repo.delta_digests().unwrap().0.is_empty());
    assert!(repo.list_delta_indexes().unwrap().is_empty());

    scene.generate(false, &in_parts());
    scene.generate(false, &signed);
    scene.generate(false, &in_parts());
    repo.reindex_deltas(None).unwrap();
    let announced = repo.delta_digests().unwrap();
    let refused = repo.generate_delta(None, &scene.to, &signed, &()).unwrap_err();
    assert!(
        refused.to_string().contains("cannot read a signed one"),
        "{refused}"
    );
    assert_eq!(repo.delta_digests().unwrap(), announced);
}

#[test]
fn nobody_waits_for_who_signs_a_delta_and_none_leads_to_what_went_meanwhile() {
    let scene = small();
    let stock = &scene.stock;
    stock.run(&["config", "set", "core.lock-timeout-secs", "0"]);
    let path = stock.path().display();
    let signed_by = |script: String| DeltaOptions {
        signers: vec![Signer::External {
            engine: Engine::Ed25519,
            command: ["sh", "-ec", &script].map(Into::into).to_vec(),
            interruption: Interruption::default(),
        }],
        ..in_parts()
    };
    let prune = format!("ostree --repo={path} prune --refs-only >&2; head -c 64 /dev/zero");
    scene.generate(false, &signed_by(prune.clone()));
    assert_eq!(scene.open().list_deltas().unwrap(), [scene.name(false)]);

    stock.run(&["static-delta", "delete", &scene.name(false).to_string()]);
    let gone = format!("ostree --repo={path} refs --delete main; {prune}");
    let error = scene
        .open()
        .generate_delta(None, &scene.to, &signed_by(gone), &())
        .unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert!(scene.open().list_deltas().unwrap().is_empty());
}

#[test]
fn a_damaged_delta_is_refused_wherever_the_damage_is() {
    let scene = Scene::of(|root| {
        tree::plain(root).file("usr/bin/tool", Random::new(3).bytes(9_000), 0o755);
    });
    scene.generate(true, &in_parts());
    let client = scene.client("bare-user", true);
    let repo = Repo::open(client.path()).unwrap();
    let mut random = Random::new(5);
    let commit = StoredDelta::at(&scene.delta(true))
        .unwrap()
        .superblock()
        .commit
        .clone();
    // Parts first: once a delta is applied none of its parts is read again.
    for file in ["0", "superblock"] {
        let path = scene.delta(true).join(file);
        let sound = std::fs::read(&path).unwrap();
        for at in (0..sound.len()).step_by(sound.len().div_ceil(60)) {
            let mut damaged = sound.clone();
            damaged[at] ^= u8::try_from(1 + random.below(255)).unwrap();
            std::fs::write(&path, damaged).unwrap();
            let applied = StoredDelta::at(&scene.delta(true)).and_then(|delta| repo.apply_delta(&delta, 1));
            // The time of making means nothing, nor does the size of what is unpacked.
            if applied.is_ok() {
                assert_eq!(file, "superblock", "{at}");
                let delta = StoredDelta::at(&scene.delta(true)).unwrap();
                assert_eq!(delta.superblock().commit, commit);
            }
        }
        for length in [0, 1, sound.len() / 2, sound.len() - 1] {
            std::fs::write(&path, &sound[..length]).unwrap();
            let applied = StoredDelta::at(&scene.delta(true)).and_then(|delta| repo.apply_delta(&delta, 1));
            assert!(applied.is_err(), "{file} cut to {length}");
        }
        std::fs::write(&path, [&sound[..], b"x"].concat()).unwrap();
        let applied = StoredDelta::at(&scene.delta(true)).and_then(|delta| repo.apply_delta(&delta, 1));
        assert!(applied.is_err(), "{file} with a byte more");
        std::fs::write(&path, &sound).unwrap();
    }
}

#[test]
fn a_delta_needs_the_commit_from_which_it_leads() {
    let scene = Scene::new();
    scene.generate(true, &in_parts());
    let delta = StoredDelta::at(&scene.delta(true)).unwrap();
    let client = scene.client("bare-user", false);
    let error = Repo::open(client.path())
        .unwrap()
        .apply_delta(&delta, 1)
        .unwrap_err();
    assert!(error.to_string().contains("which is the delta source"), "{error}");
}
