//! `reset`: points a ref at another commit.

use crate::context::Context;
use anyhow::{Context as _, bail};
use ostler_format::Refspec;
use ostler_repo::RepoError;
use ostler_repo::refs::Expected;
use serde::Serialize;

/// The arguments of `reset`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
No object is removed: `prune` does that.

Examples:
  ostler --repo=/srv/repo reset os/stable os/stable^
  ostler --repo=/srv/repo reset os/stable COMMIT")]
pub(crate) struct Args {
    /// The ref, which must be there
    #[arg(value_name = "REF")]
    reference: String,
    /// What it shall name: a commit or another ref
    commit: String,
}

/// The change as JSON.
#[derive(Serialize)]
struct Record<'a> {
    r#ref: &'a str,
    /// Not there for a ref that was damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<String>,
    new: String,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let repo = context.open()?;
    repo.require_writable()?;
    let invalid = || format!("Invalid ref '{}'", args.reference.escape_debug());
    let refspec: Refspec = args.reference.parse().with_context(invalid)?;
    let (old, expected) = match repo.read_ref(&refspec) {
        Ok(Some(old)) => (Some(old), Expected::Is(old)),
        Ok(None) => bail!(invalid()),
        // It is there, and names nothing that could be lost.
        Err(RepoError::DamagedRef { .. }) => (None, Expected::NoCommit),
        Err(error) => return Err(error.into()),
    };
    let new = repo.point_ref(refspec.into(), expected, &args.commit)?;
    if context.ui().json() {
        context.ui().object(&Record {
            r#ref: &args.reference,
            old: old.map(|old| old.to_string()),
            new: new.to_string(),
        })?;
    }
    Ok(())
}
