//! What is published is what stock tools at the far end, and clients, take for whole.

use super::{Scene, some_content};
use ostler_testkit::client::Client;
use ostler_testkit::command::run;
use ostler_testkit::nginx::Nginx;
use ostler_testkit::oracle::strays;
use ostler_testkit::stock::StockRepo;
use std::fs;

#[test]
fn stock_checks_and_pulls_what_was_published_into_a_mount() {
    let scene = Scene::mounted(200, &[]);
    let told = run(&mut scene.publish(&["--dry-run"]));
    assert!(told.contains("would publish"), "{told}");
    assert!(!scene.target().exists(), "a dry run makes nothing");
    let _told = run(&mut scene.publish(&[]));
    let server = Nginx::serve(&scene.target());
    let client = Client::of(&server.url());
    for text in ["first", "second"] {
        let commit = scene.advance(text);
        let told = run(&mut scene.publish(&["--dry-run"]));
        assert!(told.contains(&commit), "{told}");
        let _told = run(&mut scene.publish(&[]));
        StockRepo::open(&scene.target()).fsck();
        assert_eq!(client.pull("main"), commit);
        let told = run(&mut scene.publish(&[]));
        assert!(told.contains("is up to date"), "{told}");
        assert_eq!(strays(&scene.target()), Vec::<String>::new());
        assert!(!scene.target().join("extensions/ostler/lease").exists());
    }
}

#[test]
fn content_of_a_bare_source_and_large_files_arrive_in_a_mount_without_links() {
    let scene = Scene::mounted(40, &["disable_hardlink"]);
    let bare = StockRepo::init(&scene.path("bare"), "bare-user");
    scene.tree().file("large", vec![b'x'; 9 << 20], 0o644);
    let noise: Vec<u8> = (0..1u32 << 20)
        .flat_map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    scene.tree().file("noise", noise, 0o644);
    let _commit = scene.commit("main");
    let _told = run(&mut scene.publish(&[]));
    let _commit = bare.commit("other", &scene.path("tree"));
    let mut publish = crate::programs::ostler(scene.directory.path());
    let _told = run(publish.args(["--repo=bare", "publish", "mount/bare"]));
    for repo in ["repo", "bare"].map(|name| scene.far().join(name)) {
        StockRepo::open(&repo).fsck();
        assert_eq!(strays(&repo), Vec::<String>::new());
    }
}

#[test]
fn verify_mends_what_was_cut_short_or_removed_at_the_far_end() {
    let scene = Scene::mounted(60, &["dir_cache=no"]);
    let _told = run(&mut scene.publish(&[]));
    for damage in ["cut", "removed"] {
        let object = some_content(&scene.target());
        if damage == "cut" {
            fs::write(&object, "x").unwrap();
        } else {
            fs::remove_file(&object).unwrap();
        }
        let _told = run(&mut scene.publish(&["--verify"]));
        StockRepo::open(&scene.target()).fsck();
        assert_eq!(strays(&scene.target()), Vec::<String>::new(), "{damage}");
    }
}

#[test]
fn without_a_record_the_target_is_listed_and_holes_are_filled() {
    let scene = Scene::mounted(700, &["dir_cache=no"]);
    let _told = run(&mut scene.publish(&[]));
    fs::remove_dir_all(scene.target().join("extensions/ostler/generations")).unwrap();
    for damage in ["removed", "emptied"] {
        let object = some_content(&scene.target());
        if damage == "removed" {
            fs::remove_file(&object).unwrap();
        } else {
            fs::write(&object, "").unwrap();
        }
        fs::remove_dir_all(scene.target().join("extensions/ostler/generations")).unwrap_or_default();
        let _commit = scene.advance(damage);
        let _told = run(&mut scene.publish(&[]));
        StockRepo::open(&scene.target()).fsck();
    }
}

#[test]
fn sweeps_and_rollbacks_work_through_a_mount() {
    let scene = Scene::mounted(60, &[]);
    let first = scene.source().rev_parse("main");
    let _told = run(&mut scene.publish(&[]));
    let second = scene.advance("second");
    let _told = run(&mut scene.publish(&["--depth=0"]));
    let mut rollback = crate::programs::ostler(scene.directory.path());
    let _told = run(rollback.args(["rollback", "mount/repo"]));
    let target = StockRepo::open(&scene.target());
    assert_eq!(target.rev_parse("main"), first);
    let mut sweep = crate::programs::ostler(scene.directory.path());
    let _told = run(sweep.args(["sweep", "mount/repo", "--grace=0"]));
    target.fsck();
    let (prefix, rest) = second.split_at(2);
    assert!(
        !scene
            .target()
            .join(format!("objects/{prefix}/{rest}.commit"))
            .exists()
    );
    assert_eq!(strays(&scene.target()), Vec::<String>::new());
}
