//! Summaries: stock ostree reads from ours what it reads from its own.

use ostler_format::gvariant::{Value, VarDict};
use ostler_format::{DeltaList, RefName, Summary, SummaryRef};
use ostler_repo::{
    Expected, RefEdit, Repo, SummaryOptions, build_summary, commit_metadata, update_if_configured,
    update_summary,
};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;
use tempfile::TempDir;

/// An archive repository with three refs, one of them an alias, one with a version.
fn repository(config: &str) -> (TempDir, StockRepo) {
    let dir = tempfile::tempdir().unwrap();
    let stock = StockRepo::init(&dir.path().join("repo"), "archive");
    let tree = Tree::at(&dir.path().join("tree"));
    tree.file("a", "a", 0o644);
    stock.commit("os/x86_64/stable", tree.path());
    stock.commit_with("app", tree.path(), &["--add-metadata-string=version=1.2"]);
    symlink("os/x86_64/stable", stock.path().join("refs/heads/été")).unwrap();
    append(&stock.path().join("config"), config);
    (dir, stock)
}

fn append(path: &Path, text: &str) {
    let old = std::fs::read_to_string(path).unwrap();
    std::fs::write(path, old + text).unwrap();
}

fn options(now: u64) -> SummaryOptions {
    SummaryOptions {
        now,
        ..SummaryOptions::default()
    }
}

fn read(stock: &StockRepo) -> Summary {
    Summary::parse(&std::fs::read(stock.path().join("summary")).unwrap()).unwrap()
}

/// What stock prints of the summary, but for the time; the order of keys is that of its hash tables.
fn view(stock: &StockRepo) -> BTreeSet<String> {
    let text = stock.run(&["summary", "--view"]);
    text.lines()
        .filter(|line| !line.starts_with("Last-Modified"))
        .map(str::to_owned)
        .collect()
}

/// The refs of a summary, with their keys in an order that is not that of a hash table.
fn sorted(summary: &Summary) -> Vec<SummaryRef> {
    let sort = |mut entry: SummaryRef| {
        let keys: BTreeMap<_, _> = entry
            .metadata
            .iter()
            .map(|(key, value)| (key.to_owned(), value.clone()))
            .collect();
        entry.metadata = keys.into_iter().collect();
        entry
    };
    summary.refs.iter().cloned().map(sort).collect()
}

#[test]
fn stock_reads_from_ours_what_it_reads_from_its_own() {
    let mirror =
        "collection-id=org.example.Main\n[remote \"up\"]\nurl=http://x\ncollection-id=org.example.Up\n";
    for config in [
        "",
        "tombstone-commits=true\n",
        "no-deltas-in-summary=true\n",
        mirror,
    ] {
        let (_dir, stock) = repository(config);
        let commit = stock.rev_parse("os/x86_64/stable");
        stock.run(&["static-delta", "generate", "--empty", "app"]);
        stock.run(&[
            "static-delta",
            "generate",
            "--inline",
            "--from=os/x86_64/stable",
            "--to=app",
        ]);
        for path in ["refs/mirrors/org.example.Other/os", "refs/remotes/up/os"] {
            let path = stock.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("{commit}\n")).unwrap();
        }
        // With a collection, stock makes a commit of its own for the summary first.
        stock.run(&["summary", "--update"]);
        let (theirs, their_view) = (read(&stock), view(&stock));
        std::fs::remove_file(stock.path().join("summary")).unwrap();

        update_summary(&Repo::open(stock.path()).unwrap(), &options(7)).unwrap();

        let ours = read(&stock);
        assert_eq!(view(&stock), their_view, "{config}");
        assert_eq!(sorted(&ours), sorted(&theirs));
        assert_eq!(ours.collection_map(), theirs.collection_map());
        assert_eq!(ours.last_modified(), Some(7));
        let keys = |summary: &Summary| {
            summary
                .metadata
                .iter()
                .map(|(key, _)| key.to_owned())
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(keys(&ours), keys(&theirs));
    }
}

