//! Deltas made with every option, from nothing and from a commit, in every mode: ours are taken by stock, stock's by us. What is
//! damaged of one is refused, with nothing to be seen of it.

use crate::programs::ostler;
use ostler_testkit::command::{attempt, command, fail, run};
use ostler_testkit::disk::is_root;
use ostler_testkit::nginx::Nginx;
use ostler_testkit::random::Random;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Each with whether it leaves something to be fetched beside the delta.
const OPTIONS: [(&[&str], bool); 7] = [
    (&["--min-fallback-size=0"], false),
    (&["--min-fallback-size=0", "--inline"], false),
    (&["--min-fallback-size=1"], true),
    (&["--min-fallback-size=0", "--max-chunk-size=1"], false),
    (&["--min-fallback-size=0", "--disable-bsdiff"], false),
    (&["--min-fallback-size=0", "--swap-endianness"], false),
    (
        &[
            "--min-fallback-size=1",
            "--inline",
            "--max-chunk-size=1",
            "--swap-endianness",
        ],
        true,
    ),
];

/// An archive repository `repo` with two versions, which every mode can store, of a tree on `main`.
struct Scene {
    root: TempDir,
    repo: StockRepo,
    from: String,
    to: String,
}

impl Scene {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        let repo = StockRepo::init(&root.path().join("repo"), "archive");
        repo.run(&["config", "set", "core.fsync", "false"]);
        let tree = Tree::at(&root.path().join("tree"));
        let mut program = Random::new(1).bytes(20_000);
        let text = Random::new(2).text(20_000);
        tree.file("usr/bin/program", &program, 0o755)
            .file("usr/share/text", &text, 0o644)
            .symlink("usr/bin/link", "program");
        let commit = || repo.commit_with("main", tree.path(), &["--canonical-permissions", "--no-xattrs"]);
        let from = commit();
        for at in (0..program.len()).step_by(50) {
            program[at] ^= 0x20;
        }
        let rotated = [&text[9_000..], &text[..9_000]].concat();
        // More than a megabyte each, which compresses to nothing.
        let large = |byte: u8| vec![byte; 1_100_000];
        tree.file("usr/bin/program", &program, 0o755)
            .file("usr/share/text", rotated, 0o644)
            .file("usr/share/first", large(b'1'), 0o644)
            .file("usr/share/second", large(b'2'), 0o644)
            .symlink("usr/bin/other", "program");
        let to = commit();
        Self { root, repo, from, to }
    }

    /// Makes the delta by a program, and brings index and summary in line.
    fn generate(&self, program: &Program, with_first: bool, options: &[&str]) {
        drop(fs::remove_dir_all(self.repo.path().join("deltas")));
        let from = format!("--from={}", self.from);
        let origin = if with_first { &from } else { "--empty" };
        let generate = ["static-delta", "generate", origin, &self.to];
        run(program.on(&self.root, "repo").args(generate).args(options));
        run(program.on(&self.root, "repo").args(["summary", "-u"]));
    }

    /// Returns the directory with the only delta.
    fn delta(&self) -> PathBuf {
        let only = |directory: PathBuf| fs::read_dir(directory).unwrap().next().unwrap().unwrap().path();
        only(only(self.repo.path().join("deltas")))
    }

    /// Makes a repository with the first version, or with nothing, that pulls from a server.
    fn client(&self, mode: &str, with_first: bool, url: &str) -> StockRepo {
        let path = self.root.path().join("client");
        drop(fs::remove_dir_all(&path));
        let client = StockRepo::init(&path, mode);
        client.run(&["config", "set", "core.fsync", "false"]);
        client.run(&["remote", "add", "--no-gpg-verify", "origin", url]);
        if with_first {
            client.run(&["pull-local", self.repo.path().to_str().unwrap(), &self.from]);
            client.run(&["refs", "--create=origin:main", &self.from]);
        }
        client
    }
}

/// Ours or stock's.
enum Program {
    Ours,
    Stock,
}

impl Program {
    fn on(&self, root: &TempDir, repo: &str) -> Command {
        let mut command = match self {
            Self::Ours => ostler(root.path()),
            Self::Stock => command("ostree"),
        };
        command.current_dir(root.path()).arg(format!("--repo={repo}"));
        command
    }
}

fn modes() -> &'static [&'static str] {
    if is_root() {
        &["bare", "bare-user", "bare-user-only"]
    } else {
        &["bare-user", "bare-user-only"]
    }
}

/// Returns the objects of a repository.
fn objects(repo: &Path) -> Vec<PathBuf> {
    let found = run(command("find").arg(repo.join("objects")).args(["-type", "f"]));
    found.lines().map(PathBuf::from).collect()
}

