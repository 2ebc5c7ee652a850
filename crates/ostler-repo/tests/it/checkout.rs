//! Checkouts: what stock ostree makes of the same commits.

use crate::commit::{Pair, builder, commit};
use ostler_format::{Checksum, ObjectName, ObjectType, RepoMode};
use ostler_repo::{CheckoutOptions, CheckoutStats, HardLinks, Overwrite, PathEntry, Repo};
use ostler_testkit::listing::{Entry, listing};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::{self, Tree};
use std::collections::BTreeMap;
use std::fs;
use std::num::NonZero;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

const MODES: [(&str, RepoMode); 4] = [
    ("archive", RepoMode::Archive),
    ("bare", RepoMode::Bare),
    ("bare-user", RepoMode::BareUser),
    ("bare-user-only", RepoMode::BareUserOnly),
];

/// What lies below `root`. The attribute by which bare-user repositories keep what a file really is shows through
/// hard links, and where stock makes some and we others is of no interest.
fn files(root: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut found = listing(root);
    for entry in found.values_mut() {
        entry.xattrs.retain(|name, _| name != "user.ostreemeta");
    }
    found
}

fn assert_same(ours: &Path, theirs: &Path, what: &str) {
    let (ours, theirs) = (files(ours), files(theirs));
    for path in ours.keys().chain(theirs.keys()) {
        assert_eq!(ours.get(path), theirs.get(path), "{what}: {}", path.display());
    }
}

/// A repository with one commit of an assorted tree.
fn fixture(name: &str, mode: RepoMode) -> (Pair, StockRepo, Checksum) {
    let pair = Pair::new(name, mode);
    let tree = tree::assorted(&pair.beside("tree"));
    let outcome = commit(&pair.ours, "main", &builder("main", &[tree.path()]));
    let stock = StockRepo::open(pair.ours.path());
    (pair, stock, outcome.checksum)
}

fn user(user_mode: bool) -> CheckoutOptions {
    CheckoutOptions {
        user_mode,
        ..CheckoutOptions::default()
    }
}

fn checkout(repo: &Repo, commit: &Checksum, to: &Path, options: &CheckoutOptions) -> CheckoutStats {
    repo.checkout(commit, to, options).unwrap()
}

fn refusal(repo: &Repo, commit: &Checksum, to: &Path, options: &CheckoutOptions) -> String {
    let mut error: &dyn std::error::Error = &repo.checkout(commit, to, options).unwrap_err();
    let mut text = error.to_string();
    while let Some(source) = error.source() {
        text = format!("{text}: {source}");
        error = source;
    }
    text
}

#[test]
fn every_mode_checks_out_as_stock_does() {
    for (name, mode) in MODES {
        let (pair, stock, commit) = fixture(name, mode);
        for (user_mode, hard_links, arguments) in [
            (false, HardLinks::WherePossible, &["checkout"][..]),
            (true, HardLinks::WherePossible, &["checkout", "-U"]),
            (false, HardLinks::Never, &["checkout", "-C"]),
            (true, HardLinks::Never, &["checkout", "-U", "-C"]),
        ] {
            let (theirs, ours) = (pair.beside("co-theirs"), pair.beside("co-ours"));
            let mut arguments = arguments.to_vec();
            arguments.extend(["main", theirs.to_str().unwrap()]);
            stock.run(&arguments);
            let options = CheckoutOptions {
                hard_links,
                fsync: mode == RepoMode::Archive,
                ..user(user_mode)
            };

            checkout(&pair.ours, &commit, &ours, &options);

            assert_same(&ours, &theirs, &format!("{name} {arguments:?}"));
            for path in files(&ours).keys() {
                let [seen, theirs] =
                    [&ours, &theirs].map(|root| fs::symlink_metadata(root.join(path)).unwrap());
                assert_eq!(
                    seen.mtime() == 0,
                    theirs.mtime() == 0,
                    "{name} {arguments:?}: {}",
                    path.display()
                );
            }
            fs::remove_dir_all(&theirs).unwrap();
            fs::remove_dir_all(&ours).unwrap();
        }
        stock.fsck();
    }
}

