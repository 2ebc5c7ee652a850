//! Static deltas: choosing one, applying its parts, and what stands in for one that cannot be used.
//!
//! A delta from a commit that is whole here comes first, of several the one from the newest commit; then one from nothing, where
//! the ref is not here yet. When all parts are applied the tree of the commit is read all the same, so that a delta that does not
//! bring what it promises leaves no hole: the rest comes object by object. So does everything where a part cannot be had, unless
//! deltas are required.

use super::bodies::Came;
use super::commits::CommitTask;
use super::crew::{Crew, Job, Need, lock};
use super::options::DeltaUse;
use super::progress::count;
use super::trees::TreeTask;
use crate::error::{Result, TransferError};
use ostler_format::delta::Superblock;
use ostler_format::{Checksum, Commit, DeltaList, DeltaName, ObjectName, ObjectType};
use ostler_repo::RepoError;
use ostler_repo::deltas::{apply_inline_part, apply_part};
use std::io::Seek as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// How many parts are inflated at once: each may take a hundred megabytes.
const PARTS_AT_ONCE: usize = 2;

/// A delta in use.
#[derive(Debug)]
pub(super) struct DeltaTask {
    pub(super) name: DeltaName,
    superblock: Superblock,
    /// Parts that are not applied yet.
    left: AtomicUsize,
    /// The tree of the commit, to be looked through at the end.
    root: Mutex<Option<(Checksum, TreeTask)>>,
}

impl DeltaTask {
    /// Returns how many bytes the file of a part has.
    pub(super) fn part_size(&self, index: usize) -> Option<u64> {
        self.superblock.parts.get(index).map(|part| part.size)
    }

    /// Returns whether a part came with the superblock.
    fn is_inline(&self, index: usize) -> Result<bool> {
        let inline = self.superblock.inline_part(index);
        let inline = inline.map_err(TransferError::format(format!("static delta {}", self.name)))?;
        Ok(inline.is_some())
    }
}

/// Lets only a few threads through at once.
#[derive(Debug, Default)]
pub(super) struct Turns {
    taken: Mutex<usize>,
    freed: Condvar,
}

impl Turns {
    /// Does `work` when it is its turn.
    fn with<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut taken = lock(&self.taken);
        while *taken >= PARTS_AT_ONCE {
            taken = self.freed.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken += 1;
        drop(taken);
        let _turn = Turn(self);
        work()
    }
}

/// A turn that is taken. Given back also by a thread that panics, since others wait for it.
struct Turn<'a>(&'a Turns);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *lock(&self.0.taken) -= 1;
        self.0.freed.notify_one();
    }
}

