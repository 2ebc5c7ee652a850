//! `remote refs`, `remote summary` and the commands about cookies beside stock.

use crate::programs::{OSTLER, link};
use ostler_testkit::command::{attempt, command, run};
use ostler_testkit::faulty_server::FaultyServer;
use ostler_testkit::stock::StockRepo;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use tempfile::TempDir;

struct Scene {
    directory: TempDir,
    server: FaultyServer,
    link: PathBuf,
}

impl Scene {
    /// A served repository with two refs and a summary, and one that has it as `origin`.
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let served = StockRepo::init(&directory.path().join("served"), "archive");
        let tree = directory.path().join("tree");
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("file"), "x").unwrap();
        served.commit_with("os/b", &tree, &["--add-metadata-string=version=1.2"]);
        served.commit("os/a", &tree);
        served.run(&["summary", "-u"]);
        let server = FaultyServer::serve(served.path());
        let client = StockRepo::init(&directory.path().join("repo"), "archive");
        client.run(&["remote", "add", "--no-gpg-verify", "origin", &server.url()]);
        let link = link(directory.path());
        Self {
            directory,
            server,
            link,
        }
    }

    fn run(&self, program: impl AsRef<Path>, arguments: &str) -> Output {
        let words = arguments.split(' ').map(|word| word.replace('~', " "));
        attempt(
            command(program.as_ref())
                .current_dir(self.directory.path())
                .args(words),
        )
    }

    /// Runs it with stock and with us by both names: the same output and the same end.
    #[track_caller]
    fn same(&self, arguments: &str) -> String {
        let [stock, linked, own] = [Path::new("/usr/bin/ostree"), &self.link, Path::new(OSTLER)]
            .map(|program| self.run(program, arguments));
        for ours in [&linked, &own] {
            assert_eq!(
                String::from_utf8_lossy(&ours.stdout),
                String::from_utf8_lossy(&stock.stdout),
                "{arguments}: {ours:?}"
            );
            assert_eq!(
                ours.status.success(),
                stock.status.success(),
                "{arguments}: {ours:?}"
            );
        }
        String::from_utf8(own.stdout).unwrap()
    }
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn refs_and_summary_are_printed_as_by_stock() {
    let scene = Scene::new();
    assert_eq!(
        scene.same("--repo=repo remote refs origin"),
        "origin:os/a\norigin:os/b\n"
    );
    assert!(
        scene
            .same("--repo=repo remote summary origin")
            .contains("Version (ostree.commit.version): 1.2")
    );
    scene.same("--repo=repo remote summary --raw origin");
    let local = format!("file://{}", scene.directory.path().join("served").display());
    scene.same(&format!("--repo=repo remote refs {local}"));
    let printed = |arguments: &str| String::from_utf8(scene.run(OSTLER, arguments).stdout).unwrap();
    let commit = StockRepo::open(&scene.directory.path().join("served")).rev_parse("os/a");
    assert!(printed("--repo=repo remote refs -r origin").starts_with(&format!("origin:os/a\t{commit}\n")));
    let json = printed("--repo=repo --json remote refs origin");
    assert!(json.starts_with(&format!(
        "{{\"remote\":\"origin\",\"ref\":\"os/a\",\"commit\":\"{commit}\"}}\n"
    )));
    assert_eq!(
        printed("--repo=repo remote summary --print-metadata-key=ostree.summary.mode origin"),
        "'archive-z2'\n"
    );
    assert!(
        printed("--repo=repo remote summary --list-metadata-keys origin")
            .contains("ostree.summary.last-modified\n")
    );
}

#[test]
fn what_is_missing_is_told_in_the_words_of_stock() {
    let scene = Scene::new();
    fs::remove_file(scene.directory.path().join("served/summary")).unwrap();
    for (arguments, told) in [
        (
            "remote refs origin",
            "Remote refs not available; server has no summary file",
        ),
        ("remote summary origin", "Remote server has no summary file"),
        ("remote refs nope", "Remote \"nope\" not found"),
        ("remote delete-cookie origin h / none", "Cookie not found in jar"),
        ("remote refs", "NAME must be specified"),
        ("remote summary", "NAME must be specified"),
        (
            "remote add-cookie a b",
            "NAME, DOMAIN, PATH, COOKIE_NAME and VALUE must be specified",
        ),
        (
            "remote delete-cookie a b",
            "NAME, DOMAIN, PATH and COOKIE_NAME must be specified",
        ),
        ("remote list-cookies", "NAME must be specified"),
    ] {
        let arguments = format!("--repo=repo {arguments}");
        for program in [Path::new("/usr/bin/ostree"), &scene.link] {
            let output = scene.run(program, &arguments);
            assert!(!output.status.success(), "{arguments}");
            assert!(
                error(&output).contains(&format!("error: {told}\n")),
                "{arguments}: {output:?}"
            );
        }
    }
}

