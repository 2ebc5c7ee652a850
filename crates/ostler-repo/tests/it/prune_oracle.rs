//! Pruning random graphs of commits, against the plainest computation of what has to stay.

use crate::graph::{Graph, Objects};
use ostler_format::{ObjectName, ObjectType};
use ostler_repo::prune::{Grace, Loss, PruneDetails, RefLoss, Tally};
use ostler_repo::{Depth, PruneOptions, RefRetention, Repo, Retention, prune};
use ostler_testkit::command::{command, run};
use ostler_testkit::random::Random;
use ostler_testkit::stock::StockRepo;
use std::collections::{BTreeMap, BTreeSet};

/// How many graphs are made.
const GRAPHS: u64 = 60;

fn depth(random: &mut Random) -> Depth {
    match random.below(5) {
        0 => Depth::All,
        number => Depth::Parents(number as u64 - 1),
    }
}

fn retention(random: &mut Random, graph: &Graph) -> RefRetention {
    let names: Vec<String> = graph.refs.keys().cloned().collect();
    let mut retention = RefRetention {
        depth: Some(depth(random)),
        ..RefRetention::default()
    };
    if random.chance(30) {
        retention.younger_than = Some(random.below((graph.commits.len() + 1) * 1000) as u64);
    }
    for name in names {
        match random.below(7) {
            0 => drop(retention.branches.insert(name, depth(random))),
            1 => drop(retention.only.insert(name)),
            _ => {}
        }
    }
    retention
}

/// Returns the commits that all refs keep.
fn kept_by_all(graph: &Graph, retention: &RefRetention) -> BTreeSet<usize> {
    let refs = graph.refs.iter();
    refs.flat_map(|(name, tip)| kept_by(graph, name, *tip, retention))
        .collect()
}

/// Returns the commits that a ref keeps, by the words of the manual.
fn kept_by(graph: &Graph, name: &str, tip: usize, retention: &RefRetention) -> Vec<usize> {
    let history = graph.history(tip);
    let parents = |depth: Depth| match depth {
        Depth::All => history.len(),
        Depth::Parents(number) => usize::try_from(number).unwrap() + 1,
    };
    let count = if let Some(depth) = retention.branches.get(name) {
        parents(*depth)
    } else if !retention.only.is_empty() && !retention.only.contains(name) {
        history.len()
    } else if let Some(time) = retention.younger_than {
        let young = history
            .iter()
            .take_while(|commit| graph.commits[**commit].time >= time);
        young.count().max(1)
    } else {
        parents(retention.depth.unwrap())
    };
    history.into_iter().take(count).collect()
}

fn closure(graph: &Graph, commits: &BTreeSet<usize>) -> Objects {
    commits
        .iter()
        .flat_map(|commit| graph.commits[*commit].objects.iter().copied())
        .collect()
}

fn present(repo: &Repo) -> Objects {
    repo.list_objects(false).unwrap().into_iter().collect()
}

fn tally(repo: &Repo, objects: &Objects) -> Tally {
    let sizes = objects.iter().map(|name| repo.object_size(name).unwrap());
    Tally {
        objects: objects.len() as u64,
        bytes: sizes.sum(),
    }
}

/// Commits that go together, and the ref whose history they are of, with the number that it keeps.
type Share = (Option<(String, u64)>, Vec<usize>);

