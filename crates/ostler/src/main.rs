//! The binary: arguments in, calls of the library crates, lines and an exit status out.
//!
//! It is the only crate that knows a user. Everything printed goes through [`ui::Ui`], the environment and the
//! clock are read in [`environment`], and [`exit`] decides the status. A command is one file in [`commands`].

mod cli;
mod commands;
mod commit_text;
mod context;
mod dates;
mod descriptors;
mod environment;
mod exit;
mod hints;
mod interrupt;
mod key_value;
mod program;
mod sizes;
mod switch;
mod tree_path;
mod ui;
mod variant_text;
mod word_order;

use crate::context::Context;
use crate::environment::Environment;
use crate::program::Program;
use crate::ui::Ui;
use std::process::ExitCode;

fn main() -> ExitCode {
    descriptors::raise_limit();
    let program = Program::of(std::env::args_os().next().as_deref());
    let environment = Environment::read();
    let cli = match cli::parse(program, std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return cli::report(program, &error),
    };
    let ui = Ui::new(cli.global.json, environment.no_color);
    let context = Context::new(program, environment, ui, cli.global);
    let result = commands::run(&context, cli.command).and_then(|()| context.ui().flush());
    exit::conclude(program, context.ui(), result)
}
