//! Receiving: the far end of a [`push`](crate::push), which owns the repository and decides.
//!
//! Order of effects:
//! 1. greetings; the repository is looked for below the root that the rules give; its refs are told, those only that the
//!    pusher may do something with;
//! 2. each update that is offered is judged by the rules: if one may not be, none is, and nothing is sent;
//! 3. *nothing locked*: all that the commits need is walked here, what is missing is asked for, hashed as it comes, and kept in
//!    quarantine (`receive/quarantine.rs`), out of everybody's sight. A connection that breaks leaves it, and the next push of the same
//!    pusher goes on with it;
//!    What rules limit is measured meanwhile (`receive/meter.rs`). Signatures that commits of refs which do not move have got are
//!    asked for before (`receive/late.rs`), and kept in memory;
//! 4. *nothing locked*: what rules require of commits is looked at (`receive/inspect/`), the owner's programs judge (`receive/hooks.rs`),
//!    signatures are added in quarantine (`receive/sign.rs`), static deltas are made there, and what is about to happen is written down
//!    (`receive/audit.rs`);
//! 5. *one pusher after the other*: what is in quarantine is [published](crate::publish()) into the repository: objects are
//!    hashed where they are linked from, the closure is looked at, and refs, summary and record change in one flip, each ref
//!    from the value that the pusher has seen, or none does;
//! 6. the quarantine goes, late signatures are added, the end is written down, `post-receive` hears of it, and the pusher is told what became of each ref;
//! 7. by another process, if the caller starts one: [what was retired goes](clean_up).

mod after;
mod audit;
mod child;
mod fill;
mod hooks;
mod incoming;
mod inspect;
mod judge;
mod late;
mod meter;
mod offered;
mod place;
mod problems;
mod quarantine;
mod rules;
mod sign;

pub use after::{clean_up, is_clean_up_due};
pub use incoming::{Incoming, IncomingOptions};
pub(crate) use late::MAX_LATE;
pub(crate) use offered::{MAX_COMMITS, MAX_TOLD_NAMES, MAX_UPDATES};
pub use place::locate;
pub use problems::problems;
pub use rules::{ReceiveRules, Rights};

use crate::channel::{Input, Output, SIGN_OF_LIFE};
use crate::deltas;
use crate::error::{Damage, Result, TransferError};
use crate::execute::lock;
use crate::policy::{Policy, RefMove};
use crate::publish::{Outcome, PublishOptions, publish};
use crate::push::pages;
use crate::report::Reporter;
use crate::retention::Retention;
use crate::store::DirStore;
use audit::Audit;
use fill::Fill;
use hooks::Matter;
use inspect::Inspection;
use late::Late;
use meter::{Disk, Meter};
use offered::Offered;
use ostler_format::wire::{Finished, Hello, Message, Ruling, Verdict};
use ostler_format::{CollectionRef, ObjectName, RefName};
use ostler_repo::sign::{Interruption, TrustPaths};
use ostler_repo::{OpenOptions, Repo};
use quarantine::Quarantine;
use sign::Seals;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

/// How often what is found to be missing, or lost to others, is made good before we give up.
const ATTEMPTS: u32 = 8;

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
    /// What checking signatures needs of its surroundings.
    pub trust: &'a TrustPaths,
    /// How the repository is opened.
    pub open: &'a OpenOptions,
    /// Returns the time, in seconds since the epoch, UTC.
    pub clock: &'a (dyn Fn() -> u64 + Sync),
    /// How many objects are put at once.
    pub jobs: NonZero<usize>,
    /// Set when the process is to end.
    pub interrupted: &'a AtomicBool,
    /// What hooks, signers and the log are told of the process.
    pub around: &'a Surroundings,
}

/// What a library does not know of the process that it runs in.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The address from which somebody pushes.
    pub address: Option<String>,
    /// The home of the user who runs the receiver: for hooks.
    pub home: Option<PathBuf>,
    /// What ends programs that sign.
    pub interruption: Interruption,
}

/// What a push changed here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// What the pusher was told of each ref.
    pub verdicts: Vec<Verdict>,
    /// The generation that was made.
    pub generation: Option<u64>,
    /// The repository, if there was something to do.
    pub repository: Option<PathBuf>,
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
    let taken = AtomicU64::new(0);
    let mut input = Input::new(Counted {
        reader: input,
        taken: &taken,
    });
    let output = Mutex::new(Output::new(output));
    let audit = Audit::new(options, &taken);
    let session = Session {
        options,
        audit: &audit,
    };
    let received = session.run(&mut input, &output);
    if let Err(error) = &received {
        // A log that cannot be written may be what went wrong.
        drop(audit.failed(error));
        let mut output = lock(&output);
        // Whoever is not there any more is told nothing.
        drop(output.send(&Message::Error(error.chain())));
        drop(output.flush());
    }
    received
}

struct Session<'a> {
    options: &'a ReceiveOptions<'a>,
    audit: &'a Audit<'a>,
}

