//! The stock client: whether there is one, and what it is asked to do.

use super::place::Place;
use super::{BRANCH, process};
use crate::interrupt::Interrupt;
use ostler_format::Checksum;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

/// Variables that would send requests for this machine somewhere else.
const PROXIES: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];

/// Stock `ostree`, and a repository of its own.
#[derive(Debug)]
pub(super) struct Client<'a> {
    version: String,
    place: &'a Place,
    interrupt: &'a Interrupt,
}

/// Returns the version of stock `ostree`, or why there is none.
pub(super) fn version(interrupt: &Interrupt) -> anyhow::Result<Result<String, &'static str>> {
    let printed = match process::run(Command::new("ostree").arg("--version"), interrupt) {
        Ok(printed) => printed,
        Err(error) => {
            interrupt.check()?;
            let absent = error
                .chain()
                .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
                .any(|cause| cause.kind() == std::io::ErrorKind::NotFound);
            return Ok(Err(if absent {
                "ostree is not installed"
            } else {
                "the ostree that is installed does not run"
            }));
        }
    };
    Ok(stock_version(&printed))
}

/// Reads what `ostree --version` prints. Under that name ostler prints a section of its own.
fn stock_version(printed: &str) -> Result<String, &'static str> {
    if printed.lines().any(|line| line == "ostler:") {
        return Err("the ostree that is installed is ostler itself");
    }
    let version = printed
        .lines()
        .find_map(|line| line.trim().strip_prefix("Version:"));
    version
        .map(|version| version.trim().trim_matches('\'').to_owned())
        .ok_or("the ostree that is installed tells no version")
}

impl<'a> Client<'a> {
    /// Makes the client's repository, with a remote at `url`.
    pub(super) fn make(
        version: String,
        place: &'a Place,
        url: &str,
        interrupt: &'a Interrupt,
    ) -> anyhow::Result<Self> {
        let client = Self {
            version,
            place,
            interrupt,
        };
        client.run(&place.client(), &["init", "--mode=archive"])?;
        client.run(
            &place.client(),
            &["remote", "add", "--no-gpg-verify", "origin", url],
        )?;
        Ok(client)
    }

    /// Returns the version of `ostree`.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Brings the branch up to date and returns its commit.
    pub(super) fn pull(&self) -> anyhow::Result<Checksum> {
        let repo = self.place.client();
        self.run(&repo, &["pull", "origin", BRANCH])?;
        let printed = self.run(&repo, &["rev-parse", &format!("origin:{BRANCH}")])?;
        Ok(printed.trim().parse()?)
    }

    /// Checks a commit out as any user can: without its owners.
    pub(super) fn checkout(&self, commit: &Checksum, to: &Path) -> anyhow::Result<()> {
        let mut command = command_for(&self.place.client());
        command.args(["checkout", "--user-mode"]);
        command.arg(commit.to_string()).arg(to);
        process::run(&mut command, self.interrupt).map(drop)
    }

    /// Checks a repository.
    pub(super) fn fsck(&self, repo: &Path) -> anyhow::Result<()> {
        self.run(repo, &["fsck", "--quiet"]).map(drop)
    }

    /// Moves the remote.
    pub(super) fn point_to(&self, url: &str) -> anyhow::Result<()> {
        let set = ["config", "--group=remote \"origin\"", "set", "url", url];
        self.run(&self.place.client(), &set).map(drop)
    }

    fn run(&self, repo: &Path, arguments: &[&str]) -> anyhow::Result<String> {
        process::run(command_for(repo).args(arguments), self.interrupt)
    }
}

/// Returns `ostree` for a repository.
fn command_for(repo: &Path) -> Command {
    let mut command = Command::new("ostree");
    for proxy in PROXIES {
        command.env_remove(proxy);
    }
    // Before the name of the command only this form will do.
    let mut option = OsString::from("--repo=");
    option.push(repo);
    command.arg(option);
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Program;

    #[test]
    fn a_link_to_ostler_is_not_taken_for_stock() {
        assert!(stock_version(&Program::Ostree.version_text()).is_err());
        let stock = "libostree:\n Version: '2022.7'\n Git: abc\n Features:\n  - libcurl\n";
        assert_eq!(stock_version(stock).as_deref(), Ok("2022.7"));
        assert!(stock_version("").is_err());
    }
}
