//! Who reads what was published: a stock client where there is one, and this program, both over HTTP.

use super::client::{self, Client};
use super::place::{Place, Who};
use crate::interrupt::Interrupt;
use ostler_format::Checksum;
use ostler_repo::Repo;
use ostler_serve::{Server, serve};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// The clients, and the server that they pull from.
#[derive(Debug)]
pub(super) struct Readers<'a> {
    clients: Vec<Client<'a>>,
    /// Stopped when dropped.
    server: Server,
    /// The version of stock `ostree`, or why there is none.
    stock: Result<String, &'static str>,
}

/// A version that a client got.
#[derive(Debug)]
pub(super) struct Arrived {
    /// The repository in which it arrived.
    pub(super) repo: Repo,
    pub(super) commit: Checksum,
    /// Where it was checked out.
    pub(super) checkout: PathBuf,
    /// How many requests it took, …
    pub(super) requests: u64,
    /// … and how many bytes the bodies of the answers had.
    pub(super) body_bytes: u64,
}

impl<'a> Readers<'a> {
    /// Starts the server, and makes the clients: a stock one if there is one, and `ostler`. The public repository exists by now.
    pub(super) fn make(place: &Place, ostler: &Path, interrupt: &'a Interrupt) -> anyhow::Result<Self> {
        let stock = client::version(interrupt)?;
        // Port 0: any that is free.
        let server = serve(&place.public(), (Ipv4Addr::LOCALHOST, 0).into())?;
        let mut programs = vec![(Who::Own, ostler.into())];
        if stock.is_ok() {
            programs.insert(0, (Who::Stock, "ostree".into()));
        }
        let clients = programs
            .into_iter()
            .map(|(who, program)| Client::make(who, program, place, &server.url(), interrupt))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            clients,
            server,
            stock,
        })
    }

    /// Returns the clients.
    pub(super) fn clients(&self) -> &[Client<'a>] {
        &self.clients
    }

    /// Returns the version of stock `ostree`, or why there is none.
    pub(super) fn stock(&self) -> Result<&str, &'static str> {
        self.stock.as_deref().map_err(|reason| *reason)
    }

    /// Has a client pull what is published now, and check it out.
    pub(super) fn read(&self, client: &Client<'_>, checkout: PathBuf) -> anyhow::Result<Arrived> {
        let before = (self.server.requests(), self.server.body_bytes());
        let commit = client.pull()?;
        let (requests, body_bytes) = (self.server.requests(), self.server.body_bytes());
        client.checkout(&commit, &checkout)?;
        Ok(Arrived {
            repo: Repo::open(client.repo())?,
            commit,
            checkout,
            requests: requests - before.0,
            body_bytes: body_bytes - before.1,
        })
    }

    /// Has the stock client check a repository; returns whether there is one.
    pub(super) fn check(&self, repo: &Path) -> anyhow::Result<bool> {
        let stock = self.clients.iter().find(|client| client.who() == Who::Stock);
        stock.map_or(Ok(false), |stock| stock.fsck(repo).map(|()| true))
    }

    /// Lets the clients read the directory from now on: the server ends with us.
    pub(super) fn finish(&self, place: &Place) -> anyhow::Result<()> {
        let url = file_url(&place.public());
        self.clients.iter().try_for_each(|client| client.point_to(&url))
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
