//! The threads of a pull, and what they share.
//!
//! The network thread of the client turns requests into bodies. Workers take bodies and jobs on this machine, check and write
//! them, and find out what else is needed. The calling thread hands what is needed to the client, metadata before content,
//! so that trees are known early, and never more at once than [`IN_FLIGHT`], so that the client always has room; what waits
//! beyond that are names. So no thread waits for one that waits for it, and memory is bounded by what is in flight.
//!
//! A pull is at its end when nothing is pending: each need counts from the moment it is found until all that it leads to is counted.

use super::bodies::SpareFiles;
use super::commits::CommitTask;
use super::deltas::{DeltaTask, Turns};
use super::options::PullOptions;
use super::progress::{Counters, PullReporter, count};
use super::seen::Seen;
use super::trees::TreeTask;
use super::upstream::Upstream;
use crate::error::{Result, TransferError};
use crate::http::{Answer, Client, Completion, Destination, Fault, Remote, Request};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, select, unbounded};
use ostler_format::{Checksum, DeltaName, ObjectName, ObjectType};
use ostler_repo::sign::Trust;
use ostler_repo::{Repo, RepoError, Transaction};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// How many requests the client has at once, waiting or under way.
const IN_FLIGHT: usize = 256;

/// How often a body that is not what its name says is fetched again, past all caches.
const REFETCHES: u8 = 2;

/// How long to wait for news before the reporter is told how far the pull is, …
const TICK: Duration = Duration::from_millis(100);

/// … and how many messages may come meanwhile.
const TOLD_EVERY: u32 = 64;

/// Something that the network is asked for.
#[derive(Debug, Clone)]
pub(super) enum Need {
    /// A content object or a dirmeta.
    Leaf(ObjectName),
    /// A dirtree, to be read when it is there.
    Tree(TreeTask),
    /// The detached metadata of a commit.
    Detached(Arc<CommitTask>),
    /// A commit.
    Commit(Arc<CommitTask>),
    /// The mark that a commit was deleted.
    Tombstone(Checksum),
    /// The list of the deltas that lead to a commit.
    DeltaIndex(Arc<CommitTask>),
    /// The head of a delta, with its digest where that is known.
    Superblock(Arc<CommitTask>, DeltaName, Option<Checksum>),
    /// A part of a delta.
    DeltaPart(Arc<DeltaTask>, usize),
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) need: Need,
    /// How often the body was fetched and found wanting.
    pub(super) refetched: u8,
}

/// Work that needs no network.
#[derive(Debug)]
pub(super) enum Job {
    /// Read a dirtree that is here.
    Scan(TreeTask),
    /// Take an object over from a repository on this machine.
    Import(Need),
    /// Apply a part that came with the head of its delta.
    InlinePart(Arc<DeltaTask>, usize),
    /// Begin with a commit.
    Begin(Arc<CommitTask>),
}

/// What the workers tell the calling thread.
#[derive(Debug)]
enum Message {
    Fetch(Asked),
    Finished,
    AllDone,
    Failed(Box<TransferError>),
}

/// Ends the pull when the thread that holds it panics: what that was at would be pending for ever.
struct Alarm<'a>(&'a Sender<Message>);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let failed = RepoError::invalid("pull", "a thread of it panicked");
            drop(self.0.send(Message::Failed(Box::new(failed.into()))));
        }
    }
}

/// What the pull works on and with.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) repo: &'a Repo,
    pub(super) transaction: &'a Transaction<'a>,
    pub(super) client: &'a Client,
    pub(super) remote: &'a Remote,
    pub(super) trust: &'a Trust,
    pub(super) options: &'a PullOptions<'a>,
    pub(super) upstream: &'a Upstream,
    /// The remote, where it is a repository on this machine.
    pub(super) source: Option<&'a Repo>,
}

