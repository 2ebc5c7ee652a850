//! `remote` beside stock: the same arguments leave the same configuration, print the same and end alike.

use crate::programs::{OSTLER, ended, link, ostler};
use ostler_testkit::command::{attempt, command, run};
use ostler_testkit::stock::StockRepo;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const CORE: &str = "[core]\nrepo_version=1\nmode=archive-z2\n";

/// Makes `repo` with one remote in it, whose parent `parent` has another two.
fn prepare(directory: &Path) {
    fs::create_dir_all(directory).expect("our own directory");
    StockRepo::init(&directory.join("parent"), "archive");
    StockRepo::init(&directory.join("repo"), "archive");
    let parent =
        format!("{CORE}\n[remote \"above\"]\nurl=http://above\n\n[remote \"both\"]\nurl=http://parent\n");
    fs::write(directory.join("parent/config"), parent).expect("our own file");
    let own = format!(
        "{CORE}parent={}/parent\n\n[remote \"both\"]\nmetalink=http://own\n",
        directory.display()
    );
    fs::write(directory.join("repo/config"), own).expect("our own file");
}

/// The configuration, wherever it is.
fn config(directory: &Path) -> String {
    let text = fs::read_to_string(directory.join("repo/config")).expect("a configuration");
    text.replace(&directory.display().to_string(), "")
}

/// What a program printed as its error, without its usage.
fn message(program: &Path, directory: &Path, arguments: &str) -> String {
    let mut command = command(program);
    command.current_dir(directory).args(
        arguments
            .split(' ')
            .filter(|word| !word.is_empty())
            .map(|word| word.replace('~', " ")),
    );
    let printed = String::from_utf8(attempt(&mut command).stderr).expect("text");
    let error = printed.lines().find(|line| line.starts_with("error: "));
    error.unwrap_or_default().to_owned()
}

/// Runs the steps, which are arguments of `remote`, with each program in a directory of its own.
#[track_caller]
fn compare(steps: &[&str]) {
    let directory = TempDir::new().expect("a directory");
    let link = link(directory.path());
    let programs: [(&str, &Path); 3] = [
        ("stock", Path::new("/usr/bin/ostree")),
        ("linked", &link),
        ("own", Path::new(OSTLER)),
    ];
    for (name, _) in programs {
        prepare(&directory.path().join(name));
    }
    for step in steps {
        let step = format!("remote {step} --repo=repo");
        let [stock, linked, mut own] =
            programs.map(|(name, program)| ended(program, &directory.path().join(name), &step));
        assert_eq!(linked, stock, "as ostree: {step}");
        if own.code == Some(2) {
            own.code = Some(1);
        }
        assert_eq!(own, stock, "as ostler: {step}");
        let [stock, linked, own] = programs.map(|(name, _)| config(&directory.path().join(name)));
        assert_eq!(linked, stock, "after, as ostree: {step}");
        assert_eq!(own, stock, "after, as ostler: {step}");
    }
}

#[test]
fn remotes_are_added_with_the_bytes_of_stock() {
    compare(&[
        "add plain http://x",
        "add branched http://x b1 b~2 b;3 ~b4",
        "add meta metalink=http://x b",
        "add mirrors mirrorlist=http://x",
        "add mirrors2 mirrorlist=http://x --set=url=http://y",
        "add empty metalink=",
        "add all --custom-backend=cb --collection-id=org.example.One --sign-verify=dummy=inline:a \
         --no-gpg-verify --set=k=v --set=k=w --contenturl=c http://u b1 b2",
        "add over --set=custom-backend=q --custom-backend=cb --set=sign-verify=q --set=branches=q \
         --sign-verify=dummy=file:a --set=collection-id=q --collection-id=org.example.Two --set=gpg-verify=yes \
         --no-gpg-verify --set=contenturl=q --contenturl=c http://u b1 b2",
        "add spaces --set=sp=~~lead;x --set=a~b=\tv\\ http://u~~x\\",
        "add no-gpg --no-gpg-verify u",
        "add no-sign --no-sign-verify u",
        "add neither --no-sign-verify --no-gpg-verify u",
        "add no-sign-over --no-sign-verify --set=sign-verify=q u",
        "add keys --sign-verify=dummy=inline:a --sign-verify=dummy=inline:b --sign-verify=dummy=file:c u",
        "add keys-empty --sign-verify=dummy=inline: u",
        "add keys-odd --sign-verify=dummy=file:=a:b u",
        "add --set=k= 9._a-b u",
        "add é u",
        "add --custom-backend=cb backed",
        "add --custom-backend=cb --no-sign-verify --set=k=v backed2",
        "--no-gpg-verify --set=k=v add early u",
        "list",
    ]);
}

