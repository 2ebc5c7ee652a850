//! Commands that are programs of their own: what we have no command for is looked for as `ostree-NAME`, in libostree's
//! directory of extensions and in PATH. It takes the place of this process and gets all arguments as they are, as with
//! stock.

use crate::cli;
use crate::program::Program;
use crate::word_order;
use anyhow::Context as _;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// Where libostree looks first.
const EXTENSIONS: &str = "/usr/libexec/libostree/ext";

/// Lets the program that stands for the command take the place of this process. Returns if there is none.
///
/// # Errors
/// There is one, and it cannot be started.
pub(crate) fn run(program: Program, arguments: &[OsString]) -> anyhow::Result<()> {
    let Some(name) = unknown(program, arguments) else {
        return Ok(());
    };
    let mut file = OsString::from("ostree-");
    file.push(name);
    let extension = Path::new(EXTENSIONS).join(&file);
    let places = [extension.as_os_str(), &file];
    for place in places {
        // A name with slashes is no command: it would lead anywhere.
        if Path::new(name).components().count() != 1 {
            break;
        }
        let error = Command::new(place)
            .args(arguments.get(1..).unwrap_or_default())
            .exec();
        if error.kind() != io::ErrorKind::NotFound {
            return Err(error).with_context(|| format!("Executing {}", place.display()));
        }
    }
    Ok(())
}

/// Returns the command of a command line, if we have none of that name.
fn unknown(program: Program, arguments: &[OsString]) -> Option<&OsStr> {
    let name = word_order::command_of(arguments)?;
    let known = cli::definition(program)
        .get_subcommands()
        .any(|command| command.get_name() == name || command.get_all_aliases().any(|alias| alias == name));
    (!known && name != "help").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_no_command_of_ours_is_looked_for() {
        for (line, name) in [
            ("ostree env -u X", Some("env")),
            ("ostree --repo=r -v env", Some("env")),
            ("ostree --repo refs env", Some("env")),
            ("ostree refs env", None),
            ("ostree --repo env refs", None),
            ("ostree help refs", None),
            ("ostree --version", None),
            ("ostree", None),
        ] {
            let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let found = unknown(Program::Ostree, &arguments);
            assert_eq!(found, name.map(OsStr::new), "{line}");
        }
    }
}
