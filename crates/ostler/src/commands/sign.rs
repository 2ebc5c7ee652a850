//! `sign`: signs a commit with ed25519, spki or dummy, checks such signatures, and takes them away.

use super::signing::{self, Secret, SignCommand};
use crate::context::Context;
use crate::exit;
use crate::trust;
use crate::ui::printable;
use anyhow::bail;
use ostler_format::{Checksum, ObjectName, ObjectType};
use ostler_repo::Repo;
use ostler_repo::sign::{Engine, MAX_SIGNATURES, PublicKeys, Signer, Valid};
use serde::Serialize;
use std::path::PathBuf;

/// The arguments of `sign`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Keys of ed25519 are base64: a public key of 32 bytes, a secret key of 64, or its seed of 32; files hold one a line. Keys \
of spki are PEM in files and base64 of the DER as arguments. Without keys, --verify takes those in /etc/ostree and \
/usr/share/ostree: trusted.TYPE and trusted.TYPE.d, less those in revoked.TYPE and revoked.TYPE.d.

Examples:
  ostler --repo=/srv/repo sign --keys-file=/root/os.secret os/stable
  ostler --repo=/srv/repo sign --sign-command=ed25519='ssh signer sign-os' os/stable
  ostler --repo=/srv/repo sign --verify os/stable Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
  ostler --repo=/srv/repo sign --verify --sign-type=spki --keys-file=os.pem os/stable")]
pub(crate) struct Args {
    /// Take away the signatures that fit any of the public keys
    #[arg(short, long, conflicts_with = "verify")]
    delete: bool,
    /// Check signatures: one that fits one of the public keys is enough
    #[arg(long)]
    verify: bool,
    /// What kind of keys: ed25519, spki or dummy [default: ed25519]
    #[arg(short, long, value_name = "TYPE")]
    sign_type: Option<String>,
    /// File of keys; '-' for secret ones on standard input
    #[arg(long, value_name = "FILE")]
    keys_file: Option<PathBuf>,
    /// With --verify: directory of trusted and revoked keys
    #[arg(long, value_name = "DIRECTORY")]
    keys_dir: Option<PathBuf>,
    #[command(flatten)]
    command: SignCommand,
    /// The commit
    commit: Option<String>,
    /// A secret key to sign with, which everybody can see in the list of processes; with --verify and --delete a public key
    #[arg(value_name = "KEY")]
    keys: Vec<Secret>,
}

#[derive(Serialize)]
struct Verified<'a> {
    engine: &'a str,
    key: &'a str,
}

#[derive(Serialize)]
struct Deleted {
    signatures_deleted: usize,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let Some(rev) = &args.commit else {
        return Err(exit::usage("Need a COMMIT to sign or verify"));
    };
    let repo = context.open()?;
    let commit = repo.resolve_rev(rev)?;
    if args.verify {
        return verify(context, args, &repo, &commit);
    }
    if args.delete {
        return delete(context, args, &repo, &commit);
    }
    let signers = signers(context, args)?;
    if signers.is_empty() {
        return Err(exit::usage("Need at least one KEY-ID to sign with"));
    }
    Ok(repo.sign_commit(&commit, &signers)?)
}

fn signers(context: &Context, args: &Args) -> anyhow::Result<Vec<Signer>> {
    let mut signers = args.command.signers(context, None)?;
    if !args.keys.is_empty() || args.keys_file.is_some() {
        let engine = signing::engine(context, args.sign_type.as_deref())?;
        for Secret(key) in &args.keys {
            signers.push(Signer::from_secret(engine, key)?);
        }
        if let Some(path) = &args.keys_file {
            signers.extend(signing::from_file(engine, path)?);
        }
    }
    Ok(signers)
}

/// Gathers the public keys.
fn public_keys(context: &Context, args: &Args, engine: Engine) -> anyhow::Result<PublicKeys> {
    let mut keys = PublicKeys::new(engine);
    for Secret(key) in &args.keys {
        keys.add(key)?;
    }
    if let Some(path) = &args.keys_file {
        keys.add_file(path)?;
    }
    if let Some(directory) = &args.keys_dir {
        keys.add_directory(directory)?;
    } else if args.keys.is_empty() && args.keys_file.is_none() {
        for directory in trust::paths(context).key_directories {
            keys.add_directory(&directory)?;
        }
    }
    Ok(keys)
}

fn verify(context: &Context, args: &Args, repo: &Repo, commit: &Checksum) -> anyhow::Result<()> {
    match check(context, args, repo, commit) {
        Ok(valid) => {
            let text = printable(&valid.message).into_owned();
            let engine = valid.engine.name();
            context.ui().either(
                &Verified {
                    engine,
                    key: &valid.key,
                },
                text,
            )
        }
        // On one line: scripts look for it there.
        Err(error) => bail!("No valid signatures found: {error:#}"),
    }
}

fn check(context: &Context, args: &Args, repo: &Repo, commit: &Checksum) -> anyhow::Result<Valid> {
    let engine = signing::engine(context, args.sign_type.as_deref())?;
    let keys = public_keys(context, args, engine)?;
    let bytes = repo.load_metadata(&ObjectName::new(*commit, ObjectType::Commit))?;
    let detached = repo.load_detached(commit)?.unwrap_or_default();
    let mut signatures = ostler_format::signatures(&detached, engine.key())?;
    signatures.truncate(MAX_SIGNATURES);
    Ok(keys.check(&bytes, &signatures)?)
}

fn delete(context: &Context, args: &Args, repo: &Repo, commit: &Checksum) -> anyhow::Result<()> {
    let engine = signing::engine(context, args.sign_type.as_deref())?;
    let keys = public_keys(context, args, engine)?;
    if keys.is_empty() {
        return Err(exit::usage("Need at least one KEY-ID whose signatures to delete"));
    }
    let bytes = repo.load_metadata(&ObjectName::new(*commit, ObjectType::Commit))?;
    let detached = repo.load_detached(commit)?.unwrap_or_default();
    let doomed: Vec<Vec<u8>> = ostler_format::signatures(&detached, engine.key())?
        .into_iter()
        .filter(|signature| keys.check(&bytes, &[*signature]).is_ok())
        .map(<[u8]>::to_vec)
        .collect();
    let signatures_deleted = if doomed.is_empty() {
        0
    } else {
        repo.remove_signatures(commit, engine.key(), &doomed)?
    };
    context.ui().either(
        &Deleted { signatures_deleted },
        format_args!("Signatures deleted: {signatures_deleted}"),
    )
}
