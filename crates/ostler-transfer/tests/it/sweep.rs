//! What a sweep removes and what it leaves, on both stores.

use crate::faulty::FaultyStore;
use crate::fixture::{
    NOW, Source, assert_closed, assert_no_hole, commit_version, commits_of, keep_last, refs_of, retired,
    run_at, run_with, versions,
};
use ostler_format::{Checksum, ObjectName, ObjectType, RepoMode};
use ostler_repo::{Repo, Retired};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use ostler_transfer::{
    DirStore, MemoryStore, Policy, PublishOptions, Reporter, Retention, Silent, Step, Store, SweepOptions,
    Swept, TransferError, is_due, sweep,
};
use std::collections::BTreeSet;
use std::num::NonZero;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

const GRACE: u64 = 100;
static NEVER: AtomicBool = AtomicBool::new(false);
static UNLIMITED: Retention = Retention {
    rules: Vec::new(),
    others: None,
};

/// Returns options for a sweep at a time.
pub(crate) fn options(now: u64) -> SweepOptions<'static> {
    SweepOptions {
        retention: &UNLIMITED,
        now,
        grace: GRACE,
        dry_run: false,
        threads: NonZero::new(2).unwrap(),
        interrupted: &NEVER,
        reporter: &Silent,
    }
}

fn sweep_at(store: &dyn Store, now: u64) -> Swept {
    sweep(store, &options(now)).unwrap()
}

fn deleting() -> Policy {
    Policy {
        delete_refs: true,
        ..Policy::default()
    }
}

/// Notes what is told.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Reporter for Notes {
    fn note(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

/// Publishes three versions and then keeps the last one alone; the others were retired at [`NOW`].
pub(crate) fn with_two_retired(store: &dyn Store) -> (Source, Vec<String>) {
    let (source, commits) = versions(3);
    source.stock.run(&["refs", "--create=os/other", &commits[2]]);
    run_at(&source, store, &Policy::default(), NOW - 1).unwrap();
    run_at(&source, store, &keep_last(1), NOW).unwrap();
    (source, commits)
}

fn set(commits: &[String]) -> BTreeSet<String> {
    commits.iter().cloned().collect()
}

fn paths(store: &MemoryStore) -> BTreeSet<String> {
    store.files().into_keys().collect()
}

/// Returns the files below `objects/` of a repository.
fn objects_below(repo: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for dir in std::fs::read_dir(repo.join("objects")).unwrap() {
        let dir = dir.unwrap().path();
        for file in std::fs::read_dir(&dir).unwrap() {
            let path = file.unwrap().path();
            found.insert(path.strip_prefix(repo).unwrap().to_str().unwrap().to_owned());
        }
    }
    found
}

#[test]
fn nothing_goes_within_the_grace_and_all_of_it_after() {
    let store = MemoryStore::default();
    let (_source, commits) = with_two_retired(&store);
    let before = store.files();
    let waiting = sweep_at(&store, NOW + GRACE - 1);
    assert_eq!((waiting.commits.len(), waiting.waiting), (0, 2));
    assert_eq!(waiting.next, Some(NOW + GRACE));
    assert_eq!(store.files(), before);
    assert!(!is_due(&store, NOW + GRACE - 1, GRACE).unwrap());
    assert!(is_due(&store, NOW + GRACE, GRACE).unwrap());
    let swept = sweep_at(&store, NOW + GRACE);
    let names: BTreeSet<_> = swept.commits.iter().map(ToString::to_string).collect();
    assert_eq!(names, set(&commits[..2]));
    assert_eq!(commits_of(&store), set(&commits[2..]));
    let removed: BTreeSet<_> = before
        .keys()
        .filter(|path| !store.files().contains_key(*path))
        .collect();
    let bytes: usize = removed
        .iter()
        .filter(|path| path.starts_with("objects/"))
        .map(|path| before[*path].len())
        .sum();
    assert_eq!(swept.bytes, bytes as u64);
    assert_eq!(
        swept.objects,
        removed.iter().filter(|path| path.starts_with("objects/")).count() as u64
    );
    assert!(retired(&store).is_empty());
    assert!(store.get("extensions/ostler/sweeping", 1).unwrap().is_none());
    assert_closed(&store);
    assert_no_hole(&store, "swept");
    assert!(!is_due(&store, NOW + 10 * GRACE, GRACE).unwrap());
}

#[test]
fn what_is_left_is_what_a_prune_by_stock_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("target");
    let store = DirStore::new(Repo::create(&target, RepoMode::Archive, None).unwrap());
    let (_source, _) = with_two_retired(&store);
    let pruned = dir.path().join("pruned");
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(&target)
        .arg(&pruned)
        .status()
        .unwrap();
    assert!(copied.success());
    StockRepo::open(&pruned).run(&["prune", "--refs-only", "--depth=0"]);
    let before = objects_below(&target);
    let swept = sweep_at(&store, NOW + GRACE);
    let after = objects_below(&target);
    assert_eq!(after, objects_below(&pruned));
    assert_eq!(swept.objects, (before.len() - after.len()) as u64);
    StockRepo::open(&target).run(&["fsck", "-q"]);
    let tmp: Vec<_> = std::fs::read_dir(target.join("tmp")).unwrap().collect();
    assert!(
        tmp.iter().all(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name == "cache"
        }),
        "{tmp:?}"
    );
    assert!(!target.join("extensions/ostler/sweeping").exists());
    assert!(!target.join(Retired::PATH).exists());
}

