//! Pulling: commits, and the refs that name them, from a repository that is reached by URLs.
//!
//! 1. The remote is asked what it is: its summary with its signatures, or its configuration (`upstream`).
//! 2. Targets become commits (`targets`).
//! 3. Commits and what they need that is not here comes in: `commits`, `trees`, `deltas`, by the threads of a `crew`. All of it
//!    is checked, and staged; no reader sees it. Commits are marked as partial before they are written.
//! 4. It becomes visible at once (`finish`).
//!
//! A pull that is cut short leaves its staging directory and its marks, as libostree does: the next pull, by either tool, goes on
//! from there. Nothing that a remote sends is believed: objects are hashed, sizes are bounded while they are read, and trees are walked
//! without recursion.

mod bodies;
mod carry;
mod commits;
mod crew;
mod deltas;
mod finish;
mod imports;
mod index;
mod mend;
mod options;
mod progress;
mod seen;
mod subpath;
mod targets;
mod trees;
mod upstream;

pub use mend::{Fetched, fetch_objects, find_repository};
pub use options::{DeltaStats, DeltaUse, PullOptions, PullStats};
pub use progress::{PullProgress, PullReporter, SilentPull};

use crate::error::Result;
use crate::http::{Client, Remote};
use carry::Carrier;
use crew::Scene;
use finish::Ending;
use index::Index;
use ostler_repo::sign::Trust;
use ostler_repo::{OpenOptions, PullTarget, Repo, TransactionOptions};
use upstream::Upstream;

/// Pulls `targets` from `remote`; without targets the remote's configured branches, or for a mirror all that its summary lists.
///
/// # Errors
/// [`TransferError::Fetch`](crate::TransferError::Fetch) for what cannot be fetched,
/// [`TransferError::BadBody`](crate::TransferError::BadBody) for what is not what it should be, and whatever the repository
/// answers; [`RepoError::Refused`](ostler_repo::RepoError::Refused) for commits that do not meet what is required of them. No ref has
/// moved then.
pub fn pull(
    repo: &Repo,
    remote: &Remote,
    client: &Client,
    trust: &Trust,
    targets: &[PullTarget],
    options: &PullOptions<'_>,
    reporter: &dyn PullReporter,
) -> Result<PullStats> {
    repo.require_writable()?;
    refuse_deltas(repo, options)?;
    let source = match remote.content.local_path() {
        Some(path) => Some(Repo::open_with(&path, OpenOptions::default())?),
        None => None,
    };
    let upstream = Upstream::read(remote, client, trust, targets, options)?;
    if let Index::Differs(why) = &upstream.index {
        reporter.note(&format!(
            "summary.idx of the remote does not go with its summary, and stays here as it is: {why}"
        ));
    }
    let wanted = targets::resolve(remote, client, &upstream, targets, options)?;
    let transaction = repo.begin_with(TransactionOptions {
        allow_split_xattrs: options.allow_split_xattrs,
    })?;
    let mirrored = (options.mirror && targets.is_empty()).then_some(&upstream);
    let before = finish::refs_before(repo, &wanted, options, mirrored.is_some())?;
    let tasks = targets::tasks(remote, &wanted, &before, options);
    let scene = Scene {
        repo,
        transaction: &transaction,
        client,
        remote,
        trust,
        options,
        upstream: &upstream,
        source: source.as_ref(),
    };
    let (counters, completed) = crew::run(scene, tasks, reporter)?;
    let mut stats = PullStats {
        transferred_bytes: upstream.transferred_bytes,
        is_local: source.is_some(),
        ..PullStats::default()
    };
    counters.put(&mut stats);
    if options.dry_run {
        transaction.abort()?;
        return Ok(stats);
    }
    if options.carry_deltas && options.mirror && targets.is_empty() {
        let carrier = Carrier {
            repo,
            remote,
            client,
            upstream: &upstream,
            reporter,
        };
        carrier.carry(&wanted)?;
    }
    let ending = Ending {
        wanted: &wanted,
        options,
        completed: &completed,
        before: &before,
        mirrored,
    };
    finish::finish(transaction, &ending, &mut stats)?;
    Ok(stats)
}

/// Refuses to apply deltas where objects are stored compressed.
fn refuse_deltas(repo: &Repo, options: &PullOptions<'_>) -> Result<()> {
    if options.deltas == DeltaUse::Required && repo.mode().is_archive() {
        // In the words of libostree.
        let detail = "Can't use static deltas in an archive repo".to_owned();
        return Err(ostler_repo::RepoError::Refused { detail }.into());
    }
    Ok(())
}
