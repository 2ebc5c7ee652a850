//! `log`: a commit and its ancestors, as far as the repository holds them.

use crate::commit_text;
use crate::context::Context;
use crate::variant_text;
use anyhow::Context as _;
use ostler_format::{Checksum, Commit, ObjectName, ObjectType};

/// The arguments of `log`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ostler log os/stable
  ostler log --json os/stable")]
pub(crate) struct Args {
    /// Print commits as GVariant text
    #[arg(long)]
    raw: bool,
    /// The commit to start with
    rev: String,
}

/// What stands in the place of ancestors that are not here.
const END_OF_HISTORY: &str = "<< History beyond this commit not fetched >>";

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let repo = context.open()?;
    let ui = context.ui();
    let mut next: Option<Checksum> = Some(repo.resolve_rev(&args.rev)?);
    let mut first = true;
    while let Some(checksum) = next {
        let name = ObjectName::new(checksum, ObjectType::Commit);
        let bytes = match repo.load_metadata(&name) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() && !first => {
                return if ui.json() {
                    Ok(())
                } else {
                    ui.line(END_OF_HISTORY)
                };
            }
            Err(error) => return Err(error.into()),
        };
        let commit = Commit::parse(&bytes).with_context(|| format!("cannot read commit {checksum}"))?;
        ui.heading(format_args!("commit {checksum}"))?;
        if args.raw && !ui.json() {
            ui.line(variant_text::of_bytes(variant_text::COMMIT, &bytes, true)?)?;
        } else {
            commit_text::print(ui, &checksum, &commit)?;
        }
        next = commit.parent;
        first = false;
    }
    Ok(())
}
