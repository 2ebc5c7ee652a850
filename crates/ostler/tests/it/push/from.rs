//! Receivers that pull what is on HTTP, by their rules.

use crate::programs::{OSTLER, ostler};
use crate::publish_scene::{advance, make_source};
use ostler_serve::{Server, serve};
use ostler_testkit::oracle::{assert_sound, strays};
use ostler_testkit::sshd::Sshd;
use ostler_testkit::stock::StockRepo;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A source behind a server, and a repository below a root, with rules for the name `ci`.
struct Scene {
    directory: TempDir,
    source: StockRepo,
    target: StockRepo,
    server: Server,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let source = make_source(path);
        let server = serve(source.path(), "127.0.0.1:0".parse().unwrap()).unwrap();
        fs::create_dir(path.join("root")).unwrap();
        let target = StockRepo::init(&path.join("root/os repo"), "archive");
        let text = format!(
            "root = \"{}/root\"\n[[allow]]\nwho = \"ci\"\nrefs = \"os/*\"\nmay = [\"create\", \"fast-forward\"]\n",
            path.display()
        );
        fs::write(path.join("receive.toml"), text).unwrap();
        Self {
            directory,
            source,
            target,
            server,
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    #[track_caller]
    fn run(&self, command: &mut Command, status: i32) -> String {
        let output = command.output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{told}");
        assert_eq!(strays(self.target.path()), Vec::<String>::new());
        told
    }

    fn receive(&self, arguments: &[&str]) -> Command {
        let mut command = ostler(self.path());
        command.args(["receive", "--as=ci", "--config=receive.toml", "--path=os repo"]);
        command.arg(format!("--from={}", self.server.url()));
        command.args(arguments);
        command
    }
}

#[test]
fn what_a_receiver_pulls_has_to_meet_the_rules_of_a_push() {
    let scene = Scene::new();
    let told = scene.run(&mut scene.receive(&["os/a"]), 0);
    assert!(told.contains("'os/a' created at "), "{told}");
    assert_eq!(scene.target.refs(), ["os/a"]);
    assert_eq!(scene.target.rev_parse("os/a"), scene.source.rev_parse("os/a"));
    assert_sound(scene.target.path());
    advance(&scene.source, scene.path());
    let told = scene.run(&mut scene.receive(&[]), 1);
    assert!(told.contains("does not have a summary"), "{told}");
    scene.source.run(&["summary", "--update"]);
    let told = scene.run(&mut scene.receive(&[]), 0);
    assert!(told.contains("pushed 2 refs"), "{told}");
    assert_eq!(scene.target.refs(), scene.source.refs());
    assert_sound(scene.target.path());
    let told = scene.run(&mut scene.receive(&["os/a"]), 0);
    assert!(told.contains("is up to date"), "{told}");
    let told = scene.run(&mut scene.receive(&["os/a:other"]), 1);
    assert!(
        told.contains("'other' refused: it may not be created by 'ci'"),
        "{told}"
    );
    let told = scene.run(scene.receive(&["os/a"]).arg("--as=nobody"), 1);
    assert!(told.contains("by 'nobody'"), "{told}");
    assert_eq!(scene.target.refs(), scene.source.refs());
}

#[test]
fn push_lets_the_far_end_pull_from_a_url() {
    let scene = Scene::new();
    let sshd = Sshd::start(&[("all", "")]);
    let program = scene.path().join("far ostler");
    let text = format!(
        "#!/bin/sh\nshift\nexec {OSTLER} receive --as=ci --config={}/receive.toml \"$@\"\n",
        scene.path().display()
    );
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let push = |arguments: &[&str]| {
        let mut command = ostler(scene.path());
        // No repository is named, and there is none where this runs.
        command.args(["push", "127.0.0.1:os repo", "--via=pull"]);
        command.arg(format!("--source-url={}", scene.server.url()));
        command.arg(format!("--port={}", sshd.port()));
        command.arg("--identity").arg(sshd.key("all"));
        command.arg("--command").arg(&program);
        for option in sshd.options() {
            command.arg("-o").arg(option);
        }
        command.args(arguments);
        command
    };
    let told = scene.run(&mut push(&["os/a", "--dry-run"]), 0);
    assert!(told.contains("'os/a' would be created at "), "{told}");
    assert_eq!(scene.target.refs(), Vec::<String>::new());
    let told = scene.run(&mut push(&["os/a"]), 0);
    assert!(told.contains("'os/a' created at "), "{told}");
    assert_eq!(scene.target.rev_parse("os/a"), scene.source.rev_parse("os/a"));
    assert_sound(scene.target.path());
    let told = scene.run(&mut push(&["os/b:$(touch x)"]), 1);
    assert!(told.contains("did not pull"), "{told}");
    let told = scene.run(push(&["os/a"]).arg("--delete=os/a"), 2);
    assert!(told.contains("are not for --via=pull"), "{told}");
}

#[test]
fn signatures_made_since_are_pulled_as_they_are_pushed() {
    let scene = Scene::new();
    scene.run(&mut scene.receive(&["os/a"]), 0);
    let commit = scene.source.rev_parse("os/a");
    let key = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==";
    fs::write(scene.path().join("key"), key).unwrap();
    let mut sign = ostler(scene.path());
    scene.run(sign.args(["--repo=source", "sign", "--keys-file=key", "os/a"]), 0);
    let told = scene.run(&mut scene.receive(&["os/a"]), 0);
    assert!(
        told.contains(&format!("'os/a': 1 signature added to {commit}")),
        "{told}"
    );
    let told = scene.run(&mut scene.receive(&["os/a"]), 0);
    assert!(told.contains("is up to date"), "{told}");
}
