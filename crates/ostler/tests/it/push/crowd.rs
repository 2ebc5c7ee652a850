//! Many pushers at once, some of which are killed or have their far end killed: what the records of the target say is one order
//! of all that happened, and what each pusher was told fits it.

use crate::programs::{OSTLER, ostler};
use ostler_testkit::oracle::{assert_sound, strays};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use ostler_transfer::{DirStore, Generation};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;

const PUSHERS: usize = 32;

/// The ref that everybody moves.
const SHARED: &str = "shared";

/// What happens to a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accident {
    None,
    /// The far end is killed at its nth call of a kind.
    FarEnd(&'static str, u32),
    /// The pusher is killed when it has sent so many bytes.
    Pusher(u32),
}

/// One push: a commit that no other push has, for a ref that two push to, and for every second one also the shared ref.
#[derive(Debug, Clone)]
struct Attempt {
    commit: String,
    refs: Vec<String>,
    accident: Accident,
}

/// What the pusher was told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    /// The number of the generation, and of each ref what it named before.
    Accepted(u64, BTreeMap<String, Option<String>>),
    Refused,
    /// Nothing that it could rely on.
    Nothing,
}

/// A far end that meets with an accident.
fn far_end(directory: &Path, number: usize, accident: Accident) -> PathBuf {
    let path = directory.join(format!("far{number}"));
    let text = match accident {
        Accident::None => format!("exec {OSTLER} \"$@\"\n"),
        Accident::FarEnd(call, nth) => format!(
            "exec strace -f -qq -o /dev/null -e trace={call} -e inject={call}:signal=KILL:when={nth} {OSTLER} \"$@\"\n"
        ),
        // The shell's parent is the pusher.
        Accident::Pusher(bytes) => {
            format!("{{ stdbuf -o0 head -c {bytes}; kill -9 $PPID; exec cat; }} | {OSTLER} \"$@\"\n")
        }
    };
    fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn accident(number: usize) -> Accident {
    match number % 8 {
        1 => Accident::Pusher(300 + 200 * u32::try_from(number).unwrap()),
        3 => Accident::FarEnd("renameat2", 1 + u32::try_from(number / 8).unwrap()),
        5 => Accident::FarEnd("linkat", 1 + u32::try_from(number / 4).unwrap()),
        6 => Accident::FarEnd("fsync,fdatasync,syncfs", 1 + u32::try_from(number / 8).unwrap()),
        _ => Accident::None,
    }
}

fn push(directory: &Path, number: usize, attempt: &Attempt) -> Told {
    let mut push = ostler(directory);
    push.args(["--repo=source", "push", "target", "--json", "--force"]);
    for name in &attempt.refs {
        push.arg(format!("{}:{name}", attempt.commit));
    }
    if attempt.accident != Accident::None {
        let program = far_end(directory, number, attempt.accident);
        push.arg("--command").arg(program);
    }
    let output = push.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let last = printed.lines().last().unwrap_or_default();
    let Ok(record) = serde_json::from_str::<Value>(last) else {
        assert!(!output.status.success());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(attempt.accident != Accident::None, "{attempt:?}: {errors}");
        return Told::Nothing;
    };
    let results: BTreeSet<_> = record["refs"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|told| told["result"].as_str().expect("a word"))
        .collect();
    if output.status.success() {
        assert_eq!(results, BTreeSet::from(["accepted"]));
        let old = record["refs"].as_array().expect("a list").iter().map(|told| {
            let text = |field: &str| told[field].as_str().map(str::to_owned);
            assert_eq!(text("new").as_ref(), Some(&attempt.commit));
            (text("ref").or_else(|| text("name")).expect("a name"), text("old"))
        });
        return Told::Accepted(record["generation"].as_u64().expect("a number"), old.collect());
    }
    assert!(
        results.contains("refused") && !results.contains("accepted"),
        "{last}"
    );
    Told::Refused
}

/// Returns the refs after each generation, from none at all.
fn generations(target: &Path) -> Vec<BTreeMap<String, String>> {
    let store = DirStore::new(ostler_repo::Repo::open(target).unwrap());
    let latest = Generation::latest(&store)
        .unwrap()
        .expect("somebody was accepted");
    let record = |number| Generation::read(&store, number).unwrap().expect("a record").refs;
    [BTreeMap::new()]
        .into_iter()
        .chain((1..=latest.number).map(record))
        .collect()
}

#[test]
fn whatever_befalls_many_pushers_there_is_one_order_that_all_were_told_of() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let source = StockRepo::init(&path.join("source"), "archive");
    let target = StockRepo::init(&path.join("target"), "archive");
    let tree = Tree::at(&path.join("tree"));
    for number in 0..20 {
        tree.file(&format!("common{number}"), format!("{number}"), 0o644);
    }
    let attempts: Vec<_> = (0..PUSHERS)
        .map(|number| {
            tree.file("own", format!("{number}"), 0o644);
            Attempt {
                commit: source.commit(&format!("candidate{number}"), tree.path()),
                refs: match number % 2 {
                    0 => vec![format!("own/{}", number / 2)],
                    _ => vec![format!("own/{}", number / 2), SHARED.to_owned()],
                },
                accident: accident(number),
            }
        })
        .collect();
    let told: Vec<_> = thread::scope(|scope| {
        let pushes: Vec<_> = (0..)
            .zip(&attempts)
            .map(|(number, attempt)| scope.spawn(move || push(path, number, attempt)))
            .collect();
        pushes.into_iter().map(|push| push.join().unwrap()).collect()
    });
    // Completes a flip that was cut short, and clears away what nobody will come back for.
    let mut last = ostler(path);
    let mut told = told;
    let attempt = Attempt {
        commit: attempts[0].commit.clone(),
        refs: vec!["last".to_owned(), SHARED.to_owned()],
        accident: Accident::None,
    };
    assert_ne!(generations(&completed(&mut last, path)).len(), 0);
    let mut attempts = attempts;
    told.push(push(path, PUSHERS, &attempt));
    attempts.push(attempt);
    assert!(matches!(told.last(), Some(Told::Accepted(..))));

    let order = generations(target.path());
    check_order(&attempts, &told, &order);
    let refs: BTreeMap<_, _> = target
        .refs()
        .into_iter()
        .map(|name| (name.clone(), target.rev_parse(&name)))
        .collect();
    assert_eq!(order.last(), Some(&refs), "the last record says what refs say");
    assert_sound(target.path());
    assert_eq!(strays(target.path()), Vec::<String>::new());
    let left = fs::read_dir(path.join("target/extensions/ostler/incoming")).unwrap();
    assert_eq!(left.count(), 0);
    // Of three pairs in four somebody moves their ref for whom no accident was meant, or the other one did before.
    let least = PUSHERS / 2 * 3 / 4 + 1;
    assert!(order.len() > least, "only {} generations", order.len() - 1);
}

