//! `history`, `diff-generations`, `rollback`.

use crate::programs::ostler;
use crate::publish_scene::{State, advance, make_source, sign};
use ostler_testkit::command::{fail, run};
use ostler_testkit::oracle::assert_sound;
use ostler_testkit::stock::StockRepo;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A source and a target with two generations: in the second, refs have moved and one is gone. Both summaries are signed.
struct Scene {
    directory: TempDir,
    source: StockRepo,
    first: State,
    second: State,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let source = make_source(directory.path());
        source.run(&["refs", "--create=os/gone", "os/a"]);
        sign(&source, "first");
        let target = directory.path().join("target");
        publish(directory.path(), &[]);
        let first = State::of(&target);
        advance(&source, directory.path());
        source.run(&["refs", "--delete", "os/gone"]);
        sign(&source, "second");
        publish(directory.path(), &["--delete-refs"]);
        let second = State::of(&target);
        Self {
            directory,
            source,
            first,
            second,
        }
    }

    fn target(&self) -> PathBuf {
        self.directory.path().join("target")
    }

    fn stock(&self) -> StockRepo {
        StockRepo::open(&self.target())
    }

    fn run(&self, arguments: &[&str]) -> String {
        run(ostler(self.directory.path()).args(arguments))
    }

    fn fail(&self, arguments: &[&str]) -> String {
        fail(ostler(self.directory.path()).args(arguments))
    }

    fn signature(&self) -> String {
        fs::read_to_string(self.target().join("summary.sig")).unwrap_or_default()
    }

    fn history(&self) -> Vec<Value> {
        let printed = self.run(&["history", "target", "--json"]);
        let lines = printed.lines();
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn retired(&self) -> BTreeMap<String, u64> {
        let list = fs::read(self.target().join("extensions/ostler/retired.json"));
        let list: Option<Value> = list.ok().map(|bytes| serde_json::from_slice(&bytes).unwrap());
        list.map(|list| serde_json::from_value(list["commits"].clone()).unwrap())
            .unwrap_or_default()
    }

    #[track_caller]
    fn assert_like(&self, state: &State, signature: &str) {
        let now = State::of(&self.target());
        assert_eq!((&now.refs, &now.summary), (&state.refs, &state.summary));
        assert_eq!(self.signature(), signature);
        assert_sound(&self.target());
    }
}

fn publish(directory: &Path, options: &[&str]) {
    let _printed = run(ostler(directory)
        .args(["--repo=source", "publish", "target"])
        .args(options));
}

#[test]
fn rollback_brings_refs_and_the_signed_summary_back_and_forth() {
    let scene = Scene::new();
    let said = scene.run(&["rollback", "target", "--dry-run"]);
    assert!(
        said.contains("generation 1:") && said.contains("summary: restore signed"),
        "{said}"
    );
    scene.assert_like(&scene.second, "second");
    let said = scene.run(&["rollback", "target"]);
    assert_eq!(
        said,
        "rolled target back to generation 1: 3 refs changed, generation 3\n"
    );
    scene.assert_like(&scene.first, "first");
    let history = scene.history();
    let newest = &history[0];
    assert_eq!(
        (
            &newest["generation"],
            &newest["rolled_back_to"],
            &newest["current"]
        ),
        (&3.into(), &1.into(), &true.into())
    );
    assert_eq!(
        newest["changed_refs"],
        serde_json::json!(["os/a", "os/b", "os/gone"])
    );
    let said = scene.run(&["rollback", "target", "1"]);
    assert!(said.contains("nothing to do"), "{said}");
    scene.run(&["rollback", "target"]);
    scene.assert_like(&scene.second, "second");
    publish(scene.directory.path(), &["--delete-refs"]);
    scene.assert_like(&scene.second, "second");
}

#[test]
fn what_a_rollback_leaves_is_retired_and_what_it_brings_back_is_not() {
    let scene = Scene::new();
    let newer: Vec<_> = scene.second.refs.values().cloned().collect();
    scene.run(&["rollback", "target"]);
    let retired: Vec<_> = scene.retired().into_keys().collect();
    let mut expected = newer.clone();
    expected.sort();
    assert_eq!(retired, expected);
    scene.run(&["rollback", "target"]);
    assert!(newer.iter().all(|commit| !scene.retired().contains_key(commit)));
}

#[test]
fn a_signature_that_was_made_at_the_target_comes_back_too() {
    let scene = Scene::new();
    let next = || {
        ostler_testkit::tree::Tree::at(&scene.directory.path().join("tree")).file("more", "more", 0o600);
        advance(&scene.source, scene.directory.path());
        publish(scene.directory.path(), &["--summary=generate"]);
        State::of(&scene.target())
    };
    let third = next();
    let made = fs::read(scene.target().join("summary")).unwrap();
    fs::write(scene.target().join("summary.sig"), "made here").unwrap();
    let fourth = next();
    assert_eq!(scene.signature(), "");
    assert_ne!(third.refs, fourth.refs);
    scene.run(&["rollback", "target"]);
    scene.assert_like(&third, "made here");
    assert_eq!(fs::read(scene.target().join("summary")).unwrap(), made);
}

