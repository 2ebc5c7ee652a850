//! `pull-local`: copies commits, and the refs that name them, from another repository on this machine.

use crate::context::Context;
use crate::program::Program;
use crate::sizes::format_size;
use crate::switch;
use crate::trust;
use anyhow::bail;
use ostler_format::RemoteName;
use ostler_repo::Repo;
use ostler_repo::pull_local::{PullLocalOptions, PullTarget, pull_local_with};
use ostler_repo::sign::{SignVerify, Trust, TrustSettings};
use serde::Serialize;
use std::num::NonZero;
use std::path::PathBuf;
use std::thread;

/// The arguments of `pull-local`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
#[command(after_help = "\
Examples:
  ostler --repo=/srv/public pull-local /srv/build os/stable
  ostler --repo=/srv/public pull-local --depth=-1 /srv/build
  ostler --repo=/srv/public pull-local --remote=build --untrusted /srv/build os/stable@COMMIT
  ostler --repo=/srv/public pull-local --remote=build --gpg-verify /srv/build os/stable")]
pub(crate) struct Args {
    /// Fetch commits without their trees
    #[arg(long)]
    commit_metadata_only: bool,
    /// Set the refs of this remote in place of the repository's own
    #[arg(long)]
    remote: Option<RemoteName>,
    /// Sync nothing
    #[arg(long)]
    disable_fsync: bool,
    // What it is for, a sync that stalls nobody else, one sync of the file system does as well.
    #[arg(long, hide = true)]
    per_object_fsync: bool,
    /// Hash every object before it is taken over, as is done where signatures are checked
    #[arg(long)]
    untrusted: bool,
    /// Refuse files whose mode bare-user-only repositories cannot hold
    #[arg(long)]
    bareuseronly_files: bool,
    /// Refuse commits to which the source has no static delta
    #[arg(long, conflicts_with = "disable_static_deltas")]
    require_static_deltas: bool,
    // Objects are copied as they lie anyway.
    #[arg(long, hide = true)]
    disable_static_deltas: bool,
    /// Check the GPG signatures of commits with the keys of --remote
    #[arg(long)]
    gpg_verify: bool,
    /// Check the GPG signature of the source's summary with the keys of --remote
    #[arg(long)]
    gpg_verify_summary: bool,
    /// Check other signatures of commits, as the configuration of --remote says: with any engine that has keys, unless it names some
    #[arg(long, requires = "remote")]
    sign_verify: bool,
    /// Check other signatures of the source's summary likewise
    #[arg(long, requires = "remote")]
    sign_verify_summary: bool,
    /// Take commits that are not bound to their refs
    #[arg(long)]
    disable_verify_bindings: bool,
    /// How many parents to fetch with each commit; -1 for all
    #[arg(long, default_value_t = 0, value_parser = switch::integer, allow_negative_numbers = true)]
    depth: i64,
    /// The repository to copy from
    #[arg(value_name = "SRC_REPO")]
    source: PathBuf,
    /// REF, COMMIT or REF@COMMIT [default: all refs]
    #[arg(value_name = "REF")]
    targets: Vec<PullTarget>,
}

#[derive(Serialize)]
struct Record {
    metadata_objects: u64,
    content_objects: u64,
    content_written_bytes: u64,
    refs: u64,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let depth = match u64::try_from(args.depth) {
        Ok(depth) => Some(depth),
        Err(_) if args.depth == -1 => None,
        Err(_) => bail!("--depth is neither a number of parents nor -1: {}", args.depth),
    };
    if (args.gpg_verify || args.gpg_verify_summary) && args.remote.is_none() {
        bail!("Must specify remote name to enable gpg verification");
    }
    let repo = context.open_synced(!args.disable_fsync)?;
    let source = context.open_at(&args.source)?;
    let trust = wanted(context, args, &repo)?;
    let stock = context.program() == Program::Ostree;
    let options = PullLocalOptions {
        remote: args.remote.clone(),
        depth,
        commit_metadata_only: args.commit_metadata_only,
        // A signature says nothing of bytes that nobody hashed.
        untrusted: args.untrusted || trust.commit_required() || trust.summary_required(),
        as_it_is: stock,
        refuse_mixed: stock,
        bareuseronly_files: args.bareuseronly_files,
        require_deltas: args.require_static_deltas,
        verify_bindings: !args.disable_verify_bindings,
        threads: thread::available_parallelism().map_or(1, NonZero::get),
    };
    let progress = context.ui().progress("pulling objects");
    let stats = pull_local_with(
        &repo,
        &source,
        &args.targets,
        &options,
        &trust,
        &mut |done, all| {
            progress.update(done, all);
        },
    )?;
    drop(progress);
    let record = Record {
        metadata_objects: stats.metadata_objects,
        content_objects: stats.content_objects,
        content_written_bytes: stats.content_written_bytes,
        refs: stats.refs,
    };
    context.ui().either(
        &record,
        format_args!(
            "{} metadata, {} content objects imported; {} content written",
            stats.metadata_objects,
            stats.content_objects,
            format_size(stats.content_written_bytes),
        ),
    )
}

/// Returns which signatures are asked for. As with stock, the configuration of the remote asks for none here: the options do.
fn wanted(context: &Context, args: &Args, repo: &Repo) -> anyhow::Result<Trust> {
    let mut settings = TrustSettings::none();
    settings.gpg_verify = args.gpg_verify;
    settings.gpg_verify_summary = args.gpg_verify_summary;
    if let Some(remote) = &args.remote {
        let configured = TrustSettings::of_remote(repo, remote)?;
        let at_least = |asked: bool, configured: SignVerify| match (asked, configured) {
            (false, _) => SignVerify::No,
            (true, SignVerify::No) => SignVerify::Any,
            (true, configured) => configured,
        };
        settings.sign_verify = at_least(args.sign_verify, configured.sign_verify);
        settings.sign_verify_summary = at_least(args.sign_verify_summary, configured.sign_verify_summary);
    }
    let paths = trust::paths(context);
    Ok(Trust::with_settings(
        repo,
        args.remote.as_ref(),
        &settings,
        &paths,
    )?)
}
