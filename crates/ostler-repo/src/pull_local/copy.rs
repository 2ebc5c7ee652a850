//! Copying the objects of a plan, by several threads.

use super::PullLocalOptions;
use super::plan::Plan;
use crate::error::{RepoError, Result};
use crate::parallel::spread;
use crate::repo::Repo;
use crate::transaction::{Transaction, Trust};
use ostler_format::{ObjectName, ObjectType};
use std::sync::atomic::AtomicBool;

/// The permission bits that bare-user-only repositories hold.
const BARE_USER_ONLY_BITS: u32 = 0o775;

/// Stages all objects of the plan.
pub(super) fn copy(
    transaction: &Transaction<'_>,
    source: &Repo,
    plan: &Plan,
    trust: Trust,
    options: &PullLocalOptions,
) -> Result<()> {
    let heals = plan.commits.iter().any(|commit| commit.damaged);
    let commits = plan
        .commits
        .iter()
        .map(|commit| ObjectName::new(commit.checksum, ObjectType::Commit));
    let objects: Vec<ObjectName> = plan.objects.iter().copied().chain(commits).collect();
    spread(
        &objects,
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
        |_| {},
    )?;
    for commit in &plan.detached {
        let name = ObjectName::new(*commit, ObjectType::CommitMeta);
        transaction.import_object(&name, source, trust)?;
    }
    Ok(())
}

/// Refuses content whose permission bits a bare-user-only repository would lose.
fn check_mode(source: &Repo, name: &ObjectName) -> Result<()> {
    let mode = source.open_content(&name.checksum)?.header().mode;
    let beyond = mode & 0o7777 & !BARE_USER_ONLY_BITS;
    if beyond == 0 || mode & ostler_format::S_IFMT == ostler_format::S_IFLNK {
        return Ok(());
    }
    Err(RepoError::invalid(
        format!("content object {}", name.checksum),
        format!("mode 0{mode:04o} has bits 0{beyond:04o}, which bare-user-only repositories cannot hold"),
    ))
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
