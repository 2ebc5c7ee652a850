//! The GPG signatures of a commit, for people: behind what `show` prints of it.

use crate::context::Context;
use crate::trust;
use crate::ui::printable;
use anyhow::anyhow;
use ostler_format::{Checksum, GPG_SIGNATURES, ObjectName, ObjectType, RemoteName};
use ostler_repo::Repo;
use ostler_repo::sign::MAX_SIGNATURES;
use ostler_repo::sign::gpg::{GpgSignature, Keyring, Keys};
use serde::Serialize;
use std::path::Path;

/// A signature as JSON.
#[derive(Serialize)]
struct Record<'a> {
    commit: String,
    signature: usize,
    is_valid: bool,
    key_id: Option<&'a str>,
    fingerprint: Option<&'a str>,
    text: Vec<String>,
}

/// Prints the signatures of a commit, if it has any: checked with the keys of a remote, or with all that the repository and the
/// system know and those in a home of GPG.
pub(super) fn print(
    context: &Context,
    repo: &Repo,
    commit: &Checksum,
    remote: Option<&str>,
    homedir: Option<&Path>,
) -> anyhow::Result<()> {
    let remote = remote.map(|name| known_remote(repo, name)).transpose()?;
    let Some(detached) = repo.load_detached(commit)? else {
        return Ok(());
    };
    let mut signatures = ostler_format::signatures(&detached, GPG_SIGNATURES)?;
    if signatures.is_empty() {
        return Ok(());
    }
    let count = signatures.len();
    signatures.truncate(MAX_SIGNATURES);
    let paths = trust::paths(context);
    let mut keys = match &remote {
        Some(remote) => Keys::of_remote(repo, Some(remote), &paths)?,
        None => Keys::of_all_remotes(repo, &paths)?,
    };
    if let Some(homedir) = homedir {
        keys.add_keyrings(homedir)?;
    }
    let ui = context.ui();
    let plural = if count == 1 { "" } else { "s" };
    ui.heading(format_args!("Found {count} signature{plural}:"))?;
    let keyring = Keyring::new(keys, &paths);
    let bytes = repo.load_metadata(&ObjectName::new(*commit, ObjectType::Commit))?;
    for (index, signature) in signatures.into_iter().enumerate() {
        for found in keyring.check(&bytes, signature)? {
            let text = found.describe(paths.show_time);
            if ui.json() {
                ui.object(&record(commit, index, &found, text))?;
                continue;
            }
            ui.line("")?;
            for line in text {
                ui.line(format_args!("  {}", printable(&line)))?;
            }
        }
    }
    Ok(())
}

fn record<'a>(commit: &Checksum, signature: usize, found: &'a GpgSignature, text: Vec<String>) -> Record<'a> {
    Record {
        commit: commit.to_string(),
        signature,
        is_valid: found.is_valid(),
        key_id: found.key_id(),
        fingerprint: found.fingerprint(),
        text,
    }
}

/// Reads the name of a remote that the repository, or a parent of it, has.
pub(super) fn known_remote(repo: &Repo, name: &str) -> anyhow::Result<RemoteName> {
    let unknown = || anyhow!("Remote \"{}\" not found", printable(name));
    let remote = RemoteName::new(name).map_err(|_rule| unknown())?;
    if repo.remote_names().contains(name) {
        Ok(remote)
    } else {
        Err(unknown())
    }
}
