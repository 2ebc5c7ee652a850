//! Pushing: commits of a repository on this machine into one that somebody else guards, over two streams of bytes.
//!
//! The other end is [`receive`](crate::receive); `docs/protocol.md` says what passes between them. Order of a push:
//! 1. greetings and the refs of the far end; what does not move, or may not, is told from these;
//! 2. *source shared*: what the refs that move lead to and the far end need not have is listed and pinned;
//! 3. *nothing*: updates and chains of commits are offered, and every object that the far end asks for is sent, as it is
//!    stored where that is an archive, while a second thread takes what it asks for next: so neither end waits for the other to
//!    read;
//! 4. the far end says what became of each ref. Until then nothing of it has changed.
//!
//! Nothing is written at the source but the pin, which goes at the end.

mod agenda;
mod cargo;
mod feed;
mod late;
mod pace;
mod requests;
mod shelf;

pub use agenda::Wanted;
pub use shelf::{Piece, Shelf};

use crate::channel::{Input, Output, unexpected};
use crate::error::{Result, TransferError};
use agenda::Agenda;
use cargo::Cargo;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use feed::Feed;
use ostler_format::wire::{
    CAN_INFLATE, CAN_JOIN, Finished, Hello, Joined, Message, Offer, PIECE, Ruling, SignedRef, Verdict,
};
use ostler_format::{Checksum, ObjectName, RefName};
use ostler_repo::Repo;
use pace::Paced;
use requests::{Requests, Unread};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How often we look whether the user wants the push to stop.
const LOOK: Duration = Duration::from_millis(200);

/// The most refs that a far end may tell of.
const MAX_REFS: usize = 1 << 20;

/// The most bytes that the names of these may have.
const MAX_NAMES: usize = 64 << 20;

/// The most bytes that the far end may say to the user.
const MAX_NOTES: usize = 1 << 20;

/// Hears how a push goes. All methods have empty defaults.
pub trait PushReporter: Send + Sync {
    /// The far end asked for so many more objects.
    fn wanted(&self, _objects: u64) {}

    /// An object is on its way, with so many bytes as it travels.
    fn sent(&self, _bytes: u64) {}

    /// The far end has something for the user to read.
    fn note(&self, _text: &str) {}
}

impl PushReporter for crate::report::Silent {}

/// What is pushed, and how.
#[derive(Clone, Copy)]
#[expect(
    missing_debug_implementations,
    reason = "the reporter is a trait object without one"
)]
pub struct PushOptions<'a> {
    /// The repository at the far end; empty for the one that it has been given.
    pub path: &'a str,
    /// Name and version of the program.
    pub agent: &'a str,
    /// What shall become of its refs.
    pub wanted: Wanted<'a>,
    /// The most bytes that are sent in a second.
    pub limit_rate: Option<NonZero<u64>>,
    /// Ask what would become of the updates, and stop there.
    pub dry_run: bool,
    /// Set when the user wants the push to stop.
    pub interrupted: &'a AtomicBool,
    /// Breaks the connection: called if we give up while the far end is at work.
    pub hang_up: &'a (dyn Fn() + Sync),
    /// Hears how it goes.
    pub reporter: &'a dyn PushReporter,
}

/// What became of one ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The far end had it so already.
    UpToDate,
    /// It has moved, and that is on disk; or it would move, where that was only asked.
    Accepted,
    /// It has not, for this reason: a clause that follows its name.
    Refused(String),
    /// It has not, because another ref was refused.
    NotTried,
}

/// What a push did to one ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedRef {
    /// The ref, at the far end.
    pub name: RefName,
    /// What it named before.
    pub old: Option<Checksum>,
    /// What it was to name.
    pub new: Option<Checksum>,
    /// What became of it.
    pub fate: Fate,
}

