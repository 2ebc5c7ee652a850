//! Options of `commit` beyond the tree itself, and `checksum`: beside stock where it has them.

use crate::archives::Bench;
use crate::interop::{BOTH, Who};
use crate::programs::{ended, link};
use ostler_testkit::command::{attempt, run};
use ostler_testkit::stock::StockRepo;
use ostler_testkit::tree::{self, Tree};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

/// Commits with us, which must fail, and returns what we say.
#[track_caller]
fn refused(bench: &Bench, options: &[&str]) -> String {
    let output = attempt(bench.commit(Who::Ours).args(options));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{options:?}: {said}");
    said
}

#[test]
fn consumed_directories_are_gone_and_committed() {
    for mode in ["archive", "bare", "bare-user", "bare-user-only"] {
        let bench = Bench::of_mode(mode);
        let sources: &[&str] = &["one", "two", "kept"];
        for who in BOTH {
            for source in sources {
                Tree::at(&bench.path(&format!("{}-{source}", who.name())))
                    .file("d/file", *source, 0o644)
                    .file(&format!("d/{source}"), "x", 0o755)
                    .file("d/skipped", "x", 0o644)
                    .symlink("link", "d/file")
                    .file("large", vec![7; 3 << 20], 0o644)
                    .dir("empty", 0o700);
            }
        }
        fs::write(bench.path("skip"), "/d/skipped\n").expect("our own file");
        let commits = BOTH.map(|who| {
            let trees = sources.map_to_options(who);
            let mut command = bench.commit(who);
            let commit = run(command.args(["--consume", "--skip-list=skip"]).args(trees));
            for source in sources {
                assert!(
                    !bench.path(&format!("{}-{source}", who.name())).exists(),
                    "{mode} {who:?}"
                );
            }
            who.fsck(&bench.path(who.name()));
            commit
        });
        assert_eq!(commits[0], commits[1], "{mode}");
    }
}

/// Turns names of sources into options.
trait ToOptions {
    fn map_to_options(&self, who: Who) -> Vec<String>;
}

impl ToOptions for &[&str] {
    fn map_to_options(&self, who: Who) -> Vec<String> {
        let option = |source: &&str| format!("--tree=dir={}-{source}", who.name());
        self.iter().map(option).collect()
    }
}

#[test]
fn bare_repositories_take_consumed_files_over() {
    for (mode, taken) in [
        ("bare", true),
        ("bare-user-only", true),
        ("bare-user", false),
        ("archive", false),
    ] {
        let bench = Bench::of_mode(mode);
        Tree::at(&bench.path("tree"))
            .file("file", "content\n", 0o644)
            .owner("file", 0, 0);
        let inode = fs::metadata(bench.path("tree/file")).expect("our own file").ino();
        bench.ours(&["--consume", "tree"]);
        let objects = run(ostler_testkit::command::command("find")
            .arg(bench.path("ours/objects"))
            .args(["-type", "f"]));
        let mut inodes = objects
            .lines()
            .map(|path| fs::metadata(path).expect("just listed").ino());
        assert_eq!(inodes.any(|found| found == inode), taken, "{mode}");
        Who::Stock.fsck(&bench.path("ours"));
    }
}

#[test]
fn a_commit_that_fails_consumes_nothing() {
    let bench = Bench::new();
    tree::plain(&bench.path("tree"));
    let before = ostler_testkit::listing::listing(&bench.path("tree"));
    for options in [
        &["--bootable"][..],
        &["--tree=tar=nowhere"],
        &["--skip-list=skip"],
    ] {
        fs::write(bench.path("skip"), "/nowhere\n").expect("our own file");
        refused(&bench, &[&["--consume", "--tree=dir=tree"], options].concat());
        assert_eq!(
            ostler_testkit::listing::listing(&bench.path("tree")),
            before,
            "{options:?}"
        );
    }
}

