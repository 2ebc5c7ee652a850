//! One request until there is an answer: over all mirrors, and again while the fault may pass.
//!
//! Each round asks the mirrors in order until one has the file. After a round in which some fault was passing comes a pause, and
//! another round. What a cut connection has brought is kept, and the rest is asked for, where the server made that possible.

use super::base::{Base, Place};
use super::engine::Engine;
use super::fault::{Fault, NotFound};
use super::hop::{Conditions, Reply, Resume, ask};
use super::intake::Intake;
use super::local;
use super::request::Validator;
use crate::error::TransferError;
use reqwest::Version;
use std::time::Duration;

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) base: Base,
    pub(crate) path: String,
    pub(crate) fresh: bool,
    /// Whether one try is enough, since something else is done without an answer.
    pub(crate) once: bool,
    pub(crate) condition: Option<Validator>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Found {
    /// The body is in the intake.
    Body(Validator),
    NotModified,
    NotFound(NotFound),
}

/// How the server answers: what decides how much is asked of it at once.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner {
    pub(crate) version: Option<Version>,
    pub(crate) latency: Duration,
}

/// One request on its way.
pub(crate) struct Exchange<'a> {
    engine: &'a Engine,
    ask: &'a Ask,
    intake: &'a mut Intake,
    manner: &'a mut Manner,
    /// The mirror that sent what is in the intake, and how to ask it for the rest.
    resume: Option<(usize, Resume)>,
}

/// What one round over the mirrors came to, if not to an answer.
#[derive(Default)]
struct Round {
    missing: Option<NotFound>,
    fault: Option<(String, Fault)>,
    passing: bool,
    pause: Option<Duration>,
}

impl<'a> Exchange<'a> {
    /// Prepares a request.
    pub(crate) fn new(
        engine: &'a Engine,
        ask: &'a Ask,
        intake: &'a mut Intake,
        manner: &'a mut Manner,
    ) -> Self {
        Self {
            engine,
            ask,
            intake,
            manner,
            resume: None,
        }
    }

    /// Asks until there is an answer.
    pub(crate) async fn run(mut self) -> Result<Found, TransferError> {
        for number in 0.. {
            let mut round = Round::default();
            if let Some(found) = self.round(&mut round).await {
                return Ok(found);
            }
            let last = self.ask.once || number >= self.engine.options.retries;
            if !round.passing || last {
                return round.result(&self.ask.base, &self.ask.path);
            }
            let pause = self
                .engine
                .pauses
                .before(number)
                .max(round.pause.unwrap_or_default());
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
        Err(Fault::Ended.of(self.ask.base.display(&self.ask.path)))
    }

    /// Asks each mirror once.
    async fn round(&mut self, round: &mut Round) -> Option<Found> {
        let base = self.ask.base.clone();
        for (index, place) in base.places().iter().enumerate() {
            match self.ask_place(index, place, round).await {
                // One that may lag behind has no say where a better one may have the file.
                Ok(Some(Found::NotFound(missing))) if !round.passing => {
                    round.missing = round.missing.take().or(Some(missing));
                }
                Ok(Some(Found::NotFound(_)) | None) => {}
                Ok(Some(found)) => return Some(found),
                Err(fault) => {
                    round.passing |= fault.is_passing();
                    if round.fault.is_none() {
                        round.fault = Some((place.display(&self.ask.path), fault));
                    }
                }
            }
        }
        None
    }

    async fn ask_place(
        &mut self,
        index: usize,
        place: &Place,
        round: &mut Round,
    ) -> Result<Option<Found>, Fault> {
        let missing = |status| NotFound {
            url: place.display(&self.ask.path),
            status,
        };
        if place.url().scheme() == "file" {
            let there = local::read(place, &self.ask.path, self.intake)?;
            return Ok(Some(if there {
                Found::Body(Validator::default())
            } else {
                Found::NotFound(missing(404))
            }));
        }
        let mut resume = match self.resume.take() {
            Some((of, resume)) if of == index && self.intake.length() > 0 => Some(resume),
            _ => None,
        };
        let conditions = Conditions {
            fresh: self.ask.fresh,
            changed: self.ask.condition.as_ref(),
        };
        let reply = ask(
            self.engine,
            place,
            &self.ask.path,
            &conditions,
            &mut resume,
            self.intake,
            self.manner,
        )
        .await;
        // Kept also after a fault: that is what it is for.
        self.resume = resume.map(|resume| (index, resume));
        Ok(match reply? {
            Reply::Body(validator) => Some(Found::Body(validator)),
            Reply::NotModified => Some(Found::NotModified),
            Reply::NotFound(status) => Some(Found::NotFound(missing(status))),
            Reply::Anew => return Err(Fault::Protocol("the rest of it cannot be had".to_owned())),
            Reply::Later(status, pause) => {
                let fault = Fault::Status(status);
                round.pause = round.pause.max(pause);
                return Err(fault);
            }
        })
    }
}

impl Round {
    /// What the caller learns: that a mirror lacks the file counts more than that one behind it does not answer.
    fn result(self, base: &Base, path: &str) -> Result<Found, TransferError> {
        match (self.missing, self.fault) {
            (Some(missing), _) => Ok(Found::NotFound(missing)),
            (None, Some((url, fault))) => Err(fault.of(url)),
            (None, None) => Err(Fault::Ended.of(base.display(path))),
        }
    }
}
