//! Homes of `gpg` with keys made for a test: nobody's own keys are looked at, and the agents end with the homes.

use crate::command::{PATH, attempt, command, describe, run};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A home.
#[derive(Debug)]
pub struct GpgHome {
    directory: TempDir,
}

impl GpgHome {
    /// Makes a home without keys.
    #[track_caller]
    pub fn new() -> Self {
        // The agent's socket lies in it: its path must be short.
        let directory = match tempfile::Builder::new().prefix("gpg").tempdir_in("/tmp") {
            Ok(directory) => directory,
            Err(error) => panic!("cannot make a directory: {error}"),
        };
        let private = fs::Permissions::from_mode(0o700);
        if let Err(error) = fs::set_permissions(directory.path(), private) {
            panic!("cannot make a private directory: {error}");
        }
        Self { directory }
    }

    /// Returns where it lies.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Returns `gpg` in this home.
    pub fn gpg(&self) -> Command {
        let mut gpg = command("gpg");
        gpg.env("PATH", PATH)
            .arg("--homedir")
            .arg(self.path())
            .args(["--batch", "--quiet", "--no-tty", "--passphrase", ""])
            .args(["--pinentry-mode", "loopback", "--yes"]);
        gpg
    }

    /// Makes a key that signs, for `user`, which expires as gpg reads that (`never`, `1d`); returns its fingerprint.
    #[track_caller]
    pub fn make_key(&self, user: &str, expires: &str) -> String {
        let arguments = ["--quick-generate-key", user, "ed25519", "sign", expires];
        run(self.gpg().args(arguments));
        let made = self.fingerprints(user);
        match made.first() {
            Some(fingerprint) => fingerprint.clone(),
            None => panic!("gpg made no key for {user}"),
        }
    }

    /// Returns the fingerprints of a key: the primary's first, then those of its sub-keys in the order of their making.
    #[track_caller]
    pub fn fingerprints(&self, user: &str) -> Vec<String> {
        let listed = run(self.gpg().args(["--with-colons", "--list-keys", user]));
        listed
            .lines()
            .filter_map(|line| line.strip_prefix("fpr:::::::::"))
            .map(|rest| rest.trim_end_matches(':').to_owned())
            .collect()
    }

    /// Has gpg sign and make keys here as if it were another time, in seconds since the epoch. It stands still: else it would begin anew with
    /// each process, and a key whose making took until the next second would be one of the future for who signs with it.
    #[track_caller]
    pub fn set_time(&self, seconds: u64) {
        self.configure(&format!("faked-system-time {seconds}!\n"));
    }

    /// Sets the configuration.
    #[track_caller]
    pub fn configure(&self, lines: &str) {
        if let Err(error) = fs::write(self.path().join("gpg.conf"), lines) {
            panic!("cannot configure gpg: {error}");
        }
    }

    /// Writes the public keys of `users`, all without any, to a file, in the form that `options` choose (`--armor`).
    #[track_caller]
    pub fn export(&self, to: &Path, options: &[&str], users: &[&str]) {
        let output = attempt(self.gpg().args(options).arg("--export").args(users));
        assert!(output.status.success(), "{}", describe(&self.gpg(), &output));
        if let Err(error) = fs::write(to, output.stdout) {
            panic!("cannot write {}: {error}", to.display());
        }
    }

    /// Makes a directory of keyrings below `directory` with the public keys, for `OSTREE_GPG_HOME`.
    #[track_caller]
    pub fn trusted(&self, directory: impl AsRef<OsStr>, users: &[&str]) -> PathBuf {
        let trusted = PathBuf::from(directory.as_ref());
        if let Err(error) = fs::create_dir_all(&trusted) {
            panic!("cannot make {}: {error}", trusted.display());
        }
        self.export(&trusted.join("keyring.gpg"), &[], users);
        trusted
    }

    /// Imports what gpg keeps to revoke a key.
    #[track_caller]
    pub fn revoke(&self, fingerprint: &str) {
        let path = self.path().join(format!("openpgp-revocs.d/{fingerprint}.rev"));
        let text = match fs::read_to_string(&path) {
            Ok(text) => text.replace(":-----BEGIN", "-----BEGIN"),
            Err(error) => panic!("cannot read {}: {error}", path.display()),
        };
        if let Err(error) = fs::write(&path, text) {
            panic!("cannot write {}: {error}", path.display());
        }
        run(self.gpg().arg("--import").arg(&path));
    }
}

impl Default for GpgHome {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for GpgHome {
    fn drop(&mut self) {
        let mut kill = command("gpgconf");
        let _ended = kill
            .arg("--homedir")
            .arg(self.path())
            .args(["--kill", "all"])
            .output();
    }
}