#[test]
fn a_file_that_a_failed_commit_took_over_is_its_owners_again() {
    for mode in ["bare", "bare-user-only"] {
        let bench = Bench::of_mode(mode);
        bench.shell("mkdir tree && echo content >tree/file && cp -a tree other");
        refused(&bench, &["--consume", "--bootable", "tree"]);
        assert_eq!(
            fs::metadata(bench.path("tree/file"))
                .expect("our own file")
                .nlink(),
            1
        );
        let commit = bench.ours(&["other"]);
        bench.shell("printf changed! >tree/file");
        Who::Stock.fsck(&bench.path("ours"));
        let content = Who::Ours.run(&bench.path("ours"), &["cat", &commit, "/file"]);
        assert_eq!(content, "content\n", "{mode}");
    }
}

#[test]
fn an_editor_writes_the_message() {
    let bench = Bench::new();
    bench.shell("mkdir tree");
    let edit = |who: Who, text: &str, options: &[&str], variable: &str| {
        let script = bench.path("editor");
        let keep = if text.is_empty() { ":" } else { "cat text >\"$1\"" };
        fs::write(&script, format!("#!/bin/sh\ncp \"$1\" seen\n{keep}\n")).expect("our own file");
        fs::write(bench.path("text"), text).expect("our own file");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("our own file");
        let mut command = bench.commit(who);
        command.env("TERM", "xterm").env(variable, &script).args(options);
        let output = attempt(command.args(["--editor", "tree"]));
        let seen = fs::read_to_string(bench.path("seen")).expect("the editor ran");
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            seen,
        )
    };
    for text in [
        "",
        "Subject\n",
        "\n\n Subject  \n\n\nline one\n# comment\n\nline two \n #kept\n\n\n",
        "# nothing\n\n  \n",
        "One\nTwo",
    ] {
        for options in [&[][..], &["--subject=Given"], &["-s", "Given", "-m", "More"]] {
            for variable in ["EDITOR", "VISUAL", "OSTREE_EDITOR"] {
                let [stock, ours] = BOTH.map(|who| edit(who, text, options, variable));
                assert_eq!(ours, stock, "{text:?} {options:?} {variable}");
            }
        }
    }
    let mut command = bench.commit(Who::Ours);
    let output = attempt(command.env("TERM", "dumb").args(["-e", "tree"]));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Terminal is dumb, but EDITOR unset"));
    let mut command = bench.commit(Who::Ours);
    assert!(
        !attempt(command.env("EDITOR", "false").args(["-e", "tree"]))
            .status
            .success()
    );
}

#[test]
fn kernels_are_found_as_stock_finds_them() {
    let bench = Bench::new();
    bench.shell("mkdir tree");
    bench.both(&["--bootable", "tree"]).unwrap_err();
    bench.shell("mkdir -p tree/usr/lib/modules/6.1/kernel");
    bench.both(&["--bootable", "tree"]).unwrap_err();
    bench.shell("echo kernel >tree/usr/lib/modules/6.1/vmlinuz; ln -s 6.1 tree/usr/lib/modules/link");
    bench.same(&["--bootable", "tree"]);
    bench.same(&["--bootable", "--add-metadata-string=ostree.linux=mine", "tree"]);
    let base = bench.same(&["tree"]);
    bench.shell("mkdir more && echo more >more/file");
    bench.same(&["--bootable", &format!("--base={base}"), "more"]);
    // The order of the keys is that of a hash table.
    let mut options = vec!["--bootable".to_owned(), "tree".to_owned()];
    for number in 0..40 {
        options.push(format!("--add-metadata-string=key.{number}=value"));
        bench.same(&options);
    }
    bench.shell("mkdir tree/usr/lib/modules/6.2 && echo kernel >tree/usr/lib/modules/6.2/vmlinuz");
    bench.both(&["--bootable", "tree"]).unwrap_err();
}

