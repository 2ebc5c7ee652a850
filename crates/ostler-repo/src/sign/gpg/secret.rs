//! Signing with keys that `gpg` keeps.
//!
//! The bytes go in on standard input, the signature comes out on standard output; on the command line there are the names of the
//! home and of the key alone. A passphrase is between the agent and the user.

use super::{LIMIT, SIGN_LIMIT, failed, program, run, run_unless};
use crate::error::{RepoError, Result};
use crate::sign::interruption::Interruption;
use ostler_format::signatures::parse_gpg_listing;
use std::path::Path;
use std::process::Command;

/// Signs bytes.
pub(in crate::sign) fn sign(
    key_id: &str,
    homedir: Option<&Path>,
    data: &[u8],
    interruption: &Interruption,
) -> Result<Vec<u8>> {
    let failed = |detail: String| RepoError::Signing {
        with: "gpg".to_owned(),
        detail,
    };
    // It would be taken for an option.
    if key_id.is_empty() || key_id.starts_with('-') {
        return Err(failed(format!("'{}' names no key", key_id.escape_debug())));
    }
    let mut command = in_home(homedir);
    command.args(["--status-fd=2", "--local-user", key_id]);
    command.args(["--no-armor", "--output", "-", "--detach-sign"]);
    let done = run_unless(interruption, &mut command, data, SIGN_LIMIT)?;
    if done.status.success() && !done.output.is_empty() {
        return Ok(done.output);
    }
    let messages = String::from_utf8_lossy(&done.messages);
    if messages
        .lines()
        .any(|line| line.starts_with("[GNUPG:] INV_SGNR 9 "))
    {
        let home = homedir.map_or_else(|| "<default>".to_owned(), |home| home.display().to_string());
        return Err(failed(format!(
            "No gpg key found with ID {} (homedir: {home})",
            key_id.escape_debug()
        )));
    }
    let complaint = messages
        .lines()
        .filter(|line| !line.starts_with("[GNUPG:]"))
        .map(str::trim)
        .rfind(|line| !line.is_empty())
        .map_or_else(|| done.status.to_string(), |line| line.escape_debug().to_string());
    Err(failed(complaint))
}

/// Returns the fingerprints of all parts of the keys that a name stands for in a home; the name itself, too, if it is
/// the end of a fingerprint or the whole.
///
/// # Errors
/// [`RepoError::Gpg`] when `gpg` cannot be run.
pub fn fingerprints_of(key_id: &str, homedir: Option<&Path>) -> Result<Vec<String>> {
    let mut fingerprints = Vec::new();
    let digits = key_id.strip_prefix("0x").unwrap_or(key_id).trim_end_matches('!');
    if digits.len() >= 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        fingerprints.push(digits.to_ascii_uppercase());
    }
    let mut command = in_home(homedir);
    command
        .args(["--with-colons", "--fixed-list-mode", "--list-keys", "--"])
        .arg(key_id);
    let listed = parse_gpg_listing(&run(&mut command, b"", LIMIT)?.output);
    let parts = listed.into_iter().flat_map(|key| key.parts);
    fingerprints.extend(parts.map(|part| part.fingerprint));
    Ok(fingerprints)
}

/// Returns the packets of public keys in a home that are known by these names, of all without any.
pub(super) fn export_from_user(names: &[String]) -> Result<Vec<u8>> {
    let mut command = in_home(None);
    command.args(["--export", "--"]).args(names);
    let done = run(&mut command, b"", LIMIT)?;
    if done.status.success() {
        Ok(done.output)
    } else {
        Err(failed(done.complaint()))
    }
}

fn in_home(homedir: Option<&Path>) -> Command {
    let mut command = program();
    if let Some(homedir) = homedir {
        command.arg("--homedir").arg(homedir);
    }
    command
}
