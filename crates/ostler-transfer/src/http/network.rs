//! The network thread: takes requests, has as many under way as suits the servers, hands out answers.
//!
//! How many are under way: over HTTP/2 64; over HTTP/1.1 8, and one more for each slow answer while others wait, up to 48. Only the
//! thread itself changes that, so that nothing is locked but the count of those that wait.

use super::engine::Engine;
use super::exchange::{Ask, Exchange, Found, Manner};
use super::fault::Fault;
use super::intake::Intake;
use super::request::{Answer, Completion, Destination, Got, Request};
use crate::error::TransferError;
use crossbeam_channel::Sender;
use reqwest::Version;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::LocalSet;

/// Requests under way over HTTP/1.1, each on a connection of its own.
const FEW: usize = 8;

/// The same where answers take long.
const MANY: usize = 48;

/// Requests under way over HTTP/2.
const STREAMS: usize = 64;

/// What counts as a slow answer: it is the way that takes long, and not the server's disk.
const SLOW: Duration = Duration::from_millis(4);

/// What the thread is told.
pub(crate) enum Event {
    /// One of many requests.
    Submit(Request),
    /// A request that somebody waits for.
    Get(Ask, u64, Sender<Result<Got, TransferError>>),
    /// One of many requests is done.
    Done(Manner),
    /// Nobody wants answers any more.
    Stop,
}

/// How many requests wait to be sent.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    count: usize,
    ended: bool,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more; `false` where `most` wait already, unless `patient` waits until fewer do.
    pub(crate) fn enter(&self, most: usize, patient: bool) -> bool {
        let mut state = self.lock();
        while state.count >= most && !state.ended {
            if !patient {
                return false;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.count += 1;
        true
    }

    fn leave(&self) {
        self.lock().count -= 1;
        self.changed.notify_one();
    }

    fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }
}

/// Lets nobody wait for a thread that has ended.
struct End(Arc<Waiting>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The thread's side of a client.
pub(crate) struct Network {
    pub(crate) engine: Engine,
    pub(crate) events: UnboundedReceiver<Event>,
    pub(crate) sender: UnboundedSender<Event>,
    pub(crate) completions: Sender<Completion>,
    pub(crate) waiting: Arc<Waiting>,
}

impl Network {
    /// Works until it is told to stop.
    pub(crate) fn run(self, runtime: &tokio::runtime::Runtime) {
        let _end = End(Arc::clone(&self.waiting));
        LocalSet::new().block_on(runtime, self.dispatch());
    }

    async fn dispatch(mut self) {
        let engine = Rc::new(self.engine);
        let mut queue = VecDeque::new();
        let mut under_way = 0;
        let mut most = engine.options.max_in_flight.unwrap_or(FEW).max(1);
        while let Some(event) = self.events.recv().await {
            match event {
                Event::Stop => return,
                Event::Submit(request) => queue.push_back(request),
                Event::Get(ask, limit, reply) => {
                    let engine = Rc::clone(&engine);
                    tokio::task::spawn_local(async move {
                        // Whoever asked may be gone.
                        drop(reply.send(get(&engine, &ask, limit).await));
                    });
                }
                Event::Done(manner) => {
                    under_way -= 1;
                    if engine.options.max_in_flight.is_none() {
                        most = suitable(most, manner, !queue.is_empty());
                    }
                }
            }
            while under_way < most
                && let Some(request) = queue.pop_front()
            {
                under_way += 1;
                self.waiting.leave();
                let (engine, sender) = (Rc::clone(&engine), self.sender.clone());
                let completions = self.completions.clone();
                tokio::task::spawn_local(async move {
                    let mut manner = Manner::default();
                    let id = request.id;
                    let result = fetch(&engine, request, &mut manner).await;
                    // Either end is gone only when nobody wants answers any more.
                    drop(completions.send(Completion { id, result }));
                    drop(sender.send(Event::Done(manner)));
                });
            }
        }
    }
}

/// How many requests may be under way after one more answer.
fn suitable(most: usize, manner: Manner, others_wait: bool) -> usize {
    match manner.version {
        Some(Version::HTTP_2) => STREAMS,
        Some(_) if most > MANY => FEW,
        Some(_) if others_wait && manner.latency > SLOW => MANY.min(most + 1),
        _ => most,
    }
}

async fn fetch(engine: &Engine, request: Request, manner: &mut Manner) -> Result<Answer, TransferError> {
    let file = match request.destination {
        Destination::Memory => None,
        Destination::File(file) => Some(file),
    };
    let mut intake = Intake::counted(&engine.memory, file, request.limit).await;
    let ask = Ask {
        base: request.base,
        path: request.path,
        fresh: request.fresh,
        once: false,
        condition: None,
    };
    match Exchange::new(engine, &ask, &mut intake, manner).run().await? {
        Found::Body(_) => Ok(intake.finish()),
        Found::NotFound(missing) => Ok(Answer::NotFound(missing)),
        Found::NotModified => Err(Fault::Status(304).of(ask.base.display(&ask.path))),
    }
}

async fn get(engine: &Engine, ask: &Ask, limit: u64) -> Result<Got, TransferError> {
    let mut intake = Intake::uncounted(None, Some(limit));
    let mut manner = Manner::default();
    let found = Exchange::new(engine, ask, &mut intake, &mut manner).run().await?;
    Ok(match found {
        Found::Body(validator) => Got::Body {
            bytes: intake.into_bytes(),
            validator,
        },
        Found::NotModified => Got::NotModified,
        Found::NotFound(missing) => Got::NotFound(missing),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_answers_bring_more_connections_while_others_wait() {
        let manner = |version, latency| Manner {
            version: Some(version),
            latency: Duration::from_millis(latency),
        };
        let (one, two) = (Version::HTTP_11, Version::HTTP_2);
        assert_eq!(suitable(FEW, manner(one, 1), true), FEW);
        assert_eq!(suitable(FEW, manner(one, 20), false), FEW);
        assert_eq!(suitable(FEW, manner(one, 20), true), FEW + 1);
        assert_eq!(suitable(MANY, manner(one, 20), true), MANY);
        assert_eq!(suitable(FEW, manner(two, 1), false), STREAMS);
        assert_eq!(suitable(FEW, Manner::default(), true), FEW);
    }
}
