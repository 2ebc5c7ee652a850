//! Checking: ours and stock's find the same damage.

use crate::loose;
use ostler_format::{Checksum, ObjectName, ObjectType};
use ostler_repo::fsck::{Damage, FsckFinding, FsckOptions, FsckReport, FsckReporter, Silent, fsck};
use ostler_repo::{Partial, Repo};
use ostler_testkit::damage::{delete, flip, replace, truncate};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What is done to the file of an object.
type Damaging = fn(&Path);

const ALL: FsckOptions = FsckOptions {
    all: true,
    delete: false,
    add_tombstones: false,
    verify_bindings: false,
    verify_back_refs: false,
    quick: false,
    threads: 2,
};

fn repository(mode: &str) -> (TempDir, StockRepo) {
    let dir = tempfile::tempdir().unwrap();
    let stock = StockRepo::init(&dir.path().join("repo"), mode);
    let tree = Tree::at(&dir.path().join("tree"));
    tree.dir("sub", 0o755)
        .dir("sub/deep", 0o700)
        .file("a", "content of a", 0o644)
        .symlink("l", "a");
    // Larger than any buffer that files are read through, and not to be compressed well.
    let noise: Vec<u8> = (0..700_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0])
        .collect();
    tree.file("sub/b", "content of b", 0o600)
        .file("sub/deep/large", noise, 0o755)
        .file("empty", "", 0o644);
    stock.commit("main", tree.path());
    (dir, stock)
}

/// Notes how far a check came.
#[derive(Default)]
struct Reached(Cell<(u64, u64)>);

impl FsckReporter for Reached {
    fn progress(&self, done: u64, total: u64) {
        self.0.set((done, total));
    }
}

#[test]
fn a_check_ends_at_the_first_corrupt_object_unless_all_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let stock = StockRepo::init(&dir.path().join("repo"), "archive");
    let tree = Tree::at(&dir.path().join("tree"));
    for number in 0..500 {
        tree.file(&format!("file{number}"), format!("{number}"), 0o644);
    }
    stock.commit("main", tree.path());
    // Content is read in the order of its checksums.
    let first = objects(&stock, "filez").into_iter().min().unwrap();
    truncate(&first);
    let repo = Repo::open(stock.path()).unwrap();
    let reached = |options: &FsckOptions| {
        let reached = Reached::default();
        let report = fsck(&repo, options, &reached).unwrap();
        assert_eq!(damaged(&report), BTreeSet::from([name_of(&first)]));
        reached.0.get()
    };
    let (done, total) = reached(&ALL);
    assert_eq!(done, total);
    // By one thread: others go on while the one that finds it has not said so.
    let (done, total) = reached(&FsckOptions {
        threads: 1,
        ..FsckOptions::default()
    });
    assert!(done < total / 2, "{done} of {total}");
}

fn check(stock: &StockRepo, options: &FsckOptions) -> FsckReport {
    fsck(&Repo::open(stock.path()).unwrap(), options, &Silent).unwrap()
}

fn objects(stock: &StockRepo, suffix: &str) -> Vec<PathBuf> {
    loose::all(stock.path(), suffix)
}

fn name_of(path: &Path) -> ObjectName {
    let part = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    ObjectName::from_loose(&part(path.parent().unwrap()), &part(path)).unwrap()
}

/// The damaged objects of a report.
fn damaged(report: &FsckReport) -> BTreeSet<ObjectName> {
    report
        .findings
        .iter()
        .filter_map(|finding| match finding {
            FsckFinding::Object { object, .. } => Some(*object),
            _ => None,
        })
        .collect()
}

#[test]
fn a_sound_repository_has_no_findings() {
    for mode in ["archive", "bare", "bare-user", "bare-user-only"] {
        let (_dir, stock) = repository(mode);
        for threads in [1, 3] {
            let report = check(&stock, &FsckOptions { threads, ..ALL });
            assert_eq!(report.findings, [], "{mode}");
            // A commit, three trees, two dirmetas (one with canonical permissions), five files.
            assert!(
                report.is_sound() && report.commits == 1 && report.objects >= 10,
                "{mode} {report:?}"
            );
        }
    }
}

