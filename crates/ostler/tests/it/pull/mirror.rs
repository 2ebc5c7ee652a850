//! Mirrors: refs as at the remote, the summary with its signatures, nothing visible before all of it is there.

use super::scene::{Scene, tree};
use crate::programs::ostler;
use ostler_format::DeltaName;
use ostler_testkit::command::{attempt, describe, run};
use ostler_testkit::faulty_server::{FaultyServer, Reaction};
use ostler_testkit::nginx::Nginx;
use ostler_testkit::oracle::assert_sound;
use ostler_testkit::stock::StockRepo;
use std::fs;
use std::path::PathBuf;

fn mirror(scene: &Scene, url: &str) -> StockRepo {
    let mirror = StockRepo::init(&scene.path("mirror"), "archive");
    mirror.run(&["config", "set", "core.fsync", "false"]);
    mirror.run(&["remote", "add", "--no-gpg-verify", "origin", url]);
    mirror
}

#[test]
fn a_mirror_has_all_refs_and_the_summary() {
    let scene = Scene::new();
    scene.served().run(&["summary", "--update"]);
    let mirror = mirror(&scene, &scene.nginx.url());

    scene.pull("mirror", &["--mirror", "origin"]);

    assert_eq!(mirror.refs(), ["app", "os/stable"]);
    assert_eq!(
        fs::read(scene.path("mirror/summary")).unwrap(),
        fs::read(scene.path("served/summary")).unwrap()
    );
    assert_sound(mirror.path());
}

#[test]
fn signatures_that_the_remote_has_no_more_go() {
    let scene = Scene::new();
    scene.served().run(&["summary", "--update"]);
    mirror(&scene, &scene.nginx.url());
    fs::write(scene.path("served/summary.sig"), b"").unwrap();
    scene.pull("mirror", &["--mirror", "origin"]);
    assert!(scene.path("mirror/summary.sig").exists());
    fs::remove_file(scene.path("served/summary.sig")).unwrap();

    scene.pull("mirror", &["--mirror", "origin"]);

    assert!(!scene.path("mirror/summary.sig").exists());
}

#[test]
fn the_summary_stays_as_it_is_until_all_objects_are_there() {
    let scene = Scene::new();
    let served = scene.served();
    served.run(&["summary", "--update"]);
    let server = FaultyServer::serve(&scene.path("served"));
    let mirror = mirror(&scene, &server.url());
    scene.pull("mirror", &["--mirror", "origin"]);
    let before = (fs::read(scene.path("mirror/summary")).unwrap(), mirror.refs());
    tree(scene.directory.path(), 3);
    served.commit_with("os/new", &scene.path("tree"), &[]);
    served.run(&["summary", "--update"]);
    server.set_rule(|asked| {
        if asked.path.contains(".filez") {
            Reaction::status(404)
        } else {
            Reaction::Serve
        }
    });

    scene.fail("mirror", &["--mirror", "origin"]);

    assert_eq!(
        (fs::read(scene.path("mirror/summary")).unwrap(), mirror.refs()),
        before
    );
    mirror.fsck();
    server.set_rule(|_| Reaction::Serve);
    scene.pull("mirror", &["--mirror", "origin"]);
    assert_eq!(mirror.refs(), ["app", "os/new", "os/stable"]);
    assert_sound(mirror.path());
}