/// Counts what comes.
struct Counted<'a, R> {
    reader: R,
    taken: &'a AtomicU64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl Session<'_> {
    fn run<W: Write + Send>(
        &self,
        input: &mut Input<impl Read>,
        output: &Mutex<Output<W>>,
    ) -> Result<Received> {
        quarantine::check_pusher(self.options.pusher)?;
        if let Some(log) = self.options.rules.audit() {
            audit::check(log)?;
        }
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
        let Some(offered) = Offered::take(input)? else {
            // There was nothing to do.
            self.audit.end("nothing", &[], &Finished::default())?;
            return Ok(Received {
                verdicts: Vec::new(),
                generation: None,
                repository: None,
            });
        };
        self.audit.note_updates(&offered.updates);
        let refs = repo.list_refs(ostler_repo::RefScope::Local)?;
        let refs = refs.into_iter().map(|(refspec, commit)| (refspec.name, commit));
        let refs = refs.collect();
        let judged = judge::verdicts(self.options, &refs, &offered.updates)?;
        let refused = judged.iter().any(|verdict| verdict.ruling == Ruling::Refused);
        if offered.updates.is_empty() {
            Quarantine::tidy(&repo, self.options.pusher, (self.options.clock)())?;
        }
        let mut late = Late::new(self.options, &repo);
        if !refused {
            late.gather(&refs, &offered, input, output)?;
        }
        let passed = match (refused, offered.dry_run, offered.updates.is_empty()) {
            (true, ..) => Some("refused"),
            (_, true, _) => Some("asked"),
            (.., true) => Some(self.add(&mut late, output, "nothing")),
            _ => None,
        };
        let nothing = Finished::default();
        if let Some(event) = passed {
            return self.conclude(event, output, (judged, &late), (&repo, &offered, nothing));
        }
        match self.take_in(&repo, &offered, input, output) {
            Ok(outcome) => {
                self.add(&mut late, output, "accepted");
                let finished = Finished {
                    generation: outcome.generation,
                    objects: outcome.plan.objects.len() as u64,
                    bytes: outcome.plan.bytes(),
                };
                self.conclude("accepted", output, (judged, &late), (&repo, &offered, finished))
            }
            Err(TransferError::Refused(refusals)) => {
                let refused = judge::refused(&judged, &refusals);
                late.forget();
                self.conclude("refused", output, (refused, &late), (&repo, &offered, nothing))
            }
            Err(error) => Err(error),
        }
    }

    /// Adds signatures to what does not move, when the refs that move have moved. Returns how the push ended.
    fn add<W: Write + Send>(
        &self,
        late: &mut Late<'_>,
        output: &Mutex<Output<W>>,
        otherwise: &'static str,
    ) -> &'static str {
        with_signs_of_life(output, || late.put(self.audit));
        if otherwise == "nothing" && late.has_added() {
            return "added";
        }
        otherwise
    }

    /// Opens the repository that is asked for, if it may be pushed to.
    fn open(&self, path: &str) -> Result<Repo> {
        let path = locate(self.options.rules.root(), self.options.repository, path)?;
        let repo = Repo::open_with(&path, self.options.open.clone())?;
        require_archive(&repo)?;
        self.audit.note_repository(repo.path());
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
        let options = self.options;
        hooks::check(options)?;
        let seals = Seals::gather(options, &offered.updates)?;
        let inspection = Inspection::new(options.rules, options.pusher, options.trust, &offered.updates)?;
        let quarantine = Quarantine::open(repo, options.pusher, options.open, now)?;
        let bounds = (&inspection, &seals);
        let outcome = self.fill_and_publish((repo, &quarantine), bounds, offered, input, output);
        if matches!(
            outcome,
            Ok(_)
                | Err(TransferError::Refused(_)
                    | TransferError::Summary(_)
                    | TransferError::TooMuch { .. }
                    | TransferError::NoSpace { .. })
        ) {
            let gone = quarantine.discard();
            let gone = gone.and_then(|()| Quarantine::tidy(repo, self.options.pusher, now));
            // That changes nothing about what became of the refs.
            if let Err(error) = gone {
                tell(output, &error.chain());
            }
        }
        outcome
    }

    fn fill_and_publish<W: Write + Send>(
        &self,
        (repo, held): (&Repo, &Quarantine),
        (inspection, seals): (&Inspection<'_>, &Seals),
        offered: &Offered,
        input: &mut Input<impl Read>,
        output: &Mutex<Output<W>>,
    ) -> Result<Outcome> {
        let quarantine = held.repo();
        let mut damaged: BTreeSet<ObjectName> = BTreeSet::new();
        for attempt in 0..ATTEMPTS {
            held.forget_detached()?;
            let mut transaction = quarantine.begin()?;
            let disk = Disk {
                target: repo,
                quarantine: held,
                room: self.options.rules.room(),
                allowance: 0,
            };
            let meter = Meter::new(inspection.limits(), disk);
            let mut fill = Fill::new(&transaction, repo, meter)?;
            fill.begin(&offered.chains, &damaged)?;
            fill.run(input, &mut lock(output))?;
            for edit in quarantine::ref_edits(&offered.updates) {
                transaction.edit_ref(edit);
            }
            transaction.commit()?;
            let published = with_signs_of_life(output, || {
                inspection.run(quarantine, repo)?;
                if attempt == 0 {
                    self.matter(repo, offered, &|text| tell(output, text))?
                        .judge(quarantine)?;
                    self.audit.moving()?;
                }
                seals.put(quarantine, self.options)?;
                self.publish(repo, (quarantine, seals), offered, output)
            });
            match published {
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
        (quarantine, seals): (&Repo, &Seals),
        offered: &Offered,
        output: &Mutex<Output<W>>,
    ) -> Result<Outcome> {
        let store = store_of(repo, self.options.open)?;
        let moves = offered.updates.iter().map(|update| {
            let rights = (self.options.rules).rights(self.options.pusher, update.name.as_str());
            let wanted = RefMove {
                old: update.old,
                new: update.new,
                force: update.force && rights.force,
            };
            (own_ref(&update.name), wanted)
        });
        let policy = Policy {
            moves: Some(moves.collect::<BTreeMap<_, _>>()),
            // Whoever may delete a ref may delete the last one.
            allow_empty: true,
            summary: self.options.rules.summary(),
            signing: seals.of_summary(),
            retention: Retention::of_target(&store)?,
            ..Policy::default()
        };
        let notes = Notes(output);
        let options = PublishOptions {
            policy: &policy,
            dry_run: false,
            jobs: self.options.jobs,
            held_bytes: HELD_BYTES,
            sweep: None,
            clock: self.options.clock,
            who: self.options.who,
            interrupted: self.options.interrupted,
            reporter: &notes,
        };
        // While others publish; those that are there are not made again.
        deltas::make(quarantine, &store, &options, (self.options.clock)())?;
        let _turn = Quarantine::turn(repo)?;
        publish(quarantine, &store, &options)
    }

    fn matter<'m>(&'m self, repo: &Repo, offered: &'m Offered, tell: &'m dyn Fn(&str)) -> Result<Matter<'m>> {
        Matter::new(self.options, repo, &offered.updates, tell)
    }

    /// Tells a hook what has moved.
    fn report<W: Write + Send>(
        &self,
        repo: &Repo,
        offered: &Offered,
        output: &Mutex<Output<W>>,
        generation: u64,
    ) {
        let tell = |text: &str| tell(output, text);
        match self.matter(repo, offered, &tell) {
            Ok(matter) => with_signs_of_life(output, || matter.report(generation)),
            Err(error) => tell(&error.chain()),
        }
    }

    /// Writes down how it ended, and tells the pusher what became of each ref, last of all.
    fn conclude<W: Write + Send>(
        &self,
        event: &'static str,
        output: &Mutex<Output<W>>,
        (verdicts, late): (Vec<Verdict>, &Late<'_>),
        (repo, offered, finished): (&Repo, &Offered, Finished),
    ) -> Result<Received> {
        let written = self.audit.end(event, &verdicts, &finished);
        match written {
            // It has happened, and that is what the pusher has to know.
            Err(error) if ["accepted", "added"].contains(&event) => tell(output, &error.chain()),
            written => written?,
        }
        if let Some(generation) = finished.generation {
            self.report(repo, offered, output, generation);
        }
        let output = &mut lock(output);
        late.tell(output)?;
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
            repository: Some(repo.path().to_owned()),
        })
    }
}

