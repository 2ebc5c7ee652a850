//! `config`: reads and changes one key of a repository's `config`; all other lines stay as they are.

use crate::context::Context;
use crate::exit;
use crate::ui::printable;
use anyhow::bail;
use ostler_repo::{RepoError, Result};
use serde::Serialize;

/// The arguments of `config`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ostler config get core.mode
  ostler config set core.fsync false
  ostler config set --group='remote \"origin\"' url https://example.org/repo
  ostler config unset core.parent")]
pub(crate) struct Args {
    /// Group of the key, where its name holds a dot
    #[arg(long, global = true)]
    group: Option<String>,
    #[command(subcommand)]
    operation: Operation,
}

#[derive(Debug, clap::Subcommand)]
enum Operation {
    /// Print the value of a key
    #[command(after_help = "\
Examples:
  ostler config get core.mode
  ostler --json config get --group='remote \"origin\"' url")]
    Get {
        /// GROUP.KEY, or with --group KEY
        key: String,
        #[arg(hide = true)]
        more: Vec<String>,
    },
    /// Give a key a value
    #[command(after_help = "\
Examples:
  ostler config set core.fsync false
  ostler config set --group='remote \"origin\"' url https://example.org/repo")]
    Set {
        /// GROUP.KEY, or with --group KEY
        key: String,
        /// The value
        #[arg(allow_hyphen_values = true)]
        value: String,
        #[arg(hide = true)]
        more: Vec<String>,
    },
    /// Remove a key
    #[command(after_help = "\
Examples:
  ostler config unset core.parent
  ostler config unset --group='remote \"origin\"' contenturl")]
    Unset {
        /// GROUP.KEY, or with --group KEY
        key: String,
        #[arg(hide = true)]
        more: Vec<String>,
    },
}

#[derive(Serialize)]
struct Entry<'a> {
    group: &'a str,
    key: &'a str,
    value: &'a str,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let (Operation::Get { key, more } | Operation::Set { key, more, .. } | Operation::Unset { key, more }) =
        &args.operation;
    if !more.is_empty() {
        return Err(exit::usage("Too many arguments given"));
    }
    let (group, key) = match &args.group {
        Some(group) => (group.as_str(), key.as_str()),
        None => key.split_once('.').ok_or_else(|| {
            exit::usage("Key must be of the form \"sectionname.keyname\", or its group named with --group")
        })?,
    };
    let repo = context.open()?;
    match &args.operation {
        Operation::Get { .. } => {
            let file = repo.config().keyfile();
            if !file.has_group(group) {
                bail!("Key file does not have group “{}”", printable(group));
            }
            let Some(value) = file.get(group, key)? else {
                bail!(
                    "Key file does not have key “{}” in group “{}”",
                    printable(key),
                    printable(group)
                );
            };
            context.ui().either(
                &Entry {
                    group,
                    key,
                    value: &value,
                },
                printable(&value),
            )
        }
        Operation::Set { value, .. } => Ok(repo.edit_config(|file| -> Result<()> {
            file.set(group, key, value).map_err(RepoError::format("config"))
        })?),
        Operation::Unset { .. } => {
            let _was_there = repo.edit_config(|file| Ok(file.unset(group, key)))?;
            Ok(())
        }
    }
}
