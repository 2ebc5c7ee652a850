//! `prune --match`: going by what the target of a repository holds.

use crate::context::Context;
use anyhow::bail;
use ostler_repo::fs::Dir;
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
    dropped_ref: String,
    commit: String,
    unpublished: bool,
    deleted: bool,
}

/// Reads the target, tells of refs that it has dropped, deletes them if that is asked for, and returns what stays.
pub(crate) fn retention(context: &Context, repo: &Repo, by: &Match<'_>) -> anyhow::Result<Retention> {
    let target = context.open_at(by.target)?;
    if is_same(repo.root(), target.root())? {
        bail!("{} is the repository itself", by.target.display());
    }
    let store = DirStore::new(target);
    let counterpart = Counterpart::read(&store)?;
    counterpart.require_common(repo, &store)?;
    let mut without = Vec::new();
    for dropped in counterpart.dropped(repo)? {
        let goes = by.delete_refs && !dropped.unpublished;
        tell(context, by, &dropped, goes)?;
        if goes {
            without.push(dropped);
        }
    }
    if !by.dry_run {
        let edit = |dropped: &DroppedRef| RefEdit::remove(dropped.key.clone(), Expected::Is(dropped.commit));
        repo.edit_refs(&without.iter().map(edit).collect::<Vec<_>>())?;
    }
    Ok(Retention::Matching(Matching {
        held: counterpart.commits,
        without: without.into_iter().map(|dropped| dropped.key).collect(),
    }))
}

fn is_same(one: &Dir, other: &Dir) -> anyhow::Result<bool> {
    let (one, other) = (one.stat_self()?, other.stat_self()?);
    Ok((one.dev, one.ino) == (other.dev, other.ino))
}

fn tell(context: &Context, by: &Match<'_>, dropped: &DroppedRef, goes: bool) -> anyhow::Result<()> {
    let ui = context.ui();
    if ui.json() {
        return ui.object(&Record {
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
