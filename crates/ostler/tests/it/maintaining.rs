//! Checks, summaries and local pulls, compared with stock.

use crate::fixture;
use crate::programs::{Ended, OSTLER, assert_alike, ended, link, ostler};
use crate::reading::all_alike;
use crate::writing::compare;
use ostler_testkit::command::{attempt, command, fail, run};
use ostler_testkit::stock::StockRepo;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

#[test]
fn a_check_says_what_stock_says() {
    let directory = fixture::repository();
    for arguments in ["fsck", "fsck -q", "fsck -a", "fsck --verify-bindings"] {
        assert_alike(
            directory.path(),
            &format!("--repo=repo {arguments}"),
            Ended::without_progress,
        );
    }
}

#[test]
fn a_check_that_nobody_watches_prints_its_beginning_and_its_end() {
    let directory = fixture::repository();
    let program = link(directory.path());
    let check = ended(&program, directory.path(), "--repo=repo fsck -q").stdout;
    let lines: Vec<&str> = check.lines().collect();
    let [first, last, _completed] = lines.as_slice() else {
        panic!("{check}");
    };
    assert!(
        first.starts_with("fsck objects (") && first.ends_with('%'),
        "{check}"
    );
    assert!(
        last.starts_with("fsck objects (") && last.ends_with(") 100%"),
        "{check}"
    );
    let own = ended(OSTLER, directory.path(), "--repo=repo fsck -q").stdout;
    assert_eq!(own.lines().count(), 1, "{own}");
}

#[test]
fn a_commit_that_is_bound_wrongly_is_nothing_to_repair() {
    let directory = fixture::repository();
    let said = fail(ostler(directory.path()).args(["--repo=repo", "fsck", "--verify-bindings"]));
    assert!(
        said.contains("in ref binding metadata") && !said.contains("repair --from"),
        "{said}"
    );
}

#[test]
fn a_summary_is_not_left_without_the_signature_that_was_asked_for() {
    let directory = fixture::repository();
    let before = fs::read(directory.path().join("repo/summary")).ok();
    for options in [
        "--sign=key",
        "--gpg-sign=key",
        "--gpg-homedir=x --sign-type=dummy --sign=key",
    ] {
        let refused = ended(
            OSTLER,
            directory.path(),
            &format!("--repo=repo summary -u {options}"),
        );
        assert_eq!(refused.code, Some(1), "{options}");
    }
    assert_eq!(fs::read(directory.path().join("repo/summary")).ok(), before);
    let made = ended(
        OSTLER,
        directory.path(),
        "--repo=repo summary -u --gpg-homedir=x --sign-type=dummy",
    );
    assert_eq!(made.code, Some(0));
}

#[test]
fn summaries_are_printed_as_in_stock() {
    let directory = fixture::repository();
    all_alike(directory.path(), &["summary", "summary -v", "summary --raw"]);
    let repo = StockRepo::open(&directory.path().join("repo"));
    repo.run(&["summary", "-u", "-m", "xa.title='hello'", "-m", "number=uint32 5"]);
    all_alike(
        directory.path(),
        &[
            "summary -v",
            "summary --view",
            "summary --raw",
            "summary",
            "summary -v --repo=repo",
        ],
    );
}

#[test]
fn local_pulls_bring_what_stock_brings() {
    let _directory = compare(
        &[
            "--repo=source init --mode=archive",
            "--repo=source commit --fsync=false --timestamp=@1 -b one tree",
            "--repo=source commit --fsync=false --timestamp=@2 -b one overlay",
            "--repo=source commit --fsync=false --timestamp=@3 -b two --tree=dir=tree --tree=dir=overlay",
            "--repo=repo init --mode=archive",
            "--repo=repo pull-local source one",
            "--repo=repo pull-local --depth=-1 source one",
            "--repo=repo pull-local --disable-fsync --untrusted source",
            "--repo=repo pull-local --remote=origin source two",
            "--repo=repo pull-local source nowhere",
            "--repo=repo pull-local nowhere",
            "--repo=repo pull-local",
        ],
        |_| (),
    );
}