/// What all threads of a pull share.
pub(super) struct Crew<'a> {
    pub(super) scene: Scene<'a>,
    pub(super) reporter: &'a dyn PullReporter,
    pub(super) turns: Turns,
    pub(super) counters: Counters,
    pub(super) seen: Seen,
    pub(super) spare: SpareFiles,
    /// How many bytes there is room for: no body is larger.
    room: Option<u64>,
    /// How many parents were followed from each commit; `None` is all.
    pub(super) followed: Mutex<HashMap<Checksum, Option<u64>>>,
    /// Commits that are whole when the pull is through.
    pub(super) completed: Mutex<BTreeSet<Checksum>>,
    /// The commits that refs name here, once somebody asks.
    pub(super) named: OnceLock<HashSet<Checksum>>,
    asked: Mutex<HashMap<u64, Asked>>,
    next_id: AtomicU64,
    pending: AtomicUsize,
    jobs: Sender<Job>,
    messages: Sender<Message>,
}

/// Pulls `tasks` and all that they lead to. Returns what was counted and the commits that are whole.
pub(super) fn run<'a>(
    scene: Scene<'a>,
    tasks: Vec<Arc<CommitTask>>,
    reporter: &'a dyn PullReporter,
) -> Result<(Counters, BTreeSet<Checksum>)> {
    let (jobs, jobs_in) = unbounded();
    let (messages, messages_in) = unbounded();
    let crew = Crew {
        scene,
        reporter,
        turns: Turns::default(),
        counters: Counters::default(),
        seen: Seen::new(),
        spare: SpareFiles::default(),
        room: scene.repo.free_bytes()?,
        followed: Mutex::default(),
        completed: Mutex::default(),
        named: OnceLock::new(),
        asked: Mutex::default(),
        next_id: AtomicU64::new(0),
        pending: AtomicUsize::new(0),
        jobs,
        messages,
    };
    if tasks.is_empty() {
        return Ok((crew.counters, BTreeSet::new()));
    }
    // Pending before the first is begun: the end is not seen before all are.
    crew.pending.store(tasks.len(), Ordering::Relaxed);
    for task in tasks {
        crew.send(Job::Begin(task));
    }
    let (stop, stopped) = unbounded::<()>();
    let run = std::thread::scope(|scope| {
        for _ in 0..scene.options.threads.max(1) {
            scope.spawn(|| crew.work(&jobs_in, &stopped));
        }
        let result = crew.conduct(&messages_in);
        // The workers see that their channel is closed.
        drop(stop);
        result
    });
    run?;
    let completed = crew
        .completed
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    Ok((crew.counters, completed))
}

