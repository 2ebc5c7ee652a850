//! Resolving REVs as stock ostree does.

use crate::fixture::Fixture;
use ostler_format::{Refspec, RepoMode};
use ostler_repo::{Expected, RefEdit, Repo, RepoError};

/// Asserts that both sides give the same answer, or none.
fn agree(fixture: &Fixture, repo: &Repo, rev: &str) {
    let theirs = fixture.stock.attempt(&["rev-parse", rev]);
    let theirs = theirs
        .status
        .success()
        .then(|| String::from_utf8(theirs.stdout).unwrap().trim().to_owned());
    let ours = repo.resolve_rev(rev);
    match (&ours, &theirs) {
        (Ok(ours), Some(theirs)) => assert_eq!(ours.to_string(), *theirs, "{rev}"),
        (Err(_), None) => {}
        _ => panic!("{rev}: {ours:?}, stock {theirs:?}"),
    }
}

#[test]
fn every_form_of_rev_means_what_stock_takes_it_for() {
    let fixture = Fixture::new();
    let mut commits = Vec::new();
    for number in 0..20 {
        commits.push(fixture.commit("os/app", &number.to_string()));
    }
    let repo = fixture.open();
    let set = |name: &str, index: usize| {
        RefEdit::set(name.parse::<Refspec>().unwrap(), Expected::Absent, commits[index])
    };
    repo.edit_refs(&[
        set("up:os/other", 3),
        set("up:os/app", 4),
        set("down:low", 5),
        set("b", 6),
        set("zz", 7),
    ])
    .unwrap();

    let newest = commits.last().unwrap().to_string();
    let mut revs: Vec<String> = [
        "os/app",
        "os/app^",
        "os/app^^^",
        "os",
        "os/other",
        "low",
        "up:os/app",
        "up/os/app",
        "up/os",
        "up:low",
        "zz",
        "nope",
        "nope^",
        "a b",
        "up:",
        ":x",
        "os/app:",
        "^",
        "-x",
    ]
    .map(str::to_owned)
    .into();
    revs.push(format!("os/app{}", "^".repeat(19)));
    revs.push(format!("os/app{}", "^".repeat(20)));
    revs.push("0".repeat(64));
    revs.push(format!("{}^", "0".repeat(64)));
    revs.push(newest.to_uppercase());
    revs.extend((0..64).map(|length| newest.chars().take(length + 1).collect()));
    revs.extend("0123456789abcdef".chars().map(String::from));
    for rev in &revs {
        agree(&fixture, &repo, rev);
    }
}

#[test]
fn what_is_not_found_is_told_in_the_words_of_stock() {
    let fixture = Fixture::new();
    for number in 0..17 {
        fixture.commit("app", &number.to_string());
    }
    let repo = fixture.open();
    let message = repo.resolve_rev("nope").unwrap_err().to_string();
    assert_eq!(message, "Refspec 'nope' not found");
    assert!(fixture.stock.fail(&["rev-parse", "nope"]).contains(&message));
    let digit = "0123456789abcdef"
        .chars()
        .map(String::from)
        .find(|digit| repo.commits_with_prefix(digit).unwrap().len() > 1)
        .expect("seventeen commits begin with sixteen digits");
    let ambiguous = repo.resolve_rev(&digit).unwrap_err();
    assert!(matches!(ambiguous, RepoError::Ambiguous { .. }));
    let theirs = fixture.stock.fail(&["rev-parse", &digit]);
    assert!(theirs.contains(&ambiguous.to_string()), "{theirs} {ambiguous}");
    assert!(repo.resolve_rev("").is_err());
}

#[test]
fn refs_and_commits_of_parents_are_found() {
    let fixture = Fixture::new();
    let commit = fixture.commit("app", "1");
    let child = fixture.beside("child");
    Repo::create(&child, RepoMode::Archive, None)
        .unwrap()
        .edit_config(|file| {
            file.set("core", "parent", "../repo")
                .map_err(RepoError::format("config"))
        })
        .unwrap();
    let repo = Repo::open(&child).unwrap();
    let abbreviated: String = commit.to_string().chars().take(8).collect();
    for rev in ["app", &abbreviated] {
        assert_eq!(repo.resolve_rev(rev).unwrap(), commit);
    }
    assert_eq!(
        repo.read_ref(&"app".parse().unwrap()).unwrap(),
        None,
        "a ref is of one repository"
    );
}
