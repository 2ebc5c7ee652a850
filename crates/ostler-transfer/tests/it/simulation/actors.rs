//! What actors do: publishers, and an operator who sweeps, rolls back and pins. Each is the real code over its seat.

use super::GRACE;
use super::laws::Refs;
use super::seat::{Broken, Meddler, Seat};
use super::stage::Stage;
use super::world::Source;
use ostler_testkit::random::Random;
use ostler_transfer::{
    Keep, Outcome, Policy, PublishOptions, Result, Retention, RollbackOptions, Selection, Silent,
    SummaryPolicy, SweepOptions, TransferError, publish, rollback, set_pinned, sweep,
};
use std::num::NonZero;
use std::sync::atomic::AtomicBool;

static NEVER: AtomicBool = AtomicBool::new(false);

/// How an actor is to behave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) me: usize,
    /// How many commits of a history are kept; `None`: all.
    pub(crate) depth: Option<usize>,
    pub(crate) broken: Option<Broken>,
}

impl Manner {
    fn retention(&self) -> Retention {
        let keep = |depth: usize| Keep {
            last: depth as u64,
            ..Keep::default()
        };
        Retention {
            rules: Vec::new(),
            others: self.depth.map(keep),
        }
    }

    fn grace(&self) -> u64 {
        if self.broken == Some(Broken::Grace) {
            0
        } else {
            GRACE
        }
    }
}

/// A publish that is to be made.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// The refs of the source.
    pub(crate) refs: Refs,
    /// Which refs are its own to publish and to delete.
    pub(crate) pattern: &'static str,
    pub(crate) sweeps: bool,
    /// Refs that the source has after its snapshot was taken, and after how many more steps.
    pub(crate) meanwhile: Option<(Refs, usize)>,
}

/// Publishes once; the play goes on whether it crashes or not.
fn publish_once(stage: &Stage, manner: &Manner, source: &Source, job: &Job) -> Result<Outcome> {
    source.set_refs(&job.refs);
    let mut seat = Seat::new(stage, manner.me, manner.broken);
    if let Some((refs, delay)) = &job.meanwhile {
        seat = seat.with_meddler(Meddler {
            source,
            refs: refs.clone(),
            delay: *delay,
            is_armed: false,
        });
    }
    let policy = Policy {
        selection: Selection::new(&[job.pattern.to_owned()]).unwrap(),
        force: true,
        delete_refs: true,
        retention: manner.retention(),
        signing: stage.world.signing(),
        ..Policy::default()
    };
    stage.begin(manner.me, "publish")?;
    let options = PublishOptions {
        policy: &policy,
        dry_run: false,
        jobs: NonZero::<usize>::MIN,
        held_bytes: 0,
        sweep: job.sweeps.then(|| manner.grace()),
        clock: &|| stage.clock(),
        who: "publisher",
        interrupted: &NEVER,
        reporter: &Silent,
    };
    publish(&source.open(), &seat, &options)
}

/// Publishes until it was done.
pub(crate) fn publish_job(stage: &Stage, manner: &Manner, source: &Source, job: &Job) {
    loop {
        let outcome = publish_once(stage, manner, source, job);
        let met_its_fate = stage.recover_from_fate(manner.me);
        match outcome {
            _ if stage.is_over() => return,
            Ok(outcome) => {
                // A sweep at its end may have met its fate.
                stage.published(manner.me, &outcome, &job.refs);
                return;
            }
            Err(_) if met_its_fate => {}
            // Somebody else was faster, time after time.
            Err(TransferError::Contended { .. }) => {}
            Err(error) => return stage.accuse(manner.me, &format!("publish failed: {}", chain(&error))),
        }
    }
}

/// Does what an operator does now and then.
pub(crate) fn operate(stage: &Stage, manner: &Manner, random: &mut Random) {
    let seat = Seat::new(stage, manner.me, None);
    let outcome = match random.below(8) {
        0 => stage.begin(manner.me, "rollback").and_then(|()| {
            let options = RollbackOptions {
                signing: &stage.world.signing(),
                generation: None,
                force: true,
                summary: SummaryPolicy::Auto,
                dry_run: false,
                clock: &|| stage.clock(),
                who: "operator",
                reporter: &Silent,
            };
            rollback(&seat, &options).map(drop)
        }),
        1 | 2 => {
            let (number, pinned) = (1 + random.below(4) as u64, random.chance(60));
            stage
                .begin(manner.me, "pin")
                .and_then(|()| set_pinned(&seat, number, pinned, &|| stage.clock(), &Silent).map(drop))
        }
        _ => sweep_once(stage, manner, &Seat::new(stage, manner.me, manner.broken)),
    };
    let met_its_fate = stage.recover_from_fate(manner.me);
    match outcome {
        _ if stage.is_over() || met_its_fate => {}
        Ok(())
        | Err(
            TransferError::NoGeneration { .. }
            | TransferError::NothingEarlier { .. }
            | TransferError::Swept { .. }
            | TransferError::Contended { .. },
        ) => {}
        Err(error) => stage.accuse(manner.me, &format!("failed: {}", chain(&error))),
    }
}

/// Sweeps.
pub(crate) fn sweep_once(stage: &Stage, manner: &Manner, seat: &Seat<'_>) -> Result<()> {
    stage.begin(manner.me, "sweep")?;
    let options = SweepOptions {
        retention: &Retention::default(),
        now: stage.clock(),
        grace: manner.grace(),
        dry_run: false,
        threads: NonZero::<usize>::MIN,
        interrupted: &NEVER,
        reporter: &Silent,
    };
    sweep(seat, &options).map(drop)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}
