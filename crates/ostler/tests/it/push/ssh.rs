//! Pushes through a real ssh server, by keys that may run one command each.

use crate::programs::{OSTLER, ostler};
use crate::publish_scene::{advance, make_source};
use ostler_testkit::command::{describe, run};
use ostler_testkit::oracle::{assert_sound, strays};
use ostler_testkit::sshd::Sshd;
use ostler_testkit::stock::StockRepo;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// A source, a repository below a root, and a server whose keys push there by rules.
struct Scene {
    directory: TempDir,
    source: StockRepo,
    target: StockRepo,
    sshd: Sshd,
}

impl Scene {
    /// The key `ci` may make and fast-forward `os/*`; the key `cut` gets no more than so many bytes across.
    fn new(cut: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let source = make_source(path);
        fs::create_dir(path.join("root")).unwrap();
        let target = StockRepo::init(&path.join("root/os repo"), "archive");
        let rules = path.join("receive.toml");
        let text = format!(
            "root = \"{}/root\"\n[[allow]]\nwho = \"ci\"\nrefs = \"os/*\"\nmay = [\"create\", \"fast-forward\"]\n\
             [[allow]]\nwho = \"ci\"\nrefs = \"test/*\"\nmay = [\"create\", \"delete\"]\n\
             [[require]]\nrefs = \"**\"\nbindings = \"any\"\n",
            path.display()
        );
        fs::write(&rules, text).unwrap();
        let receive = format!("{OSTLER} receive --as=ci --config={}", rules.display());
        let sshd = Sshd::start(&[
            ("ci", &receive),
            ("cut", &format!("dd bs=1 count={cut} status=none | {receive}")),
        ]);
        Self {
            directory,
            source,
            target,
            sshd,
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn push(&self, key: &str, arguments: &[&str]) -> Command {
        self.bring("push", key, arguments)
    }

    fn bring(&self, how: &str, key: &str, arguments: &[&str]) -> Command {
        let mut command = ostler(self.path());
        command.args(["--repo=source", how, "127.0.0.1:os repo"]);
        self.sshd.reach(&mut command, key);
        command.args(arguments);
        command
    }

    #[track_caller]
    fn pushed(&self, arguments: &[&str]) -> String {
        let mut push = self.push("ci", arguments);
        let output = push.output().unwrap();
        let log = self.sshd.log();
        assert!(output.status.success(), "{}\n{log}", describe(&push, &output));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn refused(&self, key: &str, arguments: &[&str]) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = self.push(key, arguments).output().unwrap();
        assert_eq!(status.code(), Some(1));
        String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap()
    }
}

#[test]
fn push_through_ssh_arrives_and_stock_clients_pull_it() {
    let scene = Scene::new(0);
    let printed = scene.pushed(&[]);
    assert!(
        printed.contains("pushed 2 refs to 127.0.0.1:os repo: "),
        "{printed}"
    );
    assert_sound(scene.target.path());
    assert_eq!(scene.target.refs(), scene.source.refs());
    advance(&scene.source, scene.path());
    scene.pushed(&["os/a", "os/b"]);
    assert_sound(scene.target.path());
    let client = StockRepo::init(&scene.path().join("client"), "bare-user");
    let url = format!("file://{}", scene.target.path().display()).replace(' ', "%20");
    client.run(&["remote", "add", "--no-gpg-verify", "origin", &url]);
    client.run(&["pull", "origin", "os/a", "os/b"]);
    assert_eq!(client.rev_parse("origin:os/a"), scene.source.rev_parse("os/a"));
    let history = run(ostler(scene.path()).arg("history").arg(scene.target.path()));
    assert!(history.contains("ci (from 127.0.0.1)"), "{history}");
    assert_eq!(scene.pushed(&[]), "127.0.0.1:os repo is up to date\n");
}

#[test]
fn what_the_rules_do_not_allow_is_refused_with_a_reason() {
    let scene = Scene::new(0);
    scene.pushed(&[]);
    let told = scene.refused("ci", &["os/a:other"]);
    assert!(
        told.contains("'other' refused: it may not be created by 'ci'"),
        "{told}"
    );
    assert!(told.contains("nothing was pushed to 127.0.0.1:os repo"), "{told}");
    let told = scene.refused("ci", &["--delete=os/a"]);
    assert!(told.contains("may not be deleted by 'ci'"), "{told}");
    advance(&scene.source, scene.path());
    let told = scene.refused("ci", &["os/b:os/a", "--force"]);
    assert!(told.contains("would not be a fast-forward"), "{told}");
    assert_eq!(scene.target.refs(), ["os/a", "os/b"]);
    assert_eq!(strays(scene.target.path()), Vec::<String>::new());
}

#[test]
fn what_a_key_may_not_reach_is_not_there() {
    let scene = Scene::new(0);
    let elsewhere = scene.path().join("source");
    let elsewhere = elsewhere.to_str().unwrap();
    for path in [
        "../source",
        elsewhere,
        "$(touch x)",
        "--help",
        "os repo/../../source",
    ] {
        let mut push = scene.push("ci", &[]);
        let place = format!("127.0.0.1:{path}");
        let arguments: Vec<_> = push.get_args().map(ToOwned::to_owned).collect();
        let mut other = ostler(scene.path());
        other.args(arguments.iter().map(|argument| {
            if argument == "127.0.0.1:os repo" {
                place.as_ref()
            } else {
                argument.as_os_str()
            }
        }));
        push = other;
        let output = push.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{path}: {errors}");
        assert!(errors.contains("cannot push to '"), "{path}: {errors}");
    }
}

#[test]
fn connection_that_is_cut_leaves_the_repository_whole_and_the_next_push_goes_on() {
    for cut in [0, 20, 300, 700] {
        let scene = Scene::new(cut);
        let told = scene.refused("cut", &[]);
        assert!(told.contains("nothing was pushed"), "{cut}: {told}");
        assert_eq!(scene.target.refs(), Vec::<String>::new());
        scene.pushed(&[]);
        assert_sound(scene.target.path());
    }
}

#[test]
fn pushers_at_the_same_time_each_get_what_they_are_told() {
    let scene = Scene::new(0);
    let names: Vec<String> = (0..6).map(|number| format!("os/a:os/ref{number}")).collect();
    let pushes: Vec<_> = names
        .iter()
        .map(|name| {
            let mut push = scene.push("ci", &[name]);
            push.stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped());
            push.spawn().unwrap()
        })
        .collect();
    for push in pushes {
        let output = push.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
    }
    assert_eq!(scene.target.refs().len(), names.len());
    assert_sound(scene.target.path());
}

#[test]
fn publish_goes_to_another_machine_as_a_push_of_what_its_patterns_select() {
    let scene = Scene::new(0);
    scene.source.run(&["refs", "--create=test/a", "os/a"]);
    scene.source.run(&["refs", "--create=test/b", "os/a"]);
    let publish = |arguments: &[&str]| {
        let output = scene.bring("publish", "ci", arguments).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.code(), told)
    };
    let (status, told) = publish(&["os/*", "test/*"]);
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains("pushed 4 refs to 127.0.0.1:os repo"), "{told}");
    assert_sound(scene.target.path());
    scene.source.run(&["refs", "--delete", "test/b"]);
    let (status, told) = publish(&["test/*", "--delete-refs", "--dry-run"]);
    assert!(
        status == Some(0) && told.contains("'test/b' would be deleted"),
        "{told}"
    );
    let (status, told) = publish(&["test/*", "--delete-refs", "--json"]);
    assert_eq!(status, Some(0), "{told}");
    assert_eq!(scene.target.refs(), ["os/a", "os/b", "test/a"]);
    scene.source.run(&["refs", "--delete", "os/b"]);
    let (status, told) = publish(&["os/*", "--delete-refs"]);
    assert!(
        status == Some(1) && told.contains("may not be deleted by 'ci'"),
        "{told}"
    );
    let (status, told) = publish(&["nothing/*"]);
    assert!(
        status == Some(1) && told.contains("no ref of the source matches 'nothing/*'"),
        "{told}"
    );
    assert_eq!(scene.target.refs(), ["os/a", "os/b", "test/a"]);
}

#[test]
fn what_a_far_end_decides_itself_is_refused_with_the_place_that_says_it() {
    let scene = Scene::new(0);
    for (option, way) in [
        ("--depth=3", "policy.toml"),
        ("--deltas=**", "policy.toml"),
        ("--summary=generate", "receive.toml"),
        ("--gpg-sign=release", "receive.toml"),
        ("--no-sweep", "sweep"),
        ("--verify", "fsck"),
        ("--jobs=3", "stream"),
    ] {
        let output = scene.bring("publish", "ci", &[option]).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{option}: {told}");
        assert!(told.contains(way), "{option}: {told}");
    }
    assert_eq!(scene.target.refs(), Vec::<String>::new());
}

#[test]
fn errors_of_the_far_end_are_told_once() {
    let scene = Scene::new(0);
    let mut push = scene.push("ci", &[]);
    fs::write(
        scene.target.path().join("config"),
        "[core]\nrepo_version=1\nmode=bare-user\n",
    )
    .unwrap();
    let output = push.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told.matches("its mode is 'bare-user'").count(), 1, "{told}");
}
