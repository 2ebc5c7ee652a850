//! A prune that leaves alone what clients may be in the middle of fetching, and tells what would go.

use super::files;
use crate::programs::ostler;
use ostler_testkit::command::{attempt, describe, run};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A repository with three commits on `main`, of which `old` names the second, and one that no ref leads to.
struct Scene {
    directory: TempDir,
    repo: StockRepo,
    /// `main`, from the first on, then the one without a ref.
    commits: Vec<String>,
}

fn scene() -> Scene {
    let directory = tempfile::tempdir().unwrap();
    let repo = StockRepo::init(&directory.path().join("repo"), "archive");
    repo.run(&["config", "set", "core.fsync", "false"]);
    let mut commits = Vec::new();
    for (branch, version) in [
        ("main", "one"),
        ("main", "two"),
        ("main", "three"),
        ("lost", "four"),
    ] {
        let path = directory.path().join(version);
        Tree::at(&path)
            .file("file", version, 0o644)
            .file("same", "in the first and the last", 0o644);
        if branch == "main" && version != "one" {
            Tree::at(&path).remove("same");
        }
        let time = format!("--timestamp=@{}", 1_000_000_000 + commits.len());
        commits.push(repo.commit_with(branch, &path, &[&time]));
    }
    repo.run(&["refs", "--delete", "lost"]);
    repo.run(&["refs", "--create=old", &commits[1]]);
    Scene {
        directory,
        repo,
        commits,
    }
}

impl Scene {
    #[track_caller]
    fn prune(&self, arguments: &[&str]) -> String {
        run(ostler(self.directory.path())
            .args(["--repo=repo", "prune", "--refs-only", "--depth=0"])
            .args(arguments))
    }

    fn has(&self, commit: &str) -> bool {
        self.repo.attempt(&["ls", "-R", commit]).status.success()
    }

    fn list(&self) -> String {
        fs::read_to_string(self.repo.path().join("extensions/ostler/retired.json")).unwrap_or_default()
    }

    /// Says of all that is retired that it was long ago.
    fn let_time_pass(&self) {
        let path = self.repo.path().join("extensions/ostler/retired.json");
        let commits = self.list();
        let aged: Vec<String> = commits
            .lines()
            .map(|line| match line.split_once("\": ") {
                Some((commit, time)) if time.trim_end_matches(',').parse::<u64>().is_ok() => {
                    format!("{commit}\": 5{}", if time.ends_with(',') { "," } else { "" })
                }
                _ => line.to_owned(),
            })
            .collect();
        fs::write(path, aged.join("\n")).unwrap();
    }
}