/// Returns what a dry run has to say, computed share by share.
fn details(graph: &Graph, repo: &Repo, kept: &BTreeSet<usize>) -> PruneDetails {
    let going: Objects = present(repo).difference(&closure(graph, kept)).copied().collect();
    let mut shares: Vec<Share> = Vec::new();
    let mut named = BTreeSet::<usize>::new();
    for (name, tip) in &graph.refs {
        let history = graph.history(*tip);
        let lost: Vec<usize> = history
            .iter()
            .copied()
            .filter(|commit| !kept.contains(commit))
            .collect();
        named.extend(&lost);
        if !lost.is_empty() {
            shares.push((Some((name.clone(), (history.len() - lost.len()) as u64)), lost));
        }
    }
    let is_there = |commit: &usize| !graph.commits[*commit].gone;
    let mut unnamed: Vec<usize> = (0..graph.commits.len())
        .filter(|commit| is_there(commit) && !kept.contains(commit) && !named.contains(commit))
        .collect();
    unnamed.sort_by_key(|commit| {
        (
            std::cmp::Reverse(graph.commits[*commit].time),
            graph.commits[*commit].checksum,
        )
    });
    shares.push((None, unnamed));
    let needed: Vec<Objects> = shares
        .iter()
        .map(|(_, commits)| closure(graph, &commits.iter().copied().collect()))
        .collect();
    let mut owners: BTreeMap<ObjectName, Vec<usize>> = BTreeMap::new();
    for name in &going {
        let owning = (0..needed.len()).filter(|share| needed[*share].contains(name));
        owners.insert(*name, owning.collect());
    }
    let owned = |test: &dyn Fn(&[usize]) -> bool| {
        let objects = owners.iter().filter(|(_, owners)| test(owners));
        tally(repo, &objects.map(|(name, _)| *name).collect())
    };
    let mut details = PruneDetails {
        together: owned(&|owners| owners.len() > 1),
        orphans: owned(&<[usize]>::is_empty),
        ..PruneDetails::default()
    };
    for (number, (share, commits)) in shares.into_iter().enumerate() {
        let with_time = |commit: &usize| (graph.commits[*commit].checksum, graph.commits[*commit].time);
        let loss = Loss {
            commits: commits.iter().map(with_time).collect(),
            alone: owned(&|owners| owners == [number]),
        };
        match share {
            Some((name, kept)) => details.refs.push(RefLoss { name, kept, loss }),
            None => details.unnamed = loss,
        }
    }
    details
}

fn arguments(retention: &RefRetention) -> Vec<String> {
    let number = |depth: &Depth| match depth {
        Depth::All => "-1".to_owned(),
        Depth::Parents(number) => number.to_string(),
    };
    let mut arguments = vec![
        "--refs-only".to_owned(),
        format!("--depth={}", number(&retention.depth.unwrap())),
    ];
    arguments.extend(
        retention
            .younger_than
            .map(|time| format!("--keep-younger-than=@{time}")),
    );
    let branches = retention.branches.iter();
    arguments.extend(branches.map(|(name, depth)| format!("--retain-branch-depth={name}={}", number(depth))));
    arguments.extend(retention.only.iter().map(|name| format!("--only-branch={name}")));
    arguments
}

/// Stock forgets a depth of 0 for a single branch, and how deep it follows a history that several refs share depends on the
/// order in which it comes by them.
fn stock_is_right(graph: &Graph, retention: &RefRetention) -> bool {
    let mut seen = BTreeSet::new();
    let separate = graph
        .refs
        .values()
        .all(|tip| graph.history(*tip).into_iter().all(|commit| seen.insert(commit)));
    let zero = retention
        .branches
        .values()
        .any(|depth| *depth == Depth::Parents(0));
    let tips = graph.refs.values().all(|tip| !graph.commits[*tip].gone);
    separate && !zero && tips && !graph.refs.is_empty()
}

