//! The GPG signatures of a commit or of a summary, for people: behind what `show` and `remote summary` print of it.

use crate::context::Context;
use crate::trust;
use crate::ui::printable;
use anyhow::anyhow;
use ostler_format::{Checksum, GPG_SIGNATURES, ObjectName, ObjectType, RemoteName, parse_detached};
use ostler_repo::Repo;
use ostler_repo::sign::gpg::{GpgSignature, Keyring, Keys};
use ostler_repo::sign::{MAX_SIGNATURES, TrustSettings};
use serde::Serialize;
use std::path::Path;

/// A signature as JSON.
#[derive(Serialize)]
struct Record<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<String>,
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
    let signatures = ostler_format::signatures(&detached, GPG_SIGNATURES)?;
    if signatures.is_empty() {
        return Ok(());
    }
    let paths = trust::paths(context);
    let mut keys = match &remote {
        Some(remote) => Keys::of_remote(repo, Some(remote), &paths)?,
        None => Keys::of_all_remotes(repo, &paths)?,
    };
    if let Some(homedir) = homedir {
        keys.add_keyrings(homedir)?;
    }
    let count = counted(signatures.len());
    context.ui().heading(format_args!("Found {count}:"))?;
    let keyring = Keyring::new(keys, &paths);
    let bytes = repo.load_metadata(&ObjectName::new(*commit, ObjectType::Commit))?;
    print_each(context, &keyring, Some(commit), &bytes, &signatures)
}

/// Prints the signatures of the summary of a remote, checked with its keys, if its configuration asks for them.
pub(crate) fn print_of_summary(
    context: &Context,
    repo: &Repo,
    remote: &RemoteName,
    summary: &[u8],
    file: &[u8],
) -> anyhow::Result<()> {
    if !TrustSettings::of_remote(repo, remote)?.gpg_verify_summary {
        return Ok(());
    }
    let detached = parse_detached(file)?;
    let signatures = ostler_format::signatures(&detached, GPG_SIGNATURES)?;
    let paths = trust::paths(context);
    let keyring = Keyring::new(Keys::of_remote(repo, Some(remote), &paths)?, &paths);
    let count = counted(signatures.len());
    let ui = context.ui();
    ui.heading("")?;
    ui.heading(format_args!("GPG: Verification enabled, found {count}:"))?;
    print_each(context, &keyring, None, summary, &signatures)
}

fn counted(count: usize) -> String {
    format!("{count} signature{}", if count == 1 { "" } else { "s" })
}

fn print_each(
    context: &Context,
    keyring: &Keyring,
    commit: Option<&Checksum>,
    bytes: &[u8],
    signatures: &[&[u8]],
) -> anyhow::Result<()> {
    let ui = context.ui();
    for (index, signature) in signatures.iter().take(MAX_SIGNATURES).enumerate() {
        for found in keyring.check(bytes, signature)? {
            let text = found.describe(trust::paths(context).show_time);
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

fn record<'a>(
    commit: Option<&Checksum>,
    signature: usize,
    found: &'a GpgSignature,
    text: Vec<String>,
) -> Record<'a> {
    Record {
        commit: commit.map(ToString::to_string),
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
