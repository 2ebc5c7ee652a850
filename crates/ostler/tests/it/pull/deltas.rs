//! Static deltas of stock's: used, checked, and done without.

use super::scene::Scene;
use ostler_testkit::command::{command, run};
use ostler_testkit::faulty_server::{FaultyServer, Reaction};
use ostler_testkit::stock::StockRepo;
use std::fs;

/// A scene with a delta from nothing and one from the first commit to the second.
fn with_deltas(options: &[&str]) -> Scene {
    let scene = Scene::new();
    let served = scene.served();
    served.run(&[&["static-delta", "generate", "os/stable"], options].concat());
    served.run(&[&["static-delta", "generate", "--empty", "os/stable"], options].concat());
    served.run(&["summary", "--update"]);
    scene
}

/// Returns how many content objects were asked for one by one.
fn loose(scene: &Scene) -> usize {
    let requests = scene.nginx.requests();
    requests
        .iter()
        .filter(|request| request.contains(".filez"))
        .count()
}

#[test]
fn a_delta_brings_what_changed_and_no_object_comes_by_itself() {
    for options in [
        &[][..],
        &["--inline"],
        &["--swap-endianness"],
        &["--disable-bsdiff"],
    ] {
        let scene = with_deltas(options);
        let old = scene.served().rev_parse("os/stable^");
        let new = scene.served().rev_parse("os/stable");
        let modes = ["bare-user", "bare", "bare-user-only"];
        for mode in modes.into_iter().take(if options.is_empty() { 3 } else { 1 }) {
            let client = scene.client(mode, mode);
            scene.pull(
                mode,
                &["--disable-static-deltas", "origin", &format!("os/stable@{old}")],
            );
            scene.nginx.forget_requests();

            let printed = scene.pull(mode, &["--require-static-deltas", "origin", "os/stable"]);

            assert!(
                printed.starts_with("1 delta parts,"),
                "{options:?} {mode}: {printed}"
            );
            assert_eq!(loose(&scene), 0, "{options:?} {mode}");
            assert_eq!(client.rev_parse("origin:os/stable"), new);
            client.fsck();
            let fresh = format!("{mode}-fresh");
            let client = scene.client(&fresh, mode);
            scene.pull(&fresh, &["origin", "os/stable"]);
            client.fsck();
        }
    }
}

#[test]
fn objects_beside_a_delta_are_fetched() {
    let scene = with_deltas(&["--min-fallback-size=1"]);
    let client = scene.client("client", "bare-user");
    scene.pull("client", &["--require-static-deltas", "origin", "os/stable"]);
    assert!(loose(&scene) >= 1);
    client.fsck();
}

fn files(scene: &Scene, name: &str) -> Vec<String> {
    let found = run(command("find")
        .arg(scene.path("served/deltas"))
        .args(["-name", name]));
    found.lines().map(str::to_owned).collect()
}

fn damage(path: &str) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_delta_is_refused_where_required_and_done_without_elsewhere() {
    for (file, said) in [
        ("0", "part 0 of static delta"),
        ("superblock", "Invalid checksum for static delta"),
    ] {
        let scene = with_deltas(&[]);
        for path in files(&scene, file) {
            damage(&path);
        }
        let client = scene.client("client", "bare-user");

        let error = scene.fail("client", &["--require-static-deltas", "origin", "os/stable"]);

        assert!(error.contains(said), "{error}");
        assert_eq!(client.refs(), Vec::<String>::new());
        scene.pull("client", &["origin", "os/stable"]);
        client.fsck();
    }
}

#[test]
fn a_delta_that_is_gone_is_done_without() {
    let scene = with_deltas(&[]);
    fs::remove_dir_all(scene.path("served/deltas")).unwrap();
    let client = scene.client("client", "bare-user");
    scene.pull("client", &["origin", "os/stable"]);
    client.fsck();
    let archive = StockRepo::init(&scene.path("archive"), "archive");
    archive.run(&["remote", "add", "--no-gpg-verify", "origin", &scene.nginx.url()]);
    let error = scene.fail("archive", &["--require-static-deltas", "origin", "os/stable"]);
    assert!(
        error.contains("Can't use static deltas in an archive repo"),
        "{error}"
    );
}

#[test]
fn a_dry_run_tells_sizes_and_changes_nothing() {
    let scene = with_deltas(&[]);
    let client = scene.client("client", "bare-user");
    let ours = scene.pull(
        "client",
        &["--dry-run", "--require-static-deltas", "origin", "os/stable"],
    );
    let stock = client.run(&[
        "pull",
        "--dry-run",
        "--require-static-deltas",
        "origin",
        "os/stable",
    ]);
    assert_eq!(ours.replace('\u{a0}', " "), stock.replace('\u{a0}', " "));
    assert_eq!(client.refs(), Vec::<String>::new());
}

#[test]
fn a_part_that_breaks_off_and_is_gone_then_leaves_nothing_in_what_comes_instead() {
    let scene = with_deltas(&[]);
    let server = FaultyServer::with(&scene.path("served"), |asked| {
        if !asked.path.contains("/deltas/") || !asked.path.ends_with("/0") {
            Reaction::Serve
        } else if asked.before == 0 {
            Reaction::CutAt(300_000)
        } else {
            Reaction::status(404)
        }
    });
    let client = StockRepo::init(&scene.path("client"), "bare-user");
    client.run(&["remote", "add", "--no-gpg-verify", "origin", &server.url()]);

    scene.pull("client", &["origin", "os/stable"]);

    client.fsck();
}

#[test]
fn a_delta_that_needs_what_is_not_here_is_done_without() {
    let scene = with_deltas(&[]);
    let old = scene.served().rev_parse("os/stable^");
    let new = scene.served().rev_parse("os/stable");
    for required in [true, false] {
        let name = if required { "required" } else { "allowed" };
        let client = scene.client(name, "bare-user");
        scene.pull(
            name,
            &["--disable-static-deltas", "origin", &format!("os/stable@{old}")],
        );
        for path in ["/usr/bin/tool", "/usr/lib/changes"] {
            let line = client.run(&["ls", "-C", &old, path]);
            let hex = line
                .split_whitespace()
                .find(|word| word.len() == 64)
                .expect("a checksum");
            let (first, rest) = hex.split_at(2);
            let object = format!("objects/{first}/{rest}.file");
            fs::remove_file(client.path().join(object)).unwrap();
        }

        if required {
            scene.fail(name, &["--require-static-deltas", "origin", "os/stable"]);
        } else {
            scene.pull(name, &["origin", "os/stable"]);
            client.run(&["cat", &new, "/usr/bin/tool"]);
            client.run(&["cat", &new, "/usr/lib/changes"]);
        }
    }
}
