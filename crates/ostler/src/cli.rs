//! The arguments: options that every command takes, and how a wrong command line is reported.

use crate::commands::{self, Command, LOCK_USAGE};
use crate::exit::Status;
use crate::program::Program;
use crate::short_options;
use crate::stock_usage;
use crate::word_order;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args as _, CommandFactory as _, FromArgMatches as _, Parser};
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Looks after OSTree repositories for the people who publish them.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, args_override_self = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The options that go before or after the name of any command.
#[derive(Debug, clap::Args)]
pub(crate) struct Global {
    /// Path of the repository [default: the current directory if it is one, `OSTREE_REPO`, /ostree/repo]
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) repo: Option<PathBuf>,
    /// Print data as JSON, one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say more about what is being done
    #[arg(id = "verbose", short, long, global = true)]
    pub(crate) verbose: bool,
}

const EXAMPLES: &str = "\
Examples:
  ostler --repo=/srv/repo init --mode=archive
  ostler --repo=/srv/repo commit -b os/stable --tree=dir=build
  ostler --repo=/srv/repo log os/stable

Exit status: 0 done, 1 failed, 2 bad usage, 130 interrupted.
'ostler COMMAND --help' shows the options of a command, with examples.";

/// Returns the definition of the command line under the name of `program`.
pub(crate) fn definition(program: Program) -> clap::Command {
    shaped(
        program,
        Cli::command().name(program.name()).bin_name(program.name()),
    )
}

fn shaped(program: Program, definition: clap::Command) -> clap::Command {
    match program {
        Program::Ostler => definition,
        Program::Ostree => as_stock(definition),
    }
}

/// Help in the order of stock: how to call it comes first.
const STOCK_HELP: &str = "Usage:\n  {usage}\n\n{about-with-newline}\n{all-args}{after-help}";

/// Gives help the shape and the lists of commands the headings that scripts read, and lets every option that has a value take
/// the next argument for it, whatever it begins with.
fn as_stock(definition: clap::Command) -> clap::Command {
    let shaped = |command: clap::Command| {
        command
            .disable_help_subcommand(true)
            .subcommand_help_heading("Builtin Commands")
            .help_template(STOCK_HELP)
            .mut_args(|argument| {
                let takes_value = argument.get_action().takes_values() && !argument.is_positional();
                if takes_value {
                    argument.allow_hyphen_values(true)
                } else {
                    argument
                }
            })
    };
    shaped(definition).mut_subcommands(move |command| {
        let command = shaped(command).mut_subcommands(shaped);
        match command.get_name() {
            // No commands, to stock.
            "config" => command.subcommand_help_heading("Operations"),
            "lock" => command.override_usage(LOCK_USAGE.replace("ostler", "ostree")),
            _ => command,
        }
    })
}

