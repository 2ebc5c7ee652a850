//! `gpg-sign`: adds signatures of GPG to a commit, or takes them away.

use crate::context::Context;
use crate::exit;
use crate::interrupt::Interrupt;
use crate::trust;
use anyhow::bail;
use ostler_format::{Checksum, GPG_SIGNATURES};
use ostler_repo::Repo;
use ostler_repo::sign::Signer;
use ostler_repo::sign::gpg::{Keyring, Keys, fingerprints_of};
use serde::Serialize;
use std::path::PathBuf;

/// The arguments of `gpg-sign`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Signatures are checked with the keys of a remote by 'show --gpg-verify-remote', and by whoever pulls. Two who sign at \
once lose nothing.

Examples:
  ostler --repo=/srv/repo gpg-sign os/stable 7FCA23D8472CDAFA
  ostler --repo=/srv/repo gpg-sign --gpg-homedir=/srv/keys os/stable release@example.org
  ostler --repo=/srv/repo gpg-sign --delete os/stable 7FCA23D8472CDAFA")]
pub(crate) struct Args {
    /// Take away the signatures that were made by any of the keys
    #[arg(short, long)]
    delete: bool,
    /// Where GPG keeps its keys [default: where gpg itself looks]
    #[arg(long, value_name = "DIRECTORY")]
    gpg_homedir: Option<PathBuf>,
    /// The commit
    commit: Option<String>,
    /// Whatever GPG knows a key by
    #[arg(value_name = "KEY-ID")]
    keys: Vec<String>,
}

#[derive(Serialize)]
struct Record {
    signatures_deleted: usize,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let Some(rev) = &args.commit else {
        return Err(exit::usage("Need a COMMIT to sign"));
    };
    if args.keys.is_empty() {
        return Err(exit::usage("Need at least one GPG KEY-ID to sign with"));
    }
    let repo = context.open()?;
    let commit = repo.resolve_rev(rev)?;
    if args.delete {
        return delete(context, args, &repo, &commit);
    }
    let interruption = Interrupt::while_signing()?;
    let mut signers = Vec::with_capacity(args.keys.len());
    for key_id in &args.keys {
        if !made_by(context, args, &repo, &commit, key_id)?.is_empty() {
            bail!("Commit is already signed with GPG key {}", key_id.escape_debug());
        }
        signers.push(Signer::Gpg {
            key_id: key_id.clone(),
            homedir: args.gpg_homedir.clone(),
            interruption: interruption.clone(),
        });
    }
    Ok(repo.sign_commit(&commit, &signers)?)
}

fn delete(context: &Context, args: &Args, repo: &Repo, commit: &Checksum) -> anyhow::Result<()> {
    let mut doomed = Vec::new();
    for key_id in &args.keys {
        doomed.extend(made_by(context, args, repo, commit, key_id)?);
    }
    let signatures_deleted = if doomed.is_empty() {
        0
    } else {
        repo.remove_signatures(commit, GPG_SIGNATURES, &doomed)?
    };
    context.ui().either(
        &Record { signatures_deleted },
        format_args!("Signatures deleted: {signatures_deleted}"),
    )
}

/// Returns the signatures of a commit that a key made, as they themselves say.
fn made_by(
    context: &Context,
    args: &Args,
    repo: &Repo,
    commit: &Checksum,
    key_id: &str,
) -> anyhow::Result<Vec<Vec<u8>>> {
    let Some(detached) = repo.load_detached(commit)? else {
        return Ok(Vec::new());
    };
    let signatures = ostler_format::signatures(&detached, GPG_SIGNATURES)?;
    if signatures.is_empty() {
        return Ok(Vec::new());
    }
    let fingerprints = fingerprints_of(key_id, args.gpg_homedir.as_deref())?;
    // Without any key, each signature is told with the key that would be needed.
    let keyring = Keyring::new(Keys::default(), &trust::paths(context));
    let mut made = Vec::new();
    for signature in signatures {
        let found = keyring.check(&[], signature)?;
        if found.iter().any(|one| one.is_by(&fingerprints)) {
            made.push(signature.to_vec());
        }
    }
    Ok(made)
}
