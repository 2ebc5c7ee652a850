//! Public keys of OpenPGP as they lie in files: packets, ASCII armour, or a keybox of `gpg`.
//!
//! A remote has `NAME.trustedkeys.gpg` in its repository, or beside its file in `remotes.d`, or in a parent of the repository, and what `gpgkeypath` names: files, and directories of such
//! files. Only where it has neither are the global keyrings its own.

use super::failed;
use super::home::Home;
use crate::error::{RepoError, Result};
use crate::repo::Repo;
use crate::sign::key_files::{MAX_KEY_FILE, read_file};
use crate::sign::trust::{Section, TrustPaths};
use ostler_format::RemoteName;
use ostler_format::signatures::dearmor;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What the name of the keyring of a remote ends with.
const KEYRING: &str = ".trustedkeys.gpg";

/// Public keys from anywhere.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    packets: Vec<u8>,
    keyboxes: Vec<Vec<u8>>,
}

impl Keys {
    /// Gathers the keys of a remote; of none the global ones.
    ///
    /// # Errors
    /// [`RepoError::Io`] for a file that is named and cannot be read, [`RepoError::Gpg`] for one without keys,
    /// [`RepoError::Invalid`] for a setting without meaning.
    pub fn of_remote(repo: &Repo, remote: Option<&RemoteName>, paths: &TrustPaths) -> Result<Self> {
        let mut keys = Self::default();
        let mut own = false;
        if let Some(remote) = remote {
            if let Some(bytes) = keyring_of(repo, remote)? {
                keys.add(&bytes)?;
                own = true;
            }
            let section = Section { repo, remote };
            for path in section.list("gpgkeypath")?.unwrap_or_default() {
                keys.add_path(Path::new(&path))?;
                own = true;
            }
        }
        if !own {
            keys.add_global(paths)?;
        }
        Ok(keys)
    }

    /// Gathers the keys of all remotes, and the global ones.
    ///
    /// # Errors
    /// As [`of_remote`](Self::of_remote).
    pub fn of_all_remotes(repo: &Repo, paths: &TrustPaths) -> Result<Self> {
        let mut keys = Self::default();
        keys.add_global(paths)?;
        for entry in repo
            .root()
            .entries()
            .map_err(RepoError::io("list", repo.root().path()))?
        {
            if entry.name.to_str().is_some_and(|name| name.ends_with(KEYRING)) {
                keys.add(&read_file(&repo.root().path_of(&entry.name))?)?;
            }
        }
        Ok(keys)
    }

    /// Gathers the global keys.
    ///
    /// # Errors
    /// As [`of_remote`](Self::of_remote).
    pub fn global(paths: &TrustPaths) -> Result<Self> {
        let mut keys = Self::default();
        keys.add_global(paths)?;
        Ok(keys)
    }

    fn add_global(&mut self, paths: &TrustPaths) -> Result<()> {
        paths
            .gpg_keyrings
            .iter()
            .try_for_each(|directory| self.add_keyrings(directory))
    }

    /// Adds the keyrings of a directory: files `*.gpg`, except for those of secret keys and of trust, and the keybox of a home.
    ///
    /// # Errors
    /// [`RepoError::Io`] for files that cannot be read; a directory that is not there is as good as empty.
    pub fn add_keyrings(&mut self, directory: &Path) -> Result<()> {
        for path in files_in(directory)?.unwrap_or_default() {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let wanted =
                path.extension().is_some_and(|extension| extension == "gpg") || name == "pubring.kbx";
            if wanted && !matches!(name, "secring.gpg" | "trustdb.gpg") {
                self.add_if_keys(&read_file(&path)?)?;
            }
        }
        Ok(())
    }

    /// Adds a file of keys, or the files of keys in a directory.
    ///
    /// # Errors
    /// As [`of_remote`](Self::of_remote).
    pub fn add_path(&mut self, path: &Path) -> Result<()> {
        if path.as_os_str().is_empty() {
            // In the words of libostree.
            return Err(failed("stat(): No such file or directory"));
        }
        if let Some(files) = files_in(path)? {
            for file in files {
                if fs::metadata(&file).is_ok_and(|found| found.len() <= MAX_KEY_FILE) {
                    self.add_if_keys(&read_file(&file)?)?;
                }
            }
            return Ok(());
        }
        if !self.add_if_keys(&read_file(path)?)? {
            return Err(failed(format!("no public keys in {}", path.display())));
        }
        Ok(())
    }