/// Reads the arguments of the process, its name first.
///
/// # Errors
/// What clap refuses; also a request for help or the version.
pub(crate) fn parse(
    program: Program,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Cli, clap::Error> {
    let mut arguments = word_order::normalized(arguments);
    if let Some(known) = known(program, &arguments) {
        arguments = short_options::apart(program, &known, arguments)?;
        // What cannot be read so, the whole definition explains, or prints help.
        if let Ok(matches) = known.try_get_matches_from(&arguments) {
            return Cli::from_arg_matches(&matches);
        }
    } else {
        arguments = short_options::apart(program, &definition(program), arguments)?;
    }
    let matches = loop {
        let matched = definition(program).try_get_matches_from(&arguments);
        match matched {
            Err(error) if program == Program::Ostree && drop_needless(&mut arguments, &error) => {}
            matched => break matched?,
        }
    };
    Cli::from_arg_matches(&matches)
}

/// Returns a definition that has no command but the one that is called; `None` where that is not called often.
fn known(program: Program, arguments: &[OsString]) -> Option<clap::Command> {
    let name = word_order::command_of(arguments)?.to_str()?;
    let command = commands::define(name)?;
    let definition = Global::augment_args(clap::Command::new(program.name()))
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .args_override_self(true)
        .subcommand_required(true)
        .subcommand(command);
    Some(shaped(program, definition))
}

/// Takes an argument away that the command has no use for, and that is no option: stock ignores those. Returns whether
/// that was the error.
fn drop_needless(arguments: &mut Vec<OsString>, error: &clap::Error) -> bool {
    if error.kind() != ErrorKind::UnknownArgument {
        return false;
    }
    let Some(ContextValue::String(needless)) = error.get(ContextKind::InvalidArg) else {
        return false;
    };
    let found = arguments
        .iter()
        .rposition(|argument| argument == needless.as_str());
    let Some(index) = found.filter(|_| !needless.starts_with('-')) else {
        return false;
    };
    arguments.remove(index);
    true
}

/// Prints what [`parse`] returned instead of arguments, and returns the status.
pub(crate) fn report(program: Program, arguments: &[OsString], error: &clap::Error) -> ExitCode {
    let status = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Status::Done,
        _ => Status::Usage,
    };
    if error.kind() == ErrorKind::DisplayVersion {
        let _written = std::io::stdout().write_all(program.version_text().as_bytes());
    } else if program == Program::Ostree
        && let Some(text) = stock_usage::text(definition(program), arguments, error)
    {
        let _written = std::io::stderr().write_all(text.as_bytes());
    } else {
        // clap picks the stream and colours; a stream that is gone takes no message.
        let _printed = error.print();
    }
    status.code(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds_together_under_both_names() {
        for program in [Program::Ostler, Program::Ostree] {
            definition(program).debug_assert();
        }
    }

    /// Where lines end within a paragraph, a narrow terminal breaks them a second time.
    #[test]
    fn only_the_terminal_breaks_the_lines_of_paragraphs_in_helps() {
        let mut commands = vec![definition(Program::Ostler)];
        while let Some(command) = commands.pop() {
            let help = command.get_after_help().map(ToString::to_string);
            let lines: Vec<_> = help.iter().flat_map(|help| help.lines()).collect();
            for pair in lines.windows(2) {
                let paragraph = pair.iter().all(|line| !line.is_empty() && !line.starts_with(' '));
                assert!(
                    !paragraph || pair[0].len() <= 78,
                    "{}: {}",
                    command.get_name(),
                    pair[0]
                );
            }
            commands.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn a_command_is_defined_alone_as_among_all() {
        let whole = definition(Program::Ostler);
        for command in whole.get_subcommands() {
            let Some(defined) = commands::define(command.get_name()) else {
                continue;
            };
            let ids = |command: &clap::Command| {
                let ids = command.get_arguments().map(|argument| argument.get_id().clone());
                ids.collect::<Vec<_>>()
            };
            assert_eq!(ids(&defined), ids(command), "{}", command.get_name());
        }
        for line in ["ostler --repo=R refs --list a", "ostler summary -v --repo=R"] {
            let line: Vec<_> = line.split(' ').map(OsString::from).collect();
            for program in [Program::Ostler, Program::Ostree] {
                let known = known(program, &line).unwrap();
                assert!(known.try_get_matches_from(&line).is_ok());
            }
        }
    }

    #[test]
    fn the_repository_goes_before_or_after_the_command() {
        for line in [
            "ostler --repo=R config get k",
            "ostler config --repo=R get k",
            "ostler config get k --repo R",
        ] {
            let cli = parse(Program::Ostler, line.split(' ').map(OsString::from)).unwrap();
            assert_eq!(cli.global.repo, Some(PathBuf::from("R")), "{line}");
        }
    }

    #[test]
    fn arguments_without_use_are_ignored_under_the_stock_name_only() {
        let line = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let cli = parse(Program::Ostree, line("ostree --repo=R init a --mode=bare b a")).unwrap();
        assert_eq!(cli.global.repo, Some(PathBuf::from("R")));
        for (program, text) in [
            (Program::Ostler, "ostler init a"),
            (Program::Ostree, "ostree init --nonsense"),
            (Program::Ostree, "ostree init -x"),
        ] {
            let error = parse(program, line(text)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnknownArgument, "{text}");
        }
    }

    #[test]
    fn a_repeated_option_means_its_last_value_as_in_glib() {
        let line = "ostler --repo=A --json config get k --repo=B --json";
        let cli = parse(Program::Ostler, line.split(' ').map(OsString::from)).unwrap();
        assert_eq!(cli.global.repo, Some(PathBuf::from("B")));
    }
}
