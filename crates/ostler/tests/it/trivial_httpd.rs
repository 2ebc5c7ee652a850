//! `trivial-httpd` as scripts start it.

use crate::programs::OSTLER;
use ostler_testkit::command::{attempt, command, run};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Starts a server in the background, which ends with its directory; returns what was printed.
fn start(directory: &Path, options: &[&str]) -> String {
    let mut server = command(OSTLER);
    server
        .current_dir(directory)
        .args([
            "trivial-httpd",
            "--daemonize",
            "--autoexit",
            "--address=127.0.0.1",
        ])
        .args(options);
    run(&mut server)
}

/// Waits until nobody listens at the port any more.
fn ended(port: &str) {
    let until = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(format!("127.0.0.1:{port}")).is_ok() {
        assert!(Instant::now() < until, "the server goes on without its directory");
        std::thread::yield_now();
    }
}

#[test]
fn stock_pulls_from_the_server_in_the_background_which_ends_with_its_directory() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("srv")).unwrap();
    let repo = StockRepo::init(&dir.path().join("srv/repo"), "archive");
    Tree::at(&dir.path().join("tree")).file("a", "hello\n", 0o644);
    repo.commit_with("main", &dir.path().join("tree"), &[]);
    let root = dir.path().join("httpd");
    fs::create_dir(&root).unwrap();
    std::os::unix::fs::symlink(dir.path().join("srv"), root.join("ostree")).unwrap();

    let printed = start(&root, &["--log-file=log", "-p", "../port"]);

    assert_eq!(printed, "");
    let port = fs::read_to_string(dir.path().join("port")).unwrap();
    let port = port.trim_end();
    let client = StockRepo::init(&dir.path().join("client"), "bare-user");
    let url = format!("http://127.0.0.1:{port}/ostree/repo");
    client.run(&["remote", "add", "--no-gpg-verify", "origin", &url]);
    client.run(&["pull", "origin", "main"]);
    let log = fs::read_to_string(root.join("log")).unwrap();
    assert!(log.contains(" - serving /ostree/repo/refs/heads/main\n"), "{log}");
    assert!(log.contains(" -   status: OK (200)\n"), "{log}");
    fs::remove_dir_all(&root).unwrap();
    ended(port);
}

#[test]
fn port_is_printed_by_the_process_that_ends() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    // To its end: the output must be closed though the server goes on.
    let port = start(&root, &["-p", "-"]);
    let port = port.trim_end();
    assert!(TcpStream::connect(format!("127.0.0.1:{port}")).is_ok());
    fs::remove_dir(&root).unwrap();
    ended(port);
}

#[test]
fn what_cannot_be_served_is_told_also_from_the_background() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (arguments, said) in [
        (&["-d", "absent"][..], "cannot open directory absent"),
        (&["absent"], "cannot open directory absent"),
        (&["-d", "--address=127.0.0.1", "-P", &port], "cannot listen at"),
        (&["--random-500s=100"], "Invalid --random-500s=100"),
        (&["-d", "--log-file=-"], "Cannot use --log-file=- and --daemonize"),
        (&["--expected-header=a"], "not KEY=VALUE"),
    ] {
        let mut server = command(OSTLER);
        server
            .current_dir(dir.path())
            .arg("trivial-httpd")
            .args(arguments);
        let output = attempt(&mut server);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && errors.contains(said),
            "{arguments:?}: {errors}"
        );
    }
}
