//! Wrong command lines under the name `ostree`, in the words of stock, which scripts look for.

use crate::word_order;
use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::error::Error as _;
use std::ffi::OsString;

/// What stock says where the arguments of a command are missing.
const MISSING: [(&str, &str); 27] = [
    ("cat", "A COMMIT and at least one PATH argument are required"),
    ("checkout", "COMMIT must be specified"),
    ("checksum", "A filename must be given"),
    ("config", "OPERATION must be specified"),
    ("config get", "KEY must be specified"),
    ("config set", "KEY and VALUE must be specified"),
    ("config unset", "KEY must be specified"),
    ("diff", "REV must be specified"),
    ("export", "A COMMIT argument is required"),
    ("log", "A rev argument is required"),
    ("ls", "An COMMIT argument is required"),
    ("pull-local", "DESTINATION must be specified"),
    ("remote add", "NAME and URL must be specified"),
    (
        "remote add-cookie",
        "NAME, DOMAIN, PATH, COOKIE_NAME and VALUE must be specified",
    ),
    ("remote delete", "NAME must be specified"),
    (
        "remote delete-cookie",
        "NAME, DOMAIN, PATH and COOKIE_NAME must be specified",
    ),
    ("remote list-cookies", "NAME must be specified"),
    ("remote refs", "NAME must be specified"),
    ("remote show-url", "NAME must be specified"),
    ("remote summary", "NAME must be specified"),
    ("reset", "A REF and COMMIT argument is required"),
    ("show", "An object argument is required"),
    ("rev-parse", "REV must be specified"),
    ("static-delta apply-offline", "PATH must be specified"),
    ("static-delta delete", "DELTA must be specified"),
    ("static-delta show", "DELTA must be specified"),
    ("static-delta verify", "DELTA must be specified"),
];

/// Returns what stock prints for a command line that clap refused, with help before it where stock gives that; `None`
/// where it has no words of its own.
pub(crate) fn text(mut definition: Command, arguments: &[OsString], error: &clap::Error) -> Option<String> {
    definition.build();
    let words = words(arguments);
    let mut command = &definition;
    for word in &words {
        match command.find_subcommand(word) {
            Some(found) => command = found,
            None => break,
        }
    }
    let message = match error.kind() {
        ErrorKind::UnknownArgument => format!("Unknown option {}", string(error, ContextKind::InvalidArg)?),
        ErrorKind::InvalidValue if string(error, ContextKind::InvalidValue) == Some("") => {
            format!("Missing argument for {}", option(error)?)
        }
        ErrorKind::ValueValidation => match option(error)? {
            option if option.starts_with('-') => format!("{} for {option}", error.source()?),
            _ => error.source()?.to_string(),
        },
        _ => {
            let message = with_help(command, &words, error)?;
            let help = command.clone().render_help();
            return Some(format!("{help}\nerror: {message}\n"));
        }
    };
    Some(format!("error: {message}\n"))
}

/// Returns what is said below the help of a command.
fn with_help(command: &Command, words: &[&str], error: &clap::Error) -> Option<String> {
    let missing = match error.kind() {
        ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => true,
        ErrorKind::InvalidSubcommand => false,
        _ => return None,
    };
    let path = words.get(..words.len().min(2)).unwrap_or_default().join(" ");
    let known = |path: &str| MISSING.iter().find(|(command, _)| *command == path);
    let of_path = known(&path).or_else(|| known(words.first()?)).filter(|_| missing);
    if let Some((_, message)) = of_path {
        return Some((*message).to_owned());
    }
    let named = string(error, ContextKind::InvalidSubcommand);
    let kind = match words.first() {
        Some(&"config") => return Some(format!("Unknown operation {}", named?)),
        Some(group) if command.has_subcommands() && command.get_name() == *group => {
            format!("\"{group}\" subcommand")
        }
        _ => "command".to_owned(),
    };
    match error.kind() {
        ErrorKind::MissingRequiredArgument => None,
        _ if missing => Some(format!("No {kind} specified")),
        _ => Some(format!("Unknown {kind} '{}'", named?)),
    }
}

/// Returns the command and what follows it that is no option.
fn words(arguments: &[OsString]) -> Vec<&str> {
    let Some(command) = word_order::command_of(arguments) else {
        return Vec::new();
    };
    let rest = arguments
        .iter()
        .skip_while(|argument| argument.as_os_str() != command);
    rest.filter_map(|argument| argument.to_str())
        .filter(|argument| !argument.starts_with('-'))
        .collect()
}

/// Returns the option that an error is about, without its value; an argument as it is called.
fn option(error: &clap::Error) -> Option<&str> {
    string(error, ContextKind::InvalidArg)?.split([' ', '=']).next()
}

fn string(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        _ => None,
    }
}
