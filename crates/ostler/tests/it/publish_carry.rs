//! What is carried beside objects and refs: static deltas with their indexes, summaries with their signatures.

use crate::programs::ostler;
use crate::publish_scene::{advance, files_below, make_source, sign};
use ostler_testkit::command::{attempt, fail, run};
use ostler_testkit::oracle::assert_sound;
use ostler_testkit::stock::StockRepo;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

fn publish(root: &Path, options: &[&str]) -> Command {
    let mut command = ostler(root);
    command.args(["--repo=source", "publish", "target"]).args(options);
    command
}

/// Returns the files of a repository whose paths begin with one of the prefixes.
fn files(repo: &Path, prefixes: &[&str]) -> Vec<(String, Vec<u8>)> {
    let wanted = |path: &str| prefixes.iter().any(|prefix| path.starts_with(prefix));
    files_below(repo)
        .into_iter()
        .filter(|(path, _)| wanted(path))
        .collect()
}

#[test]
fn static_deltas_and_their_indexes_are_carried_and_changed_ones_again() {
    let root = TempDir::new().unwrap();
    let source = make_source(root.path());
    run(&mut publish(root.path(), &[]));
    advance(&source, root.path());
    for reference in source.refs() {
        attempt(source.command().args(["static-delta", "generate", &reference]));
    }
    source.run(&["summary", "-u"]);
    let deltas = files(source.path(), &["deltas/", "delta-indexes/"]);
    assert!(
        deltas.iter().any(|(path, _)| path.ends_with("superblock")),
        "the fixture has deltas"
    );
    assert!(
        deltas.iter().any(|(path, _)| path.starts_with("delta-indexes/")),
        "the fixture has indexes"
    );

    run(&mut publish(root.path(), &["--summary=generate"]));
    let target = root.path().join("target");
    assert_eq!(files(&target, &["deltas/", "delta-indexes/"]), deltas);
    assert_sound(&target);
    let summary = StockRepo::open(&target).run(&["summary", "-v"]);
    assert!(
        summary.contains("Static Deltas (ostree.static-deltas):"),
        "{summary}"
    );
    assert!(run(&mut publish(root.path(), &["--summary=generate"])).contains("up to date"));

    let (part, _) = deltas.iter().find(|(path, _)| path.ends_with("/0")).unwrap();
    fs::remove_file(target.join(part)).unwrap();
    let said = run(&mut publish(root.path(), &["--summary=none"]));
    assert!(said.contains(", 1 file carried"), "{said}");
    assert_eq!(files(&target, &["deltas/", "delta-indexes/"]), deltas);

    for reference in source.refs() {
        let again = ["static-delta", "generate", "--inline", &reference];
        attempt(source.command().args(again));
    }
    // Stock leaves its indexes as they were.
    let indexes = |repo: &Path| files(repo, &["delta-indexes/"]);
    assert_eq!(indexes(source.path()), indexes(&target));
    run(&mut publish(root.path(), &["--summary=none", "--dry-run"]));
    assert_eq!(
        indexes(source.path()),
        indexes(&target),
        "a dry run changes nothing"
    );
    let published = attempt(&mut publish(root.path(), &["--summary=none"]));
    let told = String::from_utf8_lossy(&published.stderr);
    assert!(published.status.success(), "{told}");
    assert!(told.contains("did not fit them: it was made anew"), "{told}");
    let made = indexes(source.path());
    source.run(&["static-delta", "reindex"]);
    assert_eq!(indexes(source.path()), made);
    let is_list = |(path, _): &(String, Vec<u8>)| !path.ends_with(|digit: char| digit.is_ascii_digit());
    let lists = |repo: &Path| {
        let mut found = files(repo, &["deltas/", "delta-indexes/"]);
        found.retain(is_list);
        found
    };
    assert_eq!(lists(&target), lists(source.path()));
}

