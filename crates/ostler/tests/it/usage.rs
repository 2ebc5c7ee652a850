//! Names, statuses, help, completions.

use crate::fixture;
use crate::programs::{OSTLER, ended, link, ostler};
use ostler_testkit::command::{PATH, attempt, command, fail, run};
use ostler_testkit::tree::Tree;
use snapbox::str;
use std::fs;
use std::path::Path;
use std::process::Stdio;

#[test]
fn bad_usage_is_2_and_under_the_stock_name_1() {
    let directory = tempfile::tempdir().unwrap();
    let link = link(directory.path());
    for arguments in [
        "",
        "frobnicate",
        "refs --frobnicate",
        "--repo=nowhere commit",
        "commit tree",
        "rev-parse --frobnicate",
        "completions nonsense",
        "init --mode=nonsense",
    ] {
        assert_eq!(
            ended(OSTLER, directory.path(), arguments).code,
            Some(2),
            "{arguments}"
        );
        assert_eq!(
            ended(&link, directory.path(), arguments).code,
            Some(1),
            "{arguments}"
        );
    }
}

#[test]
fn failures_are_1_under_both_names() {
    let directory = tempfile::tempdir().unwrap();
    let link = link(directory.path());
    for arguments in ["--repo=nowhere refs", "refs", "--repo=nowhere ls main"] {
        assert_eq!(
            ended(OSTLER, directory.path(), arguments).code,
            Some(1),
            "{arguments}"
        );
        assert_eq!(
            ended(&link, directory.path(), arguments).code,
            Some(1),
            "{arguments}"
        );
    }
}

#[test]
fn the_version_under_the_stock_name_is_what_scripts_read() {
    let directory = tempfile::tempdir().unwrap();
    let printed = run(command(link(directory.path())).arg("--version"));
    let version = printed.lines().nth(1).unwrap();
    assert!(printed.starts_with("libostree:\n"), "{printed}");
    assert_eq!(version, " Version: '2022.7'");
    assert_eq!(
        ended(OSTLER, directory.path(), "--version").stdout,
        "ostler 0.1.0\n"
    );
    assert_eq!(
        ended(OSTLER, directory.path(), "refs --version").stdout,
        "ostler 0.1.0\n"
    );
}

/// Returns the commands that a help lists.
fn commands(help: &str) -> Vec<&str> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty() && *name != "help")
        .collect()
}

#[test]
fn every_command_has_help_with_examples() {
    let directory = tempfile::tempdir().unwrap();
    let help = run(ostler(directory.path()).arg("--help"));
    let commands = commands(&help);
    assert!(commands.len() > 10, "{help}");
    for name in commands {
        let help = run(ostler(directory.path()).args([name, "--help"]));
        assert!(help.contains("Examples:\n  ostler "), "{name}: {help}");
    }
}

#[test]
fn what_is_no_command_of_ours_is_a_program_in_path() {
    let directory = tempfile::tempdir().unwrap();
    let programs = Tree::at(&directory.path().join("programs"));
    programs
        .file("ostree-show", "#!/bin/sh\necho never\n", 0o755)
        .file("ostree-tell", "#!/bin/sh\nprintf '%s\\n' \"$@\"\nexit 7\n", 0o755)
        .file("ostree-broken", "no program\n", 0o644);
    let path = format!("{}:{PATH}", programs.path().display());
    let link = link(directory.path());
    for name in [Path::new(OSTLER), &link] {
        let run = |arguments: &[&str]| attempt(command(name).env("PATH", &path).args(arguments));
        let told = run(&["--repo=x", "tell", "-x", "two words"]);
        assert_eq!(told.status.code(), Some(7));
        let printed = String::from_utf8_lossy(&told.stdout);
        assert_eq!(
            printed, "--repo=x\ntell\n-x\ntwo words\n",
            "all arguments as they are"
        );
        let own = run(&["show"]);
        assert!(!String::from_utf8_lossy(&own.stdout).contains("never"));
        for (arguments, words) in [
            (&["broken"][..], "Executing ostree-broken: Permission denied"),
            (&["programs/ostree-tell"], "programs/ostree-tell'"),
        ] {
            let refused = run(arguments);
            let printed = String::from_utf8_lossy(&refused.stderr);
            assert!(printed.contains(words), "{printed}");
        }
    }
}

#[test]
fn without_a_command_the_stock_name_says_what_scripts_look_for() {
    let directory = tempfile::tempdir().unwrap();
    let link = link(directory.path());
    for (arguments, words) in [
        (&[][..], "No command specified"),
        (&["--repo=x"], "No command specified"),
        (&["nonsense"], "Unknown command 'nonsense'"),
        (&["remote"], "No \"remote\" subcommand specified"),
        (&["remote", "x"], "Unknown \"remote\" subcommand 'x'"),
    ] {
        let refused = attempt(command(&link).args(arguments));
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}");
        assert!(refused.stdout.is_empty(), "{arguments:?}");
        let printed = String::from_utf8_lossy(&refused.stderr);
        assert!(printed.ends_with(&format!("error: {words}\n")), "{printed}");
        assert!(printed.starts_with("Usage:\n  ostree "), "{printed}");
        assert!(printed.contains("\nBuiltin Commands:\n"), "{printed}");
    }
}

