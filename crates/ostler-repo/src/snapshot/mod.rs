//! Snapshots: a whole copy of some refs of a repository, made of hard links where that can be.
//!
//! ```text
//! .ostler-snapshot-<random>         beside the destination: the copy while it is made
//! .ostler-snapshot-<random>-lock    held meanwhile; whoever can take it may remove both
//! DEST/extensions/ostler/snapshot   what makes the copy known as one, which may be replaced
//! ```
//! What is copied: the configuration as far as it says how the objects are to be read, and nothing of remotes; commits of the
//! refs with their history, their detached metadata, their static deltas with the indexes; the refs, aliases as such;
//! the summary with its signature, if all refs are copied and it lists them. Objects of parent repositories are copied
//! too: the copy needs nobody else.
//!
//! Order of effects:
//! 1. The shared lock of the source is taken, refs are read, what they need is listed and linked (or copied), and the
//!    lock is let go: neither a new commit nor a prune of the source shows in the copy.
//! 2. Refs, configuration and the mark are written.
//! 3. The file system is synced.
//! 4. The copy gets its name: where there was nothing, in place of an empty directory, or in exchange with an older
//!    snapshot, which is removed when nobody holds its lock any more. The directory is synced.
//!
//! A crash before 4 leaves nothing visible but the hidden directory, one in 4 the old snapshot under a hidden name; both
//! are removed by the next snapshot that is made in the same place.

mod beside;
mod place;
mod select;

use crate::error::{RepoError, Result};
use crate::in_place::InPlace;
use crate::lock::LockKind;
use crate::parallel::spread;
use crate::refs::RefKey;
use crate::repo::{OpenOptions, Repo};
use crate::transaction::{TransactionOptions, Trust};
use ostler_format::ObjectName;
use place::{Destination, Sibling};
use select::Selected;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// What to copy, and how.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "it holds a function")]
pub struct SnapshotOptions<'a> {
    /// Which refs; `None` is all of them.
    pub select: Option<&'a dyn Fn(&RefKey) -> bool>,
    /// How many parents of each commit; `None` is all that are there.
    pub depth: Option<u64>,
    /// Take the place of an older snapshot.
    pub replace: bool,
    /// How many threads link.
    pub threads: usize,
}

/// What a snapshot holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SnapshotStats {
    /// Refs.
    pub refs: usize,
    /// Commits.
    pub commits: usize,
    /// Objects that were linked.
    pub linked_objects: u64,
    /// Objects that had to be copied (sharing blocks, where the file system can).
    pub copied_objects: u64,
    /// Static deltas.
    pub deltas: usize,
    /// Whether the summary could be taken.
    pub summary: bool,
    /// Where an older snapshot lies that could not be removed yet, since somebody holds its lock.
    pub left: Option<PathBuf>,
}

/// Makes `directory` a snapshot of `source`, and tells `progress` how many of how many objects are done.
///
/// # Errors
/// [`RepoError::AlreadyExists`] for a directory that is not empty, or with `replace` no snapshot;
/// [`RepoError::Invalid`] for one inside the source; [`RepoError::NotFound`] where no ref is selected; [`RepoError::Refused`] for a ref to a commit that is partial;
/// [`RepoError::Locked`], [`RepoError::Io`]. Nothing is visible then.
pub fn snapshot(
    source: &Repo,
    directory: &Path,
    options: &SnapshotOptions<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<SnapshotStats> {
    let destination = Destination::open(directory)?;
    destination.refuse_inside(source)?;
    destination.remove_stale()?;
    destination.check(options.replace)?;
    let sibling = Sibling::make(&destination)?;
    let path = sibling.path();
    Repo::create(&path, source.mode(), source.config().collection_id())?;
    // One sync of the whole file system stands for all.
    let open = OpenOptions {
        without_fsync: true,
        ..OpenOptions::default()
    };
    let copy = Repo::open_with(&path, open)?;
    let mut stats = SnapshotStats::default();
    let pinned = source.lock(LockKind::Shared)?;
    let selected = Selected::choose(source, options)?;
    bring(
        source,
        &copy,
        &selected.objects,
        options.threads,
        &mut stats,
        progress,
    )?;
    stats.deltas = beside::bring_deltas(source, &copy, &selected.commits)?;
    beside::bring_tombstones(source, &copy, &selected.ends)?;
    stats.summary = options.select.is_none() && beside::bring_summary(source, &copy, &selected.refs)?;
    pinned.release()?;
    copy.plant_refs(&selected.refs, &selected.aliases)?;
    beside::write_config(source, &copy)?;
    beside::write_mark(source, &copy)?;
    if source.config().fsync() {
        let root = copy.root();
        root.syncfs().map_err(RepoError::io("sync", root.path()))?;
    }
    stats.refs = selected.refs.len();
    stats.commits = selected.commits.len();
    drop(copy);
    stats.left = sibling.put(&destination, source, options.replace)?;
    Ok(stats)
}

/// Links objects, in any order since nobody sees them yet, and copies those that cannot be linked.
fn bring(
    source: &Repo,
    copy: &Repo,
    objects: &[ObjectName],
    threads: usize,
    stats: &mut SnapshotStats,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<()> {
    let all = objects.len() as u64;
    let left = match InPlace::new(copy, source)? {
        None => objects.to_vec(),
        Some(links) => {
            let mut tell = |done: usize| progress(done as u64, all);
            links.link_all(objects, threads, &mut tell)?.left
        }
    };
    stats.copied_objects = left.len() as u64;
    stats.linked_objects = all - stats.copied_objects;
    if left.is_empty() {
        return Ok(());
    }
    let options = TransactionOptions {
        allow_split_xattrs: true,
    };
    let transaction = copy.begin_with(options)?;
    let never = AtomicBool::new(false);
    let import =
        |(): &mut (), name: &ObjectName| transaction.import_object(name, source, Trust::Trusted).map(drop);
    let linked = stats.linked_objects;
    let tell = |done: usize| progress(linked + done as u64, all);
    spread(&left, threads, &never, || (), import, tell)?;
    transaction.commit().map(drop)
}
