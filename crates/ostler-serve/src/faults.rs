//! Faults on purpose, for tests of clients: answers that tell of trouble, and bodies that break off.

use hyper::StatusCode;
use std::sync::Mutex;

/// How often something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chance {
    /// For so many of a hundred requests, by chance.
    pub percent: u8,
    /// Never more often than this.
    pub at_most: u32,
}

/// Which faults a server makes.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Sends the first half of an object to clients that do not ask for a range of it.
    pub half_objects: bool,
    /// Answers with 500.
    pub errors: Option<Chance>,
    /// Answers with 408.
    pub timeouts: Option<Chance>,
    /// Where the chance begins: the same number gives the same faults for the same requests.
    pub seed: u64,
}

/// Who decides about each request.
#[derive(Debug)]
pub(crate) struct Dice {
    pub(crate) half_objects: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    kinds: [(StatusCode, Option<Chance>); 2],
    random: u64,
}

impl Dice {
    /// Begins at the seed.
    pub(crate) fn new(faults: &Faults) -> Self {
        Self {
            half_objects: faults.half_objects,
            state: Mutex::new(State {
                kinds: [
                    (StatusCode::INTERNAL_SERVER_ERROR, faults.errors),
                    (StatusCode::REQUEST_TIMEOUT, faults.timeouts),
                ],
                random: faults.seed,
            }),
        }
    }

    /// Returns the status to answer the next request with, if it is to fail.
    pub(crate) fn throw(&self) -> Option<StatusCode> {
        let mut state = self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let State { kinds, random } = &mut *state;
        for (status, chance) in kinds {
            let Some(chance) = chance.as_mut().filter(|chance| chance.at_most > 0) else {
                continue;
            };
            if next(random) % 100 < u64::from(chance.percent) {
                chance.at_most -= 1;
                return Some(*status);
            }
        }
        None
    }
}

/// The generator splitmix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_about_as_often_as_asked_and_never_more_often_than_allowed() {
        let chance = |percent, at_most| Some(Chance { percent, at_most });
        let count = |faults: &Faults, wanted: StatusCode| {
            let dice = Dice::new(faults);
            (0..1000).filter(|_| dice.throw() == Some(wanted)).count()
        };
        let often = Faults {
            errors: chance(50, 1000),
            seed: 1,
            ..Faults::default()
        };
        let found = count(&often, StatusCode::INTERNAL_SERVER_ERROR);
        assert!((400..600).contains(&found), "{found}");
        let seldom = Faults {
            timeouts: chance(99, 7),
            ..Faults::default()
        };
        assert_eq!(count(&seldom, StatusCode::REQUEST_TIMEOUT), 7);
        assert_eq!(count(&Faults::default(), StatusCode::REQUEST_TIMEOUT), 0);
    }
}
