//! Pushes to a far end with nothing but stock tools, which pulls back through a real ssh server.

use crate::programs::ostler;
use crate::publish_scene::{advance, make_source};
use ostler_testkit::command::{describe, run};
use ostler_testkit::oracle::{assert_sound, strays};
use ostler_testkit::sshd::Sshd;
use ostler_testkit::stock::StockRepo;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A source, a repository to push to, and a server whose one key may do all.
struct Scene {
    directory: TempDir,
    source: StockRepo,
    target: StockRepo,
    sshd: Sshd,
}

impl Scene {
    fn new(mode: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let source = make_source(path);
        let target = StockRepo::init(&path.join("far repo"), mode);
        Self {
            source,
            target,
            sshd: Sshd::start(&[("all", "")]),
            directory,
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn push(&self, arguments: &[&str]) -> Command {
        let mut command = ostler(self.path());
        let place = format!("127.0.0.1:{}", self.target.path().display());
        command.args(["--repo=source", "push", "--via=tunnel", &place]);
        self.sshd.reach(&mut command, "all");
        command.args(arguments);
        command
    }

    /// Pushes past the ostree-receive that may be there.
    #[track_caller]
    fn pushed(&self, arguments: &[&str]) -> String {
        let mut push = self.push(&["--command=ostree"]);
        push.args(arguments);
        let output = push.output().unwrap();
        let log = self.sshd.log();
        assert!(output.status.success(), "{}\n{log}", describe(&push, &output));
        self.assert_nothing_left();
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn refused(&self, arguments: &[&str]) -> String {
        let mut push = self.push(&["--command=ostree"]);
        push.args(arguments);
        let Output {
            status,
            stdout,
            stderr,
        } = push.output().unwrap();
        assert_eq!(status.code(), Some(1));
        self.assert_nothing_left();
        String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap()
    }

    #[track_caller]
    fn assert_nothing_left(&self) {
        assert_eq!(self.tunnels(), Vec::<PathBuf>::new());
    }

    /// Returns what a push keeps at the far end while it runs.
    fn tunnels(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.target.path().join("tmp")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let is_ours = |path: &PathBuf| path.to_string_lossy().contains("ostler-tunnel-");
        paths.filter(is_ours).collect()
    }
}

#[test]
fn stock_pulls_back_what_is_pushed_and_checksums_stay() {
    let scene = Scene::new("archive");
    let printed = scene.pushed(&[]);
    assert!(printed.contains("pushed 2 refs to 127.0.0.1:"), "{printed}");
    assert_eq!(scene.target.refs(), scene.source.refs());
    assert_sound(scene.target.path());
    assert!(scene.target.path().join("summary").exists());
    advance(&scene.source, scene.path());
    let printed = scene.pushed(&["os/a", "--delete=os/b", "--json"]);
    assert!(printed.contains(r#""result":"accepted""#), "{printed}");
    assert_eq!(scene.target.refs(), ["os/a"]);
    assert_eq!(scene.target.rev_parse("os/a"), scene.source.rev_parse("os/a"));
    assert_sound(scene.target.path());
    assert_eq!(strays(scene.target.path()), Vec::<String>::new());
    let printed = scene.pushed(&["os/a"]);
    assert!(printed.contains("is up to date"), "{printed}");
}

#[test]
fn repositories_of_any_mode_push_to_any_mode() {
    let scene = Scene::new("bare-user");
    let bare = StockRepo::init(&scene.path().join("bare"), "bare-user");
    bare.run(&["pull-local", scene.source.path().to_str().unwrap()]);
    let push = scene.push(&["--command=ostree", "os/a"]);
    let mut from_bare = ostler(scene.path());
    let arguments = push.get_args().map(|argument| {
        if argument == "--repo=source" {
            "--repo=bare".as_ref()
        } else {
            argument
        }
    });
    let _printed = run(from_bare.args(arguments));
    assert_eq!(scene.target.rev_parse("os/a"), scene.source.rev_parse("os/a"));
    scene.target.fsck();
}

#[test]
fn what_is_no_fast_forward_is_refused_before_anything_is_sent() {
    let scene = Scene::new("archive");
    scene.pushed(&[]);
    let before = scene.target.rev_parse("os/a");
    let told = scene.refused(&["os/b:os/a"]);
    assert!(told.contains("would not be a fast-forward"), "{told}");
    assert!(told.contains("nothing was pushed to"), "{told}");
    assert_eq!(scene.target.rev_parse("os/a"), before);
    advance(&scene.source, scene.path());
    let printed = scene.pushed(&["os/a", "--dry-run"]);
    assert!(printed.starts_with("'os/a' would be moved from "), "{printed}");
    assert_eq!(scene.target.rev_parse("os/a"), before);
}

fn rename(from: &Path, to: &Path) {
    let _printed = run(Command::new("mv").arg(from).arg(to));
}

#[test]
fn what_is_wrong_at_the_far_end_is_told_once() {
    let scene = Scene::new("archive");
    let told = scene.refused(&["--command=/nowhere/ostree"]);
    assert_eq!(
        told.matches("there is no program /nowhere/ostree").count(),
        1,
        "{told}"
    );
    let away = scene.path().join("away");
    rename(scene.target.path(), &away);
    let mut push = scene.push(&[]);
    let output = push.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("the far end gave up: there is no directory"),
        "{told}"
    );
    rename(&away, scene.target.path());
}

#[test]
fn words_that_a_shell_would_obey_are_only_words() {
    let mut scene = Scene::new("archive");
    let odd = scene.path().join("it's $(touch pwned) ; `touch pwned`");
    rename(scene.target.path(), &odd);
    scene.target = StockRepo::open(&odd);
    scene.pushed(&["os/a"]);
    assert_eq!(scene.target.rev_parse("os/a"), scene.source.rev_parse("os/a"));
    assert!(!scene.path().join("pwned").exists() && !odd.join("pwned").exists());
}

#[test]
fn ostree_receive_commits_anew_and_that_is_said() {
    let scene = Scene::new("archive");
    // What it binds commits to.
    scene
        .target
        .run(&["config", "set", "core.collection-id", "org.example.Far"]);
    let push = |arguments: &[&str]| {
        let mut push = scene.push(arguments);
        let output = push.output().unwrap();
        assert!(output.status.success(), "{}", describe(&push, &output));
        scene.assert_nothing_left();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    let told = push(&["os/a"]);
    assert!(told.contains("ostree-receive made commits of its own"), "{told}");
    let commit = scene.target.rev_parse("os/a");
    assert_ne!(commit, scene.source.rev_parse("os/a"));
    assert!(told.contains(&format!("'os/a' created at {commit}")), "{told}");
    scene.target.fsck();
    let tree = |repo: &StockRepo| repo.run(&["ls", "-RC", "os/a"]);
    assert_eq!(tree(&scene.target), tree(&scene.source));
    let told = push(&["os/a"]);
    assert!(told.contains("is up to date"), "{told}");
    let told = scene.push(&["--delete=os/a"]).output().unwrap();
    let told = String::from_utf8(told.stderr).unwrap();
    assert!(told.contains("deletes no refs"), "{told}");
}

/// Makes a stand-in for `ostree` at the far end that runs `script` where it is to pull.
fn stand_in(scene: &Scene, script: &str) -> PathBuf {
    let path = scene.path().join("ostree-far");
    let text = format!("#!/bin/sh\ncase $1 in pull) {script};; esac\nexec ostree \"$@\"\n");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn the_secret_is_in_no_command_line_and_nothing_is_served_without_it() {
    let scene = Scene::new("archive");
    let (lines, url) = (scene.path().join("lines"), scene.path().join("url"));
    let look = format!(
        "cat /proc/[0-9]*/cmdline >{} 2>/dev/null; sed -n s/^url=//p tmp/ostler-tunnel-*/repo/config >{}; \
         stat -c %a tmp/ostler-tunnel-* >>{}",
        lines.display(),
        url.display(),
        url.display()
    );
    let program = stand_in(&scene, &look);
    let told = scene.pushed(&["os/a", &format!("--command={}", program.display())]);
    assert!(told.contains("pushed 1 ref"), "{told}");
    let seen = fs::read_to_string(url).unwrap();
    let (url, mode) = seen.trim().split_once('\n').unwrap();
    let secret = url.rsplit('/').next().unwrap();
    assert_eq!(secret.len(), 32, "{url}");
    assert_eq!(mode, "700");
    let lines = fs::read(lines).unwrap();
    assert!(!lines.is_empty());
    assert!(!String::from_utf8_lossy(&lines).contains(secret));
}

/// Returns the processes whose command line has a text in it.
fn processes_with(text: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap();
    let lines = processes.filter_map(|entry| fs::read(entry.unwrap().path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(text)).collect()
}

/// Waits for something that others bring about.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = std::time::Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < std::time::Duration::from_secs(60), "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn killed_at_any_moment_it_leaves_no_process_and_the_next_push_converges() {
    let scene = Scene::new("archive");
    let gate = scene.path().join("gate");
    let program = stand_in(
        &scene,
        &format!("echo >{0}.reached; read -r line <{0}", gate.display()),
    );
    for signal in ["KILL", "TERM"] {
        let _made = run(Command::new("mkfifo").arg(&gate));
        let mut push = scene.push(&["os/a", &format!("--command={}", program.display())]);
        let mut push = push.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let reached = scene.path().join("gate.reached");
        until("nobody pulls", || reached.exists());
        let _killed = run(Command::new("kill").args([&format!("-{signal}"), &push.id().to_string()]));
        let _status = push.wait().unwrap();
        // The far end goes on, and finds nobody to pull from.
        fs::write(&gate, "\n").unwrap();
        let port = format!("-p {}", scene.sshd.port());
        until("ssh is left", || processes_with(&port).is_empty());
        until("the far end is left", || scene.tunnels().is_empty());
        assert_eq!(scene.target.refs(), Vec::<String>::new(), "{signal}");
        fs::remove_file(&reached).unwrap();
        fs::remove_file(&gate).unwrap();
    }
    // What a far end leaves that is killed itself goes with the next push.
    let host = run(Command::new("uname").arg("-n"));
    let old = scene
        .target
        .path()
        .join(format!("tmp/ostler-tunnel-{}-999999999", host.trim()));
    fs::create_dir(&old).unwrap();
    scene.pushed(&["os/a"]);
    assert_sound(scene.target.path());
}
