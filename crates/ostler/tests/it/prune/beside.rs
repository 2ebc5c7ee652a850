//! Stock and we prune copies of one repository with the same options.

use super::history::{BRANCHES, History, Kind, START, options};
use super::{files, moved, on_repo};
use crate::programs::OSTLER;
use ostler_testkit::random::Random;
use ostler_testkit::stock::StockRepo;
use std::path::Path;

/// Prunes a copy with each program and compares what they print, how they end and what they leave.
#[track_caller]
fn alike(history: &History, arguments: &str) {
    let [(stock, stock_left), (ours, ours_left)] = ["ostree", OSTLER].map(|program| {
        let copy = history.copy();
        let ended = on_repo(program, copy.path(), &format!("prune {arguments}"));
        (ended, files(&copy.path().join("repo")))
    });
    if stock.code != Some(0) {
        assert_eq!(ours.code, stock.code, "prune {arguments}");
        let before = files(history.repo().path());
        assert_eq!(ours_left, before, "what fails changes nothing: prune {arguments}");
        return;
    }
    assert_eq!(ours, stock, "prune {arguments}");
    // Stock removes stale deltas and caches even where it is to remove nothing.
    if !arguments.contains("--no-prune") {
        let different: Vec<_> = ours_left.symmetric_difference(&stock_left).collect();
        assert!(different.is_empty(), "prune {arguments}: {different:?}");
    }
}

#[test]
fn random_histories_are_pruned_as_stock_prunes_them() {
    for seed in 0..6 {
        println!("seed {seed}");
        let mut random = Random::new(seed);
        let history = History::new(&mut random, Kind::Separate);
        for _ in 0..8 {
            let arguments = options(&mut random, &history);
            alike(&history, &arguments);
        }
    }
}

#[test]
fn every_option_alone_does_what_it_does_in_stock() {
    let history = History::new(&mut Random::new(100), Kind::Separate);
    let repo = history.repo();
    let tip = repo.rev_parse(BRANCHES[0]);
    let parent = repo.rev_parse("os/stable^");
    for arguments in [
        "",
        "--no-prune",
        "--refs-only",
        "--depth=0",
        "--refs-only --depth=0",
        "--refs-only --depth=0 --no-prune",
        "--refs-only --depth=1 --commit-only",
        "--commit-only",
        "--keep-younger-than=@0",
        "--keep-younger-than=2100-01-01",
        "--retain-branch-depth=app=0",
        "--retain-branch-depth=app=0 --depth=0",
        "--retain-branch-depth=origin:os/stable=0 --depth=-1",
        "--retain-branch-depth=nowhere=0 --depth=0",
        "--only-branch=app --depth=0",
        "--only-branch=origin:os/stable --depth=0",
        "--only-branch=nowhere --depth=0",
        "--retain-branch-depth=app",
        "--retain-branch-depth=app=many",
        "--retain-branch-depth=app=",
        "--keep-younger-than=garbage",
        &format!("--only-branch={tip} --depth=0"),
        &format!("--delete-commit={tip}"),
        &format!("--delete-commit={parent}"),
        &format!("--delete-commit={parent} --refs-only"),
        &format!("--delete-commit={parent} --commit-only"),
        &format!("--delete-commit={parent} --static-deltas-only"),
        &format!("--delete-commit={tip} --static-deltas-only --refs-only --depth=0"),
    ] {
        alike(&history, arguments);
    }
    for wrong in [
        &format!("--delete-commit={parent} --no-prune"),
        "--static-deltas-only",
        "--nonsense",
    ] {
        let copy = history.copy();
        assert_eq!(
            on_repo("ostree", copy.path(), &format!("prune {wrong}")).code,
            Some(1)
        );
        assert_eq!(
            on_repo(OSTLER, copy.path(), &format!("prune {wrong}")).code,
            Some(2)
        );
        assert_eq!(files(&copy.path().join("repo")), files(repo.path()), "{wrong}");
    }
}

