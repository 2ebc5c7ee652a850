//! Everybody at work on a source and its target at the same time, by ostler and by stock ostree: who commits, prunes, publishes, sweeps,
//! writes summaries and pulls. No command fails, no update is lost, and both repositories are whole at the end.

use crate::programs::ostler;
use crate::publish_scene::{Scene, State};
use ostler_testkit::client::Client;
use ostler_testkit::command::run;
use ostler_testkit::nginx::Nginx;
use ostler_testkit::oracle::assert_sound;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;

/// How often each of them does what it does.
const ROUNDS: usize = 3;

#[test]
fn everybody_works_at_the_same_time_and_nobody_fails_or_loses_anything() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::second(directory.path(), &[]);
    scene.reset();
    let (source, target) = (StockRepo::open(&scene.source()), StockRepo::open(&scene.target()));
    let server = Nginx::serve(&scene.target());
    for repo in [&source, &target] {
        // Nobody is to give up, however slow the machine is; and what a power cut would do is not asked here.
        repo.run(&["config", "set", "core.lock-timeout-secs", "300"]);
        repo.run(&["config", "set", "core.fsync", "false"]);
    }
    let ours = |arguments: &[&str]| drop(run(ostler(scene.path()).args(arguments)));
    let grown = |name: &str, round: usize| {
        let tree = Tree::at(&directory.path().join(format!("tree of {name}")));
        tree.file("number", format!("{name} {round}"), 0o644);
        tree.path().to_owned()
    };
    // The refs that are published next have to be there.
    source.commit("stock/own", &grown("stock", ROUNDS));
    source.commit("ours/own", &grown("ours", ROUNDS));
    let mut last = (String::new(), String::new(), String::new());
    std::thread::scope(|scope| {
        let stock_committer = scope.spawn(|| {
            let mut commit = String::new();
            for round in 0..ROUNDS {
                commit = source.commit("stock/own", &grown("stock", round));
                // What a prune can take.
                source.commit("junk", &grown("junk", round));
                source.run(&["refs", "--delete", "junk"]);
            }
            commit
        });
        let our_committer = scope.spawn(|| {
            for round in 0..ROUNDS {
                let tree = format!("--tree=dir={}", grown("ours", round).display());
                ours(&["--repo=source", "commit", "--branch=ours/own", &tree]);
            }
            source.rev_parse("ours/own")
        });
        let committer_at_the_target = scope.spawn(|| {
            let mut commit = String::new();
            for round in 0..ROUNDS {
                commit = target.commit("target/own", &grown("target", round));
            }
            commit
        });
        let busy = |work: &'static [&'static str], stock: Option<StockRepo>| {
            let ours = &ours;
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    match &stock {
                        Some(repo) => drop(repo.run(work)),
                        None => ours(work),
                    }
                }
            })
        };
        let _others = [
            busy(&["prune", "--refs-only"], Some(source.clone())),
            busy(&["--repo=source", "prune", "--refs-only"], None),
            busy(
                &["--repo=source", "publish", "target", "--depth=3", "stock/*"],
                None,
            ),
            busy(
                &["--repo=source", "publish", "target", "--depth=3", "ours/*"],
                None,
            ),
            busy(&["sweep", "target"], None),
            busy(&["summary", "--update"], Some(target.clone())),
            busy(&["--repo=target", "summary", "--update"], None),
            busy(&["prune", "--refs-only"], Some(target.clone())),
        ];
        let _clients = ["os/a", "os/b"].map(|reference| {
            let url = server.url();
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    Client::of(&url).pull(reference);
                }
            })
        });
        last = (
            stock_committer.join().unwrap(),
            our_committer.join().unwrap(),
            committer_at_the_target.join().unwrap(),
        );
    });
    ours(&["--repo=source", "publish", "target", "stock/*", "ours/*"]);
    let state = State::of(&scene.target());
    assert_eq!(state.refs["stock/own"], last.0);
    assert_eq!(state.refs["ours/own"], last.1);
    assert_eq!(state.refs["target/own"], last.2);
    assert_eq!(state.summary, state.refs);
    assert_sound(&scene.target());
    assert_sound(&scene.source());
}
