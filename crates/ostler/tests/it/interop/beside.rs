//! What lies beside commits: parent repositories, collections, remotes' refs, configuration, summaries; and both
//! programs at work on one repository at the same time.

use super::{BOTH, Who, assert_same_objects, versions};
use ostler_testkit::command::run;
use ostler_testkit::listing::assert_same_files;
use ostler_testkit::oracle::assert_sound;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;
use tempfile::TempDir;

/// Returns a path as text.
fn text(path: &Path) -> &str {
    path.to_str().expect("a name in UTF-8")
}

#[test]
fn a_child_reads_through_its_parent_whoever_wrote_either() {
    let directory = TempDir::new().unwrap();
    let (first, second) = versions(directory.path());
    for writer in BOTH {
        let repo = |name: &str| directory.path().join(format!("{}-{name}", writer.name()));
        let (parent, child, copy) = (repo("parent"), repo("child"), repo("copy"));
        writer.init(&parent, "bare-user");
        let below = writer.commit(&parent, &first, &["--parent=none"]);
        writer.init(&child, "bare-user");
        writer.run(&child, &["config", "set", "core.parent", text(&parent)]);
        let reader = writer.other();

        // The child holds nothing yet: everything comes from the parent.
        for who in BOTH {
            assert_eq!(who.run(&child, &["rev-parse", "main"]).trim(), below);
            assert_eq!(who.list(&child, "main"), who.list(&parent, "main"), "{who:?}");
            let checkout = repo(&format!("checkout-{}", who.name()));
            who.checkout(&child, "main", &["-U"], &checkout);
        }
        assert_same_files(&repo("checkout-stock"), &repo("checkout-ours"));

        // On top of it the reader commits, and then everything can be pulled from the child alone.
        let above = reader.commit(&child, &second, &[&format!("--parent={below}")]);
        assert_ne!(above, below);
        for who in BOTH {
            who.fsck(&child);
            assert_eq!(who.run(&child, &["rev-parse", "main^"]).trim(), below, "{who:?}");
        }
        writer.init(&copy, "archive");
        writer.run(&copy, &["pull-local", "--depth=-1", text(&child), "main"]);
        for who in BOTH {
            who.fsck(&copy);
            assert_eq!(who.list(&copy, "main"), who.list(&child, "main"), "{who:?}");
        }
        assert_sound(&copy);
    }
    let child = |who: Who| directory.path().join(format!("{}-child", who.name()));
    assert_same_objects(&child(Who::Stock), &child(Who::Ours));
}

#[test]
fn directories_that_a_checkout_finds_keep_their_attributes() {
    let directory = TempDir::new().unwrap();
    let (first, _second) = versions(directory.path());
    let repo = directory.path().join("repo");
    Who::Stock.init(&repo, "archive");
    let commit = Who::Stock.commit(&repo, &first, &[]);
    for who in BOTH {
        let there = directory.path().join(who.name());
        Tree::at(&there).dir("etc", 0o711).dir(".", 0o700);
        who.checkout(&repo, &commit, &["-U", "--union"], &there);
        for (path, mode) in [("etc", 0o711), ("", 0o700)] {
            let metadata = fs::metadata(there.join(path)).unwrap();
            assert_eq!(metadata.mode() & 0o7777, mode, "{who:?}: {path}");
            assert_ne!(metadata.mtime(), 0, "{who:?}: {path}");
        }
        assert_eq!(fs::metadata(there.join("usr")).unwrap().mtime(), 0, "{who:?}");
    }
}

#[test]
fn local_pulls_leave_out_what_the_parent_has() {
    let directory = TempDir::new().unwrap();
    let (first, second) = versions(directory.path());
    let (parent, source) = (directory.path().join("parent"), directory.path().join("source"));
    for (repo, tree) in [(&parent, &first), (&source, &second)] {
        Who::Stock.init(repo, "archive");
        Who::Stock.commit(repo, tree, &[]);
    }
    let (pulled, children): (Vec<_>, Vec<_>) = BOTH
        .map(|who| {
            let child = directory.path().join(who.name());
            who.init(&child, "archive");
            who.run(&child, &["config", "set", "core.parent", text(&parent)]);
            let pulled = who.run(&child, &["pull-local", "--disable-fsync", text(&source)]);
            who.other().fsck(&child);
            (pulled, child)
        })
        .into_iter()
        .unzip();
    assert_eq!(pulled[0], pulled[1]);
    assert_same_objects(&children[0], &children[1]);
    let inherited = super::objects(&source).len() - super::objects(&children[1]).len();
    assert!(inherited > 100, "{inherited}");
}

