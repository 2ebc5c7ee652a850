//! Local pulls between repositories of all modes, made and continued by either program.

use super::{BOTH, Who, assert_same_objects, versions};
use ostler_testkit::oracle::assert_sound;
use std::path::Path;
use tempfile::TempDir;

const MODES: [&str; 4] = ["archive", "bare", "bare-user", "bare-user-only"];

/// Pulls from `source` into a repository of each mode with both programs, twice: a first commit by the one, the
/// next on top of it by the other.
#[track_caller]
fn pull_everywhere(
    directory: &Path,
    source: &Path,
    source_mode: &str,
    commits: &[String; 2],
    modes: &[&str],
) {
    for mode in modes {
        let repo = |who: Who| directory.join(format!("{source_mode}-{mode}-{}", who.name()));
        let said = BOTH.map(|who| {
            who.init(&repo(who), mode);
            pull(who, &repo(who), source, &commits[0], &[])
        });
        assert_eq!(said[0], said[1], "{source_mode} to {mode}");
        assert_same_objects(&repo(Who::Stock), &repo(Who::Ours));
        let said = BOTH.map(|who| pull(who.other(), &repo(who), source, &commits[1], &["--untrusted"]));
        assert_eq!(said[0], said[1], "{source_mode} to {mode}");
        assert_same_objects(&repo(Who::Stock), &repo(Who::Ours));
        for writer in BOTH {
            assert_eq!(
                Who::Ours.list(&repo(writer), &commits[1]),
                Who::Stock.list(&repo(writer), &commits[1]),
                "{source_mode} to {mode}"
            );
            Who::Ours.fsck(&repo(writer));
            assert_sound(&repo(writer));
            std::fs::remove_dir_all(repo(writer)).expect("our own repository");
        }
    }
}

/// Pulls one commit, and returns what is said about it.
#[track_caller]
fn pull(who: Who, repo: &Path, source: &Path, commit: &str, options: &[&str]) -> String {
    let source = source.to_str().expect("a name in UTF-8");
    who.run(
        repo,
        &[&["pull-local", "--disable-fsync"], options, &[source, commit]].concat(),
    )
}

/// Makes a source in one mode, with two commits that need everything and two that any mode can hold.
#[track_caller]
fn from(mode: &str) {
    let directory = TempDir::new().expect("a directory");
    let (first, second) = versions(directory.path());
    // Pulled from a bare-user repository by stock, what nobody may read has another mode than its id says.
    let skipped = directory.path().join("skipped");
    std::fs::write(&skipped, "/modes/nobody\n").expect("our own file");
    let canonical = [
        "--canonical-permissions",
        &format!("--skip-list={}", skipped.display()),
    ];
    // But for the compressed bytes in archives, both write the same.
    let writers = if mode == "archive" {
        &BOTH[..]
    } else {
        &[Who::Ours]
    };
    for writer in writers {
        let source = directory.path().join(format!("source-{}", writer.name()));
        writer.init(&source, mode);
        if mode != "bare-user-only" {
            let commits = [&first, &second].map(|tree| writer.commit(&source, tree, &[]));
            pull_everywhere(directory.path(), &source, mode, &commits, &MODES[..3]);
        }
        let commits = [&first, &second].map(|tree| writer.commit(&source, tree, &canonical));
        pull_everywhere(directory.path(), &source, mode, &commits, &MODES);
    }
}

#[test]
fn archive_repositories_are_pulled_from_alike() {
    from("archive");
}

#[test]
fn bare_repositories_are_pulled_from_alike() {
    from("bare");
}

#[test]
fn bare_user_repositories_are_pulled_from_alike() {
    from("bare-user");
}

#[test]
fn bare_user_only_repositories_are_pulled_from_alike() {
    from("bare-user-only");
}
