//! Remotes: their groups in `config`, and the keyring `NAME.trustedkeys.gpg` that stock keeps for one.
//!
//! A remote is looked up in the repository, then in its parents; only the repository's own are changed. Removal takes
//! the keyring before the group: cut short, it leaves a remote without keys, whose pulls fail, never keys that a later
//! remote of the same name would trust. Refs of a removed remote stay, as with stock.

use crate::config::remote_group;
use crate::error::{RepoError, Result};
use crate::repo::Repo;
use ostler_format::RemoteName;
use std::collections::BTreeSet;

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

impl Repo {
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
            if file.has_group(&group) && existing == Existing::Keep {
                return Ok(false);
            }
            file.remove_group(&group);
            for (key, value) in settings {
                match value {
                    RemoteValue::Text(text) => file.set(&group, key, text),
                    RemoteValue::List(list) => file.set_list(&group, key, list),
                }
                .map_err(RepoError::format("config"))?;
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
            if !file.remove_group(&group) {
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
            .find_map(|repo| repo.config().keyfile().get(&group, "url").transpose())
            .transpose()
            .map_err(RepoError::format("config"))
    }

    fn with_parents(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |repo| repo.parent())
    }
}
