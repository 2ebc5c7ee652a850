//! The project's own chores, run as `cargo xtask NAME`.
//!
//! One file a chore; this one holds only the command line. Nothing here is part of the product.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a tool for people at a terminal: it prints, and it looks at PATH and CI"
)]

mod conformance;
mod fuzz;
mod layers;
mod man;
mod step;
mod test;
mod tools;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Chores of the ostler workspace.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Install what the tests need, build the fuzz targets, run every test.
    Test {
        /// Install what the tests need and stop.
        #[arg(long)]
        only_install: bool,
        /// Leave out the fuzz targets.
        #[arg(long)]
        no_fuzz: bool,
    },
    /// Check that the dependencies of each crate keep to its layer.
    Layers,
    /// Build the fuzz targets and run each once over its corpus.
    Fuzz,
    /// Run libostree's installed tests, unchanged, with our binary in the place of `ostree`.
    Conformance {
        /// Only scripts whose names contain one of these.
        #[arg(value_name = "PART")]
        scripts: Vec<String>,
        /// Seconds that a script may take.
        #[arg(long, default_value_t = 600)]
        limit: u32,
        /// A binary that is there, relative to the workspace [default: built with optimisation].
        #[arg(long, value_name = "PATH")]
        binary: Option<PathBuf>,
    },
    /// Write the manual pages of all commands.
    Man {
        /// Where to; relative to the workspace.
        #[arg(default_value = "target/man")]
        directory: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse().chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: &Chore) -> anyhow::Result<()> {
    step::enter_workspace()?;
    match chore {
        Chore::Test {
            only_install,
            no_fuzz,
        } => {
            tools::install()?;
            if *only_install {
                return Ok(());
            }
            if !*no_fuzz {
                fuzz::build_and_replay()?;
            }
            test::run()
        }
        Chore::Layers => layers::check(),
        Chore::Fuzz => fuzz::build_and_replay(),
        Chore::Conformance {
            scripts,
            limit,
            binary,
        } => conformance::run(scripts, *limit, binary.as_deref()),
        Chore::Man { directory } => man::write(directory),
    }
}