#[test]
fn delta_indexes_are_those_of_stock() {
    let (_dir, stock) = repository("");
    stock.run(&["static-delta", "generate", "--empty", "app"]);
    stock.run(&["static-delta", "generate", "--from=os/x86_64/stable", "--to=app"]);
    stock.run(&["summary", "--update"]);
    let indexes = || {
        let names = stock.run(&["static-delta", "indexes"]);
        let path = ostler_format::delta_index_path(&names.trim().parse().unwrap());
        let mut list = DeltaList::parse_index(&std::fs::read(stock.path().join(path)).unwrap()).unwrap();
        list.0.sort_unstable();
        list
    };
    let theirs = indexes();
    assert_eq!(theirs.0.len(), 2);
    std::fs::remove_dir_all(stock.path().join("delta-indexes")).unwrap();
    let repo = Repo::open(stock.path()).unwrap();

    update_summary(&repo, &options(7)).unwrap();
    assert_eq!(indexes(), theirs);
    assert_eq!(repo.delta_digests().unwrap(), theirs);

    std::fs::remove_dir_all(stock.path().join("deltas")).unwrap();
    update_summary(&repo, &options(8)).unwrap();
    assert_eq!(
        stock.run(&["static-delta", "indexes"]).trim(),
        "(No static deltas indexes)"
    );
}

#[test]
fn a_summary_at_hand_changes_nothing_but_the_work() {
    let (dir, stock) = repository("");
    let repo = Repo::open(stock.path()).unwrap();
    update_summary(&repo, &options(7)).unwrap();
    Tree::at(&dir.path().join("tree")).file("b", "b", 0o644);
    stock.commit("app", &dir.path().join("tree"));
    let with = build_summary(&repo, &options(8)).unwrap();
    std::fs::remove_file(stock.path().join("summary")).unwrap();
    let without = build_summary(&repo, &options(8)).unwrap();
    assert_eq!(with, without);
}

#[test]
fn a_summary_that_cannot_be_read_is_replaced() {
    let (_dir, stock) = repository("");
    std::fs::write(stock.path().join("summary"), "not a summary").unwrap();
    update_summary(&Repo::open(stock.path()).unwrap(), &options(7)).unwrap();
    assert_eq!(read(&stock).refs.len(), 3);
}

#[test]
fn given_keys_are_added_once_and_unknown_ones_kept_on_request() {
    let (_dir, stock) = repository("");
    let repo = Repo::open(stock.path()).unwrap();
    let text = |text: &str| Value::Str(text.to_owned());
    let metadata = VarDict::from_iter([
        ("xa.title", text("title")),
        (Summary::EXPIRES, Value::U64(9)),
        (Summary::MODE, text("bare")),
    ]);
    update_summary(
        &repo,
        &SummaryOptions {
            metadata,
            ..options(7)
        },
    )
    .unwrap();
    let given = read(&stock).metadata;
    assert_eq!(given.get_str("xa.title"), Some("title"));
    assert_eq!(given.get_u64(Summary::EXPIRES), Some(9));
    assert_eq!(
        given.get_str(Summary::MODE),
        Some("archive-z2"),
        "the repository knows better"
    );

    let keep = |keep_unknown| SummaryOptions {
        keep_unknown,
        ..options(8)
    };
    update_summary(&repo, &keep(true)).unwrap();
    assert_eq!(read(&stock).metadata.get_str("xa.title"), Some("title"));
    assert_eq!(read(&stock).metadata.get(Summary::EXPIRES), None);
    update_summary(&repo, &keep(false)).unwrap();
    assert_eq!(read(&stock).metadata.get("xa.title"), None);
}

#[test]
fn a_ref_without_its_commit_keeps_the_old_summary() {
    let (_dir, stock) = repository("");
    let repo = Repo::open(stock.path()).unwrap();
    update_summary(&repo, &options(7)).unwrap();
    let old = std::fs::read(stock.path().join("summary")).unwrap();
    std::fs::write(stock.path().join("refs/heads/broken"), "0".repeat(64) + "\n").unwrap();

    let error = update_summary(&repo, &options(8)).unwrap_err();

    assert!(
        error.is_not_found() && error.to_string().contains("broken"),
        "{error}"
    );
    assert_eq!(std::fs::read(stock.path().join("summary")).unwrap(), old);
}