#[test]
fn what_stock_refuses_is_refused() {
    compare(&[
        "",
        "bogus",
        "add",
        "add a",
        "add both http://x",
        "add --if-not-exists --force both http://x",
        "add --no-sign-verify --sign-verify=dummy=inline:x a u",
        "add --sign-verify=rsa=inline:x a u",
        "add --sign-verify=dummy a u",
        "add --sign-verify=dummy=other:x a u",
        "add --set=word a u",
        "add --nonsense a u",
        "add ../x u",
        "add a/b u",
        "add .b u",
        "add a+b u",
        "add a@b u",
        "add a: u",
        "add g~h u",
        "add --if-not-exists g~h u",
        "delete",
        "delete absent",
        "delete above",
        "delete ../x",
        "delete --if-exists ../x",
        "show-url",
        "show-url absent",
        "show-url g~h",
    ]);
}

#[test]
fn remotes_are_kept_replaced_and_deleted_as_by_stock() {
    compare(&[
        "add a u",
        "add b v branch --set=own=setting",
        "add c w",
        "add --if-not-exists b other",
        "add --if-not-exists d x",
        "add --force b other",
        "add --force e y",
        "delete a",
        "delete --if-exists a",
        "delete a",
        "list --show-urls",
        "delete e",
        "delete c",
        "delete both",
        "delete b",
        "delete d",
        "list",
    ]);
}

#[test]
fn remotes_of_parents_are_listed_and_not_changed() {
    compare(&[
        "list",
        "list -u",
        "show-url above",
        "show-url both",
        "show-url file:///srv/repo",
        "show-url http://above",
        "delete above",
        "add above http://mine",
        "show-url above",
        "list -u",
        "delete above",
        "show-url above",
        "add without metalink=x",
        "add xenon u",
        "show-url without",
        "list -u",
        "list",
    ]);
}

#[test]
fn messages_are_those_of_stock() {
    let directory = TempDir::new().expect("a directory");
    prepare(directory.path());
    for step in [
        "add both http://x",
        "add --if-not-exists --force both http://x",
        "add --no-sign-verify --sign-verify=dummy=inline:x a u",
        "add --sign-verify=rsa=inline:x a u",
        "add --sign-verify=dummy a u",
        "add --sign-verify=dummy=other:x a u",
        "add --set=word a u",
        "add g~h u",
        "delete absent",
        "show-url absent",
    ] {
        let step = format!("remote {step} --repo=repo");
        let stock = message(Path::new("/usr/bin/ostree"), directory.path(), &step);
        let own = message(Path::new(OSTLER), directory.path(), &step);
        assert!(!stock.is_empty(), "{step}");
        assert!(own.starts_with(&stock), "{step}: {own:?}, stock {stock:?}");
    }
}

#[test]
fn comments_and_unknown_keys_survive_every_change() {
    let directory = TempDir::new().expect("a directory");
    prepare(directory.path());
    let path = directory.path().join("repo/config");
    let before = format!(
        "# top\n{CORE}# ours\nunknown=1\n\n[other]\nk=v\n\n# of a\n[remote \"a\"]\nurl=u\n# in a\n\n# of b\n[remote \"b\"]\nurl=v\nxa.title=B"
    );
    fs::write(&path, &before).expect("our own file");
    for arguments in [
        &["add", "new", "http://x"][..],
        &["delete", "new"],
        &["delete", "a"],
    ] {
        run(ostler(directory.path())
            .args(["--repo=repo", "remote"])
            .args(arguments));
    }
    let after = before.replace("[remote \"a\"]\nurl=u\n# in a\n\n", "") + "\n";
    assert_eq!(config(directory.path()), after);
}

#[test]
fn a_deleted_remote_loses_its_keyring_and_keeps_its_refs_as_with_stock() {
    let left = ["/usr/bin/ostree", OSTLER].map(|program| {
        let directory = TempDir::new().expect("a directory");
        prepare(directory.path());
        let repo = directory.path().join("repo");
        let stock = StockRepo::open(&repo);
        fs::create_dir(directory.path().join("tree")).expect("our own directory");
        stock.commit_with("main", &directory.path().join("tree"), &[]);
        stock.run(&["refs", "--create=both:main", "main"]);
        for file in [
            "both.trustedkeys.gpg",
            "both.cookies.txt",
            "other.trustedkeys.gpg",
        ] {
            fs::write(repo.join(file), "").expect("our own file");
        }
        let replaced = ended(program, directory.path(), "remote add --force both u --repo=repo");
        assert_eq!(replaced.code, Some(0));
        assert!(repo.join("both.trustedkeys.gpg").exists(), "{program}");
        let deleted = ended(program, directory.path(), "remote delete both --repo=repo");
        assert_eq!(deleted.code, Some(0));
        [
            "both.trustedkeys.gpg",
            "both.cookies.txt",
            "other.trustedkeys.gpg",
            "refs/remotes/both/main",
        ]
        .map(|file| repo.join(file).exists())
    });
    assert_eq!(left[0], [false, true, true, true]);
    assert_eq!(left[1], left[0]);
}

