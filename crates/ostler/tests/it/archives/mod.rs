//! Archives as sources of commits, beside stock ostree: what GNU tar and cpio make of a tree gives the same commit with
//! both programs, and so do archives of an odd form.

mod damaged;
mod exported;
mod memory;
mod odd;

use crate::interop::{BOTH, Who};
use ostler_testkit::command::{attempt, command, describe, run};
use ostler_testkit::tree::Tree;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// An empty archive repository for each program, in a directory where archives are made.
pub(crate) struct Bench(TempDir);

impl Bench {
    pub(crate) fn new() -> Self {
        Self::of_mode("archive")
    }

    pub(crate) fn of_mode(mode: &str) -> Self {
        let bench = Self(TempDir::new().expect("a directory"));
        for who in BOTH {
            who.init(&bench.path(who.name()), mode);
        }
        bench
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// Runs a command of the shell in the directory.
    #[track_caller]
    pub(crate) fn shell(&self, line: &str) {
        run(command("bash").args(["-ec", line]).current_dir(self.0.path()));
    }

    /// Returns `commit` to no branch, at a fixed time.
    pub(crate) fn commit(&self, who: Who) -> Command {
        let mut command = who.on(&self.path(who.name()));
        command.current_dir(self.0.path());
        command.args(["commit", "--fsync=false", "--timestamp=@1700000000", "--orphan"]);
        command
    }

    /// Commits with both programs; they must end alike. Returns the commit, or what we say is wrong.
    #[track_caller]
    pub(crate) fn both<S: AsRef<OsStr>>(&self, options: &[S]) -> Result<String, String> {
        let [stock, ours] = BOTH.map(|who| {
            let mut command = self.commit(who);
            let output = attempt(command.args(options));
            // Some of what cannot be overlaid ends stock by an assertion of its own.
            let by_itself = who == Who::Stock || output.status.code().is_some();
            assert!(by_itself, "{}", describe(&command, &output));
            let said = describe(&command, &output);
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
            if output.status.success() {
                (Ok(text(&output.stdout)), said)
            } else {
                (Err(text(&output.stderr)), said)
            }
        });
        assert_eq!(
            ours.0.as_ref().ok(),
            stock.0.as_ref().ok(),
            "{}\n{}",
            stock.1,
            ours.1
        );
        ours.0
    }

    /// Commits with both programs, which must succeed.
    #[track_caller]
    pub(crate) fn same<S: AsRef<OsStr>>(&self, options: &[S]) -> String {
        self.both(options).expect("both succeed")
    }

    /// Commits with us alone, which must succeed.
    #[track_caller]
    pub(crate) fn ours(&self, options: &[&str]) -> String {
        run(self.commit(Who::Ours).args(options)).trim().to_owned()
    }
}

/// Makes a tree of what archives can hold: long names, links, modes, attributes, sizes around those of blocks.
#[track_caller]
fn assorted(root: &Path) -> Tree {
    let tree = Tree::at(root);
    for size in [
        0, 1, 31, 32, 511, 512, 513, 4095, 4096, 4097, 65535, 65536, 65537, 300_000, 2_500_000,
    ] {
        tree.file(&format!("sizes/{size}"), vec![b's'; size], 0o644);
    }
    let long = format!("long/{}/{}", "d".repeat(150), "f".repeat(150));
    tree.file(&long, "long\n", 0o640)
        .symlink("long/link", &"t/".repeat(100))
        .hard_link(&format!("long/{}", "h".repeat(120)), &long)
        .file("modes/all", "x", 0o7777)
        .file("modes/none", "x", 0)
        .dir("modes/sticky", 0o1777)
        .symlink("links/dangling", "../nowhere")
        .file("links/one", "linked\n", 0o755)
        .hard_link("links/two", "links/one")
        .hard_link("modes/three", "links/one")
        .hard_link("sizes/large", "sizes/2500000")
        .file("names/größe", "utf-8", 0o644)
        .file("names/a b\nc", "odd", 0o644)
        .symlink("names/ä", "größe")
        .file("attributes/file", "x", 0o644)
        .xattr("attributes/file", "user.binary", b"\x00\n\xff=1 2\n")
        .dir("attributes/directory", 0o750)
        .xattr("attributes/directory", "user.long", &[b'v'; 1000])
        .dir("empty", 0o700);
    tree
}

#[test]
fn every_form_that_tar_writes_gives_the_commit_of_stock() {
    let bench = Bench::new();
    assorted(&bench.path("tree"));
    let whole = bench.same(&["--no-xattrs", "tree"]);
    for form in ["gnu", "pax", "oldgnu"] {
        bench.shell(&format!("tar --format={form} --xattrs -C tree -cf {form}.tar ."));
        let tree = format!("--tree=tar={form}.tar");
        assert_eq!(bench.same(&[&tree, "--no-xattrs"]), whole, "{form}");
        bench.same(&[&tree, "--owner-uid=5"]);
    }
    assert_eq!(bench.same(&["--tree=tar=pax.tar"]), bench.same(&["tree"]));
    // Neither of these holds long names.
    bench.shell("rm -r tree/long tree/attributes");
    let short = bench.same(&["tree"]);
    for form in ["ustar", "v7"] {
        bench.shell(&format!("tar --format={form} -C tree -cf {form}.tar ."));
        assert_eq!(bench.same(&[&format!("--tree=tar={form}.tar")]), short, "{form}");
    }
    bench.shell("cd tree && find . -print0 | cpio -0 -o -H newc >../newc.cpio 2>/dev/null");
    assert_eq!(bench.same(&["--tree=tar=newc.cpio"]), short);
}

#[test]
fn compression_makes_no_difference() {
    let bench = Bench::new();
    assorted(&bench.path("tree"));
    bench.shell("tar -C tree -cf plain.tar . && gzip -k plain.tar && xz -k plain.tar && zstd -q plain.tar");
    bench.shell("(head -c 100000 plain.tar | gzip; tail -c +100001 plain.tar | gzip) >two.tar.gz");
    bench.shell("bzip2 -k plain.tar");
    let plain = bench.same(&["--tree=tar=plain.tar"]);
    for name in ["plain.tar.gz", "plain.tar.xz", "plain.tar.zst", "two.tar.gz"] {
        assert_eq!(bench.same(&[&format!("--tree=tar={name}")]), plain, "{name}");
        let mut command = bench.commit(Who::Ours);
        let file = fs::File::open(bench.path(name)).expect("our own file");
        assert_eq!(
            run(command.arg("--tree=tar=-").stdin(file)).trim(),
            plain,
            "{name}"
        );
    }
    let refused = attempt(bench.commit(Who::Ours).arg("--tree=tar=plain.tar.bz2"));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("archives of bzip2"));
}

