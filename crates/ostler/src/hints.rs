//! What a user may do about an error, where we know.

use crate::commands::Occupied;
use crate::context::NoRepository;
use crate::program::Program;
use ostler_repo::RepoError;

/// Returns the hints for `error`, most useful first.
pub(crate) fn of(error: &anyhow::Error, program: Program) -> Vec<String> {
    let mut hints = Vec::new();
    if error.is::<NoRepository>() {
        hints.push(format!(
            "name it with '{} --repo=PATH …', set OSTREE_REPO, or change into its directory",
            program.name()
        ));
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
    hints
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
        RepoError::ReadOnly { .. } => "run as a user who may write to the repository",
        _ => return None,
    };
    Some(hint.to_owned())
}