#[test]
fn sizes_of_the_same_objects_are_the_same() {
    let bench = Bench::new();
    tree::assorted(&bench.path("tree"));
    // Stock composes what is decomposed in the names of archives.
    bench.shell("rm tree/names/e\u{301} && tar --format=pax -C tree -cf tree.tar .");
    for options in [
        &["tree"][..],
        &["--tree=tar=tree.tar", "--no-xattrs", "--owner-uid=0"],
    ] {
        // Compressed by one of them, the objects are the same in both repositories.
        let commit = run(bench.commit(Who::Stock).args(options)).trim().to_owned();
        let stock = bench.path("stock");
        let from = stock.to_str().expect("a name in UTF-8");
        run(Who::Stock
            .on(&bench.path("ours"))
            .args(["pull-local", from, &commit]));
        let sized = bench.same(&[&["--generate-sizes"], options].concat());
        assert_ne!(sized, commit);
        bench.same(&["--generate-sizes", &format!("--tree=ref={commit}")]);
    }
    // Only archives know.
    let bare = Bench::of_mode("bare");
    bare.shell("mkdir tree");
    assert_eq!(bare.same(&["--generate-sizes", "tree"]), bare.same(&["tree"]));
    // Of our own objects the sizes are those that they have.
    fs::write(bench.path("new"), vec![b'n'; 100_000]).expect("our own file");
    bench.shell("mkdir fresh && mv new fresh");
    let fresh = bench.ours(&["--generate-sizes", "fresh"]);
    let shown = StockRepo::open(&bench.path("ours")).run(&["show", "--print-sizes", &fresh]);
    assert!(shown.contains("Number of objects (needed/total): 0/3"), "{shown}");
}

#[test]
fn what_cannot_be_done_is_refused_in_words() {
    let bench = Bench::new();
    bench.shell("mkdir -p tree/etc/selinux plain && echo SELINUXTYPE=targeted >tree/etc/selinux/config");
    let labelled = bench.ours(&["tree"]);
    let labels = "labels of SELinux are not supported";
    for (options, word) in [
        (&["--sign=key", "plain"][..], "cannot read secret key of ed25519"),
        (
            &["--sign=key", "--sign-type=rsa", "plain"],
            "Requested signature type is not implemented",
        ),
        (&["--sign-from-file=key", "plain"], "cannot read keys from key"),
        (&["--generate-composefs-metadata", "plain"], "composefs"),
        (&["--selinux-policy=tree", "plain"], labels),
        (&["-P", "tree"], labels),
        (&["--selinux-policy-from-base", "--tree=dir=tree"], labels),
        (&["-P", &format!("--tree=ref={labelled}")], labels),
        (
            &["-P", "--tree=tar=x.tar"],
            "Cannot use --selinux-policy-from-base with tar",
        ),
        (&["-P", "--selinux-policy=plain", "plain"], "Cannot specify both"),
        (&["--selinux-policy=nowhere", "plain"], "opendir(nowhere)"),
        (
            &["--selinux-labeling-epoch=7", "plain"],
            "--selinux-labeling-epoch",
        ),
        (&["--tree=zip=x"], "Invalid tree type specification 'zip'"),
    ] {
        let said = refused(&bench, options);
        assert!(said.contains(word), "{options:?}: {said}");
    }
    let objects = run(Who::Stock.on(&bench.path("ours")).args(["fsck", "-q"]));
    assert!(!objects.contains("orrupt"), "{objects}");
    // Without a policy there is nothing to do.
    for options in [
        &["--selinux-policy=plain"][..],
        &["-P"],
        &["--sign-type=ed25519"],
        &["--gpg-homedir=x"],
    ] {
        bench.same(&[options, &["plain"]].concat());
    }
    bench.ours(&["--selinux-labeling-epoch=1", "plain"]);
}

