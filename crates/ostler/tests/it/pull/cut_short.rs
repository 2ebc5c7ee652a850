//! Pulls that are killed while they wait for one of their requests, whichever it is: what is visible is whole, and either tool finishes
//! what the other began.

use super::exchange::{Kind, Source, listed, must, program};
use crate::interop::{BOTH, Who};
use ostler_format::Summary;
use ostler_testkit::command::{command, run};
use ostler_testkit::faulty_server::{FaultyServer, Reaction};
use ostler_testkit::oracle::strays;
use ostler_testkit::stock::StockRepo;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;
use tempfile::TempDir;

/// What is pulled, and into what.
struct Case {
    mode: &'static str,
    /// The pull of the old commit that goes before, if one does.
    before: Option<&'static [&'static str]>,
    /// The pull that is killed, and finished.
    pull: &'static [&'static str],
    /// The ref that is there then.
    reference: &'static str,
    deltas: bool,
}

/// Has the server stay silent from request `number` on, and tell of it.
fn silent_from(server: &FaultyServer, number: usize) -> Receiver<()> {
    let (tell, told) = channel();
    server.forget();
    server.set_rule(move |asked| {
        if asked.number < number {
            return Reaction::Serve;
        }
        // The first is enough.
        tell.send(()).unwrap_or_default();
        Reaction::Hang
    });
    told
}

/// Starts a pull, and kills it when it waits; returns whether it did.
fn killed(who: Who, client: &Path, arguments: &[&str], waits: &Receiver<()>) -> bool {
    let mut command = program(who, client, arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the program starts");
    loop {
        match waits.recv_timeout(Duration::from_millis(5)) {
            Ok(()) => break,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                if let Some(status) = child.try_wait().expect("our own child") {
                    assert!(status.success(), "{who:?} {arguments:?}");
                    return false;
                }
            }
        }
    }
    child.kill().expect("our own child");
    child.wait().expect("our own child");
    true
}

/// Asserts that what refs, and in a mirror the summary, lead to is whole.
#[track_caller]
fn assert_nothing_half_visible(repo: &StockRepo, who: Who) {
    // The commit on its way may be partial, and is marked so then.
    repo.run(&["fsck", "-q"]);
    let mut commits: Vec<String> = repo.refs();
    // Stock replaces the summary of a mirror before the objects are there.
    if let (Who::Ours, Ok(bytes)) = (who, fs::read(repo.path().join("summary"))) {
        let summary = Summary::parse(&bytes).expect("a summary");
        commits.extend(summary.refs.iter().map(|found| found.checksum.to_string()));
    }
    for commit in commits {
        listed(repo, &commit);
    }
}

/// Kills a pull at each of its requests, and has either tool finish it.
#[track_caller]
fn finished_by_either_tool(case: &Case) {
    let directory = TempDir::new().expect("a directory");
    let root = directory.path();
    let mut source = Source::make(Who::Stock, root, Kind::Nothing, false);
    if case.deltas {
        source.generate_deltas();
    }
    let server = FaultyServer::serve(&source.repo);
    let (template, path) = (root.join("template"), root.join("client"));
    source.client(Who::Stock, &template, case.mode, &server.url());
    must(Who::Stock, &template, &["config", "set", "core.fsync", "false"]);
    if let Some(before) = case.before {
        source.stock().run(&["reset", "os/stable", &source.old]);
        source.summarize();
        must(Who::Stock, &template, before);
        source.stock().run(&["reset", "os/stable", &source.new]);
    }
    source.summarize();
    for first in BOTH {
        let mut number = 0;
        loop {
            let second = if number % 2 == 0 { first.other() } else { first };
            let about = format!("{first:?}, then {second:?}, request {number}");
            run(command("cp").arg("-a").arg(&template).arg(&path));
            let client = StockRepo::open(&path);
            let waits = silent_from(&server, number);

            let was_killed = killed(first, &path, case.pull, &waits);

            assert_nothing_half_visible(&client, first);
            server.set_rule(|_| Reaction::Serve);
            must(second, &path, case.pull);
            assert_eq!(client.rev_parse(case.reference), source.new, "{about}");
            assert_eq!(
                listed(&client, &source.new),
                listed(&source.stock(), &source.new),
                "{about}"
            );
            client.fsck();
            if second == Who::Ours {
                assert_eq!(strays(&path), Vec::<String>::new(), "{about}");
            }
            if case.pull.contains(&"--mirror") {
                let summary = |repo: &Path| fs::read(repo.join("summary")).expect("the summary");
                assert_eq!(summary(&path), summary(&source.repo), "{about}");
            }
            fs::remove_dir_all(&path).expect("our own client");
            if !was_killed {
                break;
            }
            number += 1;
        }
        assert!(number > 4, "{first:?} asked for {number} files");
    }
}

#[test]
fn a_pull_killed_at_any_request_is_finished_by_either_tool() {
    finished_by_either_tool(&Case {
        mode: "bare-user",
        before: None,
        pull: &["pull", "origin", "os/stable"],
        reference: "origin:os/stable",
        deltas: false,
    });
}

#[test]
fn a_pull_from_a_delta_killed_at_any_request_is_finished_by_either_tool() {
    finished_by_either_tool(&Case {
        mode: "bare-user",
        before: Some(&["pull", "--disable-static-deltas", "origin", "os/stable"]),
        pull: &["pull", "--require-static-deltas", "origin", "os/stable"],
        reference: "origin:os/stable",
        deltas: true,
    });
}

#[test]
fn mirroring_killed_at_any_request_is_finished_by_either_tool() {
    finished_by_either_tool(&Case {
        mode: "archive",
        before: Some(&["pull", "--mirror", "origin"]),
        pull: &["pull", "--mirror", "origin"],
        reference: "os/stable",
        deltas: false,
    });
}
