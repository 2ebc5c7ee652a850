//! The demo as a new user runs it: in an empty directory, with and without stock `ostree`.

use crate::programs::{link, ostler};
use ostler_testkit::command::{PATH, attempt, command, describe, fail, run};
use ostler_testkit::listing::{assert_same_files, listing};
use ostler_testkit::oracle::assert_sound;
use ostler_testkit::tree::{self, Tree};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Returns the commands that the demo prints at its end.
fn next_commands(printed: &str) -> Vec<&str> {
    let (_, next) = printed.split_once("to go on with:").expect("next steps");
    let lines = next.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

/// Runs a line as a user does who copied it, in a directory that has nothing to do with the demo.
#[track_caller]
fn paste(line: &str) -> String {
    run(command("sh").current_dir("/").args(["-e", "-c", line]))
}

fn number(printed: &str, event: &str, version: u64, key: &str) -> u64 {
    let objects = printed
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("an object a line"));
    let found = objects
        .filter(|object| object["event"] == event && object["version"] == version)
        .find_map(|object| object[key].as_u64());
    found.expect("the number among the events")
}

#[test]
fn demo_works_where_there_is_nothing_and_what_it_prints_works_too() {
    let directory = tempfile::tempdir().unwrap();

    let printed = run(ostler(directory.path()).arg("demo"));

    let place = directory.path().join("ostler-demo");
    assert!(printed.contains("with ostree "), "{printed}");
    assert!(printed.contains("'public' is sound"), "{printed}");
    assert_same_files(&place.join("tree"), &place.join("checkout-2"));
    assert_same_files(&place.join("tree"), &place.join("own-checkout-2"));
    assert_sound(&place.join("public"));
    let commands = next_commands(&printed);
    assert!(commands.len() >= 10, "{printed}");
    let mut arrived = 0;
    for line in &commands {
        let output = paste(line);
        if line.contains(" cat origin:") {
            assert!(
                output.ends_with("And me.\n"),
                "the third version arrived: {output}"
            );
            arrived += 1;
        }
    }
    assert_eq!(arrived, 2, "with both clients: {printed}");
}

#[test]
fn a_second_run_in_the_same_place_is_refused_with_a_hint() {
    let directory = tempfile::tempdir().unwrap();
    run(ostler(directory.path()).arg("demo"));
    let before = listing(directory.path());

    let error = fail(ostler(directory.path()).arg("demo"));

    assert!(
        error.contains("is not empty") && error.contains("hint: ") && error.contains("--dir"),
        "{error}"
    );
    assert_eq!(listing(directory.path()), before, "nothing was touched");
    run(ostler(directory.path()).args(["demo", "--dir=another"]));
}

#[test]
fn any_tree_will_do_and_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let given = directory.path().join("given");
    tree::assorted(&given);
    let before = listing(&given);

    let place = directory.path().join("it's the place");
    let printed = run(ostler(directory.path())
        .args(["demo", "--tree=given", "--dir"])
        .arg(&place));

    assert_eq!(listing(&given), before);
    let content = |root: &Path| -> Vec<_> {
        let entries = listing(root).into_iter();
        entries.map(|(path, entry)| (path, entry.content)).collect()
    };
    assert_eq!(content(&place.join("checkout-1")), content(&given));
    assert_eq!(content(&place.join("own-checkout-1")), content(&given));
    for line in next_commands(&printed) {
        paste(line);
    }
}