fn trees_of(store: &MemoryStore) -> u64 {
    let files = store.files();
    files.keys().filter(|path| path.ends_with(".dirtree")).count() as u64
}

#[test]
fn what_is_dropped_decides_what_a_sweep_reads_beside_what_stays() {
    let source = Source::new();
    for number in 0..40 {
        Tree::at(&source.tree()).file(&format!("many/{number}/file"), number.to_string(), 0o644);
    }
    source.stock.run(&["refs", "--delete", "os/b"]);
    source.commit("os/a");
    let store = MemoryStore::default();
    run_at(&source, &store, &Policy::default(), NOW).unwrap();
    // A file of a directory changes: that directory, the one above it and the root, in four commits of one history.
    for version in ["a", "b", "c", "d"] {
        Tree::at(&source.tree()).file("many/7/file", version, 0o644);
        source.commit("os/a");
    }
    run_at(&source, &store, &Policy::default(), NOW).unwrap();
    run_at(&source, &store, &keep_last(1), NOW).unwrap();
    let counting = FaultyStore::new(&store, u64::MAX);
    let swept = sweep_at(&counting, NOW + GRACE);
    // The first commit of all is of another tree: that has no `many`.
    assert_eq!(swept.commits.len(), 5);
    let staying = trees_of(&store);
    assert!(staying > 40);
    let pairs = 2 * (4 * 3 + 1);
    assert!(
        counting.trees_read() <= staying + pairs,
        "{} of {staying}",
        counting.trees_read()
    );
    assert_no_hole(&store, "swept");
}

#[test]
fn where_nothing_but_commits_goes_no_tree_is_read() {
    let source = Source::new();
    source.stock.run(&["refs", "--delete", "os/b"]);
    source.commit("os/a");
    source.commit("os/a");
    let store = MemoryStore::default();
    run_at(&source, &store, &Policy::default(), NOW).unwrap();
    run_at(&source, &store, &keep_last(1), NOW).unwrap();
    let before = store.files().len();
    let counting = FaultyStore::new(&store, u64::MAX);
    let swept = sweep_at(&counting, NOW + GRACE);
    assert_eq!((swept.commits.len(), swept.objects), (2, 2));
    assert_eq!(counting.trees_read(), 0);
    assert!(store.files().len() < before);
    assert_no_hole(&store, "swept");
}

#[test]
fn object_that_moved_to_another_place_stays() {
    let (source, _) = versions(1);
    Tree::at(&source.tree())
        .file("before", "moved", 0o644)
        .file("here/x", "tree", 0o644);
    source.commit("os/a");
    Tree::at(&source.tree())
        .remove("before")
        .file("sub/after", "moved", 0o644)
        .remove("here")
        .file("there/x", "tree", 0o644);
    source.commit("os/a");
    let store = MemoryStore::default();
    run_at(&source, &store, &Policy::default(), NOW).unwrap();
    run_at(&source, &store, &keep_last(1), NOW).unwrap();
    assert_eq!(sweep_at(&store, NOW + GRACE).commits.len(), 2);
    assert_closed(&store);
    assert_no_hole(&store, "swept");
}

