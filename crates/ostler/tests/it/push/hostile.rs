//! Ends that stop, that never stop, or that write to terminals: the other one gives up in time and within its memory, and says why.

use crate::programs::OSTLER;
use crate::publish_scene::make_source;
use ostler_format::wire::{Hello, Message, Offer, Ruling, SignedRef, Update, Verdict};
use ostler_format::{Checksum, ObjectName, ObjectType};
use ostler_testkit::command::{command, fail};
use ostler_testkit::oracle::strays;
use ostler_testkit::stock::StockRepo;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use tempfile::TempDir;

/// What a process may allocate, in kilobytes.
const MEMORY: u32 = 256 << 10;

fn bytes_of(messages: &[Message]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        message.write(&mut bytes).unwrap();
    }
    bytes
}

fn offer(name: &str, new: Checksum) -> Message {
    Message::Offer(Offer {
        updates: vec![Update {
            name: name.parse().unwrap(),
            old: None,
            new: Some(new),
            force: false,
        }],
        dry_run: false,
        more: false,
    })
}

fn scene() -> (TempDir, StockRepo, StockRepo) {
    let directory = tempfile::tempdir().unwrap();
    let source = make_source(directory.path());
    let target = StockRepo::init(&directory.path().join("target"), "archive");
    (directory, source, target)
}