#[test]
fn a_summary_that_we_make_reads_as_one_that_stock_makes() {
    let directory = compare(
        &[
            "--repo=repo init --mode=archive",
            "--repo=repo commit --fsync=false --timestamp=@1 -b one tree",
            "--repo=repo commit --fsync=false --timestamp=@2 -b two --add-metadata-string=version=2 overlay",
            "--repo=repo refs --create=alias --alias one",
            "--repo=repo summary -u",
            "--repo=repo summary -u -m novalue",
            "--repo=repo summary -u -m a=[",
        ],
        |_| (),
    );
    let view = |name: &str| {
        let printed = StockRepo::open(&directory.path().join(name).join("repo")).run(&["summary", "-v"]);
        let lines = printed.lines().filter(|line| !line.starts_with("Last-Modified"));
        // Stock writes the keys of metadata in the order of a hash table.
        lines.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    assert_eq!(view("own"), view("stock"));
    let add = ["--repo=own/repo", "summary", "-u", "-m", "xa.title='hello'"];
    let _printed = run(ostler(directory.path()).args(add));
    let key = ["--repo=own/repo", "summary", "--print-metadata-key=xa.title"];
    assert_eq!(run(ostler(directory.path()).args(key)), "'hello'\n");
}

/// Harms the repository `repo` below a directory.
type Harm = fn(&Path);

/// Returns the path of the object `checksum` with a suffix, below `repo/objects`.
fn object(directory: &Path, checksum: &str, suffix: &str) -> PathBuf {
    let (first, rest) = checksum.split_at(2);
    directory
        .join("repo/objects")
        .join(first)
        .join(format!("{rest}.{suffix}"))
}

/// Returns the checksums that `ls -C` prints for a path of `main`.
fn checksums(directory: &Path, path: &str) -> Vec<String> {
    let listed = StockRepo::open(&directory.join("repo")).run(&["ls", "-d", "-C", "main^^", path]);
    let words = listed.split_whitespace().filter(|word| word.len() == 64);
    words.map(str::to_owned).collect()
}

#[test]
fn damage_is_reported_with_the_status_of_stock() {
    let harms: [(&str, Harm); 4] = [
        ("missing file", |directory| {
            let file = &checksums(directory, "/big")[0];
            fs::remove_file(object(directory, file, "filez")).unwrap();
        }),
        ("changed file", |directory| {
            let (file, other) = (&checksums(directory, "/big")[0], &checksums(directory, "/a")[0]);
            fs::remove_file(object(directory, file, "filez")).unwrap();
            fs::copy(
                object(directory, other, "filez"),
                object(directory, file, "filez"),
            )
            .unwrap();
        }),
        ("missing tree", |directory| {
            let tree = &checksums(directory, "/sub")[0];
            fs::remove_file(object(directory, tree, "dirtree")).unwrap();
        }),
        ("missing commit", |directory| {
            let commit = StockRepo::open(&directory.join("repo")).rev_parse("main");
            fs::remove_file(object(directory, &commit, "commit")).unwrap();
        }),
    ];
    let sound = fixture::repository();
    for (name, harm) in harms {
        for options in ["", "-a", "-q -a", "--delete"] {
            let arguments = format!("--repo=repo fsck {options}");
            let after = |program: &str| {
                let directory = fixture::copied(sound.path());
                harm(directory.path());
                let first = ended(program, directory.path(), &arguments).without_progress();
                // Here stock forgets some damage and counts it anew: only the status is the same.
                let again = ended(program, directory.path(), "--repo=repo fsck").code;
                // Without a ref's commit stock gives up, whatever it was asked.
                let said = (name != "missing commit").then_some(first.stdout);
                (first.code, said, again)
            };
            assert_eq!(after(OSTLER), after("ostree"), "{name}: fsck {options}");
        }
    }
}

#[test]
fn damage_is_told_under_the_stock_name_in_the_lines_of_stock() {
    for (harm, arguments) in [
        (fs::remove_file as fn(PathBuf) -> io::Result<()>, "fsck -q"),
        (|path| fs::write(path, "no object"), "fsck -q --delete"),
    ] {
        let said = |program: &Path, directory: &Path| {
            let file = &checksums(directory, "/big")[0];
            harm(object(directory, file, "filez")).unwrap();
            let mut check = command(program);
            check
                .current_dir(directory)
                .arg("--repo=repo")
                .args(arguments.split(' '));
            let said = String::from_utf8_lossy(&attempt(&mut check).stderr).into_owned();
            // What is wrong with bytes that are no object each says in its own words.
            let lines = said
                .lines()
                .map(|line| line.split(": fsck ").next().unwrap().to_owned());
            lines.collect::<Vec<_>>()
        };
        let directory = fixture::repository();
        let copy = fixture::copied(directory.path());
        let ours = said(&link(directory.path()), directory.path());
        assert_eq!(ours, said(Path::new("ostree"), copy.path()), "{arguments}");
        let marked = |line: &String| line.starts_with("Marking commit as partial: ");
        assert!(ours.iter().skip(1).any(marked), "{ours:?}");
    }
}

#[test]
fn a_repository_of_a_group_serves_all_its_users() {
    if !ostler_testkit::disk::is_root() {
        // Only root can be two users.
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(OSTLER, root.join("ostler")).unwrap();
    let shared = root.join("shared");
    fs::create_dir(&shared).unwrap();
    chown(&shared, None, Some(23_456)).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o2775)).unwrap();
    let by = |user: u32, line: &str| {
        let line = format!("umask 002; exec ../ostler {line}");
        run(command("setpriv")
            .args([&format!("--reuid={user}"), "--regid=23456", "--clear-groups"])
            .args(["sh", "-c", &line])
            .current_dir(&shared));
    };
    by(12_345, "--repo=build init --mode=archive");
    by(12_345, "--repo=build config set core.auto-update-summary true");

    for user in [12_345, 12_346, 12_345] {
        by(
            user,
            "--repo=build commit --branch=main --no-xattrs ../shared/build/refs",
        );
        by(user, "--repo=build summary -u");
        by(user, "--repo=build publish public");
        by(user, "history public --pin 1");
        by(user, "--repo=copy init --mode=archive");
        by(user, "--repo=copy pull-local build main");
        by(user, "--repo=public prune --refs-only");
    }
}