#[test]
fn stock_client_pulls_the_whole_history_that_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("target");
    let store = DirStore::new(Repo::create(&target, RepoMode::Archive, None).unwrap());
    let (_source, commits) = with_two_retired(&store);
    sweep_at(&store, NOW + GRACE);
    let client = StockRepo::init(&dir.path().join("client"), "archive");
    let url = format!("--url=file://{}", target.display());
    let url = url.strip_prefix("--url=").unwrap().to_owned();
    client.run(&["remote", "add", "--no-gpg-verify", "origin", &url]);
    client.run(&["pull", "--depth=-1", "origin", "os/a"]);
    assert_eq!(client.rev_parse("origin:os/a"), commits[2]);
    client.run(&["fsck", "-q"]);
}

#[test]
fn commits_swept_are_neither_sent_again_nor_missed() {
    let store = MemoryStore::default();
    let (source, mut commits) = with_two_retired(&store);
    sweep_at(&store, NOW + GRACE);
    let still = run_at(&source, &store, &Policy::default(), NOW + GRACE).unwrap();
    assert!(still.plan.is_empty(), "{:?}", still.plan);
    commits.push(commit_version(&source, 3));
    source.stock.run(&["refs", "--delete", "os/other"]);
    for policy in [Policy::default(), keep_last(9), deleting()] {
        run_at(&source, &store, &policy, NOW + GRACE).unwrap();
        assert_eq!(commits_of(&store), set(&commits[2..]));
        assert!(retired(&store).is_empty());
        assert_no_hole(&store, "published again");
    }
}

#[test]
fn commit_that_nobody_retired_stays_although_no_ref_leads_to_it() {
    let store = MemoryStore::default();
    let (source, commits) = with_two_retired(&store);
    let mut list = Retired::default();
    list.retire_commit(Checksum::from_hex(&commits[0]).unwrap(), NOW);
    store.tamper(Retired::PATH, list.edit().unwrap().new);
    // Without an end, the history of the ref leads there.
    assert!(sweep_at(&store, NOW + GRACE).commits.is_empty());
    source.stock.run(&["refs", "--delete", "os/a", "os/other"]);
    source.commit("os/new");
    run_at(&source, &store, &deleting(), NOW + 5).unwrap();
    let mut list = Retired::default();
    list.retire_commit(Checksum::from_hex(&commits[0]).unwrap(), NOW);
    store.tamper(Retired::PATH, list.edit().unwrap().new);
    let swept = sweep_at(&store, NOW + GRACE);
    assert_eq!(swept.commits.len(), 1);
    assert!(commits_of(&store).is_superset(&set(&commits[1..])));
    assert_no_hole(&store, "the other commits are whole");
}

#[test]
fn each_commit_has_a_grace_of_its_own() {
    let store = MemoryStore::default();
    let (source, commits) = with_two_retired(&store);
    let newest = commit_version(&source, 3);
    source.stock.run(&["refs", "--delete", "os/other"]);
    let policy = Policy {
        delete_refs: true,
        ..keep_last(1)
    };
    run_at(&source, &store, &policy, NOW + 50).unwrap();
    sweep_at(&store, NOW + GRACE);
    assert_eq!(commits_of(&store), set(&[commits[2].clone(), newest.clone()]));
    assert_no_hole(&store, "the one in its grace is whole");
    sweep_at(&store, NOW + GRACE + 50);
    assert_eq!(commits_of(&store), set(&[newest]));
}

#[test]
fn ref_that_another_tool_made_keeps_what_it_leads_to() {
    let store = MemoryStore::default();
    let (_source, commits) = with_two_retired(&store);
    store.tamper("refs/heads/kept", Some(format!("{}\n", commits[0]).into_bytes()));
    let swept = sweep_at(&store, NOW + GRACE);
    assert_eq!(swept.revived.len(), 1);
    assert_eq!(commits_of(&store), set(&[commits[0].clone(), commits[2].clone()]));
    assert!(retired(&store).is_empty());
    assert_closed(&store);
}

