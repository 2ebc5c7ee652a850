//! Each kind of file that a pull asks for, with each fault: what passes is tried again, what stays is told and leaves nothing visible,
//! what can be done without is. All of it within a bounded memory.

use super::exchange::{Kind, Source};
use crate::interop::Who;
use crate::programs::OSTLER;
use ostler_testkit::command::{attempt, command, describe, run};
use ostler_testkit::disk::Disk;
use ostler_testkit::faulty_server::{Asked, FaultyServer, Reaction};
use ostler_testkit::oracle::strays;
use ostler_testkit::stock::StockRepo;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// The most bytes that a pull may have for data: twice the limit of an object that is no content.
const MEMORY: u64 = 256 << 20;

/// How a pull goes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From a signed summary and a delta.
    Delta,
    /// From a signed summary, object by object.
    Objects,
    /// Without a summary.
    Ref,
    /// A commit that is named, without a summary.
    Commit,
    /// Through a list of mirrors.
    MirrorList,
    /// Through a metalink.
    Metalink,
}

const WAYS: [Way; 6] = [
    Way::Delta,
    Way::Objects,
    Way::Ref,
    Way::Commit,
    Way::MirrorList,
    Way::Metalink,
];

/// A kind of file.
struct File {
    name: &'static str,
    /// How a pull comes to ask for it.
    way: Way,
    /// Whether a pull does without it where it cannot be had.
    optional: bool,
}

const fn file(name: &'static str, way: Way, optional: bool) -> File {
    File { name, way, optional }
}

const FILES: [File; 14] = [
    file("/summary", Way::Objects, false),
    file("/summary.sig", Way::Objects, false),
    file("/config", Way::Commit, false),
    file("/refs/heads/os/stable", Way::Ref, false),
    file(".commit", Way::Objects, false),
    file(".commitmeta", Way::Objects, false),
    file(".dirtree", Way::Objects, false),
    file(".dirmeta", Way::Objects, false),
    file(".filez", Way::Objects, false),
    file(".index", Way::Delta, true),
    file("/superblock", Way::Delta, true),
    file("/0", Way::Delta, true),
    file("/list", Way::MirrorList, false),
    file("/metalink.xml", Way::Metalink, false),
];

/// A signed repository with a summary and deltas, one with neither, and lists that lead to the first.
struct Scene {
    directory: TempDir,
    signed: Source,
    plain: Source,
}

impl Scene {
    fn new() -> Self {
        let directory = TempDir::new().expect("a directory");
        let make = |name: &str, kind| {
            let root = directory.path().join(name);
            std::fs::create_dir(&root).expect("our own directory");
            Source::make(Who::Ours, &root, kind, false)
        };
        let (mut signed, plain) = (make("signed", Kind::Dummy), make("plain", Kind::Nothing));
        signed.generate_deltas();
        signed.summarize();
        Self {
            directory,
            signed,
            plain,
        }
    }

    fn source(&self, way: Way) -> &Source {
        match way {
            Way::Ref | Way::Commit => &self.plain,
            _ => &self.signed,
        }
    }

    /// Serves what a way needs.
    fn serve(&self, way: Way, rule: impl FnMut(&Asked) -> Reaction + Send + 'static) -> FaultyServer {
        let root = &self.source(way).repo;
        let server = FaultyServer::with(root, rule);
        let url = server.url();
        let write = |name: &str, text: String| std::fs::write(root.join(name), text).expect("our own file");
        match way {
            Way::MirrorList => write("list", format!("# mirrors\n{url}\n")),
            Way::Metalink => {
                let bytes = std::fs::read(root.join("summary")).expect("the summary");
                let (size, hash) = (bytes.len(), ostler_format::Checksum::of(&bytes));
                write(
                    "metalink.xml",
                    format!(
                        "<metalink><files><file name=\"summary\"><size>{size}</size><verification><hash type=\"sha256\">{hash}</hash>\
                         </verification><resources><url protocol=\"http\">{url}/summary</url></resources></file></files></metalink>"
                    ),
                );
            }
            _ => {}
        }
        server
    }

    /// Makes a client for a way.
    fn client(&self, name: &str, way: Way, server: &FaultyServer) -> StockRepo {
        let url = server.url();
        let url = match way {
            Way::MirrorList => format!("mirrorlist={url}/list"),
            Way::Metalink => format!("metalink={url}/metalink.xml"),
            _ => url,
        };
        let path = self.directory.path().join(name);
        self.source(way).client(Who::Stock, &path, "bare-user", &url)
    }

    /// Asserts that all is there, and nothing else.
    #[track_caller]
    fn assert_pulled(&self, client: &StockRepo, way: Way, about: &str) {
        let source = self.source(way);
        assert_eq!(client.rev_parse("origin:os/stable"), source.new, "{about}");
        client.fsck();
        assert_eq!(strays(client.path()), Vec::<String>::new(), "{about}");
    }
}

/// Returns a pull of ours within the memory.
fn pull(client: &Path, way: Way, source: &Source, options: &[&str]) -> Command {
    let mut pull = command("prlimit");
    pull.arg(format!("--data={MEMORY}"))
        .arg(OSTLER)
        .arg(format!("--repo={}", client.display()))
        .args(["pull", "--disable-fsync"])
        .args(options)
        .env("OSTREE_DUMMY_SIGN_ENABLED", "1");
    if way != Way::Delta {
        pull.arg("--disable-static-deltas");
    }
    let target = match way {
        Way::Commit => format!("os/stable@{}", source.new),
        _ => "os/stable".to_owned(),
    };
    pull.args(["origin", &target]);
    pull
}