    /// Adds keys in any of the forms.
    ///
    /// # Errors
    /// [`RepoError::Format`] for broken armour.
    pub fn add(&mut self, bytes: &[u8]) -> Result<()> {
        self.add_if_keys(bytes).map(drop)
    }

    /// Adds keys in any of the forms; returns whether there are any.
    pub(super) fn add_if_keys(&mut self, bytes: &[u8]) -> Result<bool> {
        if is_keybox(bytes) {
            self.keyboxes.push(bytes.to_vec());
            return Ok(true);
        }
        if begins_with_key(bytes) {
            self.packets.extend_from_slice(bytes);
            return Ok(true);
        }
        let armored = dearmor(bytes).map_err(RepoError::format("keys of gpg"))?;
        let packets = armored.filter(|packets| begins_with_key(packets));
        self.packets
            .extend_from_slice(packets.as_deref().unwrap_or_default());
        Ok(packets.is_some())
    }

    /// Returns whether nothing was added.
    pub const fn is_empty(&self) -> bool {
        self.packets.is_empty() && self.keyboxes.is_empty()
    }

    /// Puts the keys into a home. Returns how many are new there.
    pub(super) fn import_into(&self, home: &Home) -> Result<u64> {
        let mut new = 0;
        if !self.packets.is_empty() {
            new += home.import(&self.packets)?.0;
        }
        for keybox in &self.keyboxes {
            let packets = home.read_keybox(keybox)?;
            if !packets.is_empty() {
                new += home.import(&packets)?.0;
            }
        }
        Ok(new)
    }
}

/// Returns the name of the keyring of a remote.
pub(super) fn keyring_name(remote: &RemoteName) -> String {
    format!("{remote}{KEYRING}")
}

/// Reads the keyring of a remote, in the repository or the nearest parent that has one.
pub(super) fn keyring_of(repo: &Repo, remote: &RemoteName) -> Result<Option<Vec<u8>>> {
    let name = keyring_name(remote);
    for repo in std::iter::successors(Some(repo), |repo| repo.parent()) {
        let read = repo.root().read_if_exists(&name, MAX_KEY_FILE);
        if let Some(bytes) = read.map_err(RepoError::io("read", repo.root().path_of(&name)))? {
            return Ok(Some(bytes));
        }
        let beside = repo.remotes_dir().map(|place| place.path.join(&name));
        if let Some(path) = beside.filter(|path| path.is_file()) {
            return read_file(&path).map(Some);
        }
    }
    Ok(None)
}

/// Returns the regular files in a directory in order; `None` where there is no directory of that name.
fn files_in(directory: &Path) -> Result<Option<Vec<PathBuf>>> {
    let list = || -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_file() {
                files.push(path);
            }
        }
        files.sort_unstable();
        Ok(files)
    };
    match list() {
        Ok(files) => Ok(Some(files)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(RepoError::io("list keys in", directory)(error)),
    }
}

/// A keybox says so behind the first eight bytes.
fn is_keybox(bytes: &[u8]) -> bool {
    bytes.get(8..12) == Some(b"KBXf")
}

/// Returns whether the first packet is a public key: its number is 6, in either form of the header.
fn begins_with_key(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(0x98..=0x9B | 0xC6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_keys_and_other_files_are_no_public_keys() {
        for (bytes, is_key) in [
            (&b"\x99\x01\x0d\x04"[..], true),
            (b"\xC6\x33", true),
            (b"\x95\x03\x98", false),
            (b"\xC5\x33", false),
            (b"\x01gpg\x03", false),
            (b"", false),
            (
                b"-----BEGIN PGP SIGNATURE-----\n\niQEz\n-----END PGP SIGNATURE-----\n",
                false,
            ),
            (
                b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQEN\n-----END PGP PUBLIC KEY BLOCK-----\n",
                true,
            ),
            (b"\0\0\0\x20\x01\x01\0\x02KBXf", true),
        ] {
            let mut keys = Keys::default();
            assert_eq!(keys.add_if_keys(bytes).unwrap(), is_key, "{bytes:?}");
            assert_eq!(keys.is_empty(), !is_key, "{bytes:?}");
        }
    }
}
