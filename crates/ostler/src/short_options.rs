//! Options of one letter as GLib reads them for stock: `-vb NAME` and `-bv NAME` are `-b NAME -v`; a value is always an argument
//! of its own, so that `-bNAME` is the options `b`, `N`, `A`, … and refused where one of them is unknown.
//!
//! Clap reads `-bv` as `-b` with the value `v`. So clusters are taken apart before, from left to right up to what clap will refuse by
//! itself, or answers at once (`--help`).

use crate::program::Program;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use std::ffi::{OsStr, OsString};
use std::vec::IntoIter;

/// Returns `arguments`, whose command goes before its options, with an argument for each option of one letter.
///
/// # Errors
/// A letter that stands for no option of the command, or two with values in one argument.
pub(crate) fn apart(
    program: Program,
    definition: &Command,
    arguments: Vec<OsString>,
) -> Result<Vec<OsString>, clap::Error> {
    let mut rest = arguments.into_iter();
    let mut reader = Reader {
        program,
        root: definition,
        command: definition,
        read: rest.next().into_iter().collect(),
    };
    while let Some(argument) = rest.next() {
        if !reader.read(argument, &mut rest)? {
            break;
        }
    }
    let mut read = reader.read;
    read.extend(rest);
    Ok(read)
}

/// What is known between two arguments.
struct Reader<'a> {
    program: Program,
    /// Has the options of all commands.
    root: &'a Command,
    /// The command so far.
    command: &'a Command,
    read: Vec<OsString>,
}

impl<'a> Reader<'a> {
    /// Takes up an argument, with its value. Returns whether what follows is to be looked at.
    fn read(&mut self, argument: OsString, rest: &mut IntoIter<OsString>) -> Result<bool, clap::Error> {
        let bytes = argument.as_encoded_bytes();
        if bytes.starts_with(b"--") {
            return Ok(self.long(argument, rest));
        }
        if bytes.starts_with(b"-") && bytes.len() > 1 {
            return self.cluster(&argument, rest);
        }
        let found = self.command.find_subcommand(&argument);
        let go_on = match found {
            Some(command) => {
                self.command = command;
                true
            }
            None => !self.command.has_subcommands() && !self.ends_with_a_program(),
        };
        self.read.push(argument);
        Ok(go_on)
    }

    /// Returns whether what begins with the first argument that is no option belongs to another program.
    fn ends_with_a_program(&self) -> bool {
        let mut arguments = self.command.get_positionals();
        arguments.any(Arg::is_trailing_var_arg_set)
    }

    fn long(&mut self, argument: OsString, rest: &mut IntoIter<OsString>) -> bool {
        let text = argument.to_string_lossy();
        let name = text.strip_prefix("--").unwrap_or_default();
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (name, None),
        };
        // `--`, what clap refuses, and what it answers.
        let Some(option) = self.option(|option| option.get_long() == Some(name) || has_alias(option, name))
        else {
            self.read.push(argument);
            return false;
        };
        match value {
            // Stock takes such a value for nothing.
            Some(_) if self.program == Program::Ostree && !takes_value(option) => {
                let name = format!("--{name}").into();
                self.read.push(name);
            }
            Some(_) => self.read.push(argument),
            None => {
                let needs_value = takes_value(option);
                self.read.push(argument);
                if needs_value {
                    self.read.extend(rest.next());
                }
            }
        }
        true
    }

    fn cluster(&mut self, argument: &OsStr, rest: &mut IntoIter<OsString>) -> Result<bool, clap::Error> {
        let Some(letters) = argument.to_str() else {
            return Err(self.unknown(argument));
        };
        let mut value_taken = false;
        for letter in letters.chars().skip(1) {
            let spelled = OsString::from(format!("-{letter}"));
            let is_letter = |option: &Arg| {
                let mut aliases = option.get_all_short_aliases().into_iter().flatten();
                option.get_short() == Some(letter) || aliases.any(|alias| alias == letter)
            };
            match (self.option(is_letter), letter) {
                (Some(option), _) if takes_value(option) => {
                    if value_taken {
                        let message = format!("Error parsing option -{letter}\n");
                        return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
                    }
                    value_taken = true;
                    let Some(value) = rest.next() else {
                        return Err(self.without_value(&spelled));
                    };
                    self.read.extend([spelled, value]);
                }
                (Some(_), _) => self.read.push(spelled),
                (None, 'h' | '?') => {
                    self.read.push("--help".into());
                    return Ok(false);
                }
                (None, 'V') if self.program == Program::Ostler => {
                    self.read.push(spelled);
                    return Ok(false);
                }
                (None, _) => return Err(self.unknown(argument)),
            }
        }
        Ok(true)
    }

    fn option(&self, is_meant: impl Fn(&Arg) -> bool) -> Option<&'a Arg> {
        let of_command = self.command.get_arguments();
        let of_all = self.root.get_arguments();
        let mut options = of_command.chain(of_all).filter(|option| !option.is_positional());
        options.find(|option| is_meant(option))
    }

    /// Returns what clap says, but for the name of the option: the one that was typed.
    fn without_value(&self, option: &OsStr) -> clap::Error {
        let mut error = clap::Error::new(ErrorKind::InvalidValue).with_cmd(self.command);
        let option = option.to_string_lossy().into_owned();
        error.insert(ContextKind::InvalidArg, ContextValue::String(option));
        error.insert(ContextKind::InvalidValue, ContextValue::String(String::new()));
        error
    }

    /// Returns what clap says about an option that it does not know; how to write it, where a value was meant.
    fn unknown(&self, argument: &OsStr) -> clap::Error {
        let text = argument.to_string_lossy();
        let mut error = clap::Error::new(ErrorKind::UnknownArgument).with_cmd(self.command);
        error.insert(
            ContextKind::InvalidArg,
            ContextValue::String(text.clone().into_owned()),
        );
        let mut letters = text.strip_prefix('-').unwrap_or_default().chars();
        let first = letters.next();
        let valued =
            self.option(|option| first.is_some() && option.get_short() == first && takes_value(option));
        if let (Some(_), Some(letter)) = (valued, first) {
            let value = letters.as_str().trim_start_matches('=');
            let tip = format!("a value is an argument of its own: '-{letter} {value}'");
            error.insert(
                ContextKind::Suggested,
                ContextValue::StyledStrs(vec![StyledStr::from(tip)]),
            );
        }
        error
    }
}

