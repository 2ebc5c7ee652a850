//! Objects from repositories on this machine: a remote by a `file` URL, and caches beside a remote.

use super::scene::Scene;
use ostler_testkit::stock::StockRepo;

#[test]
fn a_remote_on_this_machine_may_have_any_mode() {
    let scene = Scene::new();
    for source in ["archive", "bare-user", "bare"] {
        let path = scene.path(&format!("source-{source}"));
        let repo = StockRepo::init(&path, source);
        repo.run(&["pull-local", scene.path("served").to_str().unwrap()]);
        for mode in ["archive", "bare-user", "bare-user-only"] {
            let name = format!("{source}-to-{mode}");
            let client = StockRepo::init(&scene.path(&name), mode);
            let url = format!("file://{}", path.display());
            client.run(&["remote", "add", "--no-gpg-verify", "origin", &url]);

            let printed = scene.pull(&name, &["origin", "os/stable"]);

            assert!(printed.contains("content objects imported;"), "{printed}");
            assert_eq!(
                client.rev_parse("origin:os/stable"),
                scene.served().rev_parse("os/stable")
            );
            client.fsck();
        }
    }
}

#[test]
fn what_a_cache_has_is_not_fetched() {
    let scene = Scene::new();
    let old = scene.served().rev_parse("os/stable^");
    scene.client("cache", "archive");
    scene.pull("cache", &["origin", &format!("os/stable@{old}")]);
    let client = scene.client("client", "archive");
    scene.nginx.forget_requests();

    let printed = scene.pull("client", &["-L", "cache", "origin", "os/stable"]);

    assert!(printed.contains("2 content objects fetched ("), "{printed}");
    client.fsck();
}

#[test]
fn what_a_cache_has_damaged_is_fetched() {
    let scene = Scene::new();
    let cache = scene.client("cache", "archive");
    scene.pull("cache", &["origin", "os/stable"]);
    let files = ostler_testkit::command::run(
        ostler_testkit::command::command("find")
            .arg(cache.path().join("objects"))
            .args(["-name", "*.filez"]),
    );
    for file in files.lines() {
        std::fs::remove_file(file).unwrap();
        std::fs::write(file, "damaged").unwrap();
    }
    let client = scene.client("client", "bare-user");
    scene.pull("client", &["-L", "cache", "origin", "os/stable"]);
    client.fsck();
}