#[test]
fn what_cannot_be_done_as_asked_changes_nothing() {
    let directory = TempDir::new().expect("a directory");
    prepare(directory.path());
    let before = config(directory.path());
    for arguments in [
        "add --gpg-import=keys a u",
        "add --sysroot=/ a u",
        "add --set==v a u",
        "add --set=a]b=v a u",
        "add --set=#k=v a u",
        "add --sign-verify=dummy=inline a u",
        "add --force --set==v both u",
    ] {
        let arguments = format!("remote {arguments} --repo=repo");
        assert_ne!(
            ended(OSTLER, directory.path(), &arguments).code,
            Some(0),
            "{arguments}"
        );
        assert_eq!(config(directory.path()), before, "{arguments}");
    }
    let refused = message(
        Path::new(OSTLER),
        directory.path(),
        "remote add --gpg-import=keys a u --repo=repo",
    );
    assert!(refused.contains("cannot read keys from keys"), "{refused}");
}

#[test]
fn needless_arguments_are_ignored_by_the_name_of_stock_only() {
    let directory = TempDir::new().expect("a directory");
    prepare(directory.path());
    for arguments in ["list extra", "show-url above extra", "delete both extra"] {
        let arguments = format!("--repo=repo remote {arguments}");
        assert_eq!(
            ended(OSTLER, directory.path(), &arguments).code,
            Some(2),
            "{arguments}"
        );
        let linked = ended(link(directory.path()), directory.path(), &arguments);
        assert_eq!(linked.code, Some(0), "{arguments}");
    }
}

#[test]
fn keys_that_this_build_of_stock_lacks_are_written_for_the_others() {
    let directory = TempDir::new().expect("a directory");
    prepare(directory.path());
    let arguments = "remote add --sign-verify=ed25519=file:/k --sign-verify=spki=inline:a a u --repo=repo";
    assert_eq!(ended(OSTLER, directory.path(), arguments).code, Some(0));
    let added = "[remote \"a\"]\nurl=u\nverification-ed25519-file=/k\nverification-spki-key=a\nsign-verify=ed25519,spki\n";
    assert!(config(directory.path()).ends_with(added));
}

#[test]
fn json_names_every_remote_also_without_url() {
    let directory = TempDir::new().expect("a directory");
    prepare(directory.path());
    let run = |arguments: &str| ended(OSTLER, directory.path(), arguments).stdout;
    run("--repo=repo remote add meta metalink=x");
    let listed = "{\"name\":\"above\",\"url\":\"http://above\"}\n{\"name\":\"both\",\"url\":\"http://parent\"}\n{\"name\":\"meta\",\"url\":null}\n";
    assert_eq!(run("--repo=repo --json remote list"), listed);
    let shown = "{\"name\":\"above\",\"url\":\"http://above\"}\n";
    assert_eq!(run("--repo=repo --json remote show-url above"), shown);
}

#[test]
fn remotes_added_at_the_same_time_are_all_there() {
    let directory = TempDir::new().expect("a directory");
    prepare(directory.path());
    std::thread::scope(|scope| {
        for number in 0..8 {
            let arguments = format!("remote add r{number} u --repo=repo");
            let path = directory.path();
            scope.spawn(move || assert_eq!(ended(OSTLER, path, &arguments).code, Some(0)));
        }
    });
    let listed = ended(OSTLER, directory.path(), "--repo=repo remote list").stdout;
    assert_eq!(listed.lines().filter(|name| name.starts_with('r')).count(), 8);
}

/// What is configured in a system: the group of each remote, wherever it is, and the files that there are.
fn configured(sysroot: &Path) -> Vec<(String, String)> {
    let mut files = vec![sysroot.join("ostree/repo/config")];
    let beside = fs::read_dir(sysroot.join("etc/ostree/remotes.d")).expect("our own directory");
    files.extend(beside.map(|entry| entry.expect("just listed").path()));
    files.sort();
    let read = |path: &Path| fs::read_to_string(path).expect("text").trim_end().to_owned();
    let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), read(path))).collect()
}

