//! Copying the objects of a plan, by several threads: linked in place where that is possible, through the
//! staging directory of the transaction where not. Either way children come before what names them; so as soon
//! as one object has to be staged, everything above it is staged as well.

use super::PullLocalOptions;
use super::plan::Plan;
use crate::error::{RepoError, Result};
use crate::in_place::{InPlace, Placed};
use crate::objects::store::check_bare_user_only;
use crate::parallel::spread;
use crate::repo::Repo;
use crate::transaction::{Transaction, Trust};
use ostler_format::{ObjectName, ObjectType};
use std::sync::atomic::AtomicBool;

/// Brings all objects of the plan to the target, but for the commits: those are only staged. Returns what is in
/// place already.
pub(super) fn copy(
    transaction: &Transaction<'_>,
    source: &Repo,
    plan: &Plan,
    options: &PullLocalOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Placed> {
    let trees: usize = plan.trees.iter().map(Vec::len).sum();
    let all = (plan.leaves.len() + trees + plan.commits.len()) as u64;
    let heals = plan.commits.iter().any(|commit| commit.damaged);
    let mut placed = if heals || options.untrusted || options.bareuseronly_files {
        Placed {
            left: plan.children_first().collect(),
            ..Placed::default()
        }
    } else {
        place(transaction.repo(), source, plan, options, &mut |done| {
            progress(done as u64, all);
        })?
    };
    let commits = plan
        .commits
        .iter()
        .map(|commit| ObjectName::new(commit.checksum, ObjectType::Commit));
    placed.left.extend(commits);
    let trust = match (options.untrusted, options.as_it_is && !heals) {
        (true, _) => Trust::Verify,
        (false, true) => Trust::AsTheyAre,
        (false, false) => Trust::Trusted,
    };
    spread(
        &placed.left,
        options.threads,
        &AtomicBool::new(false),
        || (),
        |(), name| {
            if options.bareuseronly_files && name.kind == ObjectType::File {
                check_mode(source, name)?;
            }
            if heals {
                look_at(transaction, name)?;
            }
            transaction.import_object(name, source, trust).map(drop)
        },
        |taken| progress(all.saturating_sub((placed.left.len() - taken) as u64), all),
    )?;
    for commit in &plan.detached {
        let name = ObjectName::new(*commit, ObjectType::CommitMeta);
        transaction.import_object(&name, source, trust)?;
    }
    Ok(placed)
}

/// Links what can be linked in place.
fn place(
    repo: &Repo,
    source: &Repo,
    plan: &Plan,
    options: &PullLocalOptions,
    progress: &mut dyn FnMut(usize),
) -> Result<Placed> {
    let nothing = || Placed {
        left: plan.children_first().collect(),
        ..Placed::default()
    };
    if plan.leaves.is_empty() && plan.trees.is_empty() {
        return Ok(nothing());
    }
    let Some(links) = InPlace::new(repo, source)? else {
        return Ok(nothing());
    };
    let mut placed = links.link_all(&plan.leaves, options.threads, progress)?;
    for layer in &plan.trees {
        if placed.left.is_empty() {
            let layer = links.link_all(layer, options.threads, &mut |_| {})?;
            placed.metadata += layer.metadata;
            placed.left = layer.left;
        } else {
            placed.left.extend(layer);
        }
    }
    Ok(placed)
}

/// Refuses content whose permission bits a bare-user-only repository would lose.
fn check_mode(source: &Repo, name: &ObjectName) -> Result<()> {
    check_bare_user_only(&name.checksum, source.open_content(&name.checksum)?.header())
}

/// Has a damaged object of the target replaced.
fn look_at(transaction: &Transaction<'_>, name: &ObjectName) -> Result<()> {
    match transaction.repo().verify_object(name) {
        Err(RepoError::Corrupt { .. } | RepoError::Format { .. }) => {
            transaction.replace_damaged(*name);
            Ok(())
        }
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}
