//! Many plays, each by a seed.

use super::play::{Theatre, play};

/// So many steps are played.
const STEPS: u64 = 100_000;

/// Seeds by which something was found once; they are played first.
const KEPT_SEEDS: [u64; 3] = [0xf, 0x11, 0xd0];

/// Returns how many steps are asked for: nights are long.
fn steps_asked_for() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "how long a test runs is said by who runs it"
    )]
    let asked = std::env::var("OSTLER_SIMULATION_STEPS").ok();
    asked.map_or(STEPS, |text| text.parse().expect("a number of steps"))
}

#[test]
fn static_deltas_are_whole_and_summaries_fit_their_signatures_whoever_does_what() {
    let theatre = Theatre::rich();
    let mut steps = 0;
    let mut seed = 1;
    let wanted = steps_asked_for() / 4;
    while steps < wanted {
        match play(&theatre, seed, None) {
            Ok(taken) => steps += taken,
            Err(text) => panic!("{text}"),
        }
        seed += 1;
    }
}

#[test]
fn no_order_of_steps_breaks_a_law() {
    let theatre = Theatre::new();
    for seed in KEPT_SEEDS {
        if let Err(text) = play(&theatre, seed, None) {
            panic!("{text}");
        }
    }
    let mut steps = 0;
    let mut seed = 1;
    let wanted = steps_asked_for();
    while steps < wanted {
        match play(&theatre, seed, None) {
            Ok(taken) => steps += taken,
            Err(text) => panic!("{text}"),
        }
        seed += 1;
    }
}
