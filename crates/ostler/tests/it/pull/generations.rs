//! Summaries and signatures of two generations, as a server gives them that changes one file after the other, or a cache that keeps one
//! longer: a pair that does not fit is neither taken nor mirrored, and an old one that fits is an old state, whole.

use super::exchange::{Kind, Source, must, must_fail};
use crate::interop::Who;
use ostler_format::Checksum;
use ostler_testkit::faulty_server::{FaultyServer, Reaction};
use ostler_testkit::oracle::assert_refs_complete;
use ostler_testkit::stock::StockRepo;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A source signed by ed25519, the pair of its generation before, and a mirror of that.
struct Scene {
    source: Source,
    server: FaultyServer,
    mirror: PathBuf,
    /// What the mirror has: `summary` and `summary.sig` of the generation before.
    old: [Vec<u8>; 2],
    directory: TempDir,
}

fn pair(repo: &Path) -> [Vec<u8>; 2] {
    ["summary", "summary.sig"].map(|name| fs::read(repo.join(name)).expect("a pair"))
}

impl Scene {
    fn new() -> Self {
        let directory = TempDir::new().expect("a directory");
        let root = directory.path();
        let mut source = Source::make(Who::Ours, root, Kind::Ed25519, false);
        let set = |source: &Source, commit: &str| {
            must(
                Who::Ours,
                &source.repo,
                &["refs", "--force", "--create=os/stable", commit],
            );
        };
        let (old, new) = (source.old.clone(), source.new.clone());
        set(&source, &old);
        source.summarize();
        let server = FaultyServer::serve(&source.repo);
        let mirror = root.join("mirror");
        source.client(Who::Ours, &mirror, "archive", &server.url());
        must(Who::Ours, &mirror, &["pull", "--mirror", "origin"]);
        let old = pair(&source.repo);
        assert_eq!(pair(&mirror), old);
        set(&source, &new);
        source.summarize();
        // Where nothing of it has been seen before.
        fs::remove_dir_all(mirror.join("tmp/cache")).expect("the kept pair");
        Self {
            source,
            server,
            mirror,
            old,
            directory,
        }
    }

    /// Asserts that the mirror is at a commit, with the summary that says so.
    #[track_caller]
    fn assert_at(&self, commit: &str, expected: &[Vec<u8>; 2]) {
        let mirror = StockRepo::open(&self.mirror);
        assert_eq!(mirror.rev_parse("os/stable"), commit);
        assert_eq!(&pair(&self.mirror), expected);
        assert_refs_complete(&self.mirror);
    }
}

#[test]
fn a_summary_with_signatures_of_another_is_neither_taken_nor_mirrored() {
    let scene = Scene::new();
    let signatures = scene.old[1].clone();
    scene.server.set_rule(move |asked| match asked.path.as_str() {
        "/summary.sig" => Reaction::Bytes(signatures.clone()),
        _ => Reaction::Serve,
    });

    let said = must_fail(Who::Ours, &scene.mirror, &["pull", "--mirror", "origin"]);

    for digest in [&pair(&scene.source.repo)[0], &scene.old[1]] {
        let digest = Checksum::of(digest).to_string();
        assert!(said.contains(&digest), "{said}");
    }
    scene.assert_at(&scene.source.old, &scene.old);
    let client = scene.directory.path().join("client");
    let client = scene
        .source
        .client(Who::Ours, &client, "bare-user", &scene.server.url());
    must_fail(Who::Ours, client.path(), &["pull", "origin", "os/stable"]);
    assert_eq!(client.refs(), Vec::<String>::new());
}

#[test]
fn a_summary_that_is_between_two_generations_for_a_moment_is_mirrored_after_it() {
    let scene = Scene::new();
    let signatures = scene.old[1].clone();
    scene
        .server
        .set_rule(move |asked| match (asked.path.as_str(), asked.before) {
            ("/summary.sig", 0) => Reaction::Bytes(signatures.clone()),
            _ => Reaction::Serve,
        });
    scene.server.forget();

    must(Who::Ours, &scene.mirror, &["pull", "--mirror", "origin"]);

    scene.assert_at(&scene.source.new, &pair(&scene.source.repo));
}

#[test]
fn a_pair_that_a_cache_kept_brings_an_old_state_back_whole_or_is_refused_by_its_time() {
    let scene = Scene::new();
    let pull = ["pull", "--mirror", "origin"];
    must(Who::Ours, &scene.mirror, &pull);
    let new = pair(&scene.source.repo);
    scene.assert_at(&scene.source.new, &new);
    let [summary, signatures] = scene.old.clone();
    scene.server.set_rule(move |asked| match asked.path.as_str() {
        "/summary" => Reaction::Bytes(summary.clone()),
        "/summary.sig" => Reaction::Bytes(signatures.clone()),
        _ => Reaction::Serve,
    });

    let said = must_fail(
        Who::Ours,
        &scene.mirror,
        &["pull", "--mirror", "--timestamp-check", "origin"],
    );

    assert!(said.contains("chronologically older"), "{said}");
    scene.assert_at(&scene.source.new, &new);
    must(Who::Ours, &scene.mirror, &pull);
    scene.assert_at(&scene.source.old, &scene.old);
}