#[test]
fn deltas_that_a_run_left_before_its_flip_are_listed_by_the_next() {
    let root = TempDir::new().unwrap();
    let source = make_source(root.path());
    run(&mut publish(root.path(), &["--summary=generate"]));
    let reference = source.refs().swap_remove(0);
    source.run(&["static-delta", "generate", "--empty", &reference]);
    source.run(&["static-delta", "reindex"]);
    let target = root.path().join("target");
    // All that a publish puts in place before its flip.
    for (path, bytes) in files(source.path(), &["deltas/", "delta-indexes/"]) {
        let there = target.join(path);
        fs::create_dir_all(there.parent().unwrap()).unwrap();
        fs::write(there, bytes).unwrap();
    }
    let listed = || {
        StockRepo::open(&target)
            .run(&["summary", "-v"])
            .contains("Static Deltas (ostree.static-deltas):")
    };
    assert!(!listed());

    run(&mut publish(root.path(), &[]));
    assert!(listed());
    assert!(run(&mut publish(root.path(), &[])).contains("up to date"));

    StockRepo::open(&target).run(&["config", "set", "core.no-deltas-in-summary", "true"]);
    run(&mut publish(root.path(), &["--summary=generate"]));
    advance(&source, root.path());
    run(&mut publish(root.path(), &["--summary=generate"]));
    assert!(!listed());
    assert!(run(&mut publish(root.path(), &["--summary=generate"])).contains("up to date"));
}

#[test]
fn deltas_without_their_parts_and_signed_ones_are_not_carried() {
    let root = TempDir::new().unwrap();
    let source = make_source(root.path());
    let reference = source.refs().swap_remove(0);
    let generate = [
        "static-delta",
        "generate",
        "--empty",
        "--min-fallback-size=0",
        &reference,
    ];
    source.run(&generate);
    let deltas = files(source.path(), &["deltas/"]);
    let (part, bytes) = deltas.iter().find(|(path, _)| path.ends_with("/0")).unwrap();
    let part = source.path().join(part);
    fs::write(&part, &bytes[1..]).unwrap();
    let told = fail(&mut publish(root.path(), &[]));
    assert!(told.contains("part 0 is missing or has another size"), "{told}");

    fs::remove_dir_all(source.path().join("deltas")).unwrap();
    let key = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==";
    fs::write(root.path().join("secret"), key).unwrap();
    run(ostler(root.path())
        .arg("--repo=source")
        .args(generate)
        .arg("--keys-file=secret"));
    assert!(!files(source.path(), &["deltas/"]).is_empty());
    run(&mut publish(root.path(), &["--summary=generate"]));
    assert!(files(&root.path().join("target"), &["deltas/"]).is_empty());
}

#[test]
fn a_fitting_summary_is_carried_with_its_signature() {
    let root = TempDir::new().unwrap();
    let source = make_source(root.path());
    sign(&source, "first");
    run(&mut publish(root.path(), &[]));
    let pair = ["summary"];
    let target = root.path().join("target");
    assert_eq!(files(&target, &pair), files(source.path(), &pair));

    fs::write(source.path().join("summary.sig"), "signed again").unwrap();
    run(&mut publish(root.path(), &[]));
    assert_eq!(
        files(&target, &pair),
        files(source.path(), &pair),
        "though no ref moved"
    );
}

#[test]
fn a_signature_is_never_dropped_unless_asked_for() {
    let root = TempDir::new().unwrap();
    let source = make_source(root.path());
    sign(&source, "first");
    run(&mut publish(root.path(), &[]));
    let target = root.path().join("target");
    let before = files_below(&target);
    advance(&source, root.path());

    let refused = attempt(&mut publish(root.path(), &[]));
    assert_eq!(refused.status.code(), Some(1));
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        text.contains("--summary=generate"),
        "the way out is named: {text}"
    );
    assert_eq!(files(&target, &["refs/", "summary"]), {
        let kept = |path: &str| path.starts_with("refs/") || path.starts_with("summary");
        before
            .into_iter()
            .filter(|(path, _)| kept(path))
            .collect::<Vec<_>>()
    });

    sign(&source, "second");
    run(&mut publish(root.path(), &[]));
    assert_eq!(fs::read(target.join("summary.sig")).unwrap(), b"second");
    advance_again(&source, root.path());
    run(&mut publish(root.path(), &["--summary=generate"]));
    assert!(!target.join("summary.sig").exists());
    assert_sound(&target);
}

fn advance_again(source: &StockRepo, root: &Path) {
    let tree = root.join("again");
    fs::create_dir_all(&tree).unwrap();
    fs::write(tree.join("file"), "third").unwrap();
    let reference = source.refs().into_iter().next().unwrap();
    source.commit(&reference, &tree);
}

#[test]
fn a_dry_run_against_nothing_plans_everything_and_makes_nothing() {
    let root = TempDir::new().unwrap();
    let source = make_source(root.path());
    let plan = run(&mut publish(root.path(), &["--dry-run"]));
    for reference in source.refs() {
        assert!(plan.contains(&format!("ref {reference}: none -> ")), "{plan}");
    }
    assert!(!root.path().join("target").exists());
}