#[test]
fn hard_links_are_made_where_the_mode_allows_and_refused_where_not() {
    for (name, mode) in MODES {
        let (pair, _stock, commit) = fixture(name, mode);
        for user_mode in [false, true] {
            let to = pair.beside("co");
            let options = CheckoutOptions {
                hard_links: HardLinks::Require,
                ..user(user_mode)
            };
            let fits = match mode {
                RepoMode::Bare => !user_mode,
                RepoMode::BareUser => user_mode,
                RepoMode::BareUserOnly => true,
                _ => false,
            };
            if !fits {
                let refused = refusal(&pair.ours, &commit, &to, &options);
                assert!(refused.contains("hardlink"), "{refused}");
                assert!(!to.exists(), "nothing is made");
                continue;
            }
            let stats = checkout(&pair.ours, &commit, &to, &options);
            assert!(stats.linked > 40, "{name}: {stats:?}");
            assert!(fs::metadata(to.join("usr/bin/hello")).unwrap().nlink() > 1);
            assert_eq!(
                fs::metadata(to.join("etc/motd")).unwrap().nlink(),
                1,
                "empty files are copied"
            );
            fs::remove_dir_all(&to).unwrap();
        }
    }
}

#[test]
fn an_existing_destination_is_refused() {
    let (pair, _stock, commit) = fixture("archive", RepoMode::Archive);
    let to = pair.beside("co");
    fs::create_dir(&to).unwrap();
    let refused = refusal(&pair.ours, &commit, &to, &user(true));
    assert!(refused.contains("mkdirat: File exists"), "{refused}");
    assert!(fs::read_dir(&to).unwrap().next().is_none());
    let missing = refusal(&pair.ours, &commit, &pair.beside("no/such"), &user(true));
    assert!(missing.contains("No such file"), "{missing}");
}

/// Puts things in the way of a checkout.
fn obstacles(root: &Path, with_directories: bool) {
    let tree = Tree::at(root);
    tree.file("extra", "stays\n", 0o600)
        .file("usr/bin/hello", "mine\n", 0o600)
        .dir("usr", 0o700)
        .file("etc/motd", "mine\n", 0o644)
        .symlink("etc/issue", "elsewhere")
        .symlink("etc/hostname", "a-link-in-place-of-a-file")
        .file("links/dangling", "a file in place of a link\n", 0o644);
    if with_directories {
        tree.file("names/a/below", "a directory in place of a file\n", 0o644);
    }
}

#[test]
fn unions_end_as_those_of_stock() {
    for (name, mode) in MODES {
        let (pair, stock, commit) = fixture(name, mode);
        for (overwrite, option) in [(Overwrite::Files, "--union"), (Overwrite::Add, "--union-add")] {
            for hard_links in [HardLinks::WherePossible, HardLinks::Never] {
                let (theirs, ours) = (pair.beside("co-theirs"), pair.beside("co-ours"));
                for root in [&theirs, &ours] {
                    obstacles(root, false);
                }
                let mut arguments = vec!["checkout", "-U", option];
                if hard_links == HardLinks::Never {
                    arguments.push("-C");
                }
                arguments.extend(["main", theirs.to_str().unwrap()]);
                stock.run(&arguments);
                let options = CheckoutOptions {
                    overwrite,
                    hard_links,
                    ..user(true)
                };

                checkout(&pair.ours, &commit, &ours, &options);
                // Once more, over what is there now.
                checkout(&pair.ours, &commit, &ours, &options);

                assert_same(&ours, &theirs, &format!("{name} {option} {hard_links:?}"));
                fs::remove_dir_all(&theirs).unwrap();
                fs::remove_dir_all(&ours).unwrap();
            }
        }
    }
}

#[test]
fn a_directory_is_never_replaced_by_a_file() {
    for (name, mode) in MODES {
        let (pair, stock, commit) = fixture(name, mode);
        let to = pair.beside("co");
        obstacles(&to, true);
        let options = CheckoutOptions {
            overwrite: Overwrite::Files,
            ..user(true)
        };

        let refused = refusal(&pair.ours, &commit, &to, &options);

        assert!(refused.contains("names/a: Is a directory"), "{name}: {refused}");
        assert!(to.join("names/a/below").exists());
        stock.fail(&["checkout", "-U", "--union", "main", to.to_str().unwrap()]);
    }
}