/// Prepares for each program a repository of the collection `org.example.One` that mirrors a ref of another one.
fn collections(directory: &Path) {
    let (first, second) = versions(directory);
    for who in BOTH {
        let repo = directory.join(who.name());
        who.run(
            &repo,
            &["init", "--mode=archive", "--collection-id=org.example.One"],
        );
        who.commit(&repo, &first, &[]);
        let binding = "--add-metadata-string=ostree.collection-binding=org.example.Two";
        let other = run(who
            .on(&repo)
            .args([
                "commit",
                "--fsync=false",
                "--timestamp=@7",
                "--orphan",
                "--bind-ref=other",
                binding,
            ])
            .arg(&second));
        who.run(
            &repo,
            &[
                "refs",
                "--collections",
                "--create=org.example.Two:other",
                other.trim(),
            ],
        );
    }
}

#[test]
fn collections_are_the_same_to_both() {
    let directory = TempDir::new().unwrap();
    collections(directory.path());
    let repo = |who: Who| directory.path().join(who.name());
    assert_same_objects(&repo(Who::Stock), &repo(Who::Ours));
    let sorted = |printed: String| printed.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let seen = |who: Who, repo: &Path| {
        let checks = ["fsck", "-q", "--verify-back-refs"];
        who.run(repo, &checks);
        (
            sorted(who.run(repo, &["refs"])),
            sorted(who.run(repo, &["refs", "--collections"])),
            sorted(who.run(repo, &["refs", "--collections", "org.example.Two"])),
            who.run(
                repo,
                &["show", "--print-metadata-key=ostree.collection-binding", "main"],
            ),
        )
    };
    let expected = seen(Who::Stock, &repo(Who::Stock));
    assert!(expected.1.contains("(org.example.Two, other)"), "{expected:?}");
    for writer in BOTH {
        for who in BOTH {
            assert_eq!(
                seen(who, &repo(writer)),
                expected,
                "written by {writer:?}, read by {who:?}"
            );
        }
    }

    // Into a repository of a third collection, with and without a summary at the source.
    for (writer, summary) in [
        (Who::Stock, false),
        (Who::Ours, false),
        (Who::Stock, true),
        (Who::Ours, true),
    ] {
        let source = repo(writer);
        if summary {
            writer.run(&source, &["summary", "-u"]);
        }
        let pulled = BOTH.map(|who| {
            let target = directory
                .path()
                .join(format!("{}-from-{}-{summary}", who.name(), writer.name()));
            who.run(
                &target,
                &["init", "--mode=bare-user", "--collection-id=org.example.Three"],
            );
            who.run(&target, &["pull-local", "--disable-fsync", text(&source)]);
            assert_sound(&target);
            target
        });
        assert_same_objects(&pulled[0], &pulled[1]);
        for who in BOTH {
            let [stock, ours] = [0, 1].map(|index| {
                (
                    sorted(who.run(&pulled[index], &["refs"])),
                    sorted(who.run(&pulled[index], &["refs", "--collections"])),
                )
            });
            assert_eq!(
                ours, stock,
                "from {writer:?}, summary: {summary}, read by {who:?}"
            );
        }
    }
}

#[test]
fn summaries_of_either_are_read_by_both() {
    let directory = TempDir::new().unwrap();
    collections(directory.path());
    let repo = |who: Who| directory.path().join(who.name());
    for who in BOTH {
        who.run(&repo(who), &["refs", "--create=os/one", "main"]);
        who.run(&repo(who), &["refs", "--create=os/alias", "--alias", "os/one"]);
        who.run(&repo(who), &["summary", "-u", "-m", "exampleos.key=<[1, 2]>"]);
    }
    let view = |who: Who, writer: Who| {
        let printed = who.run(&repo(writer), &["summary", "-v"]);
        // The commit about the repository itself has the time of the summary. Keys of metadata come in the order
        // of a hash table.
        let (own, others): (Vec<&str>, Vec<&str>) = printed
            .split("* ")
            .partition(|entry| entry.starts_with("(org.example.One, ostree-metadata)"));
        assert_eq!(own.len(), 1, "{printed}");
        let lines = others.into_iter().flat_map(str::lines);
        lines
            .filter(|line| !line.starts_with("Last-Modified"))
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
    };
    let expected = view(Who::Stock, Who::Stock);
    for writer in BOTH {
        for who in BOTH {
            assert_eq!(
                view(who, writer),
                expected,
                "written by {writer:?}, read by {who:?}"
            );
        }
    }
    // Whoever renews the other's summary says the same.
    for writer in BOTH {
        writer
            .other()
            .run(&repo(writer), &["summary", "-u", "-m", "exampleos.key=<[1, 2]>"]);
        assert_eq!(view(writer, writer), expected);
    }
}

