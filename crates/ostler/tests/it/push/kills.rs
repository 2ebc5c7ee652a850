//! The sender, the far end or ssh killed after so many bytes, through a real ssh server: the repository stays as it was, and the
//! next push sends the rest.

use crate::programs::OSTLER;
use ostler_testkit::command::{command, describe};
use ostler_testkit::oracle::assert_sound;
use ostler_testkit::random::Random;
use ostler_testkit::sshd::Sshd;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};
use tempfile::TempDir;

/// How many files are pushed, and how many bytes each has, which no compression takes away.
const FILES: u64 = 150;
const SIZE: usize = 30_000;

/// What may be sent again at most: what lies in pipes and in the far end's memory when the line breaks, and the lists of what
/// there is.
const IN_FLIGHT: u64 = 900 << 10;

/// The far end: it hands on so many bytes, kills the program whose number stands in a file, and hands on the rest. When all of it
/// has ended, it says so.
const FAR: &str = r#"#!/bin/sh
trap '' HUP PIPE
cd "$(dirname "$0")"
read -r count victim <plan
exec 3<&0
{
    stdbuf -o0 head -c "$count"
    until [ -s "$victim" ]; do :; done
    [ "$victim" = nobody ] || kill -9 "$(cat "$victim")"
    exec cat
} <&3 >data &
exec 3<&-
sh -c 'echo $$ >receiver; exec "$0" receive --as=ci --config=receive.toml' "$OSTLER" <data 2>said
kill $!
echo >ended
"#;

/// A program under another name that leaves its number in a file.
fn numbered(path: &Path, file: &Path, program: &str) {
    let text = format!(
        "#!/bin/sh\necho $$ >'{}'\nexec {program} \"$@\"\n",
        file.display()
    );
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

struct Scene {
    directory: TempDir,
    sshd: Sshd,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let source = StockRepo::init(&path.join("source"), "archive");
        let tree = Tree::at(&path.join("tree"));
        for number in 0..FILES {
            let name = format!("directory{}/file{number}", number % 7);
            tree.file(&name, Random::new(number).bytes(SIZE), 0o644);
        }
        source.commit("os/a", tree.path());
        let rules = format!(
            "root = \"{}\"\n[[allow]]\nrefs = \"**\"\nmay = [\"create\", \"fast-forward\"]\n",
            path.join("root").display()
        );
        fs::write(path.join("receive.toml"), rules).unwrap();
        fs::write(path.join("nobody"), "nobody\n").unwrap();
        fs::write(path.join("far"), FAR.replace("$OSTLER", OSTLER)).unwrap();
        fs::set_permissions(path.join("far"), fs::Permissions::from_mode(0o755)).unwrap();
        for pipe in ["ended", "data"] {
            let mode = rustix::fs::Mode::from_raw_mode(0o600);
            let kind = rustix::fs::FileType::Fifo;
            rustix::fs::mknodat(rustix::fs::CWD, path.join(pipe), kind, mode, 0).unwrap();
        }
        fs::create_dir(path.join("bin")).unwrap();
        numbered(&path.join("bin/ssh"), &path.join("ssh"), "/usr/bin/ssh");
        numbered(&path.join("bin/push"), &path.join("sender"), OSTLER);
        let sshd = Sshd::start(&[("ci", &path.join("far").display().to_string())]);
        Self { directory, sshd }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn target(&self) -> StockRepo {
        StockRepo::open(&self.path().join("root/os"))
    }

    fn reset(&self) {
        drop(fs::remove_dir_all(self.path().join("root")));
        fs::create_dir(self.path().join("root")).unwrap();
        let target = StockRepo::init(&self.path().join("root/os"), "archive");
        target.run(&["config", "set", "core.fsync", "false"]);
    }

    /// Pushes, and has somebody killed when so many bytes have come; returns when nothing of it runs any more.
    fn push(&self, bytes: u64, victim: &str) -> Output {
        for file in ["receiver", "ssh", "sender"] {
            drop(fs::remove_file(self.path().join(file)));
        }
        fs::write(self.path().join("plan"), format!("{bytes} {victim}\n")).unwrap();
        let mut push = command(self.path().join("bin/push"));
        push.current_dir(self.path());
        let path = format!("{}:/usr/bin:/bin", self.path().join("bin").display());
        push.env("PATH", path);
        push.args(["--repo=source", "push", "127.0.0.1:os", "--json"]);
        self.sshd.reach(&mut push, "ci");
        let pushing = push
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // ssh ends when all of the far end has, and that waits here until it is heard.
        let ended = fs::read(self.path().join("ended")).unwrap();
        let output = pushing.wait_with_output().unwrap();
        assert_eq!(ended, b"\n", "{}\n{}", describe(&push, &output), self.sshd.log());
        output
    }

    /// Pushes everything, and returns how many bytes of objects were sent.
    #[track_caller]
    fn complete(&self, context: &str) -> u64 {
        let output = self.push(0, "nobody");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{context}: {errors}");
        assert_sound(self.target().path());
        assert_eq!(self.target().refs(), ["os/a"], "{context}");
        let left = fs::read_dir(self.path().join("root/os/extensions/ostler/incoming")).unwrap();
        assert_eq!(left.count(), 0, "{context}: the quarantine goes");
        let number = printed.split("\"sent_bytes\":").nth(1).unwrap_or_default();
        let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or_else(|_| panic!("{context}: {printed}"))
    }
}

/// Kills somebody after each of these shares of a push, in thousandths.
fn kill_after(victim: &str) {
    let scene = Scene::new();
    scene.reset();
    let whole = scene.complete("nobody is killed");
    assert!(whole > FILES * SIZE as u64, "{whole}");
    for share in [0, 300, 600, 950] {
        let bytes = whole * share / 1000 + 10;
        let context = format!("{victim} killed after {bytes} of {whole} bytes");
        scene.reset();
        let output = scene.push(bytes, victim);
        assert!(!output.status.success(), "{context}");
        assert_sound(scene.target().path());
        // What ssh has taken arrives also when its sender is gone.
        let refs = scene.target().refs();
        let arrived = victim != "receiver" && refs == ["os/a"];
        assert!(arrived || refs.is_empty(), "{context}: {refs:?}");
        let said = fs::read_to_string(scene.path().join("said")).unwrap();
        let second = scene.complete(&context);
        assert!(
            second == 0 && arrived || !arrived && bytes + second <= whole + IN_FLIGHT,
            "{context}: {second} bytes are sent again\n{said}"
        );
    }
}

#[test]
fn sender_killed_after_any_number_of_bytes_changes_nothing_and_the_next_push_sends_the_rest() {
    kill_after("sender");
}

#[test]
fn far_end_killed_after_any_number_of_bytes_changes_nothing_and_the_next_push_sends_the_rest() {
    kill_after("receiver");
}

#[test]
fn ssh_killed_after_any_number_of_bytes_changes_nothing_and_the_next_push_sends_the_rest() {
    kill_after("ssh");
}
