//! `pull-local` and `reset`, beside stock's on the same repositories with the same options.

use crate::programs::{Ended, OSTLER, ended, link, ostler};
use crate::prune::files;
use crate::writing::compare;
use ostler_testkit::command::{attempt, command, fail, run};
use ostler_testkit::random::Random;
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::Tree;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The branches of a source.
const BRANCHES: [&str; 3] = ["os/stable", "os/devel", "app"];

/// A repository `source`, and the commits in it.
struct Source {
    directory: TempDir,
    commits: Vec<String>,
    /// Whether refs are set as those of a remote: always or never, since stock does not set one of the repository's own
    /// where a remote has a ref of that name and value.
    remote: bool,
}

impl Source {
    fn new(random: &mut Random) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mode = *random.pick(&["archive", "bare-user-only", "archive"]);
        let repo = StockRepo::init(&directory.path().join("source"), mode);
        let mut commits = Vec::new();
        for number in 0..6 + random.below(6) {
            let path = directory.path().join("tree");
            if path.exists() {
                fs::remove_dir_all(&path).expect("our own tree");
            }
            let tree = Tree::at(&path);
            for place in ["a", "b/c", "b/d/e", "f/g", "same/x"] {
                if random.chance(70) {
                    tree.file(place, format!("{place} {}\n", random.below(3)), 0o644);
                }
            }
            // Each has a commit, and some have more.
            let branch = BRANCHES.get(number).unwrap_or_else(|| random.pick(&BRANCHES));
            let options: &[&str] = if random.chance(30) {
                &["--add-detached-metadata-string=note=x"]
            } else {
                &[]
            };
            commits.push(repo.commit_with(branch, &path, options));
        }
        Self {
            directory,
            commits,
            remote: random.chance(30),
        }
    }

    fn options(&self, random: &mut Random) -> String {
        let mut words = vec!["pull-local --disable-fsync".to_owned()];
        for (option, percent) in [
            ("--commit-metadata-only", 15),
            ("--untrusted", 30),
            ("--bareuseronly-files", 20),
            ("--disable-verify-bindings", 20),
            ("--depth=1", 20),
            ("--depth=-1", 20),
            ("--per-object-fsync", 10),
        ] {
            if random.chance(percent) {
                words.push(option.to_owned());
            }
        }
        if self.remote {
            words.push("--remote=origin".to_owned());
        }
        words.push("source".to_owned());
        for _ in 0..random.below(3) {
            words.push(match random.below(6) {
                0 => random.pick(&self.commits).clone(),
                1 => "nowhere".to_owned(),
                _ => (*random.pick(&BRANCHES)).to_owned(),
            });
        }
        words.join(" ")
    }
}

/// Returns the refs of a repository with their commits, and all other files by name.
fn state(repo: &Path) -> BTreeMap<PathBuf, String> {
    let found = files(repo).into_iter();
    found
        .map(|path| {
            let reads = path.starts_with("refs") || path.starts_with("state");
            let bytes = fs::read(repo.join(&path)).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            (path, if reads { text } else { String::new() })
        })
        .collect()
}

#[test]
fn random_pulls_bring_what_stock_brings() {
    for seed in 0..10 {
        let mut random = Random::new(seed);
        let source = Source::new(&mut random);
        let mode = *random.pick(&["archive", "bare-user-only", "bare-user"]);
        let directories = ["stock", "ours"].map(|name| {
            let directory = source.directory.path().join(name);
            fs::create_dir(&directory).expect("our own directory");
            StockRepo::init(&directory.join("repo"), mode);
            std::os::unix::fs::symlink("../source", directory.join("source")).expect("our own link");
            directory
        });
        // One pull after the other into the same repository.
        for _ in 0..8 {
            let arguments = source.options(&mut random);
            let pulled = |program: &str, directory: &Path| -> (Ended, BTreeMap<PathBuf, String>) {
                let ended = ended(program, directory, &format!("--repo=repo {arguments}"));
                (ended, state(&directory.join("repo")))
            };
            let (stock, ours) = (pulled("ostree", &directories[0]), pulled(OSTLER, &directories[1]));
            let context = format!("seed {seed}, into {mode}: {arguments}");
            assert_eq!(ours.0.code, stock.0.code, "{context}");
            // Where a pull fails, stock may have staged what the next one of its takes up.
            let without_tmp = |mut state: BTreeMap<PathBuf, String>| {
                state.retain(|path, _| !path.starts_with("tmp"));
                state
            };
            let (stock, ours) = (without_tmp(stock.1), without_tmp(ours.1));
            let different = |(path, text): &(&PathBuf, &String), other: &BTreeMap<PathBuf, String>| {
                other.get(*path) != Some(*text)
            };
            let theirs: Vec<_> = stock.iter().filter(|entry| different(entry, &ours)).collect();
            let own: Vec<_> = ours.iter().filter(|entry| different(entry, &stock)).collect();
            assert!(
                own.is_empty() && theirs.is_empty(),
                "{context}: ours {own:?}, stock's {theirs:?}"
            );
        }
    }
}

