//! Copying between repositories on one machine.

use crate::loose;
use ostler_format::{ObjectType, RemoteName, RepoMode};
use ostler_repo::{Partial, PullLocalOptions, PullLocalStats, PullTarget, Repo, RepoError, pull_local};
use ostler_testkit::oracle::{assert_refs_complete, assert_same_commit, assert_sound};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use tempfile::TempDir;

const MODES: [RepoMode; 4] = [
    RepoMode::Archive,
    RepoMode::Bare,
    RepoMode::BareUser,
    RepoMode::BareUserOnly,
];

/// A source with two commits on `main`, the first of which is also `old`.
struct Source {
    dir: TempDir,
    stock: StockRepo,
    repo: Repo,
}

impl Source {
    fn new(mode: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let stock = StockRepo::init(&dir.path().join("source"), mode);
        let tree = Tree::at(&dir.path().join("tree"));
        // What bare-user-only can hold, so that every pair of modes can be tried.
        tree.dir("sub", 0o755).dir("same", 0o755).dir("same/deep", 0o755);
        tree.file("a", "content of a", 0o644)
            .file("sub/b", vec![b'b'; 3_000_000], 0o755);
        tree.file("same/c", "c", 0o644)
            .file("same/deep/d", "d", 0o644)
            .symlink("l", "sub/b");
        stock.commit_with("main", tree.path(), &["--canonical-permissions", "--no-xattrs"]);
        tree.file("sub/new", "new", 0o644)
            .file("a", "changed", 0o644)
            .dir("more", 0o755);
        stock.commit_with("main", tree.path(), &["--canonical-permissions", "--no-xattrs"]);
        let repo = Repo::open(stock.path()).unwrap();
        Self { dir, stock, repo }
    }

    fn target(&self, mode: RepoMode) -> (PathBuf, Repo) {
        let path = self.dir.path().join(format!("target-{mode}"));
        let repo = Repo::create(&path, mode, None).unwrap();
        // Disks are slow, and what is synced when is for other tests.
        repo.edit_config(|config| {
            config.set("core", "fsync", "false").unwrap();
            Ok(())
        })
        .unwrap();
        let repo = Repo::open(&path).unwrap();
        (path, repo)
    }

    fn pull(&self, target: &Repo, what: &[&str], options: &PullLocalOptions) -> PullLocalStats {
        self.try_pull(target, what, options).unwrap()
    }

    fn try_pull(
        &self,
        target: &Repo,
        what: &[&str],
        options: &PullLocalOptions,
    ) -> Result<PullLocalStats, RepoError> {
        let targets: Vec<PullTarget> = what.iter().map(|text| text.parse().unwrap()).collect();
        pull_local(target, &self.repo, &targets, options)
    }
}

fn default() -> PullLocalOptions {
    PullLocalOptions::default()
}

fn counts(stats: PullLocalStats) -> (u64, u64) {
    (stats.metadata_objects, stats.content_objects)
}

#[test]
fn every_pair_of_modes_gives_the_same_commit() {
    for from in ["archive", "bare", "bare-user", "bare-user-only"] {
        let source = Source::new(from);
        for to in MODES {
            for untrusted in [false, true] {
                let (path, target) = source.target(to);
                let options = PullLocalOptions {
                    untrusted,
                    depth: None,
                    ..default()
                };
                let stats = source.pull(&target, &["main"], &options);
                let context = format!("{from} to {to}");
                assert_sound(&path);
                // Links from bare-user into bare-user-only repositories keep an attribute that does not count.
                if !untrusted && (from, to) != ("bare-user", RepoMode::BareUserOnly) {
                    assert_same_commit(source.stock.path(), &path, "main");
                }
                // Five files of the first commit, and the two that the second changes.
                assert_eq!(stats.content_objects, 7, "{context}");
                assert_eq!(
                    source.pull(&target, &["main"], &options),
                    PullLocalStats::default(),
                    "{context}"
                );
                std::fs::remove_dir_all(&path).unwrap();
            }
        }
    }
}