/// What became of signatures that a commit has got at the source since it was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedSignatures {
    /// A ref at the far end that names the commit, and does not move.
    pub name: RefName,
    /// The commit.
    pub commit: Checksum,
    /// How many the far end has added, on disk; or would add, where that was only asked.
    pub added: usize,
    /// Why it has added none.
    pub refused: Option<String>,
}

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Each ref, by name.
    pub refs: Vec<PushedRef>,
    /// Commits of refs that do not move, where the far end lacked signatures.
    pub signatures: Vec<PushedSignatures>,
    /// The number of the generation that the far end made.
    pub generation: Option<u64>,
    /// Objects that were sent.
    pub objects: u64,
    /// Their bytes, as they travelled.
    pub bytes: u64,
}

impl Pushed {
    /// Returns whether any ref was refused.
    pub fn is_refused(&self) -> bool {
        self.refs
            .iter()
            .any(|pushed| matches!(pushed.fate, Fate::Refused(_)))
    }

    /// Returns whether the far end lacks signatures and has not taken them.
    pub fn lacks_signatures(&self) -> bool {
        self.signatures.iter().any(|pushed| pushed.refused.is_some())
    }
}

/// Pushes over a stream that comes from the far end and one that goes there.
///
/// Refs that are refused are no error: see [`Pushed::refs`].
///
/// # Errors
/// See [`TransferError`]: [`Cut`](TransferError::Cut) where the connection breaks, [`Peer`](TransferError::Peer) with what the
/// far end says when it gives up. Whether refs have moved is not known if the connection breaks after the last object.
pub fn push(
    source: &Repo,
    input: impl Read + Send,
    output: impl Write,
    options: &PushOptions<'_>,
) -> Result<Pushed> {
    let paced = Paced::new(output, options.limit_rate, options.interrupted);
    let (mut input, mut output) = (Input::new(input), Output::new(paced));
    output.send(&Message::Hello(Hello::ours(options.agent, options.path)))?;
    let greeted = output.flush();
    // What comes tells more than that nobody reads.
    let theirs = input.greeting()?;
    greeted?;
    if Hello::ours("", "").common_version(&theirs).is_none() {
        return Err(TransferError::Protocol(format!(
            "it speaks the versions {} to {}, and we do not: {}",
            theirs.lowest, theirs.highest, theirs.agent
        )));
    }
    let advertised = refs_of(&mut input)?;
    let guard = source.lock(ostler_repo::LockKind::Shared)?;
    let mut agenda = Agenda::of(source, &advertised, &options.wanted)?;
    if agenda.is_refused() {
        return Ok(agenda.into_pushed(Finished::default(), (0, 0)));
    }
    if theirs.can(CAN_JOIN) {
        agenda.beside = late::told(source, &agenda, options.reporter, || output.show_life())?;
    }
    let cargo = Cargo::pin(source, &agenda, !options.dry_run, guard)?;
    offer(&mut output, &agenda, options.dry_run)?;
    let feed = Feed::new(&cargo, output, theirs.can(CAN_INFLATE));
    converse(input, feed, &cargo, agenda, options)
}

/// Takes the refs that the far end tells of.
fn refs_of(input: &mut Input<impl Read>) -> Result<BTreeMap<RefName, Checksum>> {
    let mut all = BTreeMap::new();
    let mut names = 0;
    loop {
        match input.next()? {
            Message::Refs { refs, more } => {
                names += refs.iter().map(|(name, _)| name.as_str().len()).sum::<usize>();
                if (more && refs.is_empty()) || all.len() + refs.len() > MAX_REFS || names > MAX_NAMES {
                    return Err(TransferError::Protocol(format!(
                        "it tells of more than {MAX_REFS} refs, of names with more than {MAX_NAMES} bytes, or of none at all"
                    )));
                }
                all.extend(refs);
                if !more {
                    return Ok(all);
                }
            }
            other => return Err(unexpected(&other)),
        }
    }
}

