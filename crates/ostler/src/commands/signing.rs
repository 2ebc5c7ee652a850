//! Options that say who signs what a command makes: keys of GPG by their names, secret keys as text or in files, commands.
//!
//! A secret key that stands on our command line is there for everybody on the machine to see, as with stock; files and commands
//! keep it.

use crate::context::Context;
use crate::exit;
use crate::interrupt::Interrupt;
use crate::ui::printable;
use anyhow::{Context as _, bail};
use ostler_repo::sign::{Engine, Interruption, Signer, read_secret_keys};
use std::convert::Infallible;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The engine where no option says which.
const DEFAULT: &str = "ed25519";

/// A text that may hold a secret: `Debug` does not show it.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

/// Who signs it.
#[derive(Debug, clap::Args)]
pub(crate) struct Signing {
    /// Sign it with this key of GPG; repeatable
    #[arg(long, value_name = "KEY-ID")]
    gpg_sign: Vec<String>,
    /// Where GPG keeps its keys [default: where gpg itself looks]
    #[arg(long, value_name = "DIRECTORY")]
    gpg_homedir: Option<PathBuf>,
    /// Sign it with this secret key, which everybody can see in the list of processes; repeatable
    #[arg(long, value_name = "KEY")]
    sign: Vec<Secret>,
    /// Sign it with the secret keys in a file, or on standard input ('-'); repeatable
    #[arg(long, value_name = "FILE")]
    sign_from_file: Vec<PathBuf>,
    /// What kind of keys --sign and --sign-from-file take: ed25519, spki or dummy [default: ed25519]
    #[arg(long, value_name = "TYPE")]
    sign_type: Option<String>,
    #[command(flatten)]
    command: SignCommand,
}

/// Commands that sign.
#[derive(Debug, clap::Args)]
pub(crate) struct SignCommand {
    /// Let a shell command sign: it reads the bytes and writes the signature. TYPE is gpg, ed25519, spki or dummy; repeatable
    #[arg(long, value_name = "TYPE=COMMAND")]
    sign_command: Vec<String>,
}

impl SignCommand {
    /// Returns the signers, that end with what the command watches, or else with us.
    pub(crate) fn signers(
        &self,
        context: &Context,
        interrupt: Option<&Interrupt>,
    ) -> anyhow::Result<Vec<Signer>> {
        if self.sign_command.is_empty() {
            return Ok(Vec::new());
        }
        let interruption = interruption(interrupt)?;
        let one = |option: &String| {
            let (name, command) = option
                .split_once('=')
                .ok_or_else(|| exit::usage("--sign-command expects TYPE=COMMAND"))?;
            let engine = match name {
                "gpg" => Engine::Gpg,
                name => engine(context, Some(name))?,
            };
            Ok(Signer::External {
                engine,
                command: ["sh", "-c", command].map(OsString::from).to_vec(),
                interruption: interruption.clone(),
            })
        };
        self.sign_command.iter().map(one).collect()
    }
}

impl Signing {
    /// Returns whether anybody is to sign.
    pub(crate) fn is_given(&self) -> bool {
        !self.gpg_sign.is_empty()
            || !self.sign.is_empty()
            || !self.sign_from_file.is_empty()
            || !self.command.sign_command.is_empty()
    }

    /// Returns the signers that were asked for, those of GPG first. Programs end with what the command watches, or else with us.
    ///
    /// # Errors
    /// What is wrong with keys and files; never shows a secret.
    pub(crate) fn signers(
        &self,
        context: &Context,
        interrupt: Option<&Interrupt>,
    ) -> anyhow::Result<Vec<Signer>> {
        let mut signers = Vec::new();
        if !self.gpg_sign.is_empty() {
            let interruption = interruption(interrupt)?;
            signers.extend(self.gpg_sign.iter().map(|key_id| Signer::Gpg {
                key_id: key_id.clone(),
                homedir: self.gpg_homedir.clone(),
                interruption: interruption.clone(),
            }));
        }
        if !self.sign.is_empty() || !self.sign_from_file.is_empty() {
            let engine = engine(context, self.sign_type.as_deref())?;
            for Secret(key) in &self.sign {
                signers.push(Signer::from_secret(engine, key)?);
            }
            for path in &self.sign_from_file {
                signers.extend(from_file(engine, path)?);
            }
        }
        signers.extend(self.command.signers(context, interrupt)?);
        Ok(signers)
    }
}

/// Returns what ends programs that sign.
fn interruption(interrupt: Option<&Interrupt>) -> anyhow::Result<Interruption> {
    interrupt.map_or_else(Interrupt::while_signing, |interrupt| Ok(interrupt.of_signers()))
}

/// Reads the name of an engine of the sign interface.
///
/// # Errors
/// For names of none, and the engine for tests unless the environment allows it.
pub(crate) fn engine(context: &Context, name: Option<&str>) -> anyhow::Result<Engine> {
    let name = name.unwrap_or(DEFAULT);
    match name.parse() {
        Ok(Engine::Gpg) | Err(_) => bail!(
            "Requested signature type is not implemented: '{}'",
            printable(name)
        ),
        Ok(Engine::Dummy) if !context.environment().dummy_signatures => {
            bail!("dummy signature type is only for ostree testing")
        }
        Ok(engine) => Ok(engine),
    }
}

/// Reads the secret keys of a file; of standard input for `-`.
pub(crate) fn from_file(engine: Engine, path: &Path) -> anyhow::Result<Vec<Signer>> {
    if path == Path::new("-") {
        return Ok(read_secret_keys(
            engine,
            Path::new("standard input"),
            io::stdin().lock(),
        )?);
    }
    let file = File::open(path).with_context(|| format!("cannot read keys from {}", path.display()))?;
    Ok(read_secret_keys(engine, path, file)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        signing: Signing,
    }

    #[test]
    fn arguments_that_may_be_secret_are_not_shown() {
        let line = Line::parse_from(["ostler", "--sign=TOPSECRET", "--sign-type=ed25519"]);
        let shown = format!("{line:?}");
        assert!(!shown.contains("TOPSECRET"), "{shown}");
        assert_eq!(line.signing.sign.len(), 1);
    }
}
