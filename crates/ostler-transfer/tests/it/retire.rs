//! What a publish retires and takes off the list, and how much history it sends.

use crate::fixture::{
    DAY, NOW, Source, assert_closed, commit_version, commits_of, keep_last, refs_of, retired, run, run_at,
    run_with, versions,
};
use ostler_format::Checksum;
use ostler_repo::Retired;
use ostler_transfer::{
    Keep, MemoryStore, Outcome, Policy, PublishOptions, Retention, Rule, Selection, Silent, Store as _,
    set_pinned,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

fn set(commits: &[String]) -> BTreeSet<String> {
    commits.iter().cloned().collect()
}

fn at(commits: &[String], time: u64) -> BTreeMap<String, u64> {
    commits.iter().map(|commit| (commit.clone(), time)).collect()
}

fn publish(source: &Source, store: &MemoryStore, policy: &Policy, now: u64) -> Outcome {
    let outcome = run_at(source, store, policy, now).unwrap();
    assert_closed(store);
    outcome
}

fn deleting() -> Policy {
    Policy {
        delete_refs: true,
        ..Policy::default()
    }
}

#[test]
fn fast_forward_retires_nothing_and_keeps_no_list() {
    let (source, _) = versions(2);
    let store = MemoryStore::default();
    publish(&source, &store, &Policy::default(), NOW);
    commit_version(&source, 2);
    let outcome = publish(&source, &store, &Policy::default(), NOW + 1);
    assert!(outcome.plan.retirement.is_empty());
    assert!(store.get(Retired::PATH, 100).unwrap().is_none());
}

#[test]
fn commits_of_a_dropped_ref_are_retired_at_the_time_of_the_flip() {
    let source = Source::new();
    let first = source.refs();
    source.advance("second");
    let store = MemoryStore::default();
    publish(&source, &store, &Policy::default(), NOW);
    let second = source.refs();
    source.stock.run(&["refs", "--delete", "os/b"]);
    let outcome = publish(&source, &store, &deleting(), NOW + 5);
    let gone = [first["os/b"].clone(), second["os/b"].clone()];
    // The first commits of both refs may be one and the same, made within a second.
    let gone: Vec<_> = gone
        .into_iter()
        .filter(|commit| *commit != first["os/a"])
        .collect();
    let gone: Vec<_> = gone
        .into_iter()
        .filter(|commit| *commit != second["os/a"])
        .collect();
    assert!(!gone.is_empty());
    assert_eq!(retired(&store), at(&gone, NOW + 5));
    assert_eq!(outcome.plan.retirement.retired.len(), gone.len());
    let again = publish(&source, &store, &deleting(), NOW + 9);
    assert!(again.generation.is_none(), "nothing to do");
    assert_eq!(retired(&store), at(&gone, NOW + 5));
}

#[test]
fn commits_are_retired_at_the_time_of_the_flip_however_long_the_publish_took_until_then() {
    let (source, commits) = versions(2);
    let store = MemoryStore::default();
    publish(&source, &store, &Policy::default(), NOW);
    let asked = AtomicU64::new(0);
    let clock = || NOW + 1000 * asked.fetch_add(1, Ordering::Relaxed);
    run_with(&source, &store, &keep_last(1), |options| PublishOptions {
        clock: &clock,
        ..options
    })
    .unwrap();
    assert_eq!(retired(&store), at(&commits[..1], NOW + 1000));
}

#[test]
fn commit_that_another_ref_leads_to_is_not_retired() {
    let (source, commits) = versions(3);
    source.stock.run(&["refs", "--create=os/old", &commits[1]]);
    let store = MemoryStore::default();
    publish(&source, &store, &Policy::default(), NOW);
    source.stock.run(&["refs", "--delete", "os/a"]);
    publish(&source, &store, &deleting(), NOW);
    assert_eq!(retired(&store), at(&commits[2..], NOW));
}

#[test]
fn ref_that_comes_back_takes_its_commits_off_the_list() {
    let (source, commits) = versions(3);
    source.stock.run(&["refs", "--create=os/other", &commits[0]]);
    let store = MemoryStore::default();
    publish(&source, &store, &Policy::default(), NOW);
    source.stock.run(&["refs", "--delete", "os/a"]);
    publish(&source, &store, &deleting(), NOW);
    assert_eq!(retired(&store), at(&commits[1..], NOW));
    source.stock.run(&["refs", "--create=os/back", &commits[1]]);
    let outcome = publish(&source, &store, &deleting(), NOW + 1);
    assert_eq!(outcome.plan.objects.len(), 0, "all of it is there");
    assert_eq!(retired(&store), at(&commits[2..], NOW));
}

#[test]
fn new_commit_on_top_of_a_retired_one_takes_its_history_off_the_list() {
    let (source, commits) = versions(3);
    source.commit("os/other");
    let store = MemoryStore::default();
    publish(&source, &store, &Policy::default(), NOW);
    source.stock.run(&["refs", "--delete", "os/a"]);
    publish(&source, &store, &deleting(), NOW);
    assert_eq!(retired(&store), at(&commits, NOW));
    let parent = format!("--parent={}", commits[2]);
    source.stock.commit_with("os/new", &source.tree(), &[&parent]);
    publish(&source, &store, &deleting(), NOW + 1);
    assert!(retired(&store).is_empty());
    assert!(store.get(Retired::PATH, 100).unwrap().is_none());
}

#[test]
fn commits_replaced_by_force_are_retired_and_a_second_loss_counts_anew() {
    let (source, commits) = versions(3);
    let force = Policy {
        force: true,
        ..Policy::default()
    };
    let store = MemoryStore::default();
    publish(&source, &store, &force, NOW);
    let reset = |commit: &str| source.stock.run(&["reset", "os/a", commit]);
    reset(&commits[0]);
    publish(&source, &store, &force, NOW + 1);
    assert_eq!(retired(&store), at(&commits[1..], NOW + 1));
    reset(&commits[1]);
    publish(&source, &store, &force, NOW + 2);
    assert_eq!(retired(&store), at(&commits[2..], NOW + 1));
    reset(&commits[0]);
    publish(&source, &store, &force, NOW + 3);
    let mut expected = at(&commits[2..], NOW + 1);
    expected.extend(at(&commits[1..2], NOW + 3));
    assert_eq!(retired(&store), expected);
}

#[test]
fn so_many_commits_are_sent_as_are_kept() {
    let (source, commits) = versions(5);
    let store = MemoryStore::default();
    publish(&source, &store, &keep_last(2), NOW);
    assert_eq!(commits_of(&store), set(&commits[3..]));
    assert!(retired(&store).is_empty());
    assert!(publish(&source, &store, &keep_last(2), NOW).generation.is_none());
}

#[test]
fn history_behind_what_is_kept_is_retired_step_by_step() {
    let (source, mut commits) = versions(4);
    let store = MemoryStore::default();
    publish(&source, &store, &Policy::default(), NOW);
    publish(&source, &store, &keep_last(2), NOW + 1);
    let mut expected = at(&commits[..2], NOW + 1);
    assert_eq!(retired(&store), expected);
    commits.push(commit_version(&source, 4));
    publish(&source, &store, &keep_last(2), NOW + 2);
    expected.extend(at(&commits[2..3], NOW + 2));
    assert_eq!(retired(&store), expected);
    assert!(
        publish(&source, &store, &keep_last(2), NOW + 3)
            .generation
            .is_none()
    );
}

#[test]
fn run_that_sets_no_limit_leaves_what_an_earlier_one_cut() {
    let (source, mut commits) = versions(4);
    let store = MemoryStore::default();
    publish(&source, &store, &Policy::default(), NOW);
    publish(&source, &store, &keep_last(1), NOW + 1);
    commits.push(commit_version(&source, 4));
    source.stock.run(&["refs", "--create=os/b", "os/a"]);
    publish(&source, &store, &Policy::default(), NOW + 2);
    assert_eq!(retired(&store), at(&commits[..3], NOW + 1));
    source.stock.run(&["refs", "--delete", "os/b"]);
    publish(&source, &store, &deleting(), NOW + 3);
    assert_eq!(retired(&store), at(&commits[..3], NOW + 1));
}

#[test]
fn deeper_limit_takes_back_what_is_still_there() {
    let (source, commits) = versions(5);
    let store = MemoryStore::default();
    publish(&source, &store, &Policy::default(), NOW);
    publish(&source, &store, &keep_last(1), NOW + 1);
    let outcome = publish(&source, &store, &keep_last(3), NOW + 2);
    assert_eq!(outcome.plan.retirement.revived.len(), 2);
    assert_eq!(retired(&store), at(&commits[..2], NOW + 1));
    let forever = Keep {
        forever: true,
        ..Keep::default()
    };
    let mut policy = keep_last(1);
    policy.retention.others = Some(forever);
    publish(&source, &store, &policy, NOW + 3);
    assert!(retired(&store).is_empty());
}

#[test]
fn commits_that_fall_behind_a_gap_are_retired_too() {
    let (source, mut commits) = versions(2);
    let store = MemoryStore::default();
    publish(&source, &store, &keep_last(2), NOW);
    for version in 2..6 {
        commits.push(commit_version(&source, version));
    }
    publish(&source, &store, &keep_last(2), NOW + 1);
    assert_eq!(retired(&store), at(&commits[..2], NOW + 1));
    let mut there = set(&commits[..2]);
    there.extend(set(&commits[4..]));
    assert_eq!(commits_of(&store), there, "nothing between is sent");
}

#[test]
fn commits_too_old_are_retired_although_no_ref_moves() {
    let (source, commits) = versions(4);
    let store = MemoryStore::default();
    let mut policy = keep_last(1);
    policy.retention.others = Some(Keep {
        age: Some(2 * DAY),
        ..Keep::default()
    });
    publish(&source, &store, &policy, NOW + 2 * DAY);
    assert_eq!(commits_of(&store).len(), 4);
    let aged = publish(&source, &store, &policy, NOW + 4 * DAY);
    assert!(aged.plan.refs.is_empty() && aged.generation.is_some());
    assert_eq!(retired(&store), at(&commits[..2], NOW + 4 * DAY));
    publish(&source, &store, &policy, NOW + 900 * DAY);
    assert_eq!(retired(&store).len(), 3, "the commit of a ref stays however old");
}

#[test]
fn rules_are_for_refs_by_pattern_and_lists_name_commits_that_stay() {
    let (source, commits) = versions(4);
    source.stock.run(&["refs", "--create=os/all", &commits[3]]);
    let rule = |pattern: &str, last: u64, listed: &[&String]| Rule {
        refs: Selection::new(&[pattern.to_owned()]).unwrap(),
        keep: Some(Keep {
            last,
            ..Keep::default()
        }),
        listed: listed
            .iter()
            .map(|hex| Checksum::from_hex(hex).unwrap())
            .collect(),
        end_of_life: None,
        deltas: ostler_transfer::DeltaOrigins::default(),
    };
    let policy = |rules: Vec<Rule>| Policy {
        retention: Retention { rules, others: None },
        ..Policy::default()
    };
    let store = MemoryStore::default();
    publish(&source, &store, &Policy::default(), NOW);
    publish(&source, &store, &policy(vec![rule("os/a", 1, &[])]), NOW + 1);
    assert!(retired(&store).is_empty(), "the other ref leads to all of them");
    publish(
        &source,
        &store,
        &policy(vec![rule("os/*", 1, &[&commits[1]])]),
        NOW + 1,
    );
    let mut expected = at(&commits[..1], NOW + 1);
    expected.extend(at(&commits[2..3], NOW + 1));
    assert_eq!(retired(&store), expected);
}

#[test]
fn branch_whose_time_is_over_is_dropped_and_not_published_again() {
    let (source, commits) = versions(2);
    source.commit("os/other");
    let ending = Rule {
        refs: Selection::new(&["os/a".to_owned()]).unwrap(),
        keep: None,
        listed: BTreeSet::new(),
        end_of_life: Some(NOW + 10),
        deltas: ostler_transfer::DeltaOrigins::default(),
    };
    let policy = Policy {
        retention: Retention {
            rules: vec![ending],
            others: None,
        },
        ..Policy::default()
    };
    let store = MemoryStore::default();
    publish(&source, &store, &policy, NOW);
    assert!(refs_of(&store).contains_key("os/a"));
    commit_version(&source, 7);
    publish(&source, &store, &policy, NOW + 10);
    assert_eq!(refs_of(&store).into_keys().collect::<Vec<_>>(), ["os/other"]);
    assert_eq!(retired(&store), at(&commits, NOW + 10));
    assert_eq!(commits_of(&store).len(), 3, "the last commit is not sent");
    assert!(publish(&source, &store, &policy, NOW + 11).generation.is_none());
    source.stock.run(&["refs", "--delete", "os/other"]);
    let all_over = Policy {
        delete_refs: true,
        ..policy
    };
    assert!(
        run_at(&source, &store, &all_over, NOW + 12).is_err(),
        "never all of them"
    );
}

#[test]
fn damaged_list_does_not_stop_a_publish_and_is_made_anew() {
    let (source, commits) = versions(3);
    let store = MemoryStore::default();
    publish(&source, &store, &Policy::default(), NOW);
    store.tamper(Retired::PATH, Some(b"{\"commits\": 7}".to_vec()));
    let outcome = publish(&source, &store, &keep_last(1), NOW + 1);
    assert!(outcome.plan.objects.is_empty());
    assert_eq!(retired(&store), at(&commits[..2], NOW + 1));
}

#[test]
fn refs_that_track_remotes_keep_what_they_lead_to() {
    let (source, commits) = versions(3);
    let store = MemoryStore::default();
    publish(&source, &store, &Policy::default(), NOW);
    store.tamper(
        "refs/remotes/origin/os/x",
        Some(format!("{}\n", commits[1]).into_bytes()),
    );
    publish(&source, &store, &keep_last(1), NOW + 1);
    assert!(retired(&store).is_empty());
}

#[test]
fn pinned_generation_keeps_what_its_refs_led_to_and_its_history() {
    let (source, _) = versions(3);
    let store = MemoryStore::default();
    publish(&source, &store, &Policy::default(), NOW);
    store.tamper("extensions/ostler/generations/00000001.pin", Some(Vec::new()));
    // Also while a ref leads to the same commit, which keeps less of it.
    publish(&source, &store, &keep_last(1), NOW + 1);
    assert!(retired(&store).is_empty());
    commit_version(&source, 3);
    let newer = commit_version(&source, 4);
    publish(&source, &store, &keep_last(1), NOW + 2);
    assert!(retired(&store).is_empty());
    assert_eq!(refs_of(&store)["os/a"], newer);
}

#[test]
fn pinning_takes_back_what_was_cut_off_and_unpinning_lets_the_rules_cut_again() {
    let (source, commits) = versions(3);
    let store = MemoryStore::default();
    publish(&source, &store, &Policy::default(), NOW);
    publish(&source, &store, &keep_last(1), NOW + 1);
    assert_eq!(retired(&store), at(&commits[..2], NOW + 1));
    assert!(set_pinned(&store, 1, true, &|| NOW + 2, &Silent).unwrap());
    assert!(retired(&store).is_empty());
    publish(&source, &store, &keep_last(1), NOW + 3);
    assert!(retired(&store).is_empty());
    assert!(set_pinned(&store, 1, false, &|| NOW + 4, &Silent).unwrap());
    publish(&source, &store, &keep_last(1), NOW + 5);
    assert_eq!(retired(&store), at(&commits[..2], NOW + 5));
}

#[test]
fn digest_named_summaries_are_retired_when_the_index_names_them_no_more() {
    let (source, _) = versions(1);
    let store = MemoryStore::default();
    let root = source.stock.path().to_owned();
    let publish_index = |text: &str, now: u64| {
        let digest = Checksum::of(text.as_bytes());
        std::fs::create_dir_all(root.join("summaries")).unwrap();
        std::fs::write(root.join(format!("summaries/{digest}.gz")), text).unwrap();
        std::fs::write(root.join("summary.idx"), digest.as_bytes()).unwrap();
        source.stock.run(&["summary", "--update"]);
        run_at(&source, &store, &Policy::default(), now).unwrap();
        format!("summaries/{digest}.gz")
    };
    let files = || {
        let bytes = store.get(Retired::PATH, Retired::LIMIT).unwrap();
        let list = Retired::read(bytes.as_deref(), |error| panic!("{error}"));
        list.files()
            .map(|(path, time)| (path.to_owned(), time))
            .collect::<Vec<_>>()
    };
    let old = publish_index("old", NOW);
    assert!(files().is_empty());
    let new = publish_index("new", NOW + 1);
    assert_eq!(files(), [(old.clone(), NOW + 1)]);
    publish_index("old", NOW + 2);
    assert_eq!(files(), [(new, NOW + 2)]);
    assert!(
        run(&source, &store, &Policy::default())
            .unwrap()
            .generation
            .is_none()
    );
}

#[test]
fn commit_that_another_tool_revived_has_its_whole_grace_when_it_is_dropped_again() {
    let (source, commits) = versions(3);
    source.commit("os/other");
    let store = MemoryStore::default();
    publish(&source, &store, &Policy::default(), NOW);
    source.stock.run(&["refs", "--delete", "os/a"]);
    publish(&source, &store, &deleting(), NOW + 1);
    assert_eq!(retired(&store), at(&commits, NOW + 1));
    store.tamper(
        "refs/heads/os/old",
        Some(format!("{}\n", commits[1]).into_bytes()),
    );
    let outcome = publish(&source, &store, &deleting(), NOW + 9);
    assert!(!refs_of(&store).contains_key("os/old"));
    let mut expected = at(&commits[..2], NOW + 9);
    expected.extend(at(&commits[2..], NOW + 1));
    assert_eq!(retired(&store), expected);
    assert_eq!(outcome.plan.retirement.retired.len(), 2);
}

#[test]
fn commit_that_was_revived_and_is_dropped_again_counts_from_the_flip_and_not_from_the_plan() {
    let (source, commits) = versions(2);
    source.commit("os/other");
    let store = MemoryStore::default();
    publish(&source, &store, &Policy::default(), NOW);
    source.stock.run(&["refs", "--delete", "os/a"]);
    publish(&source, &store, &deleting(), NOW + 1);
    store.tamper(
        "refs/heads/os/old",
        Some(format!("{}\n", commits[1]).into_bytes()),
    );
    let asked = AtomicU64::new(0);
    let clock = || NOW + 1 + 1000 * asked.fetch_add(1, Ordering::Relaxed);
    run_with(&source, &store, &deleting(), |options| PublishOptions {
        clock: &clock,
        ..options
    })
    .unwrap();
    assert_eq!(retired(&store), at(&commits, NOW + 1001));
}

#[test]
fn history_that_a_limit_cut_keeps_its_time_when_the_ref_is_dropped() {
    let (source, commits) = versions(3);
    source.commit("os/other");
    let store = MemoryStore::default();
    publish(&source, &store, &Policy::default(), NOW);
    publish(&source, &store, &keep_last(1), NOW + 1);
    source.stock.run(&["refs", "--delete", "os/a"]);
    publish(&source, &store, &deleting(), NOW + 5);
    let mut expected = at(&commits[..2], NOW + 1);
    expected.extend(at(&commits[2..], NOW + 5));
    assert_eq!(retired(&store), expected);
}