#[test]
fn who_may_only_read_is_told_what_a_prune_would_remove() {
    if !ostler_testkit::disk::is_root() {
        return;
    }
    let directory = fixture::repository();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(OSTLER, directory.path().join("ostler")).unwrap();
    for program in ["./ostler", "ostree"] {
        let said = run(command("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", program])
            .args(["--repo=repo", "prune", "--no-prune", "--refs-only"])
            .current_dir(directory.path()));
        assert!(said.contains("Total objects: "), "{program}: {said}");
    }
}

#[test]
fn the_commit_about_the_repository_has_the_time_of_the_source() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| StockRepo::init(&directory.path().join(name), "archive");
    let (ours, _stocks) = (at("ours"), at("stocks"));
    for program in [Path::new(OSTLER), Path::new("ostree")] {
        let repo = if program == Path::new("ostree") {
            "stocks"
        } else {
            "ours"
        };
        run(command("ostree").current_dir(directory.path()).args([
            &format!("--repo={repo}"),
            "config",
            "set",
            "core.collection-id",
            "org.example.Os",
        ]));
        run(command(program)
            .current_dir(directory.path())
            .env("SOURCE_DATE_EPOCH", "1000")
            .args([&format!("--repo={repo}"), "summary", "-u"]));
        let shown = run(command("ostree").current_dir(directory.path()).args([
            &format!("--repo={repo}"),
            "show",
            "ostree-metadata",
        ]));
        assert!(shown.contains("1970-01-01 00:16:40 +0000"), "{repo}: {shown}");
    }
    ours.fsck();
}