/// Says what is wanted, and which commits there are for it.
fn offer(output: &mut Output<impl Write>, agenda: &Agenda, dry_run: bool) -> Result<()> {
    for (page, more) in pages(&agenda.updates, |update| update.name.as_str().len() + 80) {
        output.send(&Message::Offer(Offer {
            updates: page.to_vec(),
            dry_run,
            more,
        }))?;
    }
    for chain in agenda.chains.iter().filter(|_| !dry_run) {
        for (page, more) in pages(chain, |_| 32) {
            output.send(&Message::Chain {
                commits: page.to_vec(),
                more,
            })?;
        }
    }
    if dry_run && agenda.updates.is_empty() && !agenda.beside.is_empty() {
        // It is only a question, though no ref is asked about.
        output.send(&Message::Offer(Offer {
            updates: Vec::new(),
            dry_run,
            more: false,
        }))?;
    }
    for (page, _) in pages(&agenda.beside, SignedRef::length) {
        output.send(&Message::Beside(page.to_vec()))?;
    }
    output.send(&Message::Offered)?;
    output.flush()
}

/// Splits entries so that each part fits into a message, by what one of them takes at most; with whether another part follows.
pub(crate) fn pages<T>(entries: &[T], size: impl Fn(&T) -> usize) -> impl Iterator<Item = (&[T], bool)> {
    let largest = entries.iter().map(size).max().unwrap_or(1).max(1);
    let parts = entries.chunks((PIECE / largest).max(1));
    let last = parts.len().saturating_sub(1);
    (0..).zip(parts).map(move |(place, part)| (part, place < last))
}

/// What the far end says once all is offered.
enum Answer {
    Want(Vec<ObjectName>),
    Verdicts(Vec<Verdict>),
    Joined(Vec<Joined>),
    Finished(Finished),
    Failed(TransferError),
}

/// Sends what is asked for until the far end is through.
fn converse<W: Write>(
    input: Input<impl Read + Send>,
    mut feed: Feed<'_, W>,
    cargo: &Cargo<'_>,
    mut agenda: Agenda,
    options: &PushOptions<'_>,
) -> Result<Pushed> {
    let (answers, answered) = unbounded();
    let unread = Unread::default();
    let mut listener = Listener {
        unread: &unread,
        objects: cargo.most(),
        verdicts: agenda.updates.len(),
        joined: agenda.beside.len(),
        notes: MAX_NOTES,
        reporter: options.reporter,
    };
    thread::scope(|scope| {
        let listener = scope.spawn(move || listener.listen(input, &answers));
        let requests = Requests::new(cargo, &unread);
        let served = serve(&answered, &mut feed, requests, &mut agenda, options);
        let counted = feed.counted();
        // The far end sees the end of the stream, if it has not ended itself.
        drop(feed);
        let finished = match served {
            Ok(finished) => Ok(finished),
            // A stream that nobody reads any more: the other one may say why.
            Err(TransferError::Cut(fault)) => Err(last_word(&answered).unwrap_or(TransferError::Cut(fault))),
            Err(error) => {
                if !matches!(error, TransferError::Peer(_)) {
                    (options.hang_up)();
                }
                Err(error)
            }
        };
        drop(listener.join());
        finished.map(|finished| agenda.into_pushed(finished, counted))
    })
}

/// Takes what the far end says, so that it never waits for us to read: no more of it than a push has.
struct Listener<'a> {
    unread: &'a Unread,
    /// How many requests may wait.
    objects: usize,
    /// How many verdicts have yet to come.
    verdicts: usize,
    /// Of how many commits it may yet be told what became of signatures.
    joined: usize,
    /// How many bytes of notes are passed on.
    notes: usize,
    reporter: &'a dyn PushReporter,
}