/// Starts a receiver within its memory, with nobody at its other ends yet.
fn receiver(directory: &Path, more: &str) -> Child {
    let mut limited = command("sh");
    let line = format!("ulimit -d {MEMORY} && exec {OSTLER} receive --repo=target --allow=create {more}");
    limited.args(["-ec", &line]).current_dir(directory);
    limited
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Lets a test write to a receiver until that is gone or the test is through, and returns what it said on standard error.
#[track_caller]
fn told(directory: &Path, write: impl FnOnce(&mut ChildStdin) -> std::io::Result<()> + Send) -> String {
    let mut child = receiver(directory, "");
    let mut input = child.stdin.take().unwrap();
    let output = thread::scope(|scope| {
        scope.spawn(move || drop(write(&mut input)));
        child.wait_with_output().unwrap()
    });
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    errors
}

fn assert_unchanged(target: &StockRepo) {
    assert_eq!(target.refs(), Vec::<String>::new());
    assert_eq!(strays(target.path()), Vec::<String>::new());
}

#[test]
fn receiver_flooded_with_offers_commits_or_nothing_stays_within_its_memory() {
    let (directory, _source, target) = scene();
    let path = directory.path();
    let hello = bytes_of(&[Message::Hello(Hello::ours("test", ""))]);
    let long = ["x"; 4].map(|part| part.repeat(200)).join("/");
    let errors = told(path, |input| {
        input.write_all(&hello)?;
        for number in 0.. {
            let name = format!("{number}/{long}");
            input.write_all(&bytes_of(&[offer(&name, Checksum::of(b"x"))]))?;
        }
        Ok(())
    });
    assert!(errors.contains("it offers more than"), "{errors}");
    let chain = |start: usize| {
        let commit = |number: usize| Checksum::of(&(start + number).to_be_bytes());
        Message::Chain {
            commits: (0..8000).map(commit).collect(),
            more: true,
        }
    };
    let errors = told(path, |input| {
        input.write_all(&hello)?;
        for page in 0.. {
            input.write_all(&bytes_of(&[chain(page * 8000)]))?;
        }
        Ok(())
    });
    assert!(errors.contains("it offers more than"), "{errors}");
    // As many commits as may be, of which none ever comes.
    let errors = told(path, |input| {
        input.write_all(&hello)?;
        input.write_all(&bytes_of(&[offer("x", Checksum::of(&0_usize.to_be_bytes()))]))?;
        for page in 0..(1 << 18) / 8000 {
            input.write_all(&bytes_of(&[chain(page * 8000)]))?;
        }
        input.write_all(&bytes_of(&[Message::Offered, Message::Data(vec![1])]))
    });
    assert!(errors.contains("an object comes where it may not"), "{errors}");
    let errors = told(path, |input| {
        input.write_all(&hello)?;
        let some = bytes_of(&vec![Message::Alive; 100_000]);
        for _ in 0..10 {
            input.write_all(&some)?;
        }
        input.write_all(&bytes_of(&[Message::End]))
    });
    assert!(errors.contains("an object comes where it may not"), "{errors}");
    assert_unchanged(&target);
}

#[test]
fn receiver_flooded_with_signatures_stays_within_its_memory() {
    let (directory, _source, target) = scene();
    let path = directory.path();
    let hello = bytes_of(&[Message::Hello(Hello::ours("test", ""))]);
    let page = |number: usize, name: &str, signatures: usize| {
        let one = |place: usize| SignedRef {
            name: format!("{number}/{place}/{name}").parse().unwrap(),
            commit: Checksum::of(b"x"),
            signatures: vec![Checksum::of(b"y"); signatures],
        };
        Message::Beside((0..100).map(one).collect())
    };
    let long = ["x"; 4].map(|part| part.repeat(200)).join("/");
    for (name, signatures) in [("x", 192), (&long, 1)] {
        let errors = told(path, |input| {
            input.write_all(&hello)?;
            for number in 0.. {
                input.write_all(&bytes_of(&[page(number, name, signatures)]))?;
            }
            Ok(())
        });
        assert!(errors.contains("it offers more than"), "{errors}");
    }
    // As much as may be, of refs that are not there: all of it is told back.
    let mut child = receiver(path, "");
    let mut input = child.stdin.take().unwrap();
    let output = thread::scope(|scope| {
        scope.spawn(move || {
            input.write_all(&hello).unwrap();
            for number in 0..600 {
                let page = bytes_of(&[page(number, &"x".repeat(120), 4)]);
                input.write_all(&page).unwrap();
            }
            input.write_all(&bytes_of(&[Message::Offered])).unwrap();
        });
        child.wait_with_output().unwrap()
    });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(
        output.stdout.len() > 600 * 100 * 150,
        "{} bytes",
        output.stdout.len()
    );
    assert_unchanged(&target);
}

#[test]
fn receiver_gives_up_a_pusher_that_stops_sending_or_reading() {
    let (directory, _source, target) = scene();
    let commits: Vec<_> = (0..30_000_u32)
        .map(|number| Checksum::of(&number.to_be_bytes()))
        .collect();
    let mut beginning = vec![Message::Hello(Hello::ours("test", "")), offer("x", commits[0])];
    // So many commits are asked for that what is not read fills every pipe.
    beginning.extend(commits.chunks(8000).map(|commits| Message::Chain {
        commits: commits.to_vec(),
        more: true,
    }));
    beginning.push(Message::Offered);
    for (what, said) in [
        ("nothing", Vec::new()),
        ("a greeting", bytes_of(&beginning[..1])),
        ("half an offer", bytes_of(&beginning)[..200].to_vec()),
        ("all, and reads nothing", bytes_of(&beginning)),
    ] {
        let mut child = receiver(directory.path(), "--idle-timeout=1");
        let mut input = child.stdin.take().unwrap();
        input.write_all(&said).unwrap();
        // Both pipes stay open.
        let mut errors = String::new();
        child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1), "{what}: {errors}");
        assert!(errors.contains("nothing has moved for 1 s"), "{what}: {errors}");
    }
    assert_unchanged(&target);
}

