//! Where commits are brought to: what people write for it.

use crate::exit;
use ostler_repo::Repo;
use std::path::{Path, PathBuf};

/// A place to bring commits to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A repository on this machine.
    Directory(PathBuf),
    /// One behind ssh.
    Ssh {
        /// The host as ssh takes it, perhaps with a user before it.
        host: String,
        /// The port, where one is given.
        port: Option<u16>,
        /// The path, as the far end understands it.
        path: String,
    },
}

impl Destination {
    /// Reads `HOST:PATH`, `ssh://HOST[:PORT]/PATH`, the name of a remote of the repository, or a directory.
    ///
    /// # Errors
    /// A usage error for what is none of these.
    pub(crate) fn parse(text: &str, source: &Repo) -> anyhow::Result<Self> {
        if Self::may_be_remote(text)
            && let Some(remote) = source.remote(text)
        {
            Self::refuse_ambiguous(text, source)?;
            let url = remote.text("url")?.unwrap_or_default();
            return Self::of_url(&url, &format!("remote '{text}' is at {url}"));
        }
        Self::read(text)
    }

    /// Refuses a name that stands for a remote and for a directory alike: neither is brought anything by mistake.
    ///
    /// # Errors
    /// A usage error that says how to name either.
    pub(crate) fn refuse_ambiguous(text: &str, source: &Repo) -> anyhow::Result<()> {
        if !Self::may_be_remote(text) || !Path::new(text).exists() {
            return Ok(());
        }
        let Some(remote) = source.remote(text) else {
            return Ok(());
        };
        let url = remote.text("url")?.unwrap_or_default();
        Err(exit::usage(format!(
            "'{text}' is a remote of {} and a directory as well: write ./{text} for the directory, or {url} for the remote",
            source.path().display()
        )))
    }

    /// Returns whether the remotes of a repository decide what is meant.
    pub(crate) fn may_be_remote(text: &str) -> bool {
        !text.contains(['/', ':'])
    }

    /// As [`parse`](Self::parse), for what is no name of a remote.
    ///
    /// # Errors
    /// As `parse`.
    pub(crate) fn read(text: &str) -> anyhow::Result<Self> {
        Self::of_url(text, text)
    }

    fn of_url(text: &str, named: &str) -> anyhow::Result<Self> {
        if let Some(rest) = text.strip_prefix("ssh://") {
            return Self::of_ssh(rest)
                .ok_or_else(|| exit::usage(format!("{named}: ssh://[USER@]HOST[:PORT]/PATH is expected")));
        }
        if let Some(path) = text.strip_prefix("file://") {
            return Ok(Self::Directory(PathBuf::from(path)));
        }
        if text.contains("://") {
            return Err(exit::usage(format!(
                "{named}: pushes go to HOST:PATH, ssh://HOST/PATH or a directory"
            )));
        }
        match text.split_once(':') {
            Some((host, path)) if !host.contains('/') => {
                if !is_host(host) || path.is_empty() {
                    return Err(exit::usage(format!("{named}: [USER@]HOST:PATH is expected")));
                }
                Ok(Self::Ssh {
                    host: host.to_owned(),
                    port: None,
                    path: path.to_owned(),
                })
            }
            _ if text.is_empty() => Err(exit::usage("an empty name is no place to push to")),
            _ => Ok(Self::Directory(PathBuf::from(text))),
        }
    }

    fn of_ssh(rest: &str) -> Option<Self> {
        let (authority, path) = rest.split_at_checked(rest.find('/')?)?;
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (format!("{user}@"), place),
            None => (String::new(), authority),
        };
        let (host, port) = match place.strip_prefix('[') {
            // An address with colons of its own.
            Some(rest) => rest.split_once(']')?,
            None => place.split_at_checked(place.find(':').unwrap_or(place.len()))?,
        };
        let port = match port.strip_prefix(':') {
            Some(number) => Some(number.parse().ok()?),
            None if port.is_empty() => None,
            None => return None,
        };
        let host = format!("{user}{host}");
        is_host(&host).then(|| Self::Ssh {
            host,
            port,
            path: path.to_owned(),
        })
    }
}

/// Returns whether ssh takes it for a host, and for no option.
fn is_host(text: &str) -> bool {
    let host = text.rsplit_once('@').map_or(text, |(_, host)| host);
    let odd = |character: char| character.is_whitespace() || character.is_control();
    !host.is_empty() && !text.starts_with('-') && !host.starts_with('-') && !text.contains(odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssh(host: &str, port: Option<u16>, path: &str) -> Destination {
        let (host, path) = (host.to_owned(), path.to_owned());
        Destination::Ssh { host, port, path }
    }

    #[test]
    fn places_are_read_as_people_write_them() {
        let directory = |path: &str| Destination::Directory(PathBuf::from(path));
        for (text, place) in [
            ("build@repo:/srv/repo", ssh("build@repo", None, "/srv/repo")),
            ("repo:os", ssh("repo", None, "os")),
            ("ssh://repo/srv/repo", ssh("repo", None, "/srv/repo")),
            ("ssh://me@repo:2222/os", ssh("me@repo", Some(2222), "/os")),
            ("ssh://[::1]:22/os", ssh("::1", Some(22), "/os")),
            ("/srv/repo", directory("/srv/repo")),
            ("repo", directory("repo")),
            ("./odd:name", directory("./odd:name")),
            ("file:///srv/repo", directory("/srv/repo")),
        ] {
            assert_eq!(Destination::of_url(text, text).unwrap(), place, "{text}");
        }
    }

    #[test]
    fn what_ssh_would_take_for_an_option_is_no_host() {
        for text in [
            "",
            ":path",
            "host:",
            "-oProxyCommand=x:path",
            "me@-x:path",
            "ssh://-oProxyCommand=x/path",
            "ssh://host",
            "ssh://host:port/x",
            "ssh://[::1/x",
            "ssh:///x",
            "a b:path",
            "https://host/repo",
        ] {
            assert!(Destination::of_url(text, text).is_err(), "{text}");
        }
    }
}
