//! `rev-parse`: revisions to checksums.

use crate::context::Context;
use crate::exit;
use anyhow::bail;
use ostler_format::Checksum;
use ostler_repo::Repo;
use serde::Serialize;

/// The arguments of `rev-parse`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ostler rev-parse os/stable os/stable^
  ostler rev-parse --single")]
pub(crate) struct Args {
    /// Print the only commit of the repository; any other number of commits is an error
    #[arg(short = 'S', long)]
    single: bool,
    /// Refs, checksums or their beginnings; each '^' behind them goes to the parent
    #[arg(value_name = "REV")]
    revs: Vec<String>,
}

#[derive(Serialize)]
struct Resolved<'a> {
    rev: Option<&'a str>,
    commit: String,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let repo = context.open()?;
    if args.single {
        if !args.revs.is_empty() {
            return Err(exit::usage("Cannot specify arguments with --single"));
        }
        return print(context, None, only_commit(&repo)?);
    }
    if args.revs.is_empty() {
        return Err(exit::usage("REV must be specified"));
    }
    for rev in &args.revs {
        print(context, Some(rev), repo.resolve_rev(rev)?)?;
    }
    Ok(())
}

fn print(context: &Context, rev: Option<&str>, commit: Checksum) -> anyhow::Result<()> {
    let resolved = Resolved {
        rev,
        commit: commit.to_string(),
    };
    context.ui().either(&resolved, &resolved.commit)
}

fn only_commit(repo: &Repo) -> anyhow::Result<Checksum> {
    match repo.commits_with_prefix("")?.as_slice() {
        [only] => Ok(*only),
        [] => bail!("No commit objects found"),
        [..] => bail!("Multiple commit objects found"),
    }
}