#[test]
fn refs_that_the_remote_dropped_go_when_asked_and_never_all() {
    let scene = Scene::new();
    let served = scene.served();
    served.run(&["summary", "--update"]);
    let mirror = mirror(&scene, &scene.nginx.url());
    scene.pull("mirror", &["--mirror", "origin"]);
    served.run(&["refs", "--delete", "app"]);
    served.run(&["summary", "--update"]);

    scene.pull("mirror", &["--mirror", "origin"]);
    assert_eq!(mirror.refs(), ["app", "os/stable"]);
    scene.pull("mirror", &["--mirror", "--delete-refs", "origin"]);
    assert_eq!(mirror.refs(), ["os/stable"]);

    served.run(&["refs", "--delete", "os/stable"]);
    served.run(&["summary", "--update"]);
    let error = scene.fail("mirror", &["--mirror", "--delete-refs", "origin"]);
    assert!(error.contains("--allow-empty"), "{error}");
    assert_eq!(mirror.refs(), ["os/stable"]);
    scene.pull(
        "mirror",
        &["--mirror", "--delete-refs", "--allow-empty", "origin"],
    );
    assert_eq!(mirror.refs(), Vec::<String>::new());
}

#[test]
fn refs_of_collections_are_mirrored_as_such() {
    let scene = Scene::new();
    let served = scene.served();
    served.run(&["config", "set", "core.collection-id", "org.example.Os"]);
    tree(scene.directory.path(), 4);
    served.commit("bound", &scene.path("tree"));
    served.run(&["summary", "--update"]);
    let mirror = mirror(&scene, &scene.nginx.url());

    scene.pull("mirror", &["--mirror", "--disable-verify-bindings", "origin"]);

    let listed = mirror.run(&["refs", "--collections"]);
    assert!(listed.contains("(org.example.Os, bound)"), "{listed}");
    mirror.fsck();
}

#[test]
fn a_ref_that_is_asked_for_by_name_is_mirrored_as_one_of_its_collection() {
    let scene = Scene::new();
    let served = scene.served();
    served.run(&["config", "set", "core.collection-id", "org.example.Os"]);
    tree(scene.directory.path(), 4);
    served.commit("bound", &scene.path("tree"));
    served.run(&["summary", "--update"]);
    let listed = |repo: &StockRepo| (repo.refs(), repo.run(&["refs", "--collections"]));
    let stock = StockRepo::init(&scene.path("stock"), "archive");
    stock.run(&["remote", "add", "--no-gpg-verify", "origin", &scene.nginx.url()]);
    stock.run(&["pull", "--mirror", "origin", "bound", "app"]);
    let mirror = mirror(&scene, &scene.nginx.url());

    scene.pull("mirror", &["--mirror", "origin", "bound"]);
    // Not bound to the collection, which nobody asked for.
    scene.pull("mirror", &["--mirror", "origin", "app"]);

    let (own, collected) = listed(&mirror);
    assert_eq!(own, Vec::<String>::new());
    assert!(collected.contains("(org.example.Os, bound)"), "{collected}");
    let sorted = |text: String| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let (theirs, of_stock) = listed(&stock);
    assert_eq!((own, sorted(collected)), (theirs, sorted(of_stock)));
    // Tracked as ever where nothing is mirrored.
    let client = scene.client("client", "bare-user-only");
    scene.pull("client", &["origin", "bound"]);
    assert_eq!(client.refs(), ["origin:bound"]);
}

#[test]
fn deltas_are_carried_when_asked_and_only_once() {
    let scene = Scene::new();
    let served = scene.served();
    served.run(&["static-delta", "generate", "os/stable"]);
    served.run(&["static-delta", "generate", "--empty", "--inline", "app"]);
    served.run(&["summary", "--update"]);
    let mirror = mirror(&scene, &scene.nginx.url());

    scene.pull("mirror", &["--mirror", "--deltas", "origin"]);

    assert_eq!(
        mirror.run(&["static-delta", "list"]),
        served.run(&["static-delta", "list"])
    );
    assert_eq!(
        mirror.run(&["static-delta", "indexes"]),
        served.run(&["static-delta", "indexes"])
    );
    assert_sound(mirror.path());
    scene.nginx.forget_requests();
    scene.pull("mirror", &["--mirror", "--deltas", "origin"]);
    let requests = scene.nginx.requests();
    assert!(
        !requests.iter().any(|request| request.contains("superblock")),
        "{requests:?}"
    );
}