#[test]
fn what_would_go_is_told_by_ref_and_adds_up() {
    let scene = scene();
    let before = files(scene.repo.path());
    let said = scene.prune(&["--dry-run"]);
    assert_eq!(files(scene.repo.path()), before);
    let stock = scene
        .repo
        .run(&["prune", "--refs-only", "--depth=0", "--no-prune"]);
    assert!(said.starts_with(&stock), "{said}\n{stock}");
    let lines: Vec<&str> = said.lines().collect();
    let date = |second| format!("2001-09-09 01:46:4{second} +0000");
    assert!(
        lines[2].starts_with("main: 1 of 3 commits would go, and alone free 0 objects"),
        "{said}"
    );
    assert_eq!(lines[3], format!("  {}  {}", scene.commits[0], date(0)));
    assert!(
        lines[4].starts_with("old: 1 of 2 commits would go, and alone free 0 objects"),
        "{said}"
    );
    assert!(
        lines[6].starts_with("Without a ref: 1 commit would go, and alone free 3 objects"),
        "{said}"
    );
    assert_eq!(lines[7], format!("  {}  {}", scene.commits[3], date(3)));
    // The first commit, its tree and its file, and what it shares with the one that is lost.
    assert!(
        lines[8].starts_with("Needed by several of these, and freed only when all of them go: 4 objects"),
        "{said}"
    );
    let record: serde_json::Value = serde_json::from_str(&scene.prune(&["--dry-run", "--json"])).unwrap();
    let details = &record["details"];
    let shares = details["refs"].as_array().unwrap().iter();
    let shares = shares.chain([
        &details["without_ref"],
        &details["together"],
        &details["without_commit"],
    ]);
    let sum = |field: &str| {
        shares
            .clone()
            .map(|share| share[field].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(sum("objects"), record["removed"].as_u64().unwrap());
    assert_eq!(sum("bytes"), record["freed_bytes"].as_u64().unwrap());
    assert_eq!(details["refs"][0]["ref"], "main");
    assert_eq!(details["refs"][0]["commits"][0]["commit"], scene.commits[0]);
    assert_eq!(details["refs"][0]["kept_commits"], 2);
}

#[test]
fn a_commit_goes_when_nothing_has_led_to_it_for_the_grace() {
    let scene = scene();
    let said = scene.prune(&["--grace=1h", "--dry-run"]);
    assert!(
        said.contains("Would retire 2 commits") && scene.list().is_empty(),
        "{said}"
    );
    let said = scene.prune(&["--grace=1h"]);
    assert!(
        said.contains("No unreachable objects") && said.contains("Retired 2 commits"),
        "{said}"
    );
    assert!(said.contains("2 commits in their grace"), "{said}");
    for commit in &scene.commits {
        assert!(scene.has(commit));
    }
    assert!(scene.list().contains(&scene.commits[0]) && scene.list().contains(&scene.commits[3]));
    let before = scene.list();
    assert!(!scene.prune(&["--grace=1h"]).contains("Retired"));
    assert_eq!(scene.list(), before, "its time stays");

    // One is led to again, and no more: its time begins anew.
    scene.let_time_pass();
    scene.repo.run(&["refs", "--create=again", &scene.commits[0]]);
    let said = scene.prune(&["--grace=1h"]);
    assert!(said.contains("Deleted 3 objects"), "{said}");
    assert!(scene.has(&scene.commits[0]) && !scene.has(&scene.commits[3]));
    assert_eq!(scene.list(), "");
    scene.repo.run(&["refs", "--delete", "again"]);
    assert!(scene.prune(&["--grace=1h"]).contains("Retired 1 commit\n"));
    assert!(scene.has(&scene.commits[0]));
    // Without grace at once, and the list forgets it with the next one.
    assert!(scene.prune(&[]).contains("Deleted"));
    assert!(!scene.has(&scene.commits[0]));
    scene.prune(&["--grace=1h"]);
    assert_eq!(scene.list(), "");
    scene.repo.fsck();
}

#[test]
fn a_history_that_was_cut_ends_there_until_a_depth_says_otherwise() {
    let scene = scene();
    let prune = |arguments: &[&str]| {
        let mut prune = ostler(scene.directory.path());
        prune.args(["--repo=repo", "prune", "--refs-only", "--grace=1h"]);
        run(prune.args(arguments))
    };
    let cut = &scene.commits[0];
    prune(&["--depth=0"]);
    let list = scene.list();
    assert!(list.contains(cut) && list.contains(&scene.commits[1]), "{list}");
    prune(&[]);
    prune(&["--only-branch=old", "--depth=0"]);
    assert_eq!(scene.list(), list);
    prune(&["--retain-branch-depth=main=-1"]);
    assert!(!scene.list().contains(cut));
    prune(&["--depth=0"]);
    prune(&["--depth=-1"]);
    assert!(!scene.list().contains(cut));
    prune(&["--depth=0"]);
    scene.let_time_pass();
    prune(&[]);
    assert!(!scene.has(cut) && scene.has(&scene.commits[1]));
    assert_eq!(scene.list(), "");
    scene.repo.fsck();
}

#[test]
fn no_grace_removes_at_once_what_a_grace_would_keep() {
    let scene = scene();
    let said = scene.prune(&["--grace=0", "--json"]);
    let record: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(record["removed"], 7, "{said}");
    assert_eq!(record["retired"].as_array().unwrap().len(), 0);
    assert!(record["lock_held_seconds"].as_f64().unwrap() > 0.0);
    assert!(!scene.has(&scene.commits[0]) && scene.list().is_empty());
    let ended = attempt(ostler(scene.directory.path()).args(["--repo=repo", "prune", "--grace=soon"]));
    assert!(!ended.status.success());
}

#[test]
fn objects_of_no_commit_stay_while_they_are_new_with_what_they_need() {
    let scene = scene();
    let commit = &scene.commits[3];
    let (first, rest) = commit.split_at(2);
    fs::remove_file(scene.repo.path().join(format!("objects/{first}/{rest}.commit"))).unwrap();
    let before = files(scene.repo.path());
    let said = scene.prune(&["--grace=1h", "--depth=-1"]);
    assert!(said.contains("No unreachable objects"), "{said}");
    assert_eq!(files(scene.repo.path()), before);
    assert!(scene.prune(&["--depth=-1"]).contains("Deleted 2 objects"));
}

#[test]
fn a_damaged_list_is_told_and_everything_waits_anew() {
    let scene = scene();
    scene.prune(&["--grace=1h"]);
    let path = scene.repo.path().join("extensions/ostler/retired.json");
    fs::write(&path, "{").unwrap();
    let output = attempt(ostler(scene.directory.path()).args([
        "--repo=repo",
        "prune",
        "--refs-only",
        "--depth=0",
        "--grace=1h",
    ]));
    assert!(output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("retired.json is corrupt"), "{errors}");
    assert!(scene.list().contains(&scene.commits[0]) && scene.has(&scene.commits[0]));
}

#[test]
fn where_clients_fetch_from_a_prune_without_grace_says_so_once() {
    let scene = scene();
    let warned = |arguments: &[&str]| {
        let mut prune = ostler(scene.directory.path());
        prune.args(["--repo=repo", "prune"]).args(arguments);
        let output = attempt(&mut prune);
        assert!(output.status.success(), "{}", describe(&prune, &output));
        String::from_utf8_lossy(&output.stderr).matches("--grace").count()
    };
    assert_eq!(warned(&[]), 0);
    let generations = scene.repo.path().join("extensions/ostler/generations");
    fs::create_dir_all(&generations).unwrap();
    fs::write(generations.join("latest"), "1\n").unwrap();
    assert_eq!(warned(&["--no-prune"]), 0);
    assert_eq!(warned(&["--refs-only", "--grace=1h"]), 0);
    assert_eq!(warned(&["--refs-only"]), 1);
}

#[test]
fn what_a_pinned_generation_names_stays() {
    let scene = scene();
    let generations = scene.repo.path().join("extensions/ostler/generations");
    fs::create_dir_all(&generations).unwrap();
    let record = format!(
        r#"{{"number":7,"time":1,"who":"","refs":{{"main":"{}"}},"summary":null,"added_objects":0,"added_bytes":0}}"#,
        scene.commits[0]
    );
    fs::write(generations.join("00000007.json"), &record).unwrap();
    fs::write(generations.join("00000007.pin"), "").unwrap();
    fs::write(generations.join("00000008.pin"), "").unwrap();
    scene.prune(&[]);
    assert!(scene.has(&scene.commits[0]) && !scene.has(&scene.commits[3]));
    let mut deletion = ostler(scene.directory.path());
    deletion.args(["--repo=repo", "prune", "--delete-commit", &scene.commits[0]]);
    let refused = attempt(&mut deletion);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("pinned generation 7"));
    // Of one that cannot be read nobody knows what it keeps.
    fs::write(generations.join("00000007.json"), "{").unwrap();
    let mut prune = ostler(scene.directory.path());
    let refused = attempt(prune.args(["--repo=repo", "prune", "--refs-only", "--depth=0"]));
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("it is pinned"));
    fs::remove_file(generations.join("00000007.pin")).unwrap();
    scene.prune(&[]);
    assert!(!scene.has(&scene.commits[0]));
}