#[track_caller]
fn all_are_taken(maker: &Program, taker: &Program) {
    let scene = Scene::new();
    let server = Nginx::serve(scene.repo.path());
    for (options, leaves_objects) in OPTIONS {
        for with_first in [true, false] {
            scene.generate(maker, with_first, options);
            for mode in modes() {
                let client = scene.client(mode, with_first, &server.url());
                let pull = ["pull", "--require-static-deltas", "origin", "main"];
                run(taker.on(&scene.root, "client").args(pull));
                assert_eq!(client.rev_parse("origin:main"), scene.to, "{options:?} {mode}");
                client.fsck();
            }
            if leaves_objects {
                continue;
            }
            // Stock stores deltas offline in these modes, and we in an archive as well.
            let archive: &[&str] = if matches!(taker, Program::Ours) {
                &["archive"]
            } else {
                &[]
            };
            for mode in archive.iter().chain(&["bare-user-only"]) {
                let client = scene.client(mode, with_first, &server.url());
                let apply = ["static-delta", "apply-offline"];
                run(taker.on(&scene.root, "client").args(apply).arg(scene.delta()));
                client.run(&["refs", "--create=applied", &scene.to]);
                client.fsck();
            }
        }
    }
}

#[test]
fn stock_takes_our_deltas_in_every_mode() {
    all_are_taken(&Program::Ours, &Program::Stock);
}

#[test]
fn we_take_deltas_of_stock_in_every_mode() {
    all_are_taken(&Program::Stock, &Program::Ours);
}

#[test]
fn what_is_damaged_of_a_delta_is_refused_and_nothing_is_seen_of_it() {
    let scene = Scene::new();
    let server = Nginx::serve(scene.repo.path());
    scene.generate(&Program::Ours, true, &["--min-fallback-size=0"]);
    let index = run(command("find")
        .arg(scene.repo.path().join("delta-indexes"))
        .args(["-name", "*.index"]));
    for file in [
        scene.delta().join("superblock"),
        scene.delta().join("0"),
        PathBuf::from(index.trim()),
    ] {
        let sound = fs::read(&file).unwrap();
        let mut flipped = sound.clone();
        // Of an index, in the digest.
        let at = sound.len() - 30;
        flipped[at] ^= 1;
        for damaged in [flipped, sound[..sound.len() / 2].to_vec()] {
            fs::remove_file(&file).unwrap();
            fs::write(&file, damaged).unwrap();
            for mode in modes() {
                let client = scene.client(mode, true, &server.url());
                let before = objects(client.path());
                let pull = ["pull", "--require-static-deltas", "origin", "main"];
                fail(Program::Ours.on(&scene.root, "client").args(pull));
                assert_eq!(client.rev_parse("origin:main"), scene.from, "{}", file.display());
                assert_eq!(objects(client.path()), before, "{}", file.display());
                // What came of it is no hindrance: without the delta all is to be had.
                client.run(&["pull", "--disable-static-deltas", "origin", "main"]);
                client.fsck();
            }
        }
        fs::remove_file(&file).unwrap();
        fs::write(&file, sound).unwrap();
    }
}

#[test]
fn a_delta_with_a_damaged_signature_is_refused_and_nothing_is_seen_of_it() {
    let scene = Scene::new();
    // The seed and the public key of a test vector of RFC 8032.
    let secret = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==";
    let public = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    fs::write(scene.root.path().join("secret"), secret).unwrap();
    let generate = [
        "static-delta",
        "generate",
        "--inline",
        "--min-fallback-size=0",
        "main",
    ];
    let signed = ["--filename=signed.delta", "--keys-file=secret"];
    run(Program::Ours.on(&scene.root, "repo").args(generate).args(signed));
    let path = scene.root.path().join("signed.delta");
    let sound = fs::read(&path).unwrap();
    let client = scene.client("bare-user", true, "http://example.org/");
    let before = objects(client.path());
    let apply = || {
        let mut apply = Program::Ours.on(&scene.root, "client");
        apply.args(["static-delta", "apply-offline", "signed.delta", public]);
        apply
    };
    // The signature stands at the end, with its name before it and its framing behind.
    for at in (sound.len() - 100..sound.len()).step_by(9) {
        let mut damaged = sound.clone();
        damaged[at] ^= 1;
        fs::write(&path, damaged).unwrap();
        assert!(!attempt(&mut apply()).status.success(), "{at}");
        assert_eq!(objects(client.path()), before, "{at}");
    }
    fs::write(&path, sound).unwrap();
    run(&mut apply());
}