impl Crew<'_> {
    /// Finds out which deltas lead to a commit.
    pub(super) fn look_for_delta(&self, task: &Arc<CommitTask>) -> Result<()> {
        let upstream = self.scene.upstream;
        if upstream.indexed_deltas {
            self.fetch(Need::DeltaIndex(Arc::clone(task)));
            return Ok(());
        }
        if upstream.has_summary() {
            return self.choose_delta(task, &upstream.deltas);
        }
        // Nobody says which there are: the likeliest one is tried.
        let from = task.old.first().copied();
        let from = from.filter(|from| *from != task.checksum);
        let name = DeltaName {
            from,
            to: task.checksum,
        };
        self.fetch(Need::Superblock(Arc::clone(task), name, None));
        Ok(())
    }

    pub(super) fn take_delta_index(&self, need: &Need, task: &Arc<CommitTask>, bytes: &[u8]) -> Result<()> {
        let index = DeltaList::parse_index(bytes)
            .map_err(|error| self.bad_body(need, RepoError::format("delta index")(error)))?;
        self.choose_delta(task, &index)
    }

    fn choose_delta(&self, task: &Arc<CommitTask>, list: &DeltaList) -> Result<()> {
        let mut best: Option<(u64, DeltaName, Checksum)> = None;
        for (name, digest) in list.0.iter().filter(|(name, _)| name.to == task.checksum) {
            let time = match name.from {
                Some(from) if self.is_whole(&from)? => self.scene.repo.load_commit(&from)?.timestamp.max(1),
                None if task.old.is_empty() => 0,
                _ => continue,
            };
            if best.as_ref().is_none_or(|(best, ..)| *best < time) {
                best = Some((time, *name, *digest));
            }
        }
        match best {
            Some((_, name, digest)) => {
                self.fetch(Need::Superblock(Arc::clone(task), name, Some(digest)));
                Ok(())
            }
            None => self.no_delta(task),
        }
    }

    /// Takes the head of a delta.
    pub(super) fn take_superblock(
        &self,
        need: &Need,
        task: &Arc<CommitTask>,
        name: DeltaName,
        digest: Option<Checksum>,
        bytes: &[u8],
    ) -> Result<()> {
        let found = Checksum::of(bytes);
        let damaged =
            |detail: String| self.bad_body(need, RepoError::corrupt(format!("static delta {name}"), detail));
        match digest {
            Some(digest) if digest != found => {
                return Err(damaged(format!(
                    "Invalid checksum for static delta: expected {digest}, found {found}"
                )));
            }
            // Who trusts only what the summary says does not take what it does not name.
            None if self.scene.trust.summary_required() => return self.no_delta(task),
            _ => {}
        }
        let superblock = Superblock::parse(bytes)
            .map_err(|error| self.bad_body(need, RepoError::format(format!("static delta {name}"))(error)))?;
        if superblock.name() != name || Checksum::of(&superblock.commit) != name.to {
            return Err(damaged("it leads between other commits".to_owned()));
        }
        self.count_delta(&superblock);
        let commit = superblock.commit.clone();
        let delta = DeltaTask {
            name,
            left: AtomicUsize::new(superblock.parts.len()),
            superblock,
            root: Mutex::default(),
        };
        self.commit_with_delta(task, commit, Some(Arc::new(delta)))
    }

    fn count_delta(&self, superblock: &Superblock) {
        let counters = &self.counters;
        count(&counters.all_parts, superblock.parts.len() as u64);
        let parts = superblock.parts.iter().map(|part| (part.size, part.unpacked));
        let fallbacks = superblock
            .fallbacks
            .iter()
            .map(|fallback| (fallback.size, fallback.unpacked));
        for (size, unpacked) in parts.chain(fallbacks) {
            count(&counters.delta_compressed, size);
            count(&counters.delta_uncompressed, unpacked);
        }
    }

    /// Asks for the parts and fallbacks of a delta, and remembers the tree to look through then.
    pub(super) fn begin_delta(&self, delta: &Arc<DeltaTask>, root: TreeTask) -> Result<()> {
        let commit = Commit::parse(&delta.superblock.commit)
            .map_err(TransferError::format(format!("static delta {}", delta.name)))?;
        for fallback in &delta.superblock.fallbacks {
            self.want_leaf(ObjectName::new(fallback.checksum, ObjectType::File), root.heals)?;
        }
        if delta.superblock.parts.is_empty() {
            return self.want_root(commit.root_meta, root);
        }
        *lock(&delta.root) = Some((commit.root_meta, root));
        for (index, part) in delta.superblock.parts.iter().enumerate() {
            let mut here = true;
            for name in &part.objects {
                here = here && self.has(name)?;
            }
            if here {
                self.part_done(delta)?;
                continue;
            }
            match delta.is_inline(index) {
                Ok(true) => self.start(Job::InlinePart(Arc::clone(delta), index)),
                Ok(false) => self.fetch(Need::DeltaPart(Arc::clone(delta), index)),
                Err(error) => self.part_failed(delta, error)?,
            }
        }
        Ok(())
    }

    /// Applies a part that came over the network.
    pub(super) fn take_part(
        &self,
        need: &Need,
        delta: &Arc<DeltaTask>,
        index: usize,
        came: Came,
    ) -> Result<()> {
        let transaction = self.scene.transaction;
        let applied = self.turns.with(|| match came {
            Came::Memory(body) => apply_part(transaction, &delta.superblock, index, &*body),
            Came::File(temp, _) => {
                let rewound = temp
                    .file()
                    .rewind()
                    .map_err(RepoError::io("read", "a part of a static delta"));
                rewound.and_then(|()| apply_part(transaction, &delta.superblock, index, temp.file()))
            }
        });
        match applied {
            Ok(_) => {
                count(&self.counters.parts, 1);
                self.part_done(delta)
            }
            Err(error) => Err(self.judge(need, error)),
        }
    }

    /// Applies a part that came with the head of its delta.
    pub(super) fn apply_inline(&self, delta: &Arc<DeltaTask>, index: usize) -> Result<()> {
        let applied = self
            .turns
            .with(|| apply_inline_part(self.scene.transaction, &delta.superblock, index));
        match applied {
            Ok(_) => {
                count(&self.counters.parts, 1);
                self.part_done(delta)
            }
            Err(error) => self.part_failed(delta, error.into()),
        }
    }

    /// Does without a delta that cannot be had: what it would have brought comes object by object.
    ///
    /// # Errors
    /// Where deltas are required, and where more than the delta is wrong.
    pub(super) fn delta_failed(&self, task: &Arc<CommitTask>, error: TransferError) -> Result<()> {
        if !error.is_about_remote() {
            return Err(error);
        }
        self.may_do_without(&format!("the static deltas to {}", task.checksum), error)?;
        self.no_delta(task)
    }

    fn may_do_without(&self, what: &str, error: TransferError) -> Result<()> {
        if self.scene.options.deltas == DeltaUse::Required {
            return Err(error);
        }
        self.reporter
            .note(&format!("{what} cannot be used: {}", error.chain()));
        Ok(())
    }

    /// Does without a part: what it would have brought comes object by object.
    ///
    /// # Errors
    /// Where deltas are required, and where more than the part is wrong.
    pub(super) fn part_failed(&self, delta: &Arc<DeltaTask>, error: TransferError) -> Result<()> {
        if !error.is_about_remote() && !is_about_part(&error) {
            return Err(error);
        }
        self.may_do_without(&format!("a part of static delta {}", delta.name), error)?;
        self.part_done(delta)
    }

    fn part_done(&self, delta: &Arc<DeltaTask>) -> Result<()> {
        if delta.left.fetch_sub(1, Ordering::AcqRel) > 1 {
            return Ok(());
        }
        match lock(&delta.root).take() {
            Some((meta, root)) => self.want_root(meta, root),
            None => Ok(()),
        }
    }

    /// Returns the detached metadata that came with a delta.
    pub(super) fn detached_of(delta: &DeltaTask) -> Option<ostler_format::gvariant::VarDict> {
        delta.superblock.detached_metadata().ok().flatten()
    }
}

/// Returns whether a part does not fit, or needs what is not here, as opposed to what keeps us from writing.
fn is_about_part(error: &TransferError) -> bool {
    match error {
        TransferError::Format { .. } => true,
        TransferError::Repo(error) => matches!(
            error,
            RepoError::Missing { .. }
                | RepoError::NotFound { .. }
                | RepoError::Invalid { .. }
                | RepoError::Unsupported { .. }
                | RepoError::Corrupt { .. }
                | RepoError::Format { .. }
        ),
        _ => false,
    }
}