#[test]
fn a_summary_that_must_be_signed_is_not_taken_without() {
    let scene = Scene::new();
    let config = scene.directory.path().join("repo/config");
    let text = fs::read_to_string(&config).unwrap() + "gpg-verify-summary=true\n";
    fs::write(&config, text).unwrap();
    for remove in [false, true] {
        if remove {
            fs::remove_file(scene.directory.path().join("served/summary")).unwrap();
        }
        for program in [Path::new("/usr/bin/ostree"), &scene.link, Path::new(OSTLER)] {
            let output = scene.run(program, "--repo=repo remote refs origin");
            assert!(!output.status.success() && output.stdout.is_empty());
            assert!(
                error(&output).contains("GPG verification enabled, but no summary"),
                "{output:?}"
            );
        }
    }
}

#[test]
fn cookies_are_written_as_by_stock_and_sent() {
    let scene = Scene::new();
    let jar = scene.directory.path().join("repo/origin.cookies.txt");
    // The last field but two is the time.
    let lines = || -> Vec<String> {
        let text = fs::read_to_string(&jar).unwrap();
        let timeless = |line: &str| {
            let mut fields: Vec<&str> = line.split('\t').collect();
            fields[4] = "time";
            fields.join("\t")
        };
        text.lines().map(timeless).collect()
    };
    let mut seen = Vec::new();
    for program in [Path::new("/usr/bin/ostree"), Path::new(OSTLER)] {
        for arguments in [
            "add-cookie origin 127.0.0.1 / one 1",
            "add-cookie origin .example.org /path two a~b",
            "add-cookie origin 127.0.0.1 / three 3",
            "delete-cookie origin 127.0.0.1 / three",
        ] {
            let output = scene.run(program, &format!("--repo=repo remote {arguments}"));
            assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
        }
        seen.push(lines());
        fs::remove_file(&jar).unwrap();
    }
    assert_eq!(seen[0], seen[1]);

    run(command(OSTLER).current_dir(scene.directory.path()).args([
        "--repo=repo",
        "remote",
        "add-cookie",
        "origin",
        "127.0.0.1",
        "/",
        "one",
        "1",
    ]));
    // Stock looks for the file in the directory in which it runs.
    let inside = |program: &Path| {
        let mut command = command(program);
        command.current_dir(scene.directory.path().join("repo"));
        run(command.args(["--repo=.", "remote", "list-cookies", "origin"]))
    };
    assert_eq!(inside(Path::new(OSTLER)), inside(Path::new("/usr/bin/ostree")));
    for program in [Path::new(OSTLER), Path::new("/usr/bin/ostree")] {
        scene.server.forget();
        assert!(
            scene
                .run(program, "--repo=repo remote refs origin")
                .status
                .success()
        );
        for asked in scene.server.asked() {
            assert_eq!(asked.header("cookie"), Some("one=1"));
        }
    }
    let bad = scene.run(OSTLER, "--repo=repo remote add-cookie origin h / name a;b");
    assert!(!bad.status.success());
}

#[test]
fn a_cache_directory_is_filled_only_with_signed_summaries() {
    let scene = Scene::new();
    let cache = scene.directory.path().join("cache");
    fs::create_dir(&cache).unwrap();
    let arguments = "--repo=repo remote refs --cache-dir=cache origin";
    assert!(scene.run(OSTLER, arguments).status.success());
    assert!(!cache.join("summaries/origin").exists());
    fs::write(scene.directory.path().join("served/summary.sig"), "").unwrap();
    assert!(scene.run(OSTLER, arguments).status.success());
    assert!(cache.join("summaries/origin").is_file() && cache.join("summaries/origin.sig").is_file());
    scene.server.forget();
    assert!(scene.run(OSTLER, arguments).status.success());
    assert_eq!(scene.server.paths(), ["/summary.sig"]);
}
