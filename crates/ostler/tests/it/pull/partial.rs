//! Parts of commits, and commits that are here in part: marked as stock marks them, and completed by either tool.

use super::scene::Scene;

#[test]
fn subpaths_come_one_after_the_other_until_the_commit_is_whole() {
    let scene = Scene::new();
    let commit = scene.served().rev_parse("os/stable");
    for mode in ["archive", "bare-user"] {
        let client = scene.client(mode, mode);
        let mark = client.path().join(format!("state/{commit}.commitpartial"));

        scene.pull(
            mode,
            &["--subpath=/usr/bin", "--subpath=/empty", "origin", "os/stable"],
        );

        assert!(mark.exists());
        client.run(&["cat", "origin:os/stable", "/usr/bin/tool"]);
        client.run(&["cat", "origin:os/stable", "/empty"]);
        client.fail(&["cat", "origin:os/stable", "/usr/lib/large"]);

        scene.pull(mode, &["--subpath=/usr/lib", "origin", "os/stable"]);

        client.run(&["cat", "origin:os/stable", "/usr/lib/changes"]);
        assert!(mark.exists());

        scene.pull(mode, &["origin", "os/stable"]);

        assert!(!mark.exists());
        client.fsck();
    }
}

#[test]
fn what_one_tool_pulled_in_part_the_other_completes() {
    let scene = Scene::new();
    let commit = scene.served().rev_parse("os/stable");
    for part in [&["--subpath=/usr/share"][..], &["--commit-metadata-only"]] {
        for ours_first in [true, false] {
            let name = format!("{}{ours_first}", part[0].len());
            let client = scene.client(&name, "bare-user");
            let mark = client.path().join(format!("state/{commit}.commitpartial"));
            let with_part = [part, &["origin", "os/stable"]].concat();
            let stock = [&["pull"], with_part.as_slice()].concat();
            if ours_first {
                scene.pull(&name, &with_part);
            } else {
                client.run(&stock);
            }
            assert!(mark.exists());
            if ours_first {
                client.run(&["pull", "origin", "os/stable"]);
            } else {
                scene.pull(&name, &["origin", "os/stable"]);
            }
            assert!(!mark.exists());
            client.fsck();
        }
    }
}

#[test]
fn what_a_check_found_damaged_is_replaced_by_the_next_pull() {
    let scene = Scene::new();
    let client = scene.client("client", "archive");
    scene.pull("client", &["origin", "os/stable"]);
    let file = ostler_testkit::command::run(
        ostler_testkit::command::command("find")
            .arg(client.path().join("objects"))
            .args(["-name", "*.filez", "-size", "+1000k"]),
    );
    let file = file.lines().next().expect("a large object");
    std::fs::remove_file(file).unwrap();
    std::fs::write(file, "damaged").unwrap();
    client.fail(&["fsck", "--delete", "--all"]);

    scene.pull("client", &["origin", "os/stable"]);

    client.fsck();
}

#[test]
fn what_is_missing_or_damaged_is_brought_back_from_a_url() {
    let scene = Scene::new();
    let client = scene.client("client", "bare-user");
    scene.pull("client", &["origin", "os/stable"]);
    let find = |name: &str| {
        let mut find = ostler_testkit::command::command("find");
        ostler_testkit::command::run(find.arg(client.path().join("objects")).args(["-name", name]))
    };
    let trees = find("*.dirtree");
    for tree in trees.lines().take(2) {
        std::fs::remove_file(tree).unwrap();
    }
    let files = find("*.file");
    for file in files.lines().take(3) {
        std::fs::remove_file(file).unwrap();
    }
    client.fail(&["fsck"]);

    let mut repair = crate::programs::ostler(scene.directory.path());
    repair
        .args(["--repo=client", "repair"])
        .arg(format!("--from={}", scene.nginx.url()));
    let printed = ostler_testkit::command::run(&mut repair);

    assert!(printed.contains(&scene.nginx.url()), "{printed}");
    client.fsck();
}

/// Returns the files of a repository's objects with a name like this.
fn objects(client: &ostler_testkit::stock::StockRepo, name: &str) -> Vec<String> {
    let mut find = ostler_testkit::command::command("find");
    let found = ostler_testkit::command::run(find.arg(client.path().join("objects")).args(["-name", name]));
    found.lines().map(str::to_owned).collect()
}

#[test]
fn what_a_prune_left_of_a_commit_without_a_ref_is_completed() {
    let scene = Scene::new();
    let parent = scene.served().rev_parse("os/stable^");
    for (mode, suffix) in [("archive", "*.filez"), ("bare-user", "*.file")] {
        let client = scene.client(mode, mode);
        scene.pull(mode, &["--depth=1", "origin", "os/stable"]);
        client.run(&["refs", "--delete", "origin:os/stable"]);
        assert_eq!(client.refs(), Vec::<String>::new());
        for file in objects(&client, suffix).iter().take(3) {
            std::fs::remove_file(file).unwrap();
        }
        for tree in objects(&client, "*.dirtree").iter().take(2) {
            std::fs::remove_file(tree).unwrap();
        }

        scene.pull(mode, &["--depth=1", "origin", "os/stable"]);

        client.fsck();
        assert_eq!(client.rev_parse("origin:os/stable^"), parent);
        assert_eq!(std::fs::read_dir(client.path().join("state")).unwrap().count(), 0);
    }
}

#[test]
fn what_a_parent_repository_has_in_part_is_pulled_whole() {
    let scene = Scene::new();
    let parent = scene.client("parent", "bare-user");
    scene.pull("parent", &["--subpath=/usr/bin", "origin", "os/stable"]);
    let child = scene.client("child", "bare-user");
    child.run(&["config", "set", "core.parent", parent.path().to_str().unwrap()]);

    scene.pull("child", &["origin", "os/stable"]);

    child.run(&["cat", "origin:os/stable", "/usr/lib/large"]);
    child.fsck();
    let local = scene.client("local", "bare-user");
    local.run(&["config", "set", "core.parent", parent.path().to_str().unwrap()]);
    let mut pull = crate::programs::ostler(scene.directory.path());
    ostler_testkit::command::run(pull.args(["--repo=local", "pull-local", "served", "os/stable"]));
    local.run(&["cat", "os/stable", "/usr/lib/large"]);
    local.fsck();
}