#[test]
fn files_of_bare_user_repositories_are_linked_into_bare_user_only_ones() {
    let source = Source::new("bare-user");
    let tree = Tree::at(&source.dir.path().join("other"));
    tree.file("kept", "kept", 0o640).file("unreadable", "0244", 0o244);
    let own = ["--owner-uid=0", "--owner-gid=0", "--no-xattrs"];
    source.stock.commit_with("other", tree.path(), &own);
    let (path, target) = source.target(RepoMode::BareUserOnly);

    let stats = source.pull(&target, &["main", "other"], &default());

    assert_eq!(stats.content_written_bytes, 4, "only what nobody may read");
    assert_sound(&path);
    let mut linked = 0;
    for object in loose::all(&path, "file") {
        let twin = source.stock.path().join(object.strip_prefix(&path).unwrap());
        let (ours, theirs) = (
            object.symlink_metadata().unwrap(),
            twin.symlink_metadata().unwrap(),
        );
        if ours.is_file() && ours.ino() == theirs.ino() {
            linked += 1;
        } else {
            assert!(
                ours.is_symlink() || ours.mode() & 0o777 == 0o244,
                "{}",
                object.display()
            );
        }
    }
    assert_eq!(linked, 6);
}

#[test]
fn the_counts_are_those_of_stock() {
    let source = Source::new("archive");
    for mode in ["archive", "bare-user"] {
        for depth in ["0", "1", "-1"] {
            let (ours, target) = source.target(mode.parse().unwrap());
            let theirs = StockRepo::init(&source.dir.path().join("theirs"), mode);
            let text = theirs.run(&[
                "pull-local",
                &format!("--depth={depth}"),
                source.stock.path().to_str().unwrap(),
                "main",
            ]);
            let options = PullLocalOptions {
                depth: depth.parse().ok(),
                ..default()
            };
            let stats = source.pull(&target, &["main"], &options);
            let start = format!(
                "{} metadata, {} content objects imported",
                stats.metadata_objects, stats.content_objects
            );
            assert!(text.starts_with(&start), "{text} {start}");
            for path in [&ours, theirs.path()] {
                std::fs::remove_dir_all(path).unwrap();
            }
        }
    }
}

#[test]
fn objects_of_one_mode_are_linked() {
    let source = Source::new("bare-user");
    let (path, target) = source.target(RepoMode::BareUser);
    let stats = source.pull(&target, &["main"], &default());
    assert_eq!(stats.content_written_bytes, 0);
    let linked = std::fs::read_dir(path.join("objects"))
        .unwrap()
        .flat_map(|dir| std::fs::read_dir(dir.unwrap().path()).unwrap())
        .all(|file| file.unwrap().metadata().unwrap().nlink() == 2);
    assert!(linked);
}

#[test]
fn an_update_copies_the_difference() {
    let source = Source::new("archive");
    let (path, target) = source.target(RepoMode::Archive);
    let first = source.stock.rev_parse("main^");
    source.pull(&target, &[&format!("main@{first}")], &default());
    let stats = source.pull(&target, &["main"], &default());
    // The commit, the root, `sub`, the empty `more`; two files.
    assert_eq!(counts(stats), (4, 2));
    assert_sound(&path);
}

#[test]
fn a_remote_gets_the_refs_and_the_heads_stay() {
    let source = Source::new("archive");
    let (path, target) = source.target(RepoMode::Archive);
    let options = PullLocalOptions {
        remote: Some(RemoteName::new("origin").unwrap()),
        ..default()
    };
    source.pull(&target, &[], &options);
    assert_eq!(StockRepo::open(&path).refs(), ["origin:main"]);
}

#[test]
fn refs_come_from_the_refs_and_not_from_a_stale_summary() {
    let source = Source::new("archive");
    source.stock.run(&["summary", "--update"]);
    source.stock.commit("later", &source.dir.path().join("tree"));
    let (path, target) = source.target(RepoMode::Archive);
    source.pull(&target, &["later"], &default());
    assert_sound(&path);
    assert_eq!(StockRepo::open(&path).refs(), ["later"]);
}