#[test]
fn a_place_inside_the_given_tree_is_bad_usage() {
    let directory = tempfile::tempdir().unwrap();
    let mut demo = ostler(directory.path());
    let output = attempt(demo.args(["demo", "--tree=."]));
    assert_eq!(output.status.code(), Some(2), "{}", describe(&demo, &output));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn what_no_commit_can_hold_fails_the_demo() {
    let directory = tempfile::tempdir().unwrap();
    let given = directory.path().join("given");
    fs::create_dir(&given).unwrap();
    let _socket = UnixListener::bind(given.join("socket")).unwrap();
    let error = fail(ostler(directory.path()).args(["demo", "--tree=given"]));
    assert!(error.contains("given/socket"), "{error}");
}

/// Returns the demo with nothing but `programs` in its PATH.
fn with_path(directory: &Path, programs: &Path) -> Command {
    let mut demo = ostler(directory);
    demo.arg("demo").env("PATH", programs);
    demo
}

#[test]
fn without_ostree_the_demo_says_so_and_its_own_client_pulls() {
    let directory = tempfile::tempdir().unwrap();
    let printed = run(&mut with_path(directory.path(), Path::new("/nonexistent")));
    assert!(printed.contains("ostree is not installed"), "{printed}");
    let place = directory.path().join("ostler-demo");
    assert!(!place.join("client").exists());
    assert_same_files(&place.join("tree"), &place.join("own-checkout-2"));
    for line in next_commands(&printed) {
        paste(line);
    }
}

#[test]
fn ostler_under_the_name_ostree_is_no_stock_client() {
    let directory = tempfile::tempdir().unwrap();
    let names = link(directory.path());
    let printed = run(&mut with_path(directory.path(), names.parent().unwrap()));
    assert!(printed.contains("is ostler itself"), "{printed}");
}

/// Makes a program `ostree` in `directory` that does what stock does, but for what `script` adds. Returns its place.
fn almost_stock(directory: &Path, script: &str) -> PathBuf {
    let names = directory.join("names");
    fs::create_dir(&names).expect("our own directory");
    Tree::at(&names).file("ostree", format!("#!/bin/sh\nPATH={PATH}\n{script}"), 0o755);
    names
}

#[test]
fn a_client_that_gets_one_other_byte_fails_the_demo() {
    let directory = tempfile::tempdir().unwrap();
    let harm = r#"
        ostree "$@" || exit
        case "$*" in *checkout*)
            for to; do :; done
            printf X | dd of="$to/usr/lib/libinn09.so.1" bs=1 seek=5 conv=notrunc 2>/dev/null
        esac
    "#;
    let names = almost_stock(directory.path(), harm);

    let mut demo = with_path(directory.path(), &names);
    let output = attempt(&mut demo);

    assert_eq!(output.status.code(), Some(1), "{}", describe(&demo, &output));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("/usr/lib/libinn09.so.1: has other content"),
        "{error}"
    );
}

#[test]
fn a_signal_ends_the_demo_and_its_children() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    run(command("mkfifo").arg(&pipe));
    let wait = format!(
        "case \"$*\" in *pull*) echo $$ >{}; exec sleep 600;; esac\nexec ostree \"$@\"\n",
        pipe.display()
    );
    let names = almost_stock(directory.path(), &wait);
    let mut demo = with_path(directory.path(), &names)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Answers once the client runs.
    let client = fs::read_to_string(&pipe).unwrap();

    let pid = Pid::from_child(&demo);
    kill_process(pid, Signal::TERM).unwrap();

    assert_eq!(demo.wait().unwrap().code(), Some(130));
    assert!(
        !Path::new("/proc").join(client.trim()).exists(),
        "the client is gone"
    );
}

#[test]
fn the_second_publish_sends_and_the_client_asks_for_what_changed() {
    let directory = tempfile::tempdir().unwrap();
    let printed = run(ostler(directory.path()).args(["demo", "--json"]));

    let sent = |version| number(&printed, "published", version, "sent_objects");
    let spared = number(&printed, "published", 2, "spared_objects");
    let requests = |version| number(&printed, "arrived", version, "requests");
    // Two files, the trees above them, and the commit.
    assert_eq!(sent(2), 2 + 2 + 1);
    assert_eq!(number(&printed, "committed", 2, "written_objects"), sent(2));
    assert!(sent(1) > 150 && spared > 150, "{printed}");
    assert!(
        requests(1) > sent(1),
        "an object a request, and the ref: {printed}"
    );
    assert!(requests(2) < 15, "{printed}");
    assert!(
        number(&printed, "arrived", 2, "body_bytes") < number(&printed, "arrived", 1, "body_bytes") / 100,
        "{printed}"
    );
}

#[test]
fn demo_takes_no_privileges() {
    let directory = tempfile::tempdir().unwrap();
    if !ostler_testkit::disk::is_root() {
        // The other tests show it.
        return;
    }
    // Others may pass through.
    Tree::at(directory.path()).dir("", 0o755);
    let program = directory.path().join("ostler");
    fs::copy(crate::programs::OSTLER, &program).unwrap();
    let home = directory.path().join("home");
    fs::create_dir(&home).unwrap();
    chown(&home, Some(65534), Some(65534)).unwrap();
    let printed = run(command("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--no-new-privs",
        ])
        .arg(&program)
        .arg("demo")
        .current_dir(&home));
    assert!(printed.contains("with ostree "), "{printed}");
}
