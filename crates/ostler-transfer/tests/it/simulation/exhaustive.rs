//! Every order of the steps of a small play: two publishers, each with a ref and a few objects of its own, and a client.
//!
//! An order is a list of choices; a play is run again and again with the next list, until there is none. Only where it
//! matters is there a choice: before a step that touches what another actor touches too, one of them writing. An actor is
//! interrupted, though it could go on, no more than [`INTERRUPTIONS`] times.

use super::GRACE;
use super::actors::{Job, Manner, publish_job};
use super::client::pull_by;
use super::laws::{Laws, Refs};
use super::play::{Exit, START, Theatre};
use super::stage::{Director, Stage};
use super::trace::Op;
use ostler_transfer::MemoryStore;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::thread;

/// How often an actor that could go on has to let another go first.
const INTERRUPTIONS: usize = 2;
const NAMES: [&str; 3] = ["publisher A", "publisher B", "client"];
const REFS: [&str; 2] = ["os/a", "os/b"];

/// Who touches which file, as far as plays have shown. What is done under the lease is kept apart: there, nobody else is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Touched {
    free_reads: Files,
    leased_reads: Files,
    /// Objects.
    puts: Files,
    /// All that changes under the lease.
    edits: Files,
}

type Files = BTreeMap<String, BTreeSet<usize>>;

impl Touched {
    fn note(&mut self, who: usize, is_leased: bool, op: &Op) {
        let files = match op {
            Op::Read(_) if is_leased => &mut self.leased_reads,
            Op::Read(_) => &mut self.free_reads,
            Op::Put(_) => &mut self.puts,
            _ => &mut self.edits,
        };
        if let Some(path) = path_of(op) {
            files.entry(path.to_owned()).or_default().insert(who);
        }
    }

    /// Adds what another has; returns whether anything is new.
    fn learn(&mut self, other: &Self) -> bool {
        let before = self.clone();
        for (mine, others) in [
            (&mut self.free_reads, &other.free_reads),
            (&mut self.leased_reads, &other.leased_reads),
            (&mut self.puts, &other.puts),
            (&mut self.edits, &other.edits),
        ] {
            for (path, actors) in others {
                mine.entry(path.clone()).or_default().extend(actors);
            }
        }
        *self != before
    }

    /// Returns whether the order of a step and those of others matters.
    fn is_shared(&self, who: usize, is_leased: bool, op: &Op) -> bool {
        let Some(path) = path_of(op) else {
            return *op == Op::Lease;
        };
        match op {
            Op::Read(_) => {
                by_others(&self.puts, who, path) || (!is_leased && by_others(&self.edits, who, path))
            }
            Op::Put(_) => {
                by_others(&self.free_reads, who, path)
                    || by_others(&self.leased_reads, who, path)
                    || by_others(&self.puts, who, path)
            }
            _ => by_others(&self.free_reads, who, path),
        }
    }
}

fn path_of(op: &Op) -> Option<&str> {
    match op {
        Op::Read(path) | Op::Put(path) | Op::Edit(path) | Op::Remove(path) => Some(path),
        Op::Begin(_) | Op::Lease | Op::Intent | Op::Done => None,
    }
}

/// Returns whether somebody else touches a file, the directories that it lies in, or, of a directory, what is in it.
fn by_others(files: &Files, who: usize, path: &str) -> bool {
    let others = |actors: &BTreeSet<usize>| actors.iter().any(|actor| *actor != who);
    let mut around = path
        .match_indices('/')
        .filter_map(|(end, _)| files.get(path.get(..=end)?));
    let within = files.range(path.to_owned()..);
    let mut within =
        within.take_while(|(other, _)| *other == path || (path.ends_with('/') && other.starts_with(path)));
    around.any(others) || within.any(|(_, actors)| others(actors))
}

/// The choices of a play: which was taken, of how many.
type Choices = Vec<(usize, usize)>;

#[derive(Clone)]
struct Script {
    /// What is to be chosen, and then what was.
    choices: Arc<Mutex<Choices>>,
    /// What was touched in earlier plays: decides where there is a choice.
    known: Arc<Touched>,
    touched: Arc<Mutex<Touched>>,
    at: usize,
    interruptions: usize,
}