#[test]
fn an_update_drops_the_signature_and_is_later_by_a_second() {
    let (_dir, stock) = repository("");
    let repo = Repo::open(stock.path()).unwrap();
    let time = || stock.path().join("summary").metadata().unwrap().mtime();
    update_summary(&repo, &options(7)).unwrap();
    let mut last = time();
    for now in 8..11 {
        std::fs::write(stock.path().join("summary.sig"), "stale").unwrap();
        update_summary(&repo, &options(now)).unwrap();
        assert!(!stock.path().join("summary.sig").exists());
        assert!(time() > last);
        last = time();
    }
    ostler_testkit::oracle::assert_sound(stock.path());
}

#[test]
fn refs_are_followed_by_the_summary_where_the_configuration_says_so() {
    let (_dir, stock) = repository("");
    assert!(!update_if_configured(&Repo::open(stock.path()).unwrap()).unwrap());
    assert!(!stock.path().join("summary").exists());

    append(&stock.path().join("config"), "[core]\nauto-update-summary=true\n");
    let repo = Repo::open(stock.path()).unwrap();
    assert!(update_if_configured(&repo).unwrap());
    assert!(read(&stock).last_modified().unwrap() > 1_700_000_000);
    let names = || {
        read(&stock)
            .refs
            .iter()
            .map(|entry| entry.name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(), ["app", "os/x86_64/stable", "été"]);

    let app = repo.resolve_rev("app").unwrap();
    let name = |text: &str| text.parse::<RefName>().unwrap();
    repo.edit_refs(&[RefEdit::set(name("b"), Expected::Absent, app)])
        .unwrap();
    repo.set_alias(&name("c"), &name("b"), Expected::Absent).unwrap();
    let mut transaction = repo.begin().unwrap();
    transaction.edit_ref(RefEdit::set(name("d"), Expected::Absent, app));
    transaction.commit().unwrap();
    assert_eq!(names(), ["app", "b", "c", "d", "os/x86_64/stable", "été"]);
    assert_eq!(read(&stock).lookup("c").map(|entry| entry.checksum), Some(app));
}

#[test]
fn a_repository_with_a_collection_says_of_itself_what_stock_says() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| {
        let stock = StockRepo::open(&dir.path().join(name));
        stock.run(&["init", "--mode=archive", "--collection-id=org.example.One"]);
        stock
    };
    let (ours, stocks) = (at("ours"), at("stocks"));
    stocks.run(&["summary", "-u", "-m", "xa.title='hello'"]);
    let mut with_title = options(7);
    with_title
        .metadata
        .insert("xa.title", Value::Str("hello".to_owned()));
    let repo = Repo::open(ours.path()).unwrap();

    let first = commit_metadata(&repo, &with_title, 5).unwrap().unwrap();
    update_summary(&repo, &with_title).unwrap();

    let raw = |stock: &StockRepo| {
        let shown = stock.run(&["show", "--raw", "ostree-metadata"]);
        let value = shown.lines().nth(1).unwrap().to_owned();
        let (before, after) = value.split_once("uint64 ").unwrap();
        let (_, after) = after.split_once(',').unwrap();
        // Stock writes the keys in the order of a hash table.
        let mut keys: Vec<&str> = before
            .trim_matches(['(', '{', '}', ',', ' '])
            .split(", '")
            .collect();
        for key in &mut keys {
            *key = key.trim_start_matches('\'');
        }
        keys.sort_unstable();
        format!("{keys:?} {after}")
    };
    assert_eq!(raw(&ours), raw(&stocks));
    assert!(
        ours.run(&["summary", "-v"])
            .contains("* (org.example.One, ostree-metadata)")
    );
    let kept = SummaryOptions {
        now: 8,
        keep_unknown: true,
        ..SummaryOptions::default()
    };
    let again = commit_metadata(&repo, &kept, 6).unwrap().unwrap();
    let metadata = |commit| repo.load_commit(commit).unwrap().metadata;
    assert_eq!(metadata(&again), metadata(&first));
    let dropped = commit_metadata(&repo, &options(9), 9).unwrap().unwrap();
    assert_eq!(repo.load_commit(&dropped).unwrap().parent, Some(again));
    ours.fsck();
}

#[test]
fn a_repository_without_a_collection_has_no_commit_about_itself() {
    let (_dir, stock) = repository("");
    let repo = Repo::open(stock.path()).unwrap();
    assert_eq!(commit_metadata(&repo, &options(7), 7).unwrap(), None);
    assert!(!stock.refs().contains(&"ostree-metadata".to_owned()));
}