impl Crew<'_> {
    /// Hands needs to the client until nothing is pending.
    fn conduct(&self, messages: &Receiver<Message>) -> Result<()> {
        let mut metadata = VecDeque::new();
        let mut content = VecDeque::new();
        let mut in_flight = 0_usize;
        let mut taken = 0_u32;
        loop {
            while in_flight < IN_FLIGHT {
                let Some(asked) = metadata.pop_front().or_else(|| content.pop_front()) else {
                    break;
                };
                self.ask(asked)?;
                in_flight += 1;
            }
            let message = messages.recv_timeout(TICK);
            taken = taken.wrapping_add(1);
            if message.is_err() || taken.is_multiple_of(TOLD_EVERY) {
                self.reporter.progress(&self.counters.progress());
                if self.reporter.interrupted() {
                    return Err(TransferError::Interrupted);
                }
            }
            match message {
                Ok(Message::Fetch(asked)) if asked.need.is_content() => content.push_back(asked),
                Ok(Message::Fetch(asked)) => metadata.push_back(asked),
                Ok(Message::Finished) => in_flight -= 1,
                Ok(Message::Failed(error)) => return Err(*error),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Message::AllDone) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    /// Hands one request to the client, which has room for it.
    fn ask(&self, asked: Asked) -> Result<()> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let request = Request {
            id,
            base: self.base_of(&asked.need).clone(),
            path: asked.need.path(),
            limit: self.limit(&asked.need),
            destination: self.destination(id, &asked.need)?,
            fresh: asked.refetched > 0,
        };
        self.asked().insert(id, asked);
        self.scene.client.submit(request);
        Ok(())
    }

    /// Returns how many bytes may come for a need: of what goes into a file no more than there is room for.
    fn limit(&self, need: &Need) -> Option<u64> {
        match (need.limit(), self.room) {
            (Some(limit), Some(room)) if need.may_be_large() => Some(limit.min(room)),
            (limit, room) => limit.or(room),
        }
    }

    fn destination(&self, id: u64, need: &Need) -> Result<Destination> {
        if need.may_be_large() {
            Ok(Destination::File(self.spare.lend(self.scene.transaction, id)?))
        } else {
            Ok(Destination::Memory)
        }
    }

    /// Returns where a need is asked for: detached metadata may change, and lies beside the refs.
    pub(super) fn base_of(&self, need: &Need) -> &crate::http::Base {
        match need {
            Need::Detached(_) | Need::Tombstone(_) => &self.scene.remote.url,
            _ => &self.scene.remote.content,
        }
    }

    /// Takes bodies and jobs until the pull ends.
    fn work(&self, jobs: &Receiver<Job>, stopped: &Receiver<()>) {
        let completions = self.scene.client.completions();
        let _alarm = Alarm(&self.messages);
        loop {
            let done = select! {
                recv(completions) -> completion => match completion {
                    Ok(completion) => self.complete(completion),
                    Err(_closed) => return,
                },
                recv(jobs) -> job => match job {
                    Ok(job) => self.do_job(job),
                    Err(_closed) => return,
                },
                recv(stopped) -> _ => return,
            };
            match done {
                Ok(()) => self.settle_one(),
                Err(error) => self.tell(Message::Failed(Box::new(error))),
            }
        }
    }

    /// Takes one off what is pending.
    fn settle_one(&self) {
        if self.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.tell(Message::AllDone);
        }
    }

    fn complete(&self, completion: Completion) -> Result<()> {
        let Some(asked) = self.asked().remove(&completion.id) else {
            // Of somebody who used the client before.
            self.add_pending();
            return Ok(());
        };
        let lent = self.spare.take_back(completion.id);
        let refetched = asked.refetched;
        let taken = completion.result.and_then(|answer| {
            self.count_bytes(&answer);
            self.take(&asked.need, answer, lent)
        });
        self.tell(Message::Finished);
        match taken {
            Ok(()) => {
                count(&self.counters.done, 1);
                Ok(())
            }
            Err(error) if asked.need.may_be_stale(&error) && refetched < REFETCHES => {
                self.add_pending();
                self.tell(Message::Fetch(Asked {
                    need: asked.need,
                    refetched: refetched + 1,
                }));
                Ok(())
            }
            Err(error) => self.do_without(&asked.need, error),
        }
    }

    /// Goes on without what a delta would have brought; what else cannot be had ends the pull.
    fn do_without(&self, need: &Need, error: TransferError) -> Result<()> {
        match need {
            Need::DeltaPart(delta, _) => self.part_failed(delta, error),
            Need::DeltaIndex(task) | Need::Superblock(task, ..) => self.delta_failed(task, error),
            Need::Detached(task) if error.is_bad_body() => self.detached_unreadable(task, error),
            _ => Err(self.blamed(error)),
        }
    }

    /// Says that it is the room here that ends, where a body was larger than that.
    fn blamed(&self, error: TransferError) -> TransferError {
        match error {
            TransferError::Fetch {
                url,
                fault: Fault::TooLarge { limit },
            } if self.room == Some(limit) => RepoError::NoSpace {
                detail: format!(
                    "there is room for {limit} bytes beside what core.min-free-space-percent or core.min-free-space-size \
                     keeps free, and {url} has more"
                ),
            }
            .into(),
            other => other,
        }
    }

    fn count_bytes(&self, answer: &Answer) {
        let bytes = match answer {
            Answer::Memory(body) => body.len() as u64,
            Answer::File(_, size) => *size,
            Answer::NotFound(_) => 0,
        };
        count(&self.counters.bytes, bytes);
    }

    fn do_job(&self, job: Job) -> Result<()> {
        match job {
            Job::Scan(task) => self.scan_stored(&task),
            Job::Import(need) => self.import(need),
            Job::InlinePart(task, index) => self.apply_inline(&task, index),
            Job::Begin(task) => self.begin_commit(&task),
        }
    }

    /// Has the network asked for something.
    pub(super) fn fetch(&self, need: Need) {
        count(&self.counters.wanted, 1);
        self.add_pending();
        self.tell(Message::Fetch(Asked { need, refetched: 0 }));
    }

    /// Has a worker do something.
    pub(super) fn start(&self, job: Job) {
        self.add_pending();
        self.send(job);
    }

    fn add_pending(&self) {
        self.pending.fetch_add(1, Ordering::AcqRel);
    }

    fn send(&self, job: Job) {
        // Nobody listens any more only when the pull has failed.
        drop(self.jobs.send(job));
    }

    fn tell(&self, message: Message) {
        drop(self.messages.send(message));
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<u64, Asked>> {
        lock(&self.asked)
    }

    /// Returns whether an object need not be fetched: it is staged, in the repository or in one of its parents.
    pub(super) fn has(&self, name: &ObjectName) -> Result<bool> {
        if self.scene.transaction.has(name)? {
            return Ok(true);
        }
        match self.scene.repo.parent() {
            Some(parent) => Ok(parent.has_object(name)?),
            None => Ok(false),
        }
    }

    /// Gets something that is not here: from a repository on this machine, or the network.
    pub(super) fn obtain(&self, need: Need) {
        let scene = &self.scene;
        if scene.source.is_some() || !scene.options.local_caches.is_empty() {
            self.start(Job::Import(need));
        } else {
            self.fetch(need);
        }
    }

    /// Returns an error about what the remote has for a need, which leads to another try.
    pub(super) fn bad_body(&self, need: &Need, source: RepoError) -> TransferError {
        TransferError::BadBody {
            url: self.base_of(need).display(&need.path()),
            source,
        }
    }
}

