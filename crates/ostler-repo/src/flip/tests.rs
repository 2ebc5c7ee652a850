//! Flips and recoveries of a repository without objects.

use super::*;
use ostler_format::RepoMode;

fn repo() -> (tempfile::TempDir, Repo) {
    let dir = tempfile::tempdir().unwrap();
    let repo = Repo::create(dir.path(), RepoMode::Archive, None).unwrap();
    (dir, repo)
}

fn edit(path: &str, expect: Expect, new: Option<&str>) -> Edit {
    Edit {
        path: path.into(),
        expect,
        new: new.map(|text| text.as_bytes().to_vec()),
    }
}

fn read(repo: &Repo, path: &str) -> Option<String> {
    std::fs::read_to_string(repo.path().join(path)).ok()
}

/// Leaves the repository as a crash right after the intent was recorded would.
fn crash_after_intent(repo: &Repo, edits: &[Edit]) {
    let olds = repo.check_expectations(edits).unwrap();
    let flip = repo.flip_dir().unwrap();
    repo.write_new_files(&flip, edits).unwrap();
    repo.record(&flip, &intent(edits, &olds)).unwrap();
}

#[test]
fn files_are_replaced_made_and_removed_and_nothing_is_left_behind() {
    let (_dir, repo) = repo();
    repo.flip(&[
        edit("refs/heads/a/b", Expect::Absent, Some("1")),
        edit("summary", Expect::Any, Some("s")),
    ])
    .unwrap();
    let old = Expect::Bytes(Checksum::of(b"1"));
    repo.flip(&[
        edit("refs/heads/a/b", old, None),
        edit("refs/heads/a", Expect::Absent, Some("2")),
        edit("summary.sig", Expect::Any, None),
    ])
    .unwrap();
    assert_eq!(read(&repo, "refs/heads/a").as_deref(), Some("2"));
    assert_eq!(read(&repo, "summary").as_deref(), Some("s"));
    assert_eq!(repo.flip_dir().unwrap().entries().unwrap(), []);
}

#[test]
fn one_unmet_expectation_changes_nothing_at_all() {
    let (_dir, repo) = repo();
    let edits = [
        edit("refs/heads/a", Expect::Absent, Some("1")),
        edit("refs/heads/b", Expect::Ref(Checksum::of(b"x")), Some("2")),
    ];
    assert!(matches!(repo.flip(&edits), Err(RepoError::Changed { .. })));
    assert_eq!(read(&repo, "refs/heads/a"), None);
    assert!(!repo.flip_pending().unwrap());
}

#[test]
fn a_flip_cut_short_anywhere_behind_its_intent_is_completed() {
    let edits = [
        edit("refs/heads/a", Expect::Any, Some("1")),
        edit("refs/heads/old", Expect::Any, None),
        edit("summary", Expect::Any, Some("s")),
    ];
    for done in 0..=edits.len() {
        let (_dir, repo) = repo();
        std::fs::write(repo.path().join("refs/heads/old"), "0").unwrap();
        crash_after_intent(&repo, &edits);
        let flip = repo.flip_dir().unwrap();
        for (index, edit) in edits.iter().enumerate().take(done) {
            match edit.new {
                Some(_) => Dir::rename_over(&flip, index.to_string(), repo.root(), &edit.path).unwrap(),
                None => assert!(repo.root().unlink(&edit.path).unwrap()),
            }
        }
        assert!(repo.flip_pending().unwrap());
        assert_eq!(
            repo.recover_flip().unwrap(),
            Some(Recovery::Completed),
            "{done} done before"
        );
        assert_eq!(
            read(&repo, "refs/heads/a").as_deref(),
            Some("1"),
            "{done} done before"
        );
        assert_eq!(read(&repo, "refs/heads/old"), None);
        assert_eq!(read(&repo, "summary").as_deref(), Some("s"));
        assert_eq!(repo.recover_flip().unwrap(), None);
    }
}

#[test]
fn recovery_never_overwrites_a_value_that_the_flip_has_not_seen() {
    let (_dir, repo) = repo();
    std::fs::write(repo.path().join("refs/heads/a"), "old").unwrap();
    crash_after_intent(&repo, &[edit("refs/heads/a", Expect::Any, Some("new"))]);
    std::fs::write(repo.path().join("refs/heads/a"), "someone else's").unwrap();
    assert_eq!(repo.recover_flip().unwrap(), Some(Recovery::Completed));
    assert_eq!(read(&repo, "refs/heads/a").as_deref(), Some("someone else's"));
    assert_eq!(repo.flip_dir().unwrap().entries().unwrap(), []);
}

