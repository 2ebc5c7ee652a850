//! Pulls that are cut short, and several at once.

use super::exchange::program;
use super::scene;
use super::unfinished::{Case, DELTA, MIRROR, OBJECTS, Scene};
use crate::interop::{BOTH, Who};
use crate::programs::ostler;
use ostler_testkit::command::{describe, run};
use ostler_testkit::faulty_server::{FaultyServer, Reaction};
use ostler_testkit::oracle::strays;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::strace::{Kind, for_each_fault, run_with_fault};
use rustix::process::{Pid, Signal, kill_process};
use std::process::Stdio;

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

/// Kills a pull of ours at each call around which something becomes visible, and has either tool finish it.
#[track_caller]
fn finished_by_either_tool(case: &Case) {
    let scene = Scene::of(case);
    let mut turn = 0_usize;
    for syscall in CALLS {
        for_each_fault(syscall, Kind::Kill, 60, |fault| {
            scene.renew_client();

            let killed = run_with_fault(&program(Who::Ours, &scene.client(), case.pull), fault);

            scene.assert_nothing_half_visible(Who::Ours);
            turn += 1;
            // Whoever changes refs next removes the lock that a killed process left.
            let is_lock = |stray: &str| stray == "tmp/ostler-refs-lock";
            scene.finish(BOTH[turn % 2], is_lock, &format!("{fault:?}"));
            killed
        });
    }
    assert!(turn > CALLS.len(), "some of them are made");
}

#[test]
fn a_pull_killed_at_any_call_is_finished_by_the_next_of_either_tool() {
    finished_by_either_tool(&OBJECTS);
}

#[test]
fn a_pull_from_a_delta_killed_at_any_call_is_finished_by_the_next_of_either_tool() {
    finished_by_either_tool(&DELTA);
}

#[test]
fn mirroring_killed_at_any_call_is_finished_by_the_next_of_either_tool() {
    finished_by_either_tool(&MIRROR);
}

#[test]
fn eight_pulls_at_once_into_one_repository_all_succeed() {
    let scene = scene::Scene::new();
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
    let scene = scene::Scene::new();
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
    let mut pull = ostler(scene.directory.path());
    pull.args(["--repo=client", "pull", "origin", "app"]);
    let pull = pull.stderr(Stdio::piped()).spawn().unwrap();
    asked_for_content.recv().unwrap();

    kill_process(Pid::from_child(&pull), Signal::TERM).unwrap();

    let ended = pull.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(130), "{said}");
    assert!(said.contains("the same command goes on"), "{said}");
    assert_eq!(client.refs(), Vec::<String>::new());
}
