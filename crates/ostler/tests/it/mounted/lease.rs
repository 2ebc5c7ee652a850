//! The lease file, which stands in for locks that do not cross a mount.

use super::Scene;
use ostler_testkit::command::{attempt, run};
use ostler_testkit::oracle::strays;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::strace::pause_after;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

/// A lease of somebody on another machine.
const FOREIGN: &str =
    r#"{"who":"eve@elsewhere","boot":"another","namespace":"pid:[1]","pid":7,"started":"1","token":"t"}"#;

/// A scene in which somebody on another machine has written the lease file this long ago.
fn leased(ago: Duration) -> (Scene, PathBuf) {
    let scene = Scene::new(40);
    let _told = run(&mut scene.publish_to("far/repo", &["--remote-fs"]));
    let _commit = scene.advance("second");
    let lease = scene.target().join("extensions/ostler/lease");
    fs::write(&lease, FOREIGN).unwrap();
    let file = File::options().write(true).open(&lease).unwrap();
    let now = file.metadata().unwrap().modified().unwrap();
    file.set_modified(now - ago).unwrap();
    (scene, lease)
}

#[test]
fn publisher_that_comes_second_waits_and_names_the_first() {
    let mut scene = Scene::mounted(60, &[]);
    scene.mount("second", &["dir_cache=no"]);
    let _told = run(&mut scene.publish(&[]));
    let main = scene.advance("first");
    let other = StockRepo::init(&scene.path("other"), "archive").commit("other", &scene.path("tree"));
    let first = pause_after(&scene.publish(&["--jobs=1"]), "fsync", 3);
    let publish = scene.publish_to("second/repo", &[]);
    let mut second = crate::programs::ostler(scene.directory.path());
    second.args(["--repo=other"]).args(publish.get_args().skip(1));
    let mut second = second
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(second.stderr.take().unwrap()).lines();
    let told = lines.find_map(|line| {
        line.ok()
            .filter(|line| line.contains("waiting for the exclusive lock"))
    });
    let told = told.expect("it says what it waits for");
    assert!(told.contains("extensions/ostler/lease, held by "), "{told}");
    assert!(told.contains("sign of life"), "{told}");
    assert!(first.resume().status.success());
    let rest: Vec<_> = lines.map_while(Result::ok).collect();
    assert!(second.wait().unwrap().success(), "{rest:?}");
    let target = StockRepo::open(&scene.target());
    assert_eq!(target.rev_parse("main"), main);
    assert_eq!(target.rev_parse("other"), other);
    target.fsck();
    assert_eq!(strays(&scene.target()), Vec::<String>::new());
}

#[test]
fn owner_on_another_machine_is_waited_for_and_named_at_the_end() {
    let (scene, lease) = leased(Duration::from_secs(60));
    let config = StockRepo::open(&scene.target());
    config.run(&["config", "set", "core.lock-timeout-secs", "1"]);
    let output = attempt(&mut scene.publish_to("far/repo", &["--remote-fs"]));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("held by eve@elsewhere (process 7)"), "{said}");
    assert_eq!(fs::read_to_string(&lease).unwrap(), FOREIGN, "it is left alone");
    let beside = fs::read_dir(lease.parent().unwrap()).unwrap();
    let left = beside.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("lease-")
    });
    assert_eq!(left.count(), 0, "nothing is left of asking for the time");
}

#[test]
fn flip_of_one_who_works_through_a_mount_is_left_to_it() {
    let scene = Scene::mounted(60, &[]);
    let _told = run(&mut scene.publish(&[]));
    let before = scene.source().rev_parse("main");
    let after = scene.advance("second");
    let paused = pause_after(&scene.publish(&["--jobs=1"]), "renameat", 16);
    let intent = scene.target().join("extensions/ostler/flip/intent");
    assert!(intent.exists());
    // Locks of the mount are not seen over there.
    let mut refs = crate::programs::ostler(scene.directory.path());
    let _told = run(refs.args(["--repo=far/repo", "refs"]));
    assert!(intent.exists(), "it is not completed by others");
    assert_eq!(StockRepo::open(&scene.target()).rev_parse("main"), before);
    drop(paused);
    let _told = run(&mut refs);
    assert!(!intent.exists(), "its owner is dead");
    assert_eq!(StockRepo::open(&scene.target()).rev_parse("main"), after);
    let _told = run(&mut scene.publish(&[]));
    assert_eq!(strays(&scene.target()), Vec::<String>::new());
}