#[test]
fn what_cannot_be_pulled_as_asked_is_refused() {
    let source = Source::new(&mut Random::new(9));
    let directory = source.directory.path();
    let repo = StockRepo::init(&directory.join("repo"), "archive");
    let before = files(repo.path());
    let refused = |arguments: &[&str]| {
        let said = fail(
            ostler(directory)
                .args(["--repo=repo", "pull-local"])
                .args(arguments),
        );
        assert_eq!(files(repo.path()), before, "{said}");
        said
    };
    for option in ["--gpg-verify", "--gpg-verify-summary"] {
        assert!(
            refused(&[option, "source", "app"])
                .contains("Must specify remote name to enable gpg verification")
        );
    }
    assert!(refused(&["--depth=-2", "source", "app"]).contains("--depth"));
    assert!(refused(&["source", "app@abc"]).contains("abc"));
    assert!(
        refused(&["--require-static-deltas", "source", "app"])
            .contains("Can't use static deltas in an archive repo")
    );
    refused(&[
        "--require-static-deltas",
        "--disable-static-deltas",
        "source",
        "app",
    ]);
}

#[test]
fn where_deltas_are_required_only_commits_with_deltas_are_pulled() {
    let directory = tempfile::tempdir().unwrap();
    let source = StockRepo::init(&directory.path().join("source"), "archive");
    for version in ["one", "two"] {
        let path = directory.path().join(version);
        Tree::at(&path).file("file", version, 0o644);
        source.commit("main", &path);
    }
    let pull = |program: &str, repo: &str, arguments: &str| {
        let arguments = format!("--repo={repo} pull-local --require-static-deltas source {arguments}");
        ended(program, directory.path(), &arguments).code
    };
    for repo in ["ours", "stock"] {
        StockRepo::init(&directory.path().join(repo), "bare-user-only");
    }
    let both = |arguments: &str, wanted: Option<i32>| {
        assert_eq!(pull("ostree", "stock", arguments), wanted, "{arguments}");
        assert_eq!(pull(OSTLER, "ours", arguments), wanted, "{arguments}");
    };
    source.run(&["summary", "-u"]);
    both("main", Some(1));
    source.run(&["static-delta", "generate", "main"]);
    source.run(&["summary", "-u"]);
    // To the second from the first, which is not there yet.
    both("main", Some(1));
    for repo in ["ours", "stock"] {
        let first = source.rev_parse("main^");
        let mut pull = command("ostree");
        pull.arg(format!("--repo={repo}"))
            .args(["pull-local", "source", &first]);
        run(pull.current_dir(directory.path()));
    }
    both("main", Some(0));
    // Nothing to bring needs no delta.
    both("main", Some(0));
    let repos = ["ours", "stock"].map(|repo| StockRepo::open(&directory.path().join(repo)));
    assert_eq!(repos[0].rev_parse("main"), repos[1].rev_parse("main"));
    repos[0].fsck();
}

#[test]
fn refs_are_reset_as_in_stock() {
    let directory = compare(
        &[
            "--repo=repo init --mode=archive",
            "--repo=repo commit --fsync=false --timestamp=@1 -b one tree",
            "--repo=repo commit --fsync=false --timestamp=@2 -b one overlay",
            "--repo=repo commit --fsync=false --timestamp=@3 -b two overlay",
            "--repo=repo refs --create=origin:three two",
            "--repo=repo reset one one^",
            "--repo=repo reset one one^",
            "--repo=repo reset one two",
            "--repo=repo reset two origin:three",
            "--repo=repo reset origin:three one",
            "--repo=repo reset nowhere one",
            "--repo=repo reset one nowhere",
            "--repo=repo reset one",
            "--repo=repo reset",
        ],
        |_| (),
    );
    let ours = |arguments: &[&str]| fail(ostler(directory.path()).arg("--repo=own/repo").args(arguments));
    let absent = "0".repeat(64);
    for arguments in [["reset", "one", &absent], ["refs", "--create=new", &absent]] {
        let said = ours(&arguments);
        assert!(
            said.contains(&format!("No such metadata object {absent}.commit")),
            "{said}"
        );
    }
    assert!(ours(&["reset", "nowhere", "one"]).contains("Invalid ref 'nowhere'"));
}

