//! `remote summary`: prints the summary of a remote.

use super::fetch::Source;
use crate::commands::signatures;
use crate::commands::summary::view;
use crate::context::Context;
use crate::variant_text;
use anyhow::Context as _;
use ostler_format::Summary;

/// The arguments of `remote summary`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ostler --repo=client remote summary origin
  ostler --repo=client remote summary --print-metadata-key=ostree.summary.mode origin")]
pub(super) struct Args {
    /// Print it as GVariant text
    #[arg(long)]
    raw: bool,
    /// Print the keys of its metadata
    #[arg(long)]
    list_metadata_keys: bool,
    /// Print the value of a metadata key
    #[arg(long, value_name = "KEY")]
    print_metadata_key: Option<String>,
    #[command(flatten)]
    source: Source,
}

/// Runs it.
pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let repo = context.open()?;
    let fetched = args.source.fetch(context, &repo)?;
    let bytes = fetched
        .pair
        .summary
        .context("Remote server has no summary file")?;
    let ui = context.ui();
    if args.raw {
        return ui.line(variant_text::of_bytes(variant_text::SUMMARY, &bytes, true)?);
    }
    let summary = Summary::parse(&bytes).context("cannot read the summary")?;
    if args.list_metadata_keys {
        return variant_text::print_keys(ui, &summary.metadata);
    }
    if let Some(key) = &args.print_metadata_key {
        let value = variant_text::entry(&summary.metadata, key)?;
        return ui.line(variant_text::of_value(value.clone(), true));
    }
    view(ui, &summary)?;
    match (&fetched.remote, &fetched.pair.signatures) {
        (Some(remote), Some(file)) => signatures::print_of_summary(context, &repo, remote, &bytes, file),
        _ => Ok(()),
    }
}
