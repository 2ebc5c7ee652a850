//! Pulls that are cut short, and several at once.

use super::scene::{Scene, pull_from};
use crate::programs::ostler;
use ostler_testkit::command::{describe, run};
use ostler_testkit::faulty_server::{FaultyServer, Reaction};
use ostler_testkit::oracle::strays;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::strace::{Kind, for_each_fault, run_with_fault};
use ostler_testkit::tree::Tree;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::process::{Command, Stdio};

/// The calls around which something of a pull becomes visible.
const CALLS: &[&str] = &[
    "linkat",
    "renameat",
    "renameat2",
    "mkdirat",
    "unlinkat",
    "syncfs",
    "fsync",
    "fdatasync",
];

/// A scene whose `os/stable` has little in it.
fn small_scene() -> Scene {
    let scene = Scene::new();
    let path = scene.path("small");
    Tree::at(&path)
        .file("a", "1\n", 0o644)
        .file("b/c", "2\n", 0o755)
        .symlink("b/d", "c");
    scene
        .served()
        .commit_with("os/small", &path, &["--owner-uid=0", "--owner-gid=0"]);
    scene
}

fn command(scene: &Scene) -> Command {
    let mut command = ostler(scene.directory.path());
    command.args(["--repo=client", "pull", "origin", "os/small"]);
    command
}

#[test]
fn a_pull_killed_at_any_call_is_finished_by_the_next_of_either_tool() {
    let scene = small_scene();
    let commit = scene.served().rev_parse("os/small");
    let mut turn = 0_u32;
    for syscall in CALLS {
        for_each_fault(syscall, Kind::Kill, 60, |fault| {
            if scene.path("client").exists() {
                fs::remove_dir_all(scene.path("client")).unwrap();
            }
            let client = StockRepo::init(&scene.path("client"), "bare-user");
            client.run(&["remote", "add", "--no-gpg-verify", "origin", &scene.nginx.url()]);

            let killed = run_with_fault(&command(&scene), fault);

            // The commit may be partial, and is marked so then.
            client.run(&["fsck"]);
            for reference in client.refs() {
                client.run(&["ls", "-R", "-C", &reference]);
            }
            turn += 1;
            if turn.is_multiple_of(2) {
                client.run(&["pull", "origin", "os/small"]);
            } else {
                pull_from(&scene, "client", &["origin", "os/small"]).expect("nothing is in the way");
                // Whoever changes refs next removes the lock that a killed process left.
                let mut strays = strays(client.path());
                strays.retain(|stray| stray != "tmp/ostler-refs-lock");
                assert_eq!(strays, Vec::<String>::new(), "{fault:?}");
            }
            assert_eq!(client.rev_parse("origin:os/small"), commit, "{fault:?}");
            client.fsck();
            let mark = client.path().join(format!("state/{commit}.commitpartial"));
            assert!(!mark.exists(), "{fault:?}");
            killed
        });
    }
}

#[test]
fn eight_pulls_at_once_into_one_repository_all_succeed() {
    let scene = Scene::new();
    let client = scene.client("client", "bare-user");
    let running: Vec<_> = (0..8)
        .map(|number| {
            let mut command = ostler(scene.directory.path());
            let branch = if number % 2 == 0 { "os/stable" } else { "app" };
            command.args(["--repo=client", "pull", "origin", branch]);
            let child = command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("ours");
            (command, child)
        })
        .collect();
    let mut outputs = Vec::new();
    for (command, child) in running {
        let output = child.wait_with_output().expect("our own child");
        outputs.push((output.status.success(), describe(&command, &output)));
    }
    // A ref that another pull has set meanwhile to the same commit is no conflict.
    for (succeeded, text) in outputs {
        assert!(succeeded, "{text}");
    }
    client.fsck();
    assert_eq!(client.refs().len(), 2);
    let _again = run(ostler(scene.directory.path()).args(["--repo=client", "pull", "origin", "app"]));
    assert_eq!(strays(client.path()), Vec::<String>::new());
}

#[test]
fn a_pull_that_a_signal_ends_says_how_to_go_on_and_has_the_status_of_one() {
    let scene = small_scene();
    let (sender, asked_for_content) = std::sync::mpsc::channel();
    let server = FaultyServer::with(&scene.path("served"), move |asked| {
        if asked.path.contains(".filez") {
            let _sent = sender.send(());
            Reaction::Hang
        } else {
            Reaction::Serve
        }
    });
    let client = StockRepo::init(&scene.path("client"), "archive");
    client.run(&["remote", "add", "--no-gpg-verify", "origin", &server.url()]);
    let mut pull = command(&scene);
    let pull = pull.stderr(Stdio::piped()).spawn().unwrap();
    asked_for_content.recv().unwrap();

    kill_process(Pid::from_child(&pull), Signal::TERM).unwrap();

    let ended = pull.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(130), "{said}");
    assert!(said.contains("the same command goes on"), "{said}");
    assert_eq!(client.refs(), Vec::<String>::new());
}