#[test]
fn a_generation_whose_objects_are_gone_is_refused_with_their_names() {
    let scene = Scene::new();
    scene.stock().run(&["prune", "--refs-only", "--depth=0"]);
    let said = scene.fail(&["rollback", "target"]);
    let gone = &scene.first.refs["os/a"];
    assert!(
        said.contains("objects of it are gone") && said.contains(gone),
        "{said}"
    );
    assert!(said.contains("target was not rolled back"), "{said}");
    scene.assert_like(&scene.second, "second");
    let said = scene.fail(&["history", "target", "--pin=1"]);
    assert!(said.contains(gone), "{said}");
    let said = scene.fail(&["rollback", "target", "7"]);
    assert!(
        said.contains("no record of generation 7") && said.contains("'history'"),
        "{said}"
    );
}

#[test]
fn a_hole_deep_in_a_tree_is_found_before_a_ref_moves() {
    let scene = Scene::new();
    let objects = ostler_testkit::oracle::objects_of(&scene.target(), &scene.first.refs["os/b"]);
    let still_needed: Vec<_> = scene.second.refs.values().collect();
    let still_needed: std::collections::BTreeSet<_> = still_needed
        .into_iter()
        .flat_map(|commit| ostler_testkit::oracle::objects_of(&scene.target(), commit))
        .collect();
    let old = objects.iter().filter(|path| !still_needed.contains(*path));
    let mut tried = 0;
    for path in old {
        let place = scene.target().join("objects").join(path);
        let bytes = fs::read(&place).unwrap();
        fs::remove_file(&place).unwrap();
        let said = scene.fail(&["rollback", "target", "1"]);
        assert!(said.contains("objects of it are gone"), "{said}");
        assert_eq!(State::of(&scene.target()).refs, scene.second.refs);
        fs::write(&place, bytes).unwrap();
        tried += 1;
    }
    assert!(tried > 2, "a commit, a tree, a file");
}

#[test]
fn refs_that_somebody_else_changed_are_named_and_need_force() {
    let scene = Scene::new();
    scene.stock().run(&["refs", "--create=theirs", "os/a"]);
    let said = scene.fail(&["rollback", "target"]);
    assert!(said.contains("theirs") && said.contains("--force"), "{said}");
    let said = scene.run(&["rollback", "target", "1", "--dry-run"]);
    assert!(said.contains("ref theirs was changed since"), "{said}");
    scene.run(&["rollback", "target", "1", "--force"]);
    scene.assert_like(&scene.first, "first");
}

#[test]
fn what_a_pinned_generation_needs_stays() {
    let scene = Scene::new();
    scene.run(&["history", "target", "--pin=1"]);
    assert_eq!(scene.history()[1]["pinned"], true);
    scene.run(&["--repo=target", "prune", "--refs-only", "--depth=0"]);
    scene.run(&["rollback", "target"]);
    scene.assert_like(&scene.first, "first");
    scene.run(&["rollback", "target"]);
    assert_eq!(scene.retired(), BTreeMap::new());
    scene.run(&["sweep", "target", "--grace=0"]);
    scene.run(&["rollback", "target", "1"]);
    scene.assert_like(&scene.first, "first");
    scene.run(&["rollback", "target", "2"]);
    let said = scene.run(&["history", "target", "--unpin=1"]);
    assert_eq!(said, "generation 1: no longer pinned\n");
    let said = scene.run(&["history", "target", "--unpin=1"]);
    assert_eq!(said, "generation 1: was not pinned\n");
    scene.run(&["--repo=target", "prune", "--refs-only", "--depth=0"]);
    assert!(
        scene
            .fail(&["rollback", "target", "1"])
            .contains("objects of it are gone")
    );
}

#[test]
fn a_pinned_generation_keeps_the_history_that_later_publishes_cut() {
    let scene = Scene::new();
    let commits = || {
        let log = scene.run(&["--repo=target", "log", "os/a"]);
        log.lines().filter(|line| line.starts_with("commit ")).count()
    };
    let all = commits();
    assert!(all > 1);
    scene.run(&["history", "target", "--pin=2"]);
    publish(scene.directory.path(), &["--depth=0", "--grace=0"]);
    assert_eq!(commits(), all);
    scene.run(&["history", "target", "--unpin=2"]);
    publish(scene.directory.path(), &["--depth=0", "--grace=0"]);
    assert_eq!(commits(), 1);
}

