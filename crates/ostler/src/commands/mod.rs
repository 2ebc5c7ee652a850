//! The commands, a file each: its arguments, its help, and a `run` that calls the libraries and prints.

mod completions;
mod config;
mod init;

use crate::context::Context;

/// One variant a command.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Create an empty repository
    Init(init::Args),
    /// Read and change the configuration of a repository
    Config(config::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
}

/// Runs `command`.
pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Init(args) => init::run(context, &args),
        Command::Config(args) => config::run(context, &args),
        Command::Completions(args) => completions::run(context, &args),
    }
}
