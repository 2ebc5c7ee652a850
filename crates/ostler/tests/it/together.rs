//! Everybody at work at once on a private repository and the public one that is published from it: committers, pruners,
//! summary writers, publishers with retention, sweeps, and clients, stock ones and ours.
//!
//! Everybody does a fixed number of rounds; how they fall between one another is up to the machine. No command may fail,
//! but with what [`tolerated`] names.

use crate::programs::OSTLER;
use ostler_testkit::client::Client;
use ostler_testkit::command::{attempt, command, describe};
use ostler_testkit::nginx::Nginx;
use ostler_testkit::oracle::assert_sound;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::path::Path;
use std::process::Output;
use std::thread::{Scope, ScopedJoinHandle};
use tempfile::TempDir;

/// How often everybody does its work.
const ROUNDS: u32 = 4;

/// The refs, each with the program that commits to it: of the private repository, and of the public one.
const PRIVATE: [(&str, &str); 4] = [
    ("stock/one", "ostree"),
    ("stock/two", "ostree"),
    ("ours/one", OSTLER),
    ("ours/two", OSTLER),
];
const PUBLIC: [(&str, &str); 2] = [("public/stock", "ostree"), ("public/ours", OSTLER)];

/// Returns whether a command may fail in this way.
fn tolerated(said: &str) -> bool {
    // Who does not get the lock within `core.lock-timeout-secs` gives up, and says so: stock, and ours.
    let times_out = said.contains("Locking repo") || said.contains("cannot take the");
    // Stock, when it begins a transaction, opens the staging directories of all others that it has listed just before,
    // and fails if one has ended since. Stock committers alone do that to one another.
    let misses_staging = said.contains("\"ostree\"") && said.contains("opendir(staging-");
    times_out || misses_staging
}

/// Runs a command in a directory; returns its standard output, or nothing where it failed as it may.
#[track_caller]
fn done(program: &str, directory: &Path, words: &str) -> Option<String> {
    let mut command = command(program);
    command.current_dir(directory).args(words.split(' '));
    let output = attempt(&mut command);
    judged(&output, || describe(&command, &output))
}

