//! `prune --match`: going by what the target of a repository holds.

use crate::context::Context;
use anyhow::bail;
use ostler_repo::prune::{Matching, Retention};
use ostler_repo::{Expected, RefEdit, Repo};
use ostler_transfer::{Counterpart, DirStore, DroppedRef};
use serde::Serialize;
use std::path::Path;

/// How a prune goes by a target.
pub(crate) struct Match<'a> {
    /// The target.
    pub(crate) target: &'a Path,
    /// Delete refs that the target has dropped.
    pub(crate) delete_refs: bool,
    /// Change nothing.
    pub(crate) dry_run: bool,
}

/// A ref that the target has dropped, as JSON.
#[derive(Serialize)]
struct Record {
    event: &'static str,
    dropped_ref: String,
    commit: String,
    unpublished: bool,
    deleted: bool,
}

/// Reads the target, deletes refs that it has dropped if that is asked for, tells of them, and returns what stays.
pub(crate) fn retention(context: &Context, repo: &Repo, by: &Match<'_>) -> anyhow::Result<Retention> {
    let target = context.open_at(by.target)?;
    if repo.root().is_same(target.root())? {
        bail!("{} is the repository itself", by.target.display());
    }
    let store = DirStore::new(target);
    let counterpart = Counterpart::read(&store)?;
    counterpart.require_common(repo, &store)?;
    let dropped = counterpart.dropped(repo)?;
    let goes = |dropped: &DroppedRef| by.delete_refs && !dropped.unpublished;
    if !by.dry_run {
        let edit = |dropped: &DroppedRef| RefEdit::remove(dropped.key.clone(), Expected::Is(dropped.commit));
        let edits: Vec<_> = dropped.iter().filter(|dropped| goes(dropped)).map(edit).collect();
        repo.edit_refs(&edits)?;
    }
    // Only now is it true.
    for dropped in &dropped {
        tell(context, by, dropped, goes(dropped))?;
    }
    let without = dropped.into_iter().filter(goes).map(|dropped| dropped.key);
    Ok(Retention::Matching(Matching {
        held: counterpart.commits,
        without: without.collect(),
    }))
}

fn tell(context: &Context, by: &Match<'_>, dropped: &DroppedRef, goes: bool) -> anyhow::Result<()> {
    let ui = context.ui();
    if ui.json() {
        return ui.object(&Record {
            event: "dropped_ref",
            dropped_ref: dropped.name.to_string(),
            commit: dropped.commit.to_string(),
            unpublished: dropped.unpublished,
            deleted: goes && !by.dry_run,
        });
    }
    let what = match (goes, dropped.unpublished, by.dry_run) {
        (true, _, true) => "it would be deleted here too",
        (true, _, false) => "deleted here too",
        (false, true, _) => "what it names here was never published: it stays",
        (false, false, _) => "it stays here; --delete-refs deletes it",
    };
    ui.note(&format!("ref {} is gone from the target: {what}", dropped.name));
    Ok(())
}
