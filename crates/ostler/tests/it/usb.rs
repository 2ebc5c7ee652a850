//! `create-usb` and `find-remotes`, beside stock's.

use crate::programs::{Ended, OSTLER, ended, link, ostler};
use crate::prune::files;
use ostler_testkit::command::{fail, run};
use ostler_testkit::oracle::assert_sound;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// An upstream repository `up` of the collection `org.example.One`, and `local`, which pulled two of its three refs.
fn repositories() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let up = StockRepo::open(&path.join("up"));
    up.run(&["init", "--mode=archive", "--collection-id=org.example.One"]);
    for number in ["1", "2", "3", "1"] {
        let tree = path.join("tree");
        Tree::at(&tree)
            .file("file", number, 0o644)
            .file(&format!("only/{number}"), "x", 0o644);
        up.commit(&format!("test-{number}"), &tree);
    }
    up.run(&["summary", "-u"]);
    let local = StockRepo::init(&path.join("local"), "bare-user-only");
    add_remote(&local, "origin", up.path());
    for number in ["1", "2"] {
        let up = up.path().to_str().unwrap();
        local.run(&["pull-local", "--remote=origin", up, &format!("test-{number}")]);
    }
    directory
}

fn add_remote(repo: &StockRepo, name: &str, at: &Path) {
    let url = format!("file://{}", at.display());
    repo.run(&[
        "remote",
        "add",
        "--no-gpg-verify",
        "--collection-id=org.example.One",
        name,
        &url,
    ]);
}

/// Returns the files on a medium but for what compresses differently, and the targets of links.
fn on_medium(mount: &Path) -> BTreeMap<PathBuf, String> {
    let found = files(mount).into_iter();
    found
        .map(|path| {
            let full = mount.join(&path);
            let text = match fs::read_link(&full) {
                Ok(target) => target.display().to_string(),
                Err(_) if path.components().any(|part| part.as_os_str() == "refs") => {
                    fs::read_to_string(full).unwrap()
                }
                Err(_) => String::new(),
            };
            (path, text)
        })
        .collect()
}

#[test]
fn media_hold_what_stock_would_put_there() {
    let directory = repositories();
    let path = directory.path();
    let commit = StockRepo::open(&path.join("local")).rev_parse("origin:test-1");
    let one = "org.example.One";
    let runs = [
        format!("mount {one} test-1"),
        format!("mount {one} test-1 {one} test-2"),
        format!("--destination-repo=ostree/repo mount {one} test-1"),
        format!("--destination-repo=some/dest mount {one} test-2"),
        format!("--destination-repo=.ostree/repos.d/one mount {one} test-2"),
        format!("--disable-fsync --commit={commit} --destination-repo=at mount {one} test-1"),
        format!("--commit={commit} mount {one} test-1 {one} test-2"),
        format!("mount {one} test-3"),
        format!("mount {one} ../x"),
        format!("mount {one}"),
        "mount".to_owned(),
        "mount nodots test-1".to_owned(),
        format!("nowhere {one} test-1"),
        String::new(),
    ];
    let programs = [("stock", PathBuf::from("ostree")), ("ours", link(path))];
    let done = programs.map(|(name, program)| {
        let directory = path.join(name);
        let mut done = Vec::new();
        fs::create_dir_all(directory.join("mount")).unwrap();
        for arguments in &runs {
            let arguments = format!("--repo=../local create-usb {arguments}");
            let Ended { code, stdout } = ended(&program, &directory, &arguments);
            done.push((
                arguments,
                code,
                stdout
                    .replace("/ours/", "/")
                    .replace("/stock/", "/")
                    .replace("/../local", "/local"),
            ));
        }
        (done, on_medium(&directory.join("mount")), directory)
    });
    let [(stock, theirs, _), (ours, own, directory)] = done;
    for (stock, ours) in stock.iter().zip(&ours) {
        // Usage is not printed to standard output by us.
        if stock.1 == Some(0) {
            assert_eq!((&ours.0, ours.1), (&stock.0, stock.1));
            assert_eq!(ours.2.lines().last(), stock.2.lines().last(), "{}", stock.0);
        }
        assert_eq!(ours.1, stock.1, "{}", stock.0);
    }
    assert_eq!(own, theirs);
    for repo in [
        ".ostree/repo",
        "ostree/repo",
        "some/dest",
        ".ostree/repos.d/one",
        "at",
    ] {
        assert_sound(&directory.join("mount").join(repo));
    }
}

