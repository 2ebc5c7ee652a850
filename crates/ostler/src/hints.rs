//! What a user may do about an error, where we know.

use crate::commands::{Damaged, Occupied};
use crate::context::NoRepository;
use crate::program::Program;
use ostler_format::ObjectType;
use ostler_repo::RepoError;
use ostler_transfer::TransferError;

/// Returns the hints for `error`, most useful first.
pub(crate) fn of(error: &anyhow::Error, program: Program) -> Vec<String> {
    let mut hints = Vec::new();
    if error.is::<NoRepository>() {
        hints.push(format!(
            "name it with '{} --repo=PATH …', set OSTREE_REPO, or change into its directory",
            program.name()
        ));
    }
    if let Some(damaged) = error.downcast_ref::<Damaged>() {
        hints.extend(damaged.hints.iter().cloned());
    }
    if error.is::<Occupied>() {
        hints.push(
            "name an empty or a new directory with --dir=DIR; the demo of an earlier run may be removed"
                .into(),
        );
    }
    hints.extend(
        error
            .chain()
            .filter_map(|cause| cause.downcast_ref().and_then(of_repo_error)),
    );
    hints.extend(
        error
            .chain()
            .filter_map(|cause| cause.downcast_ref().and_then(of_transfer_error)),
    );
    hints
}

fn of_transfer_error(error: &TransferError) -> Option<String> {
    let hint = match error {
        TransferError::Refused(refusals) if refusals.iter().any(|refusal| refusal.yields_to_force) => {
            "to move the ref all the same, add --force; to publish others without it, name them"
        }
        TransferError::CorruptSource(found)
            if found
                .iter()
                .all(|damage| damage.object.kind == ObjectType::CommitMeta) =>
        {
            "detached metadata holds signatures: remove its file from the objects of the source, and pull the commit again from a \
             repository that has it, or sign it again"
        }
        TransferError::CorruptSource(_) => {
            "'repair --from=REPO' at the source takes what is damaged from a repository that has it; or 'fsck --delete' removes \
             it, to be pulled or committed again"
        }
        TransferError::PartialSource { .. } => {
            "pull the rest of the commit into the source first, or name other refs"
        }
        TransferError::NoSuchRef(_) => {
            "'refs' lists what the source has; '*' does not reach over a '/', '**' does"
        }
        TransferError::Contended { .. } => "others change the target all the time: run again",
        TransferError::NoGeneration { .. } => "'history' lists the generations that there are records of",
        TransferError::ChangedSince { .. } => {
            "look at what changed with 'diff-generations'; to roll back all the same, add --force"
        }
        TransferError::Swept { .. } => {
            "publish the commits again from where they are; a generation that 'history --pin' pins is never swept"
        }
        TransferError::PinnedRecord { number, .. } => {
            return Some(format!(
                "bring the record back, or let go of the generation: 'history DEST --unpin={number}'"
            ));
        }
        TransferError::Repo(error @ RepoError::DamagedRef { .. }) => return of_repo_error(error),
        TransferError::DamagedRef { target, reference } => {
            return Some(format!(
                "publish '{}' again, or remove it: '--repo={target} refs --delete {}'",
                reference.name, reference.name
            ));
        }
        TransferError::NoSpace { .. } => "make room at the target; what has arrived is used by the next run",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn of_repo_error(error: &RepoError) -> Option<String> {
    let hint = match error {
        RepoError::Locked { .. } => {
            "another program works on this repository: run again when it is done, or raise core.lock-timeout-secs"
        }
        RepoError::Conflict { .. } => "somebody else moved the ref meanwhile: look at it, and run again",
        RepoError::NoSpace { .. } => {
            "make room, or lower core.min-free-space-percent or core.min-free-space-size"
        }
        RepoError::Incomplete { .. } | RepoError::Hole { .. } => {
            "'repair --from=REPO' takes what is missing from a repository that has it; of a commit that was pulled in part, pull \
             the rest"
        }
        RepoError::AlreadyExists { what } if what.starts_with("a snapshot at ") => {
            "to put a new one in its place, in one step, add --replace"
        }
        RepoError::ReadOnly { reason, .. } if reason.starts_with("Read-only") => {
            "mount the file system of the repository so that it can be written"
        }
        RepoError::DamagedRef {
            reference, mirrored, ..
        } => {
            return Some(if *mirrored {
                format!("'refs --collections --create={reference} COMMIT --force' sets the ref anew")
            } else {
                format!(
                    "'refs --delete {reference}' removes the ref, 'reset {reference} COMMIT' sets it anew, 'repair --from=REPO' to \
                     what another repository has"
                )
            });
        }
        RepoError::ReadOnly { .. } => "run as a user who may write to the repository",
        _ => return None,
    };
    Some(hint.to_owned())
}