#[test]
fn remotes_of_a_system_are_those_beside_its_repository_too() {
    let directory = TempDir::new().expect("a directory");
    let link = link(directory.path());
    let programs: [(&str, &Path); 3] = [
        ("stock", Path::new("/usr/bin/ostree")),
        ("linked", &link),
        ("own", Path::new(OSTLER)),
    ];
    for (name, _) in programs {
        let sysroot = directory.path().join(name).join("sys");
        fs::create_dir_all(sysroot.join("etc/ostree/remotes.d")).expect("our own directory");
        let _printed = run(command("ostree").args(["admin", "init-fs"]).arg(&sysroot));
        let beside = sysroot.join("etc/ostree/remotes.d");
        fs::write(beside.join("one.conf"), "[remote \"one\"]\nurl=http://one\n").expect("our own file");
        fs::write(beside.join("two.conf"), "[remote \"two\"]\nurl=http://two\n").expect("our own file");
        fs::write(beside.join("other.txt"), "[remote \"no\"]\nurl=http://no\n").expect("our own file");
    }
    for step in [
        "add --sysroot=sys new http://new",
        "add --sysroot=sys new http://again",
        "add --sysroot=sys one http://again",
        "add --sysroot=sys --if-not-exists one http://again",
        "add --sysroot=sys --force one http://other b1",
        "add --sysroot=sys no http://x",
        "delete --sysroot=sys nothing",
        "delete --sysroot=sys --if-exists nothing",
        "delete --sysroot=sys two",
        "add --repo=sys/ostree/repo two http://own",
        "delete --sysroot=sys two",
        "list --repo=sys/ostree/repo",
        "add --sysroot=nowhere x http://x",
    ] {
        let step = format!("remote {step}");
        let [stock, linked, own] =
            programs.map(|(name, program)| ended(program, &directory.path().join(name), &step));
        assert_eq!((&linked, &own), (&stock, &stock), "{step}");
        let [stock, linked, own] =
            programs.map(|(name, _)| configured(&directory.path().join(name).join("sys")));
        assert_eq!(linked, stock, "after, as ostree: {step}");
        assert_eq!(own, stock, "after, as ostler: {step}");
    }
    let said = message(
        Path::new(OSTLER),
        &directory.path().join("own"),
        "remote add --sysroot=sys one http://again",
    );
    assert!(
        said.contains("already exists: sys/etc/ostree/remotes.d/one.conf"),
        "{said}"
    );
}

#[test]
fn new_remotes_go_beside_the_repository_where_it_says_so() {
    let directory = TempDir::new().expect("a directory");
    let sysroot = directory.path().join("sys");
    let beside = sysroot.join("etc/ostree/remotes.d");
    fs::create_dir_all(&beside).expect("our own directory");
    fs::create_dir_all(sysroot.join("ostree")).expect("our own directory");
    StockRepo::init(&sysroot.join("ostree/repo"), "bare");
    let both = "[remote \"b\"]\nurl=u\n\n[remote \"c\"]\nurl=v\n";
    fs::write(beside.join("both.conf"), both).expect("our own file");
    let run = |arguments: &str| {
        let outcome = ended(OSTLER, directory.path(), arguments);
        assert_eq!(outcome.code, Some(0), "{arguments}");
    };
    run("--repo=sys/ostree/repo config set core.add-remotes-config-dir true");
    let before = fs::read(sysroot.join("ostree/repo/config")).expect("a configuration");
    run("remote add --sysroot=sys a http://a x");
    let written = fs::read_to_string(beside.join("a.conf")).expect("the remote's own file");
    assert_eq!(written.trim_end(), "[remote \"a\"]\nurl=http://a\nbranches=x;");
    // Another remote of the same file stays; a file without remotes goes.
    run("remote delete --sysroot=sys b");
    let left = fs::read_to_string(beside.join("both.conf")).expect("the other remote");
    assert_eq!(left.trim(), "[remote \"c\"]\nurl=v");
    run("remote delete --sysroot=sys c");
    assert!(!beside.join("both.conf").exists());
    assert_eq!(
        fs::read(sysroot.join("ostree/repo/config")).expect("a configuration"),
        before
    );
    fs::write(beside.join("broken.conf"), "no key file").expect("our own file");
    let refused = message(
        Path::new(OSTLER),
        directory.path(),
        "remote delete --sysroot=sys a",
    );
    assert!(refused.contains("broken.conf"), "{refused}");
}

#[test]
fn a_collection_that_is_none_is_refused_when_the_remote_is_added() {
    let directory = TempDir::new().unwrap();
    prepare(directory.path());
    let before = config(directory.path());
    let arguments = "--repo=repo remote add --collection-id=bad/id new http://new";
    assert!(message(Path::new(OSTLER), directory.path(), arguments).contains("bad/id"));
    assert_eq!(config(directory.path()), before);

    // Stock takes it.
    let linked = ended(link(directory.path()), directory.path(), arguments);
    assert_eq!(linked.code, Some(0));
    assert!(config(directory.path()).contains("collection-id=bad/id"));
}
