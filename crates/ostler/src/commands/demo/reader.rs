//! Who reads what was published: a stock client over HTTP where there is one, else ostler from the directory.

use super::BRANCH;
use super::client::{self, Client};
use super::place::Place;
use crate::interrupt::Interrupt;
use anyhow::Context as _;
use ostler_format::{Checksum, Refspec};
use ostler_repo::{CheckoutOptions, Repo};
use ostler_serve::{Server, serve};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// The reader.
#[derive(Debug)]
pub(super) enum Reader<'a> {
    /// Stock `ostree`, and the server that it pulls from.
    Stock {
        /// The client.
        client: Client<'a>,
        /// Stopped when dropped.
        server: Server,
        /// The client's repository.
        repo: PathBuf,
    },
    /// Ostler itself.
    Own {
        /// Why there is no stock client.
        reason: &'static str,
        /// The public repository.
        repo: PathBuf,
    },
}

/// A version that was read.
#[derive(Debug)]
pub(super) struct Arrived {
    /// The repository in which it arrived.
    pub(super) repo: Repo,
    pub(super) commit: Checksum,
    /// What it took over HTTP.
    pub(super) traffic: Option<Traffic>,
}

/// What went over HTTP.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traffic {
    pub(super) requests: u64,
    pub(super) body_bytes: u64,
}

impl<'a> Reader<'a> {
    /// Looks for a stock client, and if there is one starts the server. The public repository exists by now.
    pub(super) fn find(place: &'a Place, interrupt: &'a Interrupt) -> anyhow::Result<Self> {
        let version = match client::version(interrupt)? {
            Ok(version) => version,
            Err(reason) => {
                let repo = place.public();
                return Ok(Self::Own { reason, repo });
            }
        };
        // Port 0: any that is free.
        let server = serve(&place.public(), (Ipv4Addr::LOCALHOST, 0).into())?;
        let client = Client::make(version, place, &server.url(), interrupt)?;
        let repo = place.client();
        Ok(Self::Stock { client, server, repo })
    }

    /// Reads what is published now, and checks it out.
    pub(super) fn read(&self, checkout: &Path) -> anyhow::Result<Arrived> {
        match self {
            Self::Stock { client, server, repo } => {
                let before = (server.requests(), server.body_bytes());
                let commit = client.pull()?;
                let traffic = Some(Traffic {
                    requests: server.requests() - before.0,
                    body_bytes: server.body_bytes() - before.1,
                });
                client.checkout(&commit, checkout)?;
                let repo = Repo::open(repo)?;
                Ok(Arrived {
                    repo,
                    commit,
                    traffic,
                })
            }
            Self::Own { repo, .. } => {
                let repo = Repo::open(repo)?;
                let branch: Refspec = BRANCH.parse()?;
                let commit = repo
                    .read_ref(&branch)?
                    .context("the branch is not in the public repository")?;
                let options = CheckoutOptions {
                    user_mode: true,
                    ..CheckoutOptions::default()
                };
                repo.checkout(&commit, checkout, &options)?;
                Ok(Arrived {
                    repo,
                    commit,
                    traffic: None,
                })
            }
        }
    }

    /// Has the stock client check a repository; returns whether there is one.
    pub(super) fn check(&self, repo: &Path) -> anyhow::Result<bool> {
        match self {
            Self::Stock { client, .. } => client.fsck(repo).map(|()| true),
            Self::Own { .. } => Ok(false),
        }
    }

    /// Lets the client read the directory from now on: the server ends with us.
    pub(super) fn finish(&self, place: &Place) -> anyhow::Result<()> {
        match self {
            Self::Stock { client, .. } => client.point_to(&file_url(&place.public())),
            Self::Own { .. } => Ok(()),
        }
    }
}

/// Returns the URL of an absolute path.
fn file_url(path: &Path) -> String {
    let mut url = "file://".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                url.push(char::from(*byte));
            }
            _ => {
                let _written = write!(url, "%{byte:02X}");
            }
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_odd_paths_are_escaped() {
        assert_eq!(
            file_url(Path::new("/srv/a b/é%#")),
            "file:///srv/a%20b/%C3%A9%25%23"
        );
    }
}
