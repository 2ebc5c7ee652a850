//! The clients, stock `ostree` where there is one and this program: what they are asked to do, in the same words.

use super::place::{Place, Who};
use super::{BRANCH, process};
use crate::interrupt::Interrupt;
use ostler_format::Checksum;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Variables that would send requests for this machine somewhere else.
const PROXIES: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];

/// A client, and a repository of its own.
#[derive(Debug)]
pub(super) struct Client<'a> {
    who: Who,
    program: OsString,
    repo: PathBuf,
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
    /// Makes the client's repository, with a remote at `url`. `program` is what it runs.
    pub(super) fn make(
        who: Who,
        program: OsString,
        place: &Place,
        url: &str,
        interrupt: &'a Interrupt,
    ) -> anyhow::Result<Self> {
        let client = Self {
            who,
            program,
            repo: place.client(who),
            interrupt,
        };
        client.run(&client.repo, &["init", "--mode=archive"])?;
        client.run(&client.repo, &["remote", "add", "--no-gpg-verify", "origin", url])?;
        Ok(client)
    }

    /// Returns which one it is.
    pub(super) const fn who(&self) -> Who {
        self.who
    }

    /// Returns its repository.
    pub(super) fn repo(&self) -> &Path {
        &self.repo
    }

    /// Brings the branch up to date and returns its commit.
    pub(super) fn pull(&self) -> anyhow::Result<Checksum> {
        self.run(&self.repo, &["pull", "origin", BRANCH])?;
        let printed = self.run(&self.repo, &["rev-parse", &format!("origin:{BRANCH}")])?;
        Ok(printed.trim().parse()?)
    }

    /// Checks a commit out as any user can: without its owners.
    pub(super) fn checkout(&self, commit: &Checksum, to: &Path) -> anyhow::Result<()> {
        let mut command = self.command_for(&self.repo);
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
        self.run(&self.repo, &set).map(drop)
    }

    fn run(&self, repo: &Path, arguments: &[&str]) -> anyhow::Result<String> {
        process::run(self.command_for(repo).args(arguments), self.interrupt)
    }

    /// Returns its program for a repository.
    fn command_for(&self, repo: &Path) -> Command {
        let mut command = Command::new(&self.program);
        for proxy in PROXIES {
            command.env_remove(proxy);
        }
        // Before the name of the command only this form will do.
        let mut option = OsString::from("--repo=");
        option.push(repo);
        command.arg(option);
        command
    }
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