#[test]
fn ref_that_comes_back_while_a_sweep_begins_keeps_its_commits() {
    let store = MemoryStore::default();
    let (source, commits) = with_two_retired(&store);
    let meddled = FaultyStore::meddled(&store, || {
        source.stock.run(&["refs", "--create=os/back", &commits[1]]);
        run_at(&source, &store, &keep_last(1), NOW + GRACE).unwrap();
    });
    let swept = sweep_at(&meddled, NOW + GRACE);
    assert_eq!(swept.commits.len(), 1);
    assert_eq!(commits_of(&store), set(&commits[1..]));
    assert_eq!(refs_of(&store)["os/back"], commits[1]);
    assert!(retired(&store).is_empty());
    assert_closed(&store);
}

#[test]
fn new_commit_that_comes_while_a_sweep_begins_keeps_the_objects_that_it_shares() {
    let store = MemoryStore::default();
    let (source, commits) = with_two_retired(&store);
    let meddled = FaultyStore::meddled(&store, || {
        // The tree of the first version again, as another commit.
        Tree::at(&source.tree()).file("version", "0", 0o644);
        source.commit("os/again");
        let outcome = run_at(&source, &store, &keep_last(1), NOW + GRACE).unwrap();
        assert_eq!(outcome.plan.objects.len(), 1, "all but the commit is there");
    });
    let swept = sweep_at(&meddled, NOW + GRACE);
    assert_eq!(swept.commits.len(), 2);
    assert!(!commits_of(&store).contains(&commits[0]));
    assert_closed(&store);
    assert_no_hole(&store, "the new commit");
}

#[test]
fn publish_that_counted_on_objects_that_a_sweep_takes_sends_them() {
    let store = MemoryStore::default();
    let (source, commits) = with_two_retired(&store);
    Tree::at(&source.tree()).file("version", "0", 0o644);
    source.commit("os/again");
    source.stock.run(&["refs", "--create=os/back", &commits[1]]);
    let meddled = FaultyStore::meddled(&store, || {
        assert_eq!(sweep_at(&store, NOW + GRACE).commits.len(), 2);
    });
    let outcome = run_at(&source, &meddled, &keep_last(1), NOW + GRACE).unwrap();
    assert!(outcome.attempts > 1);
    assert_eq!(refs_of(&store)["os/back"], commits[1]);
    assert!(retired(&store).is_empty());
    assert_closed(&store);
    assert_no_hole(&store, "published");
}

#[test]
fn publish_sweeps_at_its_end_what_is_over_and_with_a_grace_of_0_at_once() {
    let store = MemoryStore::default();
    let (source, commits) = with_two_retired(&store);
    let policy = keep_last(1);
    let publish = |now: u64, grace: u64| {
        let clock = move || now;
        run_with(&source, &store, &policy, |options| PublishOptions {
            clock: &clock,
            sweep: Some(grace),
            ..options
        })
        .unwrap()
    };
    assert_eq!(publish(NOW + GRACE - 1, GRACE).swept, None);
    let outcome = publish(NOW + GRACE, GRACE);
    assert!(outcome.generation.is_none());
    assert_eq!(outcome.swept.unwrap().commits.len(), 2);
    let newest = commit_version(&source, 3);
    source.stock.run(&["reset", "os/other", "os/a"]);
    let outcome = publish(NOW + GRACE + 1, 0);
    assert_eq!(outcome.swept.unwrap().commits[0].to_string(), commits[2]);
    assert_eq!(commits_of(&store), set(&[newest]));
}

#[test]
fn publish_whose_sweep_fails_is_done_and_tells_why() {
    let store = MemoryStore::default();
    let (source, _) = with_two_retired(&store);
    store.set_hook(Box::new(|step: &Step| match step {
        Step::Remove(path) if path.contains(".commit") => Err(TransferError::Stopped(7)),
        _ => Ok(()),
    }));
    let clock = || NOW + GRACE;
    let outcome = run_with(&source, &store, &keep_last(1), |options| PublishOptions {
        clock: &clock,
        sweep: Some(GRACE),
        ..options
    })
    .unwrap();
    assert_eq!(outcome.swept, None);
    assert_eq!(outcome.sweep_error.as_deref(), Some("stopped at step 7"));
}

