//! Remotes that are configured beside the repository: `*.conf` files of a `remotes.d` directory, each a key file with the
//! groups of some remotes. The repository of a running system has `/etc/ostree/remotes.d`.
//!
//! The repository's own `config` comes first, then the files by their names; of a remote that several configure, only the
//! first group counts. A change rewrites the file that the remote is in, in one step; a file without groups goes.

use crate::config::MAX_CONFIG_SIZE;
use crate::error::{RepoError, Result};
use crate::fs::Dir;
use crate::keyfile::KeyFile;
use crate::repo::FILE_MODE;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where remotes are configured beside the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemotesDir {
    /// The directory; there are no such remotes if it is missing.
    pub path: PathBuf,
    /// Whether new remotes go there, where `core.add-remotes-config-dir` does not say.
    pub takes_new: bool,
}

/// The files of such a directory.
#[derive(Debug, Clone)]
pub(crate) struct RemoteFiles {
    dir: Dir,
    /// By name.
    files: Vec<(String, KeyFile)>,
}

impl RemoteFiles {
    /// Reads all files; `None` where there is no directory.
    ///
    /// # Errors
    /// [`RepoError::Format`] for what is no key file, and what the system answers.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        let dir = match Dir::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(RepoError::io("open", path))?,
        };
        let mut names: Vec<String> = dir
            .entries()
            .map_err(RepoError::io("list", path))?
            .into_iter()
            .filter_map(|entry| entry.name.into_string().ok())
            .filter(|name| name.strip_suffix(".conf").is_some_and(|stem| !stem.is_empty()))
            .collect();
        names.sort_unstable();
        let mut files = Vec::with_capacity(names.len());
        for name in names {
            let shown = dir.path_of(&name);
            let bytes = dir
                .read_following(&name, MAX_CONFIG_SIZE)
                .map_err(RepoError::io("read", &shown))?;
            // Gone since the directory was listed.
            let Some(bytes) = bytes else { continue };
            let file = KeyFile::parse(&bytes).map_err(RepoError::format(shown.display().to_string()))?;
            files.push((name, file));
        }
        Ok(Some(Self { dir, files }))
    }

    /// Returns the name of the file that a group is in, and the file.
    pub(crate) fn find(&self, group: &str) -> Option<(&str, &KeyFile)> {
        let found = self.files.iter().find(|(_, file)| file.has_group(group))?;
        Some((&found.0, &found.1))
    }

    /// Returns all files in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &KeyFile> {
        self.files.iter().map(|(_, file)| file)
    }

    /// Returns the path of a file.
    pub(crate) fn path_of(&self, name: &str) -> PathBuf {
        self.dir.path_of(name)
    }

    /// Changes a file, or makes it.
    ///
    /// # Errors
    /// What `edit` returns, and what the system answers.
    pub(crate) fn edit(
        &self,
        name: &str,
        durable: bool,
        edit: impl FnOnce(&mut KeyFile) -> Result<()>,
    ) -> Result<()> {
        let known = self.files.iter().find(|(known, _)| known == name);
        let mut file = match known {
            Some((_, file)) => file.clone(),
            None => KeyFile::parse(b"").map_err(RepoError::format(name))?,
        };
        edit(&mut file)?;
        let failed = RepoError::io("write", self.dir.path_of(name));
        let written = if file.groups().is_empty() {
            let removed = self.dir.unlink(name);
            removed.and_then(|_| if durable { self.dir.fsync() } else { Ok(()) })
        } else {
            self.dir.replace(name, &file.to_bytes(), FILE_MODE, durable)
        };
        written.map_err(failed)
    }
}