#[test]
fn lease_that_nobody_keeps_alive_is_taken_over() {
    let (scene, lease) = leased(Duration::from_secs(3600));
    let _told = run(&mut scene.publish_to("far/repo", &["--remote-fs"]));
    assert!(!lease.exists());
    let target = StockRepo::open(&scene.target());
    assert_eq!(target.rev_parse("main"), scene.source().rev_parse("main"));
    target.fsck();
    assert_eq!(strays(&scene.target()), Vec::<String>::new());
}

#[test]
fn publisher_that_lost_its_lease_changes_nothing_more() {
    let scene = Scene::new(40);
    let _told = run(&mut scene.publish_to("far/repo", &["--remote-fs"]));
    let before = scene.source().rev_parse("main");
    let _commit = scene.advance("second");
    let publish = scene.publish_to("far/repo", &["--remote-fs", "--jobs=1"]);
    let paused = pause_after(&publish, "fsync", 3);
    let lease = scene.target().join("extensions/ostler/lease");
    fs::write(&lease, FOREIGN).unwrap();
    let output = paused.resume();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("another publisher has taken over"), "{said}");
    assert_eq!(
        fs::read_to_string(&lease).unwrap(),
        FOREIGN,
        "it is not removed either"
    );
    assert_eq!(StockRepo::open(&scene.target()).rev_parse("main"), before);
    fs::remove_file(&lease).unwrap();
    let _told = run(&mut scene.publish_to("far/repo", &["--remote-fs"]));
    assert_eq!(strays(&scene.target()), Vec::<String>::new());
}

#[test]
fn publisher_over_there_waits_for_one_who_works_through_a_mount() {
    let scene = Scene::new(40);
    let _told = run(&mut scene.publish_to("far/repo", &[]));
    let _commit = scene.advance("second");
    // So that there is something to sweep.
    let _told = run(&mut scene.publish_to("far/repo", &["--depth=0"]));
    let _commit = scene.advance("third");
    let lease = scene.target().join("extensions/ostler/lease");
    fs::write(&lease, FOREIGN).unwrap();
    let target = StockRepo::open(&scene.target());
    let before = target.rev_parse("main");
    target.run(&["config", "set", "core.lock-timeout-secs", "1"]);
    let mut sweep = crate::programs::ostler(scene.directory.path());
    sweep.args(["sweep", "far/repo", "--grace=0"]);
    for mut command in [scene.publish_to("far/repo", &[]), sweep] {
        let output = attempt(&mut command);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("held by eve@elsewhere (process 7)"), "{said}");
        assert_eq!(target.rev_parse("main"), before);
    }
    fs::remove_file(&lease).unwrap();
    let _told = run(&mut scene.publish_to("far/repo", &[]));
    assert_eq!(target.rev_parse("main"), scene.source().rev_parse("main"));
    assert_eq!(strays(&scene.target()), Vec::<String>::new());
}

#[test]
fn fuse_of_this_machine_is_published_to_as_a_local_directory_where_that_is_said() {
    let scene = Scene::mounted(60, &[]);
    let _told = run(&mut scene.publish(&[]));
    // Where a publish through a mount stages.
    let staging = scene.target().join("tmp/ostler-mounted");
    fs::write(&staging, "").unwrap();
    let commit = scene.advance("second");
    let output = attempt(&mut scene.publish(&[]));
    assert_eq!(output.status.code(), Some(1), "it cannot stage");
    let _told = run(&mut scene.publish(&["--local-fs"]));
    let target = StockRepo::open(&scene.target());
    assert_eq!(target.rev_parse("main"), commit);
    target.fsck();
    assert!(staging.exists(), "nobody has asked for it");
}