#[test]
fn dry_run_tells_what_would_go_and_changes_nothing() {
    let store = MemoryStore::default();
    let (_source, _) = with_two_retired(&store);
    let before = store.files();
    let dry = SweepOptions {
        dry_run: true,
        ..options(NOW + GRACE)
    };
    let told = sweep(&store, &dry).unwrap();
    assert_eq!(store.files(), before);
    assert_eq!(told, sweep_at(&store, NOW + GRACE));
}

#[test]
fn hole_in_what_stays_stops_a_sweep_and_one_in_what_goes_does_not() {
    let store = MemoryStore::default();
    let (source, commits) = with_two_retired(&store);
    let root_of = |commit: &str| {
        let loaded = source
            .open()
            .load_commit(&Checksum::from_hex(commit).unwrap())
            .unwrap();
        let path = ObjectName::new(loaded.root_tree, ObjectType::DirTree).loose_path(RepoMode::Archive);
        format!("objects/{}", path.as_str())
    };
    let whole = store.files();
    store.tamper(&root_of(&commits[2]), None);
    let files = store.files();
    let error = sweep(&store, &options(NOW + GRACE)).unwrap_err();
    assert!(matches!(error, TransferError::Hole { .. }), "{error}");
    assert_eq!(store.files(), files);
    store.tamper(&format!("state/{}.commitpartial", commits[2]), Some(Vec::new()));
    assert_eq!(
        sweep_at(&store, NOW + GRACE).commits.len(),
        2,
        "it is known not to be whole"
    );
    let store = MemoryStore::from_files(whole);
    store.tamper(&root_of(&commits[0]), None);
    store.tamper(&root_of(&commits[1]), Some(b"garbage".to_vec()));
    assert_eq!(sweep_at(&store, NOW + GRACE).commits.len(), 2);
    assert_no_hole(&store, "swept");
}

#[test]
fn what_belongs_to_a_commit_goes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("target");
    let store = DirStore::new(Repo::create(&target, RepoMode::Archive, None).unwrap());
    let (source, commits) = versions(2);
    for commit in &commits {
        source
            .stock
            .run(&["static-delta", "generate", "--empty", &format!("--to={commit}")]);
        source
            .stock
            .run(&["commit", "--orphan", "-s", "x", "--tree=ref=os/a"]);
    }
    let notes = [("old", &commits[0]), ("new", &commits[1])];
    for (text, commit) in notes {
        let mut dict = ostler_format::gvariant::VarDict::new();
        dict.insert("note", ostler_format::gvariant::Value::Str(text.into()));
        let name = ObjectName::new(Checksum::from_hex(commit).unwrap(), ObjectType::CommitMeta);
        let path = name.loose_path(RepoMode::Archive);
        std::fs::write(
            source.stock.path().join("objects").join(path.as_str()),
            dict.to_bytes(),
        )
        .unwrap();
    }
    source.stock.run(&["summary", "--update"]);
    StockRepo::open(&target).run(&["config", "set", "core.tombstone-commits", "true"]);
    let store = {
        drop(store);
        DirStore::new(Repo::open(&target).unwrap())
    };
    run_at(&source, &store, &Policy::default(), NOW).unwrap();
    let stock = StockRepo::open(&target);
    assert_eq!(stock.run(&["static-delta", "list"]).lines().count(), 2);
    run_at(&source, &store, &keep_last(1), NOW).unwrap();
    let list = target.join("extensions/ostler/closures");
    std::fs::create_dir_all(&list).unwrap();
    std::fs::write(list.join(&commits[0]), "").unwrap();
    std::fs::write(target.join(format!("state/{}.commitpartial", commits[0])), "").unwrap();
    let swept = sweep_at(&store, NOW + GRACE);
    assert_eq!(swept.commits.len(), 1);
    assert!(
        swept.files.iter().any(|path| path.ends_with("/superblock")),
        "{swept:?}"
    );
    assert_eq!(stock.run(&["static-delta", "list"]).trim(), commits[1]);
    let left = |suffix: &str| {
        let below = objects_below(&target);
        below.into_iter().filter(|path| path.ends_with(suffix)).count()
    };
    assert_eq!(
        (left(".commit"), left(".commitmeta"), left(".tombstone-commit")),
        (1, 1, 1)
    );
    assert!(!list.join(&commits[0]).exists());
    assert!(
        !target
            .join(format!("state/{}.commitpartial", commits[0]))
            .exists()
    );
    let deltas = std::process::Command::new("find")
        .arg(target.join("deltas"))
        .args(["-mindepth", "2", "-type", "d", "-empty"])
        .output()
        .unwrap();
    assert!(deltas.stdout.is_empty(), "an empty directory of a delta is left");
    stock.run(&["fsck", "-q"]);
    let again = run_at(&source, &store, &keep_last(1), NOW + GRACE).unwrap();
    assert!(
        again.plan.is_empty(),
        "nothing of it is sent again: {:?}",
        again.plan
    );
}