#[track_caller]
fn judged(output: &Output, described: impl Fn() -> String) -> Option<String> {
    if output.status.success() {
        return Some(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let described = described();
    assert!(tolerated(&described), "{described}");
    eprintln!("{described}");
    None
}

/// The two repositories, `private` and `public`, each with a commit on every ref.
fn repositories() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for (repo, refs) in [("private", &PRIVATE[..]), ("public", &PUBLIC)] {
        let stock = StockRepo::init(&path.join(repo), "archive");
        stock.run(&["config", "set", "core.fsync", "false"]);
        // Stock sleeps for a second between two tries.
        stock.run(&["config", "set", "core.lock-timeout-secs", "120"]);
        for (name, _) in refs {
            commit(path, repo, name, "ostree", 0);
        }
    }
    done(OSTLER, path, "--repo=private publish public").expect("nobody holds a lock");
    directory
}

/// Commits a tree that shares files with those of all others, of the same round and the one before; returns the commit.
fn commit(directory: &Path, repo: &str, name: &str, program: &str, round: u32) -> Option<String> {
    let tree = format!("tree-{}", name.replace('/', "-"));
    Tree::at(&directory.join(&tree))
        .file("own", format!("{name} {round}"), 0o644)
        .file("shared/now", format!("{round}"), 0o644)
        .file("shared/turns", format!("{}", round % 2), 0o644)
        .file(&format!("grows/{round}"), "same", 0o644);
    let options = format!("-s {round} --branch={name} {tree}");
    done(program, directory, &format!("--repo={repo} commit {options}"))
}

/// Commits to a ref in every round, and once more without a ref, for pruners to find something; returns the last commit.
fn commits(directory: &Path, repo: &str, name: &str, program: &str) -> Option<String> {
    let mut last = None;
    for round in 1..=ROUNDS {
        last = commit(directory, repo, name, program, round).or(last);
        let tree = format!("tree-{}", name.replace('/', "-"));
        Tree::at(&directory.join(&tree)).file("lost", format!("{name} {round}"), 0o644);
        done(
            program,
            directory,
            &format!("--repo={repo} commit -s lost --orphan {tree}"),
        );
    }
    last
}

/// Everybody at work.
struct Crowd<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    directory: &'env Path,
    /// Each with what it does, for the message where it fails.
    others: Vec<(String, ScopedJoinHandle<'scope, ()>)>,
    committers: Vec<(
        &'static str,
        &'static str,
        ScopedJoinHandle<'scope, Option<String>>,
    )>,
    /// What the clients pull from, for as long as they do.
    server: Option<Nginx>,
}

impl Crowd<'_, '_> {
    /// Lets a command be run in every round.
    fn busy(&mut self, program: &'static str, words: &'static str) {
        let directory = self.directory;
        let work = move || {
            for _ in 0..ROUNDS {
                done(program, directory, words);
            }
        };
        let thread = self.scope.spawn(work);
        self.others.push((format!("{program} {words}"), thread));
    }

    fn committers(&mut self) {
        for (repo, refs) in [("private", &PRIVATE[..]), ("public", &PUBLIC)] {
            for (name, program) in refs.iter().copied() {
                let directory = self.directory;
                let thread = self.scope.spawn(move || commits(directory, repo, name, program));
                self.committers.push((repo, name, thread));
            }
        }
    }

    /// Those who write summaries of both repositories, and publish.
    fn keepers(&mut self, publishers: [&'static str; 2]) {
        for program in ["ostree", OSTLER] {
            self.busy(program, "--repo=private summary -u");
            self.busy(program, "--repo=public summary -u");
        }
        for words in publishers {
            self.busy(OSTLER, words);
        }
    }

    /// Those who prune the private repository, and cut what its refs lead to short.
    fn pruners(&mut self) {
        for program in ["ostree", OSTLER] {
            self.busy(program, "--repo=private prune --refs-only --depth=1");
        }
        self.busy(OSTLER, "--repo=private prune --refs-only --depth=1 --grace=1h");
    }

    /// Lets stock clients pull all that the summary lists, and one ref, by HTTP.
    fn clients(&mut self) {
        let server = Nginx::serve(&self.directory.join("public"));
        for words in [
            &["pull", "--mirror", "origin"][..],
            &["pull", "origin", "ours/one"],
        ] {
            let url = server.url();
            let work = move || {
                for _ in 0..ROUNDS {
                    // A client of its own each time: nothing that it has spares it a look.
                    let client = Client::of(&url);
                    client.repo().run(words);
                    client.repo().fsck();
                }
            };
            self.others.push((words.join(" "), self.scope.spawn(work)));
        }
        self.server = Some(server);
    }

    /// Waits for all; returns the repository, the ref, and the last commit of every committer.
    fn finish(self) -> Vec<(&'static str, &'static str, String)> {
        let failed: Vec<String> = self
            .others
            .into_iter()
            .filter_map(|(what, thread)| thread.join().is_err().then_some(what))
            .collect();
        let last = self.committers.into_iter().map(|(repo, name, thread)| {
            let last = thread.join().expect("commits work");
            (repo, name, last.expect("a commit that got the lock"))
        });
        let last = last.collect();
        assert!(failed.is_empty(), "failed: {failed:?}");
        last
    }
}

/// Lets everybody work, and looks at what they leave.
fn work(publishers: [&'static str; 2], more: impl FnOnce(&mut Crowd<'_, '_>)) {
    let directory = repositories();
    let path = directory.path();
    let last = std::thread::scope(|scope| {
        let mut crowd = Crowd {
            scope,
            directory: path,
            others: Vec::new(),
            committers: Vec::new(),
            server: None,
        };
        crowd.committers();
        crowd.keepers(publishers);
        more(&mut crowd);
        crowd.finish()
    });
    for (repo, name, commit) in &last {
        let found = StockRepo::open(&path.join(repo)).rev_parse(name);
        assert_eq!(&found, commit, "{repo}: '{name}' leads to the last commit to it");
    }
    for words in publishers {
        done(OSTLER, path, words).expect("nobody holds a lock");
    }
    for repo in ["private", "public"] {
        assert_sound(&path.join(repo));
    }
    let public = path.join("public");
    let server = Nginx::serve(&public);
    for (_, name, commit) in &last {
        assert_eq!(
            &Client::of(&server.url()).pull(name),
            commit,
            "'{name}' is public"
        );
    }
    assert_eq!(StockRepo::open(&public).refs().len(), last.len());
}

#[test]
fn clients_and_everybody_else_at_work_at_once_take_no_harm() {
    work(
        [
            "--repo=private publish public stock/* --depth=0 --force --grace=1h",
            "--repo=private publish public ours/* --depth=1 --force --grace=1h",
        ],
        |crowd| {
            crowd.pruners();
            crowd.clients();
            crowd.busy(OSTLER, "sweep public --grace=1h");
            crowd.busy(OSTLER, "--repo=public prune --refs-only --depth=1 --grace=1h");
            // Without --refs-only no commit goes: stock's knows no time of grace, and takes what a client is pulling.
            crowd.busy("ostree", "--repo=public prune");
        },
    );
}

#[test]
fn everybody_at_work_at_once_without_grace_takes_no_harm() {
    work(
        [
            "--repo=private publish public stock/* --depth=0 --force --grace=0",
            "--repo=private publish public ours/* --depth=1 --force --grace=0",
        ],
        |crowd| {
            crowd.pruners();
            crowd.busy(OSTLER, "sweep public --grace=0");
            for program in ["ostree", OSTLER] {
                crowd.busy(program, "--repo=public prune --refs-only --depth=1");
            }
        },
    );
}

#[test]
fn publishers_of_the_same_refs_need_no_force() {
    // Where the private history is cut short, its refs do not descend from what is public.
    work(
        [
            "--repo=private publish public --depth=1 --grace=0",
            "--repo=private publish public stock/* ours/one --depth=0 --grace=1h",
        ],
        |crowd| {
            for program in ["ostree", OSTLER] {
                crowd.busy(program, "--repo=private prune --refs-only");
            }
            crowd.busy(OSTLER, "sweep public --grace=0");
        },
    );
}
