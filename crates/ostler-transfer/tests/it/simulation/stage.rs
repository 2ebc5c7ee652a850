//! The stage: who goes on, one step at a time, and what is checked after it.
//!
//! Each actor is a thread that stops before each of its steps until it is its turn. A [`Director`] says whose turn it is,
//! how the clock goes, and who crashes. No more than one actor runs at any time, so that a play is the same whenever the
//! director decides the same.

use super::laws::{Laws, Violation};
use super::trace::{Op, Trace};
use super::world::World;
use ostler_transfer::{Edit, MemoryStore, Outcome, Result, Step, TransferError};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};

/// What becomes of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It happens.
    Happens,
    /// It fails, and the actor hears of it.
    Fails,
    /// The actor is no more: nothing that it still tries happens.
    Crash,
}

/// Decides how a play goes.
pub(crate) trait Director: Send {
    /// Chooses one of those that can go on: their numbers and what they are about to do. `current` went last, and
    /// `leased` has the lease.
    fn choose(&mut self, current: Option<usize>, leased: Option<usize>, ready: &[(usize, &Op)]) -> usize;

    /// Returns by how many seconds the clock goes on.
    fn seconds(&mut self) -> u64 {
        0
    }

    /// Decides what becomes of a step.
    fn fate(&mut self, _op: &Op) -> Fate {
        Fate::Happens
    }
}

#[derive(Debug, Default)]
struct Actor {
    name: &'static str,
    next: Option<Op>,
    is_dead: bool,
    has_failed: bool,
    is_gone: bool,
}

/// The state of a play.
struct State {
    actors: Vec<Actor>,
    /// Whose turn it is.
    current: Option<usize>,
    lease: Option<usize>,
    clock: u64,
    /// Whether the one who has the lease has looked at the clock: the time from there to its flip is no time.
    is_timed: bool,
    steps: u64,
    director: Box<dyn Director>,
    laws: Laws,
    trace: Trace,
    /// What the one whose turn it is has done, and what was there before.
    doing: Option<(Op, Option<Vec<u8>>)>,
    violation: Option<String>,
}

/// See the module.
pub(crate) struct Stage {
    pub(crate) store: MemoryStore,
    pub(crate) world: Arc<World>,
    state: Mutex<State>,
    turns: Vec<Condvar>,
}

/// What an actor's name on the stage means to the store's steps.
fn op_of(step: &Step) -> Op {
    match step {
        Step::Put(path) => Op::Put(path.clone()),
        Step::Intent => Op::Intent,
        Step::Edit(path) => Op::Edit(path.clone()),
        Step::Done => Op::Done,
        Step::Remove(path) => Op::Remove(path.clone()),
    }
}

