//! Flatpak's repositories: what its own tool puts into the summary stays, and its clients list and install.

use crate::programs::ostler;
use ostler_serve::{TreeOptions, serve_tree};
use ostler_testkit::command::{command, fail, run};
use ostler_testkit::faulty_server::{FaultyServer, Reaction};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::collections::BTreeMap;
use std::fs;
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
    let text = || fs::read_to_string(&installed).unwrap();
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

/// Returns the index of summaries, its signatures, and the files that it may name.
fn indexed(repo: &Path) -> BTreeMap<String, Vec<u8>> {
    let named = fs::read_dir(repo.join("summaries")).into_iter().flatten();
    let named = named.map(|entry| entry.expect("a directory that can be listed").path());
    let beside = ["summary", "summary.idx", "summary.idx.sig"].map(|name| repo.join(name));
    let files = named.chain(beside).filter(|path| path.exists());
    files
        .map(|path| {
            let name = path.strip_prefix(repo).expect("what lies in it");
            (name.display().to_string(), fs::read(&path).expect("a file"))
        })
        .collect()
}

/// Asserts that a mirror has what its remote has; of the compressed summaries only those that the index names as the newest ones.
#[track_caller]
fn assert_mirrored(root: &Path) {
    let (there, here) = (indexed(&root.join("repo")), indexed(&root.join("mirror")));
    for (name, bytes) in &here {
        assert!(
            there.get(name).is_none_or(|theirs| theirs == bytes),
            "{name} differs"
        );
    }
    for name in there.keys().filter(|name| !is_compressed(name)) {
        assert!(here.contains_key(name), "{name} is not among {:?}", here.keys());
    }
    assert!(here.keys().any(|name| is_compressed(name)), "{:?}", here.keys());
}

fn is_compressed(path: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|extension| extension == "gz")
}

/// Makes a mirror of the repository that a server serves.
fn mirror(root: &Path, url: &str) {
    run(ostler(root).args(["--repo=mirror", "init", "--mode=archive"]));
    run(ostler(root).args(["--repo=mirror", "remote", "add", "--no-gpg-verify", "origin", url]));
}

const MIRROR: [&str; 6] = [
    "--repo=mirror",
    "pull",
    "--mirror",
    "--deltas",
    "--delete-refs",
    "origin",
];

#[test]
fn a_mirror_has_the_index_of_summaries_and_clients_update_from_it() {
    let root = TempDir::new().unwrap();
    let root = root.path();
    Tree::at(root).dir("home/data", 0o755);
    export(root, "#!/bin/sh\necho hello\n");
    let server = serve_tree(root, "127.0.0.1:0".parse().unwrap(), TreeOptions::default()).unwrap();
    mirror(root, &format!("{}/repo", server.url()));

    run(ostler(root).args(MIRROR));

    assert_mirrored(root);
    run(&mut flatpak(
        root,
        &[
            "--user",
            "remote-add",
            "--no-gpg-verify",
            "example",
            &format!("{}/mirror", server.url()),
        ],
    ));
    let mut install = flatpak(root, &["--user", "install", "--noninteractive", "--no-deps"]);
    run(install.args(["--no-related", "example", "org.example.App"]));

    for version in ["two", "three", "four"] {
        export(root, &format!("#!/bin/sh\necho {version}\n"));
        run(ostler(root).args(MIRROR));
    }

    assert_mirrored(root);
    let mut update = flatpak(root, &["--user", "update", "--noninteractive", "--no-deps"]);
    run(update.arg("--no-related"));
    let installed = root.join("home/user/app/org.example.App/current/active/files/bin/hello");
    assert!(fs::read_to_string(installed).unwrap().contains("four"));
    run(ostler(root).args(["--repo=mirror", "fsck"]));
}

#[test]
fn an_index_that_does_not_go_with_the_summary_is_not_mirrored_and_a_damaged_one_ends_the_pull() {
    let root = TempDir::new().unwrap();
    let root = root.path();
    Tree::at(root).dir("home/data", 0o755);
    export(root, "#!/bin/sh\necho hello\n");
    let old = indexed(&root.join("repo"));
    let server = FaultyServer::serve(&root.join("repo"));
    mirror(root, &server.url());
    run(ostler(root).args(MIRROR));
    assert_mirrored(root);
    export(root, "#!/bin/sh\necho hello again\n");
    let new = indexed(&root.join("repo"));

    // The server's cache has the old index for good.
    fs::write(root.join("repo/summary.idx"), &old["summary.idx"]).unwrap();
    let mut pull = ostler(root);
    let output = pull.args(MIRROR).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("summary.idx"), "{said}");
    let now = indexed(&root.join("mirror"));
    assert!(now["summary.idx"] == old["summary.idx"] && now["summary"] == new["summary"]);

    // A summary of a subset is damaged on the way.
    fs::write(root.join("repo/summary.idx"), &new["summary.idx"]).unwrap();
    server.set_rule(|asked| {
        if is_compressed(&asked.path) {
            Reaction::status(200)
        } else {
            Reaction::Serve
        }
    });
    let error = fail(ostler(root).args(MIRROR));
    assert!(error.contains(".gz"), "{error}");
    assert!(indexed(&root.join("mirror")) == now, "nothing has changed");

    server.set_rule(|_| Reaction::Serve);
    run(ostler(root).args(MIRROR));
    assert_mirrored(root);
}

#[test]
fn an_index_that_the_remote_has_no_more_goes_from_the_mirror() {
    let root = TempDir::new().unwrap();
    let root = root.path();
    Tree::at(root).dir("home/data", 0o755);
    export(root, "#!/bin/sh\necho hello\n");
    let server = FaultyServer::serve(&root.join("repo"));
    mirror(root, &server.url());
    run(ostler(root).args(MIRROR));
    fs::remove_file(root.join("repo/summary.idx")).unwrap();

    run(ostler(root).args(MIRROR));

    assert!(!root.join("mirror/summary.idx").exists());
}
