//! `publish --verify` reads all that the destination claims to have: what the source has is brought, the rest is named.

use crate::programs::ostler;
use crate::publish_scene::{advance, make_source};
use ostler_testkit::command::{attempt, describe, run};
use ostler_testkit::oracle::objects_of;
use ostler_testkit::stock::StockRepo;
use std::fs;
use std::path::{Path, PathBuf};

/// A source with refs `os/a` and `os/b`, and `target`, to which both were published.
struct Published {
    directory: tempfile::TempDir,
    source: StockRepo,
}

impl Published {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let source = make_source(directory.path());
        let published = Self { directory, source };
        published.done(&["publish", "target", "--copy"]);
        published
    }

    fn target(&self) -> PathBuf {
        self.directory.path().join("target")
    }

    fn attempt(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = ostler(self.directory.path());
        let output = attempt(command.arg("--repo=source").args(arguments));
        (output.status.code(), describe(&command, &output))
    }

    #[track_caller]
    fn done(&self, arguments: &[&str]) -> String {
        run(ostler(self.directory.path()).arg("--repo=source").args(arguments))
    }

    /// Returns the path of an object that only the first commit needs.
    fn object_of(&self, commit: &str, others: &[String], suffix: &str) -> PathBuf {
        let mut own = objects_of(&self.target(), commit);
        for other in others {
            for path in objects_of(&self.target(), other) {
                own.remove(&path);
            }
        }
        let path = own.into_iter().find(|path| path.ends_with(suffix));
        self.target().join("objects").join(path.unwrap())
    }

    fn forget_in_source(&self, reference: &str) {
        self.source.run(&["refs", "--delete", reference]);
        self.source.run(&["prune", "--refs-only"]);
    }

    /// Asserts that a run heals `lost`; then that one names it, with what needs it, when the source has lost it too.
    #[track_caller]
    fn assert_healed_or_named(
        &self,
        lost: &Path,
        harm: fn(&Path),
        forget: impl FnOnce(),
        needed_by: &[&str],
    ) {
        let whole = fs::read(lost).unwrap();
        harm(lost);
        self.done(&["publish", "target", "--verify"]);
        assert_eq!(fs::read(lost).unwrap(), whole, "healed by the source");
        forget();
        harm(lost);
        let healed = self.object_of(&self.source.rev_parse("os/a"), &[], "dirmeta");
        fs::remove_file(&healed).unwrap();
        let (status, said) = self.attempt(&["publish", "target", "--verify"]);
        assert_eq!(status, Some(1), "{said}");
        let name = lost.file_name().unwrap().to_str().unwrap();
        let object = name.replace(".filez", ".file");
        for word in needed_by
            .iter()
            .copied()
            .chain([object.as_str(), "repair --from="])
        {
            assert!(said.contains(word), "'{word}' in {said}");
        }
        assert!(!said.contains("is up to date"), "{said}");
        assert!(healed.exists(), "the rest is done");
        let (status, said) = self.attempt(&["publish", "target", "--verify"]);
        assert_eq!(status, Some(1), "again: {said}");
        let (status, said) = self.attempt(&["publish", "target", "--verify", "--json"]);
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains("\"damage\":[{\"item\":"), "{said}");
    }
}

fn remove(path: &Path) {
    fs::remove_file(path).unwrap();
}

fn empty(path: &Path) {
    fs::remove_file(path).unwrap();
    fs::write(path, "").unwrap();
}

#[test]
fn what_a_ref_needs_that_only_the_target_has_is_healed_or_named() {
    let scene = Published::new();
    let b = scene.source.rev_parse("os/b");
    let lost = scene.object_of(&b, &[scene.source.rev_parse("os/a")], "filez");
    let forget = || scene.forget_in_source("os/b");
    scene.assert_healed_or_named(&lost, remove, forget, &["'os/b'", &b]);
}

#[test]
fn a_tree_of_a_ref_that_only_the_target_has_is_healed_or_named() {
    let scene = Published::new();
    let b = scene.source.rev_parse("os/b");
    let lost = scene.object_of(&b, &[scene.source.rev_parse("os/a")], "dirtree");
    let forget = || scene.forget_in_source("os/b");
    scene.assert_healed_or_named(&lost, remove, forget, &["'os/b'", &b]);
}

#[test]
fn what_a_pinned_generation_needs_is_healed_or_named() {
    let scene = Published::new();
    let mut pin = ostler(scene.directory.path());
    let _printed = run(pin.args(["history", "target", "--pin=1"]));
    let b = scene.source.rev_parse("os/b");
    let lost = scene.object_of(&b, &[scene.source.rev_parse("os/a")], "filez");
    scene.source.run(&["refs", "--delete", "os/b"]);
    scene.done(&["publish", "target", "--delete-refs", "--grace=0"]);
    let forget = || {
        scene.source.run(&["prune", "--refs-only"]);
    };
    scene.assert_healed_or_named(&lost, remove, forget, &["generation 1", &b]);
}