#[test]
fn what_a_pinned_generation_led_to_keeps_its_history() {
    let scene = scene();
    let generations = scene.repo.path().join("extensions/ostler/generations");
    fs::create_dir_all(&generations).unwrap();
    let record = format!(
        r#"{{"number":7,"time":1,"who":"","refs":{{"main":"{}"}},"summary":null,"added_objects":0,"added_bytes":0}}"#,
        scene.commits[2]
    );
    fs::write(generations.join("00000007.json"), &record).unwrap();
    scene.repo.run(&["refs", "--delete", "old"]);
    fs::write(generations.join("00000007.pin"), "").unwrap();
    for options in [&[][..], &["--grace=0"]] {
        scene.prune(options);
        assert!(
            scene.commits[..3].iter().all(|commit| scene.has(commit)),
            "{options:?}"
        );
    }
    fs::remove_file(generations.join("00000007.pin")).unwrap();
    scene.prune(&[]);
    assert!(scene.has(&scene.commits[2]) && !scene.has(&scene.commits[1]));
}

#[test]
fn what_a_list_of_the_policy_names_stays() {
    let scene = scene();
    let prune = |arguments: &[&str]| {
        let mut prune = ostler(scene.directory.path());
        attempt(prune.args(["--repo=repo", "prune"]).args(arguments))
    };
    let own = scene.repo.path().join("extensions/ostler");
    fs::create_dir_all(&own).unwrap();
    let policy = "[[rule]]\nrefs = \"none\"\nkeep-listed = \"releases\"\n";
    fs::write(own.join("policy.toml"), policy).unwrap();
    // Of a list that is not there nobody knows what it names.
    let before = files(scene.repo.path());
    let refused = prune(&["--refs-only", "--depth=0"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("there is no list"),
        "{said}"
    );
    assert_eq!(files(scene.repo.path()), before);

    // The first commit, which only history leads to, and one that is not here.
    let list = format!("{} first release\n{}\n", scene.commits[0], "0".repeat(64));
    fs::write(own.join("releases"), list).unwrap();
    scene.prune(&["--grace=0"]);
    scene.prune(&[]);
    assert!(scene.has(&scene.commits[0]) && !scene.has(&scene.commits[3]));
    scene.repo.fsck();
    let refused = prune(&["--delete-commit", &scene.commits[0]]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("commits that stay"),
        "{said}"
    );

    fs::remove_file(own.join("policy.toml")).unwrap();
    scene.prune(&[]);
    assert!(!scene.has(&scene.commits[0]));
}

/// Returns the object of a kind that only the first commit has.
fn own_object(scene: &Scene, suffix: &str) -> std::path::PathBuf {
    let commit = &scene.commits[0];
    let words: &[&str] = match suffix {
        "commit" => &["rev-parse", commit],
        "dirtree" => &["ls", "-d", "-C", commit],
        _ => &["ls", "-C", commit, "/file"],
    };
    let listed = scene.repo.run(words);
    let checksum = listed.split_whitespace().find(|word| word.len() == 64);
    let checksum = checksum.unwrap();
    let (first, rest) = checksum.split_at(2);
    scene.repo.path().join(format!("objects/{first}/{rest}.{suffix}"))
}

#[test]
fn what_is_broken_about_a_commit_that_goes_stops_nothing() {
    for suffix in ["commit", "dirtree", "filez"] {
        for damage in [None, Some("")] {
            for options in [&[][..], &["--grace=0"], &["--dry-run"]] {
                let scene = scene();
                let path = own_object(&scene, suffix);
                damaged(&path, damage);
                let said = scene.prune(options);
                assert!(said.contains("elete"), "{suffix} {damage:?} {options:?}: {said}");
                if options != ["--dry-run"] {
                    assert!(!path.exists(), "{suffix} {damage:?} {options:?}");
                    scene.repo.run(&["ls", "-R", "main"]);
                    scene.repo.fsck();
                }
            }
        }
    }
}

fn damaged(path: &Path, bytes: Option<&str>) {
    fs::remove_file(path).unwrap();
    if let Some(bytes) = bytes {
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn a_hole_in_what_stays_names_the_way_to_fill_it() {
    let scene = scene();
    fs::remove_file(own_object(&scene, "dirtree")).unwrap();
    let mut prune = ostler(scene.directory.path());
    let refused = attempt(prune.args(["--repo=repo", "prune"]));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.contains("nothing was removed") && said.contains("repair --from=REPO"),
        "{said}"
    );
}