impl Stage {
    /// Sets a stage with a store, for actors with these names.
    pub(crate) fn set(
        store: MemoryStore,
        names: &[&'static str],
        director: Box<dyn Director>,
        laws: Laws,
        clock: u64,
    ) -> Arc<Self> {
        let actor = |name: &&'static str| Actor {
            name,
            ..Actor::default()
        };
        let stage = Arc::new(Self {
            store,
            world: laws.world(),
            turns: names.iter().map(|_| Condvar::new()).collect(),
            state: Mutex::new(State {
                actors: names.iter().map(actor).collect(),
                current: None,
                lease: None,
                clock,
                is_timed: false,
                steps: 0,
                director,
                laws,
                trace: Trace::default(),
                doing: None,
                violation: None,
            }),
        });
        let weak: Weak<Self> = Arc::downgrade(&stage);
        stage.store.set_hook(Box::new(move |step| match weak.upgrade() {
            Some(stage) => stage.step_of_store(&op_of(step)),
            None => Ok(()),
        }));
        let weak: Weak<Self> = Arc::downgrade(&stage);
        (stage.store).set_clock(Box::new(move || {
            weak.upgrade().map_or(clock, |stage| stage.clock())
        }));
        stage
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn step_of_store(&self, op: &Op) -> Result<()> {
        let current = self.state().current;
        self.turn(current.expect("steps are taken by actors"), op.clone())
    }

    /// Waits until it is an actor's turn to do something.
    pub(crate) fn turn(&self, me: usize, op: Op) -> Result<()> {
        let mut state = self.state();
        state.alive(me)?;
        if state.current == Some(me) {
            state.examine(&self.store);
        }
        state.actors[me].next = Some(op);
        self.hand_over(&mut state);
        while state.current != Some(me) && state.violation.is_none() {
            state = self.turns[me].wait(state).unwrap();
        }
        state.alive(me)?;
        state.take_step(me, &self.store)
    }

    /// Lets whoever the director chooses go on.
    fn hand_over(&self, state: &mut State) {
        let waits_for_first = |actor: &Actor| actor.next.is_none() && !actor.is_gone;
        if state.violation.is_none() && !state.actors.iter().any(waits_for_first) {
            state.choose();
        }
        match (state.violation.is_some(), state.current) {
            (true, _) => self.turns.iter().for_each(Condvar::notify_all),
            (false, Some(current)) => self.turns[current].notify_all(),
            (false, None) => {}
        }
    }

    /// Ends an actor.
    pub(crate) fn leave(&self, me: usize) {
        let mut state = self.state();
        if state.violation.is_none() {
            state.examine(&self.store);
        }
        state.actors[me].is_gone = true;
        self.hand_over(&mut state);
    }

    /// Makes a second part of the play, for one actor, undisturbed.
    pub(crate) fn clear(&self) {
        struct Undisturbed;
        impl Director for Undisturbed {
            fn choose(&mut self, _: Option<usize>, _: Option<usize>, ready: &[(usize, &Op)]) -> usize {
                ready[0].0
            }
        }
        let mut state = self.state();
        state.director = Box::new(Undisturbed);
        state.current = None;
        for actor in &mut state.actors {
            actor.next = None;
            actor.is_gone = true;
        }
        state.actors[0] = Actor {
            name: "the last",
            ..Actor::default()
        };
    }

    /// Returns whether an actor was told to crash, or a step of it to fail, and lets it begin anew.
    pub(crate) fn recover_from_fate(&self, me: usize) -> bool {
        let mut state = self.state();
        let actor = &mut state.actors[me];
        let met = actor.is_dead || actor.has_failed;
        actor.is_dead = false;
        actor.has_failed = false;
        met
    }

    pub(crate) fn clock(&self) -> u64 {
        let mut state = self.state();
        state.is_timed |= state.lease.is_some() && state.lease == state.current;
        state.clock
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.state().clock += seconds;
    }

    pub(crate) fn steps(&self) -> u64 {
        self.state().steps
    }

    /// Returns what broke which law, with what led to it.
    pub(crate) fn violation(&self) -> Option<String> {
        let state = self.state();
        let violation = state.violation.as_ref()?;
        let depth = state.laws.depth();
        Some(format!(
            "{violation}\n  (commits of a history that are kept: {depth:?})\n{}",
            state.trace
        ))
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state().violation.is_some()
    }

    /// Says what is wrong, and ends the play.
    pub(crate) fn accuse(&self, me: usize, what: &str) {
        let mut state = self.state();
        let name = state.actors[me].name;
        state.violation.get_or_insert_with(|| format!("{name}: {what}"));
        self.hand_over(&mut state);
    }

    /// Checks something against the laws.
    pub(crate) fn judge(&self, me: usize, check: impl FnOnce(&mut Laws, u64) -> Result<(), Violation>) {
        let mut state = self.state();
        state.examine(&self.store);
        let clock = state.clock;
        let verdict = check(&mut state.laws, clock);
        drop(state);
        if let Err(Violation(what)) = verdict {
            self.accuse(me, &what);
        }
    }

    /// Notes that an actor begins a command.
    pub(crate) fn begin(&self, me: usize, what: &'static str) -> Result<()> {
        self.turn(me, Op::Begin(what))?;
        let mut state = self.state();
        let steps = state.steps;
        state.laws.begin(me, steps);
        Ok(())
    }

    /// Notes what an actor is about to flip.
    pub(crate) fn flipping(&self, me: usize, edits: &[Edit]) -> Result<()> {
        self.state().alive(me)?;
        let files: BTreeMap<_, _> = self.store.files();
        self.judge(me, |laws, _| laws.flipping(edits, &files));
        self.state().alive(me)
    }

    /// Notes that a flip is done that the store knows nothing of.
    pub(crate) fn flipped(&self) {
        let mut state = self.state();
        state.examine(&self.store);
        state.laws.flipped();
    }

    /// Checks what a publish says that it did.
    pub(crate) fn published(&self, me: usize, outcome: &Outcome, source: &BTreeMap<String, String>) {
        self.judge(me, |laws, _| laws.published(me, outcome, source));
    }

    /// Returns how often signatures were made to overlap.
    pub(crate) fn overlaps(&self) -> u64 {
        let mut state = self.state();
        state.examine(&self.store);
        state.laws.overlaps()
    }

    /// Fails if an actor is no more, or the play is over.
    pub(crate) fn alive(&self, me: usize) -> Result<()> {
        self.state().alive(me)
    }

    pub(crate) fn release(&self, me: usize) {
        let mut state = self.state();
        if state.lease == Some(me) {
            state.lease = None;
            state.is_timed = false;
        }
    }
}

impl State {
    fn alive(&self, me: usize) -> Result<()> {
        if self.violation.is_some() || self.actors[me].is_dead {
            return Err(TransferError::Stopped(self.steps));
        }
        Ok(())
    }

