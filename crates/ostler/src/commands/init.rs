//! `init`: creates a repository; on one that exists it does nothing and succeeds, as stock.

use crate::context::Context;
use ostler_format::{CollectionId, RepoMode};
use ostler_repo::Repo;

/// The arguments of `init`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ostler --repo=/srv/repo init --mode=archive
  ostler --repo=/srv/repo init --mode=archive --collection-id=org.example.Os")]
pub(crate) struct Args {
    /// How objects are stored: archive (to be served), bare, bare-user, bare-user-only
    #[arg(long, default_value = "bare")]
    mode: RepoMode,
    /// Globally unique name of this repository's set of refs
    #[arg(long, value_name = "COLLECTION-ID")]
    collection_id: Option<CollectionId>,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    Repo::create(&context.path_to_create()?, args.mode, args.collection_id.as_ref())?;
    Ok(())
}