#[test]
fn modification_times_rise_by_a_second_with_every_flip() {
    let (_dir, repo) = repo();
    let mut last = 0;
    for text in ["1", "2", "3"] {
        repo.flip(&[edit("summary", Expect::Any, Some(text))]).unwrap();
        let mtime = repo.root().stat("summary").unwrap().unwrap().mtime.0;
        assert!(mtime > last);
        last = mtime;
    }
}

#[test]
fn a_directory_that_holds_a_ref_is_not_replaced() {
    let (_dir, repo) = repo();
    std::fs::create_dir_all(repo.path().join("refs/heads/a/empty")).unwrap();
    repo.flip(&[edit("refs/heads/a", Expect::Absent, Some("1"))])
        .unwrap();
    assert_eq!(read(&repo, "refs/heads/a").as_deref(), Some("1"));
    std::fs::create_dir_all(repo.path().join("refs/heads/b")).unwrap();
    std::fs::write(repo.path().join("refs/heads/b/c"), "1").unwrap();
    assert!(
        repo.flip(&[edit("refs/heads/b", Expect::Absent, Some("2"))])
            .is_err()
    );
    assert_eq!(read(&repo, "refs/heads/b/c").as_deref(), Some("1"));
    assert!(!repo.flip_pending().unwrap());
}

#[test]
fn flip_tells_of_a_file_that_changed_under_its_hands() {
    let (_dir, repo) = repo();
    let edits = [
        edit("refs/heads/a", Expect::Absent, Some("1")),
        edit("refs/heads/b", Expect::Absent, Some("2")),
    ];
    crash_after_intent(&repo, &edits);
    std::fs::write(repo.path().join("refs/heads/a"), "theirs").unwrap();
    let flip = repo.flip_dir().unwrap();
    let olds = [None, None];
    let left_alone = repo.carry_out(&flip, &intent(&edits, &olds)).unwrap();
    assert_eq!(left_alone, ["refs/heads/a"]);
    assert_eq!(read(&repo, "refs/heads/a").as_deref(), Some("theirs"));
    assert_eq!(read(&repo, "refs/heads/b").as_deref(), Some("2"));
}

#[test]
fn refs_to_what_is_gone_are_not_put_in_place_after_a_crash() {
    let (_dir, repo) = repo();
    let gone = Checksum::of(b"a commit that a prune took").to_string();
    let edits = [
        edit("refs/heads/a", Expect::Absent, Some(&gone)),
        edit("refs/heads/old", Expect::Any, None),
        edit("summary", Expect::Any, Some("s")),
    ];
    std::fs::write(repo.path().join("refs/heads/old"), "0").unwrap();
    crash_after_intent(&repo, &edits);
    assert_eq!(repo.recover_flip().unwrap(), Some(Recovery::GivenUp));
    assert_eq!(read(&repo, "refs/heads/a"), None);
    assert_eq!(read(&repo, "refs/heads/old").as_deref(), Some("0"));
    assert_eq!(read(&repo, "summary"), None);
    assert_eq!(repo.flip_dir().unwrap().entries().unwrap(), []);
}

#[test]
fn new_file_that_is_not_what_was_recorded_is_not_put_in_place() {
    let (_dir, repo) = repo();
    crash_after_intent(&repo, &[edit("summary", Expect::Any, Some("whole"))]);
    std::fs::write(repo.path().join(FLIP_DIR).join("0"), "").unwrap();
    assert_eq!(repo.recover_flip().unwrap(), Some(Recovery::GivenUp));
    assert_eq!(read(&repo, "summary"), None);
}

#[test]
fn flip_that_somebody_is_making_is_left_to_him() {
    let (dir, repo) = repo();
    crash_after_intent(&repo, &[edit("summary", Expect::Any, Some("s"))]);
    let lease = repo.lease_flip().unwrap();
    let other = Repo::open(dir.path()).unwrap();
    assert_eq!(other.complete_flip().unwrap(), None);
    assert_eq!(read(&repo, "summary"), None);
    drop(lease);
    assert_eq!(other.complete_flip().unwrap(), Some(Recovery::Completed));
    assert_eq!(read(&repo, "summary").as_deref(), Some("s"));
}

#[test]
fn record_that_cannot_be_read_stops_nobody() {
    let (_dir, repo) = repo();
    crash_after_intent(&repo, &[edit("summary", Expect::Any, Some("s"))]);
    std::fs::write(repo.path().join(FLIP_DIR).join(INTENT), "").unwrap();
    assert_eq!(repo.recover_flip().unwrap(), Some(Recovery::GivenUp));
    assert_eq!(repo.flip_dir().unwrap().entries().unwrap(), []);
    repo.flip(&[edit("summary", Expect::Absent, Some("t"))]).unwrap();
    assert_eq!(read(&repo, "summary").as_deref(), Some("t"));
}