#[test]
fn ours_and_stocks_find_the_same_damage() {
    let damages: [(&str, Damaging); 3] = [("delete", delete), ("truncate", truncate), ("flip", flip)];
    for (mode, file) in [("archive", "filez"), ("bare", "file"), ("bare-user", "file")] {
        let (dir, sound) = repository(mode);
        for kind in ["commit", "dirtree", "dirmeta", file] {
            for path in objects(&sound, kind) {
                let path = path.strip_prefix(sound.path()).unwrap();
                for (what, damage) in damages {
                    let copy = StockRepo::open(&dir.path().join("copy"));
                    run(
                        "cp",
                        &[
                            "-a",
                            sound.path().to_str().unwrap(),
                            copy.path().to_str().unwrap(),
                        ],
                    );
                    compare(&copy, &copy.path().join(path), what, damage);
                    std::fs::remove_dir_all(copy.path()).unwrap();
                }
            }
        }
    }
}

fn run(program: &str, arguments: &[&str]) {
    assert!(
        std::process::Command::new(program)
            .args(arguments)
            .status()
            .unwrap()
            .success()
    );
}

/// Damages one object and compares the verdicts.
fn compare(stock: &StockRepo, path: &Path, what: &str, damage: Damaging) {
    let stat = path.symlink_metadata().unwrap();
    if what != "delete" && (stat.is_symlink() || stat.len() == 0) {
        return;
    }
    damage(path);
    let name = name_of(path);
    let context = format!("{what} {name}");

    let report = check(stock, &ALL);
    let mine: BTreeSet<Checksum> = report.partial_by_fsck.clone();
    let theirs = stock.attempt(&["fsck", "-a"]);

    let text = String::from_utf8_lossy(&theirs.stderr).into_owned();
    if theirs.status.success() {
        // Stock does not see that a symbolic link of bare-user lost its NUL.
        assert_eq!(damaged(&report), BTreeSet::new(), "{context}: {text}");
        return;
    }
    assert!(!report.is_sound(), "{context}");
    assert_eq!(damaged(&report), BTreeSet::from([name]), "{context}");
    // Stock ends at a missing dirtree, and leaves the commit without a mark.
    let marked = what == "delete" && name.kind != ObjectType::Commit;
    assert_eq!(mine.len(), usize::from(marked), "{context}");
}