/// Returns the commits of a repository.
fn commits(repo: &Path) -> Vec<String> {
    let left = files(repo).into_iter();
    let left = left.filter(|path| path.extension().is_some_and(|suffix| suffix == "commit"));
    left.map(|path| path.display().to_string()).collect()
}

#[test]
fn where_refs_share_a_history_each_keeps_what_it_would_keep_alone() {
    for seed in 0..2 {
        let mut random = Random::new(1000 + seed);
        let history = History::new(&mut random, Kind::Shared);
        let depth = random.below(4);
        let age = START + random.below(history.commits.len()) * 1000;
        for arguments in [
            format!("--refs-only --depth={depth}"),
            format!("--keep-younger-than=@{age}"),
            format!("--retain-branch-depth=os/stable={depth} --depth=0"),
        ] {
            let copy = history.copy();
            let repo = copy.path().join("repo");
            assert_eq!(
                on_repo(OSTLER, copy.path(), &format!("prune {arguments}")).code,
                Some(0)
            );
            let ours = commits(&repo);
            // Stock, with one ref after the other in a copy where there is no other.
            let mut expected = Vec::new();
            for reference in history.repo().refs() {
                let copy = history.copy();
                let alone = StockRepo::open(&copy.path().join("repo"));
                // Aliases first: what has one cannot be deleted.
                for other in ["latest".to_owned()].into_iter().chain(history.repo().refs()) {
                    if other != reference && alone.refs().contains(&other) {
                        let target = alone.path().join("refs/heads").join(&other);
                        let remote = alone.path().join("refs/remotes").join(other.replace(':', "/"));
                        let path = if other.contains(':') { remote } else { target };
                        // An alias that is kept needs its target.
                        if !(reference == "latest" && other == BRANCHES[0]) {
                            std::fs::remove_file(path).unwrap();
                        }
                    }
                }
                let named = arguments.replace(
                    "--retain-branch-depth=os/stable",
                    &format!(
                        "--retain-branch-depth={}",
                        if reference == BRANCHES[0] {
                            BRANCHES[0]
                        } else {
                            "nothing"
                        }
                    ),
                );
                alone.run(&[&["prune"][..], &named.split(' ').collect::<Vec<_>>()].concat());
                expected.extend(commits(alone.path()));
            }
            expected.sort();
            expected.dedup();
            assert_eq!(ours, expected, "seed {seed}: prune {arguments}");
            // With the partial commits of the history, which stock counts.
            let checked = on_repo("ostree", copy.path(), "fsck -q");
            assert_eq!(checked.code, Some(0), "{}", checked.stdout);
        }
    }
}

#[test]
fn a_child_keeps_what_it_has_for_commits_of_its_parent_repository() {
    let history = History::new(&mut Random::new(7), Kind::Separate);
    let mut ended = Vec::new();
    for program in ["ostree", OSTLER] {
        let copy = history.copy();
        let parent = copy.path().join("parent");
        moved(&copy.path().join("repo"), &parent);
        let mode = StockRepo::open(&parent).run(&["config", "get", "core.mode"]);
        let child = StockRepo::init(&copy.path().join("repo"), mode.trim());
        let path = parent.to_str().unwrap();
        // Objects that the parent has as well, then what only the child has.
        child.run(&["pull-local", path, "app"]);
        child.run(&["config", "set", "core.parent", path]);
        let tree = copy.path().join("tree");
        ostler_testkit::tree::Tree::at(&tree).file("new", "new\n", 0o644);
        let tip = StockRepo::open(&parent).rev_parse("os/devel");
        child.commit_with("mine", &tree, &[&format!("--parent={tip}")]);
        child.run(&["refs", "--create=theirs", &tip]);
        for arguments in ["", "--refs-only", "--refs-only --depth=0"] {
            let result = on_repo(program, copy.path(), &format!("prune {arguments}"));
            ended.push((program, arguments, result, files(child.path())));
        }
    }
    let (stock, ours) = ended.split_at(3);
    for (stock, ours) in stock.iter().zip(ours) {
        assert_eq!((&stock.2, &stock.3), (&ours.2, &ours.3), "prune {}", stock.1);
    }
}