#[test]
fn numbers_and_truth_values_are_read_as_by_stock() {
    let bench = Bench::new();
    bench.shell("mkdir plain && echo content >plain/file && chown -R 3:4 plain");
    let as_it_is = bench.same(&["plain"]);
    for (options, changes) in [
        (&["--owner-uid=0x10", "--owner-gid=010"][..], true),
        (&["--owner-uid= +7"], true),
        (&["--owner-uid=-1", "--owner-gid=-5"], false),
        (&["--fsync=FALSE"], false),
        (&["--fsync=None", "--disable-fsync"], false),
    ] {
        let commit = bench.same(&[options, &["plain"]].concat());
        assert_eq!(commit != as_it_is, changes, "{options:?}");
    }
    for options in [
        "--owner-uid=x",
        "--owner-uid=",
        "--owner-gid=4294967296",
        "--fsync=",
    ] {
        bench.both(&[options, "plain"]).expect_err(options);
    }
}

#[test]
fn an_orphan_on_a_branch_begins_its_history_anew() {
    let bench = Bench::new();
    bench.shell("mkdir plain");
    let outcomes = BOTH.map(|who| {
        let repo = bench.path(who.name());
        let commit = |options: &[&str]| {
            let mut command = who.on(&repo);
            let fixed = ["commit", "--fsync=false", "-b", "main"];
            run(command.current_dir(bench.path("")).args(fixed).args(options))
        };
        let first = commit(&["--timestamp=@1", "plain"]);
        let orphan = commit(&["--timestamp=@2", "--orphan", "plain"]);
        let again = commit(&["--timestamp=@3", "--orphan", "--skip-if-unchanged", "plain"]);
        let log = who.run(&repo, &["log", "main"]);
        (first, orphan, again, log)
    });
    let [stock, ours] = &outcomes;
    assert_eq!(ours, stock);
    assert_eq!(ours.3.matches("ContentChecksum").count(), 1, "{}", ours.3);
}

#[test]
fn a_fault_before_the_commit_leaves_what_was_staged() {
    for who in BOTH {
        let bench = Bench::new();
        bench.shell("mkdir plain && echo content >plain/file");
        let mut command = bench.commit(who);
        command
            .env("OSTREE_REPO_TEST_ERROR", "pre-commit")
            .env("OSTREE_BOOTID", "another-boot")
            .arg("plain");
        let output = attempt(&mut command);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains("OSTREE_REPO_TEST_ERROR_PRE_COMMIT"),
            "{said}"
        );
        let staged = fs::read_dir(bench.path(who.name()).join("tmp")).expect("our own directory");
        let staged = staged
            .map(|entry| entry.expect("just listed").file_name())
            .any(|name| name.to_string_lossy().starts_with("staging-another-boot-"));
        assert!(staged, "{who:?}");
    }
}

#[test]
fn checksums_of_files_are_those_of_their_objects() {
    let directory = tempfile::tempdir().expect("a directory");
    tree::assorted(&directory.path().join("tree"));
    let link = link(directory.path());
    let listing = ostler_testkit::listing::listing(&directory.path().join("tree"));
    let mut paths: Vec<String> = vec![
        "tree".into(),
        "tree/".into(),
        ".".into(),
        "/".into(),
        "nowhere".into(),
    ];
    paths.extend(
        listing
            .keys()
            .filter_map(|path| path.to_str())
            .map(|path| format!("tree/{path}")),
    );
    for path in paths
        .iter()
        .filter(|path| !path.contains(['\n', ' ', '~']))
        .take(60)
    {
        for options in ["", "--ignore-xattrs "] {
            let arguments = format!("checksum {options}{path}");
            let stock = ended("ostree", directory.path(), &arguments);
            assert_eq!(ended(&link, directory.path(), &arguments), stock, "{arguments}");
        }
    }
    for bad in ["checksum", "--repo=x checksum tree", "checksum /dev/null"] {
        assert_ne!(ended(&link, directory.path(), bad).code, Some(0), "{bad}");
    }
}