#[test]
fn what_stays_of_random_graphs_is_what_the_plainest_computation_says() {
    let mut beside_stock = 0;
    for seed in 0..GRAPHS {
        let mut random = Random::new(seed);
        let count = 1 + random.below(14);
        let mut graph = Graph::new(&mut random, count);
        if random.chance(30) {
            graph.lose(random.clone().below(graph.commits.len()));
        }
        let repo = graph.open();
        assert_eq!(present(&repo), graph.all(), "seed {seed}");
        let retention = retention(&mut random, &graph);
        let kept = kept_by_all(&graph, &retention);
        let expected = closure(&graph, &kept);
        let threads = 1 + random.below(3);
        let stock = stock_is_right(&graph, &retention);
        let copy = tempfile::tempdir().unwrap();
        let _printed = run(command("cp").arg("-a").arg(repo.path()).arg(copy.path()));

        let options = PruneOptions {
            retention: Retention::Refs(retention.clone()),
            threads,
            ..PruneOptions::default()
        };
        let look = PruneOptions {
            dry_run: true,
            details: true,
            ..options.clone()
        };
        let told = prune(&repo, &look).unwrap();
        let wanted = details(&graph, &repo, &kept);
        assert_eq!(told.details, Some(wanted), "seed {seed}: {retention:?}");
        assert_eq!(present(&repo), graph.all(), "seed {seed}");
        let gone: Objects = graph.all().difference(&expected).copied().collect();
        let freed = tally(&repo, &gone);

        let done = prune(&repo, &options).unwrap();
        assert_eq!(present(&repo), expected, "seed {seed}: {retention:?}");
        assert_eq!(done.stats, told.stats, "seed {seed}");
        assert_eq!(
            (done.stats.removed, done.stats.freed_bytes),
            (freed.objects, freed.bytes)
        );
        assert_eq!(done.alone.is_some(), freed.objects > 0, "seed {seed}");
        // What has to go has gone.
        assert_eq!(prune(&repo, &options).unwrap().stats.removed, 0);

        if stock {
            beside_stock += 1;
            let theirs = StockRepo::open(&copy.path().join("repo"));
            let words = arguments(&retention);
            let mut all = vec!["prune"];
            all.extend(words.iter().map(String::as_str));
            theirs.run(&all);
            let left = present(&Repo::open(theirs.path()).unwrap());
            assert_eq!(left, expected, "seed {seed}: {words:?}");
        }
    }
    assert!(beside_stock > 5, "{beside_stock} are too few to say anything");
}

#[test]
fn a_grace_of_random_graphs_keeps_what_was_retired_lately_and_nothing_else() {
    for seed in 1000..1000 + 20 {
        let mut random = Random::new(seed);
        let count = 2 + random.below(12);
        let graph = Graph::new(&mut random, count);
        let repo = graph.open();
        let retention = retention(&mut random, &graph);
        let kept = kept_by_all(&graph, &retention);
        let now = 4_000_000_000;
        let with = |seconds, now| PruneOptions {
            retention: Retention::Refs(retention.clone()),
            grace: Some(Grace { seconds, now }),
            ..PruneOptions::default()
        };
        // All files are far older than the grace; the commits are retired now.
        let first = prune(&repo, &with(100, now)).unwrap();
        let retired = first.grace.unwrap();
        let all: BTreeSet<usize> = (0..graph.commits.len()).collect();
        assert_eq!(
            retired.retired.len(),
            all.difference(&kept).count(),
            "seed {seed}"
        );
        assert_eq!(
            present(&repo),
            closure(&graph, &all),
            "seed {seed}: orphans alone go"
        );
        let early = prune(&repo, &with(100, now + 99)).unwrap();
        assert_eq!((early.stats.removed, early.alone), (0, None), "seed {seed}");
        assert_eq!(early.grace.unwrap().waiting, retired.waiting);
        let late = prune(&repo, &with(100, now + 100)).unwrap();
        assert_eq!(present(&repo), closure(&graph, &kept), "seed {seed}");
        assert_eq!(late.grace.unwrap().waiting, 0);
        assert!(
            repo.retired(|error| panic!("{error}")).unwrap().is_empty(),
            "seed {seed}"
        );
    }
}

#[test]
fn without_refs_all_commits_of_random_graphs_stay() {
    for seed in 2000..2020 {
        let mut random = Random::new(seed);
        let graph = Graph::new(&mut random, 8);
        let repo = graph.open();
        let done = prune(&repo, &PruneOptions::default()).unwrap();
        assert_eq!(done.stats.removed, graph.orphans.len() as u64, "seed {seed}");
        let all = (0..graph.commits.len()).collect();
        assert_eq!(present(&repo), closure(&graph, &all), "seed {seed}");
        for made in &graph.commits {
            assert!(
                repo.has_object(&ObjectName::new(made.checksum, ObjectType::Commit))
                    .unwrap()
            );
        }
    }
}
