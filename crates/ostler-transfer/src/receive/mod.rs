//! Receiving: the far end of a [`push`](crate::push), which owns the repository and decides.
//!
//! Order of effects:
//! 1. greetings; the repository is looked for below the root that the rules give; its refs are told, those only that the
//!    pusher may do something with;
//! 2. each update that is offered is judged by the rules: if one may not be, none is, and nothing is sent;
//! 3. *nothing locked*: all that the commits need is walked here, what is missing is asked for, hashed as it comes, and kept in
//!    quarantine (`receive/quarantine.rs`), out of everybody's sight. A connection that breaks leaves it, and the next push of the same
//!    pusher goes on with it;
//! 4. *one pusher after the other*: what is in quarantine is [published](crate::publish()) into the repository: objects are
//!    hashed where they are linked from, the closure is looked at, and refs, summary and record change in one flip, each ref
//!    from the value that the pusher has seen, or none does;
//! 5. the quarantine goes, and the pusher is told what became of each ref.

mod fill;
mod judge;
mod place;
mod quarantine;
mod rules;

pub use rules::{ReceiveRules, Rights};

use crate::channel::{Input, Output, SIGN_OF_LIFE, unexpected};
use crate::error::{Damage, Result, TransferError};
use crate::execute::lock;
use crate::policy::{Policy, RefMove};
use crate::publish::{Outcome, PublishOptions, publish};
use crate::push::pages;
use crate::report::Reporter;
use crate::retention::Retention;
use crate::store::DirStore;
use fill::Fill;
use ostler_format::wire::{Finished, Hello, Message, Ruling, Update, Verdict};
use ostler_format::{Checksum, CollectionRef, ObjectName, RefName};
use ostler_repo::{OpenOptions, Repo};
use quarantine::Quarantine;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::num::NonZero;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

/// How often what is found to be missing, or lost to others, is made good before we give up.
const ATTEMPTS: u32 = 8;

/// The most updates of a push, and the most commits that its chains name.
const MAX_UPDATES: usize = 1 << 16;
const MAX_COMMITS: usize = 1 << 20;

/// Up to so many bytes are linked into the repository in one go: what is hashed in less than a second.
const HELD_BYTES: u64 = 128 << 20;

/// How pushes are received.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "the clock is a function without one")]
pub struct ReceiveOptions<'a> {
    /// What may be done.
    pub rules: &'a ReceiveRules,
    /// The one repository that may be pushed to, where it is given.
    pub repository: Option<&'a Path>,
    /// Who pushes, by the name that the rules know.
    pub pusher: &'a str,
    /// Who pushes, for the records of generations.
    pub who: &'a str,
    /// Name and version of the program.
    pub agent: &'a str,
    /// How the repository is opened.
    pub open: &'a OpenOptions,
    /// Returns the time, in seconds since the epoch, UTC.
    pub clock: &'a (dyn Fn() -> u64 + Sync),
    /// How many objects are put at once.
    pub jobs: NonZero<usize>,
    /// Set when the process is to end.
    pub interrupted: &'a AtomicBool,
}

/// What a push changed here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// What the pusher was told of each ref.
    pub verdicts: Vec<Verdict>,
    /// The generation that was made.
    pub generation: Option<u64>,
}

/// Receives one push over a stream that comes from the pusher and one that goes there. What goes wrong is told there too.
///
/// # Errors
/// See [`TransferError`]. No ref has moved then, unless the connection broke right at the end.
pub fn receive(
    input: impl Read,
    output: impl Write + Send,
    options: &ReceiveOptions<'_>,
) -> Result<Received> {
    let mut input = Input::new(input);
    let output = Mutex::new(Output::new(output));
    let received = Session { options }.run(&mut input, &output);
    if let Err(error) = &received {
        let mut output = lock(&output);
        // Whoever is not there any more is told nothing.
        drop(output.send(&Message::Error(error.chain())));
        drop(output.flush());
    }
    received
}

struct Session<'a> {
    options: &'a ReceiveOptions<'a>,
}

/// What is offered.
#[derive(Debug, Default)]
struct Offered {
    updates: Vec<Update>,
    chains: Vec<Vec<Checksum>>,
    dry_run: bool,
}

