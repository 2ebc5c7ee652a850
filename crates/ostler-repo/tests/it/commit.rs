//! Commits: the ids that stock ostree gives, for the same trees and options.

use ostler_format::gvariant::{Value, VarDict};
use ostler_format::{Checksum, RefName, RepoMode};
use ostler_repo::{
    CommitBuilder, CommitOutcome, Expected, LinkedFiles, RefEdit, Repo, StatOverrides, TreeSource,
    parse_skip_list,
};
use ostler_testkit::oracle::assert_sound;
use ostler_testkit::stock::{COMMIT_TIME, StockRepo};
use ostler_testkit::tree;
use std::fs;
use std::num::NonZero;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const MODES: [(&str, RepoMode); 4] = [
    ("archive", RepoMode::Archive),
    ("bare", RepoMode::Bare),
    ("bare-user", RepoMode::BareUser),
    ("bare-user-only", RepoMode::BareUserOnly),
];

/// Two repositories of one mode: stock's and ours, and trees to commit.
pub(crate) struct Pair {
    directory: TempDir,
    pub(crate) stock: StockRepo,
    pub(crate) ours: Repo,
}

impl Pair {
    pub(crate) fn new(name: &str, mode: RepoMode) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let stock = StockRepo::init(&directory.path().join("theirs"), name);
        let path = directory.path().join("ours");
        Repo::create(&path, mode, None).unwrap();
        // No power is cut here, and syncing takes most of the time.
        for repo in [stock.path(), &path] {
            let config = repo.join("config");
            let text = fs::read_to_string(&config).unwrap();
            fs::write(config, text + "fsync=false\n").unwrap();
        }
        let ours = Repo::open(&path).unwrap();
        Self {
            directory,
            stock,
            ours,
        }
    }

    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.beside(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Commits by stock; the last argument of `options` may be a tree.
    fn theirs(&self, branch: &str, options: &[&str]) -> Checksum {
        let time = format!("--timestamp=@{COMMIT_TIME}");
        let mut arguments = vec!["commit", "--branch", branch, "--subject=test", &time];
        arguments.extend(options);
        self.stock.run(&arguments).trim().parse().unwrap()
    }
}

/// What `commit --branch` of stock makes of the metadata.
pub(crate) fn bound_to(branch: &str) -> VarDict {
    let mut metadata = VarDict::new();
    metadata.insert("ostree.ref-binding", Value::strings([branch]));
    metadata
}

pub(crate) fn builder(branch: &str, sources: &[&Path]) -> CommitBuilder {
    CommitBuilder {
        subject: "test".to_owned(),
        metadata: bound_to(branch),
        sources: sources
            .iter()
            .map(|path| TreeSource::Directory((*path).to_owned()))
            .collect(),
        ..CommitBuilder::new(COMMIT_TIME)
    }
}

pub(crate) fn commit(repo: &Repo, branch: &str, builder: &CommitBuilder) -> CommitOutcome {
    let mut transaction = repo.begin().unwrap();
    let outcome = builder.build(&transaction).unwrap();
    let name = RefName::new(branch).unwrap();
    transaction.edit_ref(RefEdit::set(name, Expected::Any, outcome.checksum));
    transaction.commit().unwrap();
    outcome
}

fn refusal(repo: &Repo, builder: &CommitBuilder) -> String {
    let transaction = repo.begin().unwrap();
    builder.build(&transaction).unwrap_err().to_string()
}

#[test]
fn every_mode_and_tree_gets_the_id_of_stock() {
    for (name, mode) in MODES {
        let pair = Pair::new(name, mode);
        let tree = tree::assorted(&pair.beside("tree"));
        for threads in [1, 4] {
            let expected = pair.theirs("main", &["--parent=none", tree.path().to_str().unwrap()]);
            let builder = CommitBuilder {
                threads: NonZero::new(threads),
                ..builder("main", &[tree.path()])
            };
            assert_eq!(commit(&pair.ours, "main", &builder).checksum, expected, "{name}");
        }
        assert_sound(pair.ours.path());
    }
}

