//! The commands of the package ostree-push, by links of their names: `ostree-push`, `ostree-receive` and `ostree-receive-shell`.
//!
//! They take the arguments, files and variables of version 1.0.1, log as it does, and can stand at either end of a connection whose
//! other end is stock.

mod log;
mod push;
mod receive;
mod recommit;
mod settings;
mod update;
mod yaml;

use crate::cli::Global;
use crate::commands::run_as_login_shell;
use crate::context::Context;
use crate::descriptors;
use crate::environment::Environment;
use crate::exit::{self, Status};
use crate::program::Program;
use crate::ui::Ui;
use clap::Parser as _;
use clap::error::ErrorKind;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

/// The version of ostree-push that the commands are compared with.
const COMPARED_WITH: &str = "1.0.1";

/// Which of them this process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// `ostree-push`
    Push,
    /// `ostree-receive`
    Receive,
    /// `ostree-receive-shell`
    Shell,
}

impl Role {
    /// Returns the role for the first argument of the process; one that begins a login has a hyphen before its name.
    pub(crate) fn of(argument: Option<&OsStr>) -> Option<Self> {
        let name = Path::new(argument?).file_name()?.to_str()?;
        let name = name.strip_prefix('-').unwrap_or(name);
        [Self::Push, Self::Receive, Self::Shell]
            .into_iter()
            .find(|role| role.name() == name)
    }

    /// Returns the name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Push => "ostree-push",
            Self::Receive => "ostree-receive",
            Self::Shell => "ostree-receive-shell",
        }
    }
}

/// What is to be done.
enum Asked {
    Push(Box<push::Args>),
    Receive(Box<receive::Args>),
    Shell,
}

impl Asked {
    fn read(role: Role, arguments: &[OsString]) -> Result<Self, clap::Error> {
        Ok(match role {
            Role::Push => Self::Push(Box::new(push::Args::try_parse_from(arguments)?)),
            Role::Receive => Self::Receive(Box::new(receive::Args::try_parse_from(arguments)?)),
            Role::Shell => Self::Shell,
        })
    }
}

/// Runs the command, and returns the status.
pub(crate) fn main(role: Role, arguments: &[OsString], environment: Environment) -> ExitCode {
    descriptors::make_room();
    let asked = match Asked::read(role, arguments) {
        Ok(asked) => asked,
        Err(error) => return report(&error),
    };
    let global = Global {
        repo: match &asked {
            Asked::Push(args) => args.repo.clone(),
            _ => None,
        },
        json: false,
        verbose: false,
    };
    let ui = Ui::new(false, environment.no_color);
    let context = Context::new(Program::Ostler, environment, ui, global);
    let result = match asked {
        Asked::Push(args) => push::run(&context, &args),
        Asked::Receive(args) => receive::run(&context, &args),
        Asked::Shell => run_as_login_shell(context.environment(), arguments),
    };
    let result = result.and_then(|()| context.ui().flush());
    match (role, result) {
        // What such a shell says of bad usage is 1.
        (Role::Shell, Err(error)) if Status::of(&error) == Status::Usage => {
            context.ui().error(&error);
            Status::Failed.code(Program::Ostler)
        }
        (_, result) => exit::conclude(Program::Ostler, context.ui(), result),
    }
}

/// Prints what there is instead of arguments.
fn report(error: &clap::Error) -> ExitCode {
    let _printed = error.print();
    let status = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Status::Done,
        _ => Status::Usage,
    };
    status.code(Program::Ostler)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn definitions_hold_together() {
        push::Args::command().debug_assert();
        receive::Args::command().debug_assert();
    }

    #[test]
    fn names_say_which_command_it_is() {
        for (argument, role) in [
            ("/usr/bin/ostree-receive", Some(Role::Receive)),
            ("ostree-push", Some(Role::Push)),
            ("ostree-receive-shell", Some(Role::Shell)),
            ("-ostree-receive-shell", Some(Role::Shell)),
            ("ostree", None),
            ("ostler", None),
            ("", None),
        ] {
            assert_eq!(Role::of(Some(OsStr::new(argument))), role, "{argument}");
        }
    }
}
