//! The name that the binary was called by: a link named `ostree` behaves as that command.

use std::ffi::OsStr;
use std::path::Path;

/// The command that this process stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// Our own name.
    Ostler,
    /// The stock name, for scripts: the same commands, its exit statuses, its `--version` block.
    Ostree,
}

/// The version of `ostree` whose repository commands the commands here are compared with.
const COMPARED_WITH: &str = "2022.7";

impl Program {
    /// Returns the program for the first argument of the process.
    pub(crate) fn of(argument: Option<&OsStr>) -> Self {
        match argument.and_then(|path| Path::new(path).file_name()) {
            Some(name) if name == "ostree" => Self::Ostree,
            _ => Self::Ostler,
        }
    }

    /// Returns the name, as usage lines show it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ostler => "ostler",
            Self::Ostree => "ostree",
        }
    }

    /// Returns the name by which servers know us. As `ostree` it is that of the version that the commands are compared with.
    pub(crate) fn user_agent(self) -> String {
        match self {
            Self::Ostler => concat!("ostler/", env!("CARGO_PKG_VERSION")).to_owned(),
            Self::Ostree => format!("libostree/{COMPARED_WITH}"),
        }
    }

    /// Returns what `--version` prints, with the last newline.
    ///
    /// As `ostree` it is the YAML that scripts read: the version that the commands are compared with, and the features that
    /// they look for; that of archives is named after the library which stock reads them with.
    pub(crate) fn version_text(self) -> String {
        let ours = env!("CARGO_PKG_VERSION");
        match self {
            Self::Ostler => format!("ostler {ours}\n"),
            Self::Ostree => format!(
                "libostree:\n Version: '{COMPARED_WITH}'\n Features:\n  - gpgme\n  - libarchive\n  - sign-ed25519\n  - sign-spki\n  - release\nostler:\n Version: '{ours}'\n"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_part_of_the_path_names_the_program() {
        for (argument, program) in [
            ("ostree", Program::Ostree),
            ("/usr/bin/ostree", Program::Ostree),
            ("./ostree", Program::Ostree),
            ("ostler", Program::Ostler),
            ("/ostree/ostler", Program::Ostler),
            ("", Program::Ostler),
        ] {
            assert_eq!(Program::of(Some(OsStr::new(argument))), program, "{argument}");
        }
        assert_eq!(Program::of(None), Program::Ostler);
    }
}