/// Makes `source` with one file of 1,000 lines in a repository of mode `bare-user-only`, and damages that.
fn damaged(directory: &Path) -> StockRepo {
    let source = StockRepo::init(&directory.join("source"), "bare-user-only");
    let tree = directory.join("tree");
    Tree::at(&tree).file("file", "0123456789\n".repeat(1000), 0o644);
    source.commit("main", &tree);
    let object = files(source.path())
        .into_iter()
        .find(|path| path.extension().is_some_and(|extension| extension == "file"))
        .map(|path| source.path().join(path))
        .expect("the file");
    let mut bytes = fs::read(&object).expect("our own file");
    bytes.swap(0, 9);
    fs::remove_file(&object).expect("our own file");
    fs::write(&object, bytes).expect("our own file");
    source
}

#[test]
fn damaged_content_is_copied_under_the_stock_name_only_and_told() {
    let directory = tempfile::tempdir().unwrap();
    damaged(directory.path());
    let ours = StockRepo::init(&directory.path().join("ours"), "archive");
    let said = fail(ostler(directory.path()).args(["--repo=ours", "pull-local", "source", "main"]));
    assert!(said.contains("Corrupted file object"), "{said}");
    assert_eq!(ours.refs(), Vec::<String>::new());

    let linked = StockRepo::init(&directory.path().join("linked"), "archive");
    let pull = |options: &[&str]| {
        let mut pull = command(link(directory.path()));
        pull.current_dir(directory.path())
            .args(["--repo=linked", "pull-local", "source", "main"])
            .args(options);
        attempt(&mut pull)
    };
    assert!(!pull(&["--untrusted"]).status.success());
    let output = pull(&[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains(".file is damaged, and was copied as it is"),
        "{said}"
    );
    // Nobody takes it for sound.
    assert!(!attempt(linked.command().arg("fsck")).status.success());
}

#[test]
fn refs_of_remotes_beside_a_sources_own_are_refused_under_the_stock_name_only() {
    let directory = tempfile::tempdir().unwrap();
    let source = StockRepo::init(&directory.path().join("source"), "archive");
    let tree = directory.path().join("tree");
    Tree::at(&tree).file("file", "x", 0o644);
    source.commit("own", &tree);
    source.run(&["refs", "--create=origin:main", "own"]);
    for (program, repo) in [(link(directory.path()), "linked"), (OSTLER.into(), "ours")] {
        let pulled = StockRepo::init(&directory.path().join(repo), "archive");
        let mut pull = command(program);
        pull.current_dir(directory.path())
            .args([&format!("--repo={repo}"), "pull-local", "source"]);
        let output = attempt(&mut pull);
        let said = String::from_utf8_lossy(&output.stderr);
        if repo == "ours" {
            assert_eq!(pulled.refs(), ["own"], "{said}");
        } else {
            assert!(said.contains("error: Invalid ref name origin:main"), "{said}");
            assert_eq!(pulled.refs(), Vec::<String>::new());
        }
    }
}

#[test]
fn a_ref_of_a_collection_is_overwritten_unasked_under_the_stock_name_only() {
    let directory = tempfile::tempdir().unwrap();
    let repo = StockRepo::init(&directory.path().join("repo"), "archive");
    let tree = directory.path().join("tree");
    for version in ["one", "two"] {
        Tree::at(&tree).file("file", version, 0o644);
        repo.commit(version, &tree);
    }
    let create = |program: &Path, version: &str| {
        let arguments = format!("--repo=repo refs --collections --create org.example.Os:main {version}");
        ended(program, directory.path(), &arguments).code
    };
    let now = || fs::read_to_string(directory.path().join("repo/refs/mirrors/org.example.Os/main")).unwrap();
    assert_eq!(create(Path::new(OSTLER), "one"), Some(0));
    assert_eq!(create(Path::new(OSTLER), "two"), Some(1));
    assert_eq!(now().trim(), repo.rev_parse("one"));
    assert_eq!(create(&link(directory.path()), "two"), Some(0));
    assert_eq!(now().trim(), repo.rev_parse("two"));
}