#[test]
fn every_command_has_a_manual_page_with_its_options_and_examples() {
    let directory = tempfile::tempdir().unwrap();
    let _printed = run(ostler(directory.path()).args(["man", "share/man1"]));
    let page = |name: &str| {
        let path = directory.path().join("share/man1").join(format!("{name}.1"));
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    assert!(page("ostler").contains("ostler\\-checkout(1)"));
    assert!(page("ostler-checkout").contains("\\-\\-require\\-hardlinks"));
    assert!(page("ostler-config-get").contains("Print the value of a key"));
    let help = run(ostler(directory.path()).arg("--help"));
    for name in commands(&help) {
        assert!(page(&format!("ostler-{name}")).contains("Examples:"), "{name}");
    }
    assert!(!directory.path().join("share/man1/ostler-man.1").exists());
}

#[test]
fn errors_name_what_failed_and_hints_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let error = fail(ostler(directory.path()).arg("refs"));
    snapbox::assert_data_eq!(
        error,
        str![[r"
error: Command requires a --repo argument
hint: name it with 'ostler --repo=PATH …', set OSTREE_REPO, or change into its directory

"]]
    );
    let error = fail(ostler(directory.path()).args(["--repo=nowhere", "refs"]));
    snapbox::assert_data_eq!(
        error,
        str![[r"
error: repository nowhere not found

"]]
    );
}

#[test]
fn a_refused_publish_says_how_it_would_pass() {
    let directory = fixture::repository();
    let here = |arguments: &[&str]| {
        let mut command = ostler(directory.path());
        command.arg("--repo=repo").args(arguments);
        command
    };
    run(&mut here(&["publish", "public"]));
    let error = fail(&mut here(&["publish", "public", "nosuch"]));
    assert!(error.contains("no ref of the source matches 'nosuch'") && error.contains("hint: 'refs' lists"));
    run(&mut here(&[
        "commit",
        "--branch=main",
        "--parent=none",
        "--timestamp=@1",
        "--tree=ref=main",
    ]));
    let error = fail(&mut here(&["publish", "public"]));
    assert!(
        error.contains("fast-forward") && error.contains("add --force"),
        "{error}"
    );
    run(&mut here(&["publish", "public", "--force"]));
}

#[test]
fn the_environment_names_the_repository_where_no_option_does() {
    let directory = fixture::repository();
    let expected = run(ostler(directory.path()).args(["--repo=repo", "rev-parse", "main"]));
    let by_variable = run(ostler(directory.path())
        .env("OSTREE_REPO", "repo")
        .args(["rev-parse", "main"]));
    assert_eq!(by_variable, expected);
    let overridden = run(ostler(directory.path()).env("OSTREE_REPO", "nowhere").args([
        "--repo=repo",
        "rev-parse",
        "main",
    ]));
    assert_eq!(overridden, expected);
    let sysroot = directory.path().join("sysroot/ostree");
    fs::create_dir_all(&sysroot).unwrap();
    std::os::unix::fs::symlink(directory.path().join("repo"), sysroot.join("repo")).unwrap();
    let by_sysroot = run(ostler(directory.path())
        .env("OSTREE_SYSROOT", "sysroot")
        .args(["rev-parse", "main"]));
    assert_eq!(by_sysroot, expected);
}

#[test]
fn the_time_of_a_commit_comes_from_the_environment_where_no_option_gives_it() {
    let directory = fixture::repository();
    let commit = ["--repo=repo", "commit", "-b", "timed", "tree"];
    let _commit = run(ostler(directory.path())
        .env("SOURCE_DATE_EPOCH", "86400")
        .args(commit));
    let shown = run(ostler(directory.path()).args(["--repo=repo", "show", "timed"]));
    assert!(shown.contains("Date:  1970-01-02 00:00:00 +0000\n"), "{shown}");
    let _commit = run(ostler(directory.path())
        .env("SOURCE_DATE_EPOCH", "-5")
        .args(commit));
    let shown = run(ostler(directory.path()).args(["--repo=repo", "show", "timed"]));
    assert!(shown.contains("Date:  1969-12-31 23:59:55 +0000\n"), "{shown}");
    for epoch in ["soon", "9223372036854775808"] {
        let error = fail(
            ostler(directory.path())
                .env("SOURCE_DATE_EPOCH", epoch)
                .args(commit),
        );
        assert!(error.contains("SOURCE_DATE_EPOCH"), "{error}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_a_listing_quietly() {
    let directory = fixture::repository();
    let mut listing = ostler(directory.path());
    listing.args(["--repo=repo", "cat", "main^^"]).args(["/big"; 50]);
    let mut child = listing
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert_eq!(output.stderr, b"");
}

#[test]
fn completions_know_the_commands_under_the_name_in_use() {
    let directory = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = run(ostler(directory.path()).args(["completions", shell]));
        assert!(
            script.contains("rev-parse") && script.contains("ostler"),
            "{shell}"
        );
    }
    let script = run(command(link(directory.path())).args(["completions", "bash"]));
    assert!(script.contains("_ostree()"), "named after the link");
    assert!(
        !attempt(ostler(directory.path()).args(["completions", "csh"]))
            .status
            .success()
    );
}