#[test]
fn counters_are_those_of_stock() {
    for (name, mode) in MODES {
        let pair = Pair::new(name, mode);
        let tree = tree::assorted(&pair.beside("tree"));
        let printed = pair.stock.run(&[
            "commit",
            "--branch=main",
            "--table-output",
            tree.path().to_str().unwrap(),
        ]);
        let outcome = commit(&pair.ours, "main", &builder("main", &[tree.path()]));
        let stats = outcome.stats;
        let ours = format!(
            "Metadata Total: {}\nMetadata Written: {}\nContent Total: {}\nContent Written: {}\n\
             Content Cache Hits: {}\nContent Bytes Written: {}\n",
            stats.metadata_total,
            stats.metadata_written,
            stats.content_total,
            stats.content_written,
            stats.content_cache_hits,
            stats.content_written_bytes
        );
        assert_eq!(printed.split_once('\n').unwrap().1, ours, "{name}");

        let again = commit(&pair.ours, "main", &builder("main", &[tree.path()]));
        assert_eq!(again.checksum, outcome.checksum);
        assert_eq!(
            (again.stats.content_written, again.stats.metadata_written),
            (0, 0)
        );
    }
}

#[test]
fn every_rule_gets_the_id_of_stock() {
    type Rule<'a> = (&'a [&'a str], fn(&mut CommitBuilder));
    let rules: [Rule<'_>; 8] = [
        (&["--owner-uid=5", "--owner-gid=6"], |builder| {
            builder.rules.owner_uid = Some(5);
            builder.rules.owner_gid = Some(6);
        }),
        (&["--canonical-permissions"], |builder| {
            builder.rules.canonical_permissions = true;
        }),
        (&["--no-xattrs"], |builder| builder.rules.no_xattrs = true),
        (&["--mode-ro-executables"], |builder| {
            builder.rules.read_only_executables = true;
        }),
        (&["--statoverride=overrides"], |builder| {
            builder.rules.stat_overrides = StatOverrides::parse(OVERRIDES).unwrap();
        }),
        (
            &["--statoverride=overrides", "--canonical-permissions"],
            |builder| {
                builder.rules.stat_overrides = StatOverrides::parse(OVERRIDES).unwrap();
                builder.rules.canonical_permissions = true;
            },
        ),
        (
            &["--statoverride=overrides", "--mode-ro-executables"],
            |builder| {
                builder.rules.stat_overrides = StatOverrides::parse(OVERRIDES).unwrap();
                builder.rules.read_only_executables = true;
            },
        ),
        (&["--skip-list=skips"], |builder| {
            builder.rules.skip = parse_skip_list(SKIPS);
        }),
    ];
    for (name, mode) in MODES {
        let pair = Pair::new(name, mode);
        let tree = tree::assorted(&pair.beside("tree"));
        pair.write("overrides", OVERRIDES);
        pair.write("skips", SKIPS);
        for (options, change) in &rules {
            let beside = pair.beside("").display().to_string();
            let mut arguments: Vec<String> = vec!["--parent=none".to_owned()];
            arguments.extend(options.iter().map(|option| {
                option
                    .replace("=overrides", &format!("={beside}overrides"))
                    .replace("=skips", &format!("={beside}skips"))
            }));
            arguments.push(tree.path().display().to_string());
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let expected = pair.theirs("main", &arguments);
            let mut builder = builder("main", &[tree.path()]);
            change(&mut builder);
            assert_eq!(
                commit(&pair.ours, "main", &builder).checksum,
                expected,
                "{name} {options:?}"
            );
        }
        assert_sound(pair.ours.path());
    }
}

const OVERRIDES: &str = "2048 /usr/bin/hello\n=420 /usr/bin/greet\n1024 /usr\n=1005 /modes/sticky\n512 /\n";
const SKIPS: &str = "/modes\n/etc/motd\n/names/größe\n";

#[test]
fn overlays_get_the_id_of_stock() {
    for (name, mode) in MODES {
        let rules: &[bool] = if mode == RepoMode::BareUser {
            &[false, true]
        } else {
            &[false]
        };
        for &with_rules in rules {
            let pair = Pair::new(name, mode);
            let below = tree::assorted(&pair.beside("below"));
            let above = tree::Tree::at(&pair.beside("above"));
            above
                .file("usr/bin/hello", "another\n", 0o700)
                .dir("usr/bin", 0o750)
                .file("new/file", "new\n", 0o644);
            let more = tree::plain(&pair.beside("more"));
            let base = pair.theirs("base", &[below.path().to_str().unwrap()]);
            let base_of_ours = commit(&pair.ours, "base", &builder("base", &[below.path()]));
            assert_eq!(base_of_ours.checksum, base);
            let lower = pair.theirs("lower", &[more.path().to_str().unwrap()]);
            commit(&pair.ours, "lower", &builder("lower", &[more.path()]));

            let dir = format!("--tree=dir={}", above.path().display());
            let mut options = vec!["--base=base", "--tree=ref=lower", &dir, "--tree=ref=base"];
            let mut builder = builder("main", &[]);
            builder.base = Some(base);
            builder.sources = vec![
                TreeSource::Commit(lower),
                TreeSource::Directory(above.path().to_owned()),
                TreeSource::Commit(base),
            ];
            if with_rules {
                options.push("--owner-uid=12");
                builder.rules.owner_uid = Some(12);
            }
            let expected = pair.theirs("main", &options);
            assert_eq!(
                commit(&pair.ours, "main", &builder).checksum,
                expected,
                "{name} {with_rules}"
            );
            let (first, last) = (options.remove(1), options.remove(1));
            let expected = pair.theirs("other", &["--base=base", first, last]);
            let mut two = super::commit::builder("other", &[]);
            two.base = Some(base);
            two.sources = builder.sources.iter().take(2).cloned().collect();
            assert_eq!(commit(&pair.ours, "other", &two).checksum, expected, "{name}");
            assert_sound(pair.ours.path());
        }
    }
}

#[test]
fn files_and_directories_do_not_take_each_others_place() {
    let pair = Pair::new("archive", RepoMode::Archive);
    let one = tree::Tree::at(&pair.beside("one"));
    one.file("a", "file", 0o644).dir("b", 0o755);
    let other = tree::Tree::at(&pair.beside("other"));
    other.dir("a", 0o755);
    let third = tree::Tree::at(&pair.beside("third"));
    third.file("b", "file", 0o644);

    let file_first = refusal(&pair.ours, &builder("main", &[one.path(), other.path()]));
    let dir_first = refusal(&pair.ours, &builder("main", &[one.path(), third.path()]));

    assert_eq!(file_first, "Can't replace file with directory: a");
    assert_eq!(dir_first, "Can't replace directory with file: b");
}

#[test]
fn what_cannot_be_committed_is_refused_in_the_words_of_stock() {
    let pair = Pair::new("archive", RepoMode::Archive);
    let tree = tree::plain(&pair.beside("tree"));
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(
        rustix::fs::CWD,
        tree.path().join("etc/pipe"),
        rustix::fs::FileType::Fifo,
        mode,
        0,
    )
    .unwrap();
    let nowhere = pair.beside("nowhere");

    let special = refusal(&pair.ours, &builder("main", &[tree.path()]));
    let missing = refusal(&pair.ours, &builder("main", &[&nowhere]));
    let stock_special = pair
        .stock
        .fail(&["commit", "--branch=main", tree.path().to_str().unwrap()]);
    let stock_missing = pair
        .stock
        .fail(&["commit", "--branch=main", nowhere.to_str().unwrap()]);

    assert_eq!(format!("error: {special}"), stock_special.trim());
    assert_eq!(format!("error: {missing}"), stock_missing.trim());
    assert!(
        fs::read_dir(pair.ours.path().join("refs/heads"))
            .unwrap()
            .next()
            .is_none()
    );
}

#[test]
fn names_that_are_not_text_are_refused() {
    let pair = Pair::new("archive", RepoMode::Archive);
    let tree = tree::plain(&pair.beside("tree"));
    fs::write(tree.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9")), "").unwrap();

    let refused = refusal(&pair.ours, &builder("main", &[tree.path()]));

    assert!(
        refused.contains("not UTF-8") && refused.contains("caf\\xe9"),
        "{refused}"
    );
}

#[test]
fn a_failure_among_many_files_ends_the_commit() {
    let pair = Pair::new("archive", RepoMode::Archive);
    let tree = tree::random(&pair.beside("tree"), 1, 3000);
    let target = std::ffi::OsStr::from_bytes(b"caf\xe9");
    std::os::unix::fs::symlink(target, tree.path().join("bad")).unwrap();
    for threads in [1, 3] {
        let builder = CommitBuilder {
            threads: NonZero::new(threads),
            ..builder("main", &[tree.path()])
        };
        let refused = refusal(&pair.ours, &builder);
        assert!(refused.contains("bad is not UTF-8"), "{refused}");
    }
}

#[test]
fn rules_for_paths_that_are_not_there_are_refused() {
    let pair = Pair::new("archive", RepoMode::Archive);
    let tree = tree::plain(&pair.beside("tree"));
    let mut builder = builder("main", &[tree.path()]);
    builder.rules.stat_overrides = StatOverrides::parse("1 /etc/motd\n2 /nope\n").unwrap();
    assert_eq!(
        refusal(&pair.ours, &builder),
        "Unmatched statoverride paths: /nope"
    );
    builder.rules.stat_overrides = StatOverrides::default();
    builder.rules.skip = parse_skip_list("/etc\n/nope\n");
    assert_eq!(refusal(&pair.ours, &builder), "Unmatched skip-list paths: /nope");
    builder.rules.skip = parse_skip_list("/\n");
    assert_eq!(refusal(&pair.ours, &builder), "Can't commit an empty tree");
}

#[test]
fn hard_links_into_the_repository_are_recognised() {
    for (name, mode, checkout) in [
        ("bare", RepoMode::Bare, "-H"),
        ("bare-user", RepoMode::BareUser, "-UH"),
        ("bare-user-only", RepoMode::BareUserOnly, "-UH"),
    ] {
        let pair = Pair::new(name, mode);
        let tree = tree::assorted(&pair.beside("tree"));
        commit(&pair.ours, "main", &builder("main", &[tree.path()]));
        // Both work on our repository: inode numbers are those of one.
        let stock = StockRepo::open(pair.ours.path());
        let linked = pair.beside("linked");
        stock.run(&["checkout", checkout, "main", linked.to_str().unwrap()]);
        for (options, uid, how) in [
            (&["--link-checkout-speedup"][..], None, LinkedFiles::Reuse),
            (
                &["--link-checkout-speedup", "--owner-uid=9"],
                Some(9),
                LinkedFiles::Reuse,
            ),
            (
                &["--link-checkout-speedup", "--owner-uid=9", "-I"],
                Some(9),
                LinkedFiles::ReuseAlways,
            ),
        ] {
            let time = format!("--timestamp=@{COMMIT_TIME}");
            let mut arguments = vec![
                "commit",
                "--branch=other",
                "--parent=none",
                "--subject=test",
                &time,
            ];
            arguments.extend(options);
            arguments.push(linked.to_str().unwrap());
            let expected: Checksum = stock.run(&arguments).trim().parse().unwrap();
            let mut builder = builder("other", &[&linked]);
            builder.linked_files = how;
            builder.rules.owner_uid = uid;
            let outcome = commit(&pair.ours, "other", &builder);
            assert_eq!(outcome.checksum, expected, "{name} {options:?}");
            let hits = outcome.stats.content_cache_hits;
            let keeps = uid.is_none() || how == LinkedFiles::ReuseAlways || mode == RepoMode::BareUserOnly;
            assert_eq!(hits > 10, keeps, "{name} {options:?}: {hits} hits");
        }
        assert_sound(pair.ours.path());
    }
}

#[test]
fn an_unchanged_tree_can_be_skipped() {
    let pair = Pair::new("archive", RepoMode::Archive);
    let tree = tree::plain(&pair.beside("tree"));
    let first = commit(&pair.ours, "main", &builder("main", &[tree.path()]));
    let mut again = builder("main", &[tree.path()]);
    again.parent = Some(first.checksum);
    again.skip_if_unchanged = true;

    let skipped = commit(&pair.ours, "main", &again);
    tree.dir("", 0o711);
    let other_root = commit(&pair.ours, "main", &again);

    assert_eq!((skipped.checksum, skipped.is_new), (first.checksum, false));
    assert!(other_root.is_new && other_root.checksum != first.checksum);
}

#[test]
fn parents_messages_and_metadata_are_in_the_id() {
    let pair = Pair::new("archive", RepoMode::Archive);
    let tree = tree::plain(&pair.beside("tree"));
    let path = tree.path().to_str().unwrap();
    let first = pair.theirs("main", &[path]);
    commit(&pair.ours, "main", &builder("main", &[tree.path()]));
    let options = [
        "--body=some\nlines",
        "--add-metadata-string=version=5",
        "--add-metadata=n=uint32 7",
        "--bind-ref=also",
        path,
    ];
    let second = pair.theirs("main", &options);

    let mut builder = builder("main", &[tree.path()]);
    builder.parent = Some(first);
    builder.body = "some\nlines".to_owned();
    builder.metadata = VarDict::new();
    builder.metadata.insert("version", Value::Str("5".to_owned()));
    builder.metadata.insert("n", Value::U32(7));
    builder
        .metadata
        .insert("ostree.ref-binding", Value::strings(["also", "main"]));

    assert_eq!(commit(&pair.ours, "main", &builder).checksum, second);
}

#[test]
fn deep_trees_are_committed_or_refused_but_never_overflow() {
    let pair = Pair::new("archive", RepoMode::Archive);
    let deep = pair.beside("deep");
    fs::create_dir_all(deep.join("d/".repeat(300))).unwrap();
    let expected = pair.theirs("main", &[deep.to_str().unwrap()]);
    assert_eq!(
        commit(&pair.ours, "main", &builder("main", &[&deep])).checksum,
        expected
    );
}
