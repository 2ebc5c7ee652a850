//! Where the keys lie by which signatures are checked, on this system and for this user.

use crate::context::Context;
use crate::dates;
use ostler_format::RemoteName;
use ostler_repo::Repo;
use ostler_repo::sign::{Trust, TrustPaths};

/// Directories of keys of all engines but `gpg`, those of the administrator first.
const KEY_DIRECTORIES: [&str; 2] = ["/etc/ostree", "/usr/share/ostree"];

/// Returns where keys lie that no configuration names.
pub(crate) fn paths(context: &Context) -> TrustPaths {
    let environment = context.environment();
    TrustPaths {
        gpg_keyrings: vec![environment.gpg_keyrings.clone()],
        key_directories: KEY_DIRECTORIES.iter().map(Into::into).collect(),
        temporary: environment.temporary_directory(),
        dummy: environment.dummy_signatures,
        show_time: dates::local_text,
    }
}

/// Returns what a remote is trusted with; one that is not configured, with everything.
pub(crate) fn of_remote(
    context: &Context,
    repo: &Repo,
    remote: Option<&RemoteName>,
) -> anyhow::Result<Trust> {
    match remote {
        Some(remote) => Ok(Trust::of_remote(repo, remote, &paths(context))?),
        None => Ok(Trust::none()),
    }
}