impl Session<'_> {
    fn run<W: Write + Send>(
        &self,
        input: &mut Input<impl Read>,
        output: &Mutex<Output<W>>,
    ) -> Result<Received> {
        quarantine::check_pusher(self.options.pusher)?;
        let theirs = input.greeting()?;
        let ours = Hello::ours(self.options.agent, "");
        let common = ours.common_version(&theirs);
        lock(output).send(&Message::Hello(ours))?;
        if common.is_none() {
            return Err(TransferError::Protocol(format!(
                "it speaks the versions {} to {}, and we do not",
                theirs.lowest, theirs.highest
            )));
        }
        let repo = self.open(&theirs.path)?;
        self.advertise(&repo, &mut lock(output))?;
        let Some(offered) = take_offer(input)? else {
            // There was nothing to do.
            return Ok(Received {
                verdicts: Vec::new(),
                generation: None,
            });
        };
        let refs = repo.list_refs(ostler_repo::RefScope::Local)?;
        let refs = refs.into_iter().map(|(refspec, commit)| (refspec.name, commit));
        let judged = judge::verdicts(self.options, &refs.collect(), &offered.updates)?;
        let refused = judged.iter().any(|verdict| verdict.ruling == Ruling::Refused);
        if offered.updates.is_empty() {
            Quarantine::tidy(&repo, self.options.pusher, (self.options.clock)())?;
        }
        if refused || offered.dry_run || offered.updates.is_empty() {
            return conclude(&mut lock(output), judged, Finished::default());
        }
        match self.take_in(&repo, &offered, input, output) {
            Ok(outcome) => {
                let finished = Finished {
                    generation: outcome.generation,
                    objects: outcome.plan.objects.len() as u64,
                    bytes: outcome.plan.bytes(),
                };
                conclude(&mut lock(output), judged, finished)
            }
            Err(TransferError::Refused(refusals)) => {
                let refused = judge::refused(&judged, &refusals);
                conclude(&mut lock(output), refused, Finished::default())
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the repository that is asked for, if it may be pushed to.
    fn open(&self, path: &str) -> Result<Repo> {
        let path = place::locate(self.options.rules.root(), self.options.repository, path)?;
        let repo = Repo::open_with(&path, self.options.open.clone())?;
        if !repo.mode().is_archive() {
            return Err(TransferError::UnfitTarget {
                target: path.display().to_string(),
                reason: format!("its mode is '{}', and pushes go to archives", repo.mode()),
            });
        }
        repo.require_writable()?;
        repo.complete_flip()?;
        Ok(repo)
    }

    /// Tells the refs that the pusher may do something with.
    fn advertise(&self, repo: &Repo, output: &mut Output<impl Write>) -> Result<()> {
        let refs = repo.list_refs(ostler_repo::RefScope::Local)?;
        let shown = |name: &RefName| {
            let rights = self.options.rules.rights(self.options.pusher, name.as_str());
            rights != Rights::default()
        };
        let refs: Vec<_> = refs
            .into_iter()
            .map(|(refspec, commit)| (refspec.name, commit))
            .filter(|(name, _)| shown(name))
            .collect();
        if refs.is_empty() {
            output.send(&Message::Refs {
                refs: Vec::new(),
                more: false,
            })?;
        }
        for (page, more) in pages(&refs, |(name, _)| name.as_str().len() + 34) {
            output.send(&Message::Refs {
                refs: page.to_vec(),
                more,
            })?;
        }
        output.flush()
    }

    /// Takes what is missing and publishes it. What has come stays for another push where that may be of use.
    fn take_in<W: Write + Send>(
        &self,
        repo: &Repo,
        offered: &Offered,
        input: &mut Input<impl Read>,
        output: &Mutex<Output<W>>,
    ) -> Result<Outcome> {
        let now = (self.options.clock)();
        let quarantine = Quarantine::open(repo, self.options.pusher, self.options.open, now)?;
        let outcome = self.fill_and_publish(repo, quarantine.repo(), offered, input, output);
        match &outcome {
            Ok(_) | Err(TransferError::Refused(_) | TransferError::Summary(_)) => {
                quarantine.discard()?;
                Quarantine::tidy(repo, self.options.pusher, now)?;
            }
            Err(_) => {}
        }
        outcome
    }

    fn fill_and_publish<W: Write + Send>(
        &self,
        repo: &Repo,
        quarantine: &Repo,
        offered: &Offered,
        input: &mut Input<impl Read>,
        output: &Mutex<Output<W>>,
    ) -> Result<Outcome> {
        let mut damaged: BTreeSet<ObjectName> = BTreeSet::new();
        for _ in 0..ATTEMPTS {
            let mut transaction = quarantine.begin()?;
            let mut fill = Fill::new(&transaction, repo)?;
            fill.begin(&offered.chains, &damaged)?;
            fill.run(input, &mut lock(output))?;
            for edit in quarantine::ref_edits(&offered.updates) {
                transaction.edit_ref(edit);
            }
            transaction.commit()?;
            match with_signs_of_life(output, || self.publish(repo, quarantine, offered, output)) {
                // Here is damage, or what was relied on is gone: the pusher has it.
                Err(TransferError::CorruptSource(found)) if is_news(&found, &damaged) => {
                    damaged.extend(found.iter().map(|damage| damage.object));
                }
                Err(TransferError::Contended { .. }) => {}
                outcome => return outcome,
            }
        }
        Err(TransferError::Contended {
            target: repo.path().display().to_string(),
            attempts: ATTEMPTS,
        })
    }

    fn publish<W: Write + Send>(
        &self,
        repo: &Repo,
        quarantine: &Repo,
        offered: &Offered,
        output: &Mutex<Output<W>>,
    ) -> Result<Outcome> {
        let _turn = Quarantine::turn(repo)?;
        let target = Repo::open_with(repo.path(), self.options.open.clone())?;
        if let Some(observer) = repo.observer() {
            target.set_observer(observer);
        }
        let store = DirStore::new(target);
        let moves = offered.updates.iter().map(|update| {
            let name = CollectionRef {
                collection: None,
                name: update.name.clone(),
            };
            let rights = (self.options.rules).rights(self.options.pusher, update.name.as_str());
            let wanted = RefMove {
                old: update.old,
                new: update.new,
                force: update.force && rights.force,
            };
            (name, wanted)
        });
        let policy = Policy {
            moves: Some(moves.collect::<BTreeMap<_, _>>()),
            // Whoever may delete a ref may delete the last one.
            allow_empty: true,
            summary: self.options.rules.summary(),
            retention: Retention::of_target(&store)?,
            ..Policy::default()
        };
        let notes = Notes(output);
        publish(
            quarantine,
            &store,
            &PublishOptions {
                policy: &policy,
                dry_run: false,
                jobs: self.options.jobs,
                held_bytes: HELD_BYTES,
                sweep: None,
                clock: self.options.clock,
                who: self.options.who,
                interrupted: self.options.interrupted,
                reporter: &notes,
            },
        )
    }
}

/// Takes updates and chains; `None` where the pusher goes without offering anything.
fn take_offer(input: &mut Input<impl Read>) -> Result<Option<Offered>> {
    let mut offered = Offered::default();
    let mut commits = 0;
    let mut goes_on = false;
    let mut is_first = true;
    loop {
        let message = match input.next_or_end()? {
            None if is_first => return Ok(None),
            None => return Err(TransferError::Cut(std::io::ErrorKind::UnexpectedEof.into())),
            Some(message) => message,
        };
        is_first = false;
        match message {
            Message::Offer(offer) => {
                offered.dry_run |= offer.dry_run;
                offered.updates.extend(offer.updates);
            }
            Message::Chain { commits: page, more } => {
                commits += page.len();
                match offered.chains.last_mut().filter(|_| goes_on) {
                    Some(chain) => chain.extend(page),
                    None => offered.chains.push(page),
                }
                goes_on = more;
            }
            Message::Offered => return Ok(Some(offered)),
            other => return Err(unexpected(&other)),
        }
        if offered.updates.len() > MAX_UPDATES || commits > MAX_COMMITS || offered.chains.len() > MAX_UPDATES
        {
            return Err(TransferError::Protocol(format!(
                "it offers more than {MAX_UPDATES} refs or {MAX_COMMITS} commits"
            )));
        }
    }
}

/// Tells the pusher what became of each ref, last of all.
fn conclude(output: &mut Output<impl Write>, verdicts: Vec<Verdict>, finished: Finished) -> Result<Received> {
    let size = |verdict: &Verdict| verdict.name.as_str().len() + verdict.reason.len() + 5;
    for (page, more) in pages(&verdicts, size) {
        output.send(&Message::Verdicts {
            verdicts: page.to_vec(),
            more,
        })?;
    }
    output.send(&Message::Finished(finished))?;
    output.flush()?;
    Ok(Received {
        verdicts,
        generation: finished.generation,
    })
}

/// Returns whether any of what was found was not asked for before.
fn is_news(found: &[Damage], known: &BTreeSet<ObjectName>) -> bool {
    found.iter().any(|damage| !known.contains(&damage.object))
}

/// Lets the pusher know that we are at work as long as `work` takes.
fn with_signs_of_life<W: Write + Send, T>(output: &Mutex<Output<W>>, work: impl FnOnce() -> T) -> T {
    let (done, is_done) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while is_done.recv_timeout(SIGN_OF_LIFE) == Err(RecvTimeoutError::Timeout) {
                // A pusher that is gone does not stop what it has asked for.
                drop(lock(output).show_life());
            }
        });
        let result = work();
        drop(done);
        result
    })
}

/// Passes on what a publish has to say.
struct Notes<'a, W: Write>(&'a Mutex<Output<W>>);

impl<W: Write + Send> Reporter for Notes<'_, W> {
    fn note(&self, text: &str) {
        drop(lock(self.0).send(&Message::Note(text.to_owned())));
    }
}
