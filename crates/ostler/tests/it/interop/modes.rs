//! Each mode in both directions: written by one, read and gone on with by the other.

use super::{BOTH, Who, assert_same_checkout, assert_same_objects, versions};
use ostler_testkit::listing::assert_same_files;
use ostler_testkit::oracle::assert_sound;
use std::path::Path;
use tempfile::TempDir;

/// Goes all the way in one mode. `options` are those of full checkouts.
#[track_caller]
fn there_and_back(mode: &str, faithful: bool) {
    let directory = TempDir::new().expect("a directory");
    let (first, second) = versions(directory.path());
    let repo = |who: Who| directory.path().join(who.name());

    let commits = BOTH.map(|who| {
        who.init(&repo(who), mode);
        who.commit(&repo(who), &first, &["--subject=One", "--body=\n first\n"])
    });
    assert_eq!(commits[0], commits[1], "{mode}");
    assert_same_objects(&repo(Who::Stock), &repo(Who::Ours));
    for writer in BOTH {
        read(mode, &repo(writer), &commits[0], faithful.then_some(&*first));
    }

    let parent = format!("--parent={}", commits[0]);
    let more = BOTH.map(|writer| {
        let goes_on = writer.other();
        goes_on.commit(&repo(writer), &second, &["--subject=Two", &parent])
    });
    assert_eq!(more[0], more[1], "{mode}");
    assert_same_objects(&repo(Who::Stock), &repo(Who::Ours));
    for writer in BOTH {
        read(mode, &repo(writer), "main", faithful.then_some(&*second));
        let [stock, ours] = BOTH.map(|who| who.run(&repo(writer), &["log", "main"]));
        assert_eq!(stock, ours, "{mode}");
        assert_sound(&repo(writer));
    }
}

/// Reads one commit with both programs in every way that the mode allows; both must see the same, and if the mode
/// keeps everything that is `tree`.
#[track_caller]
fn read(mode: &str, repo: &Path, commit: &str, tree: Option<&Path>) {
    for who in BOTH {
        who.fsck(repo);
    }
    assert_eq!(
        Who::Ours.list(repo, commit),
        Who::Stock.list(repo, commit),
        "{mode}"
    );
    let names = ["ls", "-R", "--nul-filenames-only", commit];
    assert_eq!(
        Who::Ours.run(repo, &names),
        Who::Stock.run(repo, &names),
        "{mode}"
    );

    let ways: &[&[&str]] = match mode {
        "archive" => &[&[], &["-U"]],
        "bare" => &[&[], &["-H"], &["-C"], &["-U"]],
        "bare-user" => &[&[], &["-U"], &["-U", "-H"], &["-U", "-C"]],
        _ => &[&[], &["-H"], &["-U", "-H"], &["-C"]],
    };
    for way in ways {
        let directory = TempDir::new().expect("a directory");
        let destination = |who: Who| directory.path().join(who.name());
        for who in BOTH {
            who.checkout(repo, commit, way, &destination(who));
        }
        assert_same_checkout(&destination(Who::Stock), &destination(Who::Ours));
        if let Some(tree) = tree.filter(|_| !way.contains(&"-U")) {
            assert_same_files(tree, &destination(Who::Ours));
        }
    }
}

#[test]
fn archive_repositories_go_there_and_back() {
    there_and_back("archive", ostler_testkit::disk::is_root());
}

#[test]
fn bare_repositories_go_there_and_back() {
    there_and_back("bare", ostler_testkit::disk::is_root());
}

#[test]
fn bare_user_repositories_go_there_and_back() {
    there_and_back("bare-user", ostler_testkit::disk::is_root());
}

#[test]
fn bare_user_only_repositories_go_there_and_back() {
    there_and_back("bare-user-only", false);
}