#[test]
fn copying_again_makes_no_second_link_and_refuses_what_is_not_below_the_mount() {
    let directory = repositories();
    let path = directory.path();
    fs::create_dir(path.join("mount")).unwrap();
    for number in ["1", "2"] {
        run(ostler(path)
            .args(["--repo=local", "create-usb", "--destination-repo=dest", "mount"])
            .args(["org.example.One", &format!("test-{number}")]));
    }
    let links: Vec<_> = fs::read_dir(path.join("mount/.ostree/repos.d"))
        .unwrap()
        .collect();
    assert_eq!(links.len(), 1);
    assert_eq!(
        fs::read_link(path.join("mount/.ostree/repos.d/00-generated")).unwrap(),
        Path::new("../../dest")
    );

    let before = files(path);
    for destination in ["../away", "/tmp/away", "dest/../../away", "."] {
        let said = fail(
            ostler(path)
                .args(["--repo=local", "create-usb", "mount", "org.example.One", "test-1"])
                .arg(format!("--destination-repo={destination}")),
        );
        assert!(said.contains("invalid destination"), "{said}");
    }
    // A ref that is not there: no repository is made.
    let said = fail(ostler(path).args([
        "--repo=local",
        "create-usb",
        "--destination-repo=new",
        "mount",
        "org.example.One",
        "test-3",
    ]));
    assert!(said.contains("(org.example.One, test-3) not found"), "{said}");
    assert_eq!(files(path), before);
}

/// Returns the output with the refs of each result in one order: stock's is that of a hash table.
fn sorted(stdout: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    for block in stdout.split("\n\n") {
        let mut lines: Vec<&str> = block.lines().collect();
        lines.sort_unstable();
        blocks.push(lines.join("\n"));
    }
    blocks
}

#[test]
fn remotes_are_found_as_by_stock() {
    let directory = repositories();
    let path = directory.path();
    let local = StockRepo::open(&path.join("local"));
    let alike = |arguments: &str| {
        let arguments = format!("--repo=local find-remotes {arguments}");
        let stock = ended("ostree", path, &arguments);
        let ours = ended(link(path), path, &arguments);
        assert_eq!(ours.code, stock.code, "{arguments}");
        if stock.code == Some(0) {
            assert_eq!(sorted(&ours.stdout), sorted(&stock.stdout), "{arguments}");
        }
    };
    let one = "org.example.One";
    let several = format!("--finders=config {one} test-1 {one} test-2 {one} test-3");
    alike(&several);
    alike(&format!("--finders=config {one} test-1 {one} nowhere"));
    alike(&format!("--finders=config {one} nowhere"));
    alike("--finders=config org.example.Other test-1");
    alike(&format!("--finders=mount {one} nowhere"));
    alike(&format!("{one} test-1"));
    alike(&format!("--finders=mount,config {one} test-1"));
    alike(&format!("--finders=nonsense {one} test-1"));
    alike(&format!("--finders=config,config {one} test-1"));
    alike(&format!("--finders= {one} test-1"));
    alike(&format!("--mirror {one} test-1"));
    alike("--finders=config nodots test-1");
    alike("");
    // A second remote, with less and older refs: what is older counts for nothing.
    StockRepo::init(&path.join("older"), "archive");
    fs::create_dir(path.join("mount")).unwrap();
    run(ostler(path).args([
        "--repo=local",
        "create-usb",
        "mount",
        one,
        "test-1",
        one,
        "test-2",
    ]));
    let up = StockRepo::open(&path.join("up"));
    up.run(&["commit", "--branch=test-1", path.join("tree").to_str().unwrap()]);
    up.run(&["summary", "-u"]);
    add_remote(&local, "copy", &path.join("mount/.ostree/repo"));
    add_remote(&local, "gone", &path.join("nowhere"));
    alike(&several);
    alike(&format!("--finders=config {one} test-1"));

    let said = fail(ostler(path).args(["--repo=local", "find-remotes", "--finders=lan", one, "test-1"]));
    assert!(said.contains("the network is not looked at"), "{said}");
}

