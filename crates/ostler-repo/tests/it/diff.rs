//! Differences of trees, as stock ostree prints them.

use crate::commit::{Pair, builder, commit};
use ostler_format::{Checksum, RepoMode};
use ostler_repo::{DiffOptions, DiffSide, TreeDiff};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::{self, Tree};
use std::path::Path;

fn printed(diff: &TreeDiff) -> String {
    let lists = [('M', &diff.modified), ('D', &diff.removed), ('A', &diff.added)];
    let lines = lists
        .into_iter()
        .flat_map(|(letter, paths)| paths.iter().map(move |path| format!("{letter}    {path}\n")));
    lines.collect::<Vec<_>>().concat()
}

/// The lines of a `diff`, sorted: of a directory on disk stock lists in the order of the file system.
/// It also leaves the first slash of their paths out.
fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<_> = text.lines().map(|line| line.replace("    /", "    ")).collect();
    lines.sort_unstable();
    lines
}

fn change(tree: &Tree) {
    tree.file("mod", "2", 0o644)
        .file("both/in/new", "3", 0o644)
        .remove("gone")
        .dir("chmod", 0o700)
        .remove("type")
        .file("type", "f", 0o644)
        .remove("type2")
        .file("type2/n", "n", 0o644)
        .file("modeonly", "m", 0o600)
        .file("newd/sub/z", "z", 0o644)
        .symlink("link", "main")
        .xattr("same", "user.q", b"1")
        .xattr("xat", "user.q", b"1");
}

fn original(root: &Path) -> Tree {
    let tree = Tree::at(root);
    tree.dir("both/in", 0o755)
        .file("both/f", "1", 0o644)
        .file("gone/sub/g", "1", 0o644)
        .file("gone/f", "1", 0o644)
        .dir("chmod", 0o755)
        .dir("type", 0o755)
        .dir("xat", 0o755)
        .file("same", "1", 0o644)
        .file("mod", "1", 0o644)
        .file("type2", "t", 0o644)
        .file("modeonly", "m", 0o644)
        .symlink("link", "a");
    tree
}

struct Compared {
    pair: Pair,
    stock: StockRepo,
    first: Checksum,
    second: Checksum,
}

fn fixture() -> Compared {
    let pair = Pair::new("archive", RepoMode::Archive);
    let tree = original(&pair.beside("tree"));
    let first = commit(&pair.ours, "first", &builder("first", &[tree.path()])).checksum;
    change(&tree);
    let second = commit(&pair.ours, "second", &builder("second", &[tree.path()])).checksum;
    let stock = StockRepo::open(pair.ours.path());
    Compared {
        pair,
        stock,
        first,
        second,
    }
}

#[test]
fn commits_differ_as_stock_prints_it() {
    let fixture = fixture();
    let repo = &fixture.pair.ours;
    for (a, b, names) in [
        (fixture.first, fixture.second, ["first", "second"]),
        (fixture.second, fixture.first, ["second", "first"]),
        (fixture.first, fixture.first, ["first", "first"]),
    ] {
        let expected = fixture.stock.run(&["diff", names[0], names[1]]);
        let sides = [DiffSide::Commit(a), DiffSide::Commit(b)];
        let found = repo.diff(&sides[0], &sides[1], &DiffOptions::default()).unwrap();
        assert_eq!(printed(&found), expected, "{names:?}");
    }
}

#[test]
fn a_directory_differs_from_a_commit_as_stock_prints_it() {
    let fixture = fixture();
    let repo = &fixture.pair.ours;
    let tree = fixture.pair.beside("tree");
    let path = tree.to_str().unwrap();
    for (options, ours) in [
        (&[][..], DiffOptions::default()),
        (
            &["--owner-uid=5", "--owner-gid=6"],
            DiffOptions {
                owner_uid: Some(5),
                owner_gid: Some(6),
                ..DiffOptions::default()
            },
        ),
        (
            &["--no-xattrs"],
            DiffOptions {
                no_xattrs: true,
                ..DiffOptions::default()
            },
        ),
    ] {
        for (name, checksum) in [("first", fixture.first), ("second", fixture.second)] {
            let mut arguments = vec!["diff", name, path];
            arguments.extend(options);
            let expected = fixture.stock.run(&arguments);
            let found = repo
                .diff(&DiffSide::Commit(checksum), &DiffSide::Directory(&tree), &ours)
                .unwrap();
            assert_eq!(sorted(&printed(&found)), sorted(&expected), "{name} {options:?}");
        }
    }
}

#[test]
fn random_trees_differ_as_stock_prints_it() {
    for seed in 0..5 {
        let pair = Pair::new("archive", RepoMode::Archive);
        let tree = tree::random(&pair.beside("tree"), seed, 120);
        let first = commit(&pair.ours, "first", &builder("first", &[tree.path()])).checksum;
        tree::mutate(tree.path(), seed, 30);
        let second = commit(&pair.ours, "second", &builder("second", &[tree.path()])).checksum;
        let stock = StockRepo::open(pair.ours.path());
        let expected = stock.run(&["diff", "first", "second"]);
        let sides = [DiffSide::Commit(first), DiffSide::Commit(second)];
        let found = pair
            .ours
            .diff(&sides[0], &sides[1], &DiffOptions::default())
            .unwrap();
        assert_eq!(printed(&found), expected, "{seed}");
    }
}

#[test]
fn shared_objects_are_counted_as_stock_counts_them() {
    let fixture = fixture();
    let stats = fixture
        .pair
        .ours
        .diff_stats(&fixture.first, &fixture.second)
        .unwrap();
    let expected = fixture.stock.run(&["diff", "--stats", "first", "second"]);
    let ours = format!(
        "[A] Object Count: {}\n[B] Object Count: {}\nCommon Object Count: {}\nCommon Object Size: {} bytes\n",
        stats.first_objects, stats.second_objects, stats.common_objects, stats.common_bytes
    );
    assert_eq!(ours, expected);
}
