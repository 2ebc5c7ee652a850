//! The tests that libostree installs (Debian's package `ostree-tests`), run with our binary in the place of `ostree`.
//!
//! Some of them need nothing but commands that we have: those see no other program. In the others a command or an
//! option that we lack is done by stock, in the same repositories, and all the rest by us.
//!
//! The scripts are run as they are installed, but for the words of error messages, and few other things that differ
//! on purpose: the table says what is looked for instead.

use crate::programs::OSTLER;
use ostler_testkit::command::{PATH, attempt, command, describe};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Where the scripts are.
const INSTALLED: &str = "/usr/libexec/installed-tests/libostree";

/// The home of `gpg` there. Each script makes a copy for itself, which a copy of a link would not be.
const KEYS: &str = "gpghome";
/// What several scripts have in common.
const SHARED: &[&str] = &["basic-test.sh", "pull-test.sh"];
/// No script takes longer, in seconds, however busy the machine is.
const LIMIT: &str = "500";

/// The one script that is not for the shell.
const CONCURRENCY: &str = "test-concurrency.py";

/// Sends what we lack to stock, and the rest to us.
const DISPATCHER: &str = r#"#!/bin/sh
stock=no command= sub= value=no
for word do
    if [ $value = yes ]; then value=no; continue; fi
    case $word in
        # At once: the scripts look at it through a pipe that is closed early. GnuPG takes long, and is not our work.
        --version) text=$(/usr/bin/ostree --version | grep -v gpgme); printf '%s\n' "$text"; exit ;;
        --repo) value=yes ;;
        @STOCK@) stock=yes ;;
        -*) ;;
        *) if [ -z "$command" ]; then command=$word; elif [ -z "$sub" ]; then sub=$word; fi ;;
    esac
done
[ "$command" != remote ] || command="remote-$sub"
case $command in
    @COMMANDS@) ;;
    *) stock=yes ;;
esac
[ $stock = no ] || exec /usr/bin/ostree "$@"
echo "$command" >> @LOG@
exec @OURS@ "$@"
"#;

/// The commands that are ours; those of `remote` with a `-` between.
const COMMANDS: &[&str] = &[
    "cat",
    "checkout",
    "checksum",
    "commit",
    "config",
    "create-usb",
    "diff",
    "export",
    "find-remotes",
    "fsck",
    "gpg-sign",
    "init",
    "log",
    "ls",
    "prune",
    "pull-local",
    "refs",
    "remote-add",
    "remote-delete",
    "remote-gpg-import",
    "remote-gpg-list-keys",
    "remote-list",
    "remote-show-url",
    "reset",
    "rev-parse",
    "show",
    "sign",
    "static-delta",
    "summary",
];

/// The options of those commands that we lack.
const OPTIONS: &[&str] = &["--selinux-*"];

/// Pairs of what a script looks for and what it is to look for instead.
type Words = &'static [(&'static str, &'static str)];

/// One script.
#[derive(Debug, Clone, Copy)]
struct Script {
    name: &'static str,
    /// How many checks it reports as passed.
    checks: usize,
    /// What it looks for, and what it is to look for instead.
    words: &'static [Words],
    /// Patterns of further words that send a command to stock.
    stock: &'static [&'static str],
}

impl Script {
    /// A script as it is.
    const fn new(name: &'static str, checks: usize) -> Self {
        Self {
            name,
            checks,
            words: &[],
            stock: &[],
        }
    }

    const fn words(self, words: &'static [Words]) -> Self {
        Self { words, ..self }
    }

    const fn stock(self, stock: &'static [&'static str]) -> Self {
        Self { stock, ..self }
    }
}

/// Copies a directory, with all in it, into another.
#[track_caller]
fn copy_directory(from: &Path, into: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, into]).status();
    assert!(copied.expect("cp").success(), "{}", from.display());
}

/// A place to run a script in.
struct Place {
    directory: TempDir,
}

