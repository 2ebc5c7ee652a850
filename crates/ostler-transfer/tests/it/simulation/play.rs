//! A play: publishers, an operator and clients at work on one store until all are done; then everybody publishes once
//! more, undisturbed, everything that is over is swept, and what is left is looked at (I6).

use super::GRACE;
use super::actors::{Job, Manner, operate, publish_job, sweep_once};
use super::client::pull;
use super::laws::{Laws, Refs};
use super::seat::{Broken, Seat};
use super::stage::{Director, Fate, Stage};
use super::trace::Op;
use super::world::{BIRTH, Source, World};
use ostler_testkit::random::Random;
use ostler_transfer::MemoryStore;
use std::sync::Arc;
use std::thread;

/// When a play begins.
pub(crate) const START: u64 = BIRTH + 1_000_000;
const NAMES: [&str; 5] = ["publisher A", "publisher B", "operator", "client 1", "client 2"];
const OWN: [&str; 2] = ["os/a", "os/b"];
const SHARED: &str = "os/shared";
const PATTERNS: [&str; 2] = ["os/{a,shared}", "os/{b,shared}"];

/// Where plays take place, made once for many of them.
pub(crate) struct Theatre {
    pub(crate) world: Arc<World>,
    sources: [Source; 2],
}

impl Theatre {
    pub(crate) fn new() -> Self {
        Self::of(World::new(false))
    }

    /// Makes one in which sources have static deltas and publishers sign the summary, and clients use and check these.
    pub(crate) fn rich() -> Self {
        Self::of(World::new(true))
    }

    fn of(world: World) -> Self {
        let sources = [world.source("a"), world.source("b")];
        Self {
            world: Arc::new(world),
            sources,
        }
    }

    pub(crate) fn source(&self, number: usize) -> &Source {
        &self.sources[number]
    }
}

/// A director who decides by a seed.
struct Dice {
    random: Random,
    /// In how many of a hundred steps another may come first.
    restless: usize,
    /// In how many of a thousand steps something fails or crashes.
    doom: usize,
    /// In how many of a thousand steps time passes.
    haste: usize,
}

impl Dice {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            restless: *random.pick(&[5, 20, 50, 90]),
            doom: *random.pick(&[0, 3, 10, 30]),
            haste: *random.pick(&[0, 5, 20]),
            random,
        }
    }
}

impl Director for Dice {
    fn choose(&mut self, current: Option<usize>, _: Option<usize>, ready: &[(usize, &Op)]) -> usize {
        match ready.iter().find(|(index, _)| Some(*index) == current) {
            Some((index, _)) if !self.random.chance(self.restless) => *index,
            _ => self.random.pick(ready).0,
        }
    }

    fn seconds(&mut self) -> u64 {
        if self.random.below(1000) >= self.haste {
            return 0;
        }
        *self.random.pick(&[1, 1, GRACE / 10, GRACE / 3, GRACE - 1, GRACE])
    }

    fn fate(&mut self, _op: &Op) -> Fate {
        if self.random.below(1000) >= self.doom {
            return Fate::Happens;
        }
        *self.random.pick(&[Fate::Crash, Fate::Crash, Fate::Fails])
    }
}

/// Leaves the stage when an actor is done, even if it panics.
pub(crate) struct Exit<'a>(pub(crate) &'a Stage, pub(crate) usize);

impl Drop for Exit<'_> {
    fn drop(&mut self) {
        self.0.leave(self.1);
    }
}

/// Plays what a seed says. Returns how many steps that took, or what went wrong.
pub(crate) fn play(theatre: &Theatre, seed: u64, broken: Option<Broken>) -> Result<u64, String> {
    let mut random = Random::new(!seed);
    let depth = *random.pick(&[None, None, Some(1), Some(2)]);
    let store = MemoryStore::default();
    let laws = Laws::of(&theatre.world, depth, &store, START);
    let stage = Stage::set(store, &NAMES, Box::new(Dice::new(seed)), laws, START);
    let manner = |me: usize| Manner { me, depth, broken };
    let mut seeds = || Random::new(random.next_u64());
    let (jobs_a, jobs_b) = (jobs(theatre, 0, seeds()), jobs(theatre, 1, seeds()));
    let (mut operator, mut client_1, mut client_2) = (seeds(), seeds(), seeds());
    thread::scope(|scope| {
        for (me, jobs) in [(0, &jobs_a), (1, &jobs_b)] {
            let stage = &stage;
            scope.spawn(move || {
                let _exit = Exit(stage, me);
                for job in jobs {
                    publish_job(stage, &manner(me), theatre.source(me), job);
                }
            });
        }
        scope.spawn(|| {
            let _exit = Exit(&stage, 2);
            for _ in 0..5 {
                operate(&stage, &manner(2), &mut operator);
            }
        });
        for (me, random) in [(3, &mut client_1), (4, &mut client_2)] {
            let stage = &stage;
            scope.spawn(move || {
                let _exit = Exit(stage, me);
                for _ in 0..8 {
                    let name = *random.pick(&[OWN[0], OWN[1], SHARED]);
                    pull(stage, me, name, random);
                }
            });
        }
    });
    if !stage.is_over() {
        let last = |jobs: &[Job]| jobs.last().cloned().expect("there are jobs");
        finish(theatre, &stage, &[last(&jobs_a), last(&jobs_b)], depth);
    }
    let ended = stage.violation().map_or_else(|| Ok(stage.steps()), Err);
    ended.map_err(|text| format!("seed {seed:#x}: {text}"))
}

/// Returns what a publisher does one after the other.
fn jobs(theatre: &Theatre, number: usize, mut random: Random) -> Vec<Job> {
    let refs = |random: &mut Random| {
        let mut refs = Refs::from([(
            OWN[number].to_owned(),
            random.pick(&theatre.world.commits).clone(),
        )]);
        if random.chance(70) {
            refs.insert(SHARED.to_owned(), random.pick(&theatre.world.commits).clone());
        }
        refs
    };
    let mut job = || Job {
        refs: refs(&mut random),
        pattern: PATTERNS[number],
        sweeps: random.chance(40),
        meanwhile: random.chance(30).then(|| (refs(&mut random), random.below(30))),
    };
    (0..4).map(|_| job()).collect()
}

/// Everybody publishes once more and all that is over is swept; looks at what is left.
fn finish(theatre: &Theatre, stage: &Stage, jobs: &[Job; 2], depth: Option<usize>) {
    stage.clear();
    let manner = Manner {
        me: 0,
        depth,
        broken: None,
    };
    let mut refs = Refs::new();
    for (number, job) in jobs.iter().enumerate() {
        let job = Job {
            sweeps: false,
            meanwhile: None,
            ..job.clone()
        };
        publish_job(stage, &manner, theatre.source(number), &job);
        // What the second has not got, it deletes.
        refs.remove(SHARED);
        refs.extend(job.refs);
    }
    stage.pass(2 * GRACE);
    let seat = Seat::new(stage, 0, None);
    let swept = sweep_once(stage, &manner, &seat);
    if let (Err(error), false) = (swept, stage.is_over()) {
        stage.accuse(0, &format!("the last sweep failed: {error}"));
    }
    stage.judge(0, |laws, _| laws.at_the_end(&stage.store, &refs));
}