#[test]
fn pins_whose_records_are_gone_or_damaged_can_be_let_go_of() {
    let scene = Scene::new();
    let record = |number: u64| {
        let name = format!("extensions/ostler/generations/{number:08}.json");
        scene.target().join(name)
    };
    scene.run(&["history", "target", "--pin=1"]);
    scene.run(&["history", "target", "--pin=2"]);
    fs::write(record(1), "{").unwrap();
    let said = scene.fail(&["--repo=target", "prune", "--refs-only", "--depth=0"]);
    assert!(said.contains("--unpin=1'"), "{said}");
    let said = scene.fail(&["sweep", "target", "--grace=0"]);
    assert!(said.contains("--unpin=1'"), "{said}");
    fs::remove_file(record(2)).unwrap();
    for number in ["1", "2"] {
        let unpin = format!("--unpin={number}");
        let said = scene.run(&["history", "target", &unpin]);
        assert_eq!(said, format!("generation {number}: no longer pinned\n"));
        let said = scene.fail(&["history", "target", &unpin]);
        assert!(said.contains("no record of generation"), "{said}");
    }
    scene.run(&["sweep", "target", "--grace=0"]);
    scene.run(&["--repo=target", "prune", "--refs-only", "--depth=0"]);
    scene.assert_like(&scene.second, "second");
}

#[test]
fn changed_refs_are_not_told_where_the_record_before_is_gone() {
    let scene = Scene::new();
    assert_eq!(scene.history()[1]["changed_refs"].as_array().unwrap().len(), 3);
    let first = "extensions/ostler/generations/00000001.json";
    fs::remove_file(scene.target().join(first)).unwrap();
    assert_eq!(scene.history()[0]["changed_refs"], Value::Null);
    let said = scene.run(&["history", "target"]);
    assert!(!said.contains("changed") && said.contains("  2 refs, "), "{said}");
}

#[test]
fn a_repository_besides_the_target_is_bad_usage() {
    let scene = Scene::new();
    for arguments in ["history", "diff-generations 1", "rollback", "sweep"] {
        let mut words = arguments.split(' ');
        let mut command = ostler(scene.directory.path());
        command
            .arg("--repo=source")
            .args(words.next())
            .arg("target")
            .args(words);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}");
    }
}

#[test]
fn unpinning_retires_what_only_the_pin_kept_and_pinning_takes_that_back() {
    let scene = Scene::new();
    // Nothing leads to the second generation any more.
    scene.run(&["rollback", "target"]);
    let retired = scene.retired();
    assert_eq!(retired.len(), 2);
    scene.run(&["history", "target", "--pin=2"]);
    assert_eq!(scene.retired(), BTreeMap::new());
    scene.run(&["sweep", "target", "--grace=0"]);
    assert_sound(&scene.target());
    scene.run(&["history", "target", "--unpin=2"]);
    assert!(scene.retired().keys().eq(retired.keys()));
    scene.run(&["sweep", "target", "--grace=0"]);
    let said = scene.fail(&["rollback", "target", "2"]);
    assert!(said.contains("objects of it are gone"), "{said}");
    scene.assert_like(&scene.first, "first");
}

#[test]
fn a_summary_that_names_deltas_which_are_gone_is_not_brought_back() {
    for (signed, replaced) in [(true, false), (false, false), (true, true)] {
        let directory = tempfile::tempdir().unwrap();
        let source = make_source(directory.path());
        source.run(&["static-delta", "generate", "--empty", "--to=os/a"]);
        sign(&source, "first");
        if !signed {
            fs::remove_file(source.path().join("summary.sig")).unwrap();
        }
        publish(directory.path(), &[]);
        let first = State::of(&directory.path().join("target"));
        advance(&source, directory.path());
        sign(&source, "second");
        if !signed {
            fs::remove_file(source.path().join("summary.sig")).unwrap();
        }
        publish(directory.path(), &[]);
        let target = directory.path().join("target");
        if replaced {
            let again = ["static-delta", "generate", "--empty", "--inline", "--to"];
            let to = first.refs.get("os/a").unwrap();
            StockRepo::open(&target).run(&[&again[..], &[to.as_str()]].concat());
        } else {
            fs::remove_dir_all(target.join("deltas")).unwrap();
        }
        let mut rollback = ostler(directory.path());
        rollback.args(["rollback", "target"]);
        if signed {
            let said = fail(&mut rollback);
            assert!(
                said.contains("deltas that are gone") && said.contains("--summary=generate"),
                "{said}"
            );
            rollback.arg("--summary=generate");
        }
        let _printed = run(&mut rollback);
        let now = State::of(&directory.path().join("target"));
        assert_eq!((now.refs, now.summary), (first.refs, first.summary));
        assert!(!directory.path().join("target/summary.sig").exists());
    }
}