#[test]
fn what_a_retired_commit_needs_is_healed_or_named() {
    let scene = Published::new();
    let b = scene.source.rev_parse("os/b");
    let lost = scene.object_of(&b, &[scene.source.rev_parse("os/a")], "filez");
    scene.source.run(&["refs", "--delete", "os/b"]);
    scene.done(&["publish", "target", "--delete-refs"]);
    let forget = || {
        scene.source.run(&["prune", "--refs-only"]);
    };
    scene.assert_healed_or_named(&lost, empty, forget, &[&b]);
}

#[test]
fn what_is_lost_is_named_also_when_refs_move() {
    let scene = Published::new();
    let b = scene.source.rev_parse("os/b");
    let lost = scene.object_of(&b, &[scene.source.rev_parse("os/a")], "filez");
    advance(&scene.source, scene.directory.path());
    scene.forget_in_source("os/b");
    remove(&lost);
    let (status, said) = scene.attempt(&["publish", "target", "--verify"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("published 1 ref"), "{said}");
    assert!(said.contains("'os/b'"), "{said}");
    let new = scene.source.rev_parse("os/a");
    assert_eq!(StockRepo::open(&scene.target()).rev_parse("os/a"), new);
    let (status, said) = scene.attempt(&["publish", "target"]);
    assert_eq!(status, Some(0), "without --verify: {said}");
}

#[test]
fn a_part_of_a_delta_is_brought_again_or_named() {
    let scene = Published::new();
    scene.source.run(&["static-delta", "generate", "--empty", "os/a"]);
    scene.done(&["publish", "target"]);
    let commit = scene.source.rev_parse("os/a");
    let target = StockRepo::open(&scene.target());
    let part = || {
        let first = scene.target().join("deltas");
        let first = fs::read_dir(first).unwrap().next().unwrap().unwrap().path();
        let second = fs::read_dir(first).unwrap().next().unwrap().unwrap().path();
        second.join("0")
    };
    let whole = fs::read(part()).unwrap();
    fs::remove_file(part()).unwrap();
    scene.done(&["publish", "target", "--verify"]);
    assert_eq!(fs::read(part()).unwrap(), whole);
    scene.source.run(&["static-delta", "delete", &commit]);
    fs::remove_file(part()).unwrap();
    let (status, said) = scene.attempt(&["publish", "target", "--verify"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("/0 is missing") && said.contains(&commit), "{said}");
    assert!(said.contains("static-delta delete"), "{said}");
    target.run(&["static-delta", "delete", &commit]);
    scene.done(&["publish", "target", "--verify"]);
}

/// Gives a commit detached metadata, and returns the path of its file.
fn annotate(repo: &Path, commit: &str) -> PathBuf {
    let mut dict = ostler_format::gvariant::VarDict::new();
    let text = ostler_format::gvariant::Value::Str("a note".to_owned());
    dict.insert("note", text);
    let (first, rest) = commit.split_at(2);
    let path = repo.join(format!("objects/{first}/{rest}.commitmeta"));
    fs::write(&path, dict.to_bytes()).unwrap();
    path
}

fn cut(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes.truncate(bytes.len() - 2);
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn damaged_detached_metadata_of_the_target_is_replaced_or_named() {
    let scene = Published::new();
    let commit = scene.source.rev_parse("os/b");
    let own = annotate(scene.source.path(), &commit);
    scene.done(&["publish", "target"]);
    let there = scene
        .target()
        .join(own.strip_prefix(scene.source.path()).unwrap());
    let whole = fs::read(&there).unwrap();
    for options in [&["publish", "target"][..], &["publish", "target", "--verify"]] {
        cut(&there);
        let (status, said) = scene.attempt(options);
        assert_eq!(status, Some(0), "{said}");
        assert!(said.contains("of the target is damaged, and replaced"), "{said}");
        assert_eq!(fs::read(&there).unwrap(), whole);
    }
    cut(&there);
    fs::remove_file(&own).unwrap();
    let (status, said) = scene.attempt(&["publish", "target"]);
    assert_eq!(status, Some(0), "{said}");
    let (status, said) = scene.attempt(&["publish", "target", "--verify"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains(&format!("{commit}.commitmeta is damaged")),
        "{said}"
    );
    assert!(said.contains("'os/b'"), "{said}");
    assert!(said.contains("sign it again"), "{said}");
}

#[test]
fn damaged_detached_metadata_of_the_source_is_said_to_be_the_sources() {
    let scene = Published::new();
    let commit = scene.source.rev_parse("os/b");
    cut(&annotate(scene.source.path(), &commit));
    let (status, said) = scene.attempt(&["publish", "target"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("the source has 1 object that cannot be published"),
        "{said}"
    );
    assert!(said.contains(&format!("{commit}.commitmeta")), "{said}");
    assert!(said.contains("sign it again"), "{said}");
}