impl Need {
    /// Returns the object, where it is one.
    pub(super) fn object(&self) -> Option<ObjectName> {
        Some(match self {
            Self::Leaf(name) => *name,
            Self::Tree(task) => ObjectName::new(task.tree, ObjectType::DirTree),
            Self::Detached(task) => ObjectName::new(task.checksum, ObjectType::CommitMeta),
            Self::Commit(task) => ObjectName::new(task.checksum, ObjectType::Commit),
            Self::Tombstone(commit) => ObjectName::new(*commit, ObjectType::TombstoneCommit),
            Self::DeltaIndex(_) | Self::Superblock(..) | Self::DeltaPart(..) => return None,
        })
    }

    /// Returns the path below the remote's URL.
    pub(super) fn path(&self) -> String {
        if let Some(name) = self.object() {
            let path = name.loose_path(ostler_format::RepoMode::Archive);
            return format!("objects/{}", path.as_str());
        }
        match self {
            Self::DeltaIndex(task) => ostler_format::delta_index_path(&task.checksum),
            Self::Superblock(_, name, _) => format!("{}/superblock", name.path()),
            Self::DeltaPart(task, index) => format!("{}/{index}", task.name.path()),
            _ => String::new(),
        }
    }

    /// Returns how many bytes it may have.
    fn limit(&self) -> Option<u64> {
        match self {
            Self::Leaf(name) if name.kind == ObjectType::File => None,
            Self::Commit(task) => {
                let most = ostler_format::MAX_METADATA_SIZE;
                Some(task.size_limit.map_or(most, |size| size.min(most)))
            }
            Self::DeltaPart(task, index) => task.part_size(*index),
            _ => Some(ostler_format::MAX_METADATA_SIZE),
        }
    }

    /// Returns whether it is content, or made of that.
    pub(super) fn may_be_large(&self) -> bool {
        matches!(self, Self::DeltaPart(..)) || self.is_content()
    }

    /// Returns whether it may be a cache on the way that is wrong. More than may be is, too, what a cache has made of it; of what is large
    /// that is not found out twice.
    fn may_be_stale(&self, error: &TransferError) -> bool {
        error.is_bad_body() || error.is_too_large() && !self.may_be_large()
    }

    fn is_content(&self) -> bool {
        matches!(self, Self::Leaf(name) if name.kind == ObjectType::File)
    }
}

/// Locks what a thread that panicked may have held: the panic ends the pull anyway.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
