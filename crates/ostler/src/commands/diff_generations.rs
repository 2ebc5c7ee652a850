//! `diff-generations`: which refs differ between two generations of a target.

use crate::context::Context;
use crate::ui::printable;
use ostler_transfer::{DirStore, Past, present_refs, ref_differences};
use serde::Serialize;
use std::path::PathBuf;

/// The arguments of `diff-generations`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ostler diff-generations /srv/public 41 42
  ostler diff-generations /srv/public 41        # 41, and what is there now")]
pub(crate) struct Args {
    /// The target that was published to
    #[arg(value_name = "DEST")]
    destination: PathBuf,
    /// A generation
    #[arg(value_name = "FROM")]
    from: u64,
    /// Another one [default: what is there now]
    #[arg(value_name = "TO")]
    to: Option<u64>,
}

/// A ref as JSON.
#[derive(Serialize)]
struct Record {
    r#ref: String,
    old: Option<String>,
    new: Option<String>,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    context.refuse_repository()?;
    let store = DirStore::new(context.open_at(&args.destination)?);
    let past = Past::read(&store)?;
    let from = &past.generation(&store, args.from)?.refs;
    let to = match args.to {
        Some(number) => past.generation(&store, number)?.refs.clone(),
        None => present_refs(&store)?,
    };
    for difference in ref_differences(from, &to) {
        let value = |commit: &Option<String>| commit.clone().unwrap_or_else(|| "none".to_owned());
        let text = format!(
            "{}: {} -> {}",
            difference.name,
            value(&difference.old),
            value(&difference.new)
        );
        let record = Record {
            r#ref: difference.name,
            old: difference.old,
            new: difference.new,
        };
        context.ui().either(&record, printable(&text))?;
    }
    Ok(())
}
