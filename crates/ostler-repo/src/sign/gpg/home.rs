//! A home of `gpg` of our own: a directory that only we can read, with the keys that are put into it. It goes when it is dropped;
//! a process that is killed leaves it, with public keys, where files of the moment lie.

use super::{LIMIT, failed, program, run};
use crate::error::{RepoError, Result};
use crate::sign::child::Done;
use ostler_format::signatures::parse_gpg_import;
use std::fs::{self, DirBuilder};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How many random names are tried.
const TRIES: u32 = 100;

#[derive(Debug)]
pub(super) struct Home {
    path: PathBuf,
}

impl Home {
    /// Makes an empty one.
    pub(super) fn new(temporary: &Path) -> Result<Self> {
        for _ in 0..TRIES {
            let number = RandomState::new().build_hasher().finish();
            let path = temporary.join(format!("ostler-gpg-{number:016x}"));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(RepoError::io("make a directory for gpg", path)(error)),
            }
        }
        let taken = io::Error::from(io::ErrorKind::AlreadyExists);
        Err(RepoError::io("make a directory for gpg in", temporary)(taken))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns `gpg` in this home.
    pub(super) fn gpg(&self) -> Command {
        let mut command = program();
        command.arg("--homedir").arg(&self.path).args([
            "--no-options",
            "--no-autostart",
            "--disable-dirmngr",
            "--no-auto-key-retrieve",
            "--no-auto-check-trustdb",
            "--trust-model=always",
            "--no-permission-warning",
        ]);
        command
    }

    /// Puts the keys of packets into the home, beside those that are there: of a key that is there, what is new of it, a revocation for
    /// example. Returns how many keys are new, and how many were read.
    pub(super) fn import(&self, packets: &[u8]) -> Result<(u64, u64)> {
        let mut command = self.gpg();
        command.args(["--status-fd=1", "--no-auto-key-locate", "--import"]);
        let done = run(&mut command, packets, LIMIT)?;
        // Its status tells as well of keys that are none; without the line it has not come to its end.
        parse_gpg_import(&done.output).ok_or_else(|| failed(done.complaint()))
    }

    /// Returns the packets of keys that are known by these names, of all keys without any.
    pub(super) fn export(&self, names: &[String]) -> Result<Vec<u8>> {
        let mut command = self.gpg();
        command.args(["--export", "--"]).args(names);
        output_of(run(&mut command, b"", LIMIT)?)
    }

    /// Returns the packets in a keybox.
    pub(super) fn read_keybox(&self, keybox: &[u8]) -> Result<Vec<u8>> {
        let path = self.path.join("given.kbx");
        fs::write(&path, keybox).map_err(RepoError::io("write", &path))?;
        let mut command = self.gpg();
        command.arg("--no-default-keyring").arg("--keyring").arg(&path);
        let done = run(command.arg("--export"), b"", LIMIT)?;
        fs::remove_file(&path).map_err(RepoError::io("remove", &path))?;
        output_of(done)
    }

    /// Returns the list of keys that are known by these names, of all without any.
    pub(super) fn list(&self, names: &[String]) -> Result<Vec<u8>> {
        let mut command = self.gpg();
        command
            .args(["--with-colons", "--fixed-list-mode", "--list-keys", "--"])
            .args(names);
        let done = run(&mut command, b"", LIMIT)?;
        // That a name stands for nothing is a failure to gpg.
        if names.is_empty() {
            output_of(done)
        } else {
            Ok(done.output)
        }
    }
}

/// Returns what `gpg` wrote, if it has done all that it was to do.
fn output_of(done: Done) -> Result<Vec<u8>> {
    if done.status.success() {
        Ok(done.output)
    } else {
        Err(failed(done.complaint()))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // What is left of it holds nothing secret.
        let _left = fs::remove_dir_all(&self.path);
    }
}