#[test]
fn holes_of_sparse_files_are_zeros() {
    let bench = Bench::new();
    bench.shell("mkdir tree && cd tree && truncate -s 3M middle end && truncate -s 5000000 many");
    bench.shell("cd tree && printf data | dd of=middle bs=4096 seek=100 conv=notrunc status=none");
    bench.shell("cd tree && printf data | dd of=end bs=1M seek=3 conv=notrunc status=none");
    bench.shell("cd tree && for n in $(seq 0 60); do echo $n | dd of=many bs=8192 seek=$((n*9)) conv=notrunc status=none; done");
    let dense = bench.same(&["tree"]);
    bench.shell("tar --sparse --format=gnu -C tree -cf gnu.tar .");
    for version in ["0.0", "0.1", "1.0"] {
        bench.shell(&format!(
            "tar --sparse --format=pax --sparse-version={version} -C tree -cf pax-{version}.tar ."
        ));
    }
    for name in ["gnu.tar", "pax-0.0.tar", "pax-0.1.tar", "pax-1.0.tar"] {
        assert!(
            fs::metadata(bench.path(name)).expect("our own file").len() < 2 << 20,
            "{name} is not sparse"
        );
        assert_eq!(bench.same(&[&format!("--tree=tar={name}")]), dense, "{name}");
    }
    // Of a file that is one hole stock keeps nothing.
    bench.shell("truncate -s 700000 tree/hole && tar --sparse -C tree -cf hole.tar .");
    assert_eq!(bench.ours(&["--tree=tar=hole.tar"]), bench.ours(&["tree"]));
}

