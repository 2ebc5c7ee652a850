//! `remote gpg-import` and `remote gpg-list-keys`: the keyring of a remote, `NAME.trustedkeys.gpg`.

use crate::commands::signatures::known_remote;
use crate::context::Context;
use crate::dates;
use crate::exit;
use crate::trust;
use crate::ui::printable;
use anyhow::Context as _;
use ostler_format::RemoteName;
use ostler_repo::Repo;
use ostler_repo::sign::gpg::{GpgKey, GpgKeyPart, GpgSource, Keys, wkd_urls};
use serde::Serialize;
use std::io::{self, Read as _};
use std::path::PathBuf;

/// The most bytes of keys that are read from standard input.
const MAX_INPUT: u64 = 16 << 20;

/// The arguments of `remote gpg-import`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without --keyring and --stdin, keys are taken from the user's own GPG. Keys in the keyring stay; of a key that is there, what is \
new is added: a later expiry, a revocation.

Examples:
  ostler --repo=client remote gpg-import --keyring=release.asc origin
  curl -s https://example.org/key.asc | ostler --repo=client remote gpg-import --stdin origin
  ostler --repo=client remote gpg-import origin 7FCA23D8472CDAFA")]
pub(super) struct ImportArgs {
    /// Import keys from a file: binary, ASCII, or a keybox; or from the files of a directory; repeatable
    #[arg(short, long, value_name = "FILE", conflicts_with = "stdin")]
    keyring: Vec<PathBuf>,
    /// Import keys from standard input
    #[arg(long)]
    stdin: bool,
    /// Name of the remote
    name: String,
    /// Whatever GPG knows a key by [default: all keys]
    #[arg(value_name = "KEY-ID")]
    keys: Vec<String>,
}

/// The arguments of `remote gpg-list-keys`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ostler --repo=client remote gpg-list-keys origin
  ostler --repo=client --json remote gpg-list-keys")]
pub(super) struct ListArgs {
    /// Name of the remote [default: the keys for remotes without a keyring]
    name: Option<String>,
}

#[derive(Serialize)]
struct Imported<'a> {
    remote: &'a str,
    imported: u64,
}

pub(super) fn import(context: &Context, args: &ImportArgs) -> anyhow::Result<()> {
    let repo = context.open()?;
    let remote = known_remote(&repo, &args.name)?;
    let source = if args.stdin {
        let mut bytes = Vec::new();
        let mut input = io::stdin().lock().take(MAX_INPUT + 1);
        input
            .read_to_end(&mut bytes)
            .context("cannot read standard input")?;
        if bytes.len() as u64 > MAX_INPUT {
            return Err(exit::usage("standard input holds too much for keys"));
        }
        let mut keys = Keys::default();
        keys.add(&bytes)?;
        GpgSource::Keys(keys)
    } else if args.keyring.is_empty() {
        GpgSource::User
    } else {
        GpgSource::Keys(keys_in(&args.keyring)?)
    };
    import_from(context, &repo, &remote, &source, &args.keys)
}

/// Reads files of keys.
pub(super) fn keys_in(files: &[PathBuf]) -> anyhow::Result<Keys> {
    let mut keys = Keys::default();
    for path in files {
        keys.add_path(path)?;
    }
    Ok(keys)
}

/// Imports keys and says how many are new.
pub(super) fn import_from(
    context: &Context,
    repo: &Repo,
    remote: &RemoteName,
    source: &GpgSource,
    names: &[String],
) -> anyhow::Result<()> {
    let temporary = context.environment().temporary_directory();
    let imported = repo.import_gpg_keys(remote, source, names, &temporary)?;
    let plural = if imported == 1 { "" } else { "s" };
    let remote = remote.as_str();
    context.ui().either(
        &Imported { remote, imported },
        format_args!(
            "Imported {imported} GPG key{plural} to remote \"{}\"",
            printable(remote)
        ),
    )
}

#[derive(Serialize)]
struct Listed<'a> {
    key: &'a str,
    created: Option<i64>,
    expires: Option<i64>,
    is_revoked: bool,
    users: Vec<&'a str>,
    subkeys: Vec<&'a str>,
}

pub(super) fn list(context: &Context, args: &ListArgs) -> anyhow::Result<()> {
    let repo = context.open()?;
    let remote = args
        .name
        .as_deref()
        .map(|name| known_remote(&repo, name))
        .transpose()?;
    let keys = repo.gpg_keys(remote.as_ref(), &trust::paths(context))?;
    for key in &keys {
        let Some((primary, below)) = key.parts.split_first() else {
            continue;
        };
        if context.ui().json() {
            context.ui().object(&Listed {
                key: &primary.fingerprint,
                created: primary.created,
                expires: primary.expires,
                is_revoked: primary.is_revoked,
                users: key.users.iter().map(|user| user.text.as_str()).collect(),
                subkeys: below.iter().map(|part| part.fingerprint.as_str()).collect(),
            })?;
        } else {
            print(context, key, primary, below)?;
        }
    }
    Ok(())
}

/// Prints a key as stock does.
fn print(context: &Context, key: &GpgKey, primary: &GpgKeyPart, below: &[GpgKeyPart]) -> anyhow::Result<()> {
    let ui = context.ui();
    let now = i64::try_from(context.environment().now()).unwrap_or(i64::MAX);
    let part = |title: &str, indent: &str, part: &GpgKeyPart| {
        ui.line(format_args!(
            "{title}: {}{}",
            part.fingerprint,
            revoked(part.is_revoked)
        ))?;
        if let Some(created) = part.created {
            ui.line(format_args!("{indent}Created: {}", dates::local_text(created)))?;
        }
        if let Some(expires) = part.expires {
            let word = if expires <= now { "Expired" } else { "Expires" };
            ui.line(format_args!("{indent}{word}: {}", dates::local_text(expires)))?;
        }
        anyhow::Ok(())
    };
    part("Key", "  ", primary)?;
    for user in &key.users {
        ui.line(format_args!(
            "  UID: {}{}",
            printable(&user.text),
            revoked(user.is_revoked)
        ))?;
        let (_, address) = user.name_and_address();
        let (advanced, direct) = wkd_urls(address).unwrap_or_default();
        ui.line(format_args!("  Advanced update URL: {}", printable(&advanced)))?;
        ui.line(format_args!("  Direct update URL: {}", printable(&direct)))?;
    }
    below.iter().try_for_each(|below| part("  Subkey", "    ", below))
}

const fn revoked(is_revoked: bool) -> &'static str {
    if is_revoked { " (revoked)" } else { "" }
}