impl Place {
    /// Lays the scripts out as they are installed, those that the words are in as copies.
    #[track_caller]
    fn new(script: Script) -> Self {
        let directory = TempDir::new().expect("a directory");
        let place = Self { directory };
        let scripts = place.path("installed-tests/libostree");
        for own in ["installed-tests/libostree", "bin", "work"] {
            fs::create_dir_all(place.path(own)).expect("our own directory");
        }
        // What they look for beside the commands is a web server.
        let httpd = place.path("libostree/ostree-trivial-httpd");
        fs::create_dir(place.path("libostree")).expect("our own directory");
        fs::write(&httpd, format!("#!/bin/sh\nexec {OSTLER} trivial-httpd \"$@\"\n")).expect("our own file");
        fs::set_permissions(&httpd, fs::Permissions::from_mode(0o755)).expect("our own file");
        let installed = fs::read_dir(INSTALLED).unwrap_or_else(|error| {
            panic!("{INSTALLED}: {error}; `cargo xtask test --only-install` installs what the tests need")
        });
        let mut unused: Vec<&str> = script.words.concat().iter().map(|(theirs, _)| *theirs).collect();
        for entry in installed {
            let path = entry.expect("a directory just opened").path();
            let name = path.file_name().expect("an entry has a name");
            let ours = name == script.name || SHARED.iter().any(|shared| name == *shared);
            let text = if ours {
                fs::read_to_string(&path).ok()
            } else {
                None
            };
            let mut text = text.unwrap_or_default();
            for (theirs, instead) in script.words.concat() {
                if text.contains(theirs) {
                    text = text.replace(theirs, instead);
                    unused.retain(|word| *word != theirs);
                }
            }
            if name == KEYS {
                copy_directory(&path, &scripts);
            } else if text.is_empty() {
                symlink(&path, scripts.join(name)).expect("our own link");
            } else {
                fs::write(scripts.join(name), text).expect("our own file");
            }
        }
        assert!(unused.is_empty(), "{} does not look for {unused:?}", script.name);
        place
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join(relative)
    }

    /// Runs a script and asserts that it ends well, with all its checks.
    #[track_caller]
    fn run(&self, script: Script) {
        let mut command = command("timeout");
        command
            .args(["--kill-after=10", LIMIT])
            .args(if script.name == CONCURRENCY {
                &["python3"][..]
            } else {
                &["bash", "-x"]
            })
            .arg(self.path("installed-tests/libostree").join(script.name))
            .current_dir(self.path("work"))
            .env("HOME", self.path("work"))
            .env("PATH", format!("{}:{PATH}", self.path("bin").display()));
        let output = attempt(&mut command);
        let printed = String::from_utf8_lossy(&output.stdout);
        let passed = printed.lines().filter(|line| line.starts_with("ok")).count();
        assert!(
            output.status.success() && passed == script.checks,
            "{passed} of {} checks: {}",
            script.checks,
            describe(&command, &output)
        );
    }
}

/// Runs a script with nothing but our binary.
#[track_caller]
fn alone(script: Script) {
    let place = Place::new(script);
    symlink(OSTLER, place.path("bin/ostree")).expect("our own link");
    place.run(script);
}

/// Runs a script with our binary, and stock for what it lacks.
#[track_caller]
fn with_stock(script: Script) {
    let place = Place::new(script);
    let log = place.path("ours.log");
    fs::create_dir(place.path("ours")).expect("our own directory");
    symlink(OSTLER, place.path("ours/ostree")).expect("our own link");
    let text = DISPATCHER
        .replace("@STOCK@", &[OPTIONS, script.stock].concat().join("|"))
        .replace("@COMMANDS@", &COMMANDS.join("|"))
        .replace("@LOG@", &log.display().to_string())
        .replace("@OURS@", &place.path("ours/ostree").display().to_string());
    let dispatcher = place.path("bin/ostree");
    fs::write(&dispatcher, text).expect("our own file");
    fs::set_permissions(&dispatcher, fs::Permissions::from_mode(0o755)).expect("our own file");
    place.run(script);
    assert!(Path::new(&log).exists(), "{} ran nothing of ours", script.name);
}

/// Makes a test of each line: with our binary `alone` or `with_stock`, the script, and how many checks it has.
macro_rules! scripts {
    ($($how:ident $test:ident $name:literal $checks:literal $(, $field:ident: $value:expr)*;)*) => {$(
        #[test]
        fn $test() {
            const SCRIPT: Script = Script::new($name, $checks)$(.$field($value))*;
            $how(SCRIPT);
        }
    )*};
}