#[test]
fn the_index_of_summaries_of_the_state_that_is_left_goes() {
    let scene = Scene::new();
    let digest = ostler_format::Checksum::of(b"a summary of some architecture");
    fs::create_dir(scene.source.path().join("summaries")).unwrap();
    let file = format!("summaries/{digest}.gz");
    fs::write(scene.source.path().join(&file), "compressed").unwrap();
    advance(&scene.source, scene.directory.path());
    sign(&scene.source, "third");
    fs::write(scene.source.path().join("summary.idx"), digest.as_bytes()).unwrap();
    publish(scene.directory.path(), &[]);
    assert!(scene.target().join(&file).exists() && scene.target().join("summary.idx").exists());
    scene.run(&["rollback", "target"]);
    scene.assert_like(&scene.second, "second");
    assert!(!scene.target().join("summary.idx").exists());
    let list = fs::read_to_string(scene.target().join("extensions/ostler/retired.json")).unwrap();
    assert!(
        scene.target().join(&file).exists() && list.contains(&file),
        "{list}"
    );
}

#[test]
fn rollbacks_and_publishes_at_once_leave_whole_commits_and_one_summary() {
    let scene = Scene::new();
    let path = scene.directory.path();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..5 {
                advance(&scene.source, path);
                let options = [
                    "--repo=source",
                    "publish",
                    "target",
                    "--force",
                    "--summary=generate",
                ];
                let _printed = run(ostler(path).args(options));
            }
        });
        let mut done = 0;
        for _ in 0..10 {
            let rollback = ["rollback", "target", "--summary=generate"];
            let output = ostler(path).args(rollback).output().unwrap();
            done += u32::from(output.status.success());
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                output.status.success() || said.contains("gave up after"),
                "{said}"
            );
        }
        assert!(done > 0, "all of them gave up");
    });
    assert_sound(&scene.target());
    let now = State::of(&scene.target());
    assert_eq!(now.refs, now.summary);
    let history = scene.history();
    assert_eq!(history[0]["current"], true, "{}", history[0]);
}

#[test]
fn differences_between_generations_are_listed() {
    let scene = Scene::new();
    let difference = |name: &str| {
        let value = |state: &State| state.refs.get(name).cloned().unwrap_or_else(|| "none".to_owned());
        format!("{name}: {} -> {}\n", value(&scene.first), value(&scene.second))
    };
    let expected = ["os/a", "os/b", "os/gone"].map(difference).concat();
    assert_eq!(scene.run(&["diff-generations", "target", "1", "2"]), expected);
    assert_eq!(scene.run(&["diff-generations", "target", "1"]), expected);
    assert_eq!(scene.run(&["diff-generations", "target", "2"]), "");
    let said = scene.run(&["history", "target", "-n", "1"]);
    assert!(
        said.contains("  3 refs changed, 2 refs, ") && said.trim_end().ends_with(", current"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1);
}

#[test]
fn records_of_the_newest_hundred_and_of_pinned_generations_are_kept() {
    let scene = Scene::new();
    let place = scene.target().join("extensions/ostler/generations");
    let summaries = scene.target().join("extensions/ostler/summaries");
    let kept = |directory: &Path, suffix: &str| {
        let names = fs::read_dir(directory).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(suffix)).count()
    };
    assert_eq!(kept(&summaries, ".sig"), 2);
    scene.run(&["history", "target", "--pin=1"]);
    let second = fs::read_to_string(place.join("00000002.json")).unwrap();
    let other = second.replace(
        &summary_of(&second),
        "0000000000000000000000000000000000000000000000000000000000000000",
    );
    for number in 3..=130 {
        let record = other.replace("\"number\": 2", &format!("\"number\": {number}"));
        fs::write(place.join(format!("{number:08}.json")), record).unwrap();
        fs::write(place.join(format!("{number:08}.objects")), "").unwrap();
    }
    fs::write(place.join("latest"), "130\n").unwrap();
    advance(&scene.source, scene.directory.path());
    sign(&scene.source, "third");
    publish(scene.directory.path(), &[]);
    assert_eq!(kept(&place, ".json"), 101);
    assert_eq!(kept(&place, ".objects"), 101);
    let numbers: Vec<_> = scene
        .history()
        .iter()
        .map(|record| record["generation"].as_u64())
        .collect();
    assert_eq!(
        (numbers.first(), numbers.get(99), numbers.last()),
        (Some(&Some(131)), Some(&Some(32)), Some(&Some(1)))
    );
    // That of the pinned one, and the new one; that of the second went with its record.
    assert_eq!(kept(&summaries, ".sig"), 2);
    scene.run(&["rollback", "target", "1"]);
    scene.assert_like(&scene.first, "first");
}

fn summary_of(record: &str) -> String {
    let record: Value = serde_json::from_str(record).unwrap();
    record["summary"].as_str().unwrap().to_owned()
}
