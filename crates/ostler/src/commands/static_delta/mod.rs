//! `static-delta`: makes, shows, applies and checks what turns one commit into another.

mod generate;
mod keys;
mod show;

use crate::context::Context;
use crate::exit;
use crate::ui::printable;
use anyhow::{Context as _, anyhow, bail};
use keys::Checking;
use ostler_format::{Checksum, DeltaName};
use ostler_repo::Repo;
use ostler_repo::deltas::StoredDelta;
use serde::Serialize;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

/// The arguments of `static-delta`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ostler --repo=/srv/repo static-delta generate os/stable
  ostler --repo=/srv/repo static-delta generate --empty os/stable
  ostler --repo=/srv/repo static-delta list
  ostler --repo=/srv/repo static-delta reindex")]
pub(crate) struct Args {
    #[command(subcommand)]
    operation: Operation,
}

#[derive(Debug, clap::Subcommand)]
enum Operation {
    /// List the deltas
    #[command(after_help = "\
Examples:
  ostler --repo=/srv/repo static-delta list")]
    List,
    /// Show what a delta consists of
    #[command(after_help = "\
Examples:
  ostler --repo=/srv/repo static-delta show FROM-TO
  ostler --repo=/srv/repo static-delta show ./update.delta")]
    Show {
        /// Name of a delta, or a path with a slash
        #[arg(value_name = "DELTA")]
        delta: String,
    },
    /// Delete a delta
    #[command(after_help = "\
Examples:
  ostler --repo=/srv/repo static-delta delete FROM-TO")]
    Delete {
        /// Name of the delta
        #[arg(value_name = "DELTA")]
        delta: String,
    },
    /// Make a delta
    Generate(Box<generate::Args>),
    /// Apply a delta that lies in a directory or file
    #[command(after_help = "\
Examples:
  ostler --repo=client static-delta apply-offline /media/usb/update.delta
  ostler --repo=client static-delta apply-offline --sign-type=ed25519 \\
    --keys-file=trusted.ed25519 /media/usb/update.delta")]
    ApplyOffline {
        #[command(flatten)]
        keys: Checking,
        /// A superblock, or a directory with one
        #[arg(value_name = "PATH")]
        path: PathBuf,
        /// Public keys, one of which must have signed the delta
        #[arg(value_name = "KEY")]
        public: Vec<String>,
    },
    /// Check the signatures of a delta
    #[command(after_help = "\
Examples:
  ostler --repo=/srv/repo static-delta verify FROM-TO PUBLIC-KEY
  ostler --repo=/srv/repo static-delta verify --keys-file=trusted.ed25519 FROM-TO")]
    Verify {
        #[command(flatten)]
        keys: Checking,
        /// Name of a delta, or a path with a slash
        #[arg(value_name = "DELTA")]
        delta: String,
        /// Public keys, one of which must have signed the delta
        #[arg(value_name = "KEY")]
        public: Vec<String>,
    },
    /// List the commits for which there are delta indexes
    #[command(after_help = "\
Examples:
  ostler --repo=/srv/repo static-delta indexes")]
    Indexes,
    /// Bring the delta indexes in line with the deltas
    #[command(after_help = "\
Examples:
  ostler --repo=/srv/repo static-delta reindex
  ostler --repo=/srv/repo static-delta reindex --to=COMMIT")]
    Reindex {
        /// Only the index of the deltas to this commit
        #[arg(long, value_name = "COMMIT")]
        to: Option<String>,
    },
}

#[derive(Serialize)]
struct Entry {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    to: String,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let repo = context.open()?;
    match &args.operation {
        Operation::List => list(context, &repo),
        Operation::Show { delta } => show::run(context, &stored(&repo, delta)?),
        Operation::Delete { delta } => delete(&repo, delta),
        Operation::Generate(args) => generate::run(context, &repo, args),
        Operation::ApplyOffline { keys, path, public } => apply(context, &repo, keys, path, public),
        Operation::Verify { keys, delta, public } => verify(context, &stored(&repo, delta)?, keys, public),
        Operation::Indexes => indexes(context, &repo),
        Operation::Reindex { to } => reindex(&repo, to.as_deref()),
    }
}

/// Returns how many threads are at work.
fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Reads the name of a delta, in the words of stock where it is none.
fn named(text: &str) -> anyhow::Result<DeltaName> {
    text.parse()
        .map_err(|_no_name| anyhow!("Invalid rev {}", printable(text)))
}

/// Reads a delta of the repository, or one at a path.
fn stored(repo: &Repo, text: &str) -> anyhow::Result<StoredDelta> {
    if text.contains('/') {
        return Ok(StoredDelta::at(Path::new(text))?);
    }
    let name = named(text)?;
    StoredDelta::of_repo(repo, &name)?.with_context(|| format!("Can't find delta {name}"))
}

fn list(context: &Context, repo: &Repo) -> anyhow::Result<()> {
    let names = repo.list_deltas()?;
    if names.is_empty() && !context.ui().json() {
        return context.ui().line("(No static deltas)");
    }
    for name in names {
        let entry = Entry {
            from: name.from.map(|from| from.to_string()),
            to: name.to.to_string(),
        };
        context.ui().either(&entry, name)?;
    }
    Ok(())
}

fn indexes(context: &Context, repo: &Repo) -> anyhow::Result<()> {
    let targets = repo.list_delta_indexes()?;
    if targets.is_empty() && !context.ui().json() {
        return context.ui().line("(No static deltas indexes)");
    }
    for target in targets {
        let to = target.to_string();
        context.ui().either(&Entry { from: None, to }, target)?;
    }
    Ok(())
}

fn delete(repo: &Repo, text: &str) -> anyhow::Result<()> {
    let name = named(text)?;
    match repo.delete_delta(&name) {
        Err(error) if error.is_not_found() => bail!("Can't find delta {name}"),
        deleted => Ok(deleted?),
    }
}

fn reindex(repo: &Repo, to: Option<&str>) -> anyhow::Result<()> {
    let invalid = |text: &str| anyhow!("Invalid rev {}", printable(text));
    let to = to.map(|text| Checksum::from_hex(text).map_err(|_no_checksum| invalid(text)));
    Ok(repo.reindex_deltas(to.transpose()?.as_ref())?)
}

fn apply(
    context: &Context,
    repo: &Repo,
    keys: &Checking,
    path: &Path,
    public: &[String],
) -> anyhow::Result<()> {
    let given = keys.given(public);
    if repo.config().sign_verify_deltas() && !given {
        bail!("Key is mandatory to check delta signature");
    }
    let delta = StoredDelta::at(path)?;
    if given {
        keys.check(context, &delta, public)?;
    }
    Ok(repo.apply_delta(&delta, threads())?)
}

fn verify(context: &Context, delta: &StoredDelta, keys: &Checking, public: &[String]) -> anyhow::Result<()> {
    let checked = keys.check(context, delta, public);
    let verdict = if checked.is_ok() {
        "Verification OK"
    } else {
        "Verification fails"
    };
    context.ui().line(verdict)?;
    checked
}

/// Returns the error for arguments that make no sense together.
fn usage(text: &str) -> anyhow::Error {
    exit::usage(text)
}