#[test]
fn a_missing_ref_and_a_commit_bound_elsewhere_are_refused() {
    let source = Source::new("archive");
    let (path, target) = source.target(RepoMode::Archive);
    let error = source.try_pull(&target, &["nowhere"], &default()).unwrap_err();
    assert_eq!(error.to_string(), "Refspec 'nowhere' not found");

    source.stock.run(&["refs", "--create=promoted", "main"]);
    let error = source.try_pull(&target, &["promoted"], &default()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("Commit has no requested ref ‘promoted’"),
        "{error}"
    );
    assert_eq!(StockRepo::open(&path).refs(), [""; 0]);

    let unbound = PullLocalOptions {
        verify_bindings: false,
        ..default()
    };
    source.pull(&target, &["promoted"], &unbound);
    assert_refs_complete(&path);
}

#[test]
fn commits_alone_stay_partial_until_the_rest_comes() {
    let source = Source::new("archive");
    let (path, target) = source.target(RepoMode::Archive);
    let commit = source.stock.rev_parse("main").parse().unwrap();
    let alone = PullLocalOptions {
        commit_metadata_only: true,
        depth: None,
        ..default()
    };
    assert_eq!(counts(source.pull(&target, &["main"], &alone)), (2, 0));
    assert_eq!(target.is_partial(&commit).unwrap(), Some(Partial::Incomplete));
    assert_eq!(counts(source.pull(&target, &["main"], &alone)), (0, 0));

    source.pull(
        &target,
        &["main"],
        &PullLocalOptions {
            depth: None,
            ..default()
        },
    );
    assert_eq!(target.is_partial(&commit).unwrap(), None);
    assert_sound(&path);
}

#[test]
fn a_source_that_ends_early_ends_the_history() {
    let source = Source::new("archive");
    let parent = source.stock.rev_parse("main^");
    std::fs::remove_file(loose::path_of(source.stock.path(), &parent, ObjectType::Commit)).unwrap();
    let (path, target) = source.target(RepoMode::Archive);
    source.pull(
        &target,
        &["main"],
        &PullLocalOptions {
            depth: None,
            ..default()
        },
    );
    assert_sound(&path);
}

#[test]
fn a_later_signature_of_a_stored_commit_is_taken_over() {
    let source = Source::new("archive");
    let (_path, target) = source.target(RepoMode::Archive);
    let commit = source.stock.rev_parse("main");
    source.pull(&target, &["main"], &default());
    assert_eq!(target.load_detached(&commit.parse().unwrap()).unwrap(), None);
    let detached = ["--add-detached-metadata-string=note=x", "--orphan"];
    let other = source
        .stock
        .command()
        .args(["commit"])
        .args(detached)
        .arg(source.dir.path().join("tree"))
        .output();
    let other = String::from_utf8(other.unwrap().stdout).unwrap();
    let meta = |hex: &str| loose::path_of(source.stock.path(), hex, ObjectType::CommitMeta);
    std::fs::create_dir_all(meta(&commit).parent().unwrap()).unwrap();
    std::fs::copy(meta(&other), meta(&commit)).unwrap();

    source.pull(&target, &["main"], &default());

    let found = target.load_detached(&commit.parse().unwrap()).unwrap().unwrap();
    assert_eq!(found.get_str("note"), Some("x"));
}

#[test]
fn untrusted_objects_are_checked_before_they_are_linked() {
    let source = Source::new("archive");
    let object = loose::all(source.stock.path(), "filez").remove(0);
    let mut bytes = std::fs::read(&object).unwrap();
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    std::fs::write(&object, bytes).unwrap();
    let (path, target) = source.target(RepoMode::Archive);
    let options = PullLocalOptions {
        untrusted: true,
        depth: None,
        ..default()
    };

    let error = source.try_pull(&target, &["main"], &options).unwrap_err();

    assert!(matches!(error, RepoError::Corrupt { .. }), "{error:?}");
    assert_eq!(StockRepo::open(&path).refs(), [""; 0]);
    assert_refs_complete(&path);
}