impl Listener<'_> {
    fn listen(&mut self, mut input: Input<impl Read>, answers: &Sender<Answer>) {
        loop {
            let message = input.next().and_then(|message| self.take(message));
            let answer = match message {
                Ok(None) => continue,
                Ok(Some(answer)) => answer,
                Err(error) => Answer::Failed(error),
            };
            let is_last = matches!(answer, Answer::Finished(_) | Answer::Failed(_));
            if answers.send(answer).is_err() || is_last {
                return;
            }
        }
    }

    fn take(&mut self, message: Message) -> Result<Option<Answer>> {
        match message {
            Message::Want(names) if names.is_empty() => Ok(None),
            Message::Want(names) => {
                self.unread.add(names.len(), self.objects)?;
                Ok(Some(Answer::Want(names)))
            }
            Message::Verdicts { verdicts, .. } if verdicts.is_empty() => Ok(None),
            Message::Verdicts { verdicts, .. } => {
                let left = self.verdicts.checked_sub(verdicts.len());
                self.verdicts = left.ok_or_else(|| {
                    TransferError::Protocol("it tells of more refs than were offered".into())
                })?;
                Ok(Some(Answer::Verdicts(verdicts)))
            }
            Message::Joined(joined) => {
                let left = self.joined.checked_sub(joined.len());
                self.joined = left.ok_or_else(|| {
                    TransferError::Protocol("it tells of more signatures than it was told of".into())
                })?;
                Ok(Some(Answer::Joined(joined)))
            }
            Message::Finished(finished) => Ok(Some(Answer::Finished(finished))),
            Message::Note(text) => {
                // Whoever has so much to say is not read to the end.
                if let Some(left) = self.notes.checked_sub(text.len() + 1) {
                    self.notes = left;
                    self.reporter.note(&text);
                }
                Ok(None)
            }
            other => Err(unexpected(&other)),
        }
    }
}

/// Returns what the far end said before it closed the stream; waits for the end of the other one.
fn last_word(answers: &Receiver<Answer>) -> Option<TransferError> {
    answers.iter().find_map(|answer| match answer {
        Answer::Failed(error) => Some(error),
        _ => None,
    })
}

fn serve<W: Write>(
    answers: &Receiver<Answer>,
    feed: &mut Feed<'_, W>,
    mut requests: Requests<'_>,
    agenda: &mut Agenda,
    options: &PushOptions<'_>,
) -> Result<Finished> {
    loop {
        if options.interrupted.load(Ordering::Relaxed) {
            return Err(TransferError::Interrupted);
        }
        let answer = if requests.is_empty() {
            feed.flush()?;
            answers.recv_timeout(LOOK)
        } else {
            let waiting = answers.try_recv();
            waiting.map_err(|_none_waits| RecvTimeoutError::Timeout)
        };
        match answer {
            Ok(Answer::Want(names)) => {
                options.reporter.wanted(names.len() as u64);
                requests.take(names)?;
                continue;
            }
            Ok(Answer::Verdicts(verdicts)) => agenda.take_verdicts(&verdicts)?,
            Ok(Answer::Joined(joined)) => agenda.take_joined(joined)?,
            Ok(Answer::Finished(finished)) => {
                agenda.check_told()?;
                return Ok(finished);
            }
            Ok(Answer::Failed(error)) => return Err(error),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(TransferError::Protocol("it went without a result".into()));
            }
        }
        if let Some(name) = requests.next() {
            options.reporter.sent(feed.send(&name)?);
        }
    }
}

impl Agenda {
    /// Notes what the far end says of signatures.
    fn take_joined(&mut self, all: Vec<Joined>) -> Result<()> {
        for joined in all {
            let name = joined.name.clone();
            self.note_signatures(PushedSignatures {
                name: joined.name,
                commit: joined.commit,
                added: usize::from(joined.added),
                refused: (!joined.reason.is_empty() || joined.added == 0).then_some(joined.reason),
            })
            .map_err(|what| {
                TransferError::Protocol(format!("of the signatures of '{name}' it tells {what}"))
            })?;
        }
        Ok(())
    }

    /// Notes what the far end says of refs.
    fn take_verdicts(&mut self, verdicts: &[Verdict]) -> Result<()> {
        for verdict in verdicts {
            let fate = match verdict.ruling {
                Ruling::Accepted => Fate::Accepted,
                Ruling::Refused => Fate::Refused(verdict.reason.clone()),
                Ruling::NotTried => Fate::NotTried,
            };
            self.note(&verdict.name, fate)?;
        }
        Ok(())
    }
}