#[test]
fn identical_unions_accept_the_same_and_refuse_others() {
    for (name, mode) in [
        ("bare", RepoMode::Bare),
        ("bare-user", RepoMode::BareUser),
        ("bare-user-only", RepoMode::BareUserOnly),
    ] {
        let (pair, _stock, commit) = fixture(name, mode);
        let to = pair.beside("co");
        let copied = CheckoutOptions {
            hard_links: HardLinks::Never,
            ..user(mode != RepoMode::Bare)
        };
        checkout(&pair.ours, &commit, &to, &copied);
        fs::remove_file(to.join("usr/bin/hello")).unwrap();
        let options = CheckoutOptions {
            overwrite: Overwrite::Identical,
            hard_links: HardLinks::Require,
            ..copied.clone()
        };

        let stats = checkout(&pair.ours, &commit, &to, &options);
        assert!(stats.kept > 40 && stats.linked == 1, "{name}: {stats:?}");

        for path in ["usr/bin/hello", "large/random", "etc/motd"] {
            fs::remove_file(to.join(path)).unwrap();
            fs::write(to.join(path), "other").unwrap();
            let refused = refusal(&pair.ours, &commit, &to, &options);
            assert!(refused.contains(path), "{name}: {refused}");
            fs::remove_file(to.join(path)).unwrap();
        }
        fs::write(to.join("etc/issue.new"), "").unwrap();
        fs::remove_file(to.join("etc/issue")).unwrap();
        symlink("elsewhere", to.join("etc/issue")).unwrap();
        assert!(refusal(&pair.ours, &commit, &to, &options).contains("etc/issue"));
    }
}

#[test]
fn a_part_of_a_commit_can_be_checked_out() {
    for (name, mode) in MODES {
        let (pair, stock, commit) = fixture(name, mode);
        for path in ["/usr/share", "usr/bin/hello", "/links/dangling"] {
            let (theirs, ours) = (pair.beside("co-theirs"), pair.beside("co-ours"));
            let subpath = format!("--subpath=/{}", path.trim_start_matches('/'));
            stock.run(&["checkout", "-U", &subpath, "main", theirs.to_str().unwrap()]);
            let options = CheckoutOptions {
                subpath: Some(path.to_owned()),
                ..user(true)
            };
            checkout(&pair.ours, &commit, &ours, &options);
            assert_same(&ours, &theirs, &format!("{name} {path}"));
            fs::remove_dir_all(&theirs).unwrap();
            fs::remove_dir_all(&ours).unwrap();
        }
        let options = CheckoutOptions {
            subpath: Some("/usr/nope".to_owned()),
            ..user(true)
        };
        let refused = refusal(&pair.ours, &commit, &pair.beside("co"), &options);
        assert!(refused.contains("/usr/nope"), "{refused}");
        assert!(!pair.beside("co").exists());
    }
}

#[test]
fn links_in_the_destination_lead_nowhere() {
    let (pair, _stock, commit) = fixture("bare-user", RepoMode::BareUser);
    let (outside, to) = (pair.beside("outside"), pair.beside("co"));
    for overwrite in [Overwrite::Files, Overwrite::Add, Overwrite::Identical] {
        fs::create_dir_all(&outside).unwrap();
        fs::create_dir(&to).unwrap();
        symlink(&outside, to.join("usr")).unwrap();
        fs::create_dir(to.join("etc")).unwrap();
        symlink(outside.join("planted"), to.join("etc/hostname")).unwrap();
        let options = CheckoutOptions {
            overwrite,
            hard_links: HardLinks::Require,
            ..user(true)
        };
        refusal(&pair.ours, &commit, &to, &options);
        assert!(fs::read_dir(&outside).unwrap().next().is_none(), "{overwrite:?}");
        fs::remove_dir_all(&to).unwrap();
    }
}

#[test]
fn a_missing_object_ends_the_checkout() {
    let (pair, _stock, commit) = fixture("archive", RepoMode::Archive);
    let PathEntry::File(missing) = pair.ours.lookup_path(&commit, "/etc/hostname").unwrap() else {
        panic!("a file")
    };
    let name = ObjectName::new(missing, ObjectType::File);
    let path = pair
        .ours
        .path()
        .join("objects")
        .join(name.loose_path(RepoMode::Archive));
    fs::remove_file(path).unwrap();
    for threads in [1, 3] {
        let options = CheckoutOptions {
            threads: NonZero::new(threads),
            ..user(true)
        };
        let refused = refusal(
            &pair.ours,
            &commit,
            &pair.beside(&format!("co{threads}")),
            &options,
        );
        assert!(refused.contains(&missing.to_string()), "{refused}");
    }
}

#[test]
fn objects_of_a_parent_repository_are_found_and_linked() {
    let (pair, _stock, commit) = fixture("bare-user", RepoMode::BareUser);
    let path = pair.beside("child");
    Repo::create(&path, RepoMode::BareUser, None).unwrap();
    let config = fs::read_to_string(path.join("config")).unwrap();
    let parent = pair.ours.path().display();
    fs::write(path.join("config"), format!("{config}parent={parent}\n")).unwrap();
    let child = Repo::open(&path).unwrap();
    let to = pair.beside("co");
    let options = CheckoutOptions {
        hard_links: HardLinks::Require,
        ..user(true)
    };

    let stats = checkout(&child, &commit, &to, &options);

    assert!(stats.linked > 40, "{stats:?}");
}
