//! Pulls that are killed while they wait for one of their requests, whichever it is: what is visible is whole, and either tool finishes
//! what the other began.

use super::exchange::program;
use super::unfinished::{Case, DELTA, MIRROR, OBJECTS, Scene};
use crate::interop::{BOTH, Who};
use ostler_testkit::faulty_server::{FaultyServer, Reaction};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

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

/// Kills a pull at each of its requests, and has either tool finish it.
#[track_caller]
fn finished_by_either_tool(case: &Case) {
    let scene = Scene::of(case);
    for first in BOTH {
        let mut number = 0;
        loop {
            let second = if number % 2 == 0 { first.other() } else { first };
            scene.renew_client();
            let waits = silent_from(&scene.server, number);

            let was_killed = killed(first, &scene.client(), case.pull, &waits);

            scene.assert_nothing_half_visible(first);
            let about = format!("{first:?}, then {second:?}, request {number}");
            scene.finish(second, |_| false, &about);
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
    finished_by_either_tool(&OBJECTS);
}

#[test]
fn a_pull_from_a_delta_killed_at_any_request_is_finished_by_either_tool() {
    finished_by_either_tool(&DELTA);
}

#[test]
fn mirroring_killed_at_any_request_is_finished_by_either_tool() {
    finished_by_either_tool(&MIRROR);
}