#[test]
fn digest_named_summary_goes_when_the_index_does_not_name_it() {
    let store = MemoryStore::default();
    let (_source, _) = with_two_retired(&store);
    let file = |text: &str| format!("summaries/{}.gz", Checksum::of(text.as_bytes()));
    let mut list = Retired::default();
    for text in ["old", "named"] {
        store.tamper(&file(text), Some(text.into()));
        list.retire_file(&file(text), NOW);
    }
    store.tamper(Retired::PATH, list.edit().unwrap().new);
    store.tamper("summary.idx", Some(Checksum::of(b"named").as_bytes().to_vec()));
    let swept = sweep_at(&store, NOW + GRACE);
    assert_eq!(swept.files, [file("old")]);
    assert!(paths(&store).contains(&file("named")));
    assert!(store.get(Retired::PATH, 1000).unwrap().is_none());
}

#[test]
fn damaged_list_removes_nothing_and_is_told() {
    let store = MemoryStore::default();
    let (_source, _) = with_two_retired(&store);
    store.tamper(Retired::PATH, Some(b"{".to_vec()));
    let before = store.files();
    let notes = Notes::default();
    let telling = SweepOptions {
        reporter: &notes,
        ..options(NOW + GRACE)
    };
    sweep(&store, &telling).unwrap();
    assert_eq!(store.files(), before);
    assert_eq!(notes.0.lock().unwrap().len(), 1);
}

#[test]
fn damaged_record_of_a_sweep_is_told_and_removed() {
    let store = MemoryStore::default();
    let (_source, _) = with_two_retired(&store);
    store.tamper("extensions/ostler/sweeping", Some(b"ostler-sweep 1\n".to_vec()));
    let notes = Notes::default();
    let telling = SweepOptions {
        reporter: &notes,
        ..options(NOW)
    };
    assert!(is_due(&store, NOW, GRACE).unwrap());
    let swept = sweep(&store, &telling).unwrap();
    assert_eq!((swept.objects, notes.0.lock().unwrap().len()), (0, 1));
    assert!(!paths(&store).contains("extensions/ostler/sweeping"));
    assert_eq!(retired(&store).len(), 2);
}

/// A store where a commit that stays is marked as incomplete: it lacks a tree whose file only the first of the commits
/// that were retired has. Returns the bytes of the tree, by its path, and the commit.
fn with_a_tree_to_come(store: &MemoryStore) -> (String, Vec<u8>, String) {
    let (source, _) = with_two_retired(store);
    let tree = Tree::at(&source.tree());
    tree.file("version", "9", 0o644);
    tree.file("above/copy/version", "0", 0o644);
    let commit = source.commit("os/again");
    run_at(&source, store, &keep_last(1), NOW).unwrap();
    let listed = source.stock.run(&["ls", "-dC", "os/again", "/above/copy"]);
    let hex = listed.split_whitespace().find(|word| word.len() == 64).unwrap();
    let name = ObjectName::new(Checksum::from_hex(hex).unwrap(), ObjectType::DirTree);
    let path = format!("objects/{}", name.loose_path(RepoMode::Archive).as_str());
    let bytes = store.get(&path, 1 << 20).unwrap().unwrap();
    store.tamper(&path, None);
    store.tamper("refs/heads/os/again", None);
    store.tamper(&format!("state/{commit}.commitpartial"), Some(Vec::new()));
    (path, bytes, commit)
}