scripts! {
    alone archives_of_files "test-libarchive.sh" 18;
    alone configuration "test-config.sh" 3;
    alone everything_in_bare_user "test-basic-user.sh" 96;
    alone everything_in_bare_user_only "test-basic-user-only.sh" 97;
    alone exports "test-export.sh" 5;
    alone ownership_in_bare_repositories "test-basic-root.sh" 1;
    alone times_of_commits "test-commit-timestamp.sh" 2;
    alone damage "test-corruption.sh" 9;
    alone deltas "test-delta.sh" 13;
    alone signed_deltas "test-delta-sign.sh" 7;
    alone commands_of_others "test-cli-extensions.sh" 2;
    alone gpg_signatures "test-gpg-signed-commit.sh" 9;
    alone help "test-help.sh" 1;
    alone keys_of_remotes "test-remote-gpg-list-keys.sh" 7;
    alone checks_of_bindings "test-fsck-collections.sh" 11;
    alone damage_deleted_and_healed "test-fsck-delete.sh" 6;
    alone repositories_of_collections "test-init-collections.sh" 1;
    alone depth_of_local_pulls "test-local-pull-depth.sh" 3;
    alone local_pulls "test-local-pull.sh" 8;
    alone local_pulls_of_hostile_trees "test-pull-untrusted.sh" 1;
    alone media "test-create-usb.sh" 5;
    alone many_at_once "test-concurrency.py" 2;
    alone parent_repositories "test-parent.sh" 2;
    alone prune_of_collections "test-prune-collections.sh" 2;
    alone remotes "test-remote-add.sh" 16;
    alone resets "test-reset-nonlinear.sh" 1;
    alone summaries_made_by_themselves "test-auto-summary.sh" 4;
    alone refs "test-refs.sh" 7;
    alone signatures "test-signed-commit.sh" 11;
    alone summaries "test-summary-update.sh" 2;
    alone pull_gone_on_with "test-pull-resume.sh" 1;
    alone pull_into_bare "test-pull-bare.sh" 38;
    alone pull_into_bare_user "test-pull-bareuser.sh" 38;
    alone pull_into_bare_user_only "test-pull-bareuseronly.sh" 38;
    alone pull_of_large_metadata "test-pull-large-metadata.sh" 1, words: &[&[
        // As much is taken, as by newer versions; in the end it is not what its name says.
        ("exceeded maximum", "Corrupted commit object"),
    ]];
    alone pull_of_mirrors "test-pull-mirror-summary.sh" 5;
    alone pull_of_signed_commits "test-commit-sign.sh" 7;
    alone pull_of_signed_summaries "test-pull-summary-sigs.sh" 10;
    alone pull_of_signed_summaries_of_all_kinds "test-signed-pull-summary.sh" 14, words: &[&[
        // A new summary carries the signatures of former ones on: without those the former summary does not fit it.
        (
            "cp ${test_tmpdir}/ostree-srv/gnomerepo/summary.sig{,.1}",
            "mv ${test_tmpdir}/ostree-srv/gnomerepo/summary.sig{,.1}",
        ),
    ]];
    alone remotes_found "test-find-remotes.sh" 1;

    with_stock archive_repositories "test-archivez.sh" 13;
    with_stock builds_of_a_system "test-demo-buildsystem.sh" 1;
    with_stock everything_in_bare "test-basic.sh" 90, words: &[RELABEL];
    with_stock partial_commits "test-oldstyle-partial.sh" 1;
    with_stock prune "test-prune.sh" 17;
    with_stock pull_depth "test-pull-depth.sh" 3;
    with_stock pull_into_bare_user_only_of_large_files "test-pull2-bareuseronly.sh" 1;
    with_stock pull_of_commits_alone "test-pull-commit-only.sh" 1;
    with_stock pull_of_damage "test-pull-corruption.sh" 3, stock: &["--untrusted"];
    with_stock pull_of_signatures "test-signed-pull.sh" 20;
    with_stock pull_of_subpaths "test-pull-subpath.sh" 4;
    with_stock pull_sizes "test-pull-sizes.sh" 3;
    with_stock pull_with_local_caches "test-pull-localcache.sh" 2;
    with_stock refs_of_collections "test-refs-collections.sh" 2;
    with_stock summaries_of_collections "test-summary-collections.sh" 1;
    with_stock summaries_viewed "test-summary-view.sh" 2;
}

/// Where no files have labels the script gives up: stock takes files over only where it reads their labels.
const RELABEL: Words = &[("skip_without_no_selinux_or_relabel", ":")];
