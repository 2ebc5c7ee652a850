//! Remotes: their groups in `config` or in [files beside it](crate::remote_files), and the keyring `NAME.trustedkeys.gpg` that stock keeps for one.
//!
//! A remote is looked up in the repository, then in its parents; only the repository's own are changed. Removal takes
//! the keyring before the group: cut short, it leaves a remote without keys, whose pulls fail, never keys that a later
//! remote of the same name would trust. Refs of a removed remote stay, as with stock.

use crate::config::remote_group;
use crate::error::{RepoError, Result};
use crate::keyfile::KeyFile;
use crate::remote_files::RemoteFiles;
use crate::repo::Repo;
use ostler_format::{FormatError, RemoteName};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What becomes of a remote of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays as it is.
    Keep,
    /// Its group makes way; its keyring stays.
    Replace,
}

/// A setting of a remote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteValue<'a> {
    /// One text.
    Text(&'a str),
    /// A list, each element ended by `;`.
    List(&'a [String]),
}

/// What the configuration says of one remote.
#[derive(Debug, Clone)]
pub struct RemoteSection<'a> {
    file: &'a KeyFile,
    group: String,
}

impl RemoteSection<'_> {
    /// Returns a setting.
    ///
    /// # Errors
    /// [`RepoError::Format`] for an unknown escape.
    pub fn text(&self, key: &str) -> Result<Option<String>> {
        read(self.file.get(&self.group, key))
    }

    /// Returns a setting that is not empty.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn filled(&self, key: &str) -> Result<Option<String>> {
        Ok(self.text(key)?.filter(|text| !text.is_empty()))
    }

    /// Returns a list, whose elements are separated by `;`.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn list(&self, key: &str) -> Result<Vec<String>> {
        Ok(read(self.file.get_list(&self.group, key))?.unwrap_or_default())
    }

    /// Returns a switch.
    ///
    /// # Errors
    /// [`RepoError::Format`] for what is neither `true` nor `false`.
    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        read(self.file.get_bool(&self.group, key))
    }

    /// Returns a number.
    ///
    /// # Errors
    /// [`RepoError::Format`] for what is none.
    pub fn number(&self, key: &str) -> Result<Option<i64>> {
        read(self.file.get_int(&self.group, key))
    }
}

fn read<T>(result: Result<T, FormatError>) -> Result<T> {
    result.map_err(RepoError::format("config"))
}

impl Repo {
    /// Returns what the configuration says of a remote: that of the repository, else that of the nearest of its parents
    /// that knows the remote.
    pub fn remote(&self, name: &str) -> Option<RemoteSection<'_>> {
        let group = format!("remote \"{name}\"");
        let file = self
            .with_parents()
            .find_map(|repo| repo.config().file_of(&group))?;
        Some(RemoteSection { file, group })
    }

    /// Adds a remote to the configuration; of a setting that is given twice the last one counts, in the place of the
    /// first. Returns whether it was added: `false` where there is one that is to be kept.
    ///
    /// # Errors
    /// [`RepoError::Format`] for settings that no key file can hold, and those of
    /// [`edit_config`](Self::edit_config).
    pub fn add_remote(
        &self,
        name: &RemoteName,
        settings: &[(&str, RemoteValue<'_>)],
        existing: Existing,
    ) -> Result<bool> {
        let group = remote_group(name);
        self.edit_config(|file| {
            let beside = self.remote_files()?;
            let known = beside.as_ref().and_then(|files| files.find(&group));
            if existing == Existing::Keep && (file.has_group(&group) || known.is_some()) {
                return Ok(false);
            }
            let name = match known {
                _ if file.has_group(&group) => None,
                Some((name, _)) => Some(name.to_owned()),
                None => self.takes_remotes_beside().then(|| format!("{name}.conf")),
            };
            match (&beside, name) {
                (Some(files), Some(name)) => files.edit(&name, self.config().fsync(), |file| {
                    write_group(file, &group, settings)
                })?,
                _ => write_group(file, &group, settings)?,
            }
            Ok(true)
        })
    }

    /// Removes a remote of this repository with its keyring; returns whether there was one.
    ///
    /// # Errors
    /// Those of [`edit_config`](Self::edit_config), and what the system answers when the keyring is removed.
    pub fn delete_remote(&self, name: &RemoteName) -> Result<bool> {
        let group = remote_group(name);
        self.edit_config(|file| {
            let beside = self.remote_files()?;
            let known = beside.as_ref().and_then(|files| files.find(&group));
            let own = file.remove_group(&group);
            if !own && known.is_none() {
                return Ok(false);
            }
            let keyring = format!("{name}.trustedkeys.gpg");
            let path = self.root().path_of(&keyring);
            let remove = || {
                if self.root().unlink(&keyring)? && self.config().fsync() {
                    self.root().sync_parent(&keyring)?;
                }
                Ok(())
            };
            remove().map_err(RepoError::io("remove", &path))?;
            if let (false, Some(files), Some((name, _))) = (own, &beside, known) {
                files.edit(name, self.config().fsync(), |file| {
                    file.remove_group(&group);
                    Ok(())
                })?;
            }
            Ok(true)
        })
    }

    /// Returns the names of all remotes, also of the parents', as they are written.
    pub fn remote_names(&self) -> BTreeSet<&str> {
        self.with_parents()
            .flat_map(|repo| repo.config().written_remotes())
            .collect()
    }

    /// Returns the URL of a remote: the one that the repository has for it, else the nearest of its parents.
    ///
    /// # Errors
    /// [`RepoError::Format`] for an unknown escape.
    pub fn remote_url(&self, name: &str) -> Result<Option<String>> {
        let group = format!("remote \"{name}\"");
        self.with_parents()
            .find_map(|repo| repo.config().group_option(&group, "url").transpose())
            .transpose()
    }

    /// Returns the file beside the repository that configures a remote, if it is not its own `config`.
    ///
    /// # Errors
    /// What reading such files returns.
    pub fn remote_file(&self, name: &RemoteName) -> Result<Option<PathBuf>> {
        let group = remote_group(name);
        if self.config().keyfile().has_group(&group) {
            return Ok(None);
        }
        let files = self.remote_files()?;
        Ok(files.and_then(|files| files.find(&group).map(|(name, _)| files.path_of(name))))
    }

    /// Reads the files beside the repository afresh.
    fn remote_files(&self) -> Result<Option<RemoteFiles>> {
        self.remotes_dir()
            .map_or(Ok(None), |place| RemoteFiles::read(&place.path))
    }

    /// Returns whether new remotes are configured beside the repository.
    fn takes_remotes_beside(&self) -> bool {
        let place = self.remotes_dir();
        place.is_some_and(|place| self.config().adds_remotes_elsewhere().unwrap_or(place.takes_new))
    }

    fn with_parents(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |repo| repo.parent())
    }
}

/// Writes the group of a remote, in place of one that is there.
fn write_group(file: &mut KeyFile, group: &str, settings: &[(&str, RemoteValue<'_>)]) -> Result<()> {
    file.remove_group(group);
    for (key, value) in settings {
        match value {
            RemoteValue::Text(text) => file.set(group, key, text),
            RemoteValue::List(list) => file.set_list(group, key, list),
        }
        .map_err(RepoError::format("config"))?;
    }
    Ok(())
}
