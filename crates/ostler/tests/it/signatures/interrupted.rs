//! Signals while a program signs: it ends with us, and so does all that it has started.

use super::Scene;
use crate::programs::ostler;
use ostler_testkit::command::{command, run};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Two programs that go on for a minute, and hold the pipe `running` open as long as they do.
const SIGNER: &str = "--sign-command=ed25519=exec 3>running; echo running >&3; sleep 60 & sleep 60";

fn pipe(scene: &Scene, name: &str) {
    run(command("mkfifo").arg(scene.path(name)));
}

/// Runs ours until it lets the signer sign, and sends it a signal.
#[track_caller]
fn interrupt(scene: &Scene, mut ours: Command, signal: Signal) {
    let mut child = ours.stderr(Stdio::piped()).spawn().expect("our own program");
    let mut running = BufReader::new(File::open(scene.path("running")).expect("our own pipe"));
    let mut line = String::new();
    running.read_line(&mut line).expect("the signer says so");
    let began = Instant::now();
    kill_process(Pid::from_child(&child), signal).expect("it runs");
    let status = child.wait().expect("it ends");
    running.read_to_end(&mut Vec::new()).expect("our own pipe");
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "nothing of the signer is left"
    );
    let mut said = String::new();
    let mut stderr = child.stderr.take().expect("a pipe");
    stderr.read_to_string(&mut said).expect("text");
    assert_eq!(status.code(), Some(130), "{ours:?}: {said}");
    assert!(said.contains("interrupted"), "{said}");
}

#[test]
fn signals_end_the_program_that_signs_and_nothing_is_changed() {
    let scene = Scene::new("archive");
    pipe(&scene, "running");
    for content in ["1", "2"] {
        scene.write("tree/file", content);
        scene.commit("main", &[]);
        scene.run(&["publish", "pub"]);
    }
    let published = std::fs::read(scene.path("pub/refs/heads/main")).expect("a ref");
    scene.write("tree/file", "3");
    scene.commit("main", &[]);
    for (number, arguments) in [
        &["--repo=repo", "summary", "-u"][..],
        &["--repo=repo", "sign", "main"],
        &["--repo=repo", "commit", "-b", "new", "tree"],
        &["--repo=repo", "static-delta", "generate", "main"],
        &["--repo=repo", "publish", "pub"],
        &["rollback", "pub"],
    ]
    .into_iter()
    .enumerate()
    {
        let mut ours = ostler(scene.directory.path());
        ours.args(arguments).arg(SIGNER);
        let signal = [Signal::INT, Signal::TERM][number % 2];
        interrupt(&scene, ours, signal);
    }
    assert_eq!(scene.stock().refs(), ["main"]);
    assert!(!scene.path("repo/summary.sig").exists() && !scene.path("pub/summary.sig").exists());
    assert!(!scene.path("repo/deltas").exists());
    let now = std::fs::read(scene.path("pub/refs/heads/main")).expect("a ref");
    assert_eq!(now, published);
    scene.run(&["publish", "pub"]);
    scene.stock().fsck();
}

#[test]
fn signals_end_us_at_once_while_no_program_signs() {
    let scene = Scene::new("archive");
    scene.commit("main", &[]);
    pipe(&scene, "keys");
    let mut ours = scene.ours(&["sign", "--sign-command=ed25519=true", "--keys-file=keys", "main"]);
    let mut child = ours.spawn().expect("our own program");
    // Opens when it waits for keys.
    let keys = OpenOptions::new().write(true).open(scene.path("keys"));
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    assert_eq!(
        child.wait().expect("it ends").signal(),
        Some(Signal::TERM.as_raw())
    );
    drop(keys);
}
