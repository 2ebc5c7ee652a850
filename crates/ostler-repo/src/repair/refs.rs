//! Refs that name no commit, and what other repositories have under their names.
//!
//! What a damaged ref named cannot be told from here: the first source that has a ref of that name says so. It may be older than
//! what was lost. The ref is set when all that its commit needs is in place and sound, and only if it still names nothing.

use super::{RepairOptions, RepairReport};
use crate::error::{RepoError, Result};
use crate::refs::{Expected, RefEdit, RefKey, Survey};
use crate::repo::Repo;
use ostler_format::Checksum;
use std::collections::BTreeMap;

/// A ref that named no commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredRef {
    /// What was wrong with it.
    pub detail: String,
    /// What it names now, or would.
    pub commit: Checksum,
    /// The position of the source that has it so.
    pub source: usize,
}

/// Returns what the first source that has each damaged ref says that it names.
pub(super) fn find(survey: &Survey<RefKey>, sources: &[Repo]) -> Result<BTreeMap<RefKey, RestoredRef>> {
    let mut found = BTreeMap::new();
    for (name, damaged) in &survey.damaged {
        for (source, repo) in sources.iter().enumerate() {
            if let Some(commit) = repo.read_commit_of(name)? {
                let detail = damaged.detail.clone();
                let restored = RestoredRef {
                    detail,
                    commit,
                    source,
                };
                found.insert(name.clone(), restored);
                break;
            }
        }
    }
    Ok(found)
}

/// Sets the refs whose commits are whole, and notes the others as lost.
pub(super) fn restore(
    repo: &Repo,
    survey: Survey<RefKey>,
    mut found: BTreeMap<RefKey, RestoredRef>,
    options: &RepairOptions,
    report: &mut RepairReport,
) -> Result<()> {
    let broken = report.broken_commits();
    let is_whole =
        |found: &RestoredRef| !broken.contains(&found.commit) && !report.incomplete.contains(&found.commit);
    let (mut set_anew, mut lost) = (BTreeMap::new(), BTreeMap::new());
    for (name, damaged) in survey.damaged {
        match found.remove(&name).filter(is_whole) {
            Some(restored) if options.dry_run || set(repo, &name, restored.commit)? => {
                set_anew.insert(name.to_string(), restored);
            }
            // Somebody has written it meanwhile.
            Some(_) => {}
            None => {
                lost.insert(name.to_string(), damaged.detail);
            }
        }
    }
    report.restored_refs = set_anew;
    report.lost_refs = lost;
    Ok(())
}

/// Sets a ref that names nothing; returns whether it was still so.
fn set(repo: &Repo, name: &RefKey, commit: Checksum) -> Result<bool> {
    match repo.edit_refs(&[RefEdit::set(name.clone(), Expected::NoCommit, commit)]) {
        Err(RepoError::Conflict { .. }) => Ok(false),
        edited => edited.map(|()| true),
    }
}
