//! `completions`: the script that teaches a shell our commands and options.

use crate::cli;
use crate::context::Context;
use clap_complete::Shell;

/// The arguments of `completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ostler completions bash > /etc/bash_completion.d/ostler
  ostler completions zsh > ~/.zfunc/_ostler")]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

/// Runs it.
pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let name = context.program().name();
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut cli::definition(context.program()),
        name,
        &mut script,
    );
    context.ui().bytes(&script)
}