#[test]
fn what_a_check_found_damaged_is_healed() {
    let source = Source::new("archive");
    let (path, target) = source.target(RepoMode::Archive);
    // Copies, so that damage here is not damage there.
    let all = PullLocalOptions {
        depth: None,
        ..default()
    };
    source.pull(&target, &["main"], &all);
    let object = loose::all(&path, "filez").remove(0);
    let bytes = std::fs::read(&object).unwrap();
    std::fs::remove_file(&object).unwrap();
    std::fs::write(&object, &bytes[..bytes.len() - 2]).unwrap();
    for commit in ["main", "main^"] {
        let commit = source.stock.rev_parse(commit).parse().unwrap();
        target.set_partial(&commit, Partial::Damaged).unwrap();
    }

    source.pull(&target, &["main"], &all);

    assert_eq!(std::fs::read(&object).unwrap(), bytes);
    assert_sound(&path);
}

#[test]
fn modes_that_bare_user_only_cannot_hold_are_refused_on_request() {
    let source = Source::new("archive");
    let tree = Tree::at(&source.dir.path().join("setuid"));
    tree.file("su", "x", 0o4755);
    source.stock.commit("setuid", tree.path());
    let (path, target) = source.target(RepoMode::BareUser);
    let options = PullLocalOptions {
        bareuseronly_files: true,
        ..default()
    };
    let error = source.try_pull(&target, &["setuid"], &options).unwrap_err();
    assert!(
        error.to_string().contains("mode 0104755") || error.to_string().contains("04000"),
        "{error}"
    );
    source.pull(&target, &["main"], &options);
    source.pull(&target, &["setuid"], &default());
    let (_, only) = source.target(RepoMode::BareUserOnly);
    let error = source
        .try_pull(&only, &["setuid"], &default())
        .unwrap_err()
        .to_string();
    let listed = source.stock.run(&["ls", "-C", "setuid", "/su"]);
    let checksum = listed.split_whitespace().find(|word| word.len() == 64).unwrap();
    assert!(
        error.contains(&format!("Content object {checksum}: invalid mode 0104755")),
        "{error}"
    );
    assert_sound(&path);
}

#[test]
fn nothing_is_written_where_there_is_nothing_to_do() {
    let source = Source::new("archive");
    let (path, target) = source.target(RepoMode::Archive);
    source.pull(&target, &["main"], &default());
    let before: Vec<_> = ["", "objects", "refs/heads", "tmp", "state"]
        .map(|dir| path.join(dir).metadata().unwrap())
        .map(|stat| (stat.mtime(), stat.mtime_nsec()))
        .into();
    source.pull(&target, &["main"], &default());
    let after: Vec<_> = ["", "objects", "refs/heads", "tmp", "state"]
        .map(|dir| path.join(dir).metadata().unwrap())
        .map(|stat| (stat.mtime(), stat.mtime_nsec()))
        .into();
    assert_eq!(before, after);
}

#[test]
fn pulling_from_itself_with_a_summary_to_update_waits_for_nobody() {
    let source = Source::new("archive");
    source
        .stock
        .run(&["config", "set", "core.auto-update-summary", "true"]);
    source
        .stock
        .run(&["config", "set", "core.lock-timeout-secs", "0"]);
    let repo = Repo::open(source.stock.path()).unwrap();
    let options = PullLocalOptions {
        remote: Some(RemoteName::new("self").unwrap()),
        ..default()
    };
    let stats = source.pull(&repo, &["main"], &options);
    assert_eq!((counts(stats), stats.refs), ((0, 0), 1));
    assert!(source.stock.path().join("summary").exists());
}

#[test]
fn what_a_prune_left_of_a_commit_without_a_ref_is_completed() {
    let source = Source::new("archive");
    let (path, target) = source.target(RepoMode::Archive);
    let all = PullLocalOptions {
        depth: None,
        ..default()
    };
    source.pull(&target, &["main"], &all);
    StockRepo::open(&path).run(&["refs", "--delete", "main"]);
    for kind in ["filez", "dirtree"] {
        std::fs::remove_file(loose::all(&path, kind).remove(0)).unwrap();
    }

    source.pull(&target, &["main"], &all);

    assert_sound(&path);
    assert_eq!(target.partial_commits().unwrap(), []);
}