#[test]
fn tree_that_a_pull_brings_while_a_sweep_begins_keeps_the_files_that_the_pull_found_there() {
    let store = MemoryStore::default();
    let (path, bytes, commit) = with_a_tree_to_come(&store);
    let meddled = FaultyStore::meddled(&store, || {
        store.tamper(&path, Some(bytes));
        store.tamper(&format!("state/{commit}.commitpartial"), None);
        store.tamper("refs/heads/os/again", Some(format!("{commit}\n").into_bytes()));
    });
    assert_eq!(sweep_at(&meddled, NOW + GRACE).commits.len(), 2);
    assert_closed(&store);
}

#[test]
fn commit_that_says_while_a_sweep_begins_that_it_is_whole_and_is_not_stops_the_sweep() {
    let store = MemoryStore::default();
    let (_, _, commit) = with_a_tree_to_come(&store);
    let meddled = FaultyStore::meddled(&store, || {
        store.tamper(&format!("state/{commit}.commitpartial"), None);
    });
    let before = commits_of(&store);
    let error = sweep(&meddled, &options(NOW + GRACE)).unwrap_err();
    assert!(matches!(error, TransferError::Hole { .. }), "{error}");
    assert_eq!(commits_of(&store), before);
}

/// A hook that is called once, when the first plan is there.
struct AfterPlan<F>(Mutex<Option<F>>);

impl<F: FnOnce() + Send> Reporter for AfterPlan<F> {
    fn planned(&self, _: &ostler_transfer::Plan) {
        let hook = self.0.lock().unwrap().take();
        if let Some(hook) = hook {
            hook();
        }
    }
}

/// Publishes two new commits, of which the older one needs a file that only the first of the commits that were retired has
/// at the target; when the plan is there, something else happens.
fn publish_an_older_commit_that_counts_on(store: &MemoryStore, meanwhile: impl FnOnce() + Send) -> u32 {
    let (source, mut commits) = with_two_retired(store);
    commits.push(commit_version(&source, 0));
    commits.push(commit_version(&source, 4));
    let reporter = AfterPlan(Mutex::new(Some(meanwhile)));
    let outcome = run_with(&source, store, &Policy::default(), |options| PublishOptions {
        reporter: &reporter,
        ..options
    })
    .unwrap();
    assert!(commits_of(store).is_superset(&set(&commits[3..])));
    assert_no_hole(store, "all that was sent is whole");
    outcome.attempts
}

#[test]
fn older_commit_of_a_publish_is_whole_although_a_sweep_took_what_it_shared() {
    let store = MemoryStore::default();
    let attempts = publish_an_older_commit_that_counts_on(&store, || {
        assert_eq!(sweep_at(&store, NOW + GRACE).commits.len(), 2);
    });
    assert!(attempts > 1);
    assert!(retired(&store).is_empty());
}

#[test]
fn older_commit_of_a_publish_is_whole_although_a_sweep_that_was_cut_short_took_what_it_shared() {
    let store = MemoryStore::default();
    let attempts = publish_an_older_commit_that_counts_on(&store, || {
        let list = store.get(Retired::PATH, Retired::LIMIT).unwrap();
        sweep_at(&store, NOW + GRACE);
        store.tamper(Retired::PATH, list);
    });
    assert!(attempts > 1);
}

#[test]
fn commit_whose_trees_a_publish_shares_is_looked_for_again() {
    let store = MemoryStore::default();
    let (source, commits) = versions(1);
    run_at(&source, &store, &Policy::default(), NOW).unwrap();
    source.commit("os/other");
    run_at(&source, &store, &Policy::default(), NOW).unwrap();
    // Not on any list: another tool removed the ref, and prunes.
    store.tamper("refs/heads/os/a", None);
    let whole = store.files();
    Tree::at(&source.tree()).file("version", "x", 0o644);
    let added = commit_version(&source, 1);
    commit_version(&source, 2);
    let commit = ObjectName::new(Checksum::from_hex(&commits[0]).unwrap(), ObjectType::Commit);
    let path = format!("objects/{}", commit.loose_path(RepoMode::Archive).as_str());
    assert!(whole.contains_key(&path));
    let reporter = AfterPlan(Mutex::new(Some(|| store.tamper(&path, None))));
    let outcome = run_with(&source, &store, &Policy::default(), |options| PublishOptions {
        reporter: &reporter,
        ..options
    })
    .unwrap();
    assert!(outcome.attempts > 1);
    assert!(commits_of(&store).contains(&added));
    assert_no_hole(&store, "the commits are whole");
}