impl Director for Script {
    fn choose(&mut self, current: Option<usize>, leased: Option<usize>, ready: &[(usize, &Op)]) -> usize {
        let next = ready.iter().find(|(index, _)| Some(*index) == current);
        if let Some((index, op)) = next {
            self.touched.lock().unwrap().note(*index, leased == current, op);
            if self.interruptions >= INTERRUPTIONS || !self.known.is_shared(*index, leased == current, op) {
                return *index;
            }
        }
        let mut open: Vec<_> = ready.iter().map(|(index, _)| *index).collect();
        // First of all: go on.
        open.sort_by_key(|index| Some(*index) != current);
        let chosen = self.decide(open.len());
        if next.is_some() && chosen > 0 {
            self.interruptions += 1;
        }
        let (who, op) = ready[ready
            .iter()
            .position(|(index, _)| *index == open[chosen])
            .unwrap_or_default()];
        self.touched.lock().unwrap().note(who, leased == Some(who), op);
        who
    }
}

impl Script {
    fn with(known: Touched) -> Self {
        Self {
            choices: Arc::default(),
            known: Arc::new(known),
            touched: Arc::default(),
            at: 0,
            interruptions: 0,
        }
    }

    fn decide(&mut self, options: usize) -> usize {
        if options == 1 {
            return 0;
        }
        let mut choices = self.choices.lock().unwrap();
        if self.at == choices.len() {
            choices.push((0, options));
        }
        let (chosen, of) = choices[self.at];
        assert_eq!(of, options, "a play is the same if the choices are");
        self.at += 1;
        chosen
    }
}

/// Moves on to the next list of choices; `false` if there is none.
fn next(choices: &mut Choices) -> bool {
    while let Some((chosen, of)) = choices.pop() {
        if chosen + 1 < of {
            choices.push((chosen + 1, of));
            return true;
        }
    }
    false
}

/// The small play.
struct Small {
    theatre: Theatre,
    before: MemoryStore,
    jobs: [Job; 2],
}

impl Small {
    fn new() -> Self {
        let theatre = Theatre::new();
        let commits = theatre.world.commits.clone();
        let job = |number: usize, commit: &String| Job {
            refs: Refs::from([(REFS[number].to_owned(), commit.clone())]),
            pattern: REFS[number],
            sweeps: false,
            meanwhile: None,
        };
        let mut small = Self {
            before: MemoryStore::default(),
            jobs: [job(0, &commits[0]), job(1, &commits[3])],
            theatre,
        };
        small.before = MemoryStore::from_files(small.play(&Script::with(Touched::default())).unwrap());
        small.jobs = [job(0, &commits[1]), job(1, &commits[4])];
        small
    }

    /// Plays by a script; returns what is there at the end.
    fn play(&self, script: &Script) -> Result<BTreeMap<String, Vec<u8>>, String> {
        let store = MemoryStore::from_files(self.before.files());
        let laws = Laws::of(&self.theatre.world, None, &store, START);
        let stage = Stage::set(store, &NAMES, Box::new(script.clone()), laws, START + GRACE);
        thread::scope(|scope| {
            for (me, job) in self.jobs.iter().enumerate() {
                let (stage, source) = (&stage, self.theatre.source(me));
                scope.spawn(move || {
                    let _exit = Exit(stage, me);
                    let manner = Manner {
                        me,
                        depth: None,
                        broken: None,
                    };
                    publish_job(stage, &manner, source, job);
                });
            }
            scope.spawn(|| {
                let _exit = Exit(&stage, 2);
                pull_by(&stage, 2, REFS[0], true);
            });
        });
        let refs = self.jobs.iter().flat_map(|job| job.refs.clone()).collect();
        if !stage.is_over() {
            stage.judge(0, |laws, _| laws.at_the_end(&stage.store, &refs));
        }
        match stage.violation() {
            Some(text) => Err(text),
            None => Ok(stage.store.files()),
        }
    }
}

#[test]
fn every_order_of_two_publishers_and_a_client_keeps_the_laws() {
    let small = Small::new();
    let mut known = Touched::default();
    let mut plays = 0;
    // Until no play has touched anything that was not known to be touched: then every choice was there.
    loop {
        let script = Script::with(known.clone());
        loop {
            if let Err(text) = small.play(&script) {
                panic!("choices {:?}: {text}", script.choices.lock().unwrap());
            }
            plays += 1;
            if !next(&mut script.choices.lock().unwrap()) {
                break;
            }
        }
        if !known.learn(&script.touched.lock().unwrap()) {
            break;
        }
    }
    assert!(plays > 500, "only {plays} orders: hardly any was tried");
}