/// Refuses repositories that no push goes to.
fn require_archive(repo: &Repo) -> Result<()> {
    if repo.mode().is_archive() {
        return Ok(());
    }
    Err(TransferError::UnfitTarget {
        target: repo.path().display().to_string(),
        reason: format!("its mode is '{}', and pushes go to archives", repo.mode()),
    })
}

/// Opens a repository once more, for what has come to be published into.
fn store_of(repo: &Repo, options: &OpenOptions) -> Result<DirStore> {
    let target = Repo::open_with(repo.path(), options.clone())?;
    if let Some(observer) = repo.observer() {
        target.set_observer(observer);
    }
    Ok(DirStore::new(target))
}

/// Returns a ref of the repository's own.
fn own_ref(name: &RefName) -> CollectionRef {
    CollectionRef {
        collection: None,
        name: name.clone(),
    }
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

/// Tells the pusher something at once; one that is gone is told nothing.
fn tell<W: Write>(output: &Mutex<Output<W>>, text: &str) {
    let mut output = lock(output);
    drop(
        output
            .send(&Message::Note(text.to_owned()))
            .and_then(|()| output.flush()),
    );
}

/// Passes on what a publish has to say.
struct Notes<'a, W: Write>(&'a Mutex<Output<W>>);

impl<W: Write + Send> Reporter for Notes<'_, W> {
    fn note(&self, text: &str) {
        drop(lock(self.0).send(&Message::Note(text.to_owned())));
    }
}
