//! The binary: arguments in, calls of the library crates, lines and an exit status out.
//!
//! It is the only crate that knows a user. Everything printed goes through [`ui::Ui`], the environment and the
//! clock are read in [`environment`], and [`exit`] decides the status. A command is one file in [`commands`].

mod cli;
mod collection_refs;
mod commands;
mod commit_text;
mod context;
mod counted;
mod dates;
mod descriptors;
mod environment;
mod exit;
mod external;
mod hints;
mod interrupt;
mod key_value;
mod mounts;
mod network;
mod patience;
mod program;
mod real_path;
mod running;
mod shell_words;
mod short_options;
mod sizes;
mod spans;
mod stock_push;
mod stock_usage;
mod summary_choice;
mod switch;
mod tree_path;
mod trust;
mod ui;
mod variant_text;
mod word_order;

use crate::context::Context;
use crate::environment::Environment;
use crate::program::Program;
use crate::stock_push::Role;
use crate::ui::Ui;
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let program = Program::of(arguments.first().map(OsString::as_os_str));
    let environment = Environment::read();
    if let Some(role) = Role::of(arguments.first().map(OsString::as_os_str)) {
        return stock_push::main(role, &arguments, environment);
    }
    let cli = match cli::parse(program, arguments.clone()) {
        Ok(cli) => cli,
        Err(unknown) => {
            // What is no command of ours may be a program of its own.
            if let Err(error) = external::run(program, &arguments) {
                let ui = Ui::new(false, environment.no_color);
                return exit::conclude(program, &ui, Err(error));
            }
            return cli::report(program, &arguments, &unknown);
        }
    };
    descriptors::make_room();
    let ui = Ui::new(cli.global.json, environment.no_color);
    let context = Context::new(program, environment, ui, cli.global);
    let result = commands::run(&context, cli.command).and_then(|()| context.ui().flush());
    exit::conclude(program, context.ui(), result)
}