fn has_alias(option: &Arg, name: &str) -> bool {
    let aliases = option.get_all_aliases().into_iter().flatten();
    aliases.into_iter().any(|alias| alias == name)
}

fn takes_value(option: &Arg) -> bool {
    option.get_action().takes_values()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    fn read(program: Program, line: &str) -> Result<String, String> {
        let arguments = line.split(' ').map(OsString::from).collect();
        let read = apart(program, &cli::definition(program), arguments);
        let joined = |words: Vec<OsString>| words.join(OsStr::new(" ")).into_string().unwrap();
        read.map(joined).map_err(|error| error.to_string())
    }

    #[test]
    fn letters_that_stand_together_are_options_and_a_value_is_the_next_argument() {
        for (typed, expected) in [
            ("ostler commit -vb x t", "ostler commit -v -b x t"),
            ("ostler commit -bv x t", "ostler commit -b x -v t"),
            ("ostler commit -b -bXX t", "ostler commit -b -bXX t"),
            ("ostler commit --branch -bXX t", "ostler commit --branch -bXX t"),
            ("ostler commit --branch=x -vv", "ostler commit --branch=x -v -v"),
            ("ostler commit -b -- -vv", "ostler commit -b -- -v -v"),
            ("ostler commit -- -sX", "ostler commit -- -sX"),
            ("ostler commit - -vv", "ostler commit - -v -v"),
            ("ostler commit -vh -bXX", "ostler commit -v --help -bXX"),
            ("ostler commit -v? -bXX", "ostler commit -v --help -bXX"),
            ("ostler commit --nonsense -bXX", "ostler commit --nonsense -bXX"),
            ("ostler checkout -UHC x", "ostler checkout -U -H -C x"),
            ("ostler -vv remote list -u", "ostler -v -v remote list -u"),
            (
                "ostler lock --shared tar -xzf a",
                "ostler lock --shared tar -xzf a",
            ),
            ("ostler unknown -bXX", "ostler unknown -bXX"),
            ("ostler", "ostler"),
        ] {
            assert_eq!(read(Program::Ostler, typed).as_deref(), Ok(expected), "{typed}");
        }
    }

    #[test]
    fn a_value_in_the_same_argument_is_refused_with_the_right_way() {
        let refused = read(Program::Ostler, "ostler commit -bNAME t").unwrap_err();
        assert!(
            refused.contains("'-bNAME'") && refused.contains("'-b NAME'"),
            "{refused}"
        );
        for line in [
            "ostler commit -b=NAME t",
            "ostler commit -vX",
            "ostler commit -é x",
        ] {
            assert!(read(Program::Ostler, line).is_err(), "{line}");
        }
        let missing = read(Program::Ostler, "ostler commit -vb").unwrap_err();
        assert!(missing.contains("'-b'"), "{missing}");
        let twice = read(Program::Ostler, "ostler commit -bs x t").unwrap_err();
        assert!(twice.contains("Error parsing option -s"), "{twice}");
    }

    #[test]
    fn values_of_options_without_any_mean_nothing_to_stock() {
        let read = |program| read(program, "ostler commit --orphan=no t").unwrap();
        assert_eq!(read(Program::Ostree), "ostler commit --orphan t");
        assert_eq!(read(Program::Ostler), "ostler commit --orphan=no t");
    }
}
