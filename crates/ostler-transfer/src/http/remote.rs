//! A remote: what the configuration says of it, and where it lies once mirror lists are read.

use super::base::Base;
use super::client::Client;
use super::metalink;
use super::mirrorlist;
use super::options::{ClientOptions, Tls};
use crate::error::{Result, TransferError};
use ostler_format::{CollectionId, RemoteName};
use ostler_repo::{RemoteSection, Repo, RepoError};
use std::path::PathBuf;

/// What the configuration of a repository says of a remote, but for keys of signatures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteSettings {
    /// Its name; none for a repository that is named by its URL.
    pub name: Option<RemoteName>,
    /// `url`, possibly `mirrorlist=URL`.
    pub url: Option<String>,
    /// `contenturl`, possibly `mirrorlist=URL`.
    pub content_url: Option<String>,
    /// `metalink`.
    pub metalink: Option<String>,
    /// `branches`: what a pull without refs pulls.
    pub branches: Vec<String>,
    /// `collection-id`.
    pub collection: Option<CollectionId>,
    /// `unconfigured-state`: why nothing can be pulled yet.
    pub unconfigured_state: Option<String>,
    /// `custom-backend`: another program does the pulling.
    pub custom_backend: Option<String>,
    /// `proxy`.
    pub proxy: Option<String>,
    /// `http2`; on by default.
    pub http2: Option<bool>,
    /// `tls-permissive`, `tls-ca-path`, `tls-client-cert-path` and `tls-client-key-path`.
    pub tls: Tls,
}

impl RemoteSettings {
    /// Reads what a repository, or one of its parents, says of a remote.
    ///
    /// # Errors
    /// [`TransferError::Remote`] where there is none, or where one of two paths that belong together is missing;
    /// [`TransferError::Repo`] for values without meaning.
    pub fn of(repo: &Repo, name: &RemoteName) -> Result<Self> {
        let Some(section) = repo.remote(name.as_str()) else {
            return Err(TransferError::Remote(format!("Remote \"{name}\" not found")));
        };
        Ok(Self {
            name: Some(name.clone()),
            url: section.filled("url")?,
            content_url: section.filled("contenturl")?,
            metalink: section.filled("metalink")?,
            branches: section.list("branches")?,
            collection: collection(&section)?,
            unconfigured_state: section.filled("unconfigured-state")?,
            custom_backend: section.filled("custom-backend")?,
            proxy: section.filled("proxy")?,
            http2: section.flag("http2")?,
            tls: tls(&section, name)?,
        })
    }

    /// Returns the settings of a repository that is named by its URL and configured nowhere.
    pub fn of_url(url: &str) -> Self {
        Self {
            url: Some(url.to_owned()),
            ..Self::default()
        }
    }

    /// Puts what concerns connections into the options of a client.
    pub fn configure(&self, options: &mut ClientOptions) {
        options.tls = self.tls.clone();
        options.proxy.clone_from(&self.proxy);
        options.http2 = self.http2.unwrap_or(true);
    }

    /// Refuses a remote that cannot be pulled from yet.
    ///
    /// # Errors
    /// [`TransferError::Remote`].
    pub fn require_configured(&self) -> Result<()> {
        match (&self.name, &self.unconfigured_state) {
            (Some(name), Some(state)) => Err(TransferError::Remote(format!(
                "remote unconfigured-state: {state} (remote {name})"
            ))),
            _ => Ok(()),
        }
    }
}

/// What the command line puts in the place of settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteOverrides {
    /// `--url`, in place of `url`, `contenturl` and `metalink`.
    pub url: Option<String>,
}

/// Where a remote lies.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Its name; none for a repository that is named by its URL.
    pub name: Option<RemoteName>,
    /// Where summary, config, refs and detached metadata are.
    pub url: Base,
    /// Where objects and deltas are.
    pub content: Base,
    /// What the remote says its refs belong to.
    pub collection: Option<CollectionId>,
    /// What a pull without refs pulls.
    pub branches: Vec<String>,
    /// The summary that the metalink led to, which needs not be fetched again.
    pub summary: Option<Vec<u8>>,
}

impl Remote {
    /// Finds out where a remote lies: reads its mirror lists or its metalink.
    ///
    /// # Errors
    /// [`TransferError::Url`] for what is no URL of a repository, [`TransferError::Remote`] for a remote without URL,
    /// [`TransferError::Fetch`] for lists that cannot be fetched or lead nowhere.
    pub fn resolve(settings: &RemoteSettings, overrides: &RemoteOverrides, client: &Client) -> Result<Self> {
        let (base, summary) = match (&overrides.url, &settings.metalink) {
            (None, Some(url)) => {
                let (base, summary) = metalink::resolve(client, url)?;
                (base, Some(summary))
            }
            (given, _) => {
                let url = given.as_ref().or(settings.url.as_ref());
                (place(client, url.ok_or_else(|| no_url(settings))?)?, None)
            }
        };
        let content = match (&overrides.url, &settings.content_url) {
            (None, Some(url)) => place(client, url)?,
            _ => base.clone(),
        };
        Ok(Self {
            name: settings.name.clone(),
            url: base,
            content,
            collection: settings.collection.clone(),
            branches: settings.branches.clone(),
            summary,
        })
    }
}

/// Reads a URL, or the list of mirrors that it names.
fn place(client: &Client, url: &str) -> Result<Base> {
    match url.strip_prefix("mirrorlist=") {
        Some(list) => mirrorlist::resolve(client, list),
        None => Base::parse(url),
    }
}

fn no_url(settings: &RemoteSettings) -> TransferError {
    let name = settings.name.as_ref().map_or("", RemoteName::as_str);
    TransferError::Remote(format!("No \"url\" option in remote \"{name}\""))
}

fn collection(section: &RemoteSection<'_>) -> Result<Option<CollectionId>> {
    let id = section.filled("collection-id")?;
    id.map(|id| CollectionId::new(&id).map_err(TransferError::format("collection-id in config")))
        .transpose()
}

fn tls(section: &RemoteSection<'_>, name: &RemoteName) -> Result<Tls, TransferError> {
    let path = |key| Ok::<_, RepoError>(section.filled(key)?.map(PathBuf::from));
    let client = match (path("tls-client-cert-path")?, path("tls-client-key-path")?) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            return Err(TransferError::Remote(format!(
                "Remote \"{name}\" must specify both \"tls-client-cert-path\" and \"tls-client-key-path\""
            )));
        }
    };
    Ok(Tls {
        permissive: section.flag("tls-permissive")?.unwrap_or(false),
        ca_path: path("tls-ca-path")?,
        client,
    })
}