#[test]
fn a_finding_says_which_commits_need_the_object_and_where_it_is() {
    let (dir, stock) = repository("archive");
    let tree = Tree::at(&dir.path().join("tree"));
    tree.file("other", "another file", 0o644);
    let second = stock.commit("main", tree.path());
    let first = stock.rev_parse("main^");
    let hex = stock.run(&["ls", "--checksum", "main", "/sub/b"]);
    let checksum = hex.split_whitespace().nth(4).unwrap();
    let object = ObjectName::new(checksum.parse().unwrap(), ObjectType::File);
    delete(
        &stock
            .path()
            .join("objects")
            .join(object.loose_path(ostler_format::RepoMode::Archive)),
    );

    let report = check(&stock, &ALL);

    let commits = BTreeSet::from([first.parse().unwrap(), second.parse().unwrap()]);
    let [finding] = report.findings.as_slice() else {
        panic!("{:?}", report.findings)
    };
    let expected = FsckFinding::Object {
        object,
        damage: Damage::Missing,
        commits: commits.clone(),
        refs: BTreeSet::from(["main".to_owned()]),
        path: Some("/sub/b".to_owned()),
        places: BTreeSet::from(["/sub/b".to_owned()]),
    };
    assert_eq!(*finding, expected);
    assert_eq!(report.partial_by_fsck, commits);
    let list = commits
        .iter()
        .map(Checksum::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    assert_eq!(
        finding.to_string(),
        format!("Object missing in commits {list}: {object} (/sub/b)")
    );
    assert_eq!(
        finding.in_stock_words(),
        format!("Object missing in commits {list}: {object}")
    );
    let theirs = stock.attempt(&["fsck"]);
    assert!(
        String::from_utf8_lossy(&theirs.stderr).contains("2 partial commits from fsck-detected corruption")
    );
}

#[test]
fn an_earlier_finding_is_remembered_until_it_is_healed() {
    let (_dir, stock) = repository("archive");
    let path = objects(&stock, "dirmeta").remove(0);
    let bytes = std::fs::read(&path).unwrap();
    delete(&path);
    assert_eq!(check(&stock, &ALL).findings.len(), 1);
    let again = check(&stock, &ALL);
    assert_eq!(
        (again.findings.len(), again.commits, again.partial.len()),
        (0, 0, 1)
    );
    assert!(!again.is_sound());

    std::fs::write(&path, bytes).unwrap();
    let repo = Repo::open(stock.path()).unwrap();
    for commit in again.partial {
        assert!(repo.clear_partial(&commit).unwrap());
    }
    assert!(check(&stock, &ALL).is_sound());
}

#[test]
fn only_all_goes_on_after_corruption() {
    let (_dir, stock) = repository("archive");
    for path in objects(&stock, "dirmeta") {
        flip(&path);
    }
    assert_eq!(check(&stock, &ALL).findings.len(), 2);
    let first = check(&stock, &FsckOptions { all: false, ..ALL });
    assert_eq!(first.findings.len(), 1);
}

#[test]
fn delete_removes_what_is_corrupt_and_marks_its_commits() {
    let (_dir, stock) = repository("archive");
    let paths = objects(&stock, "filez");
    flip(&paths[0]);
    let commit = stock.rev_parse("main").parse().unwrap();
    assert_eq!(
        check(&stock, &ALL).partial,
        BTreeSet::new(),
        "corruption alone marks nothing"
    );

    let report = check(&stock, &FsckOptions { delete: true, ..ALL });

    assert_eq!(damaged(&report), BTreeSet::from([name_of(&paths[0])]));
    assert!(!paths[0].exists() && paths[1..].iter().all(|path| path.exists()));
    assert_eq!(
        Repo::open(stock.path()).unwrap().is_partial(&commit).unwrap(),
        Some(Partial::Damaged)
    );
}

#[test]
fn delete_goes_on_after_the_first_corrupt_object() {
    let (_dir, stock) = repository("archive");
    let paths = objects(&stock, "filez");
    for path in &paths[..2] {
        flip(path);
    }
    let options = FsckOptions {
        all: false,
        delete: true,
        ..ALL
    };

    let report = check(&stock, &options);

    assert_eq!(damaged(&report).len(), 2);
    assert!(paths[..2].iter().all(|path| !path.exists()));
}

#[test]
fn tombstones_are_for_missing_parents_and_their_children_stay() {
    let (dir, stock) = repository("archive");
    let parent = stock.rev_parse("main");
    let child = stock.commit("main", &dir.path().join("tree"));
    delete(&loose::path_of(stock.path(), &parent, ObjectType::Commit));
    let options = FsckOptions {
        add_tombstones: true,
        ..ALL
    };

    let report = check(&stock, &options);

    assert!(report.is_sound());
    assert_eq!(report.tombstones, [parent.parse().unwrap()]);
    let repo = Repo::open(stock.path()).unwrap();
    assert!(repo.has_tombstone(&parent.parse().unwrap()).unwrap());
    assert!(repo.config().tombstone_commits());
    assert_eq!(stock.rev_parse("main"), child);
    assert_eq!(check(&stock, &options).tombstones, []);
    stock.fsck();
}

#[test]
fn bindings_are_checked_as_stock_checks_them() {
    let (_dir, stock) = repository("archive");
    let main = std::fs::read(stock.path().join("refs/heads/main")).unwrap();
    let config = std::fs::read_to_string(stock.path().join("config")).unwrap();
    let heads = |names: &[&str]| {
        std::fs::remove_dir_all(stock.path().join("refs/heads")).unwrap();
        std::fs::create_dir(stock.path().join("refs/heads")).unwrap();
        for name in names {
            std::fs::write(stock.path().join("refs/heads").join(name), &main).unwrap();
        }
    };
    for names in [&["main"][..], &["main", "other"], &["other"], &[]] {
        heads(names);
        for collection in ["", "collection-id=org.example.Main\n"] {
            std::fs::write(stock.path().join("config"), config.clone() + collection).unwrap();
            for verify_back_refs in [false, true] {
                let options = FsckOptions {
                    all: false,
                    verify_bindings: true,
                    verify_back_refs,
                    ..ALL
                };
                let report = check(&stock, &options);
                // For stock the second does not imply the first, whatever its manual says.
                let back_refs = verify_back_refs.then_some("--verify-back-refs");
                let arguments = ["fsck", "-q", "--verify-bindings"].into_iter().chain(back_refs);
                let theirs = stock.attempt(&arguments.collect::<Vec<_>>());
                let text = String::from_utf8_lossy(&theirs.stderr).into_owned();
                let context = format!("{names:?} {collection} {verify_back_refs}: {text}");
                assert_eq!(report.is_sound(), theirs.status.success(), "{context}");
                for finding in &report.findings {
                    assert!(text.contains(&finding.to_string()), "{context} {finding}");
                }
            }
        }
    }
}

#[test]
fn a_ref_to_nothing_and_a_ref_of_nonsense_are_found() {
    let (_dir, stock) = repository("archive");
    std::fs::write(stock.path().join("refs/heads/lost"), "0".repeat(64) + "\n").unwrap();
    let report = check(&stock, &ALL);
    let text: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    let zeros = "0".repeat(64);
    assert_eq!(
        text,
        [
            format!("Object missing: {zeros}.commit"),
            format!("Loading commit for ref lost: No such metadata object {zeros}.commit"),
        ]
    );

    std::fs::write(stock.path().join("refs/heads/lost"), "nonsense").unwrap();
    let report = check(&stock, &ALL);
    assert!(
        matches!(report.findings.as_slice(), [FsckFinding::Ref { .. }]),
        "{:?}",
        report.findings
    );
}

#[test]
fn trees_nested_beyond_any_stack_are_checked() {
    let (_dir, stock) = repository("archive");
    stock.run(&["config", "set", "core.fsync", "false"]);
    let repo = Repo::open(stock.path()).unwrap();
    let mut commit = repo
        .load_commit(&stock.rev_parse("main").parse().unwrap())
        .unwrap();
    let transaction = repo.begin().unwrap();
    for _ in 0..3_000 {
        let dir = ostler_format::TreeDir {
            name: "d".into(),
            tree: commit.root_tree,
            meta: commit.root_meta,
        };
        let tree = ostler_format::DirTree::new(vec![], vec![dir]).unwrap();
        commit.root_tree = transaction
            .write_metadata(ObjectType::DirTree, &tree.to_bytes())
            .unwrap();
    }
    transaction
        .write_metadata(ObjectType::Commit, &commit.to_bytes())
        .unwrap();
    transaction.commit().unwrap();
    delete(&objects(&stock, "filez").remove(0));

    // As little stack as a recursion over that depth would soon use up.
    let small = std::thread::Builder::new().stack_size(256 << 10);
    let report = std::thread::scope(|scope| {
        let thread = small.spawn_scoped(scope, || check(&stock, &ALL)).unwrap();
        thread.join().unwrap()
    });

    assert_eq!((report.findings.len(), report.partial.len()), (1, 2));
}

#[test]
fn a_quick_check_reads_content_only_where_its_size_is_not_the_recorded_one() {
    const QUICK: FsckOptions = FsckOptions { quick: true, ..ALL };
    let (_dir, stock) = repository("archive");
    let repo = Repo::open(stock.path()).unwrap();
    let commit = stock.rev_parse("main").parse().unwrap();
    let largest = |kind| {
        let all = objects(&stock, kind).into_iter();
        all.max_by_key(|path| std::fs::metadata(path).unwrap().len())
            .unwrap()
    };
    let content = largest("filez");
    let bytes = std::fs::read(&content).unwrap();
    let list = repo.walk_list(&commit).unwrap();
    // Cut behind its header: without a record only its bytes could tell.
    truncate(&content);
    assert_eq!(check(&stock, &QUICK).findings, []);
    repo.record_list(&commit, &list, 1).unwrap();
    assert_eq!(
        damaged(&check(&stock, &QUICK)),
        BTreeSet::from([name_of(&content)])
    );
    // Of the same size it is not read; all but content is.
    replace(&content, &bytes);
    flip(&content);
    assert_eq!(check(&stock, &QUICK).findings, []);
    assert_eq!(damaged(&check(&stock, &ALL)), BTreeSet::from([name_of(&content)]));
    let tree = largest("dirtree");
    flip(&tree);
    assert!(damaged(&check(&stock, &QUICK)).contains(&name_of(&tree)));
    delete(&content);
    replace(&tree, &std::fs::read(&tree).unwrap());
    assert!(!check(&stock, &QUICK).is_sound());
}

#[test]
fn a_quick_check_reads_content_on_whose_size_records_disagree() {
    const QUICK: FsckOptions = FsckOptions { quick: true, ..ALL };
    let (_dir, stock) = repository("archive");
    stock.run(&["commit", "--tree=ref=main", "--branch=again"]);
    let repo = Repo::open(stock.path()).unwrap();
    let record = |branch: &str| {
        let commit = stock.rev_parse(branch).parse().unwrap();
        let list = repo.walk_list(&commit).unwrap();
        repo.record_list(&commit, &list, 2).unwrap();
    };
    let content = objects(&stock, "filez").into_iter();
    let content = content.max_by_key(|path| std::fs::metadata(path).unwrap().len());
    let content = content.unwrap();
    record("main");
    truncate(&content);
    record("again");
    assert_eq!(
        damaged(&check(&stock, &QUICK)),
        BTreeSet::from([name_of(&content)])
    );
}

#[test]
fn another_compression_of_the_same_content_is_no_damage() {
    let (_dir, stock) = repository("archive");
    let repo = Repo::open(stock.path()).unwrap();
    let commit = stock.rev_parse("main").parse().unwrap();
    let list = repo.walk_list(&commit).unwrap();
    repo.record_list(&commit, &list, 1).unwrap();
    // The same files, by our hand: compressed to other sizes.
    let (_other, theirs) = repository("bare-user");
    let content = objects(&stock, "filez");
    for path in &content {
        delete(path);
    }
    let source = Repo::open(theirs.path()).unwrap();
    let transaction = repo.begin().unwrap();
    for path in &content {
        let mut reader = source.open_content(&name_of(path).checksum).unwrap();
        let (header, size) = (reader.header().clone(), reader.size());
        transaction
            .write_content(&header, size, &mut reader, None)
            .unwrap();
    }
    transaction.commit().unwrap();
    let sizes = list.entries().filter(|listed| {
        listed.size.map(std::num::NonZero::get) != Some(repo.object_size(&listed.name).unwrap())
    });
    assert!(sizes.count() > 0, "our compression makes other sizes");
    let quick = FsckOptions { quick: true, ..ALL };
    assert_eq!(check(&stock, &quick).findings, []);
}
