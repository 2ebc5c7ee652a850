//! What comes after a push, when the pusher has had its answer: removing what was retired, once its grace is over.

use super::ReceiveOptions;
use super::audit;
use crate::error::Result;
use crate::report::Silent;
use crate::retention::Retention;
use crate::store::DirStore;
use crate::sweep::{self, SweepOptions, Swept};
use ostler_repo::Repo;
use serde::Serialize;
use std::path::Path;

/// A line of the log.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    event: &'static str,
    pusher: &'a str,
    repository: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    commits: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Returns whether [`clean_up`] has something to do in a repository, by the rules.
///
/// # Errors
/// Any failure to read it.
pub fn is_clean_up_due(repository: &Path, options: &ReceiveOptions<'_>) -> Result<bool> {
    let Some(grace) = options.rules.sweep() else {
        return Ok(false);
    };
    let store = DirStore::new(Repo::open_with(repository, options.open.clone())?);
    sweep::is_due(&store, (options.clock)(), grace)
}

/// Removes what was retired for longer than the rules let it stay, and writes that down. `None` if the rules let it stay for ever.
///
/// # Errors
/// See [`TransferError`](crate::TransferError): nothing that anybody needs is gone then. It is written down as well.
pub fn clean_up(repository: &Path, options: &ReceiveOptions<'_>) -> Result<Option<Swept>> {
    let Some(grace) = options.rules.sweep() else {
        return Ok(None);
    };
    let swept = run(repository, options, grace);
    if let Some(log) = options.rules.audit() {
        let done = swept.as_ref().ok();
        audit::append(
            log,
            &Line {
                time: audit::time((options.clock)()),
                event: if done.is_some() { "swept" } else { "sweep-failed" },
                pusher: options.pusher,
                repository: repository.display().to_string(),
                commits: done.map(|swept| swept.commits.iter().map(ToString::to_string).collect()),
                objects: done.map(|swept| swept.objects),
                bytes: done.map(|swept| swept.bytes),
                error: swept.as_ref().err().map(crate::TransferError::chain),
            },
        )?;
    }
    swept.map(Some)
}

fn run(repository: &Path, options: &ReceiveOptions<'_>, grace: u64) -> Result<Swept> {
    let store = DirStore::new(Repo::open_with(repository, options.open.clone())?);
    sweep::sweep(
        &store,
        &SweepOptions {
            retention: &Retention::of_target(&store)?,
            now: (options.clock)(),
            grace,
            dry_run: false,
            threads: options.jobs,
            interrupted: options.interrupted,
            reporter: &Silent,
        },
    )
}
