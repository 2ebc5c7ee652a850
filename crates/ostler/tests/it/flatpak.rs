//! Flatpak's repositories: what its own tool puts into the summary stays, and its clients list and install.

use crate::programs::ostler;
use ostler_serve::{TreeOptions, serve_tree};
use ostler_testkit::command::{command, run};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Returns a command of Flatpak's whose installation lies in `root`.
fn flatpak(root: &Path, arguments: &[&str]) -> Command {
    let mut flatpak = command("flatpak");
    flatpak
        .current_dir(root)
        .env("HOME", root.join("home"))
        .env("XDG_DATA_HOME", root.join("home/data"))
        .env("FLATPAK_USER_DIR", root.join("home/user"))
        .env("FLATPAK_SYSTEM_DIR", root.join("home/system"))
        .args(arguments);
    flatpak
}

/// Exports an application into `repo`, and has Flatpak write the summary.
fn export(root: &Path, greeting: &str) {
    let arch = run(&mut flatpak(root, &["--default-arch"]));
    let (arch, of) = (arch.trim(), "org.example.Platform");
    let metadata = format!(
        "[Application]\nname=org.example.App\nruntime={of}/{arch}/1\nsdk={of}/{arch}/1\ncommand=hello\n"
    );
    Tree::at(&root.join("app"))
        .file("metadata", metadata, 0o644)
        .file("files/bin/hello", greeting, 0o755)
        .dir("export", 0o755);
    run(&mut flatpak(
        root,
        &["build-export", "--disable-sandbox", "repo", "app", "1"],
    ));
    run(&mut flatpak(
        root,
        &["build-update-repo", "--title=Example", "repo"],
    ));
}

/// Returns the keys of the summary that are Flatpak's, with their values.
fn keys(repo: &StockRepo) -> Vec<String> {
    let view = repo.run(&["summary", "--view"]);
    let lines = view.lines().filter(|line| line.starts_with("xa."));
    let mut keys: Vec<_> = lines.map(str::to_owned).collect();
    keys.sort();
    keys
}

#[test]
fn keys_of_flatpak_stay_and_its_clients_install_from_what_was_published() {
    let root = TempDir::new().unwrap();
    let root = root.path();
    Tree::at(root).dir("home/data", 0o755);
    export(root, "#!/bin/sh\necho hello\n");
    let repo = StockRepo::open(&root.join("repo"));
    let made = keys(&repo);
    assert!(made.iter().any(|key| key.starts_with("xa.cache:")), "{made:?}");

    // Made anew by us, in place and in a publish, and carried with a key.
    run(ostler(root).args(["--repo=repo", "summary", "-u"]));
    assert_eq!(keys(&repo), made);
    run(&mut flatpak(root, &["build-update-repo", "repo"]));
    run(ostler(root).args(["--repo=repo", "publish", "public", "--sign-command=spki=cat"]));
    let public = StockRepo::open(&root.join("public"));
    assert_eq!(keys(&public), made);
    assert!(root.join("public/summary.sig").exists() && root.join("public/summary.idx").exists());

    let server = serve_tree(root, "127.0.0.1:0".parse().unwrap(), TreeOptions::default()).unwrap();
    let url = format!("{}/public", server.url());
    run(&mut flatpak(
        root,
        &["--user", "remote-add", "--no-gpg-verify", "example", &url],
    ));
    let listed = || run(&mut flatpak(root, &["--user", "remote-ls", "example"]));
    assert!(listed().contains("org.example.App"));
    let mut install = flatpak(root, &["--user", "install", "--noninteractive", "--no-deps"]);
    run(install.args(["--no-related", "example", "org.example.App"]));
    let installed = root.join("home/user/app/org.example.App/current/active/files/bin/hello");
    let text = || std::fs::read_to_string(&installed).unwrap();
    assert!(text().contains("echo hello"));

    export(root, "#!/bin/sh\necho hello again\n");
    run(ostler(root).args([
        "--repo=repo",
        "publish",
        "public",
        "--sign-command=spki=cat",
        "--settle=0",
    ]));
    assert_eq!(keys(&public), keys(&repo));
    run(&mut flatpak(
        root,
        &[
            "--user",
            "update",
            "--noninteractive",
            "--no-deps",
            "--no-related",
        ],
    ));
    assert!(text().contains("hello again"));
}
