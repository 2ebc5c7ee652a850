//! Rules broken on purpose: the simulation finds each, and says which law it broke.

use super::play::{Theatre, play};
use super::seat::Broken;

/// A broken rule is found within so many plays.
const PLAYS: u64 = 100;

/// Asserts that a broken rule is found, and as the break of one of these laws.
#[track_caller]
fn assert_found(broken: Broken, laws: &[&str]) {
    assert_found_in(&Theatre::new(), broken, laws);
}

#[track_caller]
fn assert_found_in(theatre: &Theatre, broken: Broken, laws: &[&str]) {
    let found = (1..=PLAYS).find_map(|seed| play(theatre, seed, Some(broken)).err());
    let Some(found) = found else {
        panic!("{broken:?} was not found in {PLAYS} plays");
    };
    let law = found.lines().next().unwrap_or_default();
    assert!(laws.iter().any(|name| law.contains(name)), "{broken:?}: {found}");
}

#[test]
fn deletion_before_the_flip_is_found() {
    assert_found(Broken::FlipBeforeDeletion, &["I5: ", "I1: "]);
}

#[test]
fn sweep_without_grace_is_found() {
    assert_found(Broken::Grace, &["I5: "]);
}

#[test]
fn flip_that_expects_nothing_is_found() {
    assert_found(Broken::CompareAndSwap, &["I4: "]);
}

#[test]
fn parents_put_first_are_found() {
    assert_found(Broken::ChildFirst, &["I2: "]);
}

#[test]
fn children_removed_first_are_found() {
    assert_found(Broken::ParentGoesFirst, &["I2: "]);
}

#[test]
fn parts_of_deltas_removed_before_their_superblocks_are_found() {
    let theatre = Theatre::rich();
    assert_found_in(&theatre, Broken::PartsGoFirst, &["I2: deltas/", "I5: deltas/"]);
}

#[test]
fn signatures_that_do_not_overlap_are_found() {
    assert_found_in(&Theatre::rich(), Broken::Overlap, &["the summary does not fit"]);
}

#[test]
fn flip_without_a_journal_is_found() {
    assert_found(Broken::Journal, &["I12: "]);
}
