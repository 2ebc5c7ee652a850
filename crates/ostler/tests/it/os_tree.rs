//! A real operating system, all the way: two versions of a Debian are committed by us, published by us, served by
//! nginx, pulled and checked out by a stock client, and must come out as they went in.

use crate::programs::ostler;
use ostler_testkit::client::Client;
use ostler_testkit::command::run;
use ostler_testkit::listing::{assert_same_files, listing};
use ostler_testkit::nginx::Nginx;
use ostler_testkit::oracle::assert_sound;
use ostler_testkit::{debian, disk};
use std::path::Path;
use std::time::Instant;
use tempfile::TempDir;

/// The branch that the system is published under.
const BRANCH: &str = "debian/stable";

/// Does a step and prints how long it took.
#[track_caller]
fn timed<T>(step: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    println!("{:8.2} s  {step}", start.elapsed().as_secs_f64());
    done
}

#[test]
fn an_operating_system_reaches_its_users_unchanged() {
    assert!(
        disk::is_root(),
        "only root can install a system and check one out"
    );
    let versions = timed("make (or find) two versions of Debian", || {
        debian::versions(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian"))
    });
    // On the file system of the versions, which is the one with room.
    let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let public = directory.path().join("public");
    run(ostler(directory.path()).args(["--repo=private", "init", "--mode=archive"]));
    run(ostler(directory.path()).args(["--repo=public", "init", "--mode=archive"]));
    let server = Nginx::serve(&public);
    let client = Client::of(&server.url());

    let mut commits = Vec::new();
    for (number, root) in [&versions.first, &versions.second].into_iter().enumerate() {
        let name = format!("version {}: ", number + 1);
        let step = |text: &str| format!("{name}{text}");
        println!("{name}{} files and directories", listing(root).len());
        let commit = timed(&step("ostler commit"), || {
            let time = format!("--timestamp=@{}", 1_700_000_000 + number);
            let version = format!("--add-metadata-string=version={}", number + 1);
            run(ostler(directory.path())
                .args(["--repo=private", "commit", "-b", BRANCH, &time, &version])
                .arg(root))
        });
        let commit = commit.trim().to_owned();
        timed(&step("ostler publish"), || {
            run(ostler(directory.path()).args(["--repo=private", "publish", "public"]))
        });
        server.forget_requests();
        let pulled = timed(&step("stock pull over HTTP, and fsck"), || client.pull(BRANCH));
        assert_eq!(pulled, commit);
        let fetched = server.requests();
        println!("{name}{} requests", fetched.len());
        assert!(
            fetched
                .iter()
                .all(|request| request.starts_with("200") || may_be_missing(request)),
            "{fetched:?}"
        );
        let checkout = client.directory().join(format!("checkout{number}"));
        timed(&step("stock checkout"), || {
            client.repo().checkout(&commit, &checkout);
        });
        timed(&step("comparison"), || assert_same_files(root, &checkout));
        commits.push(commit);
    }

    let history = client
        .repo()
        .attempt(&["rev-parse", &format!("origin:{BRANCH}^")]);
    assert_eq!(String::from_utf8_lossy(&history.stdout).trim(), commits[0]);
    assert_sound(&public);
    assert_sound(&directory.path().join("private"));
    let again = timed("ostler publish with nothing to do", || {
        run(ostler(directory.path()).args(["--repo=private", "publish", "public"]))
    });
    println!("{again}");
    let old = directory.path().join("old");
    timed("ostler checkout of the first from the public repository", || {
        run(ostler(directory.path())
            .args(["--repo=public", "checkout", &commits[0]])
            .arg(&old))
    });
    assert_same_files(&versions.first, &old);
}

/// Returns whether a client asks for this though most repositories have none.
fn may_be_missing(request: &str) -> bool {
    const MAYBE: [&str; 5] = [
        "/summary",
        "/summary.sig",
        ".commitmeta",
        "/deltas/",
        "/delta-indexes/",
    ];
    request.starts_with("404") && MAYBE.iter().any(|name| request.contains(name))
}