#[test]
fn what_is_found_on_a_medium_is_pulled_where_no_signatures_are_asked_for() {
    let directory = repositories();
    let path = directory.path();
    let one = "org.example.One";
    fs::create_dir(path.join("mount")).unwrap();
    for destination in [".ostree/repo", "elsewhere/repo"] {
        let destination = format!("--destination-repo={destination}");
        run(ostler(path).args(["--repo=local", "create-usb", &destination, "mount", one, "test-1"]));
    }
    // A link that leads away from the medium is none.
    std::os::unix::fs::symlink(path.join("up"), path.join("mount/.ostree/repos.d/99-away")).unwrap();
    let other = StockRepo::init(&path.join("other"), "bare-user-only");
    let find = |extra: &[&str]| {
        let mut find = ostler(path);
        find.args(["--repo=other", "find-remotes", "--finders=mount", "--mount=mount"]);
        find.args(extra).args([one, "test-1", one, "test-2"]);
        find
    };
    // Nobody here knows the collection.
    assert_eq!(run(&mut find(&[])), "No results.\n");
    other.run(&[
        "remote",
        "add",
        "--collection-id=org.example.One",
        "theirs",
        "http://localhost/",
    ]);
    let said = run(&mut find(&[]));
    assert!(
        said.contains("Result 1: ") && !said.contains("Result 2: "),
        "{said}"
    );
    assert!(
        said.contains("OstreeRepoFinderMount") && said.contains("1/2 refs were found."),
        "{said}"
    );
    assert_eq!(run(&mut find(&["--json"])).lines().count(), 2);

    let said = fail(&mut find(&["--pull"]));
    assert!(
        said.contains("GPG verification enabled, but no signatures found")
            && said.contains("Failed to pull some refs"),
        "{said}"
    );
    assert_eq!(other.refs(), Vec::<String>::new());
    other.run(&[
        "config",
        "set",
        "--group=remote \"theirs\"",
        "gpg-verify",
        "false",
    ]);
    let said = run(&mut find(&["--pull"]));
    assert!(said.ends_with("Pulled 1/1 refs successfully.\n"), "{said}");
    assert_eq!(other.refs(), ["theirs:test-1"]);
    assert_sound(other.path());
    let said = run(&mut find(&["--pull", "--mirror"]));
    assert!(said.contains("Pulled 1/1"), "{said}");
    assert!(other.path().join("refs/mirrors/org.example.One/test-1").exists());
    assert_eq!(ended(OSTLER, path, "--repo=other fsck -q").code, Some(0));
}

#[test]
fn damage_on_a_medium_is_not_pulled() {
    let directory = repositories();
    let path = directory.path();
    let one = "org.example.One";
    fs::create_dir(path.join("mount")).unwrap();
    run(ostler(path).args(["--repo=local", "create-usb", "mount", one, "test-1"]));
    let objects = path.join("mount/.ostree/repo/objects");
    for file in files(&objects)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "filez"))
    {
        let bytes = fs::read(objects.join(&file)).unwrap();
        fs::write(objects.join(&file), &bytes[..bytes.len() - 1]).unwrap();
    }
    let other = StockRepo::init(&path.join("other"), "archive");
    add_remote(&other, "theirs", Path::new("/nowhere"));
    let said = fail(ostler(path).args([
        "--repo=other",
        "find-remotes",
        "--finders=mount",
        "--mount=mount",
        "--pull",
        one,
        "test-1",
    ]));
    assert!(said.contains("Failed to pull some refs"), "{said}");
    assert_eq!(other.refs(), Vec::<String>::new());
}
