//! The blocking face of the network thread.

use super::base::Base;
use super::engine::Engine;
use super::exchange::Ask;
use super::fault::Fault;
use super::network::{Event, Network, Waiting};
use super::options::ClientOptions;
use super::request::{Completion, Got, Request, Validator};
use crate::error::{Result, TransferError};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use tokio::sync::mpsc::UnboundedSender;

/// A client of HTTP. It may be shared among threads; dropping it ends its thread and whatever is under way.
pub struct Client {
    events: UnboundedSender<Event>,
    completions: Receiver<Completion>,
    finished: Sender<Completion>,
    waiting: Arc<Waiting>,
    max_queued: usize,
    received: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    /// Starts a client. Nothing is connected yet, and no certificate is read before the first `https` URL.
    ///
    /// # Errors
    /// [`TransferError::Remote`] when the thread does not start, or for headers that are none.
    pub fn new(options: ClientOptions) -> Result<Self> {
        let failed = |what: String| TransferError::Remote(format!("cannot start the HTTP client: {what}"));
        let max_queued = options.max_queued.max(1);
        let received = Arc::new(AtomicU64::new(0));
        let (events, inbox) = tokio::sync::mpsc::unbounded_channel();
        let (finished, completions) = unbounded();
        let waiting = Arc::new(Waiting::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| failed(error.to_string()))?;
        // The engine stays in its thread; whether it can be made is known before that is left alone.
        let (started, outcome) = bounded(1);
        let (sender, completed) = (events.clone(), finished.clone());
        let (shared, counter) = (Arc::clone(&waiting), Arc::clone(&received));
        let thread = std::thread::Builder::new()
            .name("network".to_owned())
            .spawn(move || {
                let engine = match Engine::new(options, counter) {
                    Ok(engine) => engine,
                    Err(fault) => return drop(started.send(Err(fault))),
                };
                drop(started.send(Ok(())));
                let network = Network {
                    engine,
                    events: inbox,
                    sender,
                    completions: completed,
                    waiting: shared,
                };
                network.run(&runtime);
            });
        let thread = thread.map_err(|error| failed(error.to_string()))?;
        match outcome.recv() {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => return Err(failed(fault.to_string())),
            Err(_gone) => return Err(failed(Fault::Ended.to_string())),
        }
        Ok(Self {
            events,
            completions,
            finished,
            waiting,
            max_queued,
            received,
            thread: Some(thread),
        })
    }

    /// Fetches a small file, of at most `limit` bytes, and waits for it; with a condition only if it has changed.
    ///
    /// # Errors
    /// [`TransferError::Fetch`].
    pub fn get(&self, base: &Base, path: &str, limit: u64, condition: Option<&Validator>) -> Result<Got> {
        self.ask(
            Ask {
                base: base.clone(),
                path: path.to_owned(),
                fresh: false,
                once: false,
                condition: condition.cloned(),
            },
            limit,
        )
    }

    /// Fetches a small file past all caches on the way.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_fresh(&self, base: &Base, path: &str, limit: u64) -> Result<Got> {
        self.ask(
            Ask {
                base: base.clone(),
                path: path.to_owned(),
                fresh: true,
                once: false,
                condition: None,
            },
            limit,
        )
    }

    /// Fetches a small file from one of several servers that can stand in for each other: asks once.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(crate) fn get_once(&self, base: &Base, path: &str, limit: u64) -> Result<Got> {
        self.ask(
            Ask {
                base: base.clone(),
                path: path.to_owned(),
                fresh: false,
                once: true,
                condition: None,
            },
            limit,
        )
    }

    fn ask(&self, ask: Ask, limit: u64) -> Result<Got> {
        let (reply, answer) = bounded(1);
        let url = ask.base.display(&ask.path);
        let ended = || Fault::Ended.of(url.clone());
        self.events
            .send(Event::Get(ask, limit, reply))
            .map_err(|_gone| ended())?;
        answer.recv().map_err(|_gone| ended())?
    }

    /// Hands in a request, whose answer will be among the [`completions`](Self::completions). Blocks while
    /// [`max_queued`](ClientOptions::max_queued) wait: a thread that also takes completions uses [`try_submit`](Self::try_submit),
    /// since bodies that nobody takes may be what the others wait for.
    pub fn submit(&self, request: Request) {
        self.waiting.enter(self.max_queued, true);
        self.send(request);
    }

    /// As [`submit`](Self::submit), but gives the request back where as many wait as may.
    ///
    /// # Errors
    /// The request.
    pub fn try_submit(&self, request: Request) -> std::result::Result<(), Request> {
        if !self.waiting.enter(self.max_queued, false) {
            return Err(request);
        }
        self.send(request);
        Ok(())
    }

    fn send(&self, request: Request) {
        if let Err(unsent) = self.events.send(Event::Submit(request))
            && let Event::Submit(request) = unsent.0
        {
            let result = Err(Fault::Ended.of(request.base.display(&request.path)));
            // We hold the other end.
            drop(self.finished.send(Completion {
                id: request.id,
                result,
            }));
        }
    }

    /// Returns where the answers come out, in the order in which they came.
    pub const fn completions(&self) -> &Receiver<Completion> {
        &self.completions
    }

    /// Returns how many bytes of bodies have come so far.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // A thread that is gone needs no word, and what it panicked about was printed.
        drop(self.events.send(Event::Stop));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}