/// Mirrors with deltas, and returns the notes.
#[track_caller]
fn notes(scene: &Scene) -> String {
    let mut ours = ostler(scene.directory.path());
    ours.args(["--repo=mirror", "pull", "--mirror", "--deltas", "origin"]);
    let output = attempt(&mut ours);
    assert!(output.status.success(), "{}", describe(&ours, &output));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Pulls all from the mirror with stock, which must be able to.
#[track_caller]
fn assert_served(scene: &Scene, client: &str) {
    let nginx = Nginx::serve(&scene.path("mirror"));
    let client = StockRepo::init(&scene.path(client), "bare-user");
    client.run(&["remote", "add", "--no-gpg-verify", "origin", &nginx.url()]);
    client.run(&["pull", "origin", "os/stable", "app"]);
    client.fsck();
}

/// Returns where a repository has a delta from nothing.
fn delta_of(scene: &Scene, repo: &str, reference: &str) -> PathBuf {
    let to = scene.served().rev_parse(reference).parse().expect("a checksum");
    scene.path(repo).join(DeltaName { from: None, to }.path())
}

#[test]
fn a_signed_delta_is_left_out_so_that_clients_of_the_mirror_can_pull() {
    let scene = Scene::new();
    let served = scene.served();
    served.run(&["static-delta", "generate", "--empty", "app"]);
    run(ostler(scene.directory.path()).args([
        "--repo=served",
        "static-delta",
        "generate",
        "--empty",
        "--sign-command=ed25519=head -c 64 /dev/zero",
        "os/stable",
    ]));
    served.run(&["summary", "--update"]);
    mirror(&scene, &scene.nginx.url());

    let notes = notes(&scene);

    assert!(
        notes.contains("is not mirrored") && notes.contains("a signed static delta"),
        "{notes}"
    );
    assert_eq!(
        fs::read(scene.path("mirror/summary")).unwrap(),
        fs::read(scene.path("served/summary")).unwrap()
    );
    assert!(delta_of(&scene, "mirror", "app").exists());
    assert!(!delta_of(&scene, "mirror", "os/stable").exists());
    assert_served(&scene, "client");
}

#[test]
fn a_bad_delta_stops_no_mirror_and_leaves_no_old_one_in_its_place() {
    let scene = Scene::new();
    let served = scene.served();
    let generate = |options: &[&str]| {
        for reference in ["app", "os/stable"] {
            let fixed = ["static-delta", "generate", "--empty", reference];
            served.run(&[&fixed[..], options].concat());
        }
        served.run(&["summary", "--update"]);
    };
    generate(&["--inline"]);
    mirror(&scene, &scene.nginx.url());
    assert!(!notes(&scene).contains("not mirrored"));
    assert!(delta_of(&scene, "mirror", "app").exists());
    generate(&["--max-chunk-size=1"]);
    let part = delta_of(&scene, "served", "os/stable").join("0");
    let whole = fs::read(&part).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    fs::write(&part, damaged).unwrap();
    let gone = delta_of(&scene, "served", "app").join("0");
    let bytes = fs::read(&gone).unwrap();
    fs::remove_file(&gone).unwrap();

    let said = notes(&scene);

    assert_eq!(said.matches("is not mirrored").count(), 2, "{said}");
    assert!(said.contains("404") && said.contains("its checksum is"), "{said}");
    for reference in ["app", "os/stable"] {
        assert!(!delta_of(&scene, "mirror", reference).exists(), "{reference}");
    }
    assert_served(&scene, "client");
    fs::write(&part, whole).unwrap();
    fs::write(&gone, bytes).unwrap();
    assert!(!notes(&scene).contains("not mirrored"));
    for reference in ["app", "os/stable"] {
        assert!(delta_of(&scene, "mirror", reference).exists(), "{reference}");
    }
    assert_served(&scene, "again");
    assert_sound(&scene.path("mirror"));
}