/// Runs a command on the target, which completes what was cut short there.
fn completed(ostler: &mut std::process::Command, directory: &Path) -> PathBuf {
    let _printed = ostler_testkit::command::run(ostler.args(["--repo=target", "refs"]));
    directory.join("target")
}

/// Asserts that each step of the order is one push, whole, that no push is two steps, and that everybody was told the truth.
fn check_order(attempts: &[Attempt], told: &[Told], order: &[BTreeMap<String, String>]) {
    let mut done = vec![None; attempts.len()];
    for (number, step) in (1..).zip(order.windows(2)) {
        let [before, after] = step else {
            unreachable!("windows of two")
        };
        let changed: BTreeMap<_, _> = after
            .iter()
            .filter(|(name, commit)| before.get(*name) != Some(commit))
            .collect();
        assert!(
            before.keys().all(|name| after.contains_key(name)),
            "{number}: a ref is lost"
        );
        let who = attempts.iter().position(|attempt| {
            let moved = |name: &String| after.get(name) == Some(&attempt.commit);
            attempt.refs.iter().all(moved) && attempt.refs.iter().any(|name| changed.contains_key(name))
        });
        let Some(who) = who else {
            panic!("{number}: nobody wanted {changed:?}");
        };
        assert!(
            changed.keys().all(|name| attempts[who].refs.contains(name)),
            "{number}: {changed:?}"
        );
        assert_eq!(
            done[who].replace(number),
            None,
            "{:?} happened twice",
            attempts[who]
        );
    }
    for ((attempt, told), done) in attempts.iter().zip(told).zip(done) {
        match told {
            Told::Accepted(number, old) => {
                assert_eq!(done, Some(*number), "{attempt:?}");
                let before = &order[usize::try_from(number - 1).unwrap()];
                for (name, commit) in old {
                    assert_eq!(before.get(name), commit.as_ref(), "{attempt:?}: {name}");
                }
            }
            Told::Refused => assert_eq!(done, None, "{attempt:?} was refused"),
            Told::Nothing => {}
        }
    }
}