#[test]
fn refs_pulled_for_a_remote_are_the_same() {
    let directory = TempDir::new().unwrap();
    let (first, _second) = versions(directory.path());
    let source = directory.path().join("source");
    Who::Stock.init(&source, "archive");
    let bound = ["--bind-ref=os/stable"];
    Who::Stock.commit(&source, &first.join("etc"), &bound);
    Who::Stock.commit(&source, &first.join("order"), &bound);
    Who::Stock.run(&source, &["refs", "--create=os/stable", "main^"]);
    let targets: [&[&str]; 6] = [
        &["main"],
        &["--remote=origin", "main"],
        &["--remote=origin"],
        &["--depth=-1", "os/stable", "main"],
        &["--depth=1", "--remote=third.party", "main"],
        &["--commit-metadata-only", "--remote=only"],
    ];
    for (number, arguments) in targets.iter().enumerate() {
        let repos = BOTH.map(|who| {
            let repo = directory.path().join(format!("{}-{number}", who.name()));
            who.init(&repo, "archive");
            who.run(&repo, &[&["pull-local", text(&source)], *arguments].concat());
            repo
        });
        assert_same_objects(&repos[0], &repos[1]);
        assert_same_files(&repos[0].join("refs"), &repos[1].join("refs"));
        assert_same_files(&repos[0].join("state"), &repos[1].join("state"));
        for who in BOTH {
            let refs = [0, 1].map(|index| {
                let printed = who.run(&repos[index], &["refs"]);
                printed.lines().map(str::to_owned).collect::<BTreeSet<_>>()
            });
            assert_eq!(refs[0], refs[1], "{who:?} on {arguments:?}");
        }
    }
}

#[test]
fn configuration_is_left_as_it_is() {
    const KEPT: &str = "# Kept by hand.\n[core]\n  repo_version = 1\nmode=archive-z2\nfsync=false\n\n[unknown group]\nkey=a;b;\n\
                        #[remote \"off\"]\n[remote \"x.y\"]\nurl=http://example.org/\n#end";
    let directory = TempDir::new().unwrap();
    let (first, second) = versions(directory.path());
    let (repo, source) = (directory.path().join("repo"), directory.path().join("source"));
    Who::Stock.init(&repo, "archive");
    Who::Stock.init(&source, "archive");
    Who::Stock.commit(&source, &second, &[]);
    let config = repo.join("config");
    fs::write(&config, KEPT).unwrap();
    let inode = fs::metadata(&config).unwrap().ino();

    Who::Ours.init(&repo, "bare");
    Who::Ours.commit(&repo, &first, &[]);
    Who::Ours.run(&repo, &["refs", "--create=os/x", "main"]);
    Who::Ours.run(&repo, &["refs", "--create=os/y", "--alias", "os/x"]);
    Who::Ours.run(&repo, &["pull-local", "--remote=x.y", text(&source)]);
    Who::Ours.run(&repo, &["refs", "--delete", "os/y"]);
    Who::Ours.fsck(&repo);
    Who::Ours.checkout(&repo, "main", &["-U"], &directory.path().join("checkout"));
    assert_eq!(fs::read_to_string(&config).unwrap(), KEPT);
    assert_eq!(
        fs::metadata(&config).unwrap().ino(),
        inode,
        "not even written anew"
    );

    // What a command adds on purpose is that alone, with all the rest as it was.
    Who::Ours.run(&repo, &["config", "set", "other.key", "v"]);
    Who::Ours.run(&repo, &["summary", "-u"]);
    let expected = format!(
        "{}\n\n[other]\nkey=v\n",
        KEPT.replace("fsync=false\n", "fsync=false\nindexed-deltas=true\n")
    );
    assert_eq!(fs::read_to_string(&config).unwrap(), expected);
    assert_eq!(Who::Stock.run(&repo, &["config", "get", "other.key"]), "v\n");
}

#[test]
fn both_commit_to_one_repository_at_the_same_time() {
    for mode in ["archive", "bare-user"] {
        let directory = TempDir::new().unwrap();
        let repo = directory.path().join("repo");
        Who::Stock.init(&repo, mode);
        let trees: Vec<_> = (0..4)
            .map(|number| {
                let tree = directory.path().join(format!("tree{number}"));
                ostler_testkit::tree::random(&tree, 40 + number / 2, 150);
                tree
            })
            .collect();
        thread::scope(|scope| {
            for (number, tree) in trees.iter().enumerate() {
                let (repo, who) = (&repo, BOTH[number % 2]);
                scope.spawn(move || {
                    for round in 0..4 {
                        let branch = format!("--branch=writer{number}");
                        let skip = format!("--owner-uid={}", round % 2);
                        run(who
                            .on(repo)
                            .args(["commit", "--timestamp=@1700000000", &branch, &skip])
                            .arg(tree));
                    }
                });
            }
        });
        assert_sound(&repo);
        for who in BOTH {
            who.fsck(&repo);
        }
        let stock = StockRepo::open(&repo);
        for number in 0..4 {
            let log = stock.run(&["log", &format!("writer{number}")]);
            assert_eq!(log.matches("\ncommit ").count() + 1, 4, "{mode}: {log}");
        }
        assert_eq!(
            stock.run(&["ls", "-R", "-C", "writer0"]),
            stock.run(&["ls", "-R", "-C", "writer1"]),
            "{mode}: equal trees"
        );
    }
}
