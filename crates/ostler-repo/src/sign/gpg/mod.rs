//! OpenPGP, by the program `gpg`: its secret keys stay with it and its agent, and what it thinks of a signature is asked of its status
//! lines, which are made for programs.
//!
//! Signing runs in the home of the user, or in one that is named. Checking runs in a home of its own, private and of the
//! moment, that holds the trusted keys and nothing else: no configuration, no agent, no network.

mod home;
mod import;
mod keyring;
mod keys;
mod secret;
mod signature;
mod wkd;

pub use import::GpgSource;
pub use keyring::Keyring;
pub use keys::Keys;
pub use ostler_format::signatures::{GpgKey, GpgKeyPart, GpgUser, GpgVerdict};
pub use secret::fingerprints_of;
pub(super) use secret::sign;
pub use signature::GpgSignature;
pub use wkd::wkd_urls;

use super::child::{self, Done};
use super::interruption::Interruption;
use crate::error::{RepoError, Result};
use std::io;
use std::process::Command;
use std::time::Duration;

/// How long `gpg` may take to check or list: it has no one to wait for.
const LIMIT: Duration = Duration::from_secs(60);

/// How long `gpg` may take to sign: somebody may have to enter a passphrase.
const SIGN_LIMIT: Duration = Duration::from_secs(600);

/// Returns `gpg` for use by programs.
fn program() -> Command {
    let mut command = Command::new("gpg");
    command
        .env("LC_ALL", "C")
        .args(["--batch", "--no-tty", "--no-greeting"]);
    command
}

/// Runs `gpg`.
fn run(command: &mut Command, input: &[u8], limit: Duration) -> Result<Done> {
    run_unless(&Interruption::default(), command, input, limit)
}

/// Runs `gpg` as long as nobody asks for its end.
fn run_unless(
    interruption: &Interruption,
    command: &mut Command,
    input: &[u8],
    limit: Duration,
) -> Result<Done> {
    child::run(command, input, limit, interruption).map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => RepoError::Interrupted,
        io::ErrorKind::NotFound => failed("the program gpg is not installed"),
        io::ErrorKind::TimedOut => failed(format!("no answer within {} s", limit.as_secs())),
        _ => failed(error.to_string()),
    })
}

fn failed(detail: impl Into<String>) -> RepoError {
    RepoError::Gpg {
        detail: detail.into(),
    }
}