#[test]
fn every_mode_of_repository_takes_archives() {
    for mode in ["bare", "bare-user", "bare-user-only"] {
        let bench = Bench::of_mode(mode);
        assorted(&bench.path("tree"));
        bench.shell("chmod 755 tree/modes/* && tar --format=pax -C tree -cf tree.tar .");
        bench.same(&["--tree=tar=tree.tar"]);
        for who in BOTH {
            who.fsck(&bench.path("ours"));
        }
    }
}

#[test]
fn options_change_what_an_archive_brings() {
    let bench = Bench::new();
    assorted(&bench.path("tree"));
    bench.shell("tar --format=pax --xattrs -C tree -cf tree.tar .");
    bench.shell("tar -C tree -cf part.tar links/one modes/three sizes/32");
    bench.shell("tar -C tree -cf none.tar -T /dev/null");
    bench.shell("printf '=448 /modes\\n2048 /modes/none\\n=292 /links/two\\n5 /empty\\n1 /\\n' >modes");
    bench.shell("printf '/sizes/512\\n/empty\\n/links/two\\n/modes/none\\n' >skip");
    bench.shell("printf '/modes\\n' >skip-directory; printf '/nowhere\\n' >skip-nothing");
    let cases: &[&[&str]] = &[
        &["--owner-uid=7", "--owner-gid=8"],
        &["--canonical-permissions"],
        &["--mode-ro-executables", "--no-xattrs"],
        &["--statoverride=modes"],
        &["--skip-list=skip"],
        &["--skip-list=skip-directory"],
        &["--skip-list=skip-directory", "--tar-autocreate-parents"],
        &["--skip-list=skip-nothing"],
        &["--table-output"],
        &["--tree=dir=tree"],
        &["--tree=tar=part.tar", "--tree=tar=tree.tar"],
        &["--skip-if-unchanged"],
    ];
    for case in cases {
        let _either = bench.both(&[&["--tree=tar=tree.tar"], *case].concat());
    }
    for name in ["part.tar", "none.tar"] {
        for case in [
            &[][..],
            &["--owner-uid=7"],
            &["--statoverride=modes"],
            &["--canonical-permissions"],
        ] {
            let tree = format!("--tree=tar={name}");
            let without = [&[tree.as_str()], case].concat();
            let _either = bench.both(&without);
            let _either = bench.both(&[&without[..], &["--tar-autocreate-parents"]].concat());
        }
    }
}

#[test]
fn paths_are_changed_by_the_filter_as_by_stock() {
    let bench = Bench::new();
    assorted(&bench.path("tree"));
    bench.shell("tar -C tree -cf tree.tar .");
    for filter in [
        "^nosuchfile/,nootherfile/",
        "^,foo/",
        "^links/,usr/links/",
        "links,l",
        "(.)o,\\1\\0",
        "$,x",
        "^$,root",
        "e(?=s),\\U\\0",
        "(?<name>links),\\g<name>.\\g<0>",
        "links/,../",
        "^,/",
        "z,\\x41\\t",
        "one,three/four",
    ] {
        let filter = format!("--tar-pathname-filter={filter}");
        let _either = bench.both(&["--tree=tar=tree.tar", &filter]);
        let _either = bench.both(&["--tree=tar=tree.tar", &filter, "--tar-autocreate-parents"]);
    }
    for bad in ["links", "(,x"] {
        let filter = format!("--tar-pathname-filter={bad}");
        assert!(bench.both(&["--tree=tar=tree.tar", &filter]).is_err(), "{bad}");
    }
}