    /// Checks the laws after what was done last.
    fn examine(&mut self, store: &MemoryStore) {
        let Some((op, before)) = self.doing.take() else {
            return;
        };
        let current = self.current.unwrap_or_default();
        if let Err(Violation(what)) =
            self.laws
                .examine(current, &op, before.as_deref(), store, self.clock, self.steps)
        {
            let name = self.actors[current].name;
            let text = format!("{name}, {op}: {what}");
            self.violation.get_or_insert(text);
        }
    }

    fn choose(&mut self) {
        let seconds = self.director.seconds();
        if seconds > 0 && !self.is_timed {
            self.clock += seconds;
            self.trace.note("clock", format!("{seconds} seconds pass"), false);
        }
        let mut ready = Vec::new();
        for (index, actor) in self.actors.iter().enumerate() {
            match &actor.next {
                Some(Op::Lease) if self.lease.is_some() => {}
                Some(op) if !actor.is_gone => ready.push((index, op)),
                _ => {}
            }
        }
        if ready.is_empty() {
            self.current = None;
            if self.actors.iter().any(|actor| !actor.is_gone) {
                self.violation = Some("everybody waits for the lease, and nobody has it".to_owned());
            }
            return;
        }
        self.current = Some(self.director.choose(self.current, self.lease, &ready));
    }

    fn take_step(&mut self, me: usize, store: &MemoryStore) -> Result<()> {
        let op = self.actors[me].next.take().expect("said before its turn");
        self.steps += 1;
        let fate = match op {
            Op::Begin(_) => Fate::Happens,
            _ => self.director.fate(&op),
        };
        let note = match fate {
            Fate::Happens => match op.changed().and_then(|path| self.laws.new_value(path)) {
                Some(value) => format!("{op}: {}", self.laws.world().shorten(&value)),
                None => op.to_string(),
            },
            Fate::Fails => format!("FAILS to {op}"),
            Fate::Crash => format!("CRASHES before: {op}"),
        };
        let is_read = fate == Fate::Happens && matches!(op, Op::Read(_));
        self.trace.note(self.actors[me].name, note, is_read);
        match fate {
            Fate::Happens => {}
            Fate::Fails => self.actors[me].has_failed = true,
            Fate::Crash => self.actors[me].is_dead = true,
        }
        if fate != Fate::Happens {
            return Err(TransferError::Stopped(self.steps));
        }
        if op == Op::Lease {
            self.lease = Some(me);
        }
        let before = op.changed().and_then(|path| file(store, path));
        self.doing = Some((op, before));
        Ok(())
    }
}

/// Reads a file of the store.
pub(crate) fn file(store: &MemoryStore, path: &str) -> Option<Vec<u8>> {
    use ostler_transfer::Store as _;
    store.get(path, u64::MAX).unwrap()
}