/// Makes a far end of a shell script, beside which the bytes of messages lie.
fn far_end(directory: &Path, script: &str, messages: &[(&str, &[Message])]) -> PathBuf {
    for (name, messages) in messages {
        fs::write(directory.join(name), bytes_of(messages)).unwrap();
    }
    let path = directory.join("far");
    fs::write(
        &path,
        format!("#!/bin/sh\ncd '{}'\n{script}\n", directory.display()),
    )
    .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn push(directory: &Path, far: &Path, more: &[&str]) -> Command {
    let mut limited = command("sh");
    let line = format!("ulimit -d {MEMORY} && exec {OSTLER} \"$@\"");
    limited.args([
        "-ec",
        &line,
        "push",
        "--repo=source",
        "push",
        "target",
        "os/a",
        "--command",
    ]);
    limited.arg(far).args(more).current_dir(directory);
    limited
}

#[test]
fn pusher_gives_up_a_far_end_that_stops_or_never_stops() {
    let (directory, _source, _target) = scene();
    let path = directory.path();
    let greeting = [
        Message::Hello(Hello::ours("test", "")),
        Message::Refs {
            refs: Vec::new(),
            more: false,
        },
    ];
    let begins = ("begins", &greeting[..]);
    let gives_up = |script: &str| {
        let far = far_end(path, script, &[begins]);
        fail(&mut push(path, &far, &["--idle-timeout=1"]))
    };
    // It ends when it is killed, as its pusher does when it gives up.
    let waits = "exec tail -f /dev/null";
    for script in [
        waits,
        &format!("cat begins; {waits}"),
        &format!("head -c 7 begins; {waits}"),
    ] {
        let errors = gives_up(script);
        assert!(errors.contains("nothing has moved for 1 s"), "{script}: {errors}");
    }
    let long = ["x"; 4].map(|part| part.repeat(200)).join("/");
    // One page over and over: what is kept is counted as it comes.
    let name = |entry| format!("{entry}/{long}").parse().unwrap();
    let page = Message::Refs {
        refs: (0..1000_u32)
            .map(|entry| (name(entry), Checksum::of(b"x")))
            .collect(),
        more: true,
    };
    let flood = vec![page; 100];
    let far = far_end(
        path,
        "cat hello flood; exec cat >/dev/null",
        &[("hello", &greeting[..1]), ("flood", &flood)],
    );
    let errors = fail(&mut push(path, &far, &[]));
    assert!(errors.contains("it tells of more than"), "{errors}");
    let wants = vec![
        Message::Want(vec![
            ObjectName::new(Checksum::of(b"x"), ObjectType::File);
            30_000
        ]);
        100
    ];
    let far = far_end(
        path,
        "cat begins flood; exec cat >/dev/null",
        &[begins, ("flood", &wants)],
    );
    let errors = fail(&mut push(path, &far, &[]));
    assert!(
        errors.contains("the other end does not keep to the protocol"),
        "{errors}"
    );
}

#[test]
fn what_a_far_end_says_changes_no_terminal() {
    let (directory, _source, _target) = scene();
    let path = directory.path();
    let nasty = "\u{1b}[2Jgone\u{7}\u{202e}".to_owned();
    let greeting = [
        Message::Hello(Hello::ours("test", "")),
        Message::Refs {
            refs: Vec::new(),
            more: false,
        },
    ];
    let verdict = Message::Verdicts {
        verdicts: vec![Verdict {
            name: "os/a".parse().unwrap(),
            ruling: Ruling::Refused,
            reason: nasty.clone(),
        }],
        more: false,
    };
    for (what, last) in [
        ("an error", vec![Message::Error(nasty.clone())]),
        (
            "a note",
            vec![Message::Note(nasty.clone()), Message::Error("enough".into())],
        ),
        (
            "a reason",
            vec![
                verdict,
                Message::Finished(ostler_format::wire::Finished::default()),
            ],
        ),
    ] {
        let said = [&greeting[..], &last].concat();
        let far = far_end(path, "cat said; exec cat >/dev/null", &[("said", &said)]);
        let output = push(path, &far, &[]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{what}");
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8(printed).unwrap();
        assert!(printed.contains("gone"), "{what}: {printed}");
        let is_odd =
            |character: char| (character.is_control() && character != '\n') || character == '\u{202e}';
        assert!(!printed.contains(is_odd), "{what}: {printed:?}");
    }
    let far = far_end(path, "printf '\\033[2Jgone, and no greeting at all'", &[]);
    let errors = fail(&mut push(path, &far, &[]));
    assert!(
        errors.contains("gone") && !errors.contains('\u{1b}'),
        "{errors:?}"
    );
}