#[test]
fn what_fails_once_for_every_file_is_tried_again() {
    let scene = Scene::new();
    let reactions = [
        Reaction::status(503),
        Reaction::status(408),
        Reaction::Close,
        Reaction::CutAt(0),
        Reaction::CutAt(7),
        Reaction::CutAt(100),
        Reaction::WrongLength(9),
        Reaction::Raw(b"nonsense\r\n\r\n".to_vec()),
        Reaction::Slow(64, Duration::from_micros(100)),
    ];
    for (number, reaction) in reactions.into_iter().enumerate() {
        // Most of the time they wait before another try.
        thread::scope(|scope| {
            for way in WAYS {
                // A metalink says how large the summary is, and may lead elsewhere.
                if way == Way::Metalink && matches!(reaction, Reaction::WrongLength(_)) {
                    continue;
                }
                let (scene, reaction) = (&scene, reaction.clone());
                scope.spawn(move || {
                    let about = format!("{way:?} {reaction:?}");
                    let server = scene.serve(way, move |asked| match asked.before {
                        0 => reaction.clone(),
                        _ => Reaction::Serve,
                    });
                    let client = scene.client(&format!("{way:?}{number}"), way, &server);
                    run(&mut pull(client.path(), way, scene.source(way), &[]));
                    scene.assert_pulled(&client, way, &about);
                });
            }
        });
    }
}

/// Has one kind of file fail for good in one way.
fn fails_for_good(scene: &Scene, file: &File, reaction: &Reaction) {
    let about = format!("{} {reaction:?}", file.name);
    let (name, told) = (file.name, reaction.clone());
    let server = scene.serve(file.way, move |asked| {
        if asked.path.ends_with(name) {
            told.clone()
        } else {
            Reaction::Serve
        }
    });
    let client = scene.client(&name.replace('/', "-"), file.way, &server);
    let source = scene.source(file.way);
    let options = [
        "--network-retries=1",
        "--low-speed-limit-bytes=1",
        "--low-speed-time-seconds=1",
    ];

    let mut pulling = pull(client.path(), file.way, source, &options);
    let output = attempt(&mut pulling);

    assert!(server.paths().iter().any(|path| path.ends_with(name)), "{about}");
    let ended = describe(&pulling, &output);
    if file.optional {
        assert!(output.status.success(), "{about}: {ended}");
    } else {
        assert_eq!(output.status.code(), Some(1), "{about}: {ended}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("error: ") && said.len() < 2000, "{about}: {said}");
        assert_eq!(client.refs(), Vec::<String>::new(), "{about}");
        assert_eq!(objects(client.path()), "", "{about}");
        server.set_rule(|_| Reaction::Serve);
        run(&mut pull(client.path(), file.way, source, &[]));
    }
    scene.assert_pulled(&client, file.way, &about);
    std::fs::remove_dir_all(client.path()).expect("our own client");
}

/// Lists what is in place.
fn objects(repo: &Path) -> String {
    run(command("find").arg(repo.join("objects")).args(["-type", "f"]))
}

/// Has each kind of file fail for good.
#[track_caller]
fn all_fail_for_good(reactions: &[Reaction]) {
    let scene = Scene::new();
    // Most of the time they wait before another try.
    thread::scope(|scope| {
        for file in &FILES {
            let scene = &scene;
            scope.spawn(move || {
                for reaction in reactions {
                    fails_for_good(scene, file, reaction);
                }
            });
        }
    });
}

#[test]
fn what_is_not_there_is_told_or_done_without() {
    all_fail_for_good(&[Reaction::status(404), Reaction::status(401)]);
}

#[test]
fn what_fails_again_and_again_is_told_or_done_without() {
    all_fail_for_good(&[
        Reaction::status(500),
        Reaction::CutAt(1),
        Reaction::WrongLength(9),
    ]);
}

#[test]
fn what_is_something_else_is_told_or_done_without() {
    let page = |times| Reaction::Bytes("<html>please log in</html>\n".repeat(times).into_bytes());
    all_fail_for_good(&[page(1), page(1000)]);
}

#[test]
fn what_never_comes_is_told_or_done_without() {
    all_fail_for_good(&[Reaction::Hang]);
}

#[test]
fn what_never_ends_is_told_or_done_without() {
    let scene = Scene::new();
    // Of content there may be as much as there is room for.
    for file in FILES.iter().filter(|file| file.name != ".filez") {
        fails_for_good(&scene, file, &Reaction::Endless);
    }
}

#[test]
fn content_without_end_ends_where_the_room_does() {
    let scene = Scene::new();
    let disk = Disk::create(48);
    let server = scene.serve(Way::Objects, |asked| {
        if asked.path.contains(".filez") {
            Reaction::Endless
        } else {
            Reaction::Serve
        }
    });
    let client: PathBuf = disk.path().join("client");
    let client = scene
        .signed
        .client(Who::Stock, &client, "bare-user", &server.url());

    let mut pulling = pull(client.path(), Way::Objects, &scene.signed, &[]);
    let output = attempt(&mut pulling);

    assert_eq!(output.status.code(), Some(1), "{}", describe(&pulling, &output));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(".filez"), "{said}");
    assert_eq!(client.refs(), Vec::<String>::new());
    server.set_rule(|_| Reaction::Serve);
    run(&mut pull(client.path(), Way::Objects, &scene.signed, &[]));
    scene.assert_pulled(&client, Way::Objects, "room again");
}
