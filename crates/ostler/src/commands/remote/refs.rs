//! `remote refs`: the refs that the summary of a remote lists.

use super::fetch::Source;
use crate::context::Context;
use crate::ui::printable;
use anyhow::Context as _;
use ostler_format::Summary;
use serde::Serialize;

/// The arguments of `remote refs`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ostler --repo=client remote refs origin
  ostler --repo=client remote refs --revision origin
  ostler --repo=client --json remote refs https://example.org/repo")]
pub(super) struct Args {
    /// Print the commits, too
    #[arg(short, long)]
    revision: bool,
    #[command(flatten)]
    source: Source,
}

#[derive(Serialize)]
struct Record<'a> {
    remote: &'a str,
    #[serde(rename = "ref")]
    name: &'a str,
    commit: String,
}

/// Runs it.
pub(super) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let bytes = args.source.summary(context)?;
    let bytes = bytes.context("Remote refs not available; server has no summary file")?;
    let summary = Summary::parse(&bytes).context("cannot read the summary")?;
    let ui = context.ui();
    let remote = args.source.name.as_str();
    for entry in &summary.refs {
        let name = entry.name.as_str();
        if ui.json() {
            ui.object(&Record {
                remote,
                name,
                commit: entry.checksum.to_string(),
            })?;
        } else if args.revision {
            ui.line(format_args!(
                "{}:{}\t{}",
                printable(remote),
                printable(name),
                entry.checksum
            ))?;
        } else {
            ui.line(format_args!("{}:{}", printable(remote), printable(name)))?;
        }
    }
    Ok(())
}
